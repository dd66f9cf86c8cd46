"""`/v1/events`, and the feed below it: nothing is passed over, whoever writes meanwhile; nobody waits too long."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest
from wsgi import Client, SettableClock

import gateway
from gateway.feed import EventFilter, Feed
from gateway.kinds import KINDS
from gateway.pool_watch import PoolWatch
from gateway.pruning import Pruner
from gateway.records import Kind, Leg, Origin, Outgoing, Session
from gateway.store import Store, Tx
from gateway.store.history import TOLD

MASK, ANN, BOB = "+12065550199", "+12065550101", "+12065550102"
ALL = EventFilter()
DAY = 86_400_000


def add(store: Store, kind: str = "opt_out", **of: str) -> None:
    store.write(lambda tx: tx.add_event(kind, 1, **of), shared=True)


def kinds(feed: Feed, after: int = 0) -> list[str]:
    return [event["kind"] for event in feed.read(ALL, after, 100).events]


# --- nothing is passed over -------------------------------------------------------------------------


def open_unit(store: Store, kind: str, began: threading.Event, go_on: threading.Event) -> None:
    """Take the number of an event, and commit when told to."""

    def work(tx: Tx) -> None:
        tx.add_event(kind, 1)
        tx.catch_up()
        tx.query("SELECT 1")  # which waits until PostgreSQL has done all before it
        began.set()
        assert go_on.wait(10)

    store.write(work, shared=True)


@pytest.mark.both_databases
def test_a_feed_passes_over_no_event_that_commits_behind_a_later_one(database_url: str) -> None:
    """One unit takes the number of its event; another comes later and is done first (on SQLite it cannot be)."""
    began, go_on = threading.Event(), threading.Event()
    on_postgres = database_url.startswith("postgresql")
    with closing(Store(database_url)) as one, closing(Store(database_url)) as other, ThreadPoolExecutor(3) as pool:
        feed = Feed(other)
        try:
            first = pool.submit(open_unit, one, "opt_in", began, go_on)
            assert began.wait(10)
            second = pool.submit(add, other)
            if on_postgres:
                second.result(10)
                [seen] = other.read(lambda tx: tx.events())  # a plain look: whoever goes on behind 2 never sees 1
                assert (seen["id"], seen["kind"]) == (2, "opt_out")
            reading = pool.submit(kinds, feed)
            assert not on_postgres or not wait([reading], 0.2).done
        finally:
            go_on.set()
        first.result(10)
        second.result(10)
        reading.result(10)
        assert kinds(feed) == ["opt_in", "opt_out"]


@pytest.mark.both_databases
def test_whoever_follows_the_feed_while_many_write_sees_every_event_once_and_in_order(store: Store) -> None:
    feed, done, seen = Feed(store), threading.Event(), list[int]()

    def follow() -> None:
        after, last = 0, False
        while True:
            page = feed.read(ALL, after, 50)
            seen.extend(event["id"] for event in page.events)
            after = page.last
            if last and not page.events:
                return
            last = done.is_set()

    with ThreadPoolExecutor(9) as pool:
        following = pool.submit(follow)
        list(pool.map(lambda n: add(store), range(200)))
        done.set()
        following.result(30)
    assert seen == sorted(seen)
    assert len(set(seen)) == len(seen) == 200


@pytest.mark.both_databases
def test_a_unit_that_fails_leaves_no_event(store: Store) -> None:
    def fail(tx: Tx) -> None:
        tx.add_event("opt_out", 1)
        raise KeyError

    with pytest.raises(KeyError):
        store.write(fail)
    add(store, "opt_in")
    assert kinds(Feed(store)) == ["opt_in"]


def test_a_look_that_finds_nothing_new_stops_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look in a unit that runs alone is for what is new only."""
    add(store)
    feed = Feed(store)
    assert kinds(feed) == ["opt_out"]
    monkeypatch.setattr(store, "write", lambda *args, **kwargs: pytest.fail("wrote"))
    assert kinds(feed, after=1) == []


# --- kinds ------------------------------------------------------------------------------------------


#: What is written as `add_event(f"….{…}")`.
FORMED = {
    *(f"message.{state.value}" for state in TOLD),
    *(f"session.{reason}" for reason in ("ended", "expired", "refused")),
}


def test_every_kind_that_is_written_is_a_known_one_and_every_known_one_is_written() -> None:
    sources = [path.read_text() for path in Path(gateway.__file__).parent.rglob("*.py")]
    written = {kind for source in sources for kind in re.findall(r'_event\((?:\w+, )*\s*"([a-z_.]+)"', source)}
    either = [pair for source in sources for pair in re.findall(r'kind = "([a-z_.]+)" if .* else "([a-z_.]+)"', source)]
    assert len(written) > 8
    assert written | FORMED | {kind for pair in either for kind in pair} == KINDS


