"""What Flowroute posts: every form of it that was seen, and what is none."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from gateway_flowroute import Flowroute, FlowrouteSettings
from gateway_flowroute.webhooks import moment

from gateway import CarrierSession, DeliveryReceipt, DeliveryStatus, InboundMessage, WebhookMalformed, WebhookRequest

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


def parse(payload: Any) -> Any:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    settings = FlowrouteSettings(access_key="made-up-access-key", secret_key="made-up-secret-key")
    return Flowroute(settings, CarrierSession()).parse(WebhookRequest(url="https://gw.example.com/", body=body))


def flat(**changes: Any) -> dict[str, Any]:
    return {"to": "12065550199", "from": "12065550101", "body": "Hi", "id": "mdr2-1"} | changes


def receipt(**changes: Any) -> DeliveryReceipt:
    attributes = {"status": "message buffered", "status_code": 1003} | changes
    [event] = parse({"data": {"type": "delivery_receipt", "id": "mdr2-1", "attributes": attributes}})
    assert isinstance(event, DeliveryReceipt)
    return event


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"from": "+12065550101", "to": "+12065550199"}, {}, id="e164"),
        pytest.param({"from": 12065550101, "to": 12065550199}, {}, id="numbers-as-numbers"),
        pytest.param({"from": " 12065550101 "}, {}, id="white-space"),
        pytest.param({"from": "55512"}, {"sender": "55512"}, id="short-code"),
        pytest.param({"from": "ACME"}, {"sender": "ACME"}, id="name"),
        pytest.param({"from": "447700900123"}, {"sender": "+447700900123"}, id="abroad"),
        pytest.param({"body": " “Hi”\n"}, {"text": " “Hi”\n"}, id="text-unchanged"),
        pytest.param({"body": ""}, {"text": ""}, id="blank"),
        pytest.param({"body": 42}, {"text": "42"}, id="text-as-a-number"),
        pytest.param({"body": "a\x00b\ud800"}, {"text": "ab?"}, id="text-mended"),
        pytest.param({"id": "mdr1-7"}, {"carrier_ref": "mdr1-7"}, id="old-id"),
        pytest.param({"id": None}, {"carrier_ref": ""}, id="id-null"),
        pytest.param({"id": 7}, {"carrier_ref": "7"}, id="id-as-a-number"),
        pytest.param({"unheard": {"of": 1}}, {}, id="unknown-key"),
    ],
)
def test_a_flat_text_is_read(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    plain = InboundMessage(carrier_ref="mdr2-1", sender="+12065550101", recipient="+12065550199", text="Hi")
    assert parse(flat(**changes)) == [replace(plain, **expected)]


def test_a_flat_text_needs_no_id() -> None:
    payload = flat()
    del payload["id"]
    assert parse(payload)[0].carrier_ref == ""


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(flat(to="+12065550199+12065550177"), id="group-message"),
        pytest.param(flat(to="1206555019912065550177"), id="group-message-without-plus"),
        pytest.param(flat(to="12065550199,12065550177"), id="group-message-with-commas"),
        pytest.param(flat(to=["12065550199", "12065550177"]), id="group-message-as-a-list"),
        pytest.param(flat(to=None), id="to-null"),
        pytest.param(flat(to=True), id="to-true"),
        pytest.param(flat(to=12065550199.0), id="to-a-fraction"),
        pytest.param(flat(**{"from": None}), id="from-null"),
        pytest.param(flat(**{"from": " "}), id="from-blank"),
        pytest.param(flat(**{"from": True}), id="from-true"),
        pytest.param(flat(**{"from": ["12065550101"]}), id="from-a-list"),
        pytest.param(flat(body=None), id="no-text-and-no-picture"),
        pytest.param(flat(body=["Hi"]), id="text-a-list"),
        pytest.param({"data": None}, id="data-null"),
        pytest.param({"data": [flat()]}, id="data-a-list"),
        pytest.param({"data": {"attributes": []}}, id="attributes-a-list"),
        pytest.param({"data": {"type": "delivery_receipt", "attributes": {}}}, id="receipt-without-id"),
        pytest.param({}, id="empty"),
        pytest.param([], id="list"),
        pytest.param(b"{", id="no-json"),
    ],
)
def test_what_cannot_be_read_is_malformed_and_not_repeated(payload: Any) -> None:
    with pytest.raises(WebhookMalformed) as raised:
        parse(payload)
    assert "2065550" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_text_of_our_own_is_not_taken_for_somebody_elses() -> None:
    assert parse({"data": {"type": "message", "attributes": flat(direction="outbound")}}) == []


@pytest.mark.parametrize(
    ("included", "media"),
    [
        pytest.param([{"type": "media", "attributes": {"url": "https://m/a?b=%2F"}}], ("https://m/a?b=%2F",), id="one"),
        pytest.param([{"type": "other", "attributes": {"url": "https://m/a"}}], (), id="another-type"),
        pytest.param([{"type": "media"}, {"type": "media", "attributes": {"url": None}}, 7], (), id="without-url"),
        pytest.param(None, (), id="null"),
        pytest.param({"type": "media"}, (), id="no-list"),
    ],
)
def test_pictures_come_from_what_is_included(included: Any, media: tuple[str, ...]) -> None:
    [event] = parse({"included": included, "data": {"type": "message", "attributes": flat(is_mms=True)}})
    assert (event.media, event.text) == (media, "Hi")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("smsc submit", DeliveryStatus.SENT),
        ("message buffered", DeliveryStatus.SENT),
        ("delivery success", DeliveryStatus.DELIVERED),
        ("delivery failure", DeliveryStatus.UNDELIVERED),
        ("smsc reject", DeliveryStatus.UNDELIVERED),
        ("delivered", DeliveryStatus.DELIVERED),
        ("Delivered ", DeliveryStatus.DELIVERED),
        ("failed", DeliveryStatus.UNDELIVERED),
        ("message sent", DeliveryStatus.SENT),
        ("pending", DeliveryStatus.SENT),
        ("lost in space", DeliveryStatus.UNKNOWN),
        ("", DeliveryStatus.UNKNOWN),
        (None, DeliveryStatus.UNKNOWN),
        (7, DeliveryStatus.UNKNOWN),
    ],
)
def test_a_receipts_word_has_a_meaning_or_is_kept_raw(word: Any, status: DeliveryStatus) -> None:
    event = receipt(status=word)
    assert event.status is status
    assert event.detail == (word.strip() if isinstance(word, str) else "")


@pytest.mark.parametrize(
    ("code", "expected"), [(1003, "1003"), ("1003", "1003"), (None, ""), (True, ""), (1.5, ""), ([], "")]
)
def test_a_receipts_code_is_text_a_number_or_nothing(code: Any, expected: str) -> None:
    assert receipt(status_code=code).code == expected


@pytest.mark.parametrize("code", [1110, "1110"])
def test_1110_in_a_receipt_is_an_opt_out(code: Any) -> None:
    event = receipt(status_code=code, status="message buffered")
    assert event.opted_out
    assert event.status is DeliveryStatus.UNDELIVERED


def test_a_receipt_repeats_no_number() -> None:
    assert receipt(status_code_description="to 12065550102").detail == "message buffered: to •••"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T12:00:00Z", NOON),
        ("2026-01-02T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-01-02T12:00:00.93Z", NOON + timedelta(milliseconds=930)),
        ("2026-01-02T12:00:00.123456789Z", NOON + timedelta(microseconds=123_456)),
        ("2026-01-02T12:00:00+00:00", NOON),
        ("2026-01-02T04:00:00-0800", NOON),
        ("2026-01-02 12:00:00", NOON),
        ("2026-13-02T12:00:00Z", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("2026-01-02T12:00:00+99:99", None),
        ("٢٠٢٦-01-02T12:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1767355200, None),
    ],
)
def test_times_are_read_in_every_form_seen(text: Any, expected: datetime | None) -> None:
    assert moment(text) == expected
