"""What each of SignalWire's refusals is to us, and what of it is shown to the operator."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
import responses
from gateway_signalwire import SignalWire, errors
from gateway_signalwire.settings import SignalWireSettings

from gateway import (
    CarrierMisconfigured,
    CarrierSession,
    OutboundMessage,
    PermanentSendError,
    RecipientOptedOut,
    RetryableSendError,
    SendError,
    Throttled,
)

URL = "https://example.signalwire.com/api/laml/2010-04-01/Accounts/p-1/Messages"
MESSAGE = OutboundMessage(id="o-1", sender="+12065550199", recipient="+12065550102", text="On my way")


def refusal(**answer: Any) -> SendError:
    """Return what sending raises when this is the answer."""
    settings = SignalWireSettings(space="example", project_id="p-1", api_token="PT-made-up")  # type: ignore[arg-type]
    with responses.RequestsMock() as wire:
        wire.post(URL, **answer)
        with pytest.raises(SendError) as raised:
            SignalWire(settings, CarrierSession()).send(MESSAGE)
    assert MESSAGE.recipient.strip("+") not in f"{raised.value!r} {vars(raised.value)}"
    return raised.value


#: The table of `carriers.md` 2.6, written down once more.
OPTED_OUT = ["21610"]
PERMANENT = [
    "21211",
    "21217",
    "21601",
    "21606",
    "21614",
    "21602",
    "21603",
    "21604",
    "21612",
    "21620",
    "21623",
    "11751",
    "63019",
    "53603",
    "21617",
    "21624",
    "30004",
    "30005",
    "30006",
    "30007",
    "30010",
    "30011",
    "30012",
    "50509",
    "invalid_to_number",
    "number_blacklisted",
    "message_blocked_by_number",
    "message_blocked_by_carrier",
    "message_filtered",
    "carrier_violation",
    "body_or_media_required",
    "media_limit_exceeded",
    "media_exceeds_size_limit",
]
CONFIG = [
    "20003",
    "20010",
    "21210",
    "21212",
    "21219",
    "21701",
    "21703",
    "21705",
    "21717",
    "30002",
    "4001",
    "invalid_from_number",
    "campaign_not_active",
    "insufficient_balance_to_send_message",
]
NUMBER = ["21210", "21212", "21219", "21717", "invalid_from_number", "campaign_not_active"]
THROTTLED = [
    "20429",
    "21611",
    "30022",
    "30027",
    "35125",
    "rate_limit_exceeded",
    "message_backlog_limit_exceeded",
    "campaign_throughput_exceeded",
]
RETRYABLE = [
    "20001",
    "20504",
    "31003",
    "30001",
    "30009",
    "30003",
    "30008",
    "63011",
    "unreachable_destination_handset",
    "message_validity_period_expired_at_carrier",
    "media_connection_timeout",
]

CLASSES = {
    **dict.fromkeys(PERMANENT, PermanentSendError),
    **dict.fromkeys([*OPTED_OUT, "message_blocked_by_number"], RecipientOptedOut),
    **dict.fromkeys(CONFIG, CarrierMisconfigured),
    **dict.fromkeys(THROTTLED, Throttled),
    **dict.fromkeys(RETRYABLE, RetryableSendError),
}


@pytest.mark.parametrize("code", CLASSES)
def test_a_code_is_this_error(code: str) -> None:
    error = refusal(status=422, json={"code": code, "message": f"for {MESSAGE.recipient}"})
    assert type(error) is CLASSES[code]
    assert error.code == code
    assert error.detail == errors.meaning(code) != ""


def test_no_code_is_known_that_no_test_knows() -> None:
    known = {
        *errors.OPTED_OUT,
        *errors.PERMANENT,
        *errors.NUMBER,
        *errors.ACCOUNT,
        *errors.THROTTLED,
        *errors.RETRYABLE,
    }
    assert known == set(CLASSES)


@pytest.mark.parametrize("code", CONFIG)
def test_a_fault_of_the_number_holds_back_the_number_alone(code: str) -> None:
    error = refusal(status=400, json={"code": code})
    assert isinstance(error, CarrierMisconfigured)
    assert error.number_only == (code in NUMBER)


@pytest.mark.parametrize(
    "body",
    [
        {"code": 21606},
        {"code": "21606", "message": "…", "more_info": "https://…", "status": 422},
        {"errors": [{"type": "validation_error", "code": "21606", "attribute": "to"}]},
        {"errors": [{"detail": "…", "status": "422", "title": "…", "code": 21606}]},
        {"errors": ["odd", {}, {"code": None}, {"code": 21606}]},
    ],
)
def test_a_code_is_found_in_a_body_of_any_shape(body: Any) -> None:
    assert refusal(status=422, json=body).code == "21606"


@pytest.mark.parametrize(
    "body", ['{"error": "Bad Request"}', "<html>", "", "[]", "null", '{"errors": "x"}', "[" * 90_000]
)
def test_a_body_without_a_code_leaves_it_to_the_status(body: str) -> None:
    assert (type(refusal(status=400, body=body)), refusal(status=400, body=body).code) == (PermanentSendError, "400")
    assert type(refusal(status=401, body=body)) is CarrierMisconfigured
    assert type(refusal(status=500, body=body)) is RetryableSendError
    assert type(refusal(status=429, body=body)) is Throttled


def test_an_unknown_code_is_permanent_and_keeps_its_number() -> None:
    error = refusal(status=422, json={"code": 29999})
    assert (type(error), error.code) == (PermanentSendError, "29999")


def test_a_server_that_failed_decided_nothing() -> None:
    assert type(refusal(status=500, json={"code": 21211})) is RetryableSendError
    assert type(refusal(status=503, json={"code": 21610})) is RetryableSendError


def test_a_429_is_a_pause_whatever_its_code() -> None:
    error = refusal(status=429, json={"code": 21211}, headers={"Retry-After": "9"})
    assert isinstance(error, Throttled)
    assert error.retry_after == 9.0


@pytest.mark.parametrize(("code", "seconds"), [("20429", 1.0), ("21611", 10.0), ("30022", 2.0), ("35125", 3600.0)])
def test_a_pause_has_a_length(code: str, seconds: float) -> None:
    for headers, expected in (({}, seconds), ({"Retry-After": "7"}, 7.0)):
        error = refusal(status=422, json={"code": code}, headers=headers)
        assert isinstance(error, Throttled)
        assert error.retry_after == expected


def test_t_mobiles_daily_limit_lasts_until_midnight_on_the_pacific_coast() -> None:
    error = refusal(status=422, json={"code": 30027})
    assert isinstance(error, Throttled)
    assert error.retry_after == pytest.approx(errors.until_pacific_midnight(datetime.now(timezone.utc)), abs=5)


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        pytest.param("2026-01-15T07:59:59+00:00", 1, id="winter, a second before"),
        pytest.param("2026-01-15T08:00:00+00:00", 86_400, id="winter, at midnight"),
        pytest.param("2026-07-15T06:30:00+00:00", 1800, id="summer"),
        pytest.param("2026-07-15T09:30:00+03:00", 1800, id="another zone"),
        pytest.param("2026-03-08T08:00:00+00:00", 23 * 3600, id="the day the clocks go forward"),
        pytest.param("2026-11-01T07:00:00+00:00", 25 * 3600, id="the day they go back"),
    ],
)
def test_midnight_on_the_pacific_coast_is_this_far(now: str, seconds: int) -> None:
    assert errors.until_pacific_midnight(datetime.fromisoformat(now)) == seconds


def test_midnight_is_found_without_a_time_zone_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise errors.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(errors, "ZoneInfo", missing)
    winter = datetime(2026, 1, 15, 7, tzinfo=timezone.utc)
    assert errors.until_pacific_midnight(winter) == 3600
