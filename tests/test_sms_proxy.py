"""SMS Proxy's own API, word for word: each row of its table, with a carrier that does as it is told."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from scripted import Scripted
from wsgi import Answer, Client, SettableClock

from gateway.errors import PermanentSendError, RecipientOptedOut, RetryableSendError, StoreUnavailable
from gateway.records import Origin
from gateway.sessions import end, open_exclusive

TN, OTHER_TN = "12065550100", "12065550109"
ANN, BOB, CARL = "12065550101", "12065550102", "12065550103"
PAIR = {"participant_a": ANN, "participant_b": BOB}

NO_VALUE = {"message": "Required argument: 'value' (str, length <= 18)", "reason": "invalidAPIUsage"}
NO_PAIR = {
    "message": "Required argument: 'participant_a' (str, length <= 18), 'participant_b' (str, length <= 18)",
    "reason": "invalidAPIUsage",
}
NO_SESSION_ID = {"message": "Required argument: 'session_id' (str)", "reason": "invalidAPIUsage"}
NONE_FREE = {"message": "Could not create a new session -- No virtual TNs available.", "status": "failed"}
NO_SUCH_TN = {
    "message": "Virtual TN could not be deleted because it does not exist",
    "reason": "virtual TN not found",
}
START = "[YOUR ORG NAME]: Your new session has started, send a message!"
END = "[YOUR ORG NAME]: This session has ended, talk to you again soon!"


@pytest.fixture
def flowroute(carriers: dict[str, Any]) -> Scripted:
    return carriers["flowroute"]


def add(client: Client, *numbers: str) -> None:
    for number in numbers:
        assert client("POST", "/tn", json={"value": number}).status == 200


def start(client: Client, a: str = ANN, b: str = BOB, **more: Any) -> dict[str, Any]:
    answer = client("POST", "/session", json={"participant_a": a, "participant_b": b, **more})
    assert answer.status == 200, answer
    return answer.json()


def texts(client: Client) -> list[tuple[str, str, str]]:
    """Return (from, to, text) of each message that was ever to be sent."""
    return [(row["mask"], row["recipient"], row["text"]) for row in client.outbox()]


def pool(client: Client) -> dict[str, Any]:
    return client("GET", "/tn").json()


def no_session(id: str) -> dict[str, str]:
    return {
        "message": f"ProxySession {id} could not be deleted because it does not exist",
        "reason": "ProxySession not found",
    }


# --- POST /tn -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [TN, int(TN), f"+{TN}", f" {TN} "],
    ids=["string", "JSON number", "with plus", "white space around it"],
)
def test_a_number_is_added_in_whatever_form_and_shown_as_digits(client: Client, value: Any) -> None:
    answer = client("POST", "/tn", json={"value": value})
    assert (answer.status, answer.json()) == (200, {"message": "Successfully added TN to pool", "value": TN})
    assert pool(client) == {
        "virtual_tns": [{"value": TN, "session_id": None}],
        "pool_size": 1,
        "available": 1,
        "in_use": 0,
    }


@pytest.mark.parametrize("again", [TN, int(TN), f"+{TN}"], ids=["same", "JSON number", "with plus"])
def test_a_number_that_is_there_is_not_added_again(client: Client, again: Any) -> None:
    add(client, TN)
    answer = client("POST", "/tn", json={"value": again})
    assert (answer.status, answer.json()) == (
        400,
        {"message": "Virtual TN already exists", "reason": "duplicate virtual TN"},
    )
    assert pool(client)["pool_size"] == 1


def test_the_other_carriers_number_is_already_there_and_never_changes_hands(client: Client) -> None:
    client("POST", "/api/rest/numberPool", json={"phone_numbers": f"+{TN}"})
    assert client("POST", "/tn", json={"value": TN}).json()["reason"] == "duplicate virtual TN"
    assert pool(client)["virtual_tns"] == []
    deleted = client("DELETE", "/tn", json={"value": TN})
    assert (deleted.status, deleted.json()) == (404, NO_SUCH_TN)
    assert client("POST", "/session", json=PAIR).json() == NONE_FREE
    assert client("GET", "/api/rest/numberPool").json() == [{"phone_number": f"+{TN}", "in_use": 0}]


NOT_ARGUMENTS = {"null": None, "true": True, "list": [TN], "object": {"value": TN}, "fraction": 12065550100.5}


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    "body",
    [{}, {"tn": TN}, *({"value": value} for value in NOT_ARGUMENTS.values())],
    ids=["missing", "another key", *NOT_ARGUMENTS],
)
def test_without_a_value_the_answer_names_it(client: Client, method: str, body: Any) -> None:
    before = client.rows()
    answer = client(method, "/tn", json=body)
    assert (answer.status, answer.json()) == (400, NO_VALUE)
    assert client.rows() == before


@pytest.mark.parametrize("value", ["1" * 19, int("1" * 19), f"{TN}        "], ids=["digits", "number", "blanks"])
def test_a_value_longer_than_18_is_no_value_to_add_and_unknown_to_delete(client: Client, value: Any) -> None:
    add(client, TN)
    posted, deleted = (client(method, "/tn", json={"value": value}) for method in ("POST", "DELETE"))
    assert (posted.status, posted.json()) == (400, NO_VALUE)
    if str(value).strip() != TN:
        assert (deleted.status, deleted.json()) == (404, NO_SUCH_TN)


NOT_NUMBERS = {
    "empty": "",
    "blank": " ",
    "word": "somebody",
    "short code": "55512",
    "too long for E.164": "1" * 18,
    "two pluses": f"++{TN}",
    "dashes": "206-555-0100",
    "ten digits of +1 are nine": "+1206555010",
    "leading zero": "012065550100",
    "negative": -12065550100,
    "zero": 0,
    "Arabic digits": "١٢٠٦٥٥٥٠١٠٠",
    "NUL": f"{TN}\x00",
    "quote": "' OR 1=1 --",
}


@pytest.mark.parametrize("value", NOT_NUMBERS.values(), ids=NOT_NUMBERS)
def test_what_is_no_phone_number_is_refused_in_words(client: Client, value: Any) -> None:
    answer = client("POST", "/tn", json={"value": value})
    assert (answer.status, set(answer.json())) == (400, {"message", "reason"})
    assert "phone number" in answer.json()["message"]
    assert answer.json()["reason"] == "invalidAPIUsage"
    deleted = client("DELETE", "/tn", json={"value": value})
    assert (deleted.status, deleted.json()) == (404, NO_SUCH_TN)
    assert client.rows()["numbers"] == 0


# --- GET and DELETE /tn ---------------------------------------------------------------------------


def test_the_pool_is_listed_oldest_first_with_who_is_on_what(client: Client) -> None:
    numbers = ["12065550108", "12065550100", "447700900123"]
    add(client, *numbers)
    session = start(client)
    listed = pool(client)
    assert [tn["value"] for tn in listed["virtual_tns"]] == numbers
    assert {tn["value"]: tn["session_id"] for tn in listed["virtual_tns"]} == dict.fromkeys(numbers) | {
        session["virtual_tn"]: session["session_id"]
    }
    assert (listed["pool_size"], listed["available"], listed["in_use"]) == (3, 2, 1)


@pytest.mark.parametrize("value", [TN, int(TN), f"+{TN}"], ids=["string", "JSON number", "with plus"])
def test_a_number_is_removed_in_whatever_form(client: Client, value: Any) -> None:
    add(client, TN)
    answer = client("DELETE", "/tn", json={"value": value})
    assert (answer.status, answer.json()) == (
        200,
        {"message": "Successfully removed TN from pool", "value": TN, "status": "succeeded"},
    )
    assert pool(client)["pool_size"] == 0


def test_an_unknown_number_cannot_be_removed(client: Client) -> None:
    answer = client("DELETE", "/tn", json={"value": TN})
    assert (answer.status, answer.json()) == (404, NO_SUCH_TN)


def test_a_number_with_a_live_session_stays(client: Client) -> None:
    add(client, TN)
    id = start(client)["session_id"]
    answer = client("DELETE", "/tn", json={"value": TN})
    words = f"Cannot delete the number. There is an active ProxySession {id} using that VirtualTN."
    assert (answer.status, answer.json()) == (400, {"message": words, "status": "failed"})
    assert client("DELETE", "/session", json={"session_id": id}).status == 200
    assert client("DELETE", "/tn", json={"value": TN}).status == 200


def test_an_expired_session_is_nowhere_counted_though_nobody_swept(
    serve: Callable[..., Client], clock: SettableClock
) -> None:
    client = serve(sending=False)
    add(client, TN, OTHER_TN)
    kept = [start(client, expiry_window=10), start(client, CARL, BOB, expiry_window=10)]
    clock.tick(minutes=10, ms=-1)
    assert client("GET", "/session").json()["total_sessions"] == 2
    clock.tick(ms=1)
    assert client("GET", "/session").json() == {"total_sessions": 0, "sessions": []}
    for session in kept:
        ended = client("DELETE", "/session", json={"session_id": session["session_id"]})
        assert (ended.status, ended.json()) == (404, no_session(session["session_id"]))
    assert client("DELETE", "/tn", json={"value": OTHER_TN}).status == 200
    assert pool(client) == {
        "virtual_tns": [{"value": TN, "session_id": None}],
        "pool_size": 1,
        "available": 1,
        "in_use": 0,
    }
    assert {row["kind"] for row in client.outbox()} == {"start"}  # and nobody was told


def test_a_number_whose_session_expired_is_listed_as_free(serve: Callable[..., Client], clock: SettableClock) -> None:
    client = serve(sending=False)
    add(client, TN)
    id = start(client, expiry_window=10)["session_id"]
    clock.tick(minutes=10, ms=-1)
    assert pool(client)["virtual_tns"] == [{"value": TN, "session_id": id}]
    clock.tick(ms=1)
    assert pool(client) == {
        "virtual_tns": [{"value": TN, "session_id": None}],
        "pool_size": 1,
        "available": 1,
        "in_use": 0,
    }


def test_a_number_whose_session_expired_serves_the_next(serve: Callable[..., Client], clock: SettableClock) -> None:
    client = serve(sending=False)
    add(client, TN)
    start(client, expiry_window=0.5)
    clock.tick(seconds=30)
    assert start(client, CARL, BOB)["virtual_tn"] == TN


# --- POST /session --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [(ANN, BOB), (f"+{ANN}", f"+{BOB}"), (int(ANN), int(BOB))],
    ids=["digits", "with plus", "JSON numbers"],
)
def test_a_session_starts_and_both_are_told_from_its_number(
    client: Client, flowroute: Scripted, a: Any, b: Any
) -> None:
    add(client, TN)
    session = start(client, a, b)
    assert re.fullmatch("[0-9a-f]{32}", session.pop("session_id"))
    assert session == {
        "message": "Created new session",
        "status": "succeeded",
        "expiry_date": None,
        "virtual_tn": TN,
        "participant_a": ANN,
        "participant_b": BOB,
    }
    assert [(sent.sender, sent.recipient, sent.text) for sent in sorted(flowroute.sent, key=lambda m: m.recipient)] == [
        (f"+{TN}", f"+{ANN}", START),
        (f"+{TN}", f"+{BOB}", START),
    ]


def test_the_texts_are_the_operators_and_the_organisation_is_in_capitals(serve: Callable[..., Client]) -> None:
    client = serve(ORG_NAME="Café & Sons", SESSION_START_MSG="hi  there", SESSION_END_MSG="bye\n")
    add(client, TN)
    client("DELETE", "/session", json={"session_id": start(client)["session_id"]})
    words = [text for _, _, text in texts(client)]
    assert words == ["[CAFÉ & SONS]: hi  there"] * 2 + ["[CAFÉ & SONS]: bye\n"] * 2


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (10, "2026-05-19 22:19:58"),
        (0.5, "2026-05-19 22:10:28"),
        (1440, "2026-05-20 22:09:58"),
        (100 * 365 * 1440, "2126-04-25 22:09:58"),
        (0, None),
        (0.0, None),
        (None, None),
    ],
    ids=["minutes", "a fraction", "a day", "a century", "zero", "zero point zero", "null"],
)
def test_a_session_lives_as_long_as_its_window(client: Client, window: Any, expected: str | None) -> None:
    add(client, TN)
    assert start(client, expiry_window=window)["expiry_date"] == expected
    assert client("GET", "/session").json()["sessions"][0]["expiry_date"] == expected


BAD_WINDOWS = {
    "negative": "-1",
    "a little negative": "-0.001",
    "word": '"ten"',
    "string": '"10"',
    "true": "true",
    "false": "false",
    "list": "[10]",
    "object": "{}",
    "over a century": str(100 * 365 * 1440 + 1),
    "infinite": "1e400",
    "absurd": "9" * 4000,
    "NaN": "NaN",
    "Infinity": "Infinity",
}


@pytest.mark.parametrize("window", BAD_WINDOWS.values(), ids=BAD_WINDOWS)
def test_a_window_that_is_no_number_of_minutes_is_refused(client: Client, window: str) -> None:
    add(client, TN)
    before = client.rows()
    body = f'{{"participant_a": "{ANN}", "participant_b": "{BOB}", "expiry_window": {window}}}'
    answer = client("POST", "/session", body=body.encode())
    assert (answer.status, answer.json()["reason"]) == (400, "invalidAPIUsage")
    assert client.rows() == before


LONG = "1" * 19


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"participant_a": ANN},
        {"participant_b": BOB},
        PAIR | {"participant_a": LONG},
        PAIR | {"participant_b": LONG},
        PAIR | {"participant_b": LONG, "participant_a": "nobody", "expiry_window": -1},
        *(PAIR | {"participant_a": value} for value in NOT_ARGUMENTS.values()),
        *(PAIR | {"participant_b": value} for value in NOT_ARGUMENTS.values()),
    ],
)
def test_without_two_participants_the_answer_names_them(client: Client, body: Any) -> None:
    add(client, TN)
    before = client.rows()
    answer = client("POST", "/session", json=body)
    assert (answer.status, answer.json()) == (400, NO_PAIR)
    assert client.rows() == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        *((PAIR | {"participant_a": value}, "phone number") for value in NOT_NUMBERS.values()),
        *((PAIR | {"participant_b": value}, "phone number") for value in NOT_NUMBERS.values()),
        ({"participant_a": ANN, "participant_b": ANN}, "different"),
        ({"participant_a": ANN, "participant_b": f"+{ANN}"}, "different"),
        ({"participant_a": ANN, "participant_b": int(ANN)}, "different"),
        ({"participant_a": TN, "participant_b": BOB}, "pool"),
    ],
)
def test_people_who_cannot_talk_to_each_other_are_refused_in_words(client: Client, body: Any, words: str) -> None:
    add(client, TN, OTHER_TN)
    before = client.rows()
    answer = client("POST", "/session", json=body)
    assert (answer.status, set(answer.json()), answer.json()["reason"]) == (
        400,
        {"message", "reason"},
        "invalidAPIUsage",
    )
    assert words in answer.json()["message"]
    assert client.rows() == before


def test_without_a_free_number_there_is_no_session(client: Client) -> None:
    answer = client("POST", "/session", json=PAIR)
    assert (answer.status, answer.json()) == (400, NONE_FREE)
    add(client, TN)
    start(client)
    answer = client("POST", "/session", json={"participant_a": CARL, "participant_b": ANN})
    assert (answer.status, answer.json()) == (400, NONE_FREE)


def test_of_many_at_once_as_many_start_as_numbers_are_free(client: Client) -> None:
    add(client, TN, OTHER_TN)
    gate = threading.Barrier(8)

    def one(i: int) -> Answer:
        gate.wait()
        return client("POST", "/session", json={"participant_a": f"1206555020{i}", "participant_b": f"1206555030{i}"})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 2 + [400] * 6
    assert {answer.json()["virtual_tn"] for answer in answers if answer.status == 200} == {TN, OTHER_TN}
    assert all(answer.json() == NONE_FREE for answer in answers if answer.status == 400)


def test_numbers_are_picked_at_random(serve: Callable[..., Client]) -> None:
    client = serve(sending=False)
    add(client, *(f"1206555{i:04}" for i in range(20)))
    picked = []
    for _ in range(12):
        session = start(client)
        picked.append(session["virtual_tn"])
        client("DELETE", "/session", json={"session_id": session["session_id"]})
    assert len(set(picked)) > 2


# --- what the carrier says to start texts ---------------------------------------------------------


def to(number: str, does: Callable[[], Any]) -> Callable[[Any], Any]:
    """Return what a carrier is to do: `does` for `number`, and take what is for others."""
    return lambda message: does() if message.recipient == f"+{number}" else None


@pytest.mark.parametrize("refused", [ANN, BOB], ids=["the first", "the second"])
@pytest.mark.parametrize(
    ("error", "strerr"),
    [
        (PermanentSendError("no such number", code="21"), "no such number"),
        (PermanentSendError(""), None),
        (RecipientOptedOut("the recipient said STOP"), "the recipient said STOP"),
    ],
    ids=["in words", "without words", "opted out"],
)
def test_a_session_whose_start_text_is_refused_for_good_never_was(
    client: Client, flowroute: Scripted, error: Exception, strerr: str | None, refused: str
) -> None:
    add(client, TN)
    flowroute.on_send = to(refused, lambda: error)
    answer = client("POST", "/session", json=PAIR)
    assert (answer.status, answer.json()) == (
        500,
        {
            "message": "An error occured when requesting against Flowroute's API.",
            "strerr": strerr,
            "reason": "InternalSMSDispatcherError",
        },
    )
    assert client("GET", "/session").json() == {"total_sessions": 0, "sessions": []}
    assert pool(client)["available"] == 1
    told = {ANN, BOB} - {refused}
    assert [(to, text) for _, to, text in texts(client) if text == END] == [(f"+{number}", END) for number in told]
    assert client("DELETE", "/tn", json={"value": TN}).status == 200


def test_somebody_who_opted_out_cannot_be_drawn_into_a_session(client: Client, store: Any, flowroute: Scripted) -> None:
    add(client, TN)
    store.write(lambda tx: tx.opt_out(f"+{BOB}", "", 1))
    answer = client("POST", "/session", json=PAIR)
    assert (answer.status, answer.json()["reason"]) == (500, "InternalSMSDispatcherError")
    flowroute.wait_for(2)
    assert [(sent.recipient, sent.text) for sent in flowroute.sent] == [(f"+{ANN}", START), (f"+{ANN}", END)]


def test_a_start_text_that_is_still_here_is_taken_back(client: Client, flowroute: Scripted) -> None:
    add(client, TN)
    flowroute.on_send = lambda message: (
        PermanentSendError("no") if message.recipient == f"+{ANN}" else RetryableSendError("not now")
    )
    assert client("POST", "/session", json=PAIR).status == 500
    states = {row["recipient"]: (row["state"], row["text"]) for row in client.outbox()}
    assert states == {f"+{ANN}": ("failed", START), f"+{BOB}": ("failed", START)}


def test_whoever_may_have_been_sent_the_start_text_gets_the_end_text_after_it(
    client: Client, flowroute: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(client, TN)
    monkeypatch.setattr("gateway.web.sms_proxy.WAIT", 0.3)
    release = threading.Event()
    flowroute.on_send = lambda message: (
        PermanentSendError("no") if message.recipient == f"+{ANN}" else release.wait(20) and None
    )
    assert client("POST", "/session", json=PAIR).status == 500
    release.set()
    assert flowroute.wait_for(2) == [START, END]
    assert {message.recipient for message in flowroute.accepted} == {f"+{BOB}"}


@pytest.mark.parametrize(
    "error", [RetryableSendError("503"), RuntimeError("a bug in the plugin")], ids=["an outage", "a bug"]
)
def test_a_hiccup_of_the_carrier_does_not_show(client: Client, flowroute: Scripted, error: Exception) -> None:
    add(client, TN)
    flowroute.on_send = lambda message: error
    id = start(client)["session_id"]
    assert client("GET", "/session").json()["sessions"][0]["id"] == id


def test_start_texts_are_sent_again_after_an_outage(client: Client, flowroute: Scripted, clock: SettableClock) -> None:
    add(client, TN)
    flowroute.on_send = to(BOB, lambda: RetryableSendError("503"))
    start(client)
    flowroute.on_send = lambda message: None
    clock.tick(minutes=1)
    client.context.dispatcher.ring()
    assert flowroute.wait_for(2) == [START, START]


def test_a_carrier_that_hangs_is_waited_for_no_longer_than_allowed(
    client: Client, flowroute: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(client, TN)
    monkeypatch.setattr("gateway.web.sms_proxy.WAIT", 0.2)
    release = threading.Event()
    flowroute.on_send = lambda message: release.wait(20) and None
    try:
        start(client)
    finally:
        release.set()


def test_the_call_waits_for_both(client: Client, flowroute: Scripted) -> None:
    add(client, TN)
    first = threading.Event()

    def slowly(message: Any) -> Exception | None:
        if message.recipient == f"+{ANN}":
            first.set()
            return None
        first.wait(20)
        return PermanentSendError("no")

    flowroute.on_send = slowly
    assert client("POST", "/session", json=PAIR).status == 500


def test_a_session_that_somebody_ended_while_it_was_being_refused_is_not_ended_twice(
    client: Client, flowroute: Scripted
) -> None:
    add(client, TN)

    def refuse_after_the_end(message: Any) -> Exception | None:
        if message.recipient != f"+{BOB}" or message.text != START:
            return None
        id = client("GET", "/session").json()["sessions"][0]["id"]
        assert client("DELETE", "/session", json={"session_id": id}).status == 200
        return PermanentSendError("no")

    flowroute.on_send = refuse_after_the_end
    assert client("POST", "/session", json=PAIR).status == 500
    ends = [recipient for _, recipient, text in texts(client) if text == END]
    assert sorted(ends) == [f"+{ANN}", f"+{BOB}"]


def test_a_session_is_told_of_though_the_wait_for_it_broke_off(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(ids: Any, timeout: float) -> None:
        raise StoreUnavailable("the database did not answer")

    add(client, TN)
    monkeypatch.setattr(client.context.dispatcher, "wait_until_answered", unavailable)
    assert start(client)["virtual_tn"] == TN


# --- GET and DELETE /session ----------------------------------------------------------------------


def test_sessions_are_listed_oldest_first(client: Client, clock: SettableClock) -> None:
    add(client, TN, OTHER_TN)
    first = start(client, expiry_window=10)
    clock.tick(seconds=5)
    second = start(client, CARL, BOB)
    listed = client("GET", "/session").json()
    assert listed == {
        "total_sessions": 2,
        "sessions": [
            {
                "id": first["session_id"],
                "date_created": "2026-05-19 22:09:58",
                "virtual_tn": first["virtual_tn"],
                "participant_a": ANN,
                "participant_b": BOB,
                "expiry_date": "2026-05-19 22:19:58",
            },
            {
                "id": second["session_id"],
                "date_created": "2026-05-19 22:10:03",
                "virtual_tn": second["virtual_tn"],
                "participant_a": CARL,
                "participant_b": BOB,
                "expiry_date": None,
            },
        ],
    }


def test_a_session_is_ended_and_both_are_told(client: Client, flowroute: Scripted) -> None:
    add(client, TN)
    id = start(client)["session_id"]
    answer = client("DELETE", "/session", json={"session_id": id})
    assert (answer.status, answer.json()) == (
        200,
        {"message": "Successfully ended the session.", "status": "succeeded", "session_id": id},
    )
    flowroute.wait_for(4)
    ends = [(sent.sender, sent.recipient) for sent in flowroute.sent if sent.text == END]
    assert sorted(ends) == [(f"+{TN}", f"+{ANN}"), (f"+{TN}", f"+{BOB}")]
    assert pool(client)["virtual_tns"] == [{"value": TN, "session_id": None}]
    assert client("GET", "/session").json()["total_sessions"] == 0


def test_a_session_ends_once(client: Client) -> None:
    add(client, TN)
    id = start(client)["session_id"]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: client("DELETE", "/session", json={"session_id": id}), range(4)))
    assert sorted(answer.status for answer in answers) == [200, 404, 404, 404]
    assert sum(text == END for _, _, text in texts(client)) == 2


@pytest.mark.parametrize("error", [RetryableSendError("503"), PermanentSendError("no")], ids=["outage", "refused"])
def test_what_the_carrier_does_with_end_texts_does_not_show(
    client: Client, flowroute: Scripted, error: Exception
) -> None:
    add(client, TN)
    id = start(client)["session_id"]
    flowroute.on_send = lambda message: error
    assert client("DELETE", "/session", json={"session_id": id}).status == 200


@pytest.mark.parametrize("id", ["0" * 32, "", "x", "1" * 100_000, "\x00" * 32, "Z" * 32, 12], ids=repr)
def test_a_session_nobody_knows_cannot_be_ended(client: Client, id: Any) -> None:
    answer = client("DELETE", "/session", json={"session_id": id})
    assert (answer.status, answer.json()) == (404, no_session(str(id)))


@pytest.mark.parametrize("body", [{}, *({"session_id": value} for value in NOT_ARGUMENTS.values())], ids=repr)
def test_without_a_session_id_the_answer_names_it(client: Client, body: Any) -> None:
    answer = client("DELETE", "/session", json=body)
    assert (answer.status, answer.json()) == (400, NO_SESSION_ID)


def test_one_number_keeps_working_session_after_session(client: Client) -> None:
    add(client, TN)
    for other in (BOB, CARL, BOB):
        session = start(client, ANN, other)
        assert session["virtual_tn"] == TN
        assert client("DELETE", "/session", json={"session_id": session["session_id"]}).status == 200


def test_sessions_of_the_other_carrier_are_not_to_be_seen_or_ended(client: Client, store: Any) -> None:
    client("POST", "/api/rest/numberPool", json={"phone_numbers": f"+{TN}"})
    client("POST", "/api/rest/numberMask", json={"client_number": ANN, "contractor_number": BOB})
    assert client("GET", "/session").json()["total_sessions"] == 0
    id = store.read(lambda tx: tx.query("SELECT id FROM sessions")[0]["id"])
    assert client("DELETE", "/session", json={"session_id": id}).status == 404
    assert client("GET", "/api/rest/numberPool").json() == [{"phone_number": f"+{TN}", "in_use": 1}]


def test_with_one_carrier_for_both_each_api_shows_what_the_other_opened(serve: Callable[..., Client]) -> None:
    client = serve(GATEWAY_MASK_CARRIER="flowroute")
    add(client, TN)
    client("POST", "/api/rest/numberMask", json={"client_number": ANN, "contractor_number": BOB})
    listed = client("GET", "/session").json()["sessions"]
    assert [(one["virtual_tn"], one["participant_a"], one["participant_b"]) for one in listed] == [(TN, ANN, BOB)]
    assert pool(client)["virtual_tns"] == [{"value": TN, "session_id": listed[0]["id"]}]
    assert client("DELETE", "/session", json={"session_id": listed[0]["id"]}).status == 200
    assert client("GET", f"/api/rest/numberMask/{TN}").json() == []


def test_a_session_of_three_people_has_no_form_here(client: Client, store: Any, clock: SettableClock) -> None:
    add(client, TN)
    settings = client.context.settings
    people = [f"+{ANN}", f"+{BOB}", f"+{CARL}"]
    opened = store.write(
        lambda tx: open_exclusive(
            tx, people, carrier="flowroute", origin=Origin.V1, expires_at=None, settings=settings, now=clock()
        )
    )
    assert client("GET", "/session").json()["total_sessions"] == 0
    assert client("DELETE", "/session", json={"session_id": opened.session.id}).status == 404
    assert opened.session.id in client("DELETE", "/tn", json={"value": TN}).json()["message"]
    store.write(lambda tx: end(tx, opened.session, "ended", settings, clock()))
    assert pool(client)["available"] == 1


# --- keys, methods, bodies ------------------------------------------------------------------------

ROUTES = [("GET", "/tn"), ("POST", "/tn"), ("DELETE", "/tn")]
ROUTES += [("GET", "/session"), ("POST", "/session"), ("DELETE", "/session")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}], ids=["no key", "a wrong key"])
def test_without_a_key_nothing_is_done(
    serve: Callable[..., Client], method: str, path: str, given: dict[str, str]
) -> None:
    client = serve(GATEWAY_API_KEYS="a-long-random-word-of-ours")
    before = client.rows()
    answer = client(method, path, json={"value": TN} | PAIR, headers=given)
    assert answer.status == 401
    assert client.rows() == before
    right = {"Authorization": "Bearer a-long-random-word-of-ours"}
    assert client(method, path, json={"value": TN} | PAIR, headers=right).status != 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/tn", 405),
        ("PATCH", "/session", 405),
        ("GET", "/", 405),
        ("DELETE", "/", 405),
        ("GET", "/tn/", 404),
        ("GET", "/tns", 404),
        ("GET", "/session/1", 404),
    ],
)
def test_other_methods_and_paths_are_answered_as_such(client: Client, method: str, path: str, status: int) -> None:
    assert client(method, path).status == status


GARBAGE = {
    "empty": b"",
    "no JSON": b"value=12065550100",
    "half": b'{"value": "1206555',
    "list": b'["12065550100"]',
    "string": b'"12065550100"',
    "number": b"12065550100",
    "null": b"null",
    "invalid UTF-8": b'{"value": "\xff\xfe12065550100"}',
    "UTF-16": '{"value": "12065550100"}'.encode("utf-16"),
    "lone surrogate": b'{"value": "\\ud800", "participant_a": "\\udfff", "session_id": "\\ud800"}',
    "surrogate key": b'{"\\ud800": 1}',
    "NaN": b'{"value": NaN}',
    "an integer of 5000 digits": b'{"value": ' + b"1" * 5000 + b"}",
    "deeply nested": b'{"value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "256 KiB": b'{"value": "' + b"x" * (256 * 1024 - 13) + b'"',
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] != "GET"])
def test_what_is_no_json_object_is_refused_in_this_apis_shape(
    client: Client, method: str, path: str, body: bytes
) -> None:
    add(client, TN)
    before = client.rows()
    answer = client(method, path, body=body)
    assert (answer.status, set(answer.json()), answer.json()["reason"]) == (
        400,
        {"message", "reason"},
        "invalidAPIUsage",
    )
    assert client.rows() == before


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] != "GET"])
@pytest.mark.parametrize("size", [256 * 1024, 256 * 1024 + 1], ids=["the limit", "one more"])
def test_a_body_may_be_256_kib_and_not_a_byte_more(client: Client, method: str, path: str, size: int) -> None:
    frame = json.dumps({"value": TN, "session_id": "0" * 32, **PAIR, "x": ""}).encode()
    body = frame.replace(b'"x": ""', b'"x": "' + b"x" * (size - len(frame)) + b'"')
    assert len(body) == size
    add(client, OTHER_TN)
    before = client.rows()
    answer = client(method, path, body=body)
    assert (answer.status == 413) is (size > 256 * 1024)
    if answer.status == 413:
        assert client.rows() == before


def test_a_session_whose_carrier_is_not_configured_is_not_opened(serve: Callable[..., Client]) -> None:
    client = serve(GATEWAY_TN_CARRIER="umbrella")
    add(client, TN)
    refused = client("POST", "/session", json=PAIR)
    assert refused.status == 503
    assert "umbrella is not configured" in refused.json()["message"]
    assert client("GET", "/session").json()["total_sessions"] == 0


def test_sessions_that_wait_for_a_silent_carrier_leave_threads_for_webhooks(
    serve: Callable[..., Client], flowroute: Scripted
) -> None:
    gate = threading.Event()
    flowroute.on_send = lambda message: gate.wait(10) and None
    client = serve(GATEWAY_THREADS="3")  # of which one may wait
    add(client, TN, OTHER_TN)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(client, "POST", "/session", json=PAIR)
        while not flowroute.sent:
            pass
        at_once = client("POST", "/session", json={"participant_a": CARL, "participant_b": ANN})
        assert at_once.status == 200
        assert not waiting.done()
        gate.set()
        assert waiting.result().status == 200


@pytest.mark.parametrize("field", ["participant_a", "participant_b"])
def test_ten_digits_without_a_country_code_text_nobody_abroad(client: Client, field: str) -> None:
    """+2065550101 is a number in Egypt; who types 2065550101 means +1 206 555 0101."""
    add(client, TN)
    answer = client("POST", "/session", json=PAIR | {field: "2065550105"})
    assert answer.status == 400
    assert answer.json()["message"].startswith(f"'{field}' is without a country code: ")
    assert client("POST", "/tn", json={"value": 2065550105}).status == 400
    assert texts(client) == []
