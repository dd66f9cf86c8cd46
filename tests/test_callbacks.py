"""Callbacks: each event reaches each endpoint, signed, in order, once it can; nothing else waits for it."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from program import until
from receivers import OTHER_SECRET, SECRET, TAKEN, Got, Receiver, Reply, receiving
from scripted import Scripted
from wsgi import Client, SettableClock

from gateway import inbound
from gateway.callbacks.courier import Courier
from gateway.callbacks.records import CallbackState, Draft, Verdict
from gateway.calls import InboundCall
from gateway.checks import Mark, callback_findings
from gateway.clock import now_ms
from gateway.dispatcher import Dispatcher
from gateway.errors import StoreUnavailable
from gateway.greeting import first_words
from gateway.kinds import KINDS
from gateway.messages import InboundMessage
from gateway.pruning import Pruner
from gateway.records import Kind, Outgoing
from gateway.server import courier as courier_of
from gateway.settings import Settings
from gateway.store import NEVER, Store
from gateway.voice import turns
from gateway.voice.course import Line
from gateway.web.v1.payloads import written

MASK, ANN, BOB = "+12065550199", "+12065550101", "+12065550102"
TEXT = "the blue door, second floor"
S = "0123456789abcdef0123456789abcde"  #: and a digit: a session
Make = Callable[..., Settings]


def add(store: Store, kind: str = "opt_out", at: int | None = None, **of: str) -> None:
    store.write(lambda tx: tx.add_event(kind, at or now_ms(), **of), shared=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def make(settings: Make, receiver: Receiver, database_url: str) -> Make:
    """Return a maker of settings with a receiver, and hardly a pause between two tries."""
    defaults = {
        "GATEWAY_CALLBACK_URL": receiver.url,
        "GATEWAY_CALLBACK_SECRET": SECRET,
        "GATEWAY_RETRY_BASE": "5ms",
        "GATEWAY_DATABASE_URL": database_url,
    }
    return lambda **given: settings(**(defaults | given))


@contextmanager
def calling(store: Store, settings: Settings) -> Iterator[Courier]:
    """Run a courier."""
    courier = courier_of(store, settings)
    assert courier is not None
    courier.start()
    try:
        yield courier
    finally:
        courier.stop()


def in_order(taken: list[Got]) -> dict[str, list[int]]:
    """Return the events of each session as they came first."""
    found: dict[str, list[int]] = {}
    for got in taken:
        events = found.setdefault(got.session, [])
        events += [got.event] if got.event not in events else []
    return found


def rows(store: Store, order: str = "id") -> list[dict[str, Any]]:
    return [dict(row) for row in store.read(lambda tx: tx.query(f"SELECT * FROM callbacks ORDER BY {order}"))]


def states(store: Store) -> list[str]:
    return [row["state"] for row in rows(store)]


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return what the gateway said: urllib3, which names URLs, is not heard where it logs."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("gateway"))


def settled(store: Store, count: int) -> list[str]:
    """Wait until nothing waits, and return the states of all."""
    until(lambda: len(found := states(store)) >= count and not {*found} & {"waiting", "sending"}, "all is settled")
    return states(store)


# --- from the feed ----------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_callback_comes_for_each_event_from_now_on(store: Store, make: Make, receiver: Receiver) -> None:
    add(store, "opt_in")
    with calling(store, make()):
        add(store, "opt_out")
        add(store, "carrier.paused", carrier="flowroute")
        got = receiver.wait(2)
        assert settled(store, 2) == ["delivered"] * 2
    assert [one.payload["type"] for one in got] == ["opt_out", "carrier.paused"]
    assert [row["body"] for row in rows(store)] == ["", ""]  # what is delivered is kept no longer
    assert got[0].headers["content-type"] == "application/json"


def test_what_happens_while_nobody_calls_back_is_told_later(store: Store, make: Make, receiver: Receiver) -> None:
    with calling(store, make()):
        pass
    add(store)
    with calling(store, make()):
        assert receiver.wait(1)[0].payload["type"] == "opt_out"


def test_only_the_kinds_that_are_wanted_come(store: Store, make: Make, receiver: Receiver) -> None:
    with calling(store, make(GATEWAY_CALLBACK_EVENTS="session.*,opt_in")):
        for kind in ("opt_out", "session.opened", "message.received", "opt_in"):
            add(store, kind)
        assert [one.payload["type"] for one in receiver.wait(2)] == ["session.opened", "opt_in"]
        assert settled(store, 2) == ["delivered"] * 2


def test_an_endpoint_that_is_new_begins_now_and_one_that_is_gone_gets_nothing(
    store: Store, make: Make, receiver: Receiver
) -> None:
    with receiving() as other:
        receiver.answer = lambda got: Reply(500)
        with calling(store, make()):
            add(store, "opt_out")
            until(lambda: receiver.got, "it is tried")
        with calling(store, make(GATEWAY_CALLBACK_URL=other.url)):
            tried = len(receiver.got)
            add(store, "opt_in")
            assert [one.payload["type"] for one in other.wait(1)] == ["opt_in"]
        assert (len(receiver.got), states(store)) == (tried, ["waiting", "delivered"])
        receiver.answer = lambda got: TAKEN
        with calling(store, make(GATEWAY_CALLBACK_URL=f"{other.url},{receiver.url}")):  # in whatever order
            assert [one.payload["type"] for one in receiver.wait(2)] == ["opt_out", "opt_in"]
        assert len(other.got) == 1


def test_what_is_too_old_when_it_is_found_is_not_told(store: Store, make: Make, receiver: Receiver) -> None:
    with calling(store, make()):
        add(store, "opt_out", at=now_ms() - 25 * 3_600_000)
        add(store, "opt_in")
        assert [one.payload["type"] for one in receiver.wait(1)] == ["opt_in"]
    assert len(rows(store)) == 1


def test_an_endpoint_that_is_far_behind_keeps_no_other_waiting(store: Store, make: Make, receiver: Receiver) -> None:
    with receiving() as late:
        chosen = make(GATEWAY_CALLBACK_URL=f"{receiver.url},{late.url}")
        courier = courier_of(store, chosen)
        assert courier is not None
        courier._begin()
        store.write(lambda tx: [tx.add_event("opt_out", now_ms()) for _ in range(1_000)])
        store.write(
            lambda tx: tx.query(
                "UPDATE endpoints SET upto = 990 WHERE name = :name", name=chosen.callback_endpoints[0].name
            )
        )
        courier.turn()
        line = {row["endpoint"]: row["event"] for row in rows(store)}
        assert sorted(line.values()) == [200, 1_000]
        courier.stop()


def test_what_cannot_be_shown_holds_up_nothing(
    store: Store, make: Make, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    one = Outgoing(carrier="flowroute", mask=MASK, recipient=ANN, text=TEXT)
    id = store.write(lambda tx: tx.enqueue(one, now=now_ms(), validity_ms=100_000))
    store.write(lambda tx: tx.query("UPDATE outbox SET kind = 'of a newer gateway'"))
    with calling(store, make()):
        store.write(lambda tx: tx.add_event("message.sent", now_ms(), message=id))
        add(store, "opt_in")
        sent, other = receiver.wait(2)
    assert (sent.payload["data"]["message"], sent.payload["data"]["resource"]) == (f"out-{id}", None)
    assert other.payload["type"] == "opt_in"
    assert "what a callback is about broke: ValueError" in caplog.text


def draft(event: int, session: str = "") -> Draft:
    return Draft(
        event=event, kind="opt_out", session=session, body="{}", is_full=False, expires_at=now_ms() + 1_000_000
    )


@pytest.mark.both_databases
def test_two_processes_that_have_read_the_same_events_put_them_in_line_once(store: Store) -> None:
    store.write(lambda tx: tx.add_endpoints({"a": "k", "b": "k"}))
    given = [
        store.write(lambda tx, names=names: tx.fan_out(names, 0, 2, [draft(1), draft(2)], 5), shared=True)
        for names in (["a"], ["a", "b"], ["b"])
    ]
    assert given == [True, True, False]
    assert [(row["endpoint"], row["event"]) for row in rows(store)] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


# --- order ------------------------------------------------------------------------------------------


def at_random(seed: int) -> Callable[[Got], Reply]:
    """Answer as a receiver does that has many faults, and takes everything in the end."""
    dice = random.Random(seed)
    faults = [Reply(503), Reply(0), Reply(500, after=0.02), Reply(404), Reply(302, {"Location": "/x"}), Reply(429)]
    return lambda got: dice.choice([*faults, *[TAKEN] * 6, Reply(after=0.01), Reply(200, body=b"x" * 20_000)])


@pytest.mark.both_databases
def test_each_session_s_come_in_order_one_at_a_time_whatever_fails(
    store: Store, make: Make, receiver: Receiver
) -> None:
    receiver.answer = at_random(7)
    sessions = ["", *(f"{S}{n}" for n in range(7))]
    with calling(store, make()):
        for _ in range(12):
            for session in sessions:
                add(store, "session.changed", session=session)
        assert settled(store, 96) == ["delivered"] * 96
    assert {*receiver.at_once.values()} == {1}
    wanted: dict[str, list[int]] = {}
    for row in store.read(lambda tx: tx.events(count=1000)):
        wanted.setdefault(row["session"], []).append(row["id"])
    assert in_order(receiver.taken) == wanted
    assert len({got.id for got in receiver.got}) == 96  # the same at each try
    assert len({(got.id, got.body) for got in receiver.got}) == 96


def test_a_callback_that_fails_holds_up_its_own_session_only(store: Store, make: Make, receiver: Receiver) -> None:
    bad = f"{S}0"
    receiver.answer = lambda got: Reply(500) if got.session == bad else TAKEN
    with calling(store, make()):
        for _ in range(3):
            add(store, "session.changed", session=bad)
            add(store, "session.changed", session=f"{S}1")
        assert {got.session for got in receiver.wait(3)} == {f"{S}1"}
        assert len({got.id for got in receiver.got if got.session == bad}) == 1
        until(lambda: len(receiver.got) > 9, "it is tried again and again")
        add(store, "session.changed", session=f"{S}2")  # nobody takes the endpoint to be out
        receiver.wait(4, seconds=2)
        receiver.answer = lambda got: TAKEN
        receiver.wait(7)
    events = in_order(receiver.taken)[bad]
    assert (len(events), events) == (3, sorted(events))


# --- outages ----------------------------------------------------------------------------------------


def test_an_outage_costs_no_attempts_and_ends_in_order(store: Store, make: Make, receiver: Receiver) -> None:
    receiver.answer = lambda got: Reply(503)
    with calling(store, make()):
        for n in range(60):
            add(store, "session.changed", session=f"{S[:-1]}{n:02}")
        until(lambda: store.read(lambda tx: tx.query("SELECT * FROM endpoints"))[0]["probe_at"], "it is out")
        until(lambda: len(rows(store)) == 60, "all are in line")
        until(lambda: "sending" not in states(store), "what was under way is back")
        assert max(row["attempts"] for row in rows(store)) <= 1
        assert len(receiver.got) <= 2 * 16
        receiver.answer = lambda got: TAKEN
        receiver.wait(60, seconds=10)
        assert settled(store, 60) == ["delivered"] * 60


def test_the_api_says_how_each_endpoint_stands(
    store: Store, make: Make, receiver: Receiver, serve: Callable[..., Client], clock: SettableClock
) -> None:
    store.write(lambda tx: tx.add_endpoints({"an-old-one": "k"}))
    receiver.answer = lambda got: Reply(503)
    with calling(store, make()):
        for n in range(8):
            add(store, "session.changed", session=f"{S}{n}")
        until(lambda: "sending" not in states(store) and len(receiver.got) >= 8, "all were tried")
    api = serve(sending=False, **_variables(receiver))
    out, gone = api("GET", "/v1/callbacks/endpoints").json()["data"]
    assert [gone["name"], gone["state"], gone["next_try"], gone["backlog"]] == ["an-old-one", "gone", None, 0]
    assert [out["state"], out["reason"], out["backlog"]] == ["out", "HTTP 503", 8]
    assert out["next_try"] is not None
    held = "UPDATE endpoints SET probe_at = NULL, failures = 0, why = '', held_until = :at"
    store.write(lambda tx: tx.query(held, at=clock.now + 1))
    assert api("GET", "/v1/callbacks/endpoints").json()["data"][0]["state"] == "held"
    clock.tick(ms=1)
    assert api("GET", "/v1/callbacks/endpoints").json()["data"][0]["state"] == "ready"


def test_a_receiver_that_hangs_holds_up_no_text_and_no_other_endpoint(
    store: Store, make: Make, receiver: Receiver
) -> None:
    go_on = threading.Event()
    carrier = Scripted()

    def hang(got: Got) -> Reply:
        go_on.wait(20)
        return TAKEN

    receiver.answer = hang
    with receiving() as other:
        chosen = make(GATEWAY_CALLBACK_URL=f"{receiver.url},{other.url}")
        dispatcher = Dispatcher(store, {carrier.name: carrier}, chosen, courier=courier_of(store, chosen))
        dispatcher.start()
        try:
            for n in range(30):
                add(store, "session.changed", session=f"{S[:-1]}{n:02}")
            until(lambda: len(receiver.got) == 16, "all senders to it are busy")
            other.wait(30)
            for n in range(30):
                text(store, carrier, f"+120655501{n:02}")
            until(lambda: len(carrier.accepted) == 30, "all texts are sent", 5)
            assert receiver.taken == []
            assert dispatcher.alive
        finally:
            go_on.set()
            dispatcher.stop()
    assert not dispatcher.alive
    assert len(receiver.taken) == 16  # what was under way came to its end


def text(store: Store, carrier: Scripted, recipient: str) -> None:
    one = Outgoing(
        carrier=carrier.name, mask=MASK, recipient=recipient, text="hello", media=(), kind=Kind.RELAY, session=""
    )
    store.write(lambda tx: tx.enqueue(one, now=now_ms(), validity_ms=100_000))


def test_nobody_is_followed_elsewhere(store: Store, make: Make, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.answer = lambda got: Reply(307, {"Location": elsewhere.url}) if len(receiver.got) == 1 else TAKEN
        with calling(store, make()):
            add(store)
            receiver.wait(1)
        assert elsewhere.got == []


def test_a_password_in_the_url_is_sent_and_never_shown(
    store: Store, make: Make, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = receiver.url.replace("//", "//me:hunter22@") + "?key=sesame"
    receiver.answer = lambda got: Reply(500) if len(receiver.got) == 1 else TAKEN
    with calling(store, make(GATEWAY_CALLBACK_URL=url)):
        add(store)
        [got] = receiver.wait(1)
        settled(store, 1)
    assert (got.headers["authorization"], got.path) == ("Basic bWU6aHVudGVyMjI=", "/hook?key=sesame")
    kept = logged(caplog) + str(rows(store)) + str(store.read(lambda tx: tx.query("SELECT * FROM endpoints")))
    assert "hunter22" not in kept
    assert "sesame" not in kept


# --- claims -----------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_line_is_one_owner_s_until_they_let_go_or_are_dead(store: Store) -> None:
    store.write(lambda tx: tx.add_endpoints({"e": "k"}))
    store.write(lambda tx: tx.fan_out(["e"], 0, 3, [draft(1, "s"), draft(2, "s"), draft(3, "t")], 0))

    def claim(owner: str, now: int) -> list[int]:
        return [one.event for one in store.write(lambda tx: tx.claim_callbacks("e", owner, 9, now), shared=True)]

    assert [claim("one", 10), claim("two", 10)] == [[1, 3], []]
    store.write(lambda tx: tx.renew_callbacks("one", [tx.callback(1)], 5_000))
    assert store.write(lambda tx: tx.free_callbacks("one", 20_010, run_out_by=20_010)) == 1  # the one not renewed
    assert claim("two", 20_010) == [3]
    lost = store.read(lambda tx: tx.callback(3))
    failed = Verdict(callback=lost, state=CallbackState.WAITING, due_at=0, status=500, reason="HTTP 500")
    store.write(lambda tx: tx.settle_callback(failed, "one", 20_011))  # says nothing of the other's attempt
    assert states(store) == ["sending", "waiting", "sending"]
    one = store.read(lambda tx: tx.callback(1))
    late = Verdict(callback=one, state=CallbackState.DELIVERED, due_at=0, status=200, reason="")
    assert store.write(lambda tx: tx.free_callbacks("one", 30_000, run_out_by=NEVER)) == 1  # it is dead
    assert claim("two", 30_000) == [1]
    store.write(lambda tx: tx.settle_callback(late, "one", 30_001))  # it was not, and has delivered it
    assert [(row["event"], row["state"], row["attempts"]) for row in rows(store)] == [
        (1, "delivered", 2), (2, "waiting", 0), (3, "sending", 2),
    ]  # fmt: skip
    assert claim("one", 40_000) == []  # the line is still the other's
    store.write(lambda tx: tx.settle_callback(late, "two", 40_001))
    assert claim("one", 40_002) == [2]


def test_what_is_claimed_is_sent_though_the_answer_to_the_claim_was_lost(
    store: Store, make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lost = store.write, []

    def write(work: Any, *, shared: bool = False) -> Any:
        result = real(work, shared=shared)
        if shared and getattr(result, "claimed", None) and not lost:
            lost.append(result)
            raise StoreUnavailable("whether the last transaction was kept is not known")
        return result

    monkeypatch.setattr(store, "write", write)
    with calling(store, make()):
        add(store)
        receiver.wait(1, seconds=5)
        assert settled(store, 1) == ["delivered"]
    assert lost
    assert rows(store)[0]["attempts"] == 1


# --- the dead, and the old --------------------------------------------------------------------------


@pytest.mark.both_databases
def test_what_is_dead_lets_the_next_go_and_can_be_replayed_once(
    store: Store, make: Make, receiver: Receiver, serve: Callable[..., Client]
) -> None:
    receiver.answer = lambda got: Reply(410) if len(receiver.got) == 1 else TAKEN
    chosen = make()
    api = serve(sending=False, **_variables(receiver))
    with calling(store, chosen):
        for _ in range(2):
            add(store, "session.changed", session=f"{S}1")
        receiver.wait(1)
        assert settled(store, 2) == ["dead", "delivered"]
        [dead] = api("GET", "/v1/callbacks?state=dead").json()["data"]
        assert (dead["status"], dead["reason"], dead["attempts"]) == (410, "HTTP 410", 1)
        again = api("POST", f"/v1/callbacks/{dead['id']}/replay", json={})
        assert again.status == 201
        assert settled(store, 3)[-1] == "delivered"
    assert [got.event for got in receiver.taken] == [2, 1]
    assert receiver.got[2].id == receiver.got[0].id == dead["webhook_id"]
    assert receiver.got[2].body == receiver.got[0].body
    shown = api("GET", again.headers["location"]).json()
    assert (shown["state"], shown["replay_of"], shown["next_try"]) == ("delivered", dead["id"], None)
    assert api("POST", f"/v1/callbacks/{dead['id']}/replay", json={}).status == 409
    assert api("POST", f"/v1/callbacks/{shown['id']}/replay", json={}).status == 409
    assert api("POST", "/v1/callbacks/999/replay", json={}).status == 404


def _variables(receiver: Receiver) -> dict[str, str]:
    return {"GATEWAY_CALLBACK_URL": receiver.url, "GATEWAY_CALLBACK_SECRET": SECRET}


def test_the_dead_are_replayed_by_filter_page_by_page(
    store: Store, make: Make, receiver: Receiver, serve: Callable[..., Client]
) -> None:
    receiver.answer = lambda got: Reply(410)
    api = serve(sending=False, **_variables(receiver))
    with calling(store, make()):
        for n in range(6):
            add(store, "opt_in" if n % 2 else "opt_out", session=f"{S}{n}")
        assert settled(store, 6) == ["dead"] * 6
        receiver.answer = lambda got: TAKEN
        first = api("POST", "/v1/callbacks/replay", json={"kind": "opt_in", "limit": 2}).json()
        rest = api("POST", "/v1/callbacks/replay", json={"kind": "opt_in", "after": first["next"]}).json()
        assert ([first["replayed"], rest["replayed"]], rest["next"]) == ([2, 1], None)
        assert api("POST", "/v1/callbacks/replay", json={"kind": "opt_in"}).json()["replayed"] == 0
        settled(store, 9)
    assert [got.payload["type"] for got in receiver.taken] == ["opt_in"] * 3
    store.write(lambda tx: tx.query("UPDATE callbacks SET endpoint = 'gone'"))
    refused = api("POST", "/v1/callbacks/replay", json={}).json()["refused"]
    assert {one["why"] for one in refused} == {"its endpoint is not in GATEWAY_CALLBACK_URL any more"}


def test_lists_are_filtered_and_paged(store: Store, serve: Callable[..., Client]) -> None:
    api = serve(sending=False)
    store.write(lambda tx: tx.add_endpoints({"a": "k", "b": "k"}))
    store.write(lambda tx: tx.fan_out(["a", "b"], 0, 9, [draft(n, f"{S}{n % 3}") for n in range(1, 10)], now_ms()))

    def found(query: str) -> list[int]:
        ids: list[int] = []
        page: dict[str, Any] = {"next": ""}
        while page["next"] is not None:
            cursor = f"&cursor={page['next']}" if page["next"] else ""
            page = api("GET", f"/v1/callbacks?limit=2{query}{cursor}").json()
            ids += [one["id"] for one in page["data"]]
        return ids

    assert found("") == list(range(18, 0, -1))
    assert found("&endpoint=a") == list(range(9, 0, -1))
    assert found(f"&session={S}1&endpoint=b") == [16, 13, 10]
    assert found("&kind=opt_in") == found("&state=dead") == found("&state=delivered") == []
    assert found("&state=waiting") == list(range(18, 0, -1))
    head, behind = (api("GET", f"/v1/callbacks/{id}").json() for id in (1, 4))
    assert head["next_try"] is not None
    assert behind["next_try"] is None
    assert "body" not in head


def test_what_is_past_its_validity_is_dead_and_the_next_goes(
    store: Store, make: Make, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda got: Reply(500) if got.event == 1 else TAKEN
    with calling(store, make(GATEWAY_RETRY_BASE="10m")):  # a long time to wait, had it no end
        add(store, "session.changed", session=f"{S}1", at=now_ms() - 86_400_000 + 1_000)
        add(store, "session.changed", session=f"{S}1")
        assert [got.event for got in receiver.wait(1)] == [2]
        assert settled(store, 2) == ["dead", "delivered"]
    assert rows(store)[0]["reason"] == "not delivered within its validity: HTTP 500"
    assert "1 callbacks to 127.0.0.1-" in caplog.text


def test_old_callbacks_go_but_those_that_wait_and_an_event_need_not_be_there_any_more(
    store: Store, make: Make, receiver: Receiver
) -> None:
    day, old = 86_400_000, now_ms() - 100 * 86_400_000
    receiver.answer = lambda got: Reply(410) if got.event == 1 else Reply(500)
    with calling(store, make(GATEWAY_CALLBACK_VALIDITY="200d")):
        for n in (1, 2, 3):
            add(store, session=f"{S}{n}", at=old)
        until(lambda: len({got.event for got in receiver.got}) == 3, "all are tried")
        until(lambda: states(store).count("dead") == 1, "one is dead")
        store.write(lambda tx: tx.query("UPDATE callbacks SET updated_at = :old", old=old))
        Pruner(store, 90 * day).step(now_ms())
        assert [row["id"] for row in store.read(lambda tx: tx.events())] == [3]
        assert [row["event"] for row in rows(store)] == [2, 3]
        receiver.answer = lambda got: TAKEN
        assert {got.event for got in receiver.wait(2)} == {2, 3}


# --- what is said -----------------------------------------------------------------------------------


@pytest.fixture
def conversation(
    store: Store, serve: Callable[..., Client], carriers: dict[str, Any], clock: SettableClock
) -> Callable[[], str]:
    """Return what opens a session, and lets a text and a call come in; it returns the session's id."""

    def converse() -> str:
        clock.now = now_ms()
        api = serve(sending=False)
        assert api("POST", "/v1/pool", json={"number": MASK, "carrier": "flowroute"}).status == 201
        people = [{"number": ANN, "name": "Driver"}, {"number": BOB}]
        opened = api("POST", "/v1/sessions", json={"participants": people, "exclusive": True, "metadata": {"a": 1}})
        assert opened.status == 201
        carrier, chosen = carriers["flowroute"], api.context.settings
        told = InboundMessage(carrier_ref="t", sender=ANN, recipient=MASK, text=TEXT)
        rung = InboundCall(carrier_ref="c", caller=ANN, called=MASK)
        store.write(lambda tx: inbound.message(tx, carrier, told, chosen, now_ms()))
        line = Line(carrier=carrier, settings=chosen, now=now_ms())
        store.write(lambda tx: turns.call(tx, line, rung))
        store.write(lambda tx: tx.add_event("message.sent", now_ms(), session=opened.json()["id"], message=1))
        assert api("POST", "/v1/opt-outs", json={"participant": BOB, "mask": MASK}).status == 201
        return str(opened.json()["id"])

    return converse


