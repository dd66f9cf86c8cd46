"""What a callback says: an event as `/v1/events` shows it, and what it is about as `/v1` shows that."""

from __future__ import annotations

import json
import logging

from pydantic import Field

from gateway.errors import SessionUnknown
from gateway.logs import log_bug
from gateway.numbers import masked
from gateway.store import Row, Tx
from gateway.web.v1 import calls, events, messages, session_handlers
from gateway.web.v1.calls import CallRecord
from gateway.web.v1.events import Event
from gateway.web.v1.message_models import Message
from gateway.web.v1.session_models import Session
from gateway.web.v1.types import Output, Time

log = logging.getLogger(__name__)

Resource = Session | Message | CallRecord


class EventData(Event):
    """An event, and what it is about."""

    resource: Session | Message | CallRecord | None = Field(
        description="The session of `session.*`, the message of `message.*`, the call of `call.*`, as it was soon "
        "after. Participants' numbers are masked unless `GATEWAY_CALLBACK_NUMBERS` is `full`"
    )


class Payload(Output):
    """The body of a callback."""

    type: str = Field(description="The kind of the event")
    timestamp: Time = Field(description="When it happened")
    data: EventData


def written(tx: Tx, row: Row, *, full: bool) -> str:
    """Return the body of the callback about an event, as JSON in ASCII: with participants' numbers if `full`."""
    resource = _resource_or_log(tx, row)
    if resource is not None and not full:
        resource = _masked(resource)
    event = EventData(**dict(events.shown(row)), resource=resource)
    payload = Payload(type=event.kind, timestamp=event.at, data=event)
    return json.dumps(payload.model_dump(mode="json"), separators=(",", ":"))


def _resource_or_log(tx: Tx, row: Row) -> Resource | None:
    """Return what an event is about. What cannot be shown must not keep all that happened later from being told."""
    try:
        return _resource(tx, row)
    except (ValueError, KeyError, TypeError) as error:  # pydantic's are ValueErrors
        log_bug(log, "what a callback is about", error)
        return None


def _resource(tx: Tx, row: Row) -> Resource | None:
    of, about = row["kind"].partition(".")[0], row["message"]
    if of == "session" and row["session"]:
        return _session(tx, row["session"])
    if of == "call" and about is not None:
        call = tx.call(about)
        return None if call is None else calls.shown(call)
    if of == "message" and about is not None:
        message = tx.inbound(about) if row["kind"] == "message.received" else tx.outbound(about)
        return None if message is None else messages.shown(message)
    return None


def _session(tx: Tx, id: str) -> Session | None:
    try:
        return session_handlers.shown(tx.session(id))
    except SessionUnknown:
        return None


def _masked(resource: Resource) -> Resource:
    if isinstance(resource, Session):
        legs = [leg.model_copy(update={"participant": masked(leg.participant)}) for leg in resource.legs]
        return resource.model_copy(update={"legs": legs})
    return resource.model_copy(update={"participant": masked(resource.participant)})
