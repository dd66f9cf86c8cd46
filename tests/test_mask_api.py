"""The Caller ID Masking API, word for word: each row of its table, and the examples of its README."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from wsgi import Answer, Client, SettableClock

from gateway.records import Origin
from gateway.sessions import open_exclusive
from gateway.store import Store

POOL, MASK = "/api/rest/numberPool", "/api/rest/numberMask"
ONE, TWO = "+15551231111", "+15551232222"
CLIENT, CONTRACTOR, OTHER = "+15559990000", "+15558001234", "+15558005678"
PAIR = {"client_number": CLIENT, "contractor_number": CONTRACTOR}

NONE_FREE = "There are no usable numbers in the pool.  Please add numbers, or remove unused masks."


def text(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.type, answer.text


def ok(answer: Answer) -> None:
    assert text(answer) == (200, "text/plain", "OK")


def refused(answer: Answer, words: str) -> None:
    assert text(answer) == (400, "text/plain", words)


def add(client: Client, *numbers: str) -> None:
    ok(client("POST", POOL, json={"phone_numbers": ", ".join(numbers)}))


def bind(client: Client, **more: Any) -> dict[str, Any]:
    answer = client("POST", MASK, json=PAIR | more)
    assert answer.status == 200, answer
    return answer.json()


def pool(client: Client) -> list[tuple[str, int]]:
    return [(row["phone_number"], row["in_use"]) for row in client("GET", POOL).json()]


def invalid(number: str) -> str:
    return f"{number} is not a valid E.164 formatted phone number"


# --- numberPool -----------------------------------------------------------------------------------


def test_the_examples_of_the_old_readme_work(client: Client) -> None:
    ok(client("POST", POOL, json={"phone_numbers": "+15551231111,+15551232222"}))
    assert client("GET", POOL).json() == [
        {"phone_number": "+15551231111", "in_use": 0},
        {"phone_number": "+15551232222", "in_use": 0},
    ]
    bound = client("POST", MASK, json={"client_number": "+15559990000", "contractor_number": "+15558001234"}).json()
    mask = bound["mask_number"]
    assert bound == {
        "client_number": "+15559990000",
        "contractor_number": "+15558001234",
        "mask_number": mask,
        "created_at": "2026-05-19 22:09:58",
        "expires_at": "2026-05-20 22:09:58",
        "deleted": 0,
    }
    assert mask in (ONE, TWO)
    assert client("GET", f"{MASK}/{mask}").json() == [bound]
    ok(client("DELETE", f"{MASK}/{mask}"))
    ok(client("DELETE", f"{POOL}/{mask}"))
    assert pool(client) == [(number, 0) for number in (ONE, TWO) if number != mask]
    assert client.outbox() == []  # nobody is texted at start or end


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (ONE, [ONE]),
        (f"{ONE},{TWO}", [ONE, TWO]),
        (f"  {TWO} ,  {ONE} ", [TWO, ONE]),
        ("+1 555 123 1111", [ONE]),
        ("15551231111", [ONE]),
        (15551231111, [ONE]),
        (f"{ONE},{ONE},15551231111", [ONE]),
        ("+447700900123,+4915112345678,+6421123456", ["+447700900123", "+4915112345678", "+6421123456"]),
    ],
    ids=["one", "two", "spaces", "spaces inside", "no plus", "JSON number", "the same thrice", "any country"],
)
def test_numbers_are_added_in_whatever_form_and_shown_as_e164(client: Client, given: Any, added: list[str]) -> None:
    ok(client("POST", POOL, json={"phone_numbers": given}))
    assert pool(client) == [(number, 0) for number in added]


def test_numbers_that_are_there_are_skipped(client: Client) -> None:
    add(client, ONE)
    add(client, ONE, TWO)
    assert pool(client) == [(ONE, 0), (TWO, 0)]


def test_the_other_carriers_number_is_skipped_and_never_changes_hands(client: Client) -> None:
    client("POST", "/tn", json={"value": ONE})
    add(client, ONE, TWO)
    assert pool(client) == [(TWO, 0)]
    ok(client("DELETE", f"{POOL}/{ONE}"))
    assert client("GET", "/tn").json()["virtual_tns"] == [{"value": ONE[1:], "session_id": None}]


@pytest.mark.parametrize("body", [{}, {"numbers": ONE}, *({"phone_numbers": one} for one in (None, "", 0, [], {}))])
def test_without_phone_numbers_the_answer_names_them(client: Client, body: Any) -> None:
    refused(client("POST", POOL, json=body), "Required param phone_numbers missing")


NOT_NUMBERS = {
    "word": ("somebody", "somebody"),
    "short": ("+155512311", "+155512311"),
    "long": ("+1555123111111111", "+1555123111111111"),
    "eleven digits after +1": ("+155512311111", "+155512311111"),
    "two pluses": ("++15551231111", "++15551231111"),
    "NUL": ("+15551231111\x00", "+15551231111\x00"),
    "Arabic digits": ("+١٥٥٥١٢٣١١١١", "+١٥٥٥١٢٣١١١١"),
    "JSON true": (True, "true"),
    "list": ([ONE], f'["{ONE}"]'),
    "object": ({"a": 1}, '{"a": 1}'),
    "fraction": (1.5, "1.5"),
    "negative": (-15551231111, "-15551231111"),
    "a page": ("x" * 1000, "x" * 64),
}


@pytest.mark.parametrize(("given", "shown"), NOT_NUMBERS.values(), ids=NOT_NUMBERS)
def test_what_is_no_phone_number_is_named_and_nothing_is_added(client: Client, given: Any, shown: str) -> None:
    before = client.rows()
    refused(client("POST", POOL, json={"phone_numbers": given}), invalid(shown))
    if isinstance(given, str):
        refused(client("POST", POOL, json={"phone_numbers": f"{ONE}, {given}, {TWO}"}), invalid(shown))
    assert client.rows() == before


@pytest.mark.parametrize("given", [f"{ONE},", f",{ONE}", ",", " "])
def test_a_gap_between_commas_is_no_phone_number(client: Client, given: str) -> None:
    refused(client("POST", POOL, json={"phone_numbers": given}), invalid(""))
    assert pool(client) == []


@pytest.mark.parametrize("written", [ONE, ONE.replace("+", "%2B"), ONE[1:]], ids=["plus", "escaped", "no plus"])
def test_a_number_is_removed_in_whatever_form(client: Client, written: str) -> None:
    add(client, ONE, TWO)
    ok(client("DELETE", f"{POOL}/{written}"))
    assert pool(client) == [(TWO, 0)]


UNKNOWN = ["+15551239999", "nobody", "%00", "55512", "1" * 5000, "%F0%9F%98%80", "+1%20555"]


@pytest.mark.parametrize("number", UNKNOWN, ids=range(len(UNKNOWN)))
def test_what_nobody_knows_is_ok_to_delete_and_has_no_records(client: Client, number: str) -> None:
    add(client, ONE)
    bind(client)
    ok(client("DELETE", f"{POOL}/{number}"))
    ok(client("DELETE", f"{MASK}/{number}"))
    assert client("GET", f"{MASK}/{number}").json() == []
    assert pool(client) == [(ONE, 1)]


def test_a_number_with_a_live_mask_stays(client: Client) -> None:
    add(client, ONE)
    bind(client)
    answer = client("DELETE", f"{POOL}/{ONE}")
    assert (answer.status, answer.type) == (400, "text/plain")
    assert "in use" in answer.text
    assert pool(client) == [(ONE, 1)]


# --- numberMask -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"client_number": CLIENT[1:], "contractor_number": CONTRACTOR[1:]},
        {"client_number": int(CLIENT), "contractor_number": int(CONTRACTOR)},
        {"expires_in": None},
    ],
    ids=["E.164", "no plus", "JSON numbers", "expires_in null"],
)
def test_a_mask_is_bound_for_a_day(client: Client, given: Any) -> None:
    add(client, ONE)
    assert bind(client, **given) == {
        "client_number": CLIENT,
        "contractor_number": CONTRACTOR,
        "mask_number": ONE,
        "created_at": "2026-05-19 22:09:58",
        "expires_at": "2026-05-20 22:09:58",
        "deleted": 0,
    }
    assert pool(client) == [(ONE, 1)]


@pytest.mark.parametrize(
    ("seconds", "expires_at"),
    [(60, "2026-05-19 22:10:58"), (0.75, "2026-05-19 22:09:59"), (172_800, "2026-05-21 22:09:58"), (0, None)],
    ids=["a minute", "a fraction", "two days", "never"],
)
def test_a_mask_may_live_shorter_or_longer(client: Client, seconds: float, expires_at: str | None) -> None:
    add(client, ONE)
    assert bind(client, expires_in=seconds)["expires_at"] == expires_at


@pytest.mark.parametrize(
    "seconds", ["-1", '"60"', "true", "[60]", "{}", "1e400", "9" * 4000, str(100 * 365 * 86_400 + 1), "-1e-9"]
)
def test_a_life_that_is_no_number_of_seconds_is_refused(client: Client, seconds: str) -> None:
    add(client, ONE)
    before = client.rows()
    body = json.dumps(PAIR)[:-1] + f', "expires_in": {seconds}}}'
    answer = client("POST", MASK, body=body.encode())
    assert (answer.status, answer.type) == (400, "text/plain")
    assert "expires_in must be a number of seconds" in answer.text
    assert client.rows() == before


@pytest.mark.parametrize("missing", [None, "", 0, [], {}, False], ids=repr)
@pytest.mark.parametrize("name", ["contractor_number", "client_number"])
def test_without_two_people_the_answer_names_who_is_missing(client: Client, name: str, missing: Any) -> None:
    add(client, ONE)
    words = f"Required param {name} missing"
    refused(client("POST", MASK, json={key: value for key, value in PAIR.items() if key != name}), words)
    refused(client("POST", MASK, json=PAIR | {name: missing}), words)


def test_of_two_who_are_missing_the_contractor_is_named(client: Client) -> None:
    refused(client("POST", MASK, json={}), "Required param contractor_number missing")


@pytest.mark.parametrize("name", ["contractor_number", "client_number"])
@pytest.mark.parametrize(("given", "shown"), NOT_NUMBERS.values(), ids=NOT_NUMBERS)
def test_a_person_who_is_no_phone_number_is_refused(client: Client, name: str, given: Any, shown: str) -> None:
    add(client, ONE)
    before = client.rows()
    refused(client("POST", MASK, json=PAIR | {name: given}), invalid(shown))
    assert client.rows() == before


def test_of_two_invalid_ones_the_contractor_is_named(client: Client) -> None:
    refused(client("POST", MASK, json={"client_number": "a", "contractor_number": "b"}), invalid("b"))


@pytest.mark.parametrize(
    ("given", "words"),
    [({"client_number": CONTRACTOR}, "different"), ({"client_number": ONE}, "pool")],
    ids=["the same person", "a number of ours"],
)
def test_people_who_cannot_talk_to_each_other_are_refused_in_words(client: Client, given: Any, words: str) -> None:
    add(client, ONE, TWO)
    before = client.rows()
    answer = client("POST", MASK, json=PAIR | given)
    assert (answer.status, answer.type) == (400, "text/plain")
    assert words in answer.text
    assert client.rows() == before


def test_without_a_free_number_there_is_no_mask(client: Client) -> None:
    refused(client("POST", MASK, json=PAIR), NONE_FREE)
    add(client, ONE)
    bind(client)
    refused(client("POST", MASK, json=PAIR | {"client_number": OTHER}), NONE_FREE)


def test_of_many_at_once_as_many_are_bound_as_numbers_are_free(client: Client) -> None:
    add(client, ONE, TWO)

    def one(i: int) -> Answer:
        people = {"client_number": f"+1555999001{i}", "contractor_number": f"+1555800123{i}"}
        return client("POST", MASK, json=people)

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(one, range(6)))
    assert sorted(answer.status for answer in answers) == [200] * 2 + [400] * 4
    assert {answer.json()["mask_number"] for answer in answers if answer.status == 200} == {ONE, TWO}


@pytest.mark.parametrize("written", [ONE, ONE.replace("+", "%2B"), ONE[1:]], ids=["plus", "escaped", "no plus"])
def test_a_mask_is_shown_and_deleted_in_whatever_form_and_its_number_is_free(client: Client, written: str) -> None:
    add(client, ONE)
    first = bind(client)
    assert client("GET", f"{MASK}/{written}").json() == [first]
    ok(client("DELETE", f"{MASK}/{written}"))
    assert client("GET", f"{MASK}/{written}").json() == []
    assert pool(client) == [(ONE, 0)]
    assert bind(client, client_number=OTHER)["mask_number"] == ONE
    assert client.outbox() == []


def test_expired_records_are_listed_oldest_first_until_the_mask_is_deleted(
    serve: Callable[..., Client], clock: SettableClock
) -> None:
    client = serve(sending=False)
    add(client, ONE)
    first = bind(client)
    clock.tick(hours=24)
    assert pool(client) == [(ONE, 0)]  # and nobody swept
    second = bind(client, client_number=OTHER)
    assert client("GET", f"{MASK}/{ONE}").json() == [first, second]
    clock.tick(hours=24)
    assert client("GET", f"{MASK}/{ONE}").json() == [first, second]
    ok(client("DELETE", f"{MASK}/{ONE}"))
    assert client("GET", f"{MASK}/{ONE}").json() == []
    assert pool(client) == [(ONE, 0)]
    assert client.outbox() == []


def test_a_number_whose_mask_expired_can_be_removed_and_its_records_stay(
    serve: Callable[..., Client], clock: SettableClock
) -> None:
    client = serve(sending=False)
    add(client, ONE)
    bound = bind(client)
    clock.tick(hours=24, ms=-1)
    assert client("DELETE", f"{POOL}/{ONE}").status == 400
    clock.tick(ms=1)
    ok(client("DELETE", f"{POOL}/{ONE}"))
    assert client("GET", f"{MASK}/{ONE}").json() == [bound]


def test_deleting_one_mask_leaves_the_others(client: Client) -> None:
    add(client, ONE, TWO)
    first, second = bind(client), bind(client, client_number=OTHER)
    ok(client("DELETE", f"{MASK}/{first['mask_number']}"))
    assert client("GET", f"{MASK}/{second['mask_number']}").json() == [second]
    assert dict(pool(client)) == {first["mask_number"]: 0, second["mask_number"]: 1}


def test_the_other_carriers_masks_are_not_to_be_seen_or_ended(client: Client) -> None:
    client("POST", "/tn", json={"value": ONE})
    client("POST", "/session", json={"participant_a": CLIENT, "participant_b": CONTRACTOR})
    assert client("GET", f"{MASK}/{ONE}").json() == []
    ok(client("DELETE", f"{MASK}/{ONE}"))
    assert client("GET", "/session").json()["total_sessions"] == 1


def test_with_one_carrier_for_both_a_session_of_sms_proxy_is_a_record_without_expiry(
    serve: Callable[..., Client],
) -> None:
    client = serve(GATEWAY_TN_CARRIER="signalwire")
    add(client, ONE)
    client("POST", "/session", json={"participant_a": CLIENT, "participant_b": CONTRACTOR})
    record = PAIR | {"mask_number": ONE, "created_at": "2026-05-19 22:09:58", "expires_at": None, "deleted": 0}
    assert client("GET", f"{MASK}/{ONE}").json() == [record]
    ok(client("DELETE", f"{MASK}/{ONE}"))
    assert client("GET", "/session").json()["total_sessions"] == 0


def test_a_session_of_three_people_has_no_record_and_is_deleted_with_its_mask(client: Client, store: Store) -> None:
    add(client, ONE)
    people, settings = [CLIENT, CONTRACTOR, OTHER], client.context.settings
    store.write(
        lambda tx: open_exclusive(
            tx, people, carrier="signalwire", origin=Origin.V1, expires_at=None, settings=settings, now=1
        )
    )
    assert client("GET", f"{MASK}/{ONE}").json() == []
    assert pool(client) == [(ONE, 1)]
    ok(client("DELETE", f"{MASK}/{ONE}"))
    assert pool(client) == [(ONE, 0)]


# --- keys, methods, bodies ------------------------------------------------------------------------

ROUTES = [("GET", POOL), ("POST", POOL), ("DELETE", f"{POOL}/{ONE}")]
ROUTES += [("POST", MASK), ("GET", f"{MASK}/{ONE}"), ("DELETE", f"{MASK}/{ONE}")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}], ids=["no key", "a wrong key"])
def test_without_a_key_nothing_is_done(
    serve: Callable[..., Client], method: str, path: str, given: dict[str, str]
) -> None:
    client = serve(GATEWAY_API_KEYS="a-long-random-word-of-ours")
    before = client.rows()
    answer = client(method, path, json={"phone_numbers": ONE} | PAIR, headers=given)
    assert answer.status == 401
    assert client.rows() == before
    right = {"Authorization": "Bearer a-long-random-word-of-ours"}
    assert client(method, path, json={"phone_numbers": ONE} | PAIR, headers=right).status != 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", POOL, 405),
        ("DELETE", POOL, 405),
        ("GET", f"{POOL}/{ONE}", 405),
        ("GET", MASK, 405),
        ("POST", f"{MASK}/{ONE}", 405),
        ("GET", f"{MASK}/{ONE}/x", 404),
        ("GET", f"{MASK}/", 404),
    ],
)
def test_other_methods_and_paths_are_answered_as_such(client: Client, method: str, path: str, status: int) -> None:
    assert client(method, path).status == status


GARBAGE = {
    "empty": b"",
    "no JSON": b"phone_numbers=+15551231111",
    "half": b'{"phone_numbers": "+1555',
    "list": b'["+15551231111"]',
    "string": b'"+15551231111"',
    "null": b"null",
    "invalid UTF-8": b'{"phone_numbers": "\xff\xfe"}',
    "lone surrogate": b'{"phone_numbers": "\\ud800", "client_number": "\\ud800", "contractor_number": "1"}',
    "NaN": b'{"phone_numbers": NaN}',
    "an integer of 5000 digits": b'{"phone_numbers": ' + b"1" * 5000 + b"}",
    "deeply nested": b'{"phone_numbers": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("path", [POOL, MASK])
def test_what_is_no_json_object_is_refused_as_plain_text(client: Client, path: str, body: bytes) -> None:
    add(client, ONE)
    before = client.rows()
    refused(client("POST", path, body=body), "The body must be a JSON object.")
    assert client.rows() == before


@pytest.mark.parametrize("path", [POOL, MASK])
@pytest.mark.parametrize(("size", "status"), [(256 * 1024, 200), (256 * 1024 + 1, 413)], ids=["the limit", "one more"])
def test_a_body_may_be_256_kib_and_not_a_byte_more(client: Client, path: str, size: int, status: int) -> None:
    add(client, ONE)
    before = client.rows()
    frame = json.dumps({"phone_numbers": TWO, **PAIR, "x": ""}).encode()
    body = frame.replace(b'"x": ""', b'"x": "' + b"x" * (size - len(frame)) + b'"')
    assert len(body) == size
    assert client("POST", path, body=body).status == status
    assert (client.rows() == before) is (status == 413)


def test_a_pool_as_large_as_a_body_holds_is_added_at_once(client: Client) -> None:
    numbers = [f"+1555{i:07}" for i in range(5000)]
    add(client, *numbers)
    assert pool(client) == [(number, 0) for number in numbers]
