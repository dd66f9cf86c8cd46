"""The store on SQLite: units of work in groups, the file, and what becomes of it when something is wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import ConfigError, NumberExists, StoreUnavailable
from gateway.messages import Rate, Weight
from gateway.records import Outgoing
from gateway.store import Store, Tx, check, events, history
from gateway.store.schema import migrate


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


def numbers(store: Store) -> set[str]:
    return {row["number"] for row in store.read(lambda tx: tx.query("SELECT number FROM numbers"))}


def add(number: str):
    return lambda tx: tx.add_number(number, "simulator", "US", 1)


def in_one_group(store: Store, units: list) -> list:
    """Run units that wait in the queue together, so that they are committed in one transaction."""
    gate, began = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        began.set()
        gate.wait(10)

    with ThreadPoolExecutor(len(units) + 1) as pool:
        first = pool.submit(store.write, hold)
        assert began.wait(10)
        futures = [pool.submit(store.write, unit) for unit in units]
        while store._db._tickets.qsize() < len(units):  # they stand in the queue behind the first
            pass
        gate.set()
        first.result()
        return [future.exception() or future.result() for future in futures]


def test_the_database_is_durable(store: Store) -> None:
    assert store.facts.endswith("WAL, synchronous=FULL")


def test_to_prove_that_the_database_can_be_written_to_a_page_is_written(store: Store, tmp_path: Path) -> None:
    def written() -> int:
        return (tmp_path / "gateway.db-wal").stat().st_size

    before, version = written(), store.read(lambda tx: tx.query("SELECT version FROM schema_version"))
    store.write(Tx.write_something)
    assert written() > before
    assert store.read(lambda tx: tx.query("SELECT version FROM schema_version")) == version


def test_a_unit_that_fails_in_a_group_takes_nothing_of_the_others_with_it(store: Store) -> None:
    def fail(tx: Tx) -> None:
        tx.add_number("+12065550109", "simulator", "US", 1)
        raise NumberExists("no")

    results = in_one_group(store, [add("+12065550101"), fail, add("+12065550102")])
    assert [type(result) for result in results] == [type(None), NumberExists, type(None)]
    assert numbers(store) == {"+12065550101", "+12065550102"}


def test_a_group_is_one_transaction(store: Store) -> None:
    said: list[str] = []
    store.write(add("+12065550110"))
    store._db._held._driver.set_trace_callback(said.append)
    in_one_group(store, [add(f"+1206555010{i}") for i in range(8)])
    assert len(numbers(store)) == 9
    assert said.count("COMMIT") == 2  # the unit that held the door, and the eight behind it
    assert said.count("BEGIN IMMEDIATE") == 2


def test_a_group_that_cannot_begin_fails_at_once_as_a_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the file: eight units must not wait for it one after the other."""
    begun: list[str] = []
    begin = store._db._held._enter

    def locked() -> None:
        begun.append("begin")
        if len(begun) == 2:  # behind the unit that holds the door
            raise sqlite3.OperationalError("database is locked")
        begin()

    monkeypatch.setattr(store._db._held, "_enter", locked)
    results = in_one_group(store, [add(f"+1206555010{i}") for i in range(8)])
    assert {type(result) for result in results} == {StoreUnavailable}
    assert len(begun) == 2
    store.write(add("+12065550109"))
    assert numbers(store) == {"+12065550109"}


