"""What a callback says: an event as `/v1/events` shows it, and what it is about as `/v1` shows that."""

from __future__ import annotations

import json
import logging

from pydantic import Field

from gateway.errors import CallUnknown, SessionUnknown
from gateway.logs import log_bug
from gateway.store import Row, Tx
from gateway.web.v1 import call_models, events, messages, opt_outs, session_handlers
from gateway.web.v1.call_models import CallRecord
from gateway.web.v1.events import Event
from gateway.web.v1.message_models import Message
from gateway.web.v1.opt_outs import OptOut
from gateway.web.v1.people import MASKED
from gateway.web.v1.session_models import Session
from gateway.web.v1.types import Output, Time

log = logging.getLogger(__name__)

Resource = Session | Message | CallRecord | OptOut


class EventData(Event):
    """An event, and what it is about."""

    resource: Session | Message | CallRecord | OptOut | None = Field(
        description="The session of `session.*`, the message of `message.*`, the call of `call.*` and `recording.*`, "
        "the opt-out of `opt_out` (null once it was taken back), as it was soon after. Participants' numbers are "
        "masked unless `GATEWAY_CALLBACK_NUMBERS` is `full`"
    )


class Payload(Output):
    """The body of a callback."""

    type: str = Field(description="The kind of the event")
    timestamp: Time = Field(description="When it happened")
    data: EventData


def written(tx: Tx, row: Row, *, full: bool, keep_ms: int = 0) -> str:
    """Return the body of the callback about an event, as JSON in ASCII: with participants' numbers if `full`.

    `keep_ms`: for how long recordings are kept; 0: for ever.
    """
    event = EventData(**dict(events.shown(row)), resource=_resource_or_log(tx, row, keep_ms))
    payload = Payload(type=event.kind, timestamp=event.at, data=event)
    return json.dumps(payload.model_dump(mode="json", context=None if full else MASKED), separators=(",", ":"))


def _resource_or_log(tx: Tx, row: Row, keep_ms: int) -> Resource | None:
    """Return what an event is about. What cannot be shown must not keep all that happened later from being told."""
    try:
        return _resource(tx, row, keep_ms)
    except (ValueError, KeyError, TypeError) as error:  # pydantic's are ValueErrors
        log_bug(log, "what a callback is about", error)
        return None


def _resource(tx: Tx, row: Row, keep_ms: int) -> Resource | None:
    of, about = row["kind"].partition(".")[0], row["message"]
    if of == "session" and row["session"]:
        return _session(tx, row["session"])
    if of in ("call", "recording") and about is not None:
        return _call(tx, about, keep_ms, row["at"])
    if of == "opt_out" and about is not None:
        opted_out = tx.opt_out_told(about)
        return None if opted_out is None else opt_outs.shown(opted_out)
    if of == "message" and about is not None:
        message = tx.inbound(about) if row["kind"] == "message.received" else tx.outbound(about)
        return None if message is None else messages.shown(message)
    return None


def _call(tx: Tx, id: int, keep_ms: int, now: int) -> CallRecord | None:
    try:
        return call_models.shown(tx, tx.find_call(id), keep_ms, now)
    except CallUnknown:
        return None


def _session(tx: Tx, id: str) -> Session | None:
    try:
        return session_handlers.shown(tx.session(id))
    except SessionUnknown:
        return None
