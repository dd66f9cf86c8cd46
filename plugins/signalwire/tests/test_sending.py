"""Sending: one request, with what was written in it. Refusals are in test_errors.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest
import responses
from gateway_signalwire import SignalWire
from gateway_signalwire.settings import SignalWireSettings

from gateway import (
    CarrierMisconfigured,
    CarrierSession,
    OutboundMessage,
    PermanentSendError,
    Submission,
)

URL = "https://example.signalwire.com/api/laml/2010-04-01/Accounts/p-1/Messages"
MESSAGE = OutboundMessage(
    id="o-1", sender="+12065550199", recipient="+12065550102", text="On my way", receipt_url="https://gw.example.com/r"
)


def carrier(**settings: str) -> SignalWire:
    given = {"space": "example", "project_id": "p-1", "api_token": "PT-made-up", **settings}
    return SignalWire(SignalWireSettings(**given), CarrierSession())  # type: ignore[arg-type]


def send(message: OutboundMessage = MESSAGE, **answer: Any) -> tuple[Submission, dict[str, list[str]]]:
    """Return what came of sending, and the form that was sent."""
    with responses.RequestsMock() as wire:
        wire.post(URL, **answer)
        submission = carrier().send(message)
        [call] = wire.calls
    return submission, parse_qs(str(call.request.body), keep_blank_values=True)


def test_a_text_is_one_form_under_the_projects_credentials() -> None:
    with responses.RequestsMock() as wire:
        wire.post(URL, status=201, json={"sid": "m-1"})
        assert carrier().send(MESSAGE) == Submission(carrier_ref="m-1")
        [call] = wire.calls
    assert call.request.headers["Authorization"] == "Basic cC0xOlBULW1hZGUtdXA="
    assert parse_qs(str(call.request.body)) == {
        "From": [MESSAGE.sender],
        "To": [MESSAGE.recipient],
        "Body": ["On my way"],
        "StatusCallback": ["https://gw.example.com/r"],
    }


def test_the_api_url_is_where_it_is_sent() -> None:
    with responses.RequestsMock() as wire:
        wire.post(URL.replace("https://example.signalwire.com", "http://127.0.0.1:9"), json={"sid": "m-1"})
        assert carrier(api_url="http://127.0.0.1:9/").send(MESSAGE) == Submission(carrier_ref="m-1")


def test_credentials_may_be_of_any_alphabet() -> None:
    with responses.RequestsMock() as wire:
        wire.post("https://example.signalwire.com/api/laml/2010-04-01/Accounts/%C5%82%2F1/Messages", json={})
        carrier(project_id="ł/1", api_token="żółw").send(MESSAGE)
        assert wire.calls[0].request.headers["Authorization"] == "Basic xYIvMTrFvMOzxYJ3"


def test_media_are_repeated_fields_and_an_empty_text_is_none() -> None:
    urls = tuple(f"https://b.example/{index}?x=%3D&y=1" for index in range(8))
    _, form = send(replace(MESSAGE, media=urls, text="", receipt_url=""), status=201, json={"sid": "m"})
    assert form == {"From": [MESSAGE.sender], "To": [MESSAGE.recipient], "MediaUrl": list(urls)}


def test_more_media_than_a_message_holds_are_refused_in_words_and_nothing_is_sent() -> None:
    with responses.RequestsMock(), pytest.raises(PermanentSendError, match="at most 8 media"):
        carrier().send(replace(MESSAGE, media=("https://b.example/1",) * 9))


@pytest.mark.parametrize("text", ["  a\r\nb\n ", "“It’s” 👩‍👧‍👦 & =%+", "x" * 5000])
def test_a_text_is_sent_as_it_was_written(text: str) -> None:
    _, form = send(replace(MESSAGE, text=text), status=201, json={"sid": "m"})
    assert form["Body"] == [text]


def test_what_no_form_holds_does_not_stop_a_text() -> None:
    _, form = send(replace(MESSAGE, text="a\ud800b\x00"), status=201, json={"sid": "m"})
    assert form["Body"] == ["a?b"]


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("body", ["", "<html>", "[]", "{}", '{"sid": null}', '{"sid": 7}'])
def test_any_2xx_was_taken_even_without_an_id(status: int, body: str) -> None:
    assert send(status=status, body=body)[0] == Submission(carrier_ref="")


@pytest.mark.parametrize("status", [300, 302, 304])
def test_a_redirect_is_no_success(status: int) -> None:
    with pytest.raises(PermanentSendError):
        send(status=status)


def test_without_a_token_nothing_can_be_sent() -> None:
    inline = SignalWire(SignalWireSettings(space="example"), CarrierSession())
    with responses.RequestsMock(), pytest.raises(CarrierMisconfigured, match="SIGNALWIRE_API_TOKEN"):
        inline.send(MESSAGE)
