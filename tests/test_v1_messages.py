"""`/v1/messages`: lists, one with its whole history, and replay, which must reach nobody whom a text was not for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from invariants import broken
from scripted import Scripted
from wsgi import Answer, Client, SettableClock

from gateway import inbound, sessions
from gateway.calls import InboundCall
from gateway.dispatcher import Dispatcher
from gateway.errors import PermanentSendError, RetryableSendError
from gateway.messages import DeliveryReceipt, DeliveryStatus, InboundMessage
from gateway.records import Leg, Origin
from gateway.store import Tx
from gateway.voice import turns
from gateway.voice.course import Line

MASK, OTHER_MASK = "+12065550199", "+12065550198"
ANN, BOB, EVE = "+12065550101", "+12065550102", "+12065550166"
CARRIER = "flowroute"


class Bench:
    """A gateway without sockets: webhooks are handed in, the dispatcher turns when it is told to."""

    def __init__(self, client: Client, dispatcher: Dispatcher, carrier: Scripted, clock: SettableClock) -> None:
        self.client, self.dispatcher, self.carrier, self.clock = client, dispatcher, carrier, clock
        self.store, self.settings = client.context.store, client.context.settings
        self.refs = 0

    def write(self, work: Callable[[Tx], Any]) -> Any:
        return self.store.write(work)

    def add(self, *numbers: str) -> None:
        for number in numbers:
            assert self.client("POST", "/v1/pool", json={"number": number, "carrier": CARRIER}).status == 201

    def open(self, *people: str) -> str:
        asked = {"carrier": CARRIER, "origin": Origin.V1, "expires_at": None, "settings": self.settings}
        opened = self.write(lambda tx: sessions.open_exclusive(tx, people, now=self.clock(), **asked))
        return str(opened.session.id)

    def end(self, session: str) -> None:
        self.write(lambda tx: sessions.end(tx, tx.session(session), "ended", self.settings, self.clock()))

    def text(self, sender: str, text: str, mask: str = MASK) -> None:
        """Let a carrier bring a text."""
        self.refs += 1
        event = InboundMessage(carrier_ref=f"in-{self.refs}", sender=sender, recipient=mask, text=text)
        self.write(lambda tx: inbound.message(tx, self.carrier, event, self.settings, self.clock()))

    def call(self, caller: str, mask: str = MASK, ref: str = "call-1") -> None:
        event = InboundCall(carrier_ref=ref, caller=caller, called=mask)
        line = Line(carrier=self.carrier, settings=self.settings, now=self.clock())
        self.write(lambda tx: turns.call(tx, line, event))

    def receipt(self, ref: str, status: DeliveryStatus, detail: str = "", code: str = "") -> None:
        event = DeliveryReceipt(carrier_ref=ref, status=status, detail=detail, code=code)
        self.write(lambda tx: inbound.receipt(tx, self.carrier, event, self.settings, self.clock()))

    def send(self) -> None:
        """Send all that is due, and write down what became of it."""
        while True:
            self.dispatcher.turn()
            if not self.dispatcher._busy():
                return
            self.dispatcher._sleep(1 << 62)

    def get(self, path: str) -> Any:
        answer = self.client("GET", path)
        assert answer.status == 200, answer
        return answer.json()

    def messages(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/v1/messages{query}")["data"]
        return found

    def replay(self, id: str) -> Answer:
        return self.client("POST", f"/v1/messages/{id}/replay", json={})

    def fail(self, text: str = "hello") -> str:
        """Let Ann's text to Bob fail, and return its id."""
        self.carrier.on_send = refuse
        self.text(ANN, text)
        self.send()
        self.carrier.on_send = lambda message: None
        [last] = [one for one in self.messages("?state=failed") if one["text"] == text]
        return str(last["id"])


def refuse(message: Any) -> None:
    raise PermanentSendError("no such number", code="404")


@pytest.fixture
def bench(serve: Callable[..., Client], carriers: dict[str, Any], clock: SettableClock) -> Bench:
    client = serve(sending=False)
    dispatcher = client.context.dispatcher
    assert isinstance(dispatcher, Dispatcher)
    made = Bench(client, dispatcher, carriers[CARRIER], clock)
    made.add(MASK)
    return made


