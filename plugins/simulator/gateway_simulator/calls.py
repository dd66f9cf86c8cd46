"""Calls: what the network tells of them, and what it is told. The README has the language. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from gateway import (
    AskPin,
    Bridge,
    Callee,
    CallOutcome,
    CallProgress,
    CallRoute,
    CallState,
    CallStep,
    Connect,
    Event,
    InboundCall,
    RecordingKind,
    RecordingReport,
    RecordingState,
    Refuse,
    Screen,
    Step,
    TakeMessage,
    WebhookMalformed,
    callback_url,
)
from gateway.numbers import party
from gateway_simulator.fields import count, number, string

Query = Mapping[str, str]
_Word = TypeVar("_Word", bound=Enum)


# --- what it tells ------------------------------------------------------------------------------


def _call(event: Mapping[str, Any], query: Query) -> InboundCall:
    caller = party(event.get("from"))
    return InboundCall(carrier_ref=string(event, "ref"), caller=caller, called=number(event, "to"))


def _step(event: Mapping[str, Any], query: Query) -> CallStep:
    return CallStep(
        carrier_ref=string(event, "ref"),
        step=_word(Step, query.get("step")),
        callee=_callee(query),
        digits=string(event, "digits", ""),
        connected=event.get("connected") is True,
    )


def _progress(event: Mapping[str, Any], query: Query) -> CallProgress:
    state = _word(CallState, event.get("state"))
    said = string(event, "outcome", "")
    known = said in {outcome.value for outcome in CallOutcome}
    outcome = CallOutcome(said) if known else CallOutcome.UNKNOWN
    return CallProgress(
        carrier_ref=string(event, "ref"),
        state=state,
        outcome=outcome if state is CallState.ENDED else None,
        callee=_callee(query),
        seconds=count(event, "seconds"),
        detail="" if known else said,
    )


def _recording(event: Mapping[str, Any], query: Query) -> RecordingReport:
    return RecordingReport(
        carrier_ref=string(event, "ref"),
        kind=_word(RecordingKind, query.get("step")),
        state=_word(RecordingState, event.get("state")),
        recording_ref=string(event, "recording", ""),
        url=string(event, "url", ""),
        seconds=count(event, "seconds"),
    )


#: What it tells of calls, by `type`.
READERS: Mapping[str, Callable[[Mapping[str, Any], Query], Event]] = {
    "call": _call,
    "step": _step,
    "progress": _progress,
    "recording": _recording,
}


def _word(kind: type[_Word], value: object) -> _Word:
    try:
        return kind(value)
    except ValueError:
        raise WebhookMalformed(f"no {kind.__name__} that we know") from None


def _callee(query: Query) -> int | None:
    word = query.get("callee", "")
    return int(word) if word.isascii() and word.isdigit() and len(word) < 5 else None


# --- what it is told ----------------------------------------------------------------------------


def answer(call: InboundCall | CallStep, route: CallRoute) -> dict[str, Any]:
    """Return `route` in the network's language."""
    if isinstance(route, Connect):
        return {**({"say": route.words} if route.words else {}), "connect": _connect(route)}
    if isinstance(route, Bridge):
        return {"say": "", "bridge": True}
    if isinstance(route, AskPin) and route.callback:
        return _asked(route.words, route.most_digits, callback_url(route.callback, Step.PIN))
    if isinstance(route, TakeMessage) and route.callback:
        return {"say": route.words, "message": _message(route)}
    if isinstance(route, Screen):
        return _screen(route, call.callee if isinstance(call, CallStep) else None)
    return {"say": _parting(route), "hangup": True}


def _parting(route: Refuse | AskPin | TakeMessage) -> str:
    """Return what is said to a caller before it is over; to one of whom nothing can be asked, a goodbye at most."""
    if isinstance(route, TakeMessage):
        return route.goodbye
    return route.words if isinstance(route, Refuse) else ""


def _connect(route: Connect) -> dict[str, Any]:
    callees = [_device(callee, route) for callee in route.callees]
    connect = {"callees": callees, "ring_seconds": route.ring_seconds, "limit_seconds": route.limit_seconds}
    if route.callback and route.record:
        connect["record"] = callback_url(route.callback, RecordingKind.CALL)
    if route.callback:
        connect["then"] = callback_url(route.callback, Step.DIALLED)
    return connect


def _device(callee: Callee, route: Connect) -> dict[str, Any]:
    device = {"number": callee.number, "caller_id": callee.caller_id}
    if route.callback:
        device["told"] = callback_url(route.callback, callee=callee.position)
    if route.callback and route.screens:
        device["screen"] = callback_url(route.callback, Step.SCREEN, callee.position)
    return device


def _asked(words: str, most: int, then: str) -> dict[str, Any]:
    return {"say": words, "ask": {"digits": most, "then": then}}


def _message(route: TakeMessage) -> dict[str, Any]:
    return {
        "limit_seconds": route.limit_seconds,
        "told": callback_url(route.callback, RecordingKind.VOICEMAIL),
        "then": callback_url(route.callback, Step.RECORDED),
    }


def _screen(route: Screen, callee: int | None) -> dict[str, Any]:
    if not route.accept:
        return {"say": route.words, "bridge": True}
    if not route.callback:
        return {"say": "", "hangup": True}
    return _asked(route.words, 1, callback_url(route.callback, Step.SCREENED, callee))
