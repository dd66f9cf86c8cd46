"""Calls from the first ring to the last word, by webhooks and steps at URLs nobody can guess."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
from v1 import refused
from voices import SIGNATURE, Phone, Voice
from wsgi import Client, SettableClock

from gateway.carrier import Carrier
from gateway.store import Store

MASKS = ANNS, BOBS, CARLS = "+12065550191", "+12065550192", "+12065550193"
PEOPLE = ANN, BOB, CARL, EVE = "+12065550101", "+12065550102", "+12065550103", "+12065550166"


@pytest.fixture
def voice(carriers: dict[str, Carrier]) -> Voice:
    carriers["voice"] = Voice()
    return carriers["voice"]


@pytest.fixture
def client(voice: Voice, serve: Callable[..., Client]) -> Client:
    return ready(serve(sending=False))


def ready(client: Client) -> Client:
    for mask in MASKS:
        assert client("POST", "/v1/pool", json={"number": mask, "carrier": "voice"}).status == 201
    return client


def open_(client: Client, *people: str, status: int = 201, **more: Any) -> Any:
    named = [{"number": who, "mask": mask} for who, mask in zip(people or (ANN, BOB), MASKS, strict=False)]
    answer = client("POST", "/v1/sessions", json={"participants": named} | more)
    assert answer.status == status, answer
    return answer.json() if status == 201 else answer


def calls(client: Client) -> list[dict[str, Any]]:
    return client("GET", "/v1/calls").json()["data"]


def last(client: Client) -> dict[str, Any]:
    return calls(client)[0]


def events(client: Client, kinds: str = "call,recording") -> list[tuple[str, str]]:
    found = client("GET", "/v1/events?limit=200").json()["data"]
    return [(one["kind"], one["detail"]) for one in found if one["kind"].partition(".")[0] in kinds.split(",")]


def texts(client: Client) -> list[tuple[str, str, str]]:
    return [(row["recipient"], row["mask"], row["text"]) for row in client.outbox()]


def five_times(work: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(5) as pool:
        return [done.result() for done in [pool.submit(work) for _ in range(5)]]


def of(client: Client, participant: str, **more: Any) -> list[int]:
    """Return the ids of a person's calls, read page by page."""
    found: list[int] = []
    query: dict[str, Any] = {"participant": participant, "limit": 2} | more
    while True:
        page = client("GET", f"/v1/calls?{urlencode(query)}").json()
        found += [one["id"] for one in page["data"]]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


@pytest.mark.both_databases
def test_the_calls_of_a_person_are_those_they_made_were_rung_in_and_their_pin_was_used_for(client: Client) -> None:
    people = [{"number": who, "mask": mask} for who, mask in zip((ANN, BOB, CARL), MASKS, strict=True)]
    opened = client("POST", "/v1/sessions", json={"participants": [people[0] | {"pin": "2468"}, *people[1:]]})
    session = opened.json()["id"]
    client("POST", "/v1/opt-outs", json={"participant": CARL})
    Phone(client, ANN, ANNS, ref="made")
    Phone(client, BOB, BOBS, ref="rung")
    for i, digits in enumerate(("2468", "1111")):
        Phone(client, EVE, ANNS, ref=f"pin-{i}").step("pin", digits=digits)
    refused = Phone(client, CARL, CARLS, ref="opted out")
    assert refused.kind == "Refuse"
    ids = {one["carrier_ref"]: one["id"] for one in calls(client)}
    made, rung, by_pin, wrong, own = (ids[ref] for ref in ("made", "rung", "pin-0", "pin-1", "opted out"))
    assert of(client, ANN) == [by_pin, rung, made]
    assert of(client, BOB) == [by_pin, rung, made]
    assert of(client, CARL) == [own]  # nobody rings who has opted out
    assert of(client, EVE) == [wrong, by_pin]
    assert of(client, ANN, mask=BOBS) == of(client, ANN, session=session, mask=BOBS) == [rung]
    assert of(client, EVE, session=session) == [by_pin]


# --- accepted -----------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_an_accepted_call_from_the_first_ring_to_the_end(client: Client, clock: SettableClock) -> None:
    session = open_(client, calls={"accept": True, "whisper": "A customer.", "ring": "20s", "limit": "1h"})
    phone = Phone(client, ANN, ANNS)
    assert (phone.kind, phone.route["ring_seconds"], phone.route["limit_seconds"]) == ("Connect", 20, 3600)
    assert phone.route["callees"] == [{"number": BOB, "caller_id": BOBS, "position": 1}]
    assert phone.callback == f"http://gw.example.com/webhooks/voice/{phone.key}"
    assert (phone.key[:5], len(phone.key)) == ("call-", 5 + 32)
    assert last(client)["state"] == "ringing"
    phone.tell("answered", 1)
    assert phone.step("screen", 1) == (
        "Screen", {"words": "A customer. Press 1 to take the call.", "accept": True, "callback": phone.callback},
    )  # fmt: skip
    assert last(client)["state"] == "ringing"  # a mailbox picks up as well
    assert phone.step("screened", 1, digits="2")[0] == "Refuse"
    clock.tick(seconds=5)
    assert phone.step("screened", 1, digits="1") == ("Bridge", {})
    assert last(client)["state"] == "answered"
    clock.tick(seconds=42)
    phone.tell("ended", 1, outcome="completed", seconds=40)
    assert phone.step("dialled", connected=True) == ("Refuse", {"words": ""})
    shown = last(client)
    assert (shown["state"], shown["outcome"], shown["answered_by"]) == ("ended", "completed", BOB)
    assert (shown["seconds"], shown["session"], shown["recordings"]) == (40, session["id"], [])
    assert [shown[name][14:23] for name in ("started_at", "answered_at", "ended_at")] == [
        "09:58.250", "10:03.250", "10:45.250",
    ]  # fmt: skip
    [leg] = shown["legs"]
    assert (leg["participant"], leg["mask"], leg["outcome"], leg["seconds"]) == (BOB, BOBS, "completed", 40)
    assert events(client) == [("call.connected", ""), ("call.answered", ""), ("call.ended", "completed")]
    assert texts(client) == []


