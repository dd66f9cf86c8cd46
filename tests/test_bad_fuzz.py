"""Requests nobody thought of, by Hypothesis: answered below 500, and what is refused leaves no trace.

The examples are the same in every run; with `HYPOTHESIS_MAX_EXAMPLES` there are as many as one likes, at random.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from bad_input import ANN, BOB, CARRIERS, FORM, JSON, KEYED, MASKS, World, by_signalwire, by_simulator, opened
from gateways import PROJECT, TOKEN
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("HYPOTHESIS_MAX_EXAMPLES", "150"))
few = settings(
    max_examples=EXAMPLES, deadline=None, derandomize="HYPOTHESIS_MAX_EXAMPLES" not in os.environ, database=None
)


def fields(names: str) -> list[str]:
    return names.split()


API_FIELDS = fields("""
    value participant_a participant_b expiry_window session_id phone_numbers client_number contractor_number
    expires_in
""")
JSON_FIELDS = fields("""
    data attributes included relationships id type from to body is_mms direction timestamp status status_code
    status_code_description url media text ref state at seconds call message params event_type call_id
    message_id from_number to_number project_id error_code connect_state call_state
""")
FORM_FIELDS = fields("""
    From To Body MessageSid SmsSid SmsStatus MessageStatus CallSid CallStatus NumMedia MediaUrl0 MediaUrl999
    AccountSid ErrorCode DialCallStatus Direction RecordingUrl CallDuration ParentCallSid
""")
WORDS = [
    ANN, BOB, *MASKS.values(), "12065550111", "+12065550112", "55512", "ACME", "anonymous", "message", "receipt",
    "call", "progress", "delivery_receipt", "inbound", "outbound", "delivered", "received", "ringing", "ended",
    "completed", "calling.call.state", "calling.call.connect", PROJECT, "STOP", "2026-05-19T22:09:58.25Z", "a", "",
]  # fmt: skip

characters = st.characters(codec=None)  # lone surrogates and all
words = st.sampled_from(WORDS) | st.text(characters, max_size=30)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.just(10**400) | st.just(12065550111)


def values(names: list[str]) -> st.SearchStrategy[Any]:
    """Return JSON values whose objects have the keys a reader looks for."""
    keys = st.sampled_from(names) | st.text(max_size=5)
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=8), max_leaves=12
    )


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def objects(names: list[str]) -> st.SearchStrategy[bytes]:
    keys = st.sampled_from(names)
    return st.dictionaries(keys, words | values(names), min_size=1, max_size=8).map(
        lambda one: json.dumps(one).encode()
    )


api_bodies = objects(API_FIELDS) | st.binary(max_size=60)
json_bodies = objects(JSON_FIELDS) | values(JSON_FIELDS).map(encoded) | st.binary(max_size=60)
encodable = st.sampled_from(WORDS) | st.text(max_size=30)
form_bodies = st.dictionaries(st.sampled_from(FORM_FIELDS), encodable, max_size=10).map(
    lambda one: urlencode(one).encode()
)
latin = st.text(st.characters(max_codepoint=255), max_size=40)  #: what a server hands on of a header or a query
segments = st.binary(max_size=12).map(quote) | st.sampled_from([quote(one) for one in MASKS.values()])


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened(tmp_path_factory.mktemp("bad-fuzz")) as world:
        yield world


def answered(w: World, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    before = w.tables()
    answer = w.client(method, path, body=body, headers=headers)
    assert answer.status < 500, answer.body
    if answer.status == 200:
        w.settle()
    else:
        assert w.tables() == before
    w.check_alive()
    return answer.status


API = [
    ("POST", "/tn"), ("DELETE", "/tn"), ("POST", "/session"), ("DELETE", "/session"),
    ("POST", "/api/rest/numberPool"), ("POST", "/api/rest/numberMask"),
]  # fmt: skip
HEADERS = ["Authorization", "Content-Type", "User-Agent", "Host", "Cookie", "X-Simulator-Signature",
           "X-SignalWire-SHA256-Signature", "Range", "X-Forwarded-For"]  # fmt: skip
PARTS = ["tn", "session", "webhooks", "api", "rest", "texts", "route", *CARRIERS, TOKEN]


@few
@given(st.sampled_from(API), api_bodies)
def test_any_body_to_the_api(w: World, route: tuple[str, str], body: bytes) -> None:
    assert answered(w, *route, body, KEYED) in (200, 400, 404)


@few
@given(st.sampled_from(["GET", "DELETE"]), st.sampled_from(["numberPool", "numberMask"]), segments)
def test_any_number_in_a_path(w: World, method: str, path: str, segment: str) -> None:
    assert answered(w, method, f"/api/rest/{path}/{segment}", b"", KEYED) in (200, 400, 404, 405)


@few
@given(json_bodies | form_bodies, st.sampled_from([JSON, FORM, ""]))
def test_any_webhook_with_the_token_alone(w: World, body: bytes, kind: str) -> None:
    for path in (f"/webhooks/{name}/{TOKEN}" for name in CARRIERS):
        assert answered(w, "POST", path, body, {"content-type": kind}) in (200, 400, 403)


@few
@given(json_bodies)
def test_any_signed_webhook_of_the_simulated_carrier(w: World, body: bytes) -> None:
    headers = by_simulator(f"{w.gateway.url}/webhooks/simulator", body, JSON)
    assert answered(w, "POST", "/webhooks/simulator", body, headers) in (200, 400)


@few
@given(
    st.sampled_from(["/webhooks/signalwire", "/texts/route", "/calls/route"]), json_bodies | form_bodies, st.booleans()
)
def test_any_signed_webhook_of_signalwire(w: World, path: str, body: bytes, form: bool) -> None:
    headers = by_signalwire(w.gateway.url + path, body, FORM if form else JSON)
    assert answered(w, "POST", path, body, headers) in (200, 400, 403)  # 403: of another project


@few
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]) | latin,
    st.lists(segments | st.sampled_from(PARTS), max_size=5),
    latin,
    st.dictionaries(st.sampled_from(HEADERS), latin, max_size=4),
    st.binary(max_size=60),
)
def test_any_request_without_a_key(
    w: World, method: str, path: list[str], query: str, headers: dict[str, str], body: bytes
) -> None:
    before = w.tables()
    answer = w.client(method, f"/{'/'.join(path)}?{query}", body=body, headers=headers)
    assert answer.status in (200, 400, 401, 403, 404, 405), answer.body
    assert w.tables() == before or "simulator" not in path  # the token may have been hit upon, a signature not
    w.settle()
    w.check_alive()
