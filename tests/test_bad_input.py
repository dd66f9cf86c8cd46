"""Bad input is answered, not felt: by the words of the documents, with nothing stored and nothing sent.

One gateway with the real carriers (SignalWire signed and with a token) is asked everything, over WSGI and over its
socket; after each request every table is compared, and so is what reached the carriers.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from bad_input import BOB, CARRIERS, KEY, KEYED, World, opened
from gateways import TOKEN

from gateway.testing.garbage import GARBAGE
from gateway.web.bodies import LIMIT

API_ROUTES = [
    ("GET", "/tn"), ("POST", "/tn"), ("DELETE", "/tn"),
    ("GET", "/session"), ("POST", "/session"), ("DELETE", "/session"),
    ("GET", "/api/rest/numberPool"), ("POST", "/api/rest/numberPool"),
    ("DELETE", "/api/rest/numberPool/%2B12065550100"), ("POST", "/api/rest/numberMask"),
    ("GET", "/api/rest/numberMask/%2B12065550100"), ("DELETE", "/api/rest/numberMask/%2B12065550100"),
]  # fmt: skip
BODY_ROUTES = [
    (method, path) for method, path in API_ROUTES if method != "GET" and path.count("/") < 4
]  #: those that read a body
WEBHOOKS = [
    *(f"/webhooks/{name}/{TOKEN}" for name in CARRIERS),
    f"/?token={TOKEN}", f"/texts/route?token={TOKEN}", f"/calls/route?token={TOKEN}",
]  # fmt: skip
OPEN = ["/healthz", "/readyz"]
FLAT = '{"to": "12065550199", "from": "12065550101", "body": "hello", "id": "%s"}'  #: a text by Flowroute that is right


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened(tmp_path_factory.mktemp("bad-input")) as world:
        yield world


def test_no_route_is_forgotten_here(w: World) -> None:
    """A new one belongs into the tables above, and so into every test below. `/v1` has tests of its own."""
    number = "%2B12065550100"
    there = {(route.method, route.rule.replace("<number>", number)) for route in w.client._app.routes}
    webhooks = {"/webhooks/<name>", "/webhooks/<name>/<token>", "/", "/texts/route", "/calls/route"}
    links = {(method, "/recordings/<key>") for method in ("GET", "HEAD")}  # tests of their own: test_recordings.py
    there = {pair for pair in there if not pair[1].startswith("/v1/")} - links
    assert {pair for pair in there if pair[1] not in webhooks} == {*API_ROUTES, *(("GET", path) for path in OPEN)}
    assert {path.partition("?")[0] for path in WEBHOOKS if "?" in path} == {
        path for path in webhooks if "<" not in path
    }


# --- bodies ---------------------------------------------------------------------------------------

BODIES: list[tuple[str, bytes]] = [
    *((name, body[:LIMIT]) for name, _, body in GARBAGE),
    ("a byte order mark", b'\xef\xbb\xbf{"value": "12065550121"}'),
    ("NaN", b'{"value": NaN, "participant_a": NaN, "expiry_window": NaN, "phone_numbers": NaN, "client_number": NaN}'),
    ("NaN beside what is right", b'{"value": "12065550121", "phone_numbers": "+12065550121", "session_id": "x",'
        b' "x": NaN, "participant_a": "+12065550131", "participant_b": "+12065550132", "client_number": "+12065550131",'
        b' "contractor_number": "+12065550132"}'),
    ("infinity", b'{"value": 1e999, "participant_a": 1e999, "phone_numbers": 1e999, "contractor_number": 1e999}'),
    ("a lone surrogate in a key", b'{"\\ud800": 1, "value": "12065550121", "phone_numbers": "+12065550121"}'),
    ("NUL in a number", b'{"value": "1206555\\u00000121", "phone_numbers": "+1206555\\u00000121"}'),
    ("the greatest integer Python reads", b'{"value": ' + b"9" * 4300 + b"}"),
    ("two objects", b'{"value": "12065550121"} {}'),
    ("a comment", b'{"value": "12065550121" /* mine */}'),
    ("single quotes", b"{'value': '12065550121'}"),
    ("a number in Arabic digits", '{"value": "١٢٠٦٥٥٥٠١٢١", "phone_numbers": "+١٢٠٦٥٥٥٠١٢١"}'.encode()),
    ("true for everything", b'{"value": true, "participant_a": true, "participant_b": true, "phone_numbers": true,'
        b' "client_number": true, "contractor_number": true, "session_id": true}'),
    ("objects for everything", b'{"value": {"a": 1}, "participant_a": {"a": 1}, "phone_numbers": {"a": 1},'
        b' "client_number": {"a": 1}, "contractor_number": {"a": 1}, "session_id": {"a": 1}}'),
    ("256 KiB of blanks", b" " * LIMIT),
    ("256 KiB of one string", b'{"value": "' + b"1" * (LIMIT - 13) + b'"}'),
    ("a key twice, the last wrong", b'{"value": "12065550121", "value": 5, "phone_numbers": "+12065550121",'
        b' "phone_numbers": 5, "session_id": "x", "session_id": null}'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body"), BODIES, ids=[name for name, _ in BODIES])
def test_a_body_that_cannot_be_read_is_refused_everywhere(w: World, name: str, body: bytes) -> None:
    for method, path in BODY_ROUTES:
        w.refuse(method, path, *({400, 404} if path == "/tn" else {400}), body=body, headers=KEYED)
    for path in WEBHOOKS:
        w.refuse("POST", path, 400, 403, body=body)


@pytest.mark.parametrize(("method", "path"), [*BODY_ROUTES, *(("POST", path) for path in WEBHOOKS)], ids=str)
def test_a_body_of_256_kib_is_read_and_one_byte_more_is_413(w: World, method: str, path: str) -> None:
    w.refuse(method, path, 400, 403, body=b"{" + b" " * (LIMIT - 1), headers=KEYED)
    w.refuse(method, path, 413, body=b"{" + b" " * LIMIT, headers=KEYED)


def test_a_key_that_stands_twice_counts_as_its_last(w: World) -> None:
    body = b'{"value": "nonsense", "value": "12065550111"}'
    assert w.client("POST", "/tn", body=body, headers=KEYED).status == 200
    body = b'{"value": "12065550112", "value": "12065550111"}'
    assert w.client("DELETE", "/tn", body=body, headers=KEYED).json()["value"] == "12065550111"


# --- headers and methods --------------------------------------------------------------------------

WRONG_KEYS = {
    "none": None, "empty": "", "a scheme alone": "Bearer", "a blank key": "Bearer  ", "another": "Bearer x",
    "with more behind it": f"Bearer {KEY}x", "a part of it": f"Bearer {KEY[:-1]}", "without a scheme": KEY,
    "the list of keys": f"Bearer {KEY},{KEY}", "another scheme": f"Digest {KEY}", "no UTF-8": "Bearer \xff\xfe",
    "UTF-8": f"Bearer {KEY}é".encode().decode("latin-1"), "NUL": f"Bearer {KEY}\x00",
    "upper case": f"Bearer {KEY.upper()}",
    "Basic, no base64": "Basic ???", "Basic, no ASCII": "Basic \xff", "Basic without a colon":
        f"Basic {base64.b64encode(KEY.encode()).decode()}", "Basic, the key as the user":
        f"Basic {base64.b64encode(f'{KEY}:'.encode()).decode()}", "Basic, empty":
        f"Basic {base64.b64encode(b':').decode()}", "Basic, no UTF-8":
        f"Basic {base64.b64encode(bytes([0xff, 0x3a, 0xff])).decode()}", "long": "Bearer " + "x" * 60_000,
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
def test_without_a_key_the_answer_is_401_on_every_route_of_the_api(w: World, wrong: str | None) -> None:
    headers = {} if wrong is None else {"Authorization": wrong}
    for method, path in API_ROUTES:
        body = (
            b'{"value": "12065550121", "phone_numbers": "+12065550121", "participant_a": "+12065550131",'
            b'"participant_b": "+12065550132", "client_number": "+12065550131", "contractor_number": "+12065550132"}'
        )
        answer = w.refuse(method, path, 401, body=body, headers=headers)
        assert KEY.encode() not in answer.body


HEADERS = {
    "no UTF-8": {"User-Agent": "\xff\xfe", "Accept": "\x80", "X-Forwarded-For": "\xe9"},
    "many": {f"X-{number}": "x" for number in range(500)},
    "long": {"X-Long": "x" * 200_000, "Cookie": "a=b;" * 20_000},
    "conditions": {"If-None-Match": "*", "If-Modified-Since": "yesterday", "Range": "bytes=9-1"},
    "no type": {"Content-Type": ""},
    "a type that is none": {"Content-Type": "\xff/;;;=;charset"},
    "a type of 60 kB": {"Content-Type": "x" * 60_000},
    "an unknown charset": {"Content-Type": "application/json; charset=no-such"},
    "a form": {"Content-Type": "application/x-www-form-urlencoded"},
    "a form with files": {"Content-Type": "multipart/form-data"},
    "absurd signatures": {"X-SignalWire-SHA256-Signature": "\xff", "X-Simulator-Signature": "\xff"},
    "forwarded": {"X-Forwarded-Host": "[", "Forwarded": "for=;;;", "Host": "[::", "X-Forwarded-Proto": "gopher"},
    "overriding the method": {"X-HTTP-Method-Override": "DELETE", "Connection": "Upgrade", "Upgrade": "websocket"},
}  # fmt: skip


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
def test_absurd_headers_change_no_answer(w: World, headers: dict[str, str]) -> None:
    for method, path in BODY_ROUTES:
        w.refuse(method, path, 400, body=b"[]", headers=KEYED | headers)
    for path in ("/tn", "/session", "/api/rest/numberPool"):
        w.refuse("GET", path, 200, headers=KEYED | headers)
    for path in WEBHOOKS:
        w.refuse("POST", path, 400, 403, body=b"[]", headers=headers)
    for path in OPEN:
        w.refuse("GET", path, 200, headers=headers)


def test_a_text_with_a_header_that_is_no_utf_8_is_taken_all_the_same(w: World) -> None:
    headers = {"User-Agent": "Caf\xe9/1.0"}
    answer = w.client("POST", WEBHOOKS[0], body=(FLAT % "odd-agent").encode(), headers=headers)
    assert answer.status == 200
    w.settle()
    assert w.networks["flowroute"].handset(BOB).wait_for(2)[-1].text == "hello"


METHODS = ["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PROXY", "ANY", "X" * 200]


@pytest.mark.parametrize("method", METHODS, ids=lambda one: one[:10])
def test_a_method_that_is_not_for_a_path_is_405(w: World, method: str) -> None:
    for path in sorted({path for _, path in API_ROUTES} | set(WEBHOOKS) | set(OPEN)):
        w.refuse(method, path, 405, body=b"{}", headers=KEYED)


def test_what_a_head_asks_for_stores_nothing(w: World) -> None:
    for path in ["/tn", "/session", "/api/rest/numberPool", *WEBHOOKS]:
        answer = w.refuse("HEAD", path, 200, 400, 403, 405, headers=KEYED)
        assert answer.body == b""


# --- paths and queries ----------------------------------------------------------------------------

PARAMETERS = [
    "", ".", "..", "%2e%2e", "%2F", "..%2F..%2Ftn", "%00", "%FF", "%ED%A0%80", "%2B%2B12065550199", "+1 206 555 0199",
    "%252B12065550198", "nonsense", "9" * 5000, "%0D%0AX-Injected:%201", "' OR 1=1 --", "%F0%9F%91%8B", "*", "[::]",
    "%FF%2B12065550198", "%2B12065550198%FF", "%2B12065550198%00", "%2B12065550198%2F", "%2B12065550198;x",
    "%2B1206555019",
]  # fmt: skip


@pytest.mark.parametrize("given", PARAMETERS, ids=lambda one: ascii(one)[:30])
def test_a_path_that_names_no_number_finds_nothing(w: World, given: str) -> None:
    for method, path in (("GET", "numberMask"), ("DELETE", "numberMask"), ("DELETE", "numberPool")):
        answer = w.refuse(method, f"/api/rest/{path}/{given}", 200, 404, 405, headers=KEYED)
        assert answer.status != 200 or answer.body in (b"[]", b"OK")
        assert not {"x-injected", "location"} & answer.headers.keys()


UNKNOWN = ["twilio", "", ".", "..", "%2e", "Flowroute", "flowroute%20", "flowroute%00", "%FFflowroute", "flowroute%FF",
           "flowroute%2F" + TOKEN, "é", "%C3%A9", "x" * 10_000, "..%2Fflowroute", "[", "flowroute;x"]  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN, ids=lambda one: ascii(one)[:30])
def test_a_carrier_nobody_knows_is_404(w: World, name: str) -> None:
    for method in ("GET", "POST"):
        for end in ("", f"/{TOKEN}", "/", f"/{TOKEN}/more"):
            body = (FLAT % "unknown-carrier").encode()
            taken = name == "flowroute%2F" + TOKEN and not end  # a slash by another name: the path is the right one
            if not taken:
                w.refuse(method, f"/webhooks/{name}{end}", 404, 403, body=body)


QUERIES = [
    "?",
    "?=",
    "?&&&",
    "?%",
    "?%FF=%FF",
    "?\xff",
    "?" + "a=1&" * 20_000,
    "?token",
    "?%00",
    "?[]",
    "?a[b]=1",
    "?limit=-1",
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda one: ascii(one)[:20])
def test_an_absurd_query_changes_no_answer(w: World, query: str) -> None:
    for path in ("/tn", "/session", "/api/rest/numberPool", *OPEN):
        w.refuse("GET", path + query, 200, headers=KEYED)
    for path in ("/", "/texts/route", "/calls/route", "/webhooks/flowroute", "/webhooks/signalwire"):
        w.refuse("POST", path + query, 403, body=(FLAT % "absurd-query").encode())


# --- tokens ---------------------------------------------------------------------------------------

WRONG_TOKENS = [
    "", "x", TOKEN[:-1], f"{TOKEN}x", f"{TOKEN}%20", f"%20{TOKEN}", f"{TOKEN}%00", f"{TOKEN}%0A", f"{TOKEN}%FF",
    f"%FF{TOKEN}", TOKEN.upper(), f"{TOKEN}%C3%A9", "%C3%A9", f"{TOKEN},{TOKEN}", "*", "null", "x" * 60_000,
    f"{TOKEN};", f"{TOKEN}%3F",
]  # fmt: skip


@pytest.mark.parametrize("token", WRONG_TOKENS, ids=lambda one: one[:40])
def test_a_wrong_token_is_403_whatever_it_brings(w: World, token: str) -> None:
    for path in (f"/?token={token}", f"/webhooks/flowroute/{token}", f"/?token={TOKEN}&token={token}"):
        answer = w.refuse("POST", path, 403, 404, body=(FLAT % "wrong-token").encode())
        assert answer.status == 404 or answer.body == b""
    receipt = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b"MessageSid=x&MessageStatus=delivered"
    for path in (f"/texts/route?token={token}", f"/webhooks/signalwire/{token}"):
        w.refuse("POST", path, 403, 404, body=body, headers=receipt)
