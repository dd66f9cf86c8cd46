"""After an uncertain send: does SignalWire have the text? Never another one's answer, never a text more or less."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from gateway_signalwire import SignalWire
from gateway_signalwire.api import MOST_PAGES, PAGE_SIZE, SKEW
from gateway_signalwire.settings import SignalWireSettings

from gateway import CarrierMisconfigured, CarrierSession, OutboundMessage, RetryableSendError, SendError, Submission

URL = "https://example.signalwire.com/api/laml/2010-04-01/Accounts/p-1/Messages"
TRIED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
MESSAGE = OutboundMessage(
    id="o-1", sender="+12065550199", recipient="+12065550102", text="On my way", first_tried_at=TRIED
)
M_1 = Submission(carrier_ref="m-1")


def carrier() -> SignalWire:
    return SignalWire(
        SignalWireSettings(space="example", project_id="p-1", api_token="PT-made-up"),  # type: ignore[arg-type]
        CarrierSession(),
    )


def record(sid: str = "m-1", seconds: float = 1, **changed: Any) -> dict[str, Any]:
    """Return a message's record, made so many seconds after the first attempt."""
    return {
        "sid": sid,
        "from": MESSAGE.sender,
        "to": MESSAGE.recipient,
        "body": MESSAGE.text,
        "status": "queued",
        "direction": "outbound-api",
        "num_media": 0,
        "date_created": format_datetime(TRIED + timedelta(seconds=seconds)),
        "date_sent": None,
        **changed,
    }


def lookup(*pages: Any, message: OutboundMessage = MESSAGE) -> tuple[Submission | None, list[str]]:
    """Return what was found in `pages` (lists of records, or whole bodies), and the URLs that were asked for."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        for index, page in enumerate(pages):
            following = f"/api/laml/2010-04-01/Accounts/p-1/Messages?Page={index + 1}"
            last = index + 1 == len(pages)
            body = {"messages": page, "next_page_uri": None if last else following} if isinstance(page, list) else page
            wire.get(URL, json=body)
        found = carrier().lookup(message)
        return found, [str(call.request.url) for call in wire.calls]


def test_the_list_is_asked_for_by_both_numbers_and_not_by_date() -> None:
    """A text in SignalWire's queue has no date of sending: asked for by it, it would be missed and sent twice."""
    found, [url] = lookup([record()])
    assert found == M_1
    assert parse_qs(urlsplit(url).query) == {
        "From": [MESSAGE.sender],
        "To": [MESSAGE.recipient],
        "PageSize": [str(PAGE_SIZE)],
    }


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"direction": "outbound-reply"}, id="sent as a reply"),
        pytest.param({"status": "failed", "error_code": 30003}, id="failed since"),
        pytest.param({"from": "12065550199", "to": "12065550102"}, id="numbers without +"),
        pytest.param({"num_media": "0"}, id="a number as a text"),
        pytest.param({"num_media": None}, id="no count of media"),
        pytest.param({"body": "On my way\r\n"}, id="white space at the end"),
        pytest.param({"date_created": "Fri, 02 Jan 2026 04:04:05 +0100"}, id="another zone"),
        pytest.param({"date_created": "Fri, 02 Jan 2026 03:04:05 -0000"}, id="a zone nobody names"),
    ],
)
def test_a_record_that_is_this_text_is_found(changed: dict[str, Any]) -> None:
    assert lookup([record(**changed)])[0] == M_1


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"direction": "inbound"}, id="a text to us"),
        pytest.param({"direction": None}, id="no direction"),
        pytest.param({"from": "+12065550198"}, id="from another number"),
        pytest.param({"to": "+12065550103"}, id="to somebody else"),
        pytest.param({"body": "On my way!"}, id="other words"),
        pytest.param({"body": "on my way"}, id="other letters"),
        pytest.param({"body": None}, id="no words"),
        pytest.param({"num_media": 1}, id="with media"),
        pytest.param({"sid": ""}, id="without an id"),
        pytest.param({"sid": None}, id="id null"),
        pytest.param({"date_created": None}, id="without a date"),
        pytest.param({"date_created": "yesterday"}, id="a date that is none"),
        pytest.param({"seconds": -SKEW.total_seconds() - 1}, id="from before"),
    ],
)
def test_a_record_that_is_not_this_text_is_not_taken_for_it(changed: dict[str, Any]) -> None:
    assert lookup([record(**changed)])[0] is None


