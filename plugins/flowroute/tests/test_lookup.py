"""Asking Flowroute whether it has a message: what is the message, and what is no proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
import responses
from gateway_flowroute import Flowroute, FlowrouteSettings

from gateway import UNSUPPORTED, CarrierSession, OutboundMessage, RetryableSendError, Submission

URL = "https://api.flowroute.com/v2.2/messages"
MESSAGE = OutboundMessage(id="m1", sender="+12065550199", recipient="+12065550102", text="On my way")
NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


def flowroute() -> Flowroute:
    settings = FlowrouteSettings(access_key="made-up-access-key", secret_key="made-up-secret-key")
    return Flowroute(settings, CarrierSession())


def record(ref: Any = "mdr2-1", **changes: Any) -> dict[str, Any]:
    attributes = {
        "from": "12065550199",
        "to": "12065550102",
        "body": "On my way",
        "direction": "outbound",
        "is_mms": False,
        "timestamp": "2026-01-02T12:00:01Z",
    }
    return {"type": "message", "id": ref, "attributes": attributes | changes}


def look(*pages: Any, message: OutboundMessage = MESSAGE, tried: datetime | None = NOON) -> Any:
    with responses.RequestsMock() as carrier:
        for page in pages:
            carrier.get(URL, json=page)
        return flowroute().lookup(replace(message, first_tried_at=tried))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param({}, True, id="the-same"),
        pytest.param({"from": 12065550199, "to": "+12065550102"}, True, id="numbers-in-another-form"),
        pytest.param({"timestamp": "2026-01-02T11:59:45Z"}, True, id="their-clock-is-slow"),
        pytest.param({"timestamp": None}, True, id="no-time"),
        pytest.param({"is_mms": "false"}, True, id="mms-as-a-word"),
        pytest.param({"timestamp": "2026-01-02T11:59:00Z"}, False, id="before-it-was-tried"),
        pytest.param({"direction": "inbound"}, False, id="inbound"),
        pytest.param({"direction": None}, False, id="no-direction"),
        pytest.param({"to": "12065550103"}, False, id="to-another"),
        pytest.param({"from": "12065550198"}, False, id="from-another"),
        pytest.param({"body": "On my way!"}, False, id="another-text"),
        pytest.param({"body": None}, False, id="no-text"),
        pytest.param({"is_mms": True}, False, id="a-picture"),
    ],
)
def test_a_record_is_the_message_if_all_of_it_fits(changes: dict[str, Any], found: bool) -> None:
    assert look({"data": [record(**changes)]}) == (Submission(carrier_ref="mdr2-1") if found else None)


def test_a_text_sent_with_plain_quotes_is_found() -> None:
    message = replace(MESSAGE, text="“It’s” here")
    assert look({"data": [record(body='"It\'s" here')]}, message=message) == Submission(carrier_ref="mdr2-1")


def test_a_picture_without_words_is_found() -> None:
    picture = replace(MESSAGE, text="", media=("https://example.com/a.jpg",))
    page = {"data": [record("mdr2-0", body=""), record(body=None, is_mms=True)]}
    assert look(page, message=picture) == Submission(carrier_ref="mdr2-1")


@pytest.mark.parametrize("order", [lambda rows: rows, lambda rows: rows[::-1]], ids=["oldest-first", "newest-first"])
def test_the_oldest_is_taken_in_whatever_order_they_come(order: Callable[[Any], Any]) -> None:
    rows = [record(f"mdr2-{n}", timestamp=f"2026-01-02T12:00:0{n}Z") for n in (1, 2, 3)]
    assert look({"data": order(rows)}) == Submission(carrier_ref="mdr2-1")


def test_every_page_is_read() -> None:
    others = [record(f"mdr2-x{n}", body="Other") for n in range(250)]
    assert look({"data": others}, {"data": [record()]}) == Submission(carrier_ref="mdr2-1")


def test_a_list_without_end_is_no_proof() -> None:
    page = {"data": [record("mdr2-x", body="Other")], "links": {"next": f"{URL}?offset=1"}}
    assert look(*[page] * 10) is UNSUPPORTED


def test_a_message_that_was_never_tried_cannot_be_looked_for() -> None:
    assert look(tried=None) is UNSUPPORTED


@pytest.mark.parametrize("page", [{}, {"data": None}, {"data": {}}, [], "x"])
def test_a_list_that_cannot_be_read_is_no_proof(page: Any) -> None:
    with pytest.raises(RetryableSendError):
        look(page)


def test_a_check_asks_for_one_record() -> None:
    with responses.RequestsMock() as carrier:
        carrier.get(URL, json={"data": []})
        assert flowroute().check() is True
        assert carrier.calls[0].request.url == f"{URL}?start_date=2015-01-01T00%3A00%3A00Z&limit=1&offset=0"
