"""How a call goes on: `Connect` and `Refuse` in SWML and in cXML (`carriers.md` 3.1, 3.3). Pure.

A caller id is always said: left out, SignalWire shows the callee the caller's own number.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from gateway import Callee, CallRoute, Connect, InboundCall, Refuse, WebhookResponse
from gateway.numbers import is_e164
from gateway_signalwire import answers
from gateway_signalwire.calls import CXML

log = logging.getLogger(__name__)

SHORTEST_RING, LONGEST_RING = 5, 600  #: seconds `<Dial>` takes
MOST_NUMBERS = 10  #: one `<Dial>` rings at a time


def answer(call: InboundCall, route: CallRoute) -> WebhookResponse:
    """Return `route` in the language `call` came in."""
    if call.form == CXML:
        return answers.cxml(*_cxml(call, route))
    return answers.swml(*_swml(call, route))


def _callable(call: InboundCall, route: Connect) -> list[Callee]:
    """Return whom we can ring without showing a real number: with no mask to show, nobody."""
    callees = [one for one in route.callees if is_e164(one.caller_id) and one.caller_id != call.caller]
    if len(callees) < len(route.callees):
        log.error("call %s: %d callees without a mask", call.carrier_ref, len(route.callees) - len(callees))
    return callees


# --- SWML ---------------------------------------------------------------------------------------


def _swml(call: InboundCall, route: CallRoute) -> list[dict[str, Any]]:
    if isinstance(route, Refuse):
        words = answers.literal(answers.legal(route.words))
        return [{"answer": {}}, {"play": {"url": f"say:{words}"}}, {"hangup": {}}]
    callees = _callable(call, route)
    return [{"connect": _connect(callees, route)}] if callees else [{"hangup": {"reason": "decline"}}]


def _connect(callees: Sequence[Callee], route: Connect) -> dict[str, Any]:
    """Return the parameters of `connect`.

    Of several callees each is shown the mask of its own leg. The `from` beside `parallel` is what would be
    shown if one of theirs were not read: a mask too, and never the caller.
    """
    devices = [_device(callee, route) for callee in callees]
    whom = devices[0] if len(devices) == 1 else {"from": callees[0].caller_id, "parallel": devices}
    return {**whom, "max_duration": route.limit_seconds, "answer_on_bridge": True}


def _device(callee: Callee, route: Connect) -> dict[str, Any]:
    return {"from": callee.caller_id, "to": callee.number, "timeout": route.ring_seconds}


# --- cXML ---------------------------------------------------------------------------------------


def _cxml(call: InboundCall, route: CallRoute) -> list[Element]:
    if isinstance(route, Refuse):
        say = Element("Say")
        say.text = answers.legal(route.words)
        return [say, Element("Hangup")]
    callees = _callable(call, route)
    dials = [_dial(together, route) for together in _by_mask(callees)]
    return dials or [Element("Reject", {"reason": "rejected"})]


def _by_mask(callees: Sequence[Callee]) -> Iterator[list[Callee]]:
    """Yield the callees one `<Dial>` can ring at a time: it shows all of them the same caller id.

    Callees with different masks are rung one mask after the other, not at once, and a caller who stays on
    the line when the first conversation ends is connected to the next. To show all of them one mask would
    be worse: whoever called it back would reach another leg. SWML rings them all at once.
    """
    for mask in dict.fromkeys(callee.caller_id for callee in callees):
        together = [callee for callee in callees if callee.caller_id == mask]
        yield from (together[at : at + MOST_NUMBERS] for at in range(0, len(together), MOST_NUMBERS))


def _dial(callees: Sequence[Callee], route: Connect) -> Element:
    ring = min(max(route.ring_seconds, SHORTEST_RING), LONGEST_RING)
    dial = Element(
        "Dial",
        {
            "callerId": callees[0].caller_id,
            "timeout": str(ring),
            "timeLimit": str(route.limit_seconds),
            "answerOnBridge": "true",
        },
    )
    for callee in callees:
        SubElement(dial, "Number").text = callee.number
    return dial
