"""Who signed a webhook: the vectors SignalWire and its SDKs publish, and everything that must not pass.

Vectors: `carriers.md` 4.2 (its letters are kept) and 5.3; the SDKs' own are in
github.com/signalwire/signalwire-python, tests/unit/security/test_webhook_validator.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace

import pytest
from gateway_signalwire.signature import is_signed, url_variants

from gateway import WebhookRequest

DOCS_KEY = "PSK_docs_0123456789abcdef"
SDK_KEY = "PSKtest1234567890abcdef"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PROJECT = "00000000-0000-4000-8000-000000000001"

CALL = (
    '{"call":{"call_id":"11111111-2222-4333-8444-555555555555",'
    '"node_id":"66666666-7777-4888-8999-aaaaaaaaaaaa@us-east",'
    '"segment_id":"11111111-2222-4333-8444-555555555555","call_state":"created","direction":"inbound","type":"phone",'
    '"from":"+12065550101","to":"+12065550199","from_number":"+12065550101","to_number":"+12065550199","headers":[],'
    f'"project_id":"{PROJECT}","space_id":"00000000-0000-4000-8000-000000000002"}},'
    '"vars":{},"envs":{},"params":{}}'
)
CALL_SHA1 = "4bb59104bfe464c14e1c048aa02f5f32a2a22f40"
CALL_SHA256 = "3f0ca4fa00aabaf6aab46647f62081c837702c61634b0ece6dc7a8da010d94fe"
TEXT = (
    "MessageSid=0f9a1f0e-1111-4222-8333-444455556666&AccountSid=00000000-0000-4000-8000-000000000001"
    "&From=%2B12065550101&To=%2B12065550199&Body=Caf%C3%A9+at+5%3F+%E2%98%83+%26+bring+%E2%82%AC20"
    "&NumMedia=0&NumSegments=1&SmsStatus="
)
TWILIO = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
EVENT = '{"event":"call.state"}'
EVENT_SHA256 = "69f3cbfc18e386ef8236cb7008cd5a54b7fed637a8cb3373b5a1591d7f0fd5f4"
HASHED_URL = f"https://example.ngrok.io/webhook?bodySHA256={EVENT_SHA256}"
SW1 = "https://gw.example.com/hooks/signalwire/voice?tenant=t1"
SW2 = "https://gw.example.com/hooks/signalwire/sms"


def request(url: str, body: str, content_type: str, **headers: str) -> WebhookRequest:
    """Return a webhook; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebhookRequest(url=url, body=body.encode(), headers={"content-type": content_type, **named})


def sw1(**headers: str) -> WebhookRequest:
    return request(SW1, CALL, JSON, **headers)


def sw2(signature: str, header: str = "x_signalwire_signature") -> WebhookRequest:
    return request(SW2, TEXT, FORM, **{header: signature})


def passes(webhook: WebhookRequest, *keys: str) -> bool:
    return is_signed(webhook, [key.encode() for key in keys or (DOCS_KEY,)])


def test_the_sample_of_a_call_is_the_one_that_was_signed() -> None:
    assert len(CALL) == 473
    assert hashlib.sha256(CALL.encode()).hexdigest() == (
        "bf07024de91602d3f1b1c572eae2b773f38bf2d88f9ef54452d094864e0eb2cc"
    )


