"""How a call goes on, in cXML: the verbs of a `<Response>` (`carriers.md` 3.1). Pure.

cXML asks at each turn what comes next: signalwire.com/docs/compatibility-api/cxml/reference/voice/dial, /record,
developer.signalwire.com/compatibility-api/cxml/voice/gather.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement

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
from gateway_signalwire.answers import legal
from gateway_signalwire.fields import ACCEPT, EACH, RUNG, seconds
from gateway_signalwire.limits import KEY_SECONDS, MOST_NUMBERS, SILENCE_SECONDS, ring_seconds

Verbs = list[Element]


def verbs(call: InboundCall | CallStep, route: CallRoute) -> Verbs:
    """Return what is done with `call`."""
    if isinstance(route, Connect):
        return _connect(call, route)
    if isinstance(route, TakeMessage):
        return _take(route)
    if isinstance(route, AskPin):
        return _ask(route)
    if isinstance(route, Screen):
        return _screen(call, route)
    if isinstance(route, Bridge):
        return []
    if not route.words and isinstance(call, InboundCall):
        return [Element("Reject", {"reason": "rejected"})]
    return [*_say(route.words), Element("Hangup")]


def _say(words: str) -> Verbs:
    say = Element("Say")
    say.text = legal(words)
    return [say] if say.text.strip() else []


# --- connect ------------------------------------------------------------------------------------


def _connect(call: InboundCall | CallStep, route: Connect) -> Verbs:
    """Ring the callees, as many at once as one `<Dial>` can: it shows all of them the same caller id.

    Callees with different masks are rung one mask after the other: no noun has a caller id of its own. To show all of
    them one mask would be worse: whoever called it back would reach another leg. SWML rings them all at once.

    Only the first are in the document: `action` asks for the others, if nobody was connected. Without a callback
    there is nobody to ask, so all of them follow, and a caller who stays on the line when a conversation ends is
    connected to the next.
    """
    groups = list(_by_mask(route.callees))
    if not groups:
        return [Element("Reject", {"reason": "rejected"})]
    each = _each(call) or ring_seconds(route.ring_seconds, len(groups))
    said = [] if _goes_on(call) else _say(route.words)  # who has been waiting has heard them
    if not route.callback:
        return [*said, *(_dial(group, route, each) for group in groups)]
    dial = _dial(groups[0], route, each)
    dial.attrib.update(_turns(call, route, groups, each))
    return [*said, dial]


def _by_mask(callees: Sequence[Callee]) -> Iterator[list[Callee]]:
    for mask in dict.fromkeys(callee.caller_id for callee in callees):
        together = [callee for callee in callees if callee.caller_id == mask]
        yield from (together[at : at + MOST_NUMBERS] for at in range(0, len(together), MOST_NUMBERS))


def _goes_on(call: InboundCall | CallStep) -> bool:
    return isinstance(call, CallStep) and bool(call.rung)


def _each(call: InboundCall | CallStep) -> int:
    """Return for how long each group rings, where some have been rung already; else 0."""
    noted = seconds(call.form.partition(" ")[2])
    return ring_seconds(noted) if noted else 0


def _dial(callees: Sequence[Callee], route: Connect, ring: int) -> Element:
    shown = {"callerId": callees[0].caller_id, "timeout": str(ring), "timeLimit": str(route.limit_seconds)}
    dial = Element("Dial", {**shown, "answerOnBridge": "true"})
    for callee in callees:
        SubElement(dial, "Number", _asked(callee, route)).text = callee.number
    return dial


def _asked(callee: Callee, route: Connect) -> dict[str, str]:
    """Return what is fetched and told about one callee."""
    if not route.callback:
        return {}
    screen = {"url": callback_url(route.callback, Step.SCREEN, callee.position), "method": "POST"}
    told = {
        "statusCallback": callback_url(route.callback, callee=callee.position),
        "statusCallbackEvent": "ringing answered completed",
        "statusCallbackMethod": "POST",
    }
    return {**(screen if route.screens else {}), **told}


def _turns(
    call: InboundCall | CallStep, route: Connect, groups: Sequence[Sequence[Callee]], each: int
) -> dict[str, str]:
    """Return what `<Dial>` fetches once it is over, and where it tells of a recording.

    What a dial is called whose callee answered and was then hung up on, is not documented: the URL says of those who
    must press 1, so that it is not believed that two people were connected.
    """
    action = callback_url(route.callback, Step.DIALLED) + (f"&{ACCEPT}=1" if route.accept else "")
    if len(groups) > 1:
        before = call.rung if isinstance(call, CallStep) else ()
        rung = ",".join(str(one) for one in (*before, *(callee.position for callee in groups[0])))
        action += f"&{RUNG}={rung}&{EACH}={each}"
    turns = {"action": action, "method": "POST"}
    if route.record:
        turns["record"] = "record-from-answer-dual"
        turns |= _recorded(callback_url(route.callback, RecordingKind.CALL) + f"&{RUNG}={_positions(groups[0])}")
    return turns


def _positions(callees: Sequence[Callee]) -> str:
    return ",".join(str(callee.position) for callee in callees)


def _recorded(told: str) -> dict[str, str]:
    """Return that a recording is told of at the URL `told`.

    That of a `<Dial>` begins when a callee answers, before they hear anything or press a key, and each group of callees
    has its own: the URL says whose it is, so that one of nobody's conversation is known as such.
    """
    return {
        "recordingStatusCallback": told,
        "recordingStatusCallbackEvent": "completed absent",
        "recordingStatusCallbackMethod": "POST",
    }


def _screen(call: InboundCall | CallStep, route: Screen) -> Verbs:
    """Say words to a callee who has answered. Where no key is asked for, the document's end connects the two."""
    if not route.accept:
        return _say(route.words)
    if not route.callback:
        return [Element("Hangup")]
    callee = call.callee if isinstance(call, CallStep) else None
    return [_gather(route.words, callback_url(route.callback, Step.SCREENED, callee), 1), Element("Hangup")]


def _gather(words: str, action: str, most: int) -> Element:
    """Return a `<Gather>` that always asks for what follows, whatever was typed or was not."""
    gather = Element(
        "Gather",
        {
            "action": action,
            "method": "POST",
            "actionOnEmptyResult": "true",
            "numDigits": str(most),
            "timeout": str(KEY_SECONDS),
        },
    )
    gather.extend(_say(words))
    return gather


# --- messages and PINs --------------------------------------------------------------------------


def _take(route: TakeMessage) -> Verbs:
    """Record what the caller says. Nothing after `<Record>` is carried out: its action asks for what follows."""
    if not route.callback:
        return [*_say(route.goodbye), Element("Hangup")]
    record = {
        "action": callback_url(route.callback, Step.RECORDED),
        "method": "POST",
        "maxLength": str(route.limit_seconds),
        "finishOnKey": "#",
        "playBeep": "true",
        "timeout": str(SILENCE_SECONDS),
        **_recorded(callback_url(route.callback, RecordingKind.VOICEMAIL)),
    }
    return [*_say(route.words), Element("Record", record)]


def _ask(route: AskPin) -> Verbs:
    if not route.callback:
        return [Element("Reject", {"reason": "rejected"})]
    return [_gather(route.words, callback_url(route.callback, Step.PIN), route.most_digits), Element("Hangup")]