def test_a_callback_says_what_the_api_says_with_numbers_masked_unless_they_are_asked_for(
    store: Store, make: Make, receiver: Receiver, conversation: Callable[[], str], serve: Callable[..., Client]
) -> None:
    kinds = "session.opened,message.*,call.*,opt_out"
    with receiving() as full:
        numbers = make(GATEWAY_CALLBACK_URL=full.url, GATEWAY_CALLBACK_NUMBERS="full", GATEWAY_CALLBACK_EVENTS=kinds)
        with calling(store, make(GATEWAY_CALLBACK_EVENTS=kinds)):
            pass
        with calling(store, numbers):
            pass
        id = conversation()
        with calling(store, make(GATEWAY_CALLBACK_EVENTS=kinds)):
            masked = {got.payload["type"]: got for got in receiver.wait(5)}
        with calling(store, numbers):
            shown = {got.payload["type"]: got.payload for got in full.wait(5)}
    api = serve(sending=False)
    events = {one["kind"]: one for one in api("GET", "/v1/events").json()["data"]}
    resources = {
        "session.opened": api("GET", f"/v1/sessions/{id}").json(),
        "message.received": api("GET", "/v1/messages?direction=inbound").json()["data"][0],
        "message.sent": api("GET", "/v1/messages?direction=outbound").json()["data"][0],
        "call.connected": api("GET", "/v1/calls").json()["data"][0],
        "opt_out": api("GET", "/v1/opt-outs").json()["data"][0],
    }
    assert {*shown} == {*masked} == {*resources}
    for kind, resource in resources.items():
        payload = shown[kind]
        assert payload["data"] == {**events[kind], "resource": resource}
        assert payload["timestamp"] == events[kind]["at"]
    said = b"".join(got.body for got in masked.values())
    assert ANN.encode() not in said
    assert BOB.encode() not in said
    legs = masked["session.opened"].payload["data"]["resource"]["legs"]
    assert [(leg["participant"], leg["name"], leg["mask"]) for leg in legs] == [
        ("+1•••••01", "Driver", MASK), ("+1•••••02", None, MASK),
    ]  # fmt: skip
    assert masked["message.received"].payload["data"]["resource"]["participant"] == "+1•••••01"
    assert masked["message.sent"].payload["data"]["resource"]["text"] == TEXT
    assert masked["call.connected"].payload["data"]["resource"]["participant"] == "+1•••••01"
    assert masked["opt_out"].payload["data"]["resource"]["participant"] == "+1•••••02"


