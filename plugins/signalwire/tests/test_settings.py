"""What SignalWire is configured by, and what is said about variables that are missing or wrong."""

from __future__ import annotations

import os

import pytest
from gateway_signalwire import SignalWire

from gateway import Channel, OptOut
from gateway.errors import ConfigError
from gateway.plugins import build, is_configured


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("SIGNALWIRE_"):
            monkeypatch.delenv(name)


def built(monkeypatch: pytest.MonkeyPatch, **variables: str) -> SignalWire:
    for name, value in variables.items():
        monkeypatch.setenv(f"SIGNALWIRE_{name.upper()}", value)
    carrier = build(SignalWire)
    assert isinstance(carrier, SignalWire)
    return carrier


def complaint(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(ConfigError) as raised:
        built(monkeypatch, **variables)
    return str(raised.value)


@pytest.mark.parametrize(
    ("space", "url"),
    [
        ("example.signalwire.com", "https://example.signalwire.com"),
        ("https://example.signalwire.com/", "https://example.signalwire.com"),
        ("example", "https://example.signalwire.com"),
        (" Example ", "https://example.signalwire.com"),
        ("texts.example.org", "https://texts.example.org"),
    ],
)
def test_a_space_is_taken_as_people_write_it(monkeypatch: pytest.MonkeyPatch, space: str, url: str) -> None:
    assert built(monkeypatch, space=space).settings.base_url == url


def test_the_api_url_goes_before_the_space(monkeypatch: pytest.MonkeyPatch) -> None:
    carrier = built(monkeypatch, space="example", api_url="http://127.0.0.1:9999/")
    assert carrier.settings.base_url == "http://127.0.0.1:9999"


@pytest.mark.parametrize("name", ["SPACE", "PROJECT_ID", "API_TOKEN", "SIGNING_KEY", "API_URL", "RATE"])
def test_one_variable_is_enough_to_be_configured(name: str) -> None:
    assert is_configured(SignalWire, {f"SIGNALWIRE_{name}": "x"})


def test_a_token_needs_to_know_where_and_as_whom_to_send(monkeypatch: pytest.MonkeyPatch) -> None:
    words = complaint(monkeypatch, api_token="PT-made-up")
    assert "SIGNALWIRE_PROJECT_ID" in words
    assert "SIGNALWIRE_SPACE" in words
    assert "PT-made-up" not in words


def test_only_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "SIGNALWIRE_SPACE" not in complaint(monkeypatch, api_token="PT-made-up", api_url="https://a.example")
    monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", "p")
    assert built(monkeypatch).settings.api_token is not None


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"signing_key": "PSK_one,"}, "SIGNALWIRE_SIGNING_KEY: holds an empty key"),
        ({"signing_key": ",PSK_one"}, "SIGNALWIRE_SIGNING_KEY: holds an empty key"),
        ({"signing_key": " "}, "SIGNALWIRE_SIGNING_KEY: holds an empty key"),
        ({"api_token": " "}, "SIGNALWIRE_API_TOKEN: is blank"),
        ({"rate": "0"}, "SIGNALWIRE_RATE"),
        ({"rate": "-1"}, "SIGNALWIRE_RATE"),
        ({"rate": "inf"}, "SIGNALWIRE_RATE"),
        ({"rate": "fast"}, "SIGNALWIRE_RATE"),
        ({"api_url": "example.signalwire.com"}, "SIGNALWIRE_API_URL: is not a URL"),
        ({"api_url": " "}, "SIGNALWIRE_API_URL: is not a URL"),
        ({"space": "https://"}, "SIGNALWIRE_SPACE: is not the name of a space"),
        ({"space": "two words"}, "SIGNALWIRE_SPACE: is not the name of a space"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_words(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str) -> None:
    said = complaint(monkeypatch, **variables)
    assert words in said
    assert "PSK_one" not in said


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = complaint(monkeypatch, rate="0", signing_key=",", api_url="x", space="two words")
    assert all(name in said for name in ("_RATE", "_SIGNING_KEY", "_API_URL", "_SPACE"))


def test_two_keys_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert built(monkeypatch, signing_key="PSK_one, PSK_two").settings.signing_keys == (b"PSK_one", b"PSK_two")


def test_without_a_token_replies_are_inline_and_nothing_is_signed_without_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    carrier = built(monkeypatch, space="example")
    assert carrier.inline
    assert not carrier.signed
    assert carrier.check() is False


def test_with_token_and_key_it_sends_and_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    carrier = built(monkeypatch, space="example", project_id="p", api_token="PT-made-up", signing_key="PSK_one")
    assert not carrier.inline
    assert carrier.signed
    assert carrier.channels == {Channel.SMS, Channel.MMS, Channel.VOICE}
    assert carrier.opt_out is OptOut.GATEWAY


def test_the_rate_is_four_parts_a_second_for_one_number_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert built(monkeypatch, space="example").rate.per_number == 4.0
    assert built(monkeypatch, rate="0.5").rate.per_number == 0.5
    assert built(monkeypatch).rate.per_account is None
