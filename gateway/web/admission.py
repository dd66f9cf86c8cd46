"""Who is let in with a webhook: carriers, by signature or token; what happens in a call, by the key of that call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.calls import CallProgress, CallStep, RecordingReport
from gateway.carrier import Carrier, Event
from gateway.errors import WebhookRejected
from gateway.messages import DeliveryReceipt, WebhookRequest
from gateway.voice.course import CALL
from gateway.web.auth import equal
from gateway.web.context import Context

#: What a token alone may bring in where texts and calls are signed: several callbacks of such carriers are not.
_HARMLESS = (DeliveryReceipt, CallProgress)
#: What the key of a call may bring in, for that call.
_OF_A_CALL = (CallStep, CallProgress, RecordingReport)
_KEY = re.compile("[A-Za-z0-9_-]{32}")
_SMALL = re.compile("[0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What a webhook says that may be believed."""

    events: Sequence[Event]
    key: str = ""  #: of the call that its URL is of
    attempt: int | None = None  #: the how manieth PIN it brings, where its URL says so


class KeyRejected(WebhookRejected):
    """The URL's last part has the form of the key of a call, and is of none; or what came there is of no call."""


def admit(context: Context, carrier: Carrier, request: WebhookRequest, token: str) -> Admitted:
    """Return what a webhook says, if it may be believed. Raises `WebhookRejected` or `WebhookMalformed`.

    A carrier that signs is believed by its signature, and by the token alone only for receipts and call
    progress. One that does not sign is believed by the token; with none configured (loopback, or
    `GATEWAY_INSECURE`) everybody is. Whoever knows the key of a call is believed about that call.
    """
    secret = context.settings.webhook_token
    has_token = secret is not None and equal(token.encode(), secret.get_secret_value().encode())
    if not has_token and token.startswith(CALL):
        return _by_key(context, carrier, request, token.removeprefix(CALL))
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
        return Admitted(events=events)
    return Admitted(events=carrier.parse(request))


def _by_key(context: Context, carrier: Carrier, request: WebhookRequest, key: str) -> Admitted:
    if not _KEY.fullmatch(key) or context.store.read(lambda tx: tx.call_by_key(carrier.name, key)) is None:
        raise KeyRejected("the key in the URL is of no call")
    events = carrier.parse(request)
    if not all(isinstance(event, _OF_A_CALL) for event in events):
        raise KeyRejected("what came to the URL of a call is not about it")
    attempt = request.query().get("try", "")
    return Admitted(events=events, key=key, attempt=int(attempt) if _SMALL.fullmatch(attempt) else None)