@pytest.mark.parametrize(
    ("key", "webhook"),
    [
        pytest.param(DOCS_KEY, sw1(x_signalwire_signature=CALL_SHA1), id="SW-1, SHA-1"),
        pytest.param(DOCS_KEY, sw1(x_signalwire_sha256_signature=CALL_SHA256), id="SW-1, SHA-256 alone"),
        pytest.param(
            DOCS_KEY,
            sw1(x_signalwire_signature=CALL_SHA1, x_signalwire_sha256_signature=CALL_SHA256),
            id="SW-1, both",
        ),
        pytest.param(DOCS_KEY, sw2("3ow6WIgnkpEsvLs4jK6ZN9Xk1VI="), id="SW-2"),
        pytest.param(DOCS_KEY, sw2("Tfz1mNz6094miDBz4np6RMr0aZs="), id="SW-2, signed with :443"),
        pytest.param(
            DOCS_KEY, sw2("3ow6WIgnkpEsvLs4jK6ZN9Xk1VI=", "x_twilio_signature"), id="SW-2, under Twilio's name"
        ),
        pytest.param(
            SDK_KEY,
            request(
                "https://example.ngrok.io/webhook",
                '{"event":"call.state","params":{"call_id":"abc-123","state":"answered"}}',
                JSON,
                x_signalwire_signature="c3c08c1fefaf9ee198a100d5906765a6f394bf0f",
            ),
            id="A",
        ),
        pytest.param(
            "12345",
            request(TWILIO_URL, TWILIO, FORM, x_signalwire_signature="RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            id="B",
        ),
        pytest.param(
            "12345",
            request(TWILIO_URL, TWILIO, FORM, x_signalwire_signature="kvajT1Ptam85bY51eRf/AJRuM3w="),
            id="B, signed with :443",
        ),
        pytest.param(
            "12345",
            request(
                TWILIO_URL.replace("https", "http"),
                TWILIO,
                FORM,
                x_signalwire_signature="0ZXoZLH/DfblKGATFgpif+LLRf4=",
            ),
            id="B, http, signed with :80",
        ),
        pytest.param(
            "12345",
            request(
                TWILIO_URL,
                "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
                FORM,
                x_signalwire_signature="eMV0TTCyejiqoUSkV7IwWuk0CRc=",
            ),
            id="repeated fields in the order they came",
        ),
        pytest.param(
            SDK_KEY,
            request(HASHED_URL, EVENT, JSON, x_signalwire_signature="dfO9ek8mxyFtn2nMz24plPmPfIY="),
            id="C",
        ),
    ],
)
def test_a_published_vector_passes(key: str, webhook: WebhookRequest) -> None:
    assert passes(webhook, key)


@pytest.mark.parametrize(
    ("key", "webhook"),
    [
        pytest.param(DOCS_KEY, sw2("AqWcp1bFnrb8aQITUys0G1opceA="), id="SW-2 with the blank field dropped"),
        pytest.param(
            DOCS_KEY,
            sw1(x_signalwire_signature=CALL_SHA1, x_signalwire_sha256_signature="0" * 64),
            id="SHA-1 right, SHA-256 wrong",
        ),
        pytest.param(
            DOCS_KEY,
            sw1(x_signalwire_signature=CALL_SHA1, x_signalwire_sha256_signature=""),
            id="SHA-1 right, SHA-256 empty",
        ),
        pytest.param(DOCS_KEY, sw1(x_signalwire_sha256_signature=CALL_SHA1), id="SHA-1 as SHA-256"),
        pytest.param(DOCS_KEY, sw1(x_signalwire_signature=CALL_SHA256), id="SHA-256 as SHA-1"),
        pytest.param(
            "12345",
            request(
                TWILIO_URL,
                "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
                FORM,
                x_signalwire_signature="IK+Dwps556ElfBT0I3Rgjkr1wJU=",
            ),
            id="repeated fields once, as Twilio has it",
        ),
        pytest.param(
            SDK_KEY,
            request(HASHED_URL, EVENT + " ", JSON, x_signalwire_signature="dfO9ek8mxyFtn2nMz24plPmPfIY="),
            id="C with another body",
        ),
        pytest.param(SDK_KEY, sw2("3ow6WIgnkpEsvLs4jK6ZN9Xk1VI="), id="another project's key"),
        pytest.param(DOCS_KEY, request(SW1, CALL, JSON), id="no signature"),
        pytest.param(DOCS_KEY, sw1(x_signalwire_signature=""), id="an empty signature"),
        pytest.param(
            "12345",
            request(
                TWILIO_URL.replace(".com", ".com:8443"),
                TWILIO,
                FORM,
                x_signalwire_signature="RSOYDt4T1cUTdK1PDd93/VVr8B8=",
            ),
            id="another port",
        ),
    ],
)
def test_what_is_not_signed_so_does_not_pass(key: str, webhook: WebhookRequest) -> None:
    assert not passes(webhook, key)


def test_a_signature_over_the_url_alone_signs_no_body() -> None:
    url_alone = base64.b64encode(hmac.digest(DOCS_KEY.encode(), SW1.encode(), "sha1")).decode()
    assert passes(request(SW1, "", "", x_signalwire_signature=url_alone))  # a GET
    assert not passes(sw1(x_signalwire_signature=url_alone))
    assert not passes(request(SW1, TEXT, FORM, x_signalwire_signature=url_alone))


def test_a_body_hash_counts_only_in_the_url_that_was_signed() -> None:
    other = '{"event":"other"}'
    url = HASHED_URL.replace(EVENT_SHA256, hashlib.sha256(other.encode()).hexdigest())
    forged = request(url, other, JSON, x_signalwire_signature="dfO9ek8mxyFtn2nMz24plPmPfIY=")
    assert not passes(forged, SDK_KEY)


@pytest.mark.parametrize("url", [SW2 + "#ot=2000", SW2.replace(".com/", ".com:443/"), SW2.replace("https:", "HTTPS:")])
def test_a_form_passes_under_other_spellings_of_its_url(url: str) -> None:
    signed = base64.b64encode(hmac.digest(DOCS_KEY.encode(), _signed_text(url).encode(), "sha1")).decode()
    assert passes(request(url, TEXT, FORM, x_signalwire_signature=signed))


def _signed_text(url: str) -> str:
    """Return what is signed for SW-2, with the default port added or taken away."""
    spelt = url.partition("#")[0]
    other = spelt.replace(":443/", "/") if ":443/" in spelt else spelt.replace(".com/", ".com:443/")
    return (
        f"{other}AccountSid{PROJECT}BodyCafé at 5? ☃ & bring €20From+12065550101"
        "MessageSid0f9a1f0e-1111-4222-8333-444455556666NumMedia0NumSegments1SmsStatusTo+12065550199"
    )


@pytest.mark.parametrize(
    ("url", "variants"),
    [
        ("https://a.example/x?y=1", ["https://a.example/x?y=1", "https://a.example:443/x?y=1"]),
        ("https://a.example:443/x", ["https://a.example:443/x", "https://a.example/x"]),
        ("http://a.example", ["http://a.example", "http://a.example:80"]),
        ("http://a.example:443/", ["http://a.example:443/"]),
        ("https://a.example:8443/x", ["https://a.example:8443/x"]),
        ("https://[::1]/x", ["https://[::1]/x", "https://[::1]:443/x"]),
        ("https://a.example?at=b@c:443", ["https://a.example?at=b@c:443", "https://a.example:443?at=b@c:443"]),
        ("https://a.example/x#ot=500", ["https://a.example/x", "https://a.example:443/x"]),
        (
            "https://user:p@ss@a.example/x",
            [
                "https://user:p@ss@a.example/x",
                "https://a.example/x",
                "https://user:p@ss@a.example:443/x",
                "https://a.example:443/x",
            ],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_url_has_these_variants(url: str, variants: list[str]) -> None:
    assert url_variants(url) == variants


@pytest.mark.parametrize("url", ["", "/relative", "https://", "::", "\udcff", "https://[::1"])
def test_what_is_no_url_is_refused_without_an_exception(url: str) -> None:
    assert not passes(request(url, TEXT, FORM, x_signalwire_signature="3ow6WIgnkpEsvLs4jK6ZN9Xk1VI="))


def test_a_call_signs_without_the_credentials_of_the_url_and_a_message_with_them() -> None:
    url = "https://user:secret@gw.example.com/x"
    for signed_url in (url, "https://gw.example.com/x"):
        signature = hmac.digest(DOCS_KEY.encode(), (signed_url + CALL).encode(), "sha1").hex()
        assert passes(request(url, CALL, JSON, x_signalwire_signature=signature)), signed_url


def test_either_of_two_keys_is_right_while_they_change() -> None:
    webhook = sw2("3ow6WIgnkpEsvLs4jK6ZN9Xk1VI=")
    assert passes(webhook, "PSK_new", DOCS_KEY)
    assert passes(webhook, DOCS_KEY, "PSK_old")
    assert not passes(webhook, "PSK_new", "PSK_old")


@pytest.mark.parametrize("signature", ["é", "\udcff", "ÿþ\x00", "=" * 10_000, "3ow6WIgnkpEsvLs4jK6ZN9Xk1V\xed="])
def test_senseless_signatures_are_refused_without_an_exception(signature: str) -> None:
    assert not passes(sw2(signature))
    assert not passes(sw1(x_signalwire_sha256_signature=signature))


@pytest.mark.parametrize("body", [b"\xff\xfe=\xff", b"a=%FF%FE", b"&&&", b"", b"\x00"])
def test_senseless_bodies_are_refused_without_an_exception(body: bytes) -> None:
    for content_type in (FORM, JSON, ""):
        webhook = request(SW2, "", content_type, x_signalwire_signature="3ow6WIgnkpEsvLs4jK6ZN9Xk1VI=")
        assert not passes(replace(webhook, body=body))


def test_without_a_content_type_either_scheme_passes() -> None:
    assert passes(request(SW2, TEXT, "", x_signalwire_signature="3ow6WIgnkpEsvLs4jK6ZN9Xk1VI="))
    assert passes(request(SW1, CALL, "", x_signalwire_signature=CALL_SHA1))


def test_a_form_is_not_signed_as_json_is() -> None:
    as_json = hmac.digest(DOCS_KEY.encode(), (SW2 + TEXT).encode(), "sha1").hex()
    assert not passes(request(SW2, TEXT, FORM, x_signalwire_signature=as_json))
