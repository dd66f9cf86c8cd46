"""Calls that go on are ended by the API that knows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import responses
from gateway_signalwire import SignalWire
from gateway_signalwire.settings import SignalWireSettings

from gateway import CarrierMisconfigured, CarrierSession, RetryableSendError, SendError, UncertainSendError

PROJECT, SID = "00000000-0000-4000-8000-000000000001", "0a059168-ead0-41af-9d1f-343dae832527"
COMPATIBLE = f"https://example.signalwire.com/api/laml/2010-04-01/Accounts/{PROJECT}/Calls/{SID}"
NATIVE = "https://example.signalwire.com/api/calling/calls"


def carrier(**settings: Any) -> SignalWire:
    given = {"space": "example", "project_id": PROJECT, "api_token": "PT-made-up-token", **settings}
    return SignalWire(SignalWireSettings(**given), CarrierSession())


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mocked:
        yield mocked


def test_a_call_is_ended_by_the_compatibility_api(web: responses.RequestsMock) -> None:
    web.post(COMPATIBLE, json={"sid": SID, "status": "completed"}, match=[responses.matchers.urlencoded_params_matcher(
        {"Status": "completed"}
    )])  # fmt: skip
    assert carrier().hang_up(SID) is True
    assert web.calls[0].request.headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("status", [200, 404], ids=["known", "over"])
def test_a_call_it_does_not_know_is_ended_by_the_other(web: responses.RequestsMock, status: int) -> None:
    web.post(COMPATIBLE, status=404)
    web.post(NATIVE, json={}, status=status)
    assert carrier().hang_up(SID) is True
    sent = json.loads(web.calls[1].request.body)
    assert sent == {"command": "calling.end", "id": SID, "params": {"reason": "hangup"}}


@pytest.mark.parametrize(
    ("status", "error"), [(500, RetryableSendError), (401, CarrierMisconfigured), (400, SendError)]
)
@pytest.mark.parametrize("native", [False, True])
def test_what_the_api_refuses_is_in_our_terms(
    web: responses.RequestsMock, native: bool, status: int, error: type[SendError]
) -> None:
    if native:
        web.post(COMPATIBLE, status=404)
    web.post(NATIVE if native else COMPATIBLE, status=status)
    with pytest.raises(error) as caught:
        carrier().hang_up(SID)
    assert not isinstance(caught.value, UncertainSendError)


def test_without_a_token_nobody_can() -> None:
    assert carrier(api_token=None).hang_up(SID) is False


def test_what_a_webhook_called_a_call_goes_nowhere_else(web: responses.RequestsMock) -> None:
    web.post(COMPATIBLE.replace(SID, "..%2F..%2Fx%3Fy"), json={})
    assert carrier().hang_up("../../x?y") is True


@pytest.mark.parametrize("call", ["", ".", ".."])
def test_what_cannot_be_a_call_is_asked_about_nowhere(web: responses.RequestsMock, call: str) -> None:
    """`/Calls/..` is the account itself."""
    assert carrier().hang_up(call) is False
    assert not web.calls