def test_each_kind_is_as_the_document_says_it_is_with_numbers_and_without(
    store: Store, conversation: Callable[[], str], serve: Callable[..., Client]
) -> None:
    schemas = pytest.importorskip("jsonschema_rs")
    session = conversation()
    for kind in sorted(KINDS):
        store.write(lambda tx, kind=kind: tx.add_event(kind, now_ms(), session=session, mask=MASK, message=1))
    document = serve(sending=False)("GET", "/v1/openapi.json").json()
    callback = document["webhooks"]["callback"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    told = schemas.validator_for(callback | {"components": document["components"]})
    for full in (True, False):
        bodies = store.read(lambda tx, full=full: [written(tx, row, full=full) for row in tx.events(count=200)])
        assert {json.loads(body)["type"] for body in bodies} == KINDS
        for body in bodies:
            told.validate(json.loads(body))
        assert (ANN in str(bodies) or BOB in str(bodies)) is full


@pytest.mark.both_databases
def test_once_numbers_are_to_be_masked_none_goes_out_that_was_written_down_before(
    store: Store, make: Make, receiver: Receiver, conversation: Callable[[], str], serve: Callable[..., Client]
) -> None:
    kinds = "session.opened,message.received"
    receiver.answer = lambda got: Reply(500 if got.payload["type"] == "session.opened" else 410)
    with calling(store, make(GATEWAY_CALLBACK_NUMBERS="full", GATEWAY_CALLBACK_EVENTS=kinds)):
        conversation()
        until(lambda: receiver.got, "the first is tried")
        until(lambda: len(rows(store)) == 2 and "sending" not in states(store), "all are in line")
    assert ANN in receiver.got[0].body.decode()
    tried = len(receiver.got)
    with calling(store, make(GATEWAY_CALLBACK_EVENTS=kinds)):
        until(lambda: len(receiver.got) > tried + 2, "it is tried again")
        receiver.answer = lambda got: TAKEN if got.payload["type"] == "session.opened" else Reply(410)
        assert settled(store, 2) == ["delivered", "dead"]
        assert serve(sending=False, **_variables(receiver))("POST", "/v1/callbacks/2/replay").status == 201
        receiver.answer = lambda got: TAKEN
        assert settled(store, 3)[-1] == "delivered"
    later = receiver.got[tried:]
    assert {got.payload["data"]["resource"]["id"] for got in later}
    assert not [got for got in later if ANN.encode() in got.body or BOB.encode() in got.body]
    assert len({(got.id, got.body) for got in later}) == 2  # each is the same from then on


def test_what_showed_numbers_and_cannot_be_written_anew_is_dead_unsent(
    store: Store, make: Make, receiver: Receiver, conversation: Callable[[], str]
) -> None:
    receiver.answer = lambda got: Reply(500)
    with calling(store, make(GATEWAY_CALLBACK_NUMBERS="full", GATEWAY_CALLBACK_EVENTS="session.opened")):
        conversation()
        until(lambda: receiver.got, "it is tried")
    store.write(lambda tx: tx.query("DELETE FROM events"))
    tried = len(receiver.got)
    with calling(store, make(GATEWAY_CALLBACK_EVENTS="session.opened")):
        assert settled(store, 1) == ["dead"]
    assert "numbers" in rows(store)[0]["reason"]
    assert len(receiver.got) == tried


def test_a_receiver_can_tell_our_callbacks_with_either_secret_and_no_other_body(
    store: Store, make: Make, receiver: Receiver
) -> None:
    standard = pytest.importorskip("standardwebhooks")
    with calling(store, make(GATEWAY_CALLBACK_SECRET=f"{OTHER_SECRET},{SECRET}")):
        add(store)
        [got] = receiver.wait(1)
    for secret in (SECRET, OTHER_SECRET):
        assert standard.Webhook(secret).verify(got.body, got.headers) == got.payload
        with pytest.raises(standard.WebhookVerificationError):
            standard.Webhook(secret).verify(got.body.replace(b"opt_out", b"opt_in "), got.headers)
    with pytest.raises(standard.WebhookVerificationError):
        standard.Webhook("whsec_" + "a" * 44).verify(got.body, got.headers)


def test_nothing_of_people_is_logged_or_kept_whatever_a_receiver_answers(
    store: Store,
    make: Make,
    receiver: Receiver,
    conversation: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answer = lambda got: Reply(410, {"X-Echo": ANN}, got.body)
    with calling(store, make(GATEWAY_CALLBACK_NUMBERS="full")):
        conversation()
        settled(store, 4)
        receiver.answer = lambda got: Reply(500, {"X-Echo": BOB, "Retry-After": BOB}, got.body)
        store.write(lambda tx: tx.add_event("message.sent", now_ms(), message=1))
        until(lambda: rows(store)[-1]["reason"], "it was tried")
    assert ANN in str(rows(store)[0]["body"])  # they are there, and could have been
    assert "is dead: HTTP 410" in caplog.text
    kept = (
        logged(caplog) + str([{**row, "body": ""} for row in rows(store)]) + repr(store.read(lambda tx: tx.callback(1)))
    )
    for private in (ANN, BOB, TEXT, SECRET):
        assert private not in kept


# --- for the operator -------------------------------------------------------------------------------


def test_the_start_says_where_callbacks_go_and_who_can_read_them(store: Store, make: Make) -> None:
    url = "http://me:hunter22@hooks.example.com/in,https://safe.example.com/,http://127.0.0.1/"
    lines = first_words(make(GATEWAY_CALLBACK_URL=url), {}, {}, store, "listens", "http://gw.example.com")
    assert [line for line in lines if line.endswith("webhook token: not needed, no carrier is on")]
    [line] = [line for line in lines if line.startswith("callbacks: ")]
    assert line.startswith("callbacks: 3 endpoints (127.0.0.1-")
    [warning] = [line for line in lines if "go over http" in line]
    assert warning.startswith("warning: callbacks to hooks.example.com-")
    assert "hunter22" not in "".join(lines)


def test_a_check_says_whether_somebody_listens_and_sends_nothing(make: Make, receiver: Receiver) -> None:
    [fine] = callback_findings(make())
    assert (fine.mark, receiver.got) == (Mark.OK, [])
    receiver.close()
    [wrong] = callback_findings(make())
    assert (wrong.mark, "/hook" in wrong.words) == (Mark.WRONG, False)
    [unknown] = callback_findings(make(GATEWAY_CALLBACK_URL="https://no-such-host.invalid/hook"))
    assert (unknown.mark, "its host is not known" in unknown.words) == (Mark.WRONG, True)
