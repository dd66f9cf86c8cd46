"""The store on both databases: units of work, migrations, and what must never leak out of it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import ConfigError, NumberExists, StoreUnavailable
from gateway.store import Store, Tx
from gateway.store.schema import MIGRATIONS

pytestmark = pytest.mark.both_databases


def numbers(store: Store) -> set[str]:
    return {row["number"] for row in store.read(lambda tx: tx.query("SELECT number FROM numbers"))}


def add(number: str):
    return lambda tx: tx.add_number(number, "simulator", "US", 1)


def test_writers_in_many_threads_all_get_their_own_result(store: Store) -> None:
    def write(i: int) -> int:
        return store.write(lambda tx: tx.query("SELECT :i AS i", i=i)[0]["i"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, range(400))) == list(range(400))


def test_a_read_goes_on_while_a_write_is_under_way(store: Store) -> None:
    store.write(add("+12065550101"))
    gate, began = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        tx.add_number("+12065550102", "simulator", "US", 1)
        began.set()
        gate.wait(10)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.write, slow)
        assert began.wait(10)
        assert numbers(store) == {"+12065550101"}
        gate.set()
        writing.result()
    assert len(numbers(store)) == 2


def test_what_was_written_is_there_for_the_next_program(database_url: str) -> None:
    first = Store(database_url)
    first.write(add("+12065550101"))
    first.close()
    second = Store(database_url)
    assert numbers(second) == {"+12065550101"}
    second.close()


def test_a_closed_store_refuses_and_hangs_nobody(database_url: str) -> None:
    store = Store(database_url)
    store.close()
    with pytest.raises(StoreUnavailable):
        store.write(add("+12065550101"))
    store.close()


def test_a_newer_database_is_refused_and_not_touched(database_url: str) -> None:
    store = Store(database_url)
    store.write(lambda tx: tx.query("UPDATE schema_version SET version = :v", v=len(MIGRATIONS) + 1))
    store.close()
    with pytest.raises(ConfigError, match="newer gateway"):
        Store(database_url)


def test_two_programs_that_start_at_once_migrate_once(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: Store(database_url), range(4)))
    assert stores[0].read(lambda tx: tx.query("SELECT version FROM schema_version")) == [{"version": len(MIGRATIONS)}]
    for store in stores:
        store.close()


def test_no_error_of_the_database_shows_what_was_written(store: Store) -> None:
    def wrong(tx: Tx) -> None:
        tx.query("INSERT INTO nowhere VALUES (:secret)", secret="+12065550177")

    with pytest.raises(StoreUnavailable) as caught:
        store.write(wrong)
    assert "5550177" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("fault", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_nothing_that_a_unit_raises_ends_the_store(store: Store, fault: type[BaseException]) -> None:
    def give_up(tx: Tx) -> None:
        tx.add_number("+12065550109", "simulator", "US", 1)
        raise fault

    with pytest.raises(fault):
        store.write(give_up)
    store.write(add("+12065550101"))
    assert numbers(store) == {"+12065550101"}


def test_a_unit_that_fails_leaves_nothing_and_the_next_one_works(store: Store) -> None:
    def fail(tx: Tx) -> None:
        tx.add_number("+12065550109", "simulator", "US", 1)
        raise NumberExists("no")

    with pytest.raises(NumberExists):
        store.write(fail)
    store.write(add("+12065550101"))
    assert numbers(store) == {"+12065550101"}


def test_a_read_sees_one_snapshot(store: Store) -> None:
    def read(tx: Tx) -> tuple[int, int]:
        before = len(tx.query("SELECT * FROM numbers"))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(store.write, add("+12065550101")).result(10)
        return before, len(tx.query("SELECT * FROM numbers"))

    assert store.read(read) == (0, 0)
    assert len(numbers(store)) == 1


@pytest.mark.parametrize("shared", [False, True])
def test_a_unit_that_is_not_shared_runs_alone(database_url: str, shared: bool) -> None:
    """Two programs on one database: while a unit of one is under way, none of the other begins."""
    one, other = Store(database_url), Store(database_url)
    began, go_on, order = threading.Event(), threading.Event(), list[str]()

    def slow(tx: Tx) -> None:
        began.set()
        go_on.wait(10)
        order.append("first")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(one.write, slow, shared=shared)
        assert began.wait(10)
        second = pool.submit(other.write, lambda tx: order.append("second"))
        assert not second.done()
        go_on.set()
        first.result(10)
        second.result(10)
    assert order == ["first", "second"]
    one.close()
    other.close()


def test_changes_to_the_schema_are_whole_or_not_at_all(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(database_url).close()
    broken = "CREATE TABLE half (x BIGINT); INSERT INTO nowhere VALUES (1)"
    monkeypatch.setattr("gateway.store.schema.MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(StoreUnavailable):
        Store(database_url)
    monkeypatch.setattr("gateway.store.schema.MIGRATIONS", MIGRATIONS)
    store = Store(database_url)
    assert "half" not in store.read(lambda tx: tx.tables())
    assert store.read(lambda tx: tx.query("SELECT version FROM schema_version")) == [{"version": len(MIGRATIONS)}]
    store.close()