def test_after_a_unit_that_failed_the_writer_goes_on_as_durable_as_before(store: Store) -> None:
    store.write(add("+12065550100"))
    with pytest.raises(ZeroDivisionError):
        store.write(lambda tx: 1 // 0)
    store.write(add("+12065550101"))
    assert store._db._held._driver.execute("PRAGMA synchronous").fetchone() == (2,)
    assert numbers(store) == {"+12065550100", "+12065550101"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "name a file"),
        ("nonsense", "not a database URL"),
        ("mysql://localhost/x", "sqlite:///gateway.db or postgresql://"),
    ],
)
def test_a_url_that_cannot_be_used_is_named(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Store(url)


def test_a_path_that_no_database_can_be_at_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"GATEWAY_DATABASE_URL: the folder .*/no/such does not exist: make it"):
        check(f"sqlite:///{tmp_path}/no/such/gateway.db")
    with pytest.raises(ConfigError, match="is a folder: name a file in it"):
        check(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError, match="no SQLite database"):
        check(f"sqlite:///{tmp_path}/gateway.db")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()
        with pytest.raises(ConfigError, match="belongs to another program"):
            check(f"sqlite:///{tmp_path}/gateway.db")
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_full_disk_is_unavailable_and_over_when_there_is_room(store: Store) -> None:
    store.write(add("+12065550101"))
    pages = store.write(lambda tx: tx.query("PRAGMA page_count"))[0]["page_count"]
    store.write(lambda tx: tx.query(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StoreUnavailable):
        store.write(lambda tx: [tx.add_number(f"+1206555{i:04}", "simulator", "US", 1) for i in range(2000)])
    assert numbers(store) == {"+12065550101"}
    store.write(lambda tx: tx.query("PRAGMA max_page_count = 1000000"))
    store.write(add("+12065550102"))
    assert len(numbers(store)) == 2


def test_another_process_may_read_the_file_while_we_write(store: Store, tmp_path: Path) -> None:
    store.write(add("+12065550101"))
    other = sqlite3.connect(tmp_path / "gateway.db")
    assert other.execute("SELECT COUNT(*) FROM numbers").fetchone() == (1,)
    other.close()


def test_a_close_while_others_write_leaves_nobody_waiting(tmp_path: Path) -> None:
    for round in range(20):
        store = Store(f"sqlite:///{tmp_path}/{round}.db")
        written: list[int] = []
        refused: list[Exception] = []

        def write(first: int, store=store, written=written, refused=refused) -> None:
            for i in range(first, first + 1000):
                try:
                    store.write(add(f"+1206{i:07}"))
                except StoreUnavailable as error:
                    refused.append(error)
                    return
                written.append(i)

        threads = [threading.Thread(target=write, args=(n * 1000,), daemon=True) for n in range(4)]
        for thread in threads:
            thread.start()
        store.close()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)
        assert len(refused) == 4
        kept = sqlite3.connect(tmp_path / f"{round}.db")
        assert kept.execute("SELECT COUNT(*) FROM numbers").fetchone() == (len(written),)
        kept.close()


def test_a_ticket_handed_in_too_late_is_refused_and_not_forgotten(store: Store) -> None:
    """The hand-in and the close exclude each other: with the check outside, the writer may have gone home between."""
    store._db._door.acquire()
    late = ThreadPoolExecutor(1)
    future = late.submit(store.write, add("+12065550101"))
    assert not future.done()
    store._db._closed = True
    store._db._door.release()
    with pytest.raises(StoreUnavailable):
        future.result(10)
    store._db._closed = False
    late.shutdown()