def pressed(client: Client, *keys: str, last_word: Callable[[Phone], Any] = lambda phone: None) -> dict[str, Any]:
    """Return what is shown of a call to people who answer, one after the other, and press these keys."""
    phone = Phone(client, ANN, ANNS)
    for callee, key in enumerate(keys, 1):
        phone.tell("answered", callee)
        phone.step("screen", callee)
        phone.step("screened", callee, digits=key)
        if key != "1":
            phone.tell("ended", callee, outcome="completed", detail="completed", seconds=0)
    last_word(phone)
    return last(client)


#: What is pressed, what follows, and what the call, the first callee's part and the second's come to.
PRESSED: dict[str, tuple[tuple[str, ...], Callable[[Phone], Any], list[str | None]]] = {
    "another key, or a mailbox": (("2",), lambda phone: phone.step("dialled"), ["no_answer", "declined", None]),
    "then another takes it": (
        ("2", "1"),
        lambda phone: phone.tell("ended", 2, outcome="completed", seconds=9),
        ["completed", "declined", "completed"],
    ),
    "the caller hangs up meanwhile": (("",), lambda phone: phone.tell("ended", outcome="canceled"), [
        "canceled", "canceled", None,
    ]),
    "nobody knows yet": (("",), lambda phone: None, [None, None, None]),
    "nobody knows": (("",), lambda phone: phone.tell("ended", outcome="completed"), ["unknown", "unknown", None]),
}  # fmt: skip


@pytest.mark.parametrize("name", PRESSED)
def test_who_answers_and_does_not_take_a_call_has_not_completed_it(client: Client, name: str) -> None:
    keys, last_word, came_to = PRESSED[name]
    open_(client, ANN, BOB, CARL, calls={"accept": True})
    shown = pressed(client, *keys, last_word=last_word)
    assert [shown["outcome"], *(leg["outcome"] for leg in shown["legs"])] == came_to
    assert shown["legs"][0]["detail"] == "completed"  # the carrier's own word stays


def test_whose_telephone_answers_when_another_one_has_is_canceled(client: Client, clock: SettableClock) -> None:
    open_(client, ANN, BOB, CARL, calls={"accept": True})
    phone = Phone(client, ANN, ANNS)
    phone.tell("answered", 1)
    phone.step("screened", 2, digits="1")
    clock.tick(seconds=1)
    phone.tell("ended", 1, outcome="completed", seconds=1)
    phone.tell("ended", 2, outcome="completed", seconds=8)
    assert [leg["outcome"] for leg in last(client)["legs"]] == ["canceled", "completed"]


def test_without_a_key_to_press_who_answers_is_connected(client: Client) -> None:
    open_(client, calls={"whisper": "A customer."})
    phone = Phone(client, ANN, ANNS)
    assert phone.step("screen", 1)[1]["accept"] is False
    phone.tell("answered", 1)
    assert (last(client)["state"], last(client)["answered_by"]) == ("answered", BOB)


@pytest.mark.parametrize("outcome", ["busy", "declined", "no_answer", "failed", "canceled"])
def test_a_call_that_nobody_takes(client: Client, outcome: str) -> None:
    open_(client, calls={"missed_text": True})
    phone = Phone(client, ANN, ANNS)
    phone.tell("ended", 1, outcome=outcome)
    phone.tell("ended", 1, outcome=outcome)
    words = client.context.settings.call_unanswered_msg
    assert phone.step("dialled") == ("Refuse", {"words": words})
    assert phone.step("dialled") == ("Refuse", {"words": words})
    assert (last(client)["state"], last(client)["outcome"], last(client)["seconds"]) == ("ended", outcome, None)
    assert texts(client) == [(BOB, BOBS, "[YOUR ORG NAME]: You missed a call. Call this number to call back.")]
    assert events(client)[1:] == [("call.missed", outcome), ("call.ended", outcome)]


def test_why_nobody_answered_may_be_told_late(client: Client) -> None:
    open_(client)
    phone = Phone(client, ANN, ANNS)
    phone.step("dialled")
    assert last(client)["outcome"] == "no_answer"
    phone.tell("ended", 1, outcome="busy", detail="486 Busy here")
    assert (last(client)["outcome"], last(client)["legs"][0]["detail"]) == ("busy", "486 Busy here")


# --- groups -------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_in_a_group_all_ring_and_the_first_to_accept_wins(client: Client) -> None:
    open_(client, ANN, BOB, CARL, calls={"accept": True, "missed_text": True})
    phone = Phone(client, ANN, ANNS)
    assert [one["number"] for one in phone.route["callees"]] == [BOB, CARL]
    phone.tell("ended", 1, outcome="busy")
    assert last(client)["state"] == "ringing"
    assert phone.step("screened", 2, digits="1")[0] == "Bridge"
    assert phone.step("screen", 1)[0] == "Refuse"
    assert phone.step("screened", 1, digits="1")[0] == "Refuse"
    assert phone.step("screened", 2, digits="1")[0] == "Bridge"  # the same answer to a repeat
    assert last(client)["answered_by"] == CARL
    phone.tell("ended", 2, outcome="completed", seconds=9)
    assert (last(client)["outcome"], last(client)["seconds"], texts(client)) == ("completed", 9, [])


