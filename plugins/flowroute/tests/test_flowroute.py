"""Flowroute's own ways of sending, and its settings: what no kit can know."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import responses
from gateway_flowroute import Flowroute, FlowrouteSettings

from gateway import (
    CarrierMisconfigured,
    CarrierSession,
    OutboundMessage,
    PermanentSendError,
    RecipientOptedOut,
    SendError,
    Submission,
    UncertainSendError,
    Weight,
)
from gateway.errors import ConfigError
from gateway.plugins import build

URL = "https://api.flowroute.com/v2.2/messages"
MESSAGE = OutboundMessage(id="m1", sender="+12065550199", recipient="+12065550102", text="On my way")
QUOTED = replace(MESSAGE, text="“It’s” here — naïve…")
PLAIN = '"It\'s" here — naïve…'
ACCEPTED = {"data": {"id": "mdr2-1", "type": "message"}}


def flowroute(**settings: Any) -> Flowroute:
    keys = {"access_key": "made-up-access-key", "secret_key": "made-up-secret-key"}
    return Flowroute(FlowrouteSettings(**(keys | settings)), CarrierSession())


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
        ("RATE", "0", "FLOWROUTE_RATE: must be so many a second, a number greater than 0"),
        ("NUMBER_RATE", "-1", "FLOWROUTE_NUMBER_RATE: must be so many a second, a number greater than 0"),
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
        default = f"{field.default:g}" if name.endswith("rate") else field.default
        default = "–" if field.is_required() else f"`{default}`"
        assert f"| `FLOWROUTE_{name.upper()}` | {default} |" in readme


def test_keys_of_any_alphabet_make_a_header() -> None:
    with responses.RequestsMock() as carrier:
        carrier.post(URL, json=ACCEPTED, status=202)
        flowroute(access_key="zügang€-key", secret_key="gehëim€-key").send(MESSAGE)


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
        ("漢" * 140, 2),
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
