"""Webhooks: the first two of the six hops, and the answer after the third.

A carrier is let in by its signature, by the token in the URL, or by both; see `_admit`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import bottle

from gateway import inbound
from gateway.calls import CallProgress, CallRoute, InboundCall
from gateway.carrier import Carrier, Event
from gateway.errors import StoreUnavailable, WebhookMalformed, WebhookRejected
from gateway.logs import log_bug
from gateway.messages import DeliveryReceipt, InboundMessage, OutboundMessage, WebhookRequest, WebhookResponse
from gateway.numbers import without_numbers
from gateway.records import Message
from gateway.sending import to_carrier
from gateway.settings import Settings
from gateway.store import Tx
from gateway.web.auth import equal
from gateway.web.bodies import read_body, read_headers
from gateway.web.context import Context
from gateway.web.errors import Failures, problem

log = logging.getLogger(__name__)

MALFORMED = "There was an issue parsing your request."

_SIGNED_HINT = " (compare the signing key; and GATEWAY_PUBLIC_URL with the URL at the carrier, which is signed too)"

#: What a token alone may bring in where texts and calls are signed: several callbacks of such carriers are not.
_HARMLESS = (DeliveryReceipt, CallProgress)

#: The content types that are logged by name: in any other may stand a number, or a text.
_KNOWN_TYPES = frozenset(
    f"application/{name}" for name in ("json", "vnd.api+json", "x-www-form-urlencoded", "xml", "octet-stream")
) | {"multipart/form-data", "text/plain", "text/html", "text/xml"}


@dataclass(frozen=True, slots=True)
class _Taken:
    """What came of the events of a webhook."""

    replies: list[Message] = field(default_factory=list)  #: travel inside the answer
    routes: list[tuple[InboundCall, CallRoute]] = field(default_factory=list)
    early: list[DeliveryReceipt] = field(default_factory=list)  #: are about messages not known yet


def make_app(context: Context) -> bottle.Bottle:
    """Return the routes of our own webhook URLs."""
    app = bottle.Bottle()
    app.install(Failures())

    @app.route("/webhooks/<name>", method=["GET", "POST"])
    @app.route("/webhooks/<name>/<token>", method=["GET", "POST"])
    def webhook(name: str, token: str = "") -> bottle.HTTPResponse:
        if name not in context.carriers:
            raise problem(404, "No carrier of this name is configured. `gateway carriers` lists them.")
        return receive(context, name, token)

    return app


def webhook_url(context: Context, carrier: str) -> str:
    """Return the URL a carrier is to call, with the token where there is one."""
    return context.settings.webhook_url(context.public_url, carrier)


def receive(context: Context, name: str, token: str) -> bottle.HTTPResponse:
    """Take the webhook that is being requested, of the configured carrier `name`, and return the answer to it.

    Rejected: 403 and nothing in it. Malformed: 400. Our own failure before the commit: 503, so that the
    carrier tries again or falls back.
    """
    carrier = context.carriers[name]
    request = _request(context)
    try:
        events = _admit(context, carrier, request, token)
        return _response(_take(context, carrier, events))
    except WebhookRejected as error:
        log.warning(
            "a webhook for %s was rejected: %s%s",
            name,
            without_numbers(str(error)),
            _SIGNED_HINT if carrier.signed else "",
            extra={"carrier": name},
        )
        return bottle.HTTPResponse("", 403)
    except WebhookMalformed as error:
        words = without_numbers(str(error))  # which name fields and types, but plugins are written by anyone
        told = "a webhook of %s cannot be read: %s (%s)"
        log.warning(told, name, words, _shape(request), extra={"carrier": name})
        return bottle.HTTPResponse(MALFORMED, 400, {"Content-Type": "text/plain; charset=utf-8"})
    except StoreUnavailable as error:
        log.error("a webhook of %s was answered 503: %s", name, error, extra={"carrier": name})
        return bottle.HTTPResponse("", 503, {"Retry-After": "1"})
    except Exception as error:
        log_bug(log, f"a webhook of {name}", error, carrier=name)
        return bottle.HTTPResponse("", 503)


def _response(answer: WebhookResponse) -> bottle.HTTPResponse:
    """Return a plugin's answer. One that no HTTP can carry fails here, and not in Bottle, which would show the path."""
    return bottle.HTTPResponse(answer.body.encode(), answer.status, {"Content-Type": answer.content_type})


def _request(context: Context) -> WebhookRequest:
    """Return what is being requested, with the URL as the carrier knows it."""
    environ = bottle.request.environ
    target = str(environ.get("REQUEST_URI") or bottle.request.fullpath + _query(environ.get("QUERY_STRING", "")))
    if not target.startswith("/"):  # a proxy's absolute form
        target = bottle.request.fullpath + _query(environ.get("QUERY_STRING", ""))
    return WebhookRequest(
        url=context.public_url + target,
        method=bottle.request.method,
        headers=read_headers(),
        body=read_body(),
    )


def _query(query: str) -> str:
    return f"?{query}" if query else ""


def _admit(context: Context, carrier: Carrier, request: WebhookRequest, token: str) -> Sequence[Event]:
    """Return what a webhook says, if it may be believed. Raises `WebhookRejected` or `WebhookMalformed`.

    A carrier that signs is believed by its signature, and by the token alone only for receipts and call
    progress. One that does not sign is believed by the token; with none configured (loopback, or
    `GATEWAY_INSECURE`) everybody is.
    """
    secret = context.settings.webhook_token
    has_token = secret is not None and equal(token.encode(), secret.get_secret_value().encode())
    if secret is not None and not has_token and (token or not carrier.signed):
        raise WebhookRejected("the token in the URL is missing or wrong")
    try:
        carrier.verify(request)
    except WebhookRejected:
        if not has_token:
            raise
        events = carrier.parse(request)
        if not all(isinstance(event, _HARMLESS) for event in events):
            raise
        return events
    return carrier.parse(request)


def _take(context: Context, carrier: Carrier, events: Sequence[Event]) -> WebhookResponse:
    """Make what happened durable, then answer."""
    now = context.clock()
    shared = not any(inbound.runs_alone(event, context.settings) for event in events)
    taken = context.store.write(lambda tx: _follow(tx, carrier, events, context.settings, now), shared=shared)
    if taken.early:
        context.store.write(lambda tx: inbound.early_receipts(tx, carrier, taken.early, context.settings, now))
    context.dispatcher.ring()
    for call, route in taken.routes:
        return carrier.answer_call(call, route)
    return carrier.acknowledge(events, _outbound(context, carrier, taken.replies))


def _follow(tx: Tx, carrier: Carrier, events: Sequence[Event], settings: Settings, now: int) -> _Taken:
    """Do what follows from each event."""
    taken = _Taken()
    for event in events:
        if isinstance(event, InboundMessage):
            taken.replies.extend(inbound.message(tx, carrier, event, settings, now))
        elif isinstance(event, DeliveryReceipt):
            if not inbound.receipt(tx, carrier, event, settings, now):
                taken.early.append(event)
        elif isinstance(event, InboundCall):
            taken.routes.append((event, inbound.call(tx, carrier, event, settings, now)))
    return taken


def _outbound(context: Context, carrier: Carrier, replies: Sequence[Message]) -> tuple[OutboundMessage, ...]:
    return tuple(to_carrier(carrier, reply, webhook_url(context, carrier.name)) for reply in replies)


def _shape(request: WebhookRequest) -> str:
    """Describe a request without a word of its content."""
    named = request.content_type
    known = named if named in _KNOWN_TYPES else "another content type" if named else "no content type"
    return f"{request.method}, {known}, {len(request.body)} bytes"
