"""Which webhooks are let in. The signatures themselves are in test_signature.py."""

from __future__ import annotations

import json

import pytest
from gateway_signalwire import SignalWire
from gateway_signalwire.settings import SignalWireSettings

from gateway import CarrierSession, WebhookMalformed, WebhookRejected, WebhookRequest

KEY = "PSK_docs_0123456789abcdef"
URL = "https://gw.example.com/hooks/signalwire/sms"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PROJECT = "00000000-0000-4000-8000-000000000001"
SIGNATURE = "3ow6WIgnkpEsvLs4jK6ZN9Xk1VI="  # `carriers.md` 4.2, SW-2
TEXT = (
    "MessageSid=0f9a1f0e-1111-4222-8333-444455556666&AccountSid=00000000-0000-4000-8000-000000000001"
    "&From=%2B12065550101&To=%2B12065550199&Body=Caf%C3%A9+at+5%3F+%E2%98%83+%26+bring+%E2%82%AC20"
    "&NumMedia=0&NumSegments=1&SmsStatus="
)


def request(body: str, content_type: str, **headers: str) -> WebhookRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebhookRequest(url=URL, body=body.encode(), headers={"content-type": content_type, **named})


def carrier(**settings: str) -> SignalWire:
    return SignalWire(SignalWireSettings(**settings), CarrierSession())  # type: ignore[arg-type]


def test_verify_rejects_what_is_unsigned_where_there_is_a_key() -> None:
    signed = carrier(signing_key=KEY)
    signed.verify(request(TEXT, FORM, x_signalwire_signature=SIGNATURE))
    with pytest.raises(WebhookRejected):
        signed.verify(request(TEXT, FORM))


def test_verify_is_strict_about_callbacks_that_signalwire_does_not_sign() -> None:
    state = json.dumps({"event_type": "calling.call.state", "params": {"call_id": "c", "call_state": "ended"}})
    with pytest.raises(WebhookRejected):
        carrier(signing_key=KEY).verify(request(state, JSON))


def test_verify_leaves_it_to_the_token_where_there_is_no_key() -> None:
    unsigned = carrier(space="example")
    assert not unsigned.signed
    unsigned.verify(request(TEXT, FORM))


@pytest.mark.parametrize(
    "webhook",
    [
        pytest.param(request(TEXT, FORM), id="form"),
        pytest.param(WebhookRequest(url=f"{URL}?{TEXT}", method="GET"), id="GET"),
        pytest.param(request(json.dumps({"call": {"project_id": PROJECT}}), JSON), id="call"),
        pytest.param(request(json.dumps({"message": {"project_id": PROJECT}}), JSON), id="message"),
        pytest.param(request(json.dumps({"project_id": PROJECT, "id": "m"}), JSON), id="receipt"),
    ],
)
def test_verify_rejects_the_webhooks_of_another_project(webhook: WebhookRequest) -> None:
    carrier(project_id=PROJECT.upper()).verify(webhook)
    with pytest.raises(WebhookRejected):
        carrier(project_id="00000000-0000-4000-8000-00000000000f").verify(webhook)


def test_verify_takes_a_webhook_that_names_no_project() -> None:
    carrier(project_id=PROJECT).verify(request("From=1&To=2", FORM))


@pytest.mark.parametrize("body", ["{", "[]", '{"project_id": "' + "x" * 300 + '"}'], ids=["half", "list", "long"])
def test_verify_leaves_what_cannot_be_read_to_parse(body: str) -> None:
    carrier(project_id=PROJECT).verify(request(body, JSON))
    with pytest.raises(WebhookMalformed):
        carrier().parse(request(body, JSON))