# --- HTTP -------------------------------------------------------------------------------------------


def page(client: Client, query: str = "") -> dict:
    answer = client("GET", f"/v1/events{query}")
    assert answer.status == 200, answer
    return answer.json()


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8])
def test_the_feed_can_be_read_from_a_time_on(serve: Callable[..., Client], count: int) -> None:
    client = serve(sending=False)
    times = [1000 + 10 * (n // 2) for n in range(count)]  # two at a time
    for at in times:
        client.context.store.write(lambda tx, at=at: tx.add_event("opt_out", at))
    if count > 4:  # what was pruned leaves gaps
        client.context.store.write(lambda tx: tx.query("DELETE FROM events WHERE id = 1 OR id = 4"))
        times = [at for n, at in enumerate(times, 1) if n not in (1, 4)]
    for since in (0, 1000, 1001, 1010, 1030, 1031):
        read = page(client, f"?since=1970-01-01T00:00:{since / 1000:06.3f}Z")["data"]
        assert len(read) == sum(at >= since for at in times)
    assert page(client, "?since=1970-01-01T00:00:01.030Z&after=0")["data"] == page(client)["data"]


def test_the_feed_is_read_page_by_page(serve: Callable[..., Client]) -> None:
    client = serve(sending=False)
    for n in range(7):
        add(client.context.store, "opt_out" if n % 2 else "session.opened", session=f"{n % 2:032x}", mask=MASK)
    first = page(client, "?limit=3")
    assert [event["id"] for event in first["data"]] == [1, 2, 3]
    assert first["data"][0] == {
        "id": 1,
        "at": "1970-01-01T00:00:00.001Z",
        "kind": "session.opened",
        "session": "0" * 32,
        "masks": [MASK],
        "carrier": None,
        "message": None,
        "call": None,
        "detail": "",
    }
    assert [event["id"] for event in page(client, f"?after={first['next']}")["data"]] == [4, 5, 6, 7]
    assert [event["id"] for event in page(client, "?kind=opt_out")["data"]] == [2, 4, 6]
    assert [event["id"] for event in page(client, "?kind=opt_out,message.sent&limit=2")["data"]] == [2, 4]
    assert [event["id"] for event in page(client, f"?session={'0' * 32}&after=1")["data"]] == [3, 5, 7]
    assert page(client, "?after=latest") == {"data": [], "next": "7"}
    assert page(client, "?after=99") == {"data": [], "next": "99"}


def test_a_page_that_holds_nothing_goes_on_behind_all_that_was_looked_at(serve: Callable[..., Client]) -> None:
    client = serve(sending=False)

    def many(tx: Tx) -> None:
        for _ in range(3000):
            tx.add_event("message.sent", 1)
        tx.add_event("message.received", 1, message=5)

    client.context.store.write(many)
    first = page(client, "?kind=message.received")
    assert (first["data"], first["next"]) == ([], "2048")
    assert [event["message"] for event in page(client, f"?kind=message.received&after={first['next']}")["data"]] == [
        "in-5"
    ]


WRONG = ["after=x", "after=-1", "kind=", "kind=nothing", "wait=31s", "wait=1", "limit=0", "a=1"]


def test_what_is_no_request_for_events_is_refused(serve: Callable[..., Client]) -> None:
    client = serve(sending=False)
    for query in WRONG:
        answer = client("GET", f"/v1/events?{query}")
        assert (answer.status, json.loads(answer.text)["type"]) == (422, "/v1/docs/problems#invalid"), query


def test_whoever_waits_is_answered_as_soon_as_something_happens(serve: Callable[..., Client]) -> None:
    client = serve(sending=False)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(page, client, "?after=0&wait=30s")
        began = monotonic()
        add(client.context.store)
        assert [event["kind"] for event in waiting.result(10)["data"]] == ["opt_out"]
    assert monotonic() - began < 10


def test_nobody_waits_for_what_a_filter_leaves_out_and_all_go_when_the_gateway_stops(
    serve: Callable[..., Client],
) -> None:
    client = serve(sending=False)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(page, client, "?kind=opt_in&wait=30s")
        add(client.context.store)
        client.context.dispatcher.feed.close()
        assert waiting.result(10)["data"] == []


def test_no_more_wait_than_a_quarter_of_the_threads(store: Store) -> None:
    seats = threading.BoundedSemaphore(1)
    feed, began = Feed(store, (seats,)), monotonic()
    with seats:
        assert feed.read(ALL, 0, 10, wait=30.0).events == ()
    assert monotonic() - began < 10
    assert seats.acquire(blocking=False)


# --- the log ----------------------------------------------------------------------------------------


def test_the_log_is_not_told_of_every_text(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for kind in ("message.received", "message.failed", "message.sent", "message.delivered", "pool.low"):
        add(store, kind)
    logged = [(record.message.partition(":")[0], record.levelname) for record in caplog.records]
    assert logged == [("message.failed", "WARNING"), ("pool.low", "WARNING")]


# --- what is kept -----------------------------------------------------------------------------------


def session(id: str, live: bool) -> Session:
    legs = (Leg(participant=ANN, mask="", carrier=""), Leg(participant=BOB, mask="", carrier=""))
    return Session(id=id, origin=Origin.V1, live=live, created_at=1, expires_at=None, reason="", legs=legs)


def put(tx: Tx, session: str, mask: str, now: int) -> int:
    outgoing = Outgoing(carrier="flowroute", mask=mask, recipient=ANN, text="x", kind=Kind.RELAY, session=session)
    id = tx.enqueue(outgoing, now=now, validity_ms=1000)
    tx.cancel(id, "no", now)
    return id


def count(store: Store, table: str) -> int:
    return int(store.read(lambda tx: tx.query(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]))


@pytest.mark.both_databases
def test_what_is_old_goes_but_the_messages_of_live_sessions_and_the_newest_row_stay(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for number in (MASK, "+12065550198"):
            tx.add_number(number, "flowroute", "US", 1)
        live = tx.open_exclusive(session("1" * 32, True), "flowroute", strict=False, now=1)
        over = tx.open_exclusive(session("2" * 32, True), "flowroute", strict=False, now=1)
        for n in range(520):
            put(tx, over.id, over.legs[0].mask, DAY)
            tx.remember(carrier="flowroute", ref=f"{n}", mask=MASK, sender=ANN, session="", outcome="x", now=DAY)
        put(tx, live.id, live.legs[0].mask, DAY)
        put(tx, over.id, over.legs[0].mask, 9 * DAY)
        tx.end_session(over.id, "ended", DAY, 1000)

    store.write(fill)
    assert count(store, "message_history") == 522
    pruner = Pruner(store, 5 * DAY)
    pruner.step(5 * DAY)
    assert count(store, "outbox") == 522  # nothing is old yet
    pruner.step(7 * DAY)
    assert (count(store, "outbox"), count(store, "message_history")) == (2, 2)
    assert count(store, "inbox") == 1  # all are old: the newest stays, or SQLite would give its number again
    add(store, "opt_in")
    assert store.read(lambda tx: tx.last_event()) == 523
    Pruner(store, 0).step(99 * DAY)
    assert count(store, "outbox") == 2


# --- few numbers left -------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_few_numbers_left_are_told_once_for_each_time(store: Store, clock: SettableClock) -> None:
    store.write(lambda tx: tx.add_number(MASK, "flowroute", "US", 1))
    one, other = PoolWatch(store, 10), PoolWatch(store, 10)

    def told() -> int:
        one.look(clock())
        other.look(clock())
        return kinds(Feed(store)).count("pool.low")

    assert told() == 0
    for time in (1, 2):
        id = f"{time}" * 32
        store.write(lambda tx: tx.open_exclusive(session(id, True), "flowroute", strict=False, now=clock()))  # noqa: B023
        assert told() == told() == time
        store.write(lambda tx: tx.end_session(id, "ended", clock(), 0))  # noqa: B023
        assert told() == time
    for _ in range(2):  # two that looked at the same time
        store.write(lambda tx: tx.note_pool_lows({("flowroute", "US"): "few"}, clock()))
    assert kinds(Feed(store)).count("pool.low") == 3


def test_the_pool_is_looked_at_once_a_minute_in_a_thread_of_its_own(store: Store) -> None:
    def low(tx: Tx) -> None:
        tx.add_number(MASK, "flowroute", "US", 1)
        tx.open_exclusive(session("1" * 32, True), "flowroute", strict=False, now=1)

    watch = PoolWatch(store, 10)
    watch.step(0)
    watch.join()
    store.write(low)
    watch.step(59_000)
    watch.join()
    assert kinds(Feed(store)) == []
    watch.step(60_000)
    watch.join()
    assert kinds(Feed(store)) == ["pool.low"]
    PoolWatch(store, 0).step(0)