def test_clocks_may_differ_by_minutes() -> None:
    assert lookup([record(seconds=-SKEW.total_seconds())])[0] == M_1


def test_of_several_the_oldest_is_taken() -> None:
    assert lookup([record("m-3", 30), record("m-1", 1), record("m-2", 20)])[0] == M_1
    assert lookup([record("m-3", 30), record("m-2", 20)], [record("m-1", 1)])[0] == M_1


def test_what_belongs_to_another_text_is_skipped() -> None:
    message = replace(MESSAGE, taken_refs=frozenset({"m-1", "m-9"}))
    assert lookup([record("m-2", 20), record("m-1", 1)], message=message)[0] == Submission(carrier_ref="m-2")
    assert lookup([record("m-1", 1)], message=message)[0] is None


def test_a_text_with_media_is_told_from_one_without() -> None:
    message = replace(MESSAGE, media=("https://b.example/1",))
    assert lookup([record("m-2", num_media=0), record("m-1", num_media=1)], message=message)[0] == M_1


def test_without_a_first_attempt_every_record_counts() -> None:
    assert lookup([record(seconds=-1e7)], message=replace(MESSAGE, first_tried_at=None))[0] == M_1


def test_every_page_is_read_that_may_hold_it() -> None:
    found, urls = lookup([record("m-8", 50, body="Later")], [], [record("m-1")])
    assert found == M_1
    assert [url.rpartition("?")[2] for url in urls[1:]] == ["Page=1", "Page=2"]


def test_pages_from_before_the_first_attempt_are_left() -> None:
    found, urls = lookup([record("m-9", 9, body="Later"), record("m-0", -9999)], [record("m-1")])
    assert found is None
    assert len(urls) == 1


def test_a_list_in_the_other_order_is_read_to_its_end() -> None:
    found, urls = lookup([record("m-0", -99999), record("m-00", -9999)], [record("m-1")])
    assert found == M_1
    assert len(urls) == 2


def test_a_list_without_an_end_is_left_at_last() -> None:
    endless = {"messages": [record("m-9", 9, body="Later")], "next_page_uri": "/api?Page=1"}
    with responses.RequestsMock() as wire:
        wire.get(URL, json=endless)
        wire.get("https://example.signalwire.com/api", json=endless)
        assert carrier().lookup(MESSAGE) is None
        assert len(wire.calls) == MOST_PAGES


@pytest.mark.parametrize(
    "following",
    ["https://elsewhere.example.net/list", "//elsewhere.example.net/list", "http://example.signalwire.com/"],
)
def test_our_credentials_go_to_no_other_host(following: str) -> None:
    with pytest.raises(RetryableSendError, match="another host"):
        lookup({"messages": [], "next_page_uri": following})


@pytest.mark.parametrize(
    "body", [{}, [], None, "x", {"messages": None}, {"messages": {}}, {"messages": [], "next_page_uri": 7}], ids=str
)
def test_what_cannot_be_read_does_not_say_that_it_is_not_there(body: Any) -> None:
    with responses.RequestsMock() as wire:
        wire.get(URL, json=body)
        with pytest.raises(RetryableSendError):
            carrier().lookup(MESSAGE)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_a_refusal_does_not_say_that_it_is_not_there(status: int) -> None:
    with responses.RequestsMock() as wire:
        wire.get(URL, status=status)
        with pytest.raises(SendError):
            carrier().lookup(MESSAGE)


# --- check --------------------------------------------------------------------------------------


def test_the_credentials_are_proved_by_listing_one_message() -> None:
    with responses.RequestsMock() as wire:
        wire.get(
            f"{URL}?PageSize=1", json={"messages": []}, match=[responses.matchers.query_param_matcher({"PageSize": 1})]
        )
        assert carrier().check() is True


def test_credentials_that_are_not_accepted_are_said_so() -> None:
    with responses.RequestsMock() as wire:
        wire.get(URL, status=401, json={"code": 20003})
        with pytest.raises(CarrierMisconfigured) as raised:
            carrier().check()
    assert not raised.value.number_only
