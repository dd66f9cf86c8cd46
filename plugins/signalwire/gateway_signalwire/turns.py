"""What SignalWire asks and tells at the URLs a route named: the next step of a call, and its recordings. Pure.

Which it is stands in the URL's query (`gateway.calls.callback_url`). Forms and documents are asked for by cXML and
SWML; of SWML the rest are events, and what our own `request` says (`gateway_signalwire.swml`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway import CallStep, Event, RecordingKind, RecordingReport, RecordingState, Step
from gateway_signalwire import fields as f
from gateway_signalwire.fields import ACCEPT, CXML, EACH, RUNG, SWML, Fields

_STEPS = {step.value: step for step in Step}
_KINDS = {kind.value: kind for kind in RecordingKind}
_RECORDINGS = {
    "completed": RecordingState.READY,
    "finished": RecordingState.READY,
    "absent": RecordingState.ABSENT,
    "failed": RecordingState.ABSENT,
    "no_input": RecordingState.ABSENT,
    "error": RecordingState.ABSENT,
}
_CONNECTED = ("completed", "answered", "in-progress", "connected")
_TYPED = ("digit", "speech", "no_input", "no_match", "error")  #: how a prompt can end


def is_turn(query: Mapping[str, str]) -> bool:
    """Return whether a URL is one for a step of a call, or for a recording of one."""
    return query.get("step") in {*_STEPS, *_KINDS}


def callee_of(query: Mapping[str, str]) -> int | None:
    """Return which callee a URL is about; None where it is about none."""
    found = f.positions(query.get("callee", ""))
    return found[0] if len(found) == 1 else None


def read(query: Mapping[str, str], fields: Fields) -> Sequence[Event]:
    """Return what is asked or told at a URL for which `is_turn`. Raises `WebhookMalformed`."""
    word = query["step"]
    if word in _KINDS:
        return [replace(report, callees=_recorded(query)) for report in _recording(_KINDS[word], fields)]
    if "event_type" in fields:
        return _prompted(_STEPS[word], callee_of(query), fields)
    if "call" in fields:
        call = f.section(fields, "call")
        typed = _typed(fields)
        return [_step(query, ref=f.reference(call, "call_id"), digits=typed, form=SWML)]
    if "connect_result" in fields:
        connected = f.word(fields, "connect_result") in _CONNECTED
        return [_step(query, ref=f.reference(fields, "call_id"), connected=connected, form=SWML)]
    connected = f.word(fields, "DialCallStatus").lower() in _CONNECTED and ACCEPT not in query
    digits = f.digits(fields, "Digits")
    each = f.seconds(query.get(EACH, ""))
    form = f"{CXML} {each}" if each else CXML
    return [_step(query, ref=f.reference(fields, "CallSid"), digits=digits, connected=connected, form=form)]


def _step(query: Mapping[str, str], *, ref: str, form: str, digits: str = "", connected: bool = False) -> CallStep:
    return CallStep(
        carrier_ref=ref,
        step=_STEPS[query["step"]],
        callee=callee_of(query),
        digits=digits.removesuffix("#"),
        connected=connected,
        rung=f.positions(query.get(RUNG, "")),
        form=form,
    )


def _typed(fields: Fields) -> str:
    """Return what was typed at the prompt before a document was fetched, as parameter or as variable."""
    params, variables = _object(fields, "params"), _object(fields, "vars")
    if f.word(variables, "prompt_result") in ("no_input", "no_match", "failed"):
        return ""  # the value, if there is one, is an earlier prompt's
    return f.digits(params, "digits") or f.digits(variables, "prompt_value")


def _object(fields: Fields, name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _prompted(step: Step, callee: int | None, fields: Fields) -> Sequence[Event]:
    """Return what a callee did who was asked to press 1: the event of a prompt, `calling.call.collect`."""
    if step is not Step.SCREENED or f.word(fields, "event_type") != "calling.call.collect":
        return ()
    params = f.section(fields, "params")
    result = _object(params, "result")
    if params.get("final") is False or f.word(result, "type") not in _TYPED:
        return ()
    digits = f.digits(_object(result, "params"), "digits")
    return [CallStep(carrier_ref=f.reference(params, "call_id"), step=step, callee=callee, digits=digits, form=SWML)]


def _recorded(query: Mapping[str, str]) -> tuple[int, ...]:
    """Return the positions of those of whom one answered what was recorded; () where the URL does not say."""
    callee = callee_of(query)
    return f.positions(query.get(RUNG, "")) if callee is None else (callee,)


def _recording(kind: RecordingKind, fields: Fields) -> Sequence[RecordingReport]:
    """Return the report in a recording status callback, or in a `calling.call.record` event."""
    if "event_type" not in fields:
        state = f.word(fields, "RecordingStatus").lower() or "completed"
        return _report(kind, state, f.reference(fields, "CallSid"), fields, "RecordingSid", "RecordingUrl")
    if f.word(fields, "event_type") != "calling.call.record":
        return ()
    params = f.section(fields, "params")
    detail = {**params, **_object(params, "record")}
    reference = next((name for name in ("recording_id", "record_id") if f.word(detail, name)), "")
    return _report(kind, f.word(params, "state").lower(), f.reference(params, "call_id"), detail, reference, "url")


def _report(
    kind: RecordingKind, word: str, call: str, fields: Fields, reference: str, url: str
) -> Sequence[RecordingReport]:
    state = _RECORDINGS.get(word)
    where = f.text(fields, url) if state is RecordingState.READY else ""
    known = f.word(fields, reference)
    if state is None or (state is RecordingState.READY and not (where or known)):
        return ()
    return [
        RecordingReport(
            carrier_ref=call,
            kind=kind,
            state=state,
            recording_ref=known,
            url=where if where.startswith(("https://", "http://")) else "",
            seconds=f.count(fields, "RecordingDuration", "duration"),
        )
    ]
