"""The log of events: each process logs what its own units of work wrote, once, and only what is on disk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from scripted import Scripted
from test_sqlite import in_one_group
from wsgi import SettableClock

from gateway.dispatcher import Dispatcher
from gateway.errors import NumberExists
from gateway.settings import read_settings
from gateway.store import Store, Tx
from gateway.store.events import log_events

MASK = "+12065550199"


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """Return what the store has logged, as it comes."""
    caplog.set_level(logging.INFO, "gateway")
    kept, log = Kept(), logging.getLogger("gateway.store")
    log.addHandler(kept)
    yield kept.records
    log.removeHandler(kept)


def kinds(said: list[logging.LogRecord]) -> list[str]:
    return [record.__dict__["event"] for record in said if hasattr(record, "event")]


def opened(name: str):
    return lambda tx: tx.add_event("session.opened", 1, session=name, mask=MASK, carrier="scripted")


@pytest.mark.both_databases
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
def test_an_event_is_logged_once_after_its_commit_in_the_thread_that_wrote_it(
    store: Store, said: list[logging.LogRecord], shared: bool
) -> None:
    on_disk = []

    def look(record: logging.LogRecord) -> bool:
        with ThreadPoolExecutor(1) as another:  # thread, and so another connection
            on_disk.extend(another.submit(store.read, lambda tx: tx.events()).result())
        return True

    logging.getLogger("gateway.store.events").addFilter(look)
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="http") as pool:
            pool.submit(store.write, opened("one"), shared=shared).result()
    finally:
        logging.getLogger("gateway.store.events").removeFilter(look)
    assert [(one.event, one.session, one.mask, one.threadName) for one in said] == [
        ("session.opened", "one", MASK, "http_0")
    ]
    assert [row["session"] for row in on_disk] == ["one"]


@pytest.mark.both_databases
def test_what_was_rolled_back_is_not_logged(store: Store, said: list[logging.LogRecord]) -> None:
    def fail(tx: Tx) -> None:
        opened("never")(tx)
        raise NumberExists("no")

    with pytest.raises(NumberExists):
        store.write(fail)
    store.write(opened("next"))
    assert [one.session for one in said] == ["next"]


def test_a_unit_that_runs_again_because_its_group_failed_is_logged_once(
    store: Store, said: list[logging.LogRecord]
) -> None:
    def fail(tx: Tx) -> None:
        opened("never")(tx)
        raise NumberExists("no")

    in_one_group(store, [opened("first"), fail, opened("second")])
    assert sorted(one.session for one in said) == ["first", "second"]


def test_units_of_one_group_log_their_own_events_each(store: Store, said: list[logging.LogRecord]) -> None:
    in_one_group(store, [opened(f"{number}") for number in range(8)])
    assert sorted(one.session for one in said) == [f"{number}" for number in range(8)]
    assert len({one.threadName for one in said}) == 8


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_unit_that_another_got_in_the_way_of_is_logged_once(store: Store, said: list[logging.LogRecord]) -> None:
    tries: list[int] = []

    def unit(tx: Tx) -> None:
        opened("one")(tx)
        tries.append(1)
        if len(tries) < 3:
            raise psycopg.errors.SerializationFailure

    store.write(unit)
    assert (len(tries), kinds(said)) == (3, ["session.opened"])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_event_whose_id_comes_before_one_that_is_logged_already_is_logged_too(
    store: Store, said: list[logging.LogRecord]
) -> None:
    written, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        opened("slow")(tx)
        tx.catch_up()
        tx.query("SELECT 1")  # which waits until PostgreSQL has done all before it
        written.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(store.write, slow, shared=True)
        assert written.wait(10)
        store.write(opened("quick"), shared=True)
        go_on.set()
        first.result()
    assert [row["session"] for row in store.read(lambda tx: tx.events())] == ["slow", "quick"]
    assert [one.session for one in said] == ["quick", "slow"]


@pytest.mark.both_databases
def test_several_gateways_on_one_database_log_an_event_once_between_them(
    store: Store, database_url: str, said: list[logging.LogRecord], clock: SettableClock
) -> None:
    other = Store(database_url)
    dispatchers = [Dispatcher(one, {"scripted": Scripted()}, read_settings(), clock=clock) for one in (store, other)]
    try:
        store.write(opened("here"))
        other.write(opened("there"))
        for one in dispatchers * 2:
            one.turn()
    finally:
        other.close()
    assert [one.session for one in said if hasattr(one, "event")] == ["here", "there"]


KNOWN_AS = [
    ("message.received", "message in-7", {"message_id": "in-7", "call": ""}),
    ("message.sent", "message out-7", {"message_id": "out-7", "call": ""}),
    ("call.missed", "call 7", {"message_id": "", "call": 7}),
    ("recording.ready", "call 7", {"message_id": "", "call": 7}),
]


@pytest.mark.parametrize(("kind", "words", "fields"), KNOWN_AS, ids=[one[0] for one in KNOWN_AS])
def test_the_log_knows_messages_and_calls_by_their_ids_of_the_api(
    kind: str, words: str, fields: dict[str, Any], said: list[logging.LogRecord]
) -> None:
    log_events([{"kind": kind, "message": 7, "session": "s1", "mask": MASK, "carrier": "scripted", "detail": ""}])
    assert said[0].getMessage() == f"{kind}: {words}, session s1, mask {MASK}, carrier scripted"
    assert {name: said[0].__dict__[name] for name in fields} == fields


def test_what_an_event_is_about_stands_in_its_words_and_in_fields(store: Store, said: list[logging.LogRecord]) -> None:
    of = {"session": "s1", "mask": MASK, "carrier": "scripted"}
    store.write(lambda tx: tx.add_event("message.failed", 1, message=7, detail="no such number", **of))
    store.write(lambda tx: tx.add_event("carrier.paused", 1, carrier="scripted"))
    assert [one.levelname for one in said] == ["WARNING", "ERROR"]
    assert said[0].getMessage() == (
        f"message.failed: message out-7, session s1, mask {MASK}, carrier scripted (no such number)"
    )
    fields = {name: said[0].__dict__[name] for name in ("event", "message_id", "state", "detail", *of)}
    assert fields == of | {
        "event": "message.failed",
        "message_id": "out-7",
        "state": "failed",
        "detail": "no such number",
    }