def test_who_cannot_be_rung_at_once_is_rung_next(client: Client) -> None:
    open_(client, ANN, BOB, CARL)
    phone = Phone(client, ANN, ANNS)
    kind, route = phone.step("dialled", rung=[1])
    assert (kind, [one["number"] for one in route["callees"]]) == ("Connect", [CARL])
    assert {name: route[name] for name in route if name != "callees"} == {
        name: phone.route[name] for name in route if name != "callees"
    }
    assert last(client)["state"] == "ringing"
    assert phone.step("dialled", rung=[1, 2])[0] == "Refuse"
    assert last(client)["outcome"] == "no_answer"


def test_all_of_a_group_are_told_that_they_missed_a_call(client: Client) -> None:
    open_(client, ANN, BOB, CARL, calls={"missed_text": True})
    phone = Phone(client, ANN, ANNS)
    phone.tell("ended", 1, outcome="busy")
    assert texts(client) == []
    phone.tell("ended", 2, outcome="no_answer")
    assert [(to, mask) for to, mask, _ in texts(client)] == [(BOB, BOBS), (CARL, CARLS)]


# --- twice, and in any order --------------------------------------------------------------------


@pytest.mark.both_databases
def test_everything_five_times_at_once_is_once(client: Client, voice: Voice) -> None:
    open_(client, calls={"voicemail": True, "missed_text": True})
    phone = Phone(client, ANN, ANNS)
    dialled = five_times(lambda: Phone(client, ANN, ANNS).route)
    assert dialled == [phone.route] * 5
    five_times(lambda: phone.tell("ended", 1, outcome="no_answer"))
    answers = five_times(lambda: phone.step("dialled"))
    assert answers == [answers[0]] * 5
    assert answers[0][0] == "TakeMessage"
    five_times(lambda: phone.step("recorded"))
    voice.kept["rec-1"] = [b"x"]
    five_times(lambda: phone.report(seconds=7))
    five_times(lambda: phone.tell("ended", outcome="completed"))
    assert [kind for kind, _ in events(client)] == [
        "call.connected", "call.missed", "call.ended", "recording.ready",
    ]  # fmt: skip
    assert len(calls(client)) == 1
    assert [text.partition(": ")[2].split(":")[0] for _, _, text in texts(client)] == [
        "You missed a call. Call this number to call back.", "You have a voice message",
    ]  # fmt: skip


ANSWERED_AND_ENDED: list[Callable[[Phone], object]] = [
    lambda phone: phone.tell("ringing", 1),
    lambda phone: phone.tell("answered", 1),
    lambda phone: phone.tell("ended", 1, outcome="completed", seconds=42),
    lambda phone: phone.tell("ended", outcome="completed", seconds=42),
]


@pytest.mark.both_databases
def test_a_conversation_told_in_any_order_is_the_same(client: Client) -> None:
    open_(client, calls={"missed_text": True})
    for i, order in enumerate(itertools.permutations(ANSWERED_AND_ENDED)):
        phone = Phone(client, ANN, ANNS, ref=f"c-{i}")
        for one in order:
            one(phone)
        shown = last(client)
        assert (shown["state"], shown["outcome"], shown["seconds"]) == ("ended", "completed", 42), i
        assert (shown["answered_by"], shown["legs"][0]["state"]) == (BOB, "ended")
        assert shown["answered_at"] is not None
    assert texts(client) == []
    assert {kind for kind, _ in events(client)} == {"call.connected", "call.answered", "call.ended"}
    assert len(events(client)) == 3 * (i + 1)


UNANSWERED: list[Callable[[Phone], object]] = [
    lambda phone: phone.tell("ringing", 1),
    lambda phone: phone.tell("ended", 1, outcome="no_answer"),
    lambda phone: phone.step("dialled"),
    lambda phone: phone.tell("ended", outcome="completed", seconds=60),  # our own words answered the call
]


@pytest.mark.both_databases
def test_a_missed_call_told_in_any_order_is_the_same(client: Client) -> None:
    open_(client, calls={"missed_text": True})
    for i, order in enumerate(itertools.permutations(UNANSWERED)):
        phone = Phone(client, ANN, ANNS, ref=f"c-{i}")
        for one in order:
            one(phone)
        shown = last(client)
        assert (shown["state"], shown["outcome"], shown["answered_by"]) == ("ended", "no_answer", None), i
        assert shown["seconds"] is None
    assert len(texts(client)) == i + 1
    assert [kind for kind, _ in events(client)].count("call.missed") == i + 1


@pytest.mark.parametrize(
    ("words", "state"), [("", "answered"), ("Hello.", "ringing")], ids=["rings at once", "is spoken to first"]
)
def test_that_the_whole_call_is_answered_tells_something_unless_we_speak(
    client: Client, words: str, state: str
) -> None:
    open_(client, calls={"words": words})
    phone = Phone(client, ANN, ANNS)
    phone.tell("answered")
    assert last(client)["state"] == state


def test_who_talked_has_missed_nothing_however_the_end_is_called(client: Client) -> None:
    open_(client, calls={"missed_text": True})
    phone = Phone(client, ANN, ANNS)
    phone.tell("answered", 1)
    phone.tell("ended", outcome="canceled", seconds=5)
    phone.tell("ended", 1, outcome="canceled")
    assert (last(client)["outcome"], last(client)["seconds"], texts(client)) == ("completed", 5, [])


