"""`gateway serve --no-dispatch` beside `gateway dispatch`, and what requests may ask of those who send elsewhere."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from fleet import forked, ready, started
from postgres import Server
from program import Program, until
from scripted import Scripted
from wsgi import SettableClock

from gateway.desk import HURRIED, Desk
from gateway.dispatcher import LOCKED_MS, POLL, Dispatcher
from gateway.dispatching import Elsewhere
from gateway.hurry import HOLD_S, Hurry
from gateway.records import MessageState, Outgoing
from gateway.settings import Settings, read_settings
from gateway.store import NEVER, Store
from gateway.testing.network import Fault, Network

KEY = "simulator-key"
MASK, ANN, BOB, CARL = "+12065550199", "+12065550101", "+12065550102", "+12065550103"


@dataclass(frozen=True)
class Two:
    """One process that serves and one that sends, on one SQLite file."""

    net: Network
    front: Program
    sender: Program


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    with Network(key=KEY, receipts=True) as net:
        given = {"SIMULATOR_URL": net.url, "SIMULATOR_KEY": KEY, "GATEWAY_TN_CARRIER": "simulator"}
        with forked(folder, given, "serve", "--no-dispatch", name="front") as front:
            url = ready(front).url  # as a proxy's: both have to know it
            with started(folder, given | {"GATEWAY_PUBLIC_URL": url}, "dispatch", name="sender") as sender:
                ready(sender, " dispatching")
                net.webhook_url = f"{url}/webhooks/simulator"
                assert front.ask("POST", "/tn", {"value": MASK}) == 200
                yield Two(net, front, sender)


def test_each_says_what_it_does_and_what_it_leaves_to_the_other(two: Two) -> None:
    assert f"listens on {two.front.url}, sends nothing (`gateway dispatch` does), carriers call" in two.front.output
    said = [line for line in two.sender.output.splitlines() if " INFO " not in line]
    assert said[1] == f"serves no HTTP, carriers call {two.front.url}"
    assert said[-1].startswith("maskgate ")
    assert said[-1].endswith(" dispatching")


def test_who_does_not_send_is_ready_without_a_dispatcher(two: Two) -> None:
    assert two.front.ask("GET", "/readyz") == 200


def test_texts_and_receipts_find_their_way_through_both(two: Two) -> None:
    assert two.front.ask("POST", "/session", {"participant_a": ANN, "participant_b": BOB}) == 200
    assert two.net.handset(ANN).text(MASK, "where are you?").status == 200
    assert [text.text for text in two.net.handset(BOB).wait_for(2)][-1] == "where are you?"
    store = Store(f"sqlite:///{two.front.folder}/gateway.db")
    states = "SELECT state FROM outbox WHERE text = 'where are you?'"
    until(lambda: store.read(lambda tx: tx.query(states))[0]["state"] == "delivered", "its receipt is taken")
    store.close()
    two.front.says("session.opened: session ")
    assert "session.opened" not in two.sender.output  # an event is logged once, where it happened
    [session] = [one for one in two.front.answers if "session_id" in one[2]]
    id = session[2].partition('"session_id": "')[2][:32]
    assert two.front.ask("DELETE", "/session", {"session_id": id}) == 200


def test_a_session_is_answered_when_the_other_process_has_heard_from_the_carrier(two: Two) -> None:
    two.net.faults = lambda send: Fault.refused() if send.recipient == CARL else Fault.slow(0.05)
    for other, status in ((CARL, 500), (BOB, 200)):
        began = time.monotonic()
        assert two.front.ask("POST", "/session", {"participant_a": ANN, "participant_b": other}) == status
        assert time.monotonic() - began < 4  # of the 5 s after which it would be told without an answer
    two.net.faults = None


def test_without_a_port_it_must_be_told_where_receipts_go(tmp_path: Path) -> None:
    given = {"SIMULATOR_URL": "http://127.0.0.1:9", "SIMULATOR_KEY": KEY}
    with forked(tmp_path, given, "dispatch") as program:
        assert program.running.wait(30) == 2
        assert "gateway: GATEWAY_PUBLIC_URL: " in program.output
        assert "Traceback" not in program.output


def test_who_sends_needs_the_same_doors_closed(tmp_path: Path) -> None:
    given = {"FLOWROUTE_ACCESS_KEY": "a", "FLOWROUTE_SECRET_KEY": "b", "GATEWAY_PUBLIC_URL": "https://mask.example.com"}
    with forked(tmp_path, given, "dispatch") as program:
        assert program.running.wait(30) == 2
        assert "GATEWAY_WEBHOOK_TOKEN: " in program.output


def test_it_stops_as_a_server_does_when_what_is_being_sent_is_settled(two: Two) -> None:
    """The last one here: it ends the process that sends."""
    gate = threading.Event()
    two.net.fail_next(1, Fault.slow(gate))
    taken = len(two.net.accepted())
    assert two.net.handset(BOB).text(MASK, "on its way").status == 200
    two.net.wait_for(taken + 1)
    two.sender.running.send_signal(signal.SIGTERM)
    two.sender.says("stopping: sends settle")
    gate.set()
    assert two.sender.running.wait(30) == 0
    store = Store(f"sqlite:///{two.front.folder}/gateway.db")
    assert store.read(lambda tx: tx.lanes_waiting()) == 0
    store.close()


# --- waiting for others ---------------------------------------------------------------------------------


def enqueue(store: Store, text: str, to: str = BOB) -> int:
    outgoing = Outgoing(carrier="scripted", mask=MASK, recipient=to, text=text)
    return store.write(lambda tx: tx.enqueue(outgoing, now=0, validity_ms=1 << 60))


def test_what_another_process_settles_ends_the_wait(store: Store, settings: Callable[..., Settings]) -> None:
    elsewhere, id = Elsewhere(store, threads=8), enqueue(store, "x")
    other = Dispatcher(store, {"scripted": Scripted()}, settings())
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(elsewhere.wait_until_answered, [id], 30.0)
        other.start()
        [message] = waiting.result(10)
    other.stop()
    assert message.state is MessageState.SENT


def test_so_many_may_wait_that_two_threads_are_left_for_webhooks(store: Store) -> None:
    elsewhere, id = Elsewhere(store, threads=5), enqueue(store, "x")
    with ThreadPoolExecutor(8) as threads:
        waits = [threads.submit(elsewhere.wait_until_answered, [id], 5.0) for _ in range(8)]
        until(lambda: sum(wait.done() for wait in waits) == 5, "five were answered at once")
        store.write(lambda tx: tx.cancel(id, "enough", 1))
        assert all(wait.result(4)[0].state is not None for wait in waits)


def test_a_wait_ends_with_its_time_and_says_what_is_known(store: Store) -> None:
    [message] = Elsewhere(store, threads=8).wait_until_answered([enqueue(store, "x")], 0.25)
    assert message.state is MessageState.QUEUED


# --- dispatchers beside each other ----------------------------------------------------------------------


def test_what_another_process_enqueues_is_noticed_soon_though_nobody_rings(
    store: Store, settings: Callable[..., Settings]
) -> None:
    carrier = Scripted()
    dispatcher = Dispatcher(store, {"scripted": carrier}, settings())
    dispatcher.start()
    dispatcher.ring()
    began = time.monotonic()
    for n in range(1, 5):
        enqueue(store, "x")
        carrier.wait_for(n)
        until(lambda: not store.read(lambda tx: tx.lanes_waiting()), "it is settled, and the dispatcher sleeps")
    assert time.monotonic() - began < 2.5  # 0.2 s each, on an idle machine
    dispatcher.stop()


class Counted(Dispatcher):
    """A dispatcher that counts its turns."""

    turns = 0

    def turn(self) -> int:
        self.turns += 1
        return super().turn()


def time_of_turns(dispatcher: Counted, turns: int) -> float:
    """Return how long (s) so many more turns take."""
    began, end = time.monotonic(), dispatcher.turns + turns
    until(lambda: dispatcher.turns >= end, f"it has turned {turns} times more")
    return time.monotonic() - began


def test_a_dispatcher_with_nothing_to_do_looks_a_few_times_a_second(
    store: Store, settings: Callable[..., Settings]
) -> None:
    dispatcher = Counted(store, {"scripted": Scripted()}, settings())
    dispatcher.start()
    assert time_of_turns(dispatcher, 4) > 2 * POLL
    dispatcher.stop()


def test_who_only_looks_does_not_wait_for_another_process_s_write(
    store: Store, settings: Callable[..., Settings], tmp_path: Path, clock: SettableClock
) -> None:
    dispatcher = Dispatcher(store, {"scripted": Scripted()}, settings(), clock=clock)
    dispatcher.turn()  # with the housekeeping, which writes
    with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(dispatcher.turn).result(5) == NEVER
            other.execute("ROLLBACK")


def test_what_is_due_but_in_other_hands_is_looked_at_again_after_a_pause(
    postgres: Server, settings: Callable[..., Settings], clock: SettableClock
) -> None:
    """Another dispatcher holds the mask: to look again at once would turn a core hot until it lets go."""
    with postgres.schema() as url, closing(Store(url)) as store:
        carrier = Scripted()
        dispatcher = Dispatcher(store, {"scripted": carrier}, settings(), clock=clock)
        enqueue(store, "x")
        with psycopg.connect(url) as other:
            other.execute("SELECT * FROM paces WHERE name = %s FOR UPDATE", (MASK,))
            assert dispatcher.turn() == clock.now + LOCKED_MS
            assert carrier.sent == []
        dispatcher.start()
        assert carrier.wait_for(1) == ["x"]
        dispatcher.stop()


def test_two_dispatchers_keep_the_order_and_send_each_text_once(store: Store) -> None:
    carrier = Scripted()
    chosen = read_settings(GATEWAY_SENDERS="4")
    both = [Dispatcher(store, {"scripted": carrier}, chosen) for _ in range(2)]
    for dispatcher in both:
        dispatcher.start()
    people = [f"+120655503{i:02}" for i in range(6)]
    for n in range(20):
        for one in people:
            enqueue(store, f"{n}", one)
            both[n % 2].ring()
    carrier.wait_for(120)
    for one in people:
        assert [message.text for message in carrier.accepted if message.recipient == one] == [f"{n}" for n in range(20)]
    for dispatcher in both:
        dispatcher.stop()
    assert len(carrier.sent) == 120


def test_while_requests_wait_to_be_answered_only_so_many_sends_begin_in_a_second(
    store: Store, settings: Callable[..., Settings]
) -> None:
    gate, carrier, hurried, clock = threading.Event(), Scripted(), threading.Event(), SettableClock()
    carrier.on_send = lambda message: gate.wait(10)
    hurried.set()
    options = {"hurried": hurried.is_set, "clock": clock}
    dispatcher = Dispatcher(store, {"scripted": carrier}, settings(GATEWAY_SENDERS="64"), **options)
    for n in range(60):
        enqueue(store, "x", to=f"+120655502{n:02}")
    clock.now = 1_000_000
    in_flight = dispatcher._desks["scripted"].in_flight
    assert dispatcher.turn() == 1_000_000  # it claimed, and looks again
    assert len(in_flight) == HURRIED // 50  # what falls due in 20 ms
    assert dispatcher.turn() <= 1_000_010  # so soon, though nothing it may send is due
    assert len(in_flight) == HURRIED // 50
    for _ in range(10):
        clock.now += 10
        dispatcher.turn()
    assert HURRIED // 10 <= len(in_flight) <= HURRIED // 10 + HURRIED // 50
    hurried.clear()
    dispatcher.turn()
    assert len(in_flight) == 60
    gate.set()
    dispatcher.stop()


def test_a_clock_that_is_set_back_holds_nothing_up_while_requests_wait() -> None:
    desk = Desk(Scripted(), 64)
    assert desk.room(0, 10_000_000, hurried=True) == HURRIED // 50
    assert desk.room(0, 10_000_000, hurried=True) == 0
    assert desk.room(0, 6_400_000, hurried=True) == HURRIED // 50
    assert desk.room(0, 6_400_000, hurried=True) == 0


def test_many_webhooks_at_a_time_are_a_hurry_and_for_a_moment_after() -> None:
    now = 5.0
    hurry = Hurry(threads=4, clock=lambda: now)
    gate, taking = threading.Barrier(2), threading.Barrier(2)

    def take() -> None:
        with hurry:
            taking.wait(10)
            gate.wait(10)

    with hurry:
        assert not hurry.is_on()
    other = threading.Thread(target=take)
    other.start()
    taking.wait(10)
    assert not hurry.is_on()
    with hurry:
        assert hurry.is_on()
    gate.wait(10)
    other.join()
    assert hurry.is_on()
    now += HOLD_S
    assert not hurry.is_on()
    with pytest.raises(ZeroDivisionError), hurry:
        raise ZeroDivisionError
    with hurry:
        assert not hurry.is_on()