def test_a_commit_that_fails_is_unavailable_and_the_next_one_is_not(tmp_path: Path) -> None:
    """With a limit on how long files may get, SQLite fails where a full disk makes it fail: at COMMIT."""
    program = f"""
import os, resource, signal
from gateway.errors import StoreUnavailable
from gateway.store import Store

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store("sqlite:///{tmp_path}/gateway.db")
add = lambda number: store.write(lambda tx: tx.add_number(number, "simulator", "US", 1))
add("+12065550101")
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize("{tmp_path}/gateway.db-wal"), limits[1]))
try:
    add("+12065550102")
except StoreUnavailable:
    print("full")
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
add("+12065550104")
print(*sorted(row["number"] for row in store.read(lambda tx: tx.query("SELECT number FROM numbers"))))
store.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("full\n+12065550101 +12065550104\n", "")


def test_readers_beyond_the_pool_wait_their_turn(url: str) -> None:
    store = Store(url, readers=2)
    with ThreadPoolExecutor(12) as pool:
        rows = list(pool.map(lambda i: store.read(lambda tx: tx.query("SELECT :i AS i", i=i)), range(300)))
    assert [row[0]["i"] for row in rows] == list(range(300))
    store.close()


def test_a_damaged_file_is_unavailable_to_hot_statements_too(store: Store, tmp_path: Path) -> None:
    def damaged(tx: Tx) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(StoreUnavailable, match="malformed"):
        store.read(damaged)


LATER = [
    (events._ADD, {"kind": "x", "session": "", "mask": "", "carrier": "", "detail": ""}, "events"),
    (history._ADD_RECEIPT, {"state": "sent", "reason": "", "code": ""}, "message_history"),
]


@pytest.mark.parametrize("count", [1, 3, 4, 16, 21, 100])
@pytest.mark.parametrize(("statement", "of", "table"), LATER, ids=[table for _, _, table in LATER])
def test_what_is_left_for_later_is_written_in_few_statements(store: Store, statement, of, table, count: int) -> None:
    said: list[str] = []

    def work(tx: Tx) -> None:
        store._db._held._driver.set_trace_callback(said.append)
        for number in range(count):
            tx.later(statement, now=number, **{"message": number} | of)
        tx.catch_up()
        store._db._held._driver.set_trace_callback(None)

    store.write(work)
    rows = store.read(lambda tx: tx.query(f"SELECT at FROM {table} ORDER BY at"))
    assert [row["at"] for row in rows] == list(range(count))
    assert len(said) == {1: 1, 3: 1, 4: 1, 16: 1, 21: 2, 100: 4}[count]


def soon(said: str, recipient: str = "+12065550002"):
    one = Outgoing(carrier="sim", mask="+12065550100", recipient=recipient, text=said)
    return lambda tx: tx.enqueue_soon(one, now=1, validity_ms=1000, inbox=1)


def texts(tx: Tx) -> list[str]:
    return [row["text"] for row in tx.query("SELECT text FROM outbox ORDER BY id")]


def test_texts_of_a_group_are_put_in_by_one_statement(store: Store) -> None:
    said: list[str] = []
    store._db._held._driver.set_trace_callback(said.append)
    in_one_group(store, [soon(f"{n}", f"+1206555020{n}") for n in range(8)])
    store._db._held._driver.set_trace_callback(None)
    for table, rows in {"outbox": 8, "lanes": 8, "paces": 1}.items():
        assert len([one for one in said if one.startswith(f"INSERT INTO {table} ")]) == 1
        assert len(store.read(lambda tx, of=table: tx.query(f"SELECT * FROM {of}"))) == rows


def test_what_a_unit_put_in_is_there_for_whoever_looks_in_the_same_transaction(store: Store) -> None:
    def unit(tx: Tx) -> tuple[list[str], list[str]]:
        soon("first")(tx)
        claimed = tx.claim("sim", "me", rate=Rate(per_number=None), weigh=lambda one: Weight(), room=9, now=2)
        soon("second")(tx)
        seen = texts(tx)
        soon("third")(tx)
        return [one.text for one in claimed], seen

    assert store.write(unit) == (["first"], ["first", "second"])
    assert store.read(texts) == ["first", "second", "third"]


def test_what_is_put_in_soon_is_put_in_before_what_is_put_in_at_once(store: Store) -> None:
    def unit(tx: Tx) -> None:
        soon("first")(tx)
        one = Outgoing(carrier="sim", mask="+12065550100", recipient="+12065550002", text="second")
        tx.enqueue(one, now=1, validity_ms=1000)

    store.write(unit)
    assert store.read(texts) == ["first", "second"]


def test_texts_beside_a_unit_that_fails_are_put_in_once(store: Store) -> None:
    in_one_group(store, [soon("a"), lambda tx: 1 // 0, soon("b")])
    assert sorted(store.read(texts)) == ["a", "b"]


def test_a_migration_sorts_on_disk_and_only_the_writer_keeps_little_in_memory(url: str, monkeypatch) -> None:
    def temp_store(tx: Tx) -> int:
        return int(tx.query("PRAGMA temp_store")[0]["temp_store"])

    at_migration: list[int] = []
    monkeypatch.setattr("gateway.store.migrate", lambda db: (at_migration.append(db.write(temp_store)), migrate(db)))
    store = Store(url)
    assert (at_migration, store.write(temp_store), store.read(temp_store)) == ([0], 2, 0)
    with pytest.raises(ZeroDivisionError):
        store.write(lambda tx: 1 // 0)
    assert store.write(temp_store) == 2
    store.close()