def test_that_a_call_we_spoke_in_is_completed_is_no_more_than_a_guess(client: Client) -> None:
    open_(client, calls={"voicemail": True})
    phone = Phone(client, ANN, ANNS)
    phone.tell("ended", outcome="completed", seconds=9)
    assert (last(client)["state"], last(client)["outcome"]) == ("ended", "unknown")
    phone.tell("answered", 1)
    assert (last(client)["outcome"], last(client)["answered_by"]) == ("completed", BOB)
    other = Phone(client, ANN, ANNS, ref="c-2")
    other.tell("ended", outcome="completed", seconds=9)
    other.report()
    assert (last(client)["outcome"], last(client)["seconds"]) == ("no_answer", None)


@pytest.mark.both_databases
def test_a_call_whose_end_nobody_tells_is_taken_as_over(client: Client, clock: SettableClock) -> None:
    open_(client, calls={"ring": "10s", "limit": "1m"})
    Phone(client, ANN, ANNS)
    store, give_up = client.context.store, lambda: client.context.store.write(lambda tx: tx.give_up_calls(clock()))
    clock.tick(minutes=11)
    assert give_up() == 0
    clock.tick(seconds=10)
    assert [give_up(), give_up()] == [1, 0]
    assert (last(client)["state"], last(client)["outcome"]) == ("ended", "unknown")
    assert events(client)[-1] == ("call.ended", "unknown")
    assert store.read(lambda tx: tx.query("SELECT COUNT(*) AS n FROM calls WHERE state <> 'ended'"))[0]["n"] == 0


# --- what happens while it rings ----------------------------------------------------------------


DAN = "+12065550104"
Turn = Callable[[Phone], tuple[str, dict[str, Any]]]
TURNS: dict[str, tuple[dict[str, Any], str, Turn]] = {
    "the next ones are rung": ({}, "Connect", lambda phone: phone.step("dialled", rung=[1])),
    "the call comes again": ({}, "Connect", lambda phone: phone.dial()),
    "a callee answers": ({"whisper": "Hello."}, "Screen", lambda phone: phone.step("screen", 2)),
    "a callee presses 1": ({"accept": True}, "Bridge", lambda phone: phone.step("screened", 2, digits="1")),
}


def end(client: Client, session: dict[str, Any]) -> None:
    assert client("POST", f"/v1/sessions/{session['id']}/end", json={}).status == 200


def replaced(client: Client, session: dict[str, Any], person: str, by: str = DAN) -> None:
    change = {"participants": [{"participant": person, "number": by}]}
    assert client("PATCH", f"/v1/sessions/{session['id']}", json=change).status == 200


def opts_out(client: Client, person: str, mask: str) -> None:
    client.context.store.write(lambda tx: tx.opt_out(person, mask, 1))


