"""The frame of `/v1`: keys and roles, problems, methods, repeats, pages for people, other origins."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from v1 import places, refused
from wsgi import Client, SettableClock

from gateway.housekeeping import sweep
from gateway.store import Store, Tx
from gateway.web.bodies import LIMIT
from gateway.web.v1 import paging, problems, table, words
from gateway.web.v1.operations import Call, Nothing
from gateway.web.v1.paging import Paging
from gateway.web.v1.problems import Refusal
from gateway.web.v1.reading import judged
from gateway.web.v1.types import Grounds, Input, time_ms, written_duration, written_time

TN, OTHER, THIRD = "+12065550100", "+12065550109", "+442071838750"
ADD = {"number": TN, "carrier": "flowroute"}
KEYS = {
    "admin": "boss:admin:the-boss-s-secret",
    "operator": "shop:operator:the-shop-s-secret:with-a-colon",
    "reader": "board:reader:the-board-s-secret",
    "alone": "a-secret-that-stands-alone",
}
SECRETS = {who: key.split(":", 2)[-1] for who, key in KEYS.items()}


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[who]}"}


def paths(client: Client) -> dict[str, list[str]]:
    """Return the methods of every path, with a number for what varies."""
    found: dict[str, list[str]] = {}
    for one in table(client.context):
        found.setdefault(
            one.path.replace("{number}", TN).replace("{id}", "0" * 32).replace("{name}", "flowroute"), []
        ).append(one.method)
    return found


# --- the table --------------------------------------------------------------------------------------


def test_whatever_changes_something_runs_as_a_unit_with_its_idempotency_key(client: Client) -> None:
    handlers = {one.id: one.handler.__qualname__ for one in table(client.context) if one.method != "GET"}
    assert handlers.pop("delete_recording") == "delete_recording"  # between its two units it asks a carrier
    assert {name: way for name, way in handlers.items() if not way.startswith("writing.")} == {}


def test_every_operation_has_a_name_of_its_own_and_says_who_may(client: Client) -> None:
    operations = table(client.context)
    assert len({one.id for one in operations}) == len(operations)
    open_to_all = {one.path for one in operations if one.role is None}
    assert open_to_all == {"/v1/openapi.json", "/v1/docs", "/v1/docs/problems", "/v1/docs/style.css"}


# --- keys and roles ---------------------------------------------------------------------------------

MAY = [
    ("GET", "/v1/pool", None, {"admin", "operator", "reader", "alone"}),
    ("GET", "/v1/pool/figures", None, {"admin", "operator", "reader", "alone"}),
    ("POST", "/v1/pool", ADD, {"admin", "operator", "alone"}),
    ("POST", "/v1/pool/import", {"numbers": [ADD]}, {"admin", "operator", "alone"}),
    ("PATCH", f"/v1/pool/{TN}", {"label": "x"}, {"admin", "operator", "alone"}),
    ("DELETE", f"/v1/pool/{TN}", None, {"admin", "alone"}),
    ("POST", "/v1/sessions", {"participants": [{"number": TN}, {"number": OTHER}]}, {"admin", "operator", "alone"}),
    ("GET", "/v1/sessions", None, {"admin", "operator", "reader", "alone"}),
    ("PATCH", f"/v1/sessions/{'0' * 32}", {}, {"admin", "operator", "alone"}),
    ("POST", f"/v1/sessions/{'0' * 32}/end", {}, {"admin", "operator", "alone"}),
    ("POST", f"/v1/sessions/{'0' * 32}/messages", {"text": "x"}, {"admin", "operator", "alone"}),
    ("GET", f"/v1/masks/{TN}", None, {"admin", "operator", "reader", "alone"}),
    ("POST", "/v1/opt-outs", {"participant": TN}, {"admin", "operator", "alone"}),
    ("DELETE", f"/v1/opt-outs/{TN}", None, {"admin", "operator", "alone"}),
    ("GET", "/v1/carriers", None, {"admin", "operator", "reader", "alone"}),
    ("GET", "/tn", None, {"admin", "operator", "reader", "alone"}),
    ("POST", "/tn", {"value": TN}, {"admin", "operator", "alone"}),
    ("DELETE", "/tn", {"value": TN}, {"admin", "alone"}),
    ("DELETE", "/session", {"session_id": "x"}, {"admin", "operator", "alone"}),
    ("DELETE", f"/api/rest/numberPool/{TN}", None, {"admin", "alone"}),
    ("DELETE", f"/api/rest/numberMask/{TN}", None, {"admin", "operator", "alone"}),
]


@pytest.mark.parametrize(("method", "path", "body", "may"), MAY, ids=[f"{row[0]} {row[1]}" for row in MAY])
def test_a_key_opens_what_its_role_says(
    serve: Callable[..., Client], method: str, path: str, body: Any, may: set[str]
) -> None:
    client = serve(sending=False, GATEWAY_API_KEYS=",".join(KEYS.values()))
    before = client.rows()
    sent: dict[str, Any] = {} if body is None else {"json": body}
    for who in KEYS.keys() - may:
        words = refused(client(method, path, headers=bearer(who), **sent), 403)["detail"]
        assert f"the role {KEYS[who].split(':')[1]}" in words
    refused(client(method, path, headers={"Authorization": "Bearer wrong"}, **sent), 401)
    assert "www-authenticate" in client(method, path, **sent).headers
    assert client.rows() == before
    for who in may:
        assert client(method, path, headers=bearer(who), **sent).status not in (401, 403)


def test_without_keys_everybody_may_do_everything(client: Client) -> None:
    assert client("POST", "/v1/pool", json=ADD).status == 201
    assert client("DELETE", f"/v1/pool/{TN}").status == 204


def test_whoever_may_not_is_told_nothing_of_what_is_there(serve: Callable[..., Client]) -> None:
    client = serve(sending=False, GATEWAY_API_KEYS=KEYS["reader"])
    answers = {client("DELETE", f"/v1/pool/{number}", headers=bearer("reader")).body for number in (TN, "x")}
    assert len(answers) == 1


# --- what cannot be read ----------------------------------------------------------------------------

BODIES = {
    "no JSON": b"number=+12065550100",
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "no UTF-8": b'{"number": "\xff"}',
    "half of it": b'{"number": ',
    "NaN": b'{"number": NaN}',
    "a lone surrogate": b'{"label": "\\ud800"}',
    "deep": b'{"a":' * 5000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("way", [("POST", "/v1/pool"), ("PATCH", f"/v1/pool/{TN}")], ids=lambda way: way[0])
def test_a_body_that_is_no_json_object_is_400(client: Client, way: tuple[str, str], body: bytes) -> None:
    refused(client(*way, body=body), 400, "unreadable")


@pytest.mark.parametrize("depth", [150, 300, 500, 900, 1500])
def test_however_deep_a_body_is_it_is_refused(client: Client, depth: int) -> None:
    body = b'{"participants": ' + b"[" * depth + b"]" * depth + b"}"
    assert client("POST", "/v1/sessions", body=body).status in (400, 422)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "\xff"])
def test_a_body_of_another_type_is_415_so_that_no_web_page_writes_unasked(client: Client, kind: str) -> None:
    before = client.rows()
    refused(client("POST", "/v1/pool", json=ADD, headers={"Content-Type": kind}), 415, "media-type")
    assert client.rows() == before


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"])
def test_json_by_any_of_its_names_is_read(client: Client, kind: str) -> None:
    assert client("POST", "/v1/pool", json=ADD, headers={"Content-Type": kind}).status == 201


def test_a_body_beyond_the_limit_is_413(client: Client) -> None:
    refused(client("POST", "/v1/pool", body=b"{" + b" " * LIMIT), 413)


def test_no_body_is_an_empty_one_whose_missing_fields_are_named(client: Client) -> None:
    answer = client("POST", "/v1/pool", headers={"Content-Type": ""})
    assert places(refused(answer, 422, "invalid")) == ["/number", "/carrier"]


def test_every_wrong_thing_is_named_at_once_and_no_value_is_repeated(client: Client) -> None:
    body = {"number": "zebra", "label": 5, "a/b~c": "zebra", "region": "UK", "state": "zebra"}
    answer = client("POST", "/v1/pool?zebra=1", json=body, headers={"Idempotency-Key": "a zebra"})
    document = refused(answer, 422, "invalid")
    assert places(document) == [
        "zebra", "/number", "/carrier", "/region", "/label", "/a~1b~0c", "/state", "Idempotency-Key"
    ]  # fmt: skip
    assert "zebra" not in json.dumps([error["detail"] for error in document["errors"]])


def test_a_wrong_element_is_named_by_its_place(client: Client) -> None:
    body = {"numbers": [ADD, {"number": "+1206555010", "carrier": "acme", "x": 1}]}
    document = refused(client("POST", "/v1/pool/import", json=body), 422, "invalid")
    assert places(document) == ["/numbers/1/number", "/numbers/1/carrier", "/numbers/1/x"]


def test_of_very_many_wrong_fields_a_hundred_are_named(client: Client) -> None:
    document = refused(client("POST", "/v1/pool", json={f"x{i}": 1 for i in range(5000)}), 422, "invalid")
    assert len(document["errors"]) == 100
    assert "5002" in document["detail"]


def test_what_takes_no_body_refuses_the_fields_of_one_and_changes_nothing(client: Client) -> None:
    client("POST", "/v1/pool", json=ADD)
    bodiless = [one for one in table(client.context) if one.method != "GET" and one.body is Nothing]
    assert {"replay_message", "replay_callback", "remove_number"} <= {one.id for one in bodiless}
    for one in bodiless:
        path = one.path.replace("{number}", TN).replace("{id}", "out-1" if one.id == "replay_message" else "1")
        answer = client(one.method, path, json={"dry_run": True})
        assert "/dry_run" in places(refused(answer, 422, "invalid")), one.id
        refused(client(one.method, path, body=b"x=1", headers={"Content-Type": "text/plain"}), 415, "media-type")
    assert client.rows()["numbers"] == 1


STRICT = [("number", 12065550100), ("number", None), ("number", True), ("label", 1), ("label", None),
          ("carrier", ["x"]), ("label", "a\nb"), ("label", "x" * 101), ("label", "a\x00b")]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), STRICT, ids=str)
def test_json_has_types_and_they_count(client: Client, field: str, value: Any) -> None:
    document = refused(client("POST", "/v1/pool", json=ADD | {field: value}), 422, "invalid")
    assert places(document) == [f"/{field}"]
    assert client.rows()["numbers"] == 0


class Counted(Input):
    count: int = 1
    wanted: bool = False


@pytest.mark.parametrize("given", [{"count": "5"}, {"count": 5.5}, {"wanted": 1}, {"wanted": "true"}], ids=str)
def test_what_looks_like_a_number_is_none_in_json(given: dict[str, Any]) -> None:
    wrong: list[problems.Wrong] = []
    grounds = Grounds(default_region="", carriers={})
    assert judged(Counted, given, grounds, wrong, "pointer") is None
    assert [one.pointer for one in wrong] == [f"/{name}" for name in given]


def patterns(schema: Any) -> set[str]:
    """Return the patterns that pydantic holds strings against, of a core schema."""
    if isinstance(schema, (list, tuple)):
        return {found for one in schema for found in patterns(one)}
    if not isinstance(schema, dict):
        return set()
    here = {schema["pattern"]} if schema.get("type") == "str" and schema.get("pattern") else set()
    return here | {found for name, one in schema.items() if name != "metadata" for found in patterns(one)}


def test_what_pydantic_finds_wrong_is_said_in_words_of_ours(client: Client) -> None:
    models = {model for one in table(client.context) for model in (one.params, one.query, one.body)}
    assert {found for model in models for found in patterns(model.__pydantic_core_schema__)} == {*words.PATTERNS}
    wrong = {
        "participants": [{"number": "+12065550101", "name": 5, "pin": "x"}, {"number": OTHER, "name": "x" * 60}, 5],
        "channels": ["smoke"], "external_id": "", "exclusive": 1, "metadata": [], "start_text": " ",
        "calls": {"words": "x" * 600},
    }  # fmt: skip
    requests = [
        client("POST", "/v1/sessions", json=wrong),
        client("POST", "/v1/sessions", json={"participants": [], "channels": []}),
        client("POST", "/v1/sessions", json={"participants": [{"number": OTHER}] * 21}),
        client("GET", "/v1/sessions?limit=999&state=x&nothing=1"),
        client("GET", "/v1/sessions/x?limit=0"),
        client("POST", "/v1/messages/replay", json={"limit": "x", "after": "x", "states": "x"}),
    ]
    found = [error["detail"] for answer in requests for error in refused(answer, 422, "invalid")["errors"]]
    assert len(found) == 21
    assert not [words for words in found if not words.startswith(("is ", "holds "))]
    assert {"is no parameter of this path", "is not 'live' or 'ended'", "holds fewer than 2"} <= {*found}


def test_nul_is_refused_wherever_it_stands(client: Client) -> None:
    assert places(refused(client("GET", "/v1/pool?label=a%00"), 422, "invalid")) == ["label"]
    assert places(refused(client("GET", "/v1/pool/%00"), 422, "invalid")) == ["number"]
    body = {"a\x00": 1, "numbers": [{"b": "\x00"}]}
    assert places(refused(client("POST", "/v1/pool/import", json=body), 422, "invalid")) == ["", "/numbers/0/b"]


QUERIES = [
    ("limit=0", 422), ("limit=201", 422), ("limit=-1", 422), ("limit=x", 422), ("limit=1_0", 422), ("limit=", 422),
    ("limit=%D9%A1", 422), ("limit=1&limit=1", 422), ("unknown=1", 422), ("in_use=1", 422), ("state=gone", 422),
    ("region=us", 422), ("carrier=A%20B", 422), ("limit=" + "9" * 5000, 422), ("a=1&" * 3000, 422), ("label=%FF", 400),
    ("\xff", 400), ("cursor=x", 400), ("cursor=", 400), ("cursor=W10", 400), ("cursor=" + "x" * 1025, 422),
    ("limit=1", 200), ("", 200), ("&&", 200), ("label=", 200),
]  # fmt: skip


@pytest.mark.parametrize(("query", "status"), QUERIES, ids=lambda one: ascii(one)[:24])
def test_a_query_is_judged_as_strictly(client: Client, query: str, status: int) -> None:
    answer = client("GET", f"/v1/pool?{query}")
    assert answer.status == status
    assert answer.type == ("application/json" if status == 200 else "application/problem+json")


# --- methods and paths ------------------------------------------------------------------------------

OTHERS = ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "PROXY", "ANY"]


def test_a_method_that_is_not_for_a_path_is_405_and_allow_says_which_are(client: Client) -> None:
    for path, methods in paths(client).items():
        allow = ", ".join(sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}))
        for method in set(OTHERS) - set(methods):
            answer = client(method, path)
            refused(answer, 405)
            assert answer.headers["allow"] == allow, (method, path)


def test_every_path_answers_options_without_a_key(serve: Callable[..., Client]) -> None:
    client = serve(sending=False, GATEWAY_API_KEYS=KEYS["alone"])
    for path, methods in paths(client).items():
        answer = client("OPTIONS", path)
        assert (answer.status, answer.body) == (204, b"")
        assert set(methods) < set(answer.headers["allow"].split(", "))
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_head_answers_as_get_without_the_body(client: Client) -> None:
    client("POST", "/v1/pool", json=ADD)
    for path, methods in paths(client).items():
        if "GET" in methods:
            got, head = client("GET", path), client("HEAD", path)
            assert (head.status, head.body) == (got.status, b"")
            assert head.headers == got.headers
        else:
            assert client("HEAD", path).status == 405


@pytest.mark.parametrize("path", ["/v1/", "/v1/x", "/v1/pool/", "/v1/pool/x/y", "/v1/pools", "/v1/docs/", "/v1/a%2Fb"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PROPFIND"])
def test_where_nothing_is_a_problem_says_so(client: Client, method: str, path: str) -> None:
    refused(client(method, path, json={}), 404)


# --- versions ---------------------------------------------------------------------------------------


def test_whatever_changes_one_thing_that_has_a_version_takes_if_match(client: Client) -> None:
    versioned = {one.id: one for one in table(client.context) if one.takes_version}
    assert versioned.keys() == {"change_number", "remove_number", "change_session", "end_session", "reopen_session"}
    document = client("GET", "/v1/openapi.json").json()
    client("POST", "/v1/pool", json=ADD)
    people = {"participants": [{"number": OTHER}, {"number": THIRD}], "exclusive": True}
    session = client("POST", "/v1/sessions", json=people).json()["id"]
    for id in ("change_session", "end_session", "reopen_session", "change_number", "remove_number"):
        one = versioned[id]
        path = one.path.replace("{number}", TN).replace("{id}", session)
        parameters = document["paths"][one.path][one.method.lower()]["parameters"]
        assert "If-Match" in {each["name"] for each in parameters}
        refused(client(one.method, path, json={}, headers={"If-Match": '"99"'}), 412, "changed")
        tag = client("GET", path.removesuffix("/end").removesuffix("/reopen")).headers["etag"]
        if id == "remove_number":
            client("POST", f"/v1/sessions/{session}/end", json={})
        assert client(one.method, path, json={}, headers={"If-Match": tag}).status in (200, 204), id


def test_a_number_that_was_taken_away_and_added_again_is_another_version(client: Client, clock: SettableClock) -> None:
    client("POST", "/v1/pool", json=ADD)
    tag = client("GET", f"/v1/pool/{TN}").headers["etag"]
    client("DELETE", f"/v1/pool/{TN}")
    clock.tick(ms=1)
    client("POST", "/v1/pool", json=ADD | {"carrier": "signalwire"})
    refused(client("DELETE", f"/v1/pool/{TN}", headers={"If-Match": tag}), 412, "changed")
    assert client.rows()["numbers"] == 1


# --- repeats ----------------------------------------------------------------------------------------

KEYED = {"Idempotency-Key": "7f9a2c"}


def test_a_repeat_is_done_once_and_answered_alike(client: Client) -> None:
    first = client("POST", "/v1/pool", json=ADD, headers=KEYED)
    before = client.rows()
    again = client("POST", "/v1/pool", json=dict(reversed(ADD.items())), headers=KEYED)
    assert (again.status, again.body) == (201, first.body)
    kept = {name: value for name, value in again.headers.items() if name != "idempotency-replayed"}
    assert (kept, again.headers["idempotency-replayed"]) == (first.headers, "true")
    assert client.rows() == before
    refused(client("POST", "/v1/pool", json=ADD), 409, "number-exists")


OTHER_REQUESTS = [
    ("another body", "/v1/pool", ADD | {"label": "x"}),
    ("another path", "/v1/pool/import", {"numbers": [ADD | {"number": OTHER}]}),
]


@pytest.mark.parametrize(("path", "body"), [row[1:] for row in OTHER_REQUESTS], ids=[row[0] for row in OTHER_REQUESTS])
def test_a_key_stands_for_one_request(client: Client, path: str, body: Any) -> None:
    client("POST", "/v1/pool", json=ADD, headers=KEYED)
    refused(client("POST", path, json=body, headers=KEYED), 422, "idempotency-key-reused")
    assert client.rows()["numbers"] == 1


def test_what_was_refused_is_judged_anew(client: Client) -> None:
    refused(client("POST", "/v1/pool", json=ADD | {"number": "x"}, headers=KEYED), 422, "invalid")
    assert client("POST", "/v1/pool", json=ADD).status == 201
    refused(client("POST", "/v1/pool", json=ADD, headers=KEYED), 409, "number-exists")
    client("DELETE", f"/v1/pool/{TN}")
    assert client("POST", "/v1/pool", json=ADD, headers=KEYED).status == 201


def test_each_caller_has_keys_of_their_own(serve: Callable[..., Client]) -> None:
    client = serve(sending=False, GATEWAY_API_KEYS=",".join(KEYS.values()))
    assert client("POST", "/v1/pool", json=ADD, headers=KEYED | bearer("admin")).status == 201
    refused(client("POST", "/v1/pool", json=ADD, headers=KEYED | bearer("operator")), 409, "number-exists")


def test_keys_without_a_name_are_callers_of_their_own_too(serve: Callable[..., Client], store: Store) -> None:
    client = serve(sending=False, GATEWAY_API_KEYS="one-secret,two-secret")
    one, two = ({"Authorization": f"Bearer {secret}"} for secret in ("one-secret", "two-secret"))
    assert client("POST", "/v1/pool", json=ADD, headers=KEYED | one).status == 201
    refused(client("POST", "/v1/pool", json=ADD, headers=KEYED | two), 409, "number-exists")
    assert client("POST", "/v1/pool", json=ADD, headers=KEYED | one).headers["idempotency-replayed"] == "true"
    assert "one-secret" not in str(store.read(lambda tx: tx.query("SELECT * FROM answers")))


def kept(store: Store) -> int:
    """Return how many answers are kept."""
    count: int = store.read(lambda tx: tx.query("SELECT COUNT(*) AS count FROM answers"))[0]["count"]
    return count


def test_a_key_is_forgotten_after_24_hours(client: Client, clock: SettableClock, store: Store) -> None:
    client("POST", "/v1/pool", json=ADD, headers=KEYED)
    clock.tick(hours=24, ms=-1)
    assert client("POST", "/v1/pool", json=ADD, headers=KEYED).status == 201
    sweep(store, client.context.settings, "somebody", clock())
    assert kept(store) == 1
    clock.tick(ms=1)
    refused(client("POST", "/v1/pool", json=ADD, headers=KEYED), 409, "number-exists")
    sweep(store, client.context.settings, "somebody", clock())
    assert kept(store) == 0


@pytest.mark.both_databases
def test_of_repeats_at_once_one_is_done_and_all_are_answered_alike(serve: Callable[..., Client]) -> None:
    client = serve(sending=False)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client("POST", "/v1/pool", json=ADD, headers=KEYED), range(16)))
    assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


@pytest.mark.both_databases
def test_the_answer_is_kept_with_what_it_tells_of_or_neither_is(serve: Callable[..., Client], monkeypatch) -> None:
    client = serve(sending=False)

    def crash(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the process is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Tx, "keep_answer", crash)
        refused(client("POST", "/v1/pool", json=ADD, headers=KEYED), 500)
    assert client.rows()["numbers"] == 0
    assert client("POST", "/v1/pool", json=ADD, headers=KEYED).status == 201


# --- other origins ----------------------------------------------------------------------------------

HERE, ELSEWHERE = "https://app.example.com", "https://evil.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH"}


def test_no_origin_is_let_in_unless_a_setting_says_so(client: Client) -> None:
    for method, path in (("GET", "/v1/pool"), ("OPTIONS", "/v1/pool"), ("GET", "/v1/x")):
        answer = client(method, path, headers={"Origin": HERE} | PREFLIGHT)
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_origins_of_the_setting_may_read_every_answer(serve: Callable[..., Client]) -> None:
    client = serve(sending=False, GATEWAY_CORS_ORIGINS=f"{HERE}, http://localhost:3000", GATEWAY_API_KEYS=KEYS["alone"])
    for method, path, status in (("GET", "/v1/pool", 401), ("PUT", "/v1/pool", 405), ("GET", "/v1/x", 404)):
        answer = client(method, path, headers={"Origin": HERE})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, HERE)
        assert answer.headers["vary"] == "Origin"
        other = client(method, path, headers={"Origin": ELSEWHERE})
        assert "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "Origin"


def test_a_preflight_is_told_methods_and_headers(serve: Callable[..., Client]) -> None:
    client = serve(sending=False, GATEWAY_CORS_ORIGINS="*", GATEWAY_API_KEYS=KEYS["alone"])
    answer = client("OPTIONS", f"/v1/pool/{TN}", headers={"Origin": ELSEWHERE} | PREFLIGHT)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "Authorization" in answer.headers["access-control-allow-headers"]


# --- what describes it ------------------------------------------------------------------------------


def test_the_document_names_the_carriers_there_are(client: Client) -> None:
    document = client("GET", "/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    carrier = document["components"]["schemas"]["AddNumber"]["properties"]["carrier"]
    assert carrier["enum"] == ["flowroute", "signalwire"]


def test_of_what_is_read_null_is_no_default_for_left_out_is_something_else(client: Client) -> None:
    schemas = client("GET", "/v1/openapi.json").json()["components"]["schemas"]
    read = ("ChangeSession", "ChangeParticipant", "ChangeNumber", "EndSession", "CallOptions")
    fields = [(name, field, schema) for name in read for field, schema in schemas[name]["properties"].items()]
    assert [(name, field) for name, field, schema in fields if schema.get("default", "") is None] == []
    assert len(fields) > 15


@pytest.mark.parametrize("ms", [1000, 1001, 99_999_000, 10_000 * 60_000, 36_500 * 86_400_000])
def test_a_ttl_that_is_answered_can_be_asked_for(client: Client, ms: int) -> None:
    asked = client("GET", "/v1/openapi.json").json()["components"]["schemas"]["OpenSession"]["properties"]["ttl"]
    [pattern] = [one["pattern"] for one in asked["anyOf"] if "pattern" in one]
    assert re.fullmatch(pattern, written_duration(ms))


def test_the_document_describes_each_operation_with_its_errors(client: Client) -> None:
    document = client("GET", "/v1/openapi.json").json()
    described = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    expected = {(one.path, one.method) for one in table(client.context) if not one.path.startswith("/v1/docs")}
    assert described == expected
    responses = document["paths"]["/v1/pool/{number}"]["delete"]["responses"]
    assert {"204", "401", "403", "404", "409", "412", "422"} < responses.keys()


def test_the_pages_are_whole_and_call_nobody(client: Client) -> None:
    document = client("GET", "/v1/openapi.json").json()
    page = client("GET", "/v1/docs")
    assert page.type == "text/html"
    for item in document["paths"].values():
        for one in item.values():
            assert f'id="{one["operationId"]}"' in page.text
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text + client("GET", "/v1/docs/style.css").text
    assert "https://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_every_link_of_the_pages_leads_somewhere(client: Client) -> None:
    for path in ("/v1/docs", "/v1/docs/problems"):
        text = client("GET", path).text
        ids = set(re.findall(r'id="([^"]+)"', text))
        for target in re.findall(r'href="([^"]+)"', text):
            found = target[1:] in ids if target.startswith("#") else client("GET", target).status == 200
            assert found, target


def test_every_problem_is_explained_where_its_type_points_to(client: Client) -> None:
    page = client("GET", "/v1/docs/problems").text
    for one in problems.every_type():
        assert f'id="{one.slug}"' in page
    assert len({one.slug for one in problems.every_type()}) == len(problems.every_type())


# --- times and durations ----------------------------------------------------------------------------

TIMES = [
    ("2026-01-02T03:04:05.678Z", 1_767_323_045_678), ("2026-01-02T03:04:05Z", 1_767_323_045_000),
    ("2026-01-02t03:04:05.678901z", 1_767_323_045_678), ("2026-01-02T04:04:05.6+01:00", 1_767_323_045_600),
    ("1970-01-01T00:00:00.000Z", 0), ("0001-01-01T00:00:00Z", -62_135_596_800_000),
]  # fmt: skip


@pytest.mark.parametrize(("text", "ms"), TIMES, ids=[text for text, _ in TIMES])
def test_a_time_is_read_as_ms_utc(text: str, ms: int) -> None:
    assert time_ms(text) == ms


NO_TIMES = ["", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "2026-02-30T00:00:00Z", "20260102T030405Z",
            "2026-01-02T24:00:01Z", "2026-W01-1T00:00:00Z", "2026-01-02T03:04:05.Z", 5, None]  # fmt: skip


@pytest.mark.parametrize("value", NO_TIMES, ids=str)
def test_anything_else_is_no_time(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a time of RFC 3339"):
        time_ms(value)


OUTSIDE = ["0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+00:01"]


@pytest.mark.parametrize("text", OUTSIDE)
def test_a_time_outside_the_calendar_in_utc_is_none_as_it_could_not_be_written(client: Client, text: str) -> None:
    with pytest.raises(ValueError, match="is not a time of RFC 3339"):
        time_ms(text)
    query = text.replace("+", "%2B")
    answer = client("GET", f"/v1/messages?since={query}&until={query}")
    assert places(refused(answer, 422, "invalid")) == ["since", "until"]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "0999-01-01T00:00:00.001Z"])
def test_every_time_that_is_read_can_be_written(text: str) -> None:
    assert written_time(time_ms(text)) == text


def test_a_time_is_written_with_ms() -> None:
    assert written_time(1_767_323_045_008) == "2026-01-02T03:04:05.008Z"


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0d"), (1, "1ms"), (900_000, "15m"), (5_400_000, "90m"), (86_400_000, "1d")]
)
def test_a_duration_is_written_in_the_greatest_unit_that_divides_it(ms: int, text: str) -> None:
    assert written_duration(ms) == text


# --- cursors ----------------------------------------------------------------------------------------

FORGED = [(5,), ("a", "b"), (), ("\x00",), (None,), (True,), (1 << 63,), ("\ud800",)]


@pytest.mark.parametrize("key", FORGED, ids=str)
def test_a_cursor_that_somebody_made_up_reaches_no_database(client: Client, key: tuple[Any, ...]) -> None:
    """No secret is in a cursor, so one with another key can be made, mark and all."""
    call = Call(
        context=client.context, now=0, caller="", path=Nothing(), query=Paging(cursor=None), body=Nothing(),
        target="/v1/x", fingerprint="",
    )  # fmt: skip
    made = replace(call, query=Paging(cursor=paging.write(call, key)))
    with pytest.raises(Refusal) as caught:
        paging.after(made, int if key == (1 << 63,) else str)
    assert caught.value.type is problems.BAD_CURSOR
