"""Conformance: what a carrier is told to do with a call, and what it is told inside the answer to a webhook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar
from xml.etree import ElementTree

import pytest

from gateway.calls import Callee, Connect, InboundCall, Refuse
from gateway.carrier import Carrier
from gateway.errors import SendError
from gateway.messages import Channel, InboundMessage, OutboundMessage, WebhookResponse
from gateway.testing.cases import MESSAGE, Acknowledges, Answers, HttpAnswer
from gateway.testing.kit import Kit, assert_private, digits, outcome_of, secrets_of
from gateway.testing.send_checks import assert_polite
from gateway.testing.webhook_checks import DIFFICULT_TEXT
from gateway.testing.wire import FAILURES, Wire, strings

_Event = TypeVar("_Event")

CALLEES = (
    Callee(number="+12065550161", caller_id="+12065550162"),
    Callee(number="+12065550163", caller_id="+12065550164"),
)


HANG_UPS: dict[str, HttpAnswer | Exception] = {
    **{str(status): HttpAnswer(status, body="{}") for status in (200, 401, 403, 429, 500, 503)},
    **FAILURES,
}


class CallChecks(Kit):
    """`answer_call`, `hang_up`, and `acknowledge` with replies."""

    def test_has_voice_if_and_only_if_it_answers(self, carrier: Carrier) -> None:
        voice = Channel.VOICE in carrier.channels
        assert voice == bool(self.answers), "Channel.VOICE is declared if and only if there are `answers`"
        assert voice == bool(self._received(InboundCall)), "Channel.VOICE is declared if and only if a call is received"

    def test_answers_a_call(self, carrier: Carrier, answered: Answers) -> None:
        with Wire():
            answer = carrier.answer_call(answered.call, answered.route)
        assert 200 <= answer.status < 300
        if isinstance(answered.body, str):
            assert answer.body == answered.body
        else:
            assert json.loads(answer.body) == answered.body

    @pytest.mark.parametrize("count", [1, 2])
    def test_connects_without_showing_the_caller(self, carrier: Carrier, count: int) -> None:
        for call in self._calls():
            answer = carrier.answer_call(call, Connect(callees=CALLEES[:count]))
            said = " ".join(spoken(answer))
            for callee in CALLEES[:count]:
                assert digits(callee.number) in digits(said), "a callee is not rung"
                assert digits(callee.caller_id) in digits(said), "a callee does not see the mask"
            real = digits(call.caller)
            assert len(real) < 7 or real not in digits(answer.body), "the caller's real number is in the answer"

    def test_refuses_with_the_words_given(self, carrier: Carrier) -> None:
        for call in self._calls():
            answer = carrier.answer_call(call, Refuse(words=DIFFICULT_TEXT))
            assert any(one_space(DIFFICULT_TEXT) in one_space(said) for said in spoken(answer)), "other words are said"
            real = digits(call.caller)
            assert len(real) < 7 or real not in digits(answer.body), "the caller's real number is in the answer"

    @pytest.mark.parametrize("answer", HANG_UPS.values(), ids=HANG_UPS)
    def test_hangs_up_in_our_terms(self, carrier: Carrier, answer: HttpAnswer | Exception) -> None:
        """A call that is said to be over, and rings on, is not looked at any more."""
        with Wire(answer) as wire:
            outcome = outcome_of(lambda: carrier.hang_up("c-0001"))
        for request in wire.requests:
            assert_polite(request)
        said = isinstance(answer, HttpAnswer) and answer.status < 300
        assert isinstance(outcome, (bool, SendError)), f"{outcome!r:.200} is neither whether it can nor why not"
        assert outcome is not True or (said and wire.requests), "nobody has said that the call is over"
        if isinstance(outcome, SendError):
            assert not said, f"the carrier has hung up, and it became {outcome!r:.200}"
            assert_private(outcome, secrets_of(carrier.settings))

    def test_acknowledges_with_replies_exactly(self, carrier: Carrier, acknowledged: Acknowledges) -> None:
        with Wire():
            answer = carrier.acknowledge(tuple(acknowledged.events), tuple(acknowledged.replies))
        assert answer == acknowledged.answer

    def test_an_inline_carrier_says_every_reply_in_its_answer(self, carrier: Carrier) -> None:
        if not carrier.inline:
            pytest.skip("not inline")
        replies = (replace(MESSAGE, text=DIFFICULT_TEXT), replace(MESSAGE, id="m-0002", recipient="+12065550177"))
        for event in self._received(InboundMessage):
            answer = carrier.acknowledge((event,), replies)
            assert answer == carrier.acknowledge((event,), replies), "a repeated webhook gets the same answer"
            assert 200 <= answer.status < 300
            for reply in replies:
                _assert_said(reply, list(spoken(answer)))

    def _received(self, kind: type[_Event]) -> list[_Event]:
        return [event for row in self.receives for event in row.events if isinstance(event, kind)]

    def _calls(self) -> list[InboundCall]:
        if not self.answers:
            pytest.skip("no voice")
        answered = [row.call for row in self.answers if isinstance(row.call, InboundCall)]
        return [*self._received(InboundCall), *answered]


def _assert_said(reply: OutboundMessage, said: list[str]) -> None:
    assert reply.text in said, "the text is missing from the answer, or changed"
    assert any(digits(one) == digits(reply.sender) for one in said), "the mask is missing from the answer"
    assert any(digits(one) == digits(reply.recipient) for one in said), "the recipient is missing from the answer"


def one_space(text: str) -> str:
    """Return spoken words as they sound: white space is all the same to a voice."""
    return " ".join(text.split())


def spoken(answer: WebhookResponse) -> Iterator[str]:
    """Yield every string in an answer of ours, decoded: JSON values, XML texts and attributes, or the text itself."""
    kind = answer.content_type.lower()
    if "json" in kind:
        yield from strings(_json(answer.body))
    elif "xml" in kind:
        for element in ElementTree.fromstring(answer.body.encode("utf-8")).iter():
            yield from (text for text in (element.text, element.tail, *element.attrib.values()) if text)
    else:
        yield answer.body


def _json(text: str) -> Any:
    return json.loads(text)
