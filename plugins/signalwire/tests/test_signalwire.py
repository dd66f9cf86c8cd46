"""Texts and receipts from webhooks, and the answers that carry replies."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode

import pytest
from gateway_signalwire import SignalWire
from gateway_signalwire.errors import OPTED_OUT, PERMANENT
from gateway_signalwire.settings import SignalWireSettings

from gateway import (
    CarrierSession,
    DeliveryReceipt,
    DeliveryStatus,
    Event,
    InboundMessage,
    WebhookMalformed,
    WebhookRequest,
)

URL = "https://gw.example.com/webhooks/signalwire/t0ken"
MASK, PERSON, OTHER = "+12065550199", "+12065550101", "+12065550102"
TEXT = {"MessageSid": "m-1", "From": PERSON, "To": MASK, "Body": "Is it still free?"}
STATUS = {"MessageSid": "m-1", "MessageStatus": "sent", "From": MASK, "To": PERSON, "Body": "Hi", "NumMedia": "0"}


def carrier() -> SignalWire:
    return SignalWire(SignalWireSettings(space="example"), CarrierSession())


def form(fields: dict[str, Any]) -> list[Event]:
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return list(carrier().parse(WebhookRequest(url=URL, headers=headers, body=urlencode(fields).encode())))


def document(value: Any, content_type: str = "application/json") -> list[Event]:
    body = json.dumps(value).encode()
    return list(carrier().parse(WebhookRequest(url=URL, headers={"content-type": content_type}, body=body)))


def text(**changed: Any) -> InboundMessage:
    return InboundMessage(
        **{"carrier_ref": "m-1", "sender": PERSON, "recipient": MASK, "text": TEXT["Body"], **changed}
    )


# --- texts as forms -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, {}, id="plain"),
        pytest.param({"SmsStatus": "received"}, {}, id="SmsStatus received"),
        pytest.param({"SmsStatus": ""}, {}, id="SmsStatus blank"),
        pytest.param({"SmsStatus": "receiving"}, {}, id="SmsStatus receiving"),
        pytest.param({"SmsStatus": "no-such-word"}, {}, id="SmsStatus unknown: never lose a text"),
        pytest.param({"MessageStatus": "", "SmsStatus": ""}, {}, id="both blank"),
        pytest.param({"MessageStatus": "received"}, {}, id="MessageStatus received"),
        pytest.param({"From": "12065550101", "To": "12065550199"}, {}, id="numbers without +"),
        pytest.param({"From": "55512"}, {"sender": "55512"}, id="a short code"),
        pytest.param({"From": "ACME"}, {"sender": "ACME"}, id="a name"),
        pytest.param({"Body": "  two\r\nlines \t"}, {"text": "  two\r\nlines \t"}, id="white space"),
        pytest.param({"Body": "“It’s” 👋 <b> & %41+"}, {"text": "“It’s” 👋 <b> & %41+"}, id="quotes and markup"),
        pytest.param({"NumMedia": "none"}, {}, id="NumMedia is no number"),
        pytest.param(
            {"MediaUrl2": "https://b.example/2?x=%3D", "MediaUrl0": "https://b.example/1", "MediaUrl10": "https://b/3"},
            {"media": ("https://b.example/1", "https://b.example/2?x=%3D", "https://b/3")},
            id="media in order, without NumMedia",
        ),
        pytest.param(
            {"NumMedia": "1", "MediaUrl0": "", "MediaContentType0": "image/png"}, {}, id="a media URL that is blank"
        ),
    ],
)
def test_a_form_is_a_text(changed: dict[str, str], expected: dict[str, Any]) -> None:
    assert form({**TEXT, **changed}) == [text(**expected)]


def test_a_text_of_media_alone_has_no_words() -> None:
    fields = {name: value for name, value in TEXT.items() if name != "Body"}
    assert form({**fields, "MediaUrl0": "https://b.example/1"}) == [text(text="", media=("https://b.example/1",))]


@pytest.mark.parametrize("name", ["MessageSid", "SmsSid", "SmsMessageSid"])
def test_a_text_is_known_by_any_of_its_ids(name: str) -> None:
    fields = {key: value for key, value in TEXT.items() if key != "MessageSid"}
    assert form({**fields, name: "m-9"}) == [text(carrier_ref="m-9")]


def test_a_text_without_an_id_is_taken_and_cannot_be_told_from_its_repeat() -> None:
    assert form({"From": PERSON, "To": MASK, "Body": "Hi"}) == [text(carrier_ref="", text="Hi")]


@pytest.mark.parametrize("query", [TEXT, {"From": PERSON, "To": MASK}], ids=["whole", "without Body"])
def test_a_text_may_come_by_get(query: dict[str, str]) -> None:
    request = WebhookRequest(url=f"https://gw.example.com/texts/route?{urlencode(query)}", method="GET")
    expected = text() if "Body" in query else text(carrier_ref="", text="")
    assert list(carrier().parse(request)) == [expected]


@pytest.mark.parametrize(
    "changed",
    [{"To": "sales"}, {"To": ""}, {"To": "sip:a@b"}, {"From": ""}, {"From": "x" * 300}, {"MessageSid": "x" * 300}],
    ids=str,
)
def test_a_text_nobody_could_answer_is_malformed(changed: dict[str, str]) -> None:
    with pytest.raises(WebhookMalformed) as raised:
        form({**TEXT, **changed})
    assert not any(value in str(raised.value) for value in changed.values() if value)


# --- texts as JSON ------------------------------------------------------------------------------

SWML = {
    "message_id": "m-1",
    "direction": "inbound",
    "type": "sms",
    "from": PERSON,
    "to": MASK,
    "body": TEXT["Body"],
    "media": [],
    "timestamp": "2026-01-02T03:04:05Z",
}
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, {}, id="plain"),
        pytest.param(
            {"body": None, "media": [{"url": "https://b/1"}]}, {"text": "", "media": ("https://b/1",)}, id="MMS"
        ),
        pytest.param({"media": ["https://b/1", {}, None, {"url": 3}]}, {"media": ("https://b/1",)}, id="odd media"),
        pytest.param({"media": None}, {}, id="media null"),
        pytest.param({"from": 12065550101}, {}, id="a number as a number"),
        pytest.param({"timestamp": "soon"}, {"sent_at": None}, id="no time"),
        pytest.param({"timestamp": "2026-01-02T05:04:05+02:00"}, {}, id="another zone"),
        pytest.param({"body": "a\ud800b\x00"}, {"text": "a?b"}, id="a lone surrogate"),
    ],
)
def test_json_is_a_text(changed: dict[str, Any], expected: dict[str, Any]) -> None:
    assert document({"message": {**SWML, **changed}, "params": {}}) == [
        text(**{"sent_at": AT, "form": "swml", **expected})
    ]


def test_json_is_known_by_its_look_where_the_content_type_says_nothing() -> None:
    assert document({"message": SWML}, "") == [text(sent_at=AT, form="swml")]


def test_our_own_text_is_of_no_interest() -> None:
    assert document({"message": {**SWML, "direction": "outbound"}}) == []


@pytest.mark.parametrize(
    "value", [{"message": []}, {"message": {"from": PERSON}}, {"message": {**SWML, "body": {}}}, {}]
)
def test_json_that_is_no_webhook_is_malformed(value: Any) -> None:
    with pytest.raises(WebhookMalformed):
        document(value)


# --- receipts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("queued", DeliveryStatus.SENT),
        ("initiated", DeliveryStatus.SENT),
        ("sending", DeliveryStatus.SENT),
        ("sent", DeliveryStatus.SENT),
        ("Sent", DeliveryStatus.SENT),
        ("delivered", DeliveryStatus.DELIVERED),
        ("read", DeliveryStatus.DELIVERED),
        ("undelivered", DeliveryStatus.UNDELIVERED),
        ("failed", DeliveryStatus.UNDELIVERED),
        ("pondering", DeliveryStatus.UNKNOWN),
    ],
)
def test_a_receipt_says_the_same_in_each_of_its_forms(word: str, status: DeliveryStatus) -> None:
    expected = [DeliveryReceipt(carrier_ref="m-1", status=status, detail=word.lower())]
    assert form({**STATUS, "MessageStatus": word}) == expected
    assert form({**STATUS, "MessageStatus": word, "SmsStatus": word}) == expected
    assert document({**STATUS, "MessageStatus": word, "NumMedia": 0, "ErrorCode": None}) == expected
    assert document({"id": "m-1", "status": word, "to": PERSON, "from": MASK, "body": "Hi"}) == expected


def test_an_old_receipt_has_its_word_in_sms_status_alone() -> None:
    fields = {name: value for name, value in STATUS.items() if name != "MessageStatus"}
    assert form({**fields, "SmsStatus": "delivered"}) == [
        DeliveryReceipt(carrier_ref="m-1", status=DeliveryStatus.DELIVERED, detail="delivered")
    ]


@pytest.mark.parametrize(
    ("code", "kept", "words"),
    [
        ("30003", "30003", "failed: the handset cannot be reached now"),
        (30007, "30007", "failed: filtered as a violation of the carrier's rules"),
        ("39999", "39999", "failed"),
        ("message_filtered", "message_filtered", "failed: filtered as spam"),
        ("+12065550101", "", "failed"),
        ("12065550101", "", "failed"),
        ("about +12065550101", "", "failed"),
        ("", "", "failed"),
        (0, "", "failed"),
        (None, "", "failed"),
        ([], "", "failed"),
    ],
)
def test_a_receipt_says_why_and_never_to_whom(code: Any, kept: str, words: str) -> None:
    expected = DeliveryReceipt(carrier_ref="m-1", status=DeliveryStatus.UNDELIVERED, code=kept, detail=words)
    said = {"id": "m-1", "status": "failed", "error_code": code, "error_message": f"for {PERSON}"}
    assert document(said) == [expected]


def test_an_unknown_status_that_may_be_a_number_is_not_repeated() -> None:
    [receipt] = form({**STATUS, "MessageStatus": "lost on its way to +12065550101"})
    assert receipt == DeliveryReceipt(carrier_ref="m-1", status=DeliveryStatus.UNKNOWN)


@pytest.mark.parametrize("code", OPTED_OUT)
def test_a_receipt_tells_that_the_recipient_blocked_us(code: str) -> None:
    [receipt] = document({"id": "m-1", "status": "failed", "error_code": code})
    assert isinstance(receipt, DeliveryReceipt)
    assert receipt.opted_out


@pytest.mark.parametrize("code", PERMANENT)
def test_no_other_failure_is_an_opt_out(code: str) -> None:
    [receipt] = form({**STATUS, "MessageStatus": "failed", "ErrorCode": code})
    assert isinstance(receipt, DeliveryReceipt)
    assert not receipt.opted_out


def test_a_text_still_arriving_is_not_taken_before_it_is_whole() -> None:
    assert form({**TEXT, "MessageStatus": "receiving"}) == []
    assert document({"id": "m-1", "status": "received", "to": MASK, "from": PERSON}) == []


def test_a_receipt_of_nothing_is_malformed() -> None:
    with pytest.raises(WebhookMalformed):
        form({"MessageStatus": "sent", "From": MASK, "To": PERSON})
