"""Conformance: asking the carrier whether it has a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.carrier import Carrier
from gateway.errors import SendError
from gateway.messages import UNSUPPORTED, OutboundMessage, Submission
from gateway.testing import garbage
from gateway.testing.cases import HttpAnswer, Looks
from gateway.testing.kit import Kit, assert_outcome, assert_told_nobody, echo, outcome_of, secrets_of
from gateway.testing.send_checks import STATUSES, assert_polite
from gateway.testing.wire import FAILURES, Wire


class LookupChecks(Kit):
    """`lookup`."""

    def test_looks_up_or_says_that_it_cannot(self, sending: Carrier) -> None:
        if self.lookups:
            found = any(isinstance(row.outcome, Submission) for row in self.lookups)
            assert found, "give a row of `lookups` that finds its message"
            assert any(row.outcome is None for row in self.lookups), "give a row of `lookups` that finds nothing"
            return
        with Wire():
            assert sending.lookup(self.message()) is UNSUPPORTED, "a carrier with `lookup` gives `lookups`"

    def test_looks_a_message_up(self, sending: Carrier, looked: Looks) -> None:
        outcome, wire = self._look(sending, looked, looked.message)
        assert outcome is not UNSUPPORTED
        assert wire.requests, "nothing was asked"
        if looked.urls:
            assert [request.url for request in wire.requests] == list(looked.urls)
        for request in wire.requests:
            assert_polite(request)
        assert_outcome(outcome, looked.outcome)
        assert_told_nobody(sending, outcome, looked.message)

    def test_skips_what_belongs_to_another_message(self, sending: Carrier, looked: Looks) -> None:
        ref = self._ref(looked)
        taken = replace(looked.message, taken_refs=looked.message.taken_refs | {ref})
        outcome, _ = self._look(sending, looked, taken)
        assert outcome != Submission(carrier_ref=ref), "its reference is in taken_refs"
        assert outcome is None or isinstance(outcome, Submission)

    def test_skips_other_words(self, sending: Carrier, looked: Looks) -> None:
        self._ref(looked)
        outcome, _ = self._look(sending, looked, replace(looked.message, text=f"{looked.message.text}, or not"))
        assert outcome is None, "no record has this text"

    @pytest.mark.parametrize("failure", FAILURES)
    def test_never_denies_what_it_could_not_ask(self, sending: Carrier, failure: str) -> None:
        self._needs_lookup()
        with Wire(FAILURES[failure]):
            outcome = outcome_of(lambda: sending.lookup(self._message()))
        self._assert_not_asked(sending, outcome)

    @pytest.mark.parametrize("status", STATUSES)
    def test_never_denies_what_was_not_answered_with_success(self, sending: Carrier, status: int) -> None:
        self._needs_lookup()
        for body in echo(self._message(), secrets_of(sending.settings)):
            with Wire(replace(body, status=status)):
                outcome = outcome_of(lambda: sending.lookup(self._message()))
            self._assert_not_asked(sending, outcome)
            if status != 404:
                assert isinstance(outcome, STATUSES[status])

    def test_never_denies_what_it_cannot_read(self, sending: Carrier) -> None:
        self._needs_lookup()
        for body in (b"", b"<html>", b"{", b"\xff\xfe", b"[" * 100_000):
            with Wire(HttpAnswer(body=body)):
                outcome = outcome_of(lambda: sending.lookup(self._message()))
            assert isinstance(outcome, SendError), f"{body[:20]!r} does not say that the carrier has no such message"

    def test_survives_records_of_unknown_form(self, sending: Carrier) -> None:
        self._needs_lookup()
        looked = next(row for row in self.lookups if isinstance(row.outcome, Submission))
        answers = [looked.answer] if isinstance(looked.answer, HttpAnswer) else list(looked.answer)
        for name, changed in garbage.changed_answers(answers[0].json):
            answer = [replace(answers[0], json=changed), *answers[1:]]
            outcome, _ = self._look(sending, replace(looked, answer=answer), looked.message)
            fits = outcome is None or isinstance(outcome, (SendError, Submission))
            assert fits, f"{name}: {outcome!r}"
            assert not isinstance(outcome, Submission) or isinstance(outcome.carrier_ref, str), name

    def _look(self, carrier: Carrier, looked: Looks, message: OutboundMessage) -> tuple[Any, Wire]:
        answers: Sequence[HttpAnswer] = [looked.answer] if isinstance(looked.answer, HttpAnswer) else looked.answer
        with Wire(*answers) as wire:
            outcome = outcome_of(lambda: carrier.lookup(message))
        return outcome, wire

    def _ref(self, looked: Looks) -> str:
        if not isinstance(looked.outcome, Submission):
            pytest.skip("nothing is found in this row")
        return looked.outcome.carrier_ref

    def _message(self) -> OutboundMessage:
        return self.lookups[0].message

    def _needs_lookup(self) -> None:
        if not self.lookups:
            pytest.skip("no lookup")

    def _assert_not_asked(self, carrier: Carrier, outcome: Any) -> None:
        assert isinstance(outcome, SendError), f"{outcome!r} says that the carrier was asked: it was not"
        assert_told_nobody(carrier, outcome, self._message())