CHANGES: dict[str, Callable[[Client, dict[str, Any], Phone], object]] = {
    "the session ends": lambda client, session, phone: end(client, session),
    "the caller opts out": lambda client, session, phone: opts_out(client, ANN, ANNS),
    "all callees opt out": lambda client, session, phone: [opts_out(client, BOB, BOBS), opts_out(client, CARL, CARLS)],
    "the caller is replaced": lambda client, session, phone: replaced(client, session, ANN),
    "the call ends": lambda client, session, phone: phone.tell("ended", outcome="canceled"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(("options", "kind", "turn"), TURNS.values(), ids=TURNS)
def test_a_later_turn_asks_again_whether_anybody_may_be_connected(
    client: Client, options: dict[str, Any], kind: str, turn: Turn, change: Callable[..., object]
) -> None:
    session = open_(client, ANN, BOB, CARL, calls=options)
    phone = Phone(client, ANN, ANNS)
    assert phone.step("screen", 2)[0] == "Screen"
    if kind != "Bridge":
        assert turn(phone)[0] == kind
    change(client, session, phone)
    answer = turn(phone)
    assert (answer[0], any(who in json.dumps(answer) for who in (ANN, BOB, CARL, DAN))) == ("Refuse", False)
    assert last(client)["answered_by"] is None


@pytest.mark.parametrize("replaces", [False, True], ids=["opted out", "replaced"])
@pytest.mark.parametrize(("options", "kind", "turn"), TURNS.values(), ids=TURNS)
def test_who_is_not_to_be_rung_any_more_is_left_out(
    client: Client, options: dict[str, Any], kind: str, turn: Turn, replaces: bool
) -> None:
    session = open_(client, ANN, BOB, CARL, calls=options)
    phone = Phone(client, ANN, ANNS)
    for who, mask, new, expected in ((BOB, BOBS, DAN, kind), (CARL, CARLS, EVE, "Refuse")):
        replaced(client, session, who, new) if replaces else opts_out(client, who, mask)
        answer = turn(phone)
        assert (answer[0], [one for one in (BOB, who, new) if one in json.dumps(answer)]) == (expected, [])


def test_a_call_shows_who_was_called_and_not_who_took_their_place(client: Client) -> None:
    named = [
        {"number": ANN, "mask": ANNS},
        {"number": BOB, "mask": BOBS, "name": "Bob"},
        {"number": CARL, "mask": CARLS},
    ]
    session = client("POST", "/v1/sessions", json={"participants": named}).json()
    phone = Phone(client, ANN, ANNS)
    phone.tell("answered", 1)
    before = last(client)
    assert [(leg["participant"], leg["name"], leg["mask"]) for leg in before["legs"]] == [
        (BOB, "Bob", BOBS), (CARL, None, CARLS),
    ]  # fmt: skip
    replaced(client, session, BOB)
    shown = last(client)
    assert (shown["answered_by"], [leg["participant"] for leg in shown["legs"]]) == (BOB, [BOB, CARL])
    assert [leg["name"] for leg in shown["legs"]] == [None, None]  # it is the other one's
    assert DAN not in json.dumps(shown)


def test_a_key_opens_nothing_once_its_call_is_over(client: Client, clock: SettableClock) -> None:
    session = open_(client, ANN, BOB, CARL)
    phone = Phone(client, ANN, ANNS)
    phone.tell("ended", outcome="canceled")
    for wait in (0, 28_800):
        clock.tick(minutes=wait)
        for answer in (
            phone.step("dialled", rung=[9]),
            phone.step("screen", 1),
            phone.step("screened", 1),
            phone.dial(),
        ):
            assert (answer[0], BOB in json.dumps(answer)) == ("Refuse", False)
    assert session["state"] == "live"


def test_a_pin_typed_again_after_the_session_has_ended_opens_nothing(client: Client) -> None:
    session = with_pin(client, calls={"accept": True})
    phone = Phone(client, EVE, ANNS)
    assert phone.step("pin", digits="2468")[0] == "Connect"
    end(client, session)
    for digits in ("2468", "0000"):
        assert phone.step("pin", digits=digits) == ("Refuse", {"words": ""})
    assert phone.step("screened", 1, digits="1")[0] == "Refuse"


def test_a_mailbox_that_answers_and_presses_nothing_has_not_taken_the_call(client: Client) -> None:
    open_(client, calls={"accept": True, "voicemail": True})
    phone = Phone(client, ANN, ANNS)
    phone.tell("answered")
    assert last(client)["state"] == "ringing"
    assert phone.step("dialled")[0] == "TakeMessage"
    assert (last(client)["state"], last(client)["outcome"]) == ("message", "no_answer")
    other = Phone(client, ANN, ANNS, ref="c-2")
    other.tell("ended", outcome="completed", seconds=20)
    assert last(client)["outcome"] == "unknown"
    assert other.step("screened", 1, digits="1")[0] == "Refuse"  # told late: it is written down
    assert (last(client)["outcome"], last(client)["answered_by"]) == ("completed", BOB)


@pytest.mark.parametrize("callee", [None, 0, 7])
def test_who_is_none_of_those_rung_is_not_connected(client: Client, callee: int | None) -> None:
    open_(client, ANN, BOB, CARL, calls={"accept": True})
    phone = Phone(client, ANN, ANNS)
    assert phone.step("screen", callee)[0] == "Refuse"
    assert phone.step("screened", callee, digits="1")[0] == "Refuse"
    assert last(client)["state"] == "ringing"
    assert [phone.step("screened", at, digits="1")[0] for at in (2, callee, 1, 2)] == [
        "Bridge", "Refuse", "Refuse", "Bridge",
    ]  # fmt: skip


# --- whose word counts --------------------------------------------------------------------------


def test_the_key_of_a_call_lets_in_what_is_about_that_call_and_nothing_else(client: Client, carriers: Any) -> None:
    open_(client)
    phone = Phone(client, ANN, ANNS)
    other = Phone(client, EVE, ANNS, ref="c-2")  # refused: it has no URL
    assert (other.kind, other.callback) == ("Refuse", "")
    text = {"type": "text", "carrier_ref": "t-1", "sender": ANN, "recipient": ANNS, "text": "hello"}
    call = {"type": "call", "carrier_ref": "c-3", "caller": ANN, "called": ANNS}
    progress = {"type": "progress", "carrier_ref": "c-2", "state": "ended", "outcome": "busy", "callee": 1}
    for event in (text, call):
        assert phone.post(phone.url(), event).status == 403
    wrong = phone.url()[:-1] + ("A" if phone.url()[-1] != "A" else "B")
    for path in (wrong, "/webhooks/voice/call-", "/webhooks/voice", phone.url().replace("/voice/", "/flowroute/")):
        answer = phone.post(path, progress)
        assert (answer.status, answer.body) == (403, b"") if "flowroute" not in path else answer.status == 403
    assert last(client)["carrier_ref"] == "c-2"
    assert phone.post(phone.url(), progress).status == 200  # whatever reference it bears
    assert [one["legs"] and one["legs"][0]["outcome"] for one in calls(client)] == [[], "busy"]
    assert client.outbox() == []


def test_without_a_key_a_call_is_known_by_its_reference(client: Client) -> None:
    open_(client)
    phone = Phone(client, ANN, ANNS)
    event = {"type": "progress", "carrier_ref": "c-1", "state": "ended", "outcome": "canceled"}
    assert phone.post("/webhooks/voice", event).status == 403
    assert phone.post("/webhooks/voice", event | {"carrier_ref": "c-9"}, SIGNATURE).status == 200
    assert last(client)["state"] == "ringing"
    assert phone.post("/webhooks/voice", event, SIGNATURE).status == 200
    assert (last(client)["state"], last(client)["outcome"]) == ("ended", "canceled")
    step = {"type": "step", "carrier_ref": "c-9", "step": "dialled"}
    assert phone.post("/webhooks/voice", step, SIGNATURE).json() == ["Refuse", {"words": ""}]


def test_a_token_that_looks_like_a_key_is_a_token(voice: Voice, serve: Callable[..., Client]) -> None:
    token = "call-" + "t" * 32
    client = ready(serve(sending=False, GATEWAY_WEBHOOK_TOKEN=token))
    event = {"type": "call", "carrier_ref": "c-1", "caller": ANN, "called": ANNS}
    assert client("POST", f"/webhooks/voice/{token}", json=[event], headers=SIGNATURE).status == 200


@pytest.mark.parametrize(("caller", "mask"), [(BOB, BOBS), (EVE, ANNS), (ANN, BOBS), ("", ANNS)])
def test_a_reference_of_another_call_opens_nothing(client: Client, caller: str, mask: str) -> None:
    open_(client)
    assert Phone(client, ANN, ANNS, ref="same").kind == "Connect"
    other = Phone(client, caller, mask, ref="same")
    assert (other.kind, other.route, other.callback) == ("Refuse", {"words": ""}, "")
    assert len(calls(client)) == 1


# --- PINs ---------------------------------------------------------------------------------------


def with_pin(client: Client, pin: str = "2468", **more: Any) -> dict[str, Any]:
    named = [{"number": ANN, "mask": ANNS, "pin": pin}, {"number": BOB, "mask": BOBS}]
    answer = client("POST", "/v1/sessions", json={"participants": named} | more)
    assert answer.status == 201, answer
    return answer.json()


@pytest.mark.parametrize("caller", [EVE, "anonymous", ""])
def test_whoever_types_a_participant_s_pin_is_taken_for_them_on_this_call(client: Client, caller: str) -> None:
    session = with_pin(client)
    phone = Phone(client, caller, ANNS)
    assert (phone.kind, phone.route["words"]) == ("AskPin", client.context.settings.call_pin_msg)
    assert (last(client)["state"], last(client)["outcome"], events(client)) == ("asked", None, [])
    kind, route = phone.step("pin", digits="2468")
    assert (kind, route["callees"]) == ("Connect", [{"number": BOB, "caller_id": BOBS, "position": 1}])
    shown = last(client)
    assert (shown["state"], shown["session"], shown["by_pin"]) == ("ringing", session["id"], True)
    assert five_times(lambda: phone.step("pin", digits="2468")) == [(kind, route)] * 5
    assert events(client) == [("call.connected", "")]
    assert Phone(client, caller, ANNS, ref="c-2").kind == "AskPin"  # the next one is a stranger's again


@pytest.mark.both_databases
def test_a_wrong_pin_is_counted_once_and_three_lock_the_caller_out(client: Client, clock: SettableClock) -> None:
    with_pin(client)
    wrong, locked = client.context.settings.call_pin_wrong_msg, client.context.settings.call_pin_locked_msg
    phone = Phone(client, EVE, ANNS)
    first = phone.url("pin")
    event = {"type": "step", "carrier_ref": "c-1", "step": "pin"}
    for _ in range(4):  # a repeat of one try
        answer = phone.post(first, event | {"digits": "1111"}).json()
        assert (answer[0], answer[1]["words"]) == ("AskPin", wrong)
    assert phone.step("pin", digits="1111")[1]["callback"].endswith("?try=2")  # at the URL of the first
    assert phone.step("pin", digits="999999999999999")[1]["words"] == wrong
    assert phone.step("pin", digits="0000") == ("Refuse", {"words": locked})
    assert phone.step("pin", digits="2468") == ("Refuse", {"words": locked})
    assert (last(client)["outcome"], last(client)["reason"]) == ("refused", "wrong_pin")
    again = Phone(client, EVE, ANNS, ref="c-2")
    assert (again.kind, again.route["words"], last(client)["reason"]) == ("Refuse", locked, "pin_locked")
    assert Phone(client, CARL, ANNS, ref="c-3").kind == "AskPin"  # another caller
    clock.tick(minutes=10)
    assert Phone(client, EVE, ANNS, ref="c-4").step("pin", digits="2468")[0] == "Connect"


def test_tries_count_over_calls_and_callers_without_a_number_are_one(client: Client) -> None:
    with_pin(client)
    for i, caller in enumerate(("anonymous", "", "sip:eve@example.com")):
        assert Phone(client, caller, ANNS, ref=f"c-{i}").step("pin", digits="1111")[0] == (
            "Refuse" if i == 2 else "AskPin"
        )
    assert Phone(client, "restricted", ANNS, ref="c-9").kind == "Refuse"
    assert Phone(client, EVE, ANNS, ref="c-10").kind == "AskPin"


@pytest.mark.both_databases
def test_many_wrong_pins_of_many_callers_are_a_brake_on_the_mask(client: Client, clock: SettableClock) -> None:
    with_pin(client)
    for i in range(30):
        Phone(client, f"+1206555{i:04}", ANNS, ref=f"c-{i}").step("pin", digits="1111")
    assert Phone(client, CARL, ANNS, ref="c-x").kind == "Refuse"
    assert Phone(client, ANN, ANNS, ref="c-y").kind == "Connect"  # who needs none is not held up
    clock.tick(minutes=10)
    assert Phone(client, CARL, ANNS, ref="c-z").kind == "AskPin"
    store = client.context.store
    store.write(lambda tx: tx.forget_pin_tries(clock() + 1))
    assert store.read(lambda tx: tx.query("SELECT COUNT(*) AS n FROM pin_tries"))[0]["n"] == 0


@pytest.mark.parametrize("typed", ["", "12", "hangup", "1" * 16, "١٢٣٤", "#2468"])
def test_what_is_no_pin_ends_a_call_in_time_and_locks_nobody_out(client: Client, typed: str) -> None:
    with_pin(client)
    words = client.context.settings.call_pin_locked_msg
    for i in range(10):
        phone = Phone(client, f"+1206555{i:04}", ANNS, ref=f"c-{i}")
        assert [phone.step("pin", digits=typed)[0] for _ in range(3)] == ["AskPin", "AskPin", "Refuse"]
        assert (last(client)["outcome"], last(client)["reason"]) == ("refused", "wrong_pin")
    assert phone.step("pin", digits="2468") == ("Refuse", {"words": words})
    for caller in (CARL, "+12065550009"):
        assert Phone(client, caller, ANNS, ref=f"c-{caller}").step("pin", digits="2468")[0] == "Connect"


def test_a_lock_that_comes_in_the_middle_counts(client: Client) -> None:
    with_pin(client)
    waiting = Phone(client, EVE, ANNS, ref="c-1")
    other = Phone(client, EVE, ANNS, ref="c-2")
    for _ in range(3):
        other.step("pin", digits="1111")
    assert waiting.step("pin", digits="2468")[0] == "Refuse"


def test_a_pin_of_a_session_that_ended_opens_nothing(client: Client) -> None:
    session = with_pin(client)
    phone = Phone(client, EVE, ANNS)
    client("POST", f"/v1/sessions/{session['id']}/end", json={})
    assert phone.step("pin", digits="2468")[0] == "AskPin"
    assert Phone(client, EVE, ANNS, ref="c-2").kind == "Refuse"  # nobody has one there any more


def test_a_pin_opens_what_its_participant_could(client: Client) -> None:
    with_pin(client, channels=["text"])
    kind, route = Phone(client, EVE, ANNS).step("pin", digits="2468")
    assert (kind, route["words"]) == ("Refuse", client.context.settings.call_texts_only_msg)
    assert last(client)["reason"] == "no_calls"


@pytest.mark.both_databases
def test_pins_are_never_answered_and_stand_for_one_on_a_mask(client: Client) -> None:
    session = with_pin(client)
    assert [leg["has_pin"] for leg in session["legs"]] == [True, False]
    assert "2468" not in json.dumps(session)
    same = [{"number": CARL, "mask": ANNS, "pin": "2468"}, {"number": EVE, "mask": BOBS}]
    answer = client("POST", "/v1/sessions", json={"participants": same})
    document = refused(answer, 409, "pin-taken")
    assert (document["errors"][0]["pointer"], "2468" in answer.text) == ("/participants/0/pin", False)
    anywhere = {"participants": [{"number": CARL, "pin": "2468"}, {"number": EVE}]}

    def set_state(state: str) -> None:
        for mask in (BOBS, CARLS):
            assert client("PATCH", f"/v1/pool/{mask}", json={"state": state}).status == 200

    set_state("draining")
    refused(client("POST", "/v1/sessions", json=anywhere), 409, "no-number-free")
    set_state("active")
    for _ in range(2):  # another mask is chosen, while there is one
        answer = client("POST", "/v1/sessions", json=anywhere)
        assert answer.status == 201, answer
        assert answer.json()["legs"][0]["mask"] != ANNS
    twins = [{"number": CARL, "pin": "1357"}, {"number": EVE, "pin": "1357"}]
    document = refused(client("POST", "/v1/sessions", json={"participants": twins}), 422, "wish-refused")
    assert document["errors"][0]["pointer"] == "/participants/1/pin"
    for bad in ("123", "1" * 16, "12a4", "١٢٣٤", 1234):
        wrong = [{"number": CARL, "pin": bad}, {"number": EVE}]
        document = refused(client("POST", "/v1/sessions", json={"participants": wrong}), 422, "invalid")
        assert document["errors"][0]["pointer"] == "/participants/0/pin"


def test_a_pin_can_be_changed_and_taken_away(client: Client) -> None:
    session = with_pin(client)
    path = f"/v1/sessions/{session['id']}"

    def patch(**change: Any) -> Any:
        return client("PATCH", path, json={"participants": [{"participant": ANN} | change]})

    assert patch(pin="1357").json()["version"] == session["version"] + 1
    assert Phone(client, EVE, ANNS, ref="c-1").step("pin", digits="2468")[0] == "AskPin"
    assert Phone(client, CARL, ANNS, ref="c-2").step("pin", digits="1357")[0] == "Connect"
    assert patch(name="Ann").json()["legs"][0]["has_pin"] is True
    open_(client, CARL, EVE)
    [carls] = [one for one in client("GET", "/v1/sessions").json()["data"] if one["id"] != session["id"]]
    change = {"participants": [{"participant": CARL, "pin": "1357"}]}
    document = refused(client("PATCH", f"/v1/sessions/{carls['id']}", json=change), 409, "pin-taken")
    assert document["errors"][0]["pointer"] == "/participants/0/pin"
    change = {"participants": [{"participant": BOB, "pin": "1357"}]}
    refused(client("PATCH", path, json=change), 422, "wish-refused")
    assert patch(number="+12065550177").json()["legs"][0]["has_pin"] is True
    assert Phone(client, "+12065550178", ANNS, ref="c-3").step("pin", digits="1357")[0] == "Connect"
    answer = client("PATCH", path, json={"participants": [{"participant": "+12065550177", "pin": None}]})
    assert answer.json()["legs"][0]["has_pin"] is False
    assert Phone(client, "+12065550178", ANNS, ref="c-4").kind == "Refuse"


@pytest.mark.both_databases
def test_a_pin_comes_back_with_its_session_unless_somebody_has_it_by_then(client: Client) -> None:
    session = with_pin(client)
    path = f"/v1/sessions/{session['id']}"
    client("POST", f"{path}/end", json={})
    named = [{"number": CARL, "mask": ANNS, "pin": "2468"}, {"number": EVE, "mask": BOBS}]
    other = client("POST", "/v1/sessions", json={"participants": named}).json()
    refused(client("POST", f"{path}/reopen", json={}), 409, "pin-taken")
    client("POST", f"/v1/sessions/{other['id']}/end", json={})
    assert client("POST", f"{path}/reopen", json={}).status == 200
    assert Phone(client, "+12065550178", ANNS).step("pin", digits="2468")[1]["callees"][0]["number"] == BOB


# --- what a session says of its calls -----------------------------------------------------------


def test_the_options_of_a_session_are_told_changed_and_taken_back(client: Client) -> None:
    given = {"ring": "20s", "limit": "1h", "words": "Hello.", "accept": True, "unanswered": ""}
    session = open_(client, calls=given)
    nothing = dict.fromkeys(("whisper", "record", "voicemail", "missed_text"))
    assert session["calls"] == given | nothing
    path = f"/v1/sessions/{session['id']}"
    changed = client("PATCH", path, json={"calls": {"ring": None, "voicemail": True}}).json()
    assert changed["calls"] == given | nothing | {"ring": None, "voicemail": True}
    assert changed["version"] == session["version"] + 1
    phone = Phone(client, ANN, ANNS)
    assert (phone.route["ring_seconds"], phone.route["limit_seconds"], phone.route["words"]) == (25, 3600, "Hello.")
    assert phone.route["unanswered"]["words"] == client.context.settings.call_voicemail_msg
    assert set(client("PATCH", path, json={"calls": None}).json()["calls"].values()) == {None}
    assert phone.step("dialled")[0] == "TakeMessage"  # a call goes on as it began


@pytest.mark.parametrize(
    "wrong", [{"ring": "4s"}, {"ring": "11m"}, {"ring": "5500ms"}, {"limit": "59s"}, {"limit": "25h"},
              {"words": "a\nb"}, {"words": "x" * 501}, {"accept": "yes"}, {"ringing": "5s"}, {"ring": 25}],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused_by_name(client: Client, wrong: dict[str, Any]) -> None:
    document = refused(open_(client, calls=wrong, status=422), 422, "invalid")
    assert [one["pointer"] for one in document["errors"]] == [f"/calls/{next(iter(wrong))}"]


@pytest.mark.parametrize("name", ["words", "whisper"])
@pytest.mark.parametrize("number", [ANN, "(206) 555-0101", "2 0 6 5 5 5 0 1 0 1"])
def test_words_that_hold_a_number_are_not_said(client: Client, name: str, number: str) -> None:
    given = {name: f"A call from {number}."}
    answers = [open_(client, calls=given, status=422)]
    session = open_(client, calls={name: "A call about order 123456."})
    answers.append(client("PATCH", f"/v1/sessions/{session['id']}", json={"calls": given}))
    for answer in answers:
        document = refused(answer, 422, "invalid")
        assert [(one["pointer"], "phone number" in one["detail"]) for one in document["errors"]] == [
            (f"/calls/{name}", True),
        ]  # fmt: skip
        assert number not in answer.text


def test_who_must_not_be_called_takes_part_in_no_session_with_calls(client: Client) -> None:
    premium = "+19005550123"
    answer = open_(client, ANN, premium, status=422)
    document = refused(answer, 422, "invalid")
    assert (document["errors"][0]["pointer"], premium in answer.text) == ("/participants/1/number", False)
    session = open_(client, ANN, premium, channels=["text"])
    assert Phone(client, ANN, ANNS).kind == "Refuse"
    client("POST", f"/v1/sessions/{session['id']}/end", json={})
    session = open_(client, CARL, BOB)
    change = {"participants": [{"participant": BOB, "number": premium}]}
    document = refused(client("PATCH", f"/v1/sessions/{session['id']}", json=change), 422, "invalid")
    assert document["errors"][0]["pointer"] == "/participants/0/number"


def test_a_session_by_phone_only_refuses_texts_and_one_by_text_only_calls(client: Client) -> None:
    open_(client, channels=["voice"])
    event = {"type": "text", "carrier_ref": "t-1", "sender": ANN, "recipient": ANNS, "text": "hello"}
    assert client("POST", "/webhooks/voice", json=[event], headers=SIGNATURE).status == 200
    [(to, mask, text)] = texts(client)
    assert (to, mask, "by phone only" in text) == (ANN, ANNS, True)
    open_(client, CARL, EVE, channels=["text"])
    assert Phone(client, CARL, ANNS).route["words"] == client.context.settings.call_texts_only_msg


def test_who_texted_stop_is_not_rung_and_hears_so_when_calling(client: Client, store: Store) -> None:
    open_(client)
    event = {"type": "text", "carrier_ref": "t-1", "sender": BOB, "recipient": BOBS, "text": "STOP"}
    assert client("POST", "/webhooks/voice", json=[event], headers=SIGNATURE).status == 200
    settings = client.context.settings
    assert Phone(client, ANN, ANNS).route == {"words": settings.call_unreachable_msg}
    assert Phone(client, BOB, BOBS, ref="c-2").route == {"words": settings.call_opted_out_msg}
    assert [one["reason"] for one in calls(client)] == ["opted_out", "callee_opted_out"]


@pytest.mark.both_databases
def test_a_call_takes_few_statements(client: Client, store: Store) -> None:
    from gateway.calls import Connect, InboundCall
    from gateway.voice import turns
    from gateway.voice.course import Line

    open_(client)
    line = Line(
        carrier=client.context.carriers["voice"], settings=client.context.settings, now=client.context.clock(),
        public_url="http://gw.example.com",
    )  # fmt: skip
    ran: list[object] = []

    def work(tx) -> object:
        run, run_many = tx._run, tx._run_many
        tx._run = lambda statement, params: (ran.append(statement), run(statement, params))[1]
        tx._run_many = lambda statement, many: (ran.append(statement), run_many(statement, many))[1]
        route = turns.call(tx, line, InboundCall(carrier_ref="c-1", caller=ANN, called=ANNS))
        tx.catch_up()
        return route

    assert isinstance(store.write(work), Connect)
    assert len(ran) == 4  # the lease, the call, whom it concerns, the event; the last two for many calls at once
