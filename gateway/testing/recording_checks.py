"""Conformance: recordings that a carrier keeps are read, and forgotten; its credentials go nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import requests

from gateway.calls import Audio, Recording, RecordingReport
from gateway.carrier import Carrier
from gateway.errors import CarrierMisconfigured, PermanentSendError, RetryableSendError, SendError
from gateway.testing.cases import Deletes, Fetches, HttpAnswer
from gateway.testing.kit import Kit, assert_outcome, assert_private, outcome_of, secrets_of
from gateway.testing.send_checks import assert_polite
from gateway.testing.wire import FAILURES, Wire

STATUSES: dict[int, type[SendError]] = {
    401: CarrierMisconfigured,
    403: CarrierMisconfigured,
    429: RetryableSendError,
    500: RetryableSendError,
    503: RetryableSendError,
}
#: Where a webhook might say that a recording is. The last two look like the carrier's to a careless reader.
ELSEWHERE = (
    "https://elsewhere.example.net/r.wav",
    "https://{host}@elsewhere.example.net/r.wav",
    "https://{host}.example.net/r",
)


class RecordingChecks(Kit):
    """`fetch_recording`, `delete_recording`."""

    def test_reads_and_forgets_what_it_reports(self, carrier: Carrier) -> None:
        reports = any(isinstance(event, RecordingReport) for row in self.receives for event in row.events)
        own = type(carrier)
        fetches = own.fetch_recording is not Carrier.fetch_recording
        deletes = own.delete_recording is not Carrier.delete_recording
        assert fetches == deletes == reports, "recordings that are reported can be fetched and deleted; others not"
        assert fetches == bool(self.fetches), "`fetches` are given if and only if there is a fetch_recording"
        assert deletes == bool(self.deletes), "`deletes` are given if and only if there is a delete_recording"
        heard = any(isinstance(row.outcome, bytes) for row in self.fetches)
        assert heard or not fetches, "give a row of `fetches` that is heard"

    def test_fetches_a_recording(self, carrier: Carrier, fetched: Fetches) -> None:
        outcome, wire = _fetch(carrier, fetched.recording, _all(fetched.answer))
        assert wire.requests or not isinstance(fetched.outcome, bytes), "nothing was asked"
        _assert_asked(wire, fetched.urls)
        assert_outcome(outcome, fetched.outcome)
        _assert_told_nobody(carrier, outcome, fetched.recording)

    def test_deletes_a_recording(self, carrier: Carrier, deleted: Deletes) -> None:
        with Wire(*_all(deleted.answer)) as wire:
            outcome = outcome_of(lambda: carrier.delete_recording(deleted.recording))
        _assert_asked(wire, deleted.urls)
        assert_outcome(outcome, deleted.outcome)
        _assert_told_nobody(carrier, outcome, deleted.recording)

    def test_minds_not_that_a_recording_is_gone(self, carrier: Carrier) -> None:
        recording = self._known()
        if self._deletes():
            with Wire(HttpAnswer(404)):
                outcome = outcome_of(lambda: carrier.delete_recording(recording))
            assert outcome is None, f"a recording that is not there is deleted, not {outcome!r:.200}"
        outcome, _ = _fetch(carrier, recording, [HttpAnswer(404)])
        assert isinstance(outcome, PermanentSendError), "a recording that is gone stays gone"

    @pytest.mark.parametrize("status", STATUSES)
    def test_knows_what_a_recordings_status_means(self, carrier: Carrier, status: int) -> None:
        recording = self._known()
        for outcome in self._both(carrier, recording, HttpAnswer(status, body=f"no {recording.url}")):
            assert isinstance(outcome, STATUSES[status]), f"{status} became {outcome!r:.200}"
            _assert_told_nobody(carrier, outcome, recording)

    @pytest.mark.parametrize("failure", FAILURES)
    def test_fails_a_recording_in_our_terms(self, carrier: Carrier, failure: str) -> None:
        recording = self._known()
        for outcome in self._both(carrier, recording, FAILURES[failure]):
            assert isinstance(outcome, RetryableSendError), f"{failure} became {outcome!r:.200}"
            _assert_told_nobody(carrier, outcome, recording)

    @pytest.mark.parametrize("where", ELSEWHERE)
    def test_gives_its_credentials_to_nobody_else(self, carrier: Carrier, where: str) -> None:
        known = self._known()
        host = known.url.partition("://")[2].partition("/")[0]
        url = where.format(host=host or "api.example.com")
        for answer in (HttpAnswer(body=b"x"), HttpAnswer(302, headers={"Location": url})):
            recording = replace(known, url=known.url if answer.status == 302 else url)
            _, wire = _fetch(carrier, recording, [answer, HttpAnswer(body=b"x")])
            for request in wire.requests:
                away = "elsewhere.example.net" in str(request.url) or f"{host}.example.net" in str(request.url)
                assert not (away and _names_a_secret(carrier, request)), "credentials went to a host a webhook named"

    def _known(self) -> Recording:
        """Return a recording that the carrier has."""
        known = next((row.recording for row in self.fetches if isinstance(row.outcome, bytes)), None)
        if known is None:
            pytest.skip("no recordings")
        return known

    def _both(self, carrier: Carrier, recording: Recording, answer: HttpAnswer | Exception) -> list[Any]:
        fetched, _ = _fetch(carrier, recording, [answer])
        with Wire(answer):
            return [fetched, *([outcome_of(lambda: carrier.delete_recording(recording))] if self._deletes() else [])]

    def _deletes(self) -> bool:
        """Return whether the carrier can delete as it is configured."""
        return any(row.outcome is None for row in self.deletes)


def _all(answer: HttpAnswer | Sequence[HttpAnswer]) -> Sequence[HttpAnswer]:
    return [answer] if isinstance(answer, HttpAnswer) else answer


def _fetch(carrier: Carrier, recording: Recording, answers: Sequence[HttpAnswer | Exception]) -> tuple[Any, Wire]:
    """Return what a recording sounds like, or why it is not to be had; and what was asked for it."""
    with Wire(*answers) as wire:
        outcome = outcome_of(_heard(lambda: carrier.fetch_recording(recording)))
    for request in wire.requests:
        assert_polite(request)
    return outcome, wire


def _heard(fetch: Callable[[], Audio]) -> Callable[[], bytes]:
    def hear() -> bytes:
        audio = fetch()
        assert isinstance(audio, Audio)
        try:
            sound = b"".join(audio.chunks)
        finally:
            audio.close()
            audio.close()  # harmless: whoever has it calls it whatever happened
        assert audio.size in (None, len(sound)), "the size is another"
        return sound

    return hear


def _assert_asked(wire: Wire, urls: Sequence[str]) -> None:
    if urls:
        assert [request.url for request in wire.requests] == list(urls)
    for request in wire.requests:
        assert_polite(request)


def _assert_told_nobody(carrier: Carrier, outcome: Any, recording: Recording) -> None:
    if isinstance(outcome, SendError):
        assert_private(outcome, [recording.url, *secrets_of(carrier.settings)])


def _names_a_secret(carrier: Carrier, request: requests.PreparedRequest) -> bool:
    given = f"{request.url} {request.headers} {request.body!r}"
    return "Authorization" in request.headers or any(secret in given for secret in secrets_of(carrier.settings))
