"""How a call goes on, in the status callbacks of cXML and the events of SWML (`carriers.md` 3.1, 3.3). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway import CallOutcome, CallProgress, CallState, Event
from gateway_signalwire import fields as f
from gateway_signalwire.fields import Fields

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

#: The words of both languages, with `_` for every `-`; RELAY's spelling too.
_OUTCOMES = {
    "completed": CallOutcome.COMPLETED,
    "answered": CallOutcome.COMPLETED,
    "hangup": CallOutcome.COMPLETED,
    "disconnected": CallOutcome.COMPLETED,
    "busy": CallOutcome.BUSY,
    "declined": CallOutcome.DECLINED,
    "decline": CallOutcome.DECLINED,
    "no_answer": CallOutcome.NO_ANSWER,
    "noanswer": CallOutcome.NO_ANSWER,
    "timeout": CallOutcome.NO_ANSWER,
    "canceled": CallOutcome.CANCELED,
    "cancelled": CallOutcome.CANCELED,
    "cancel": CallOutcome.CANCELED,
    "failed": CallOutcome.FAILED,
    "error": CallOutcome.FAILED,
}
#: What a SIP code adds to a call that was not answered (RFC 3261, section 21).
_SIP = {
    "486": CallOutcome.BUSY,
    "600": CallOutcome.BUSY,
    "603": CallOutcome.DECLINED,
    "607": CallOutcome.DECLINED,
    "408": CallOutcome.NO_ANSWER,
    "480": CallOutcome.NO_ANSWER,
    "487": CallOutcome.CANCELED,
}
_ANSWERED = (CallOutcome.COMPLETED, CallOutcome.CANCELED)


def from_event(fields: Fields, callee: int | None) -> Sequence[Event]:
    """Return the progress in a `calling.call.state` or `calling.call.connect` event; nothing for other events."""
    event = f.word(fields, "event_type")
    if event == "calling.call.state":
        return _event(fields, "call_state", "end_reason", _SWML_STATES, callee)
    if event == "calling.call.connect":
        return _event(fields, "connect_state", "failed_reason", _CONNECT_STATES, callee)
    return ()


def _event(
    fields: Fields, state: str, reason: str, states: Mapping[str, CallState], callee: int | None
) -> Sequence[Event]:
    params = f.section(fields, "params")
    word = f.word(params, state).lower()
    if word not in states:
        return ()
    ended = states[word] is CallState.ENDED
    said = f.word(params, reason) or word
    return [
        CallProgress(
            carrier_ref=f.reference(params, "call_id"),
            state=states[word],
            outcome=_outcome(said) if ended else None,
            callee=callee,
            detail=f.plain(said) if ended else "",
        )
    ]


def state_of(fields: Fields) -> CallState | None:
    """Return how far a form's call has come; None where it does not say, or says `queued`."""
    return _STATES.get(f.word(fields, "CallStatus").lower())


def of_dial(fields: Fields) -> CallProgress:
    """Return the end of a `<Dial>`."""
    return _ended(fields, "DialCallStatus", "DialCallDuration", None)


def of_call(fields: Fields, state: CallState | None, callee: int | None) -> Sequence[Event]:
    """Return a status callback's progress.

    A call we dialled belongs to its parent, whose end is not its own: where the URL does not say whose part of the
    call it is, its end is left out.
    """
    nobodys = f.word(fields, "ParentCallSid") != "" and callee is None
    if state is None or (nobodys and state is CallState.ENDED):
        return ()
    if state is CallState.ENDED:
        return [_ended(fields, "CallStatus", "CallDuration", callee)]
    return [CallProgress(carrier_ref=_call(fields), state=state, callee=callee)]


def _ended(fields: Fields, status: str, duration: str, callee: int | None) -> CallProgress:
    word = f.word(fields, status).lower()
    return CallProgress(
        carrier_ref=_call(fields),
        state=CallState.ENDED,
        outcome=_outcome(word, f.word(fields, "SipResultCode")),
        callee=callee,
        seconds=f.count(fields, duration),
        detail=f.plain(word),
    )


def _call(fields: Fields) -> str:
    return f.reference(fields, "ParentCallSid", "CallSid")


def _outcome(word: str, sip: str = "") -> CallOutcome:
    """Return what a word means; where nobody answered, a SIP code may say why."""
    outcome = _OUTCOMES.get(word.lower().replace("-", "_").replace(" ", "_"), CallOutcome.UNKNOWN)
    return outcome if outcome in _ANSWERED else _SIP.get(sip, outcome)
