"""How a call goes on, in SWML: the steps of a document's main section (`carriers.md` 3.3). Pure.

SWML is told all of a call at once: whom to ring, what a callee hears before the two are connected (`confirm`), what
follows if nobody is (`result`). What became of it comes back by callbacks, which SignalWire does not sign:
signalwire.com/docs/swml/reference/calling/connect and beside it, "StatusCallbacks".
"""

from __future__ import annotations

from typing import Any

from gateway import (
    AskPin,
    Bridge,
    Callee,
    CallRoute,
    CallStep,
    Connect,
    InboundCall,
    RecordingKind,
    Screen,
    Step,
    TakeMessage,
    callback_url,
)
from gateway_signalwire.answers import legal, literal
from gateway_signalwire.limits import CONFIRM_SECONDS, KEY_SECONDS, SILENCE_SECONDS, ring_seconds

Steps = list[dict[str, Any]]

HANG_UP: Steps = [{"hangup": {}}]
DECLINE: Steps = [{"hangup": {"reason": "decline"}}]


def steps(call: InboundCall | CallStep, route: CallRoute) -> Steps:
    """Return what is done with `call`."""
    if isinstance(route, Connect):
        return _connect(call, route)
    if isinstance(route, TakeMessage):
        return _take(route, route.callback)
    if isinstance(route, AskPin):
        return _ask(route)
    if isinstance(route, Screen):
        callee = call.callee if isinstance(call, CallStep) else None
        return screen(route.words, route.accept, route.callback, callee, [])
    if isinstance(route, Bridge):
        return []
    if not route.words:
        return DECLINE if isinstance(call, InboundCall) else HANG_UP
    return [*_said(route.words), *HANG_UP]


def say(words: str) -> str:
    """Return words as SWML speaks them: on one line, and nothing in them is taken for a variable."""
    return f"say:{literal(' '.join(legal(words).split()))}"


def _said(words: str) -> Steps:
    return [{"answer": {}}, {"play": {"url": say(words)}}] if words.strip() else []


# --- connect ------------------------------------------------------------------------------------


def _connect(call: InboundCall | CallStep, route: Connect) -> Steps:
    """Ring all callees at once.

    Of several each is shown the mask of its own leg. The `from` beside `parallel` is what would be shown if one of
    theirs were not read: a mask too, and never the caller.
    """
    if not route.callees:
        return DECLINE
    devices = [_device(callee, route) for callee in route.callees]
    whom = devices[0] if len(devices) == 1 else {"from": route.callees[0].caller_id, "parallel": devices}
    connect = {**whom, "max_duration": route.limit_seconds, "answer_on_bridge": True}
    if route.callback:
        connect["result"] = _result(call, route)
    return [*_said(route.words), {"connect": connect}]


def _device(callee: Callee, route: Connect) -> dict[str, Any]:
    device = {"from": callee.caller_id, "to": callee.number, "timeout": ring_seconds(route.ring_seconds)}
    if not route.callback:
        return device
    told = {
        "call_state_url": callback_url(route.callback, callee=callee.position),
        "call_state_events": ["ringing", "answered", "ended"],
    }
    return {**device, **told, **_confirm(callee, route)}


def _confirm(callee: Callee, route: Connect) -> dict[str, Any]:
    """Return what a callee who answers hears and does first; the recording begins where that ends."""
    record = [_record_call(route.callback)] if route.record else []
    if not route.screens:
        return {"confirm": record} if record else {}
    steps = screen(route.whisper, route.accept, route.callback, callee.position, record)
    # nothing is documented of a confirmation that lasts too long: ours always ends by itself before this
    return {"confirm": steps, "confirm_timeout": CONFIRM_SECONDS + len(route.whisper) // 8}


def screen(words: str, accept: bool, callback: str, callee: int | None, then: Steps) -> Steps:
    """Say `words` to a callee; with `accept` only who presses 1 gets to `then`, and everybody else is hung up on.

    The condition asks for what must be there: were it not understood, the callee is hung up on. A `switch` is not
    among what `confirm` takes.
    """
    if not accept:
        return [*([{"play": {"url": say(words)}}] if words.strip() else []), *then]
    prompt: dict[str, Any] = {
        "play": say(words) if words.strip() else "silence:1",
        "max_digits": 1,
        "initial_timeout": KEY_SECONDS,
    }
    if callback:
        prompt["status_url"] = callback_url(callback, Step.SCREENED, callee)
    accepted = {"when": "vars.prompt_value == '1'", "then": then}
    return [{"prompt": prompt}, {"cond": [accepted, {"else": HANG_UP}]}]


def _record_call(callback: str) -> dict[str, Any]:
    """Return what records a callee who takes the call.

    The URL does not say whose it is: of two who press 1 at once the news may come in either order, and what is of a
    callee who was told that they are recorded need not be deleted.
    """
    return {"record_call": {"stereo": True, "status_url": callback_url(callback, RecordingKind.CALL)}}


def _result(call: InboundCall | CallStep, route: Connect) -> dict[str, Any]:
    """Return what follows once ringing, or the conversation, is over, and the caller is still there."""
    missed = route.unanswered
    if isinstance(missed, TakeMessage):
        follows = _take(missed, missed.callback or route.callback)
    else:
        follows = [*_said(missed.words), *HANG_UP]
    cases = {
        "connected": [_told(call, route.callback, "connected"), *HANG_UP],
        "failed": [_told(call, route.callback, "failed"), *follows],
    }
    return {"variable": "connect_result", "case": cases, "default": HANG_UP}


def _told(call: InboundCall | CallStep, callback: str, result: str) -> dict[str, Any]:
    """Tell how it went. What is answered to this is not read, and if nobody answers the call goes on."""
    request = {
        "url": callback_url(callback, Step.DIALLED),
        "method": "POST",
        "headers": {"Content-Type": "application/json"},
        "body": {"call_id": literal(call.carrier_ref), "connect_result": result},
        "connect_timeout": 2,
        "timeout": 5,
    }
    return {"request": request}


# --- messages and PINs --------------------------------------------------------------------------


def _take(route: TakeMessage, callback: str) -> Steps:
    if not callback:
        return [*_said(route.goodbye), *HANG_UP]
    record = {
        "beep": True,
        "terminators": "#",
        "max_length": route.limit_seconds,
        "initial_timeout": SILENCE_SECONDS,
        "end_silence_timeout": SILENCE_SECONDS,
        "status_url": callback_url(callback, RecordingKind.VOICEMAIL),
    }
    return [*(_said(route.words) or [{"answer": {}}]), {"record": record}, *_said(route.goodbye)[1:], *HANG_UP]


def _ask(route: AskPin) -> Steps:
    """Ask for digits, and fetch what follows: the request holds them, as variables and as parameters."""
    if not route.callback:
        return DECLINE
    prompt = {
        "play": say(route.words),
        "max_digits": route.most_digits,
        "terminators": "#",
        "initial_timeout": KEY_SECONDS,
    }
    transfer = {"dest": callback_url(route.callback, Step.PIN), "params": {"digits": "%{prompt_value}"}}
    return [{"answer": {}}, {"prompt": prompt}, {"transfer": transfer}]
