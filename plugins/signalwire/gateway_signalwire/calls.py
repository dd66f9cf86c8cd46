"""Calls and their progress from webhooks, as SWML and as cXML (`carriers.md` 3.1 to 3.3). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gateway import CallProgress, CallState, Event, InboundCall
from gateway_signalwire import fields as f
from gateway_signalwire.fields import Fields

CXML = "cxml"  #: `InboundCall.form` of a call that came as a form
SWML = "swml"  #: and of one that came as JSON

_STATES = {
    "ringing": CallState.RINGING,
    "in-progress": CallState.ANSWERED,
    "answered": CallState.ANSWERED,
    "completed": CallState.ENDED,
    "busy": CallState.ENDED,
    "failed": CallState.ENDED,
    "no-answer": CallState.ENDED,
    "canceled": CallState.ENDED,
}
_SWML_STATES = {"ringing": CallState.RINGING, "answered": CallState.ANSWERED, "ended": CallState.ENDED}
_CONNECT_STATES = {
    "connecting": CallState.RINGING,
    "connected": CallState.ANSWERED,
    "failed": CallState.ENDED,
    "disconnected": CallState.ENDED,
}

#: What a status callback has and a call that waits for instructions has not.
_REPORT = ("CallbackSource", "SequenceNumber", "ParentCallSid")


def from_swml(fields: Fields) -> Sequence[Event]:
    """Return the call of a SWML webhook, `{"call": {…}}`. Raises `WebhookMalformed`.

    `from_number` and `to_number` are there for phone calls alone; `from` and `to` always, as numbers, SIP
    addresses or words. Of the rest nothing is required: a caller waits.
    """
    call = f.section(fields, "call")
    if f.word(call, "direction").lower().startswith("outbound"):
        return ()
    return [
        InboundCall(
            carrier_ref=f.word(call, "call_id"),
            caller=f.person(call, "from_number", "from"),
            called=f.mask(call, "to_number", "to"),
            form=SWML,
        )
    ]


def from_event(fields: Fields) -> Sequence[Event]:
    """Return the progress in a `calling.call.state` or `calling.call.connect` event; nothing for other events."""
    event = f.word(fields, "event_type")
    if event == "calling.call.state":
        return _event(fields, "call_state", "end_reason", _SWML_STATES)
    if event == "calling.call.connect":
        return _event(fields, "connect_state", "failed_reason", _CONNECT_STATES)
    return ()


def _event(fields: Fields, state: str, reason: str, states: dict[str, CallState]) -> Sequence[Event]:
    params = f.section(fields, "params")
    word = f.word(params, state).lower()
    if word not in states:
        return ()
    outcome = (f.word(params, reason) or word) if states[word] is CallState.ENDED else ""
    return [CallProgress(carrier_ref=f.reference(params, "call_id"), state=states[word], outcome=f.plain(outcome))]


def from_cxml(fields: Fields) -> Sequence[Event]:
    """Return the call, or its progress, of a form. Raises `WebhookMalformed`."""
    if f.word(fields, "DialCallStatus"):
        return [_progress(fields, CallState.ENDED, "DialCallStatus", "DialCallDuration")]
    if f.word(fields, "RecordingSid", "RecordingUrl"):
        return ()
    state = _STATES.get(f.word(fields, "CallStatus").lower())
    dialled = f.word(fields, "Direction").lower().startswith("outbound")
    if dialled or state is CallState.ENDED or f.word(fields, *_REPORT):
        return _report(fields, state)
    return [
        InboundCall(
            carrier_ref=f.word(fields, "CallSid"),
            caller=f.person(fields, "From"),
            called=f.mask(fields, "To"),
            form=CXML,
        )
    ]


def _report(fields: Fields, state: CallState | None) -> Sequence[Event]:
    """Return a status callback's progress. A leg we dialled belongs to its parent, whose end is not the leg's."""
    dialled_leg = f.word(fields, "ParentCallSid") != ""
    if state is None or (dialled_leg and state is CallState.ENDED):
        return ()
    return [_progress(fields, state, "CallStatus", "CallDuration")]


def _progress(fields: Fields, state: CallState, status: str, duration: str) -> CallProgress:
    ended = state is CallState.ENDED
    return CallProgress(
        carrier_ref=f.reference(fields, "ParentCallSid", "CallSid"),
        state=state,
        outcome=f.plain(f.word(fields, status).lower()) if ended else "",
        seconds=f.count(fields, duration) if ended else None,
    )
