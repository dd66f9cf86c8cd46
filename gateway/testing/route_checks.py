"""Conformance: what a carrier makes of every route, what it then asks and tells, and that it says nothing too much.

A route names in `callback` where the carrier shall call back. Whatever URL an answer of it holds, the author gives a
row of `receives` for what comes there: the gateway must be able to go on from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pytest

from gateway.calls import (
    AskPin,
    Bridge,
    Callee,
    CallProgress,
    CallRoute,
    CallStep,
    Connect,
    InboundCall,
    RecordingKind,
    RecordingReport,
    Refuse,
    Screen,
    Step,
    TakeMessage,
)
from gateway.carrier import Carrier
from gateway.messages import WebhookRequest, WebhookResponse
from gateway.testing.call_checks import one_space, spoken
from gateway.testing.cases import Receives
from gateway.testing.kit import Kit, digits
from gateway.testing.wire import Wire

CALLBACK = "https://gateway.example.com/webhooks/carrier/call-0123456789?token=t"
WORDS, WHISPER, LEAVE, THANKS, SORRY = "Hello “you” & <co>", "A call: press 1", "Speak now", "Thank you", "Nobody"
RUNG = (
    Callee(number="+12065550161", caller_id="+12065550162", position=3),
    Callee(number="+12065550163", caller_id="+12065550164", position=5),
)
MESSAGE = TakeMessage(words=LEAVE, goodbye=THANKS, callback=CALLBACK)
FULL = Connect(
    callees=RUNG, words=WORDS, whisper=WHISPER, accept=True, record=True, unanswered=MESSAGE, callback=CALLBACK
)

#: Every route a call, or a step of it, may be answered with; and what of it is said at once.
ROUTES: dict[str, tuple[CallRoute, tuple[str, ...]]] = {
    "connect": (FULL, (WORDS,)),
    "connect one": (replace(FULL, callees=RUNG[:1]), (WORDS,)),
    "connect unheard": (replace(FULL, accept=False, whisper="", words="", unanswered=Refuse(words=SORRY)), ()),
    "refuse in silence": (Refuse(), ()),
    "ask for a PIN": (AskPin(words=WORDS, callback=CALLBACK), (WORDS,)),
    "take a message": (MESSAGE, (LEAVE,)),
    "screen": (Screen(words=WHISPER, callback=CALLBACK), (WHISPER,)),
    "screen for a key": (Screen(words=WHISPER, accept=True, callback=CALLBACK), (WHISPER,)),
    "bridge": (Bridge(), ()),
}
#: What must be asked for, or have been said with the first answer, so that a call can go on as its route says.
ASKS: dict[str, tuple[tuple[Step | RecordingKind, ...], ...]] = {
    "connect": ((Step.SCREEN, Step.SCREENED), (RecordingKind.CALL,)),
    "connect one": ((Step.SCREEN, Step.SCREENED), (RecordingKind.CALL,)),
    "connect unheard": ((RecordingKind.CALL,),),
    "ask for a PIN": ((Step.PIN,),),
    "take a message": ((Step.RECORDED, RecordingKind.VOICEMAIL), (RecordingKind.VOICEMAIL,)),
    "screen for a key": ((Step.SCREENED,),),
}


class RouteChecks(Kit):
    """`answer_call` for every route, and `parse` for what comes of it."""

    @pytest.mark.parametrize("name", ROUTES)
    def test_answers_every_route(self, carrier: Carrier, name: str) -> None:
        route, said = ROUTES[name]
        for call in self._turns(route):
            answer = _answer(carrier, call, route)
            everything = " ".join(map(one_space, spoken(answer)))
            for words in said:
                assert one_space(words) in everything, f"{words!r} is not said"
            assert_no_number(answer, call, route)

    @pytest.mark.parametrize("name", ASKS)
    def test_asks_what_it_must_be_told(self, carrier: Carrier, name: str) -> None:
        route = ROUTES[name][0]
        for call in self._turns(route):
            asked = {word for url in _called(_answer(carrier, call, route)) for word in _query(url).get("step", ())}
            for choice in ASKS[name]:
                wanted = [one.value for one in choice]
                assert asked.intersection(wanted), f"its answer to {name!r} has no URL with step={' or '.join(wanted)}"

    @pytest.mark.parametrize(
        ("words", "step"), [(WHISPER, Step.SCREEN), (LEAVE, Step.DIALLED)], ids=["whisper", "after"]
    )
    def test_says_what_follows_or_asks_for_it(self, carrier: Carrier, words: str, step: Step) -> None:
        for call in self._turns(FULL):
            answer = _answer(carrier, call, FULL)
            inside = any(one_space(words) in one_space(said) for said in spoken(answer))
            asked = {word for url in _called(answer) for word in _query(url).get("step", ())}
            assert inside or step.value in asked, f"nobody will hear {words!r}: say it, or ask at step={step.value}"

    def test_rings_everybody_in_the_end(self, carrier: Carrier) -> None:
        for call in self._turns(FULL):
            route, turn, rung = FULL, call, ""
            for _ in RUNG:
                answer = _answer(carrier, turn, route)
                rung += " ".join(spoken(answer))
                step = self._dialled(carrier, answer, turn.form)
                if step is None or not step.rung:
                    break
                turn, route = step, replace(FULL, callees=tuple(one for one in RUNG if one.position not in step.rung))
            for callee in RUNG:
                assert digits(callee.number) in digits(rung), "a callee is not rung, and step=dialled names no `rung`"

    def test_tells_whose_part_of_a_call_it_is(self, carrier: Carrier) -> None:
        for call in self._turns(FULL):
            named = {word for url in _called(_answer(carrier, call, FULL)) for word in _query(url).get("callee", ())}
            first = str(RUNG[0].position)
            assert first in named, "no URL says which callee it is about: use callback_url(…, callee=callee.position)"

    def test_asks_nothing_where_it_cannot_call_back(self, carrier: Carrier) -> None:
        route = replace(FULL, callback="", unanswered=replace(MESSAGE, callback=""))
        for call in self._turns(route):
            answer = _answer(carrier, call, route)
            said = " ".join(map(one_space, spoken(answer)))
            assert "step=" not in said, "there is nowhere to call back"
            assert LEAVE not in said, "no message can be taken without a place to tell of it"
            for callee in RUNG[:1]:
                assert digits(callee.number) in digits(said), "a callee is not rung"

    def test_reads_whatever_it_asks_for(self, carrier: Carrier) -> None:
        """Every URL in an answer has a row of `receives` whose event the core can go on from."""
        wanted = {word for row in self._urls(carrier) for word in _query(row).get("step", ())}
        read = {event.step.value for event in self._events(CallStep)}
        read |= {event.kind.value for event in self._events(RecordingReport)}
        missing = sorted(wanted - read)
        assert not missing, f"give rows of `receives` for what comes at the URLs with step={', step='.join(missing)}"

    def test_reads_the_progress_of_a_callee(self, carrier: Carrier) -> None:
        if any("callee" in _query(url) and "step" not in _query(url) for url in self._urls(carrier)):
            events: list[CallProgress] = self._events(CallProgress)
            assert any(event.callee is not None for event in events), "give a row of `receives` for a callee's progress"

    def test_finds_the_callee_in_the_url(self, carrier: Carrier, received: Receives) -> None:
        if "callee" not in _query(received.request.url):
            pytest.skip("not about a callee")
        for event in carrier.parse(_about(received.request, 7)):
            if isinstance(event, (CallStep, CallProgress)):
                assert event.callee == 7, "which callee it is about stands in the URL, as route.callee.position"

    def test_is_told_what_was_typed(self, carrier: Carrier) -> None:
        steps: list[CallStep] = self._events(CallStep)
        for kind in (Step.PIN, Step.SCREENED):
            typed = [step.digits for step in steps if step.step is kind]
            assert not typed or any(typed), (
                f"give a row of `receives` for step={kind.value} in which something is typed"
            )

    # --- what the rows hold ----------------------------------------------------------------------

    def _turns(self, route: CallRoute) -> Iterator[InboundCall | CallStep]:
        """Yield what `route` may be the answer to: calls, or steps in their language."""
        calls: list[InboundCall] = self._events(InboundCall)
        if not self.answers:
            pytest.skip("no voice")
        if not isinstance(route, (Screen, Bridge)):
            yield from calls
        step = Step.SCREENED if isinstance(route, Bridge) else Step.SCREEN if isinstance(route, Screen) else Step.PIN
        for form in {call.form for call in calls}:
            yield CallStep(carrier_ref="c-0001", step=step, callee=3, form=form)

    def _dialled(self, carrier: Carrier, answer: WebhookResponse, form: str) -> CallStep | None:
        """Return what comes to the URL an answer names for the end of ringing, if nobody was connected."""
        url = next((url for url in _called(answer) if "dialled" in _query(url).get("step", ())), None)
        for row in self.receives if url else ():
            step = next((event for event in row.events if isinstance(event, CallStep)), None)
            fits = step and step.step is Step.DIALLED and not step.connected
            if step and fits and step.form.split()[:1] == form.split()[:1]:
                events = carrier.parse(replace(row.request, url=url or ""))
                return next((event for event in events if isinstance(event, CallStep)), None)
        return None

    def _urls(self, carrier: Carrier) -> set[str]:
        """Return every URL that answers of this carrier name."""
        return {
            url
            for route, _ in ROUTES.values()
            for turn in self._turns(route)
            for url in _called(_answer(carrier, turn, route))
        }

    def _events(self, kind: type[Any]) -> list[Any]:
        return [event for row in self.receives for event in row.events if isinstance(event, kind)]


def _answer(carrier: Carrier, call: InboundCall | CallStep, route: CallRoute) -> WebhookResponse:
    name = type(route).__name__
    try:
        with Wire():
            answer = carrier.answer_call(call, route)
    except Exception as error:
        raise AssertionError(f"answer_call does not know {name}: {type(error).__name__}: {error}") from error
    assert isinstance(answer, WebhookResponse)
    assert 200 <= answer.status < 300, f"{name} is answered {answer.status}"
    return answer


def _called(answer: WebhookResponse) -> set[str]:
    """Return the URLs of ours in an answer."""
    return {said for said in spoken(answer) if said.startswith(CALLBACK.partition("?")[0])}


def _query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query, keep_blank_values=True)


def _about(request: WebhookRequest, callee: int) -> WebhookRequest:
    """Return a webhook as if it had come to the URL of another callee."""
    split = urlsplit(request.url)
    pairs = [pair for pair in split.query.split("&") if not pair.startswith("callee=")]
    query = "&".join([*pairs, f"callee={callee}"])
    return replace(request, url=urlunsplit(split._replace(query=query)))


def assert_no_number(answer: WebhookResponse, call: InboundCall | CallStep, route: CallRoute) -> None:
    """Fail if an answer names a real number anywhere but as the one to ring."""
    body = digits(answer.body)
    caller = digits(call.caller) if isinstance(call, InboundCall) else ""
    assert len(caller) < 7 or caller not in body, "the caller's real number is in the answer"
    if not isinstance(route, Connect):
        return
    for callee in route.callees:
        times = sum(said.strip().removeprefix("+") == digits(callee.number) for said in spoken(answer))
        whole = sum(digits(callee.number) in digits(said) for said in spoken(answer))
        assert whole == times, "a callee's real number stands in more than what is rung"
