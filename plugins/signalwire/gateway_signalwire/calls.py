"""Calls from webhooks, as SWML and as cXML (`carriers.md` 3.1, 3.2). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gateway import CallState, Event, InboundCall
from gateway_signalwire import fields as f
from gateway_signalwire import progress
from gateway_signalwire.fields import CXML, SWML, Fields

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


def from_cxml(fields: Fields, callee: int | None) -> Sequence[Event]:
    """Return the call, or its progress, of a form. Raises `WebhookMalformed`."""
    if f.word(fields, "DialCallStatus"):
        return [progress.of_dial(fields)]
    if f.word(fields, "RecordingSid", "RecordingUrl"):
        return ()
    state = progress.state_of(fields)
    dialled = f.word(fields, "Direction").lower().startswith("outbound")
    if callee is not None or dialled or state is CallState.ENDED or f.word(fields, *_REPORT):
        return progress.of_call(fields, state, callee)
    return [
        InboundCall(
            carrier_ref=f.word(fields, "CallSid"),
            caller=f.person(fields, "From"),
            called=f.mask(fields, "To"),
            form=CXML,
        )
    ]
