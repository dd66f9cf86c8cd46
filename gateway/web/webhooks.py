"""Webhooks: the first two of the six hops, and the answer after the third.

A carrier is let in by its signature, by the token in the URL, or by both; what happens in a call, by the key of that
call in the URL. See `admission.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import bottle

from gateway import inbound
from gateway.calls import CallProgress, CallRoute, CallStep, InboundCall, RecordingReport, Refuse
from gateway.carrier import Carrier
from gateway.errors import StoreUnavailable, WebhookMalformed, WebhookRejected
from gateway.logs import log_bug
from gateway.messages import DeliveryReceipt, InboundMessage, OutboundMessage, WebhookRequest, WebhookResponse
from gateway.numbers import without_numbers
from gateway.records import Message
from gateway.sending import to_carrier
from gateway.store import Tx
from gateway.voice import course, recordings, turns
from gateway.voice.course import Line
from gateway.web.admission import Admitted, KeyRejected, admit
from gateway.web.bodies import read_body, read_headers
from gateway.web.context import Context
from gateway.web.errors import Failures, problem

log = logging.getLogger(__name__)

MALFORMED = "There was an issue parsing your request."

_SIGNED_HINT = " (compare the signing key; and GATEWAY_PUBLIC_URL with the URL at the carrier, which is signed too)"

#: The content types that are logged by name: in any other may stand a number, or a text.
_KNOWN_TYPES = frozenset(
    f"application/{name}" for name in ("json", "vnd.api+json", "x-www-form-urlencoded", "xml", "octet-stream")
) | {"multipart/form-data", "text/plain", "text/html", "text/xml"}


@dataclass(frozen=True, slots=True)
class _Taken:
    """What came of the events of a webhook."""

    replies: list[Message] = field(default_factory=list)  #: travel inside the answer
    routes: list[tuple[InboundCall | CallStep, CallRoute]] = field(default_factory=list)
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
        admitted = admit(context, carrier, request, token)
        with context.hurry:  # who is not let in hurries nobody
            return _response(_take(context, carrier, admitted))
    except WebhookRejected as error:
        hint = _SIGNED_HINT if carrier.signed and not isinstance(error, KeyRejected) else ""
        words = without_numbers(str(error))
        log.warning("a webhook for %s was rejected: %s%s", name, words, hint, extra={"carrier": name})
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


def _take(context: Context, carrier: Carrier, admitted: Admitted) -> WebhookResponse:
    """Make what happened durable, then answer."""
    line = Line(carrier=carrier, settings=context.settings, now=context.clock(), public_url=context.public_url)
    shared = not any(inbound.runs_alone(event, context.settings) for event in admitted.events)
    taken = context.store.write(lambda tx: _follow(tx, line, admitted), shared=shared)
    if taken.early:
        context.store.write(lambda tx: inbound.early_receipts(tx, carrier, taken.early, context.settings, line.now))
    context.dispatcher.ring()
    for call, route in taken.routes:
        return carrier.answer_call(call, route)
    return carrier.acknowledge(admitted.events, _outbound(context, carrier, taken.replies))


def _follow(tx: Tx, line: Line, admitted: Admitted) -> _Taken:
    """Do what follows from each event."""
    taken, carrier, settings, now = _Taken(), line.carrier, line.settings, line.now
    for event in admitted.events:
        if isinstance(event, InboundMessage):
            taken.replies.extend(inbound.message(tx, carrier, event, settings, now))
        elif isinstance(event, DeliveryReceipt):
            if not inbound.receipt(tx, carrier, event, settings, now):
                taken.early.append(event)
        elif isinstance(event, InboundCall):
            taken.routes.append((event, turns.call(tx, line, event)))
        else:
            _go_on(tx, line, event, admitted, taken)
    return taken


def _go_on(
    tx: Tx, line: Line, event: CallStep | CallProgress | RecordingReport, admitted: Admitted, taken: _Taken
) -> None:
    """Do what follows from an event in the course of a call: that of the key in the URL, else that of its reference."""
    name = line.carrier.name
    call = tx.call_by_key(name, admitted.key) if admitted.key else tx.call_by_ref(name, event.carrier_ref)
    if isinstance(event, CallStep):
        route = turns.step(tx, line, event, call, admitted.attempt) if call is not None else Refuse()
        taken.routes.append((event, route))
    elif call is not None and isinstance(event, CallProgress):
        course.progress(tx, line, event, call)
    elif call is not None and isinstance(event, RecordingReport):
        recordings.report(tx, line, event, call)


def _outbound(context: Context, carrier: Carrier, replies: Sequence[Message]) -> tuple[OutboundMessage, ...]:
    return tuple(to_carrier(carrier, reply, webhook_url(context, carrier.name)) for reply in replies)


def _shape(request: WebhookRequest) -> str:
    """Describe a request without a word of its content."""
    named = request.content_type
    known = named if named in _KNOWN_TYPES else "another content type" if named else "no content type"
    return f"{request.method}, {known}, {len(request.body)} bytes"
