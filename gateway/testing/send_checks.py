"""Conformance: what a carrier puts on the wire, and what it makes of the answers and of their absence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import requests

from gateway.carrier import Carrier
from gateway.errors import (
    CarrierMisconfigured,
    PermanentSendError,
    RetryableSendError,
    SendError,
    Throttled,
    UncertainSendError,
)
from gateway.messages import Channel, Submission, Weight
from gateway.testing import garbage
from gateway.testing.cases import HttpAnswer, Sends
from gateway.testing.kit import Kit, assert_outcome, assert_told_nobody, echo, outcome_of, secrets_of
from gateway.testing.webhook_checks import DIFFICULT_TEXT
from gateway.testing.wire import NEVER_LEFT, NO_ANSWER, Wire, decoded, strings

#: What each status means at every carrier, where its body says no more.
STATUSES: dict[int, type[SendError]] = {
    400: PermanentSendError,
    401: CarrierMisconfigured,
    403: CarrierMisconfigured,
    404: PermanentSendError,
    429: Throttled,
    500: RetryableSendError,
    503: RetryableSendError,
}
RETRY_AFTER = 7.0
LONGEST_TIMEOUT = 60.0
UNREADABLE = [
    HttpAnswer(body=body, headers={"Content-Type": kind})
    for kind in ("application/json", "text/html")
    for body in (b"", b"<html>OK</html>", b"[]", b"null", b"7", b'"x"', b"{}", b"{", b"\xff\xfe", b"[" * 100_000)
]


class SendChecks(Kit):
    """`send`, `weigh`, `rate`, `check`."""

    def test_sends_messages(self, sending: Carrier) -> None:
        assert self.send_url, "say what `send` asks for: send_url"
        assert any(isinstance(row.outcome, Submission) for row in self.sends), "give a row of `sends` that is accepted"

    def test_puts_a_message_on_the_wire(self, sending: Carrier, sent: Sends) -> None:
        with Wire(sent.answer) as wire:
            outcome = outcome_of(lambda: sending.send(sent.message))
        request = self._only(wire)
        assert decoded(request) == sent.wire
        assert {name: request.headers.get(name) for name in sent.headers} == dict(sent.headers)
        assert_outcome(outcome, sent.outcome)
        assert_told_nobody(sending, outcome, sent.message)

    def test_keeps_a_difficult_text_on_the_wire(self, sending: Carrier) -> None:
        with Wire(self._accepted().answer) as wire:
            sending.send(replace(self._accepted().message, text=DIFFICULT_TEXT))
        assert DIFFICULT_TEXT in list(strings(decoded(self._only(wire)))), "the text was changed on its way out"

    @pytest.mark.parametrize("status", STATUSES)
    def test_knows_what_a_status_means(self, sending: Carrier, status: int) -> None:
        for body in echo(self.message(), secrets_of(sending.settings)):
            headers = {**body.headers, "Retry-After": f"{RETRY_AFTER:.0f}"}
            with Wire(replace(body, status=status, headers=headers)) as wire:
                outcome = outcome_of(lambda: sending.send(self.message()))
            self._only(wire)
            assert isinstance(outcome, STATUSES[status]), f"{status} became {outcome!r:.200}"
            assert not isinstance(outcome, UncertainSendError), "an answer came: nothing is uncertain"
            assert getattr(outcome, "retry_after", RETRY_AFTER) == RETRY_AFTER, "Retry-After counts"
            assert_told_nobody(sending, outcome, self.message())

    def test_follows_no_redirect(self, sending: Carrier) -> None:
        for status in (301, 302, 307):
            with Wire(HttpAnswer(status, headers={"Location": "https://elsewhere.example.net/"})) as wire:
                outcome = outcome_of(lambda: sending.send(self.message()))
            self._only(wire)
            assert isinstance(outcome, SendError), "a redirect is no success: texts go to the carrier or nowhere"

    @pytest.mark.parametrize("failure", NEVER_LEFT)
    def test_tries_again_later_what_never_left(self, sending: Carrier, failure: str) -> None:
        outcome = self._failing(sending, NEVER_LEFT[failure])
        assert isinstance(outcome, RetryableSendError)
        assert not isinstance(outcome, (UncertainSendError, Throttled)), "it never left: nothing is uncertain"

    @pytest.mark.parametrize("failure", NO_ANSWER)
    def test_is_uncertain_about_what_was_never_answered(self, sending: Carrier, failure: str) -> None:
        assert isinstance(self._failing(sending, NO_ANSWER[failure]), UncertainSendError), "the carrier may have it"

    @pytest.mark.parametrize("status", [200, 201, 202])
    def test_never_fails_what_was_accepted(self, sending: Carrier, status: int) -> None:
        for body in UNREADABLE:
            with Wire(replace(body, status=status)) as wire:
                outcome = outcome_of(lambda: sending.send(self.message()))
            self._only(wire)
            assert outcome == Submission(carrier_ref=""), f"{status} with {body.body[:20]!r}: accepted, its id unknown"

    def test_never_fails_what_was_accepted_in_a_form_unknown(self, sending: Carrier) -> None:
        for row in self.sends:
            if isinstance(row.outcome, Submission) and row.answer.json is not None:
                for name, changed in garbage.changed_answers(row.answer.json):
                    with Wire(replace(row.answer, json=changed)):
                        outcome = outcome_of(lambda row=row: sending.send(row.message))  # type: ignore[misc]
                    ref = outcome.carrier_ref if isinstance(outcome, Submission) else None
                    assert isinstance(ref, str), f"accepted, but {name}: {outcome!r:.200}"

    def test_sends_each_kind_it_declares(self, sending: Carrier) -> None:
        media = any(row.message.media for row in self.sends if isinstance(row.outcome, Submission))
        assert media == (Channel.MMS in sending.channels), "Channel.MMS is declared if and only if a row sends media"

    def test_an_inline_carrier_refuses_to_send(self, carrier: Carrier) -> None:
        if not carrier.inline:
            pytest.skip("not inline")
        with Wire():
            assert isinstance(outcome_of(lambda: carrier.send(self.message())), SendError)

    def test_weighs_every_message(self, carrier: Carrier) -> None:
        plain = self.message()
        longer = [replace(plain, text="x" * length, media=()) for length in (0, 1, 160, 161, 1600)]
        weights = [carrier.weigh(one) for one in longer]
        others = [replace(plain, text=DIFFICULT_TEXT), replace(plain, media=("https://example.com/a.jpg",))]
        for weight in (*weights, *map(carrier.weigh, others)):
            assert isinstance(weight, Weight)
            assert all(math.isfinite(one) and one > 0 for one in (weight.number, weight.account))
        assert [one.number for one in weights] == sorted(one.number for one in weights), "a longer text weighs no less"

    def test_has_a_rate(self, carrier: Carrier) -> None:
        for rate in (carrier.rate.per_number, carrier.rate.per_account):
            assert rate is None or (math.isfinite(rate) and rate > 0)

    def test_checks_its_credentials(self, carrier: Carrier) -> None:
        with Wire(HttpAnswer(401)) as wire:
            outcome = outcome_of(carrier.check)
        if not wire.requests:
            assert outcome is False, "nothing was asked, so nothing is proved: return False"
            return
        assert isinstance(outcome, CarrierMisconfigured)
        for failure in (*NEVER_LEFT.values(), *NO_ANSWER.values()):
            with Wire(failure):
                assert isinstance(outcome_of(carrier.check), SendError)

    def _failing(self, carrier: Carrier, failure: Exception) -> Any:
        with Wire(failure) as wire:
            outcome = outcome_of(lambda: carrier.send(self.message()))
        self._only(wire)
        assert_told_nobody(carrier, outcome, self.message())
        return outcome

    def _accepted(self) -> Sends:
        return next(row for row in self.sends if isinstance(row.outcome, Submission) and not row.message.media)

    def _only(self, wire: Wire) -> requests.PreparedRequest:
        """Return the one request there was, made as every request must be."""
        assert len(wire.requests) == 1, f"one attempt is one request, not {len(wire.requests)}: the gateway retries"
        request = wire.requests[0]
        assert str(request.url).partition("?")[0] == self.send_url
        assert_polite(request)
        return request


def assert_polite(request: requests.PreparedRequest) -> None:
    """Fail unless a request was made with a timeout and with the carrier's certificate checked."""
    how = getattr(request, "req_kwargs", {})
    timeout = how.get("timeout")
    limits: Sequence[Any] = timeout if isinstance(timeout, tuple) else (timeout,)
    assert all(limit is not None and limit <= LONGEST_TIMEOUT for limit in limits), "use self.http: it has timeouts"
    assert how.get("verify") is not False, "the carrier's certificate is always checked"
