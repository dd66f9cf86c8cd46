"""Flowroute's own ways: what no kit can know."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import responses
from gateway_flowroute import Flowroute, FlowrouteSettings
from gateway_flowroute.webhooks import moment

from gateway import (
    UNSUPPORTED,
    CarrierMisconfigured,
    CarrierSession,
    DeliveryReceipt,
    DeliveryStatus,
    InboundMessage,
    OutboundMessage,
    PermanentSendError,
    RecipientOptedOut,
    RetryableSendError,
    SendError,
    Submission,
    UncertainSendError,
    WebhookMalformed,
    WebhookRequest,
    Weight,
)
from gateway.errors import ConfigError
from gateway.plugins import build

URL = "https://api.flowroute.com/v2.2/messages"
MESSAGE = OutboundMessage(id="m1", sender="+12065550199", recipient="+12065550102", text="On my way")
QUOTED = replace(MESSAGE, text="“It’s” here — naïve…")
PLAIN = '"It\'s" here — naïve…'
ACCEPTED = {"data": {"id": "mdr2-1", "type": "message"}}
NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY", "SECRET_KEY", "API_URL", "RATE"):
        monkeypatch.delenv(f"FLOWROUTE_{name}", raising=False)


def flowroute(**settings: Any) -> Flowroute:
    keys = {"access_key": "made-up-access-key", "secret_key": "made-up-secret-key"}
    return Flowroute(FlowrouteSettings(**(keys | settings)), CarrierSession())


def parse(payload: Any) -> Any:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return flowroute().parse(WebhookRequest(url="https://gw.example.com/webhooks/flowroute", body=body))


def flat(**changes: Any) -> dict[str, Any]:
    return {"to": "12065550199", "from": "12065550101", "body": "Hi", "id": "mdr2-1"} | changes


def receipt(**changes: Any) -> DeliveryReceipt:
    attributes = {"status": "message buffered", "status_code": 1003} | changes
    [event] = parse({"data": {"type": "delivery_receipt", "id": "mdr2-1", "attributes": attributes}})
    assert isinstance(event, DeliveryReceipt)
    return event


def refusal(body: Any, status: int = 400, message: OutboundMessage = MESSAGE) -> SendError:
    text = body if isinstance(body, str) else json.dumps(body)
    with responses.RequestsMock() as carrier:
        carrier.post(URL, status=status, body=text)
        with pytest.raises(SendError) as raised:
            flowroute().send(message)
    return raised.value


def bodies(carrier: responses.RequestsMock) -> list[str]:
    return [json.loads(call.request.body or "")["data"]["attributes"]["body"] for call in carrier.calls]


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RATE", "0", "FLOWROUTE_RATE: must be a number of requests a second, greater than 0"),
        ("RATE", "-1", "greater than 0"),
        ("RATE", "nan", "greater than 0"),
        ("RATE", "inf", "greater than 0"),
        ("RATE", "often", "FLOWROUTE_RATE: "),
        ("API_URL", "api.flowroute.com", "FLOWROUTE_API_URL: must be a URL such as https://"),
        ("API_URL", "ftp://api.flowroute.com", "FLOWROUTE_API_URL"),
        ("API_URL", "https://api.flowroute.com/v2.2?x=1", "FLOWROUTE_API_URL"),
    ],
)
def test_a_wrong_setting_is_an_error_in_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    for key in ("ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.setenv(f"FLOWROUTE_{key}", "made-up-key")
    monkeypatch.setenv(f"FLOWROUTE_{name}", value)
    with pytest.raises(ConfigError, match=words):
        build(Flowroute)


@pytest.mark.parametrize("base", ["http://127.0.0.1:8080/v2.1", "http://127.0.0.1:8080/v2.1/"])
def test_texts_go_where_the_setting_says(base: str) -> None:
    with responses.RequestsMock() as carrier:
        carrier.post("http://127.0.0.1:8080/v2.1/messages", json=ACCEPTED, status=202)
        assert flowroute(api_url=base).send(MESSAGE) == Submission(carrier_ref="mdr2-1")


def test_the_readme_names_every_setting_and_its_default() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    for name, field in FlowrouteSettings.model_fields.items():
        default = "–" if field.is_required() else f"`{field.default:g}`" if name == "rate" else f"`{field.default}`"
        assert f"| `FLOWROUTE_{name.upper()}` | {default} |" in readme


def test_keys_of_any_alphabet_make_a_header() -> None:
    with responses.RequestsMock() as carrier:
        carrier.post(URL, json=ACCEPTED, status=202)
        flowroute(secret_key="gehëim€-key").send(MESSAGE)


# --- pace ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 280, 2),
        ("x" * 281, 3),
        ("é漢" * 35, 1),
        ("漢" * 71, 2),
        ("漢" * 141, 3),
    ],
)
def test_a_text_is_one_request_and_its_parts_as_flowroute_cuts_them(text: str, number: float) -> None:
    assert flowroute().weigh(replace(MESSAGE, text=text)) == Weight(number=number, account=1.0)


@pytest.mark.parametrize(("rate", "account"), [(5.0, 5.0), (20.0, 20.0), (0.5, 1.0)])
def test_one_mms_a_second_leaves_at_most(rate: float, account: float) -> None:
    carrier = flowroute(rate=rate)
    weight = carrier.weigh(replace(MESSAGE, media=("https://example.com/a.jpg",)))
    assert weight.account == account
    assert carrier.rate.per_account is not None
    assert carrier.rate.per_account / weight.account <= 1.0


# --- sending ------------------------------------------------------------------------------------


def test_typographic_quotes_are_sent_as_they_are() -> None:
    with responses.RequestsMock() as carrier:
        carrier.post(URL, json=ACCEPTED, status=202)
        flowroute().send(QUOTED)
        assert bodies(carrier) == [QUOTED.text]


@pytest.mark.parametrize("status", [400, 422])
def test_a_text_refused_for_its_quotes_is_sent_again_with_plain_ones(status: int) -> None:
    with responses.RequestsMock() as carrier:
        carrier.post(URL, json={"errors": [{"detail": "body"}]}, status=status)
        carrier.post(URL, json=ACCEPTED, status=202)
        assert flowroute().send(QUOTED) == Submission(carrier_ref="mdr2-1")
        assert bodies(carrier) == [QUOTED.text, PLAIN]


def test_a_text_refused_twice_is_refused() -> None:
    with responses.RequestsMock() as carrier:
        carrier.post(URL, json={}, status=422)
        carrier.post(URL, json={}, status=422)
        with pytest.raises(PermanentSendError):
            flowroute().send(QUOTED)
        assert len(carrier.calls) == 2


def test_a_second_request_without_an_answer_is_uncertain() -> None:
    with responses.RequestsMock() as carrier:
        carrier.post(URL, json={}, status=422)
        carrier.post(URL, body=responses.ConnectionError("reset"))
        with pytest.raises(UncertainSendError):
            flowroute().send(QUOTED)


@pytest.mark.parametrize(
    ("message", "status", "body"),
    [
        pytest.param(MESSAGE, 422, "{}", id="no-such-quotes"),
        pytest.param(QUOTED, 400, '{"errors": [{"code": "1110"}]}', id="opted-out"),
        pytest.param(QUOTED, 401, "{}", id="keys"),
        pytest.param(QUOTED, 403, "{}", id="not-our-number"),
        pytest.param(QUOTED, 404, "{}", id="wrong-path"),
        pytest.param(QUOTED, 429, "{}", id="too-many"),
        pytest.param(QUOTED, 500, "{}", id="their-problem"),
    ],
)
def test_nothing_else_is_sent_twice(message: OutboundMessage, status: int, body: str) -> None:
    with responses.RequestsMock() as carrier:
        carrier.post(URL, status=status, body=body)
        with pytest.raises(SendError):
            flowroute().send(message)
        assert len(carrier.calls) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"errors": [{"code": 1110}]},
        {"errors": [{"code": "1110"}]},
        {"errors": [{"status_code": 1110, "title": "Bad Request"}]},
        {"errors": [{"title": "error 1110"}]},
        {"errors": [{"detail": "Blocked (1110): recipient has opted out"}]},
        {"errors": [{"detail": {"code": 1110, "reason": "STOP"}}]},
        {"errors": [{"detail": "other"}, {"detail": ["1110"]}]},
        {"code": "1110"},
        [1110],
        "error 1110",
        "<html>1110</html>",
    ],
)
def test_1110_anywhere_in_a_400_is_an_opt_out(body: Any) -> None:
    error = refusal(body)
    assert isinstance(error, RecipientOptedOut)
    assert error.code == "1110"


@pytest.mark.parametrize(
    "body",
    [
        {"errors": [{"id": "6b1f1110-1110-4000-8000-000000001110", "status": 400}]},
        {"errors": [{"id": "1110", "status": 400}]},
        {"errors": [{"detail": "no such number 12065551110"}]},
        {"errors": [{"detail": "11100 bytes"}]},
        {"errors": [{"detail": "ref-1110-x"}]},
        {"errors": "bad"},
        {},
        "<html>Bad Request</html>",
        "",
    ],
)
def test_1110_as_part_of_something_else_is_none(body: Any) -> None:
    assert type(refusal(body)) is PermanentSendError


def test_1110_in_the_text_that_is_quoted_is_none() -> None:
    message = replace(MESSAGE, text="The code is 1110 today")
    error = refusal({"errors": [{"detail": f"cannot send: {message.text}"}]}, message=message)
    assert type(error) is PermanentSendError


def test_1110_is_an_opt_out_whatever_the_text_says() -> None:
    error = refusal({"errors": [{"code": "1110"}]}, message=replace(MESSAGE, text="1110"))
    assert type(error) is RecipientOptedOut


def test_1110_means_nothing_outside_a_400() -> None:
    assert type(refusal({"errors": [{"code": 1110}]}, status=422)) is PermanentSendError


@pytest.mark.parametrize(
    ("body", "words", "code"),
    [
        (
            {"errors": [{"title": "Unprocessable Entity", "detail": "bad URL"}]},
            "HTTP 422: Unprocessable Entity: bad URL",
            "422",
        ),
        ({"errors": [{"title": "Unprocessable Entity", "code": "E7"}]}, "HTTP 422: Unprocessable Entity", "E7"),
        ({"errors": [{"detail": {"to": ["12065550102"]}}]}, "HTTP 422", "422"),
        ({"errors": [{"detail": "no number +1 (206) 555-0102"}]}, "HTTP 422: no number •••", "422"),
        ({"errors": [{"detail": "cannot send On my way"}]}, "HTTP 422", "422"),
        ({"errors": [{"detail": "x" * 500}]}, "HTTP 422: " + "x" * 200, "422"),
        ({"errors": [{"code": "12065550102 refused"}]}, "HTTP 422", "422"),
        ({"errors": ["bad"]}, "HTTP 422", "422"),
        ({"errors": []}, "HTTP 422", "422"),
        ("<html>", "HTTP 422", "422"),
    ],
)
def test_a_refusal_says_what_may_be_said(body: Any, words: str, code: str) -> None:
    error = refusal(body, status=422)
    assert (str(error), error.code) == (words, code)


def test_a_number_that_is_not_ours_holds_back_that_number_alone() -> None:
    error = refusal({"errors": [{"title": "Forbidden"}]}, status=403)
    assert isinstance(error, CarrierMisconfigured)
    assert error.number_only


def test_wrong_keys_hold_back_the_account() -> None:
    error = refusal({}, status=401)
    assert isinstance(error, CarrierMisconfigured)
    assert not error.number_only


# --- webhooks -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize(("code", "expected"), [(1003, "1003"), ("1003", "1003"), (None, ""), (1.5, ""), ([], "")])
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


# --- lookup -------------------------------------------------------------------------------------


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
    assert look({"data": [record(body=PLAIN)]}, message=QUOTED) == Submission(carrier_ref="mdr2-1")


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
        assert "limit=1" in str(carrier.calls[0].request.url)
