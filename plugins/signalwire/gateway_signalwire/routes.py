"""How a call goes on: every `CallRoute`, in SWML or in cXML, as the call came. Pure.

A caller id is always said: left out, SignalWire shows the callee the caller's own number.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from gateway import Callee, CallRoute, CallStep, Connect, InboundCall, Screen, WebhookResponse
from gateway.numbers import is_e164
from gateway_signalwire import answers, cxml, swml
from gateway_signalwire.fields import CXML

log = logging.getLogger(__name__)

#: To how many characters words are cut, one after the other, until a document is one SignalWire reads.
_LENGTHS = (8000, 2000, 500, 100)
#: Bytes of `words` and of `whisper` that fit into any document of cXML, whatever else it holds. Who is told more is not
#: recorded: each turn decides for itself what to cut, and must not record because another's words are not its own.
_MOST_TOLD = 8000


def answer(call: InboundCall | CallStep, route: CallRoute) -> WebhookResponse:
    """Return `route` in the language `call` came in, at most as long as SignalWire reads."""
    write = _cxml if call.form.startswith(CXML) else _swml
    route = _told(call, route)
    answered = write(call, _shown(call, route))
    for shorter in _ever_shorter(route):
        if _size(answered) <= answers.MOST_BYTES:
            break
        log.error("call %s: its answer is too long, and cut", call.carrier_ref)
        answered = write(call, _shown(call, shorter))
    return answered


def _swml(call: InboundCall | CallStep, route: CallRoute) -> WebhookResponse:
    return answers.swml(*swml.steps(call, route))


def _cxml(call: InboundCall | CallStep, route: CallRoute) -> WebhookResponse:
    return answers.cxml(*cxml.verbs(call, route))


def _shown(call: InboundCall | CallStep, route: CallRoute) -> CallRoute:
    """Return `route` without the callees we cannot ring without showing a real number: those with no mask to show."""
    if not isinstance(route, Connect):
        return route
    real = {callee.number for callee in route.callees} | ({call.caller} if isinstance(call, InboundCall) else set())
    shown = tuple(one for one in route.callees if is_e164(one.caller_id) and one.caller_id not in real)
    if len(shown) < len(route.callees):
        log.error("call %s: %d callees without a mask", call.carrier_ref, len(route.callees) - len(shown))
    return replace(route, callees=shown)


def _told(call: InboundCall | CallStep, route: CallRoute) -> CallRoute:
    """Return `route`, without a recording where those who would be recorded might not hear that they are."""
    if not isinstance(route, Connect) or not route.record:
        return route
    if max(len(words.encode("utf-8")) for words in (route.words, route.whisper)) <= _MOST_TOLD:
        return route
    log.error("call %s: too much is said in it to be sure that both are told: it is not recorded", call.carrier_ref)
    return replace(route, record=False)


def _size(answered: WebhookResponse) -> int:
    return len(answered.body.encode("utf-8"))


def _ever_shorter(route: CallRoute) -> Iterator[CallRoute]:
    """Yield `route` with less and less to say; then with fewer and fewer to ring, which is said in the log."""
    for most in _LENGTHS:
        yield _cut(route, most)
    callees: tuple[Callee, ...] = route.callees if isinstance(route, Connect) else ()
    while len(callees) > 1:
        callees = callees[: len(callees) // 2]
        yield replace(_cut(route, _LENGTHS[-1]), callees=callees)


def _cut(route: CallRoute, most: int) -> Any:
    """Return `route` with its words cut to `most` characters, and without a recording: of that they might not hear.

    Of what a callee hears the end is kept: there they are told which key to press.
    """
    named = {field.name: getattr(route, field.name) for field in fields(route)}
    changes: dict[str, Any] = {name: value[:most] for name, value in named.items() if name in ("words", "goodbye")}
    if isinstance(route, Screen):
        changes["words"] = route.words[-most:]
    if isinstance(route, Connect):
        changes |= {"whisper": route.whisper[-most:], "unanswered": _cut(route.unanswered, most), "record": False}
    return replace(route, **changes)