def refused(answer: Answer, status: int, slug: str) -> str:
    document = json.loads(answer.text)
    assert (answer.status, document["type"]) == (status, f"/v1/docs/problems#{slug}"), answer
    return str(document["detail"])


# --- one message ------------------------------------------------------------------------------------


def steps(detail: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    return [(one["cause"], one["state"], one["attempt"]) for one in detail["history"]]


@pytest.mark.both_databases
def test_a_message_tells_its_whole_history(bench: Bench) -> None:
    session = bench.open(ANN, BOB)
    tries = iter([RetryableSendError("busy", code="503")])
    bench.carrier.on_send = lambda message: raise_next(tries)
    bench.text(ANN, "hello")
    begun = bench.clock.now
    bench.send()
    bench.clock.tick(minutes=5)
    bench.send()
    [sent] = bench.messages("?direction=outbound")
    bench.clock.tick(seconds=3)
    for status in (DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED):
        bench.receipt(sent["carrier_ref"], status, detail=f"it is {status.value}")
    detail = bench.get(f"/v1/messages/{sent['id']}")
    assert steps(detail) == [
        ("enqueued", "queued", None),
        ("attempt", "queued", 1),
        ("attempt", "sent", 2),
        ("receipt", "sent", None),
        ("receipt", "delivered", None),
        ("receipt", "undelivered", None),  # said too late: the state stays
    ]
    assert detail["state"] == "delivered"
    assert detail["history"][1]["code"] == "503"
    times = [one["at"] for one in detail["history"]]
    assert times == sorted(times)
    assert len(set(times)) == 3
    assert (detail["session"], detail["text"], detail["participant"]) == (session, "hello", BOB)
    assert (detail["kind"], detail["attempts"], detail["mask"]) == ("relay", 2, MASK)
    assert begun == 1_779_228_598_250


def raise_next(tries: Any) -> None:
    for error in tries:
        raise error


@pytest.mark.both_databases
def test_what_came_in_shows_no_words_and_what_it_gave_rise_to(bench: Bench) -> None:
    bench.open(ANN, BOB)
    bench.text(ANN, "nobody but Bob is to read this")
    [came] = bench.messages("?direction=inbound")
    assert (came["text"], came["state"], came["outcome"], came["participant"]) == (None, "received", "relayed", ANN)
    [caused] = bench.get(f"/v1/messages/{came['id']}")["gave_rise_to"]
    sent = bench.get(f"/v1/messages/{caused}")
    assert (sent["caused_by"], sent["text"]) == (came["id"], "nobody but Bob is to read this")


def test_a_message_that_there_is_not_is_a_problem(bench: Bench) -> None:
    for id in ("out-99", "in-99", "out-1"):
        refused(bench.client("GET", f"/v1/messages/{id}"), 404, "message-unknown")
        refused(bench.replay(id), 404, "message-unknown")
    for id in ("1", "out-", "out-0", "up-1", "out-1234567890123456789", "out-1x"):
        refused(bench.client("GET", f"/v1/messages/{id}"), 422, "invalid")


HOW_ELSE = {
    "expired": lambda bench: (bench.clock.tick(hours=5), bench.write(lambda tx: tx.expire_messages(bench.clock()))),
    "failed": lambda bench: bench.write(lambda tx: tx.cancel(1, "taken back", bench.clock())),
    "suppressed": lambda bench: (bench.write(lambda tx: tx.opt_out(BOB, "", bench.clock())), bench.send()),
}
CAUSES = {"expired": "expiry", "failed": "cancel", "suppressed": "opt_out"}


@pytest.mark.parametrize("state", HOW_ELSE)
def test_whatever_else_ends_a_message_is_in_its_history_and_told(bench: Bench, state: str) -> None:
    bench.open(ANN, BOB)
    bench.text(ANN, "hello")
    HOW_ELSE[state](bench)
    detail = bench.get("/v1/messages/out-1")
    assert steps(detail) == [("enqueued", "queued", None), (CAUSES[state], state, None)]
    assert detail["history"][1]["reason"]
    told = [one for one in bench.get("/v1/events?limit=200")["data"] if one["message"] == "out-1"]
    assert [one["kind"] for one in told] == [f"message.{state}"]


def test_a_sender_that_stopped_is_in_the_history(bench: Bench) -> None:
    bench.open(ANN, BOB)
    bench.text(ANN, "hello")
    claim = {"rate": bench.carrier.rate, "weigh": lambda message: bench.carrier.weigh(message), "room": 1}
    bench.write(lambda tx: tx.claim(CARRIER, "dead", now=bench.clock(), **claim))
    bench.write(lambda tx: tx.take_over("dead", 1 << 62, bench.clock() + 1, bench.clock()))
    assert steps(bench.get("/v1/messages/out-1"))[1:] == [("take_over", "uncertain", None)]


# --- lists ------------------------------------------------------------------------------------------


def walk(bench: Bench, path: str) -> list[str]:
    """Return the ids of every page of a list, each page as small as can be."""
    found, cursor = [], ""
    while True:
        page = bench.get(f"{path}limit=1{cursor}")
        found += [one["id"] for one in page["data"]]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


@pytest.fixture
def busy(bench: Bench) -> tuple[Bench, str]:
    """Return a bench where two sessions texted, and that of Ann and Bob: its texts 1 to 3 are sent, 4 failed."""
    bench.add(OTHER_MASK)
    one = bench.open(ANN, BOB)
    mask = (bench.get(f"/v1/pool/{MASK}")["session"] == one and MASK) or OTHER_MASK
    bench.open(EVE, BOB)
    other = ({MASK, OTHER_MASK} - {mask}).pop()
    for n in range(3):
        bench.clock.tick(seconds=1)
        bench.text(ANN, f"{n}", mask)
        bench.text(EVE, f"{n}", other)
    bench.send()
    bench.carrier.on_send = refuse
    bench.text(ANN, "fails", mask)
    bench.send()
    return bench, one


@pytest.mark.both_databases
def test_lists_are_the_latest_first_and_their_pages_hold_each_message_once(busy: tuple[Bench, str]) -> None:
    bench, session = busy
    everything = bench.messages("?limit=200")
    assert len(everything) == 14
    times = [one["created_at"] for one in everything]
    assert times == sorted(times, reverse=True)
    assert walk(bench, "/v1/messages?") == [one["id"] for one in everything]
    assert walk(bench, f"/v1/sessions/{session}/messages?") == [
        one["id"] for one in everything if one["session"] == session
    ]
    for direction in ("inbound", "outbound"):
        wanted = [one["id"] for one in everything if one["direction"] == direction]
        assert walk(bench, f"/v1/messages?direction={direction}&") == wanted


FILTERS = {
    "session": lambda one, like: one["session"] == like["session"],
    "state": lambda one, like: one["state"] == like["state"],
    "participant": lambda one, like: one["participant"] == like["participant"],
    "mask": lambda one, like: one["mask"] == like["mask"],
    "carrier": lambda one, like: one["carrier"] == like["carrier"],
    "direction": lambda one, like: one["direction"] == like["direction"],
    "since": lambda one, like: one["created_at"] >= like["created_at"],
    "until": lambda one, like: one["created_at"] < like["created_at"],
}


@pytest.mark.both_databases
def test_a_filter_finds_what_fits_and_nothing_else(busy: tuple[Bench, str]) -> None:
    bench, _ = busy
    everything = bench.messages("?limit=200")
    for name, fits in FILTERS.items():
        for like in everything[::3]:
            value = like["created_at" if name in ("since", "until") else name].replace("+", "%2B")
            expected = [one["id"] for one in everything if fits(one, like)]
            sent = [one["id"] for one in everything if fits(one, like) and one["state"] == "sent"]
            assert [one["id"] for one in bench.messages(f"?{name}={value}&limit=200")] == expected
            if name != "state":
                assert [one["id"] for one in bench.messages(f"?{name}={value}&limit=200&state=sent")] == sent


def test_a_list_of_no_session_is_a_problem(bench: Bench) -> None:
    refused(bench.client("GET", f"/v1/sessions/{'0' * 32}/messages"), 404, "session-unknown")


def test_pages_stay_right_while_more_texts_come(busy: tuple[Bench, str]) -> None:
    bench, session = busy
    before = [one["id"] for one in bench.messages("?limit=200")]
    page = bench.get("/v1/messages?limit=5")
    bench.carrier.on_send = lambda message: None
    for n in range(4):
        bench.text(ANN, f"later {n}", bench.messages(f"?session={session}")[0]["mask"])
    rest = bench.get(f"/v1/messages?limit=200&cursor={page['next']}")
    assert [one["id"] for one in page["data"] + rest["data"]] == before


# --- replay -----------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_replay_goes_to_the_end_of_the_lane_as_it_was_with_a_new_validity(bench: Bench) -> None:
    bench.open(ANN, BOB)
    id = bench.fail()
    bench.clock.tick(hours=6)
    bench.text(ANN, "and then this")
    answer = bench.replay(id)
    assert answer.status == 201, answer
    again = answer.json()
    assert (again["replay_of"], again["text"], again["state"]) == (id, "hello", "queued")
    assert again["expires_at"] > again["created_at"]
    assert bench.get(f"/v1/messages/{id}")["replayed_as"] == again["id"]
    assert steps(bench.get(f"/v1/messages/{id}"))[-1] == ("replay", "failed", None)
    bench.carrier.sent.clear()
    bench.send()
    bench.clock.tick(seconds=30)
    bench.send()
    assert [message.text for message in bench.carrier.sent] == ["and then this", "hello"]
    assert [message.recipient for message in bench.carrier.sent] == [BOB, BOB]
    assert broken(bench.store, bench.clock()) == []


@pytest.mark.both_databases
def test_nothing_is_replayed_twice(bench: Bench) -> None:
    bench.open(ANN, BOB)
    id = bench.fail()
    key = {"Idempotency-Key": "k1"}
    first = bench.client("POST", f"/v1/messages/{id}/replay", json={}, headers=key)
    assert bench.client("POST", f"/v1/messages/{id}/replay", json={}, headers=key).body == first.body
    assert "took its place" in refused(bench.replay(id), 409, "not-replayed")
    assert len(bench.client.outbox()) == 2


def gone(bench: Bench, session: str) -> None:
    bench.end(session)


def taken_by_others(bench: Bench, session: str) -> None:
    """Bob is now somebody else's partner on the same number."""
    bench.end(session)
    bench.clock.tick(hours=24 * 8)
    bench.write(lambda tx: tx.forget_leases(bench.clock()))
    bench.open(EVE, BOB)


def expired(bench: Bench, session: str) -> None:
    bench.write(lambda tx: tx.extend_session(session, bench.clock() + 1000, bench.clock()))
    bench.clock.tick(seconds=2)


def replaced(bench: Bench, session: str) -> None:
    """Bob's place was taken by Eve's number."""
    leg = Leg(participant=EVE, mask=MASK, carrier=CARRIER, position=1)

    def work(tx: Tx) -> None:
        tx.quarantine_leases(session, bench.clock(), 1000, 1)
        tx.query("UPDATE legs SET participant = :eve WHERE session = :id AND position = 1", eve=EVE, id=session)
        tx.take_lease(session, leg)

    bench.write(work)


def opted_out(bench: Bench, session: str) -> None:
    bench.write(lambda tx: tx.opt_out(BOB, "", bench.clock()))


def mask_gone(bench: Bench, session: str) -> None:
    bench.end(session)
    assert bench.client("DELETE", f"/v1/pool/{MASK}").status == 204


WRONG = {
    "its session has ended": gone,
    "is past its expiry": expired,
    "its pair means another session": taken_by_others,
    "its participant has another number": replaced,
    "its recipient opted out": opted_out,
    "its mask is gone": mask_gone,
}


@pytest.mark.both_databases
@pytest.mark.parametrize("what", WRONG)
def test_a_replay_is_refused_where_it_would_reach_somebody_it_is_not_for(bench: Bench, what: str) -> None:
    session = bench.open(ANN, BOB)
    id = bench.fail()
    WRONG[what](bench, session)
    refused(bench.replay(id), 409, "not-replayed")
    answer = bench.client("POST", "/v1/messages/replay", json={}).json()
    assert (answer["replayed"], [one["message"] for one in answer["refused"]]) == (0, [id])
    assert answer["refused"][0]["why"]
    bench.carrier.sent.clear()
    bench.send()
    assert [message.text for message in bench.carrier.sent if message.text == "hello"] == []


@pytest.mark.both_databases
def test_nobody_is_told_goodbye_again_in_a_session_that_goes_on(bench: Bench) -> None:
    session = bench.open(ANN, BOB)
    bench.carrier.on_send = refuse
    assert bench.client("POST", f"/v1/sessions/{session}/end", json={"text": "Goodbye"}).status == 200
    bench.send()
    bench.carrier.on_send = lambda message: None
    for what, replayed in (("reopen", 0), ("end", 2)):
        assert bench.client("POST", f"/v1/sessions/{session}/{what}", json={}).status == 200
        answer = bench.client("POST", "/v1/messages/replay", json={}).json()
        assert (answer["replayed"], len(answer["refused"])) == (replayed, 2 - replayed)


def test_only_what_came_to_nothing_is_replayed(bench: Bench) -> None:
    bench.open(ANN, BOB)
    bench.text(ANN, "hello")
    assert "queued" in refused(bench.replay("out-1"), 409, "not-replayed")
    bench.send()
    assert "sent" in refused(bench.replay("out-1"), 409, "not-replayed")
    refused(bench.replay("in-1"), 409, "not-replayed")


@pytest.mark.both_databases
def test_a_replay_by_filter_goes_oldest_first_and_a_bounded_number_at_a_time(bench: Bench) -> None:
    bench.open(ANN, BOB)
    ids = [bench.fail(f"{n}") for n in range(5)]
    texts, after, rounds = [], None, 0
    while rounds == 0 or after:
        answer = bench.client("POST", "/v1/messages/replay", json={"limit": 2, "participant": BOB, "after": after})
        assert answer.status == 200, answer
        done = answer.json()
        assert done["replayed"] == len(done["messages"]) <= 2
        assert [bench.get(f"/v1/messages/{id}")["replay_of"] for id in done["messages"]] == done["replaced"]
        texts += [bench.get(f"/v1/messages/{id}")["text"] for id in done["messages"]]
        after, rounds = done["next"], rounds + 1
    assert (texts, rounds) == (["0", "1", "2", "3", "4"], 3)
    assert all(bench.get(f"/v1/messages/{id}")["replayed_as"] for id in ids)
    assert bench.client("POST", "/v1/messages/replay", json={}).json()["replayed"] == 0


MISUNDERSTOOD: list[dict[str, Any]] = [
    {"states": []},
    {"states": ["sent"]},
    {"limit": 0},
    {"limit": 201},
    {"after": "1"},
    {"person": ANN},
    {"mask": "x"},
]


def test_a_replay_that_is_not_understood_replays_nothing(bench: Bench) -> None:
    bench.open(ANN, BOB)
    bench.fail()
    for body in MISUNDERSTOOD:
        refused(bench.client("POST", "/v1/messages/replay", json=body), 422, "invalid")
    assert len(bench.client.outbox()) == 1


# --- calls ------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_calls_are_recorded_once_with_what_came_of_them(bench: Bench) -> None:
    session = bench.open(ANN, BOB)
    bench.call(ANN, ref="1")
    bench.call(ANN, ref="1")
    bench.call(EVE, ref="2")
    bench.end(session)
    bench.call(ANN, ref="3")
    listed = bench.get("/v1/calls")["data"]
    assert [(one["outcome"], one["reason"], one["session"]) for one in listed] == [
        ("refused", "ended", session),
        ("refused", "no_session", None),
        (None, "", session),
    ]
    assert bench.get(f"/v1/calls/{listed[2]['id']}") == listed[2]
    assert listed[2]["participant"] == ANN
    assert [one["id"] for one in bench.get("/v1/calls?state=ringing")["data"]] == [listed[2]["id"]]
    assert [one["id"] for one in bench.get(f"/v1/calls?session={session}")["data"]] == [
        one["id"] for one in listed if one["session"]
    ]
    assert walk(bench, "/v1/calls?") == [one["id"] for one in listed]
    refused(bench.client("GET", "/v1/calls/99"), 404, "call-unknown")
    events = bench.get("/v1/events?kind=call.connected,call.refused")["data"]
    assert [one["call"] for one in events] == [one["id"] for one in reversed(listed)]
    assert all(number not in str(events) for number in (ANN, BOB, EVE))
