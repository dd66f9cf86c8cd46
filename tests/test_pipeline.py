"""Statements on PostgreSQL that wait to be sent: in order, none lost, none of whose errors goes unsaid."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from postgres import Server
from program import until

from gateway.errors import StoreUnavailable
from gateway.store import Store, Tx
from gateway.store.db import Statement

ANN, BOB = "+12065550177", "+12065550178"
PUT = Statement("INSERT INTO things (name, number) VALUES (:name, :number)")
PUT_AND_SAY = Statement("INSERT INTO things (name, number) VALUES (:name, :number) RETURNING number")
DOUBLE = Statement("UPDATE things SET number = number * 2 WHERE name = :name")
ALL = Statement("SELECT name, number FROM things ORDER BY name")
PERCENT = Statement("SELECT name FROM things WHERE name LIKE '%' || :part || '%' AND number > :number AND :part <> ''")


@pytest.fixture
def store(postgres: Server) -> Iterator[Store]:
    with postgres.schema() as url:
        store = Store(url, readers=2)
        store.write(lambda tx: tx.query("CREATE TABLE things (name TEXT PRIMARY KEY, number BIGINT)"))
        yield store
        store.close()


def things(store: Store) -> dict[str, int | None]:
    return {row["name"]: row["number"] for row in store.read(lambda tx: tx.run(ALL))}


def own_pid(tx: Tx) -> int:
    return int(tx.query("SELECT pg_backend_pid() AS pid")[0]["pid"])


def test_what_answers_nothing_runs_in_order_before_what_answers(store: Store) -> None:
    def unit(tx: Tx) -> list[dict]:
        tx.run(PUT, name="a", number=1)
        tx.run(DOUBLE, name="a")
        found = [tx.run(ALL)]
        tx.run(DOUBLE, name="a")
        found.append(tx.run(PUT_AND_SAY, name="b", number=5))
        found.append(tx.query("SELECT number FROM things WHERE name = 'a'"))  # by way of SQLAlchemy
        tx.run(DOUBLE, name="a")
        found.append(tx.query("SELECT number FROM things WHERE name = 'a'"))
        tx.run(DOUBLE, name="b")
        return found

    found = store.write(unit)
    assert found == [[{"name": "a", "number": 2}], [{"number": 5}], [{"number": 4}], [{"number": 8}]]
    assert things(store) == {"a": 8, "b": 10}


ANSWERING = {
    "a common table": "WITH found AS (SELECT name FROM things) SELECT name FROM found",
    "small letters": "select name from things",
    "values": "VALUES (CAST('a' AS TEXT))",
    "rows of a change": "UPDATE things SET number = 1\nreturning name",
    "a change in a common table": "WITH gone AS (DELETE FROM things RETURNING name) SELECT name FROM gone",
}


@pytest.mark.parametrize("sql", ANSWERING.values(), ids=ANSWERING)
def test_whatever_has_rows_returns_them(store: Store, sql: str) -> None:
    store.write(lambda tx: tx.run(PUT, name="a", number=1))
    statement = Statement(sql)
    for before in ([], [DOUBLE]):
        found = store.write(lambda tx, before=before: [*(tx.run(one, name="b") for one in before), tx.run(statement)])
        assert [list(row.values()) for row in found[-1]] == [["a"]]
        store.write(lambda tx: tx.query("INSERT INTO things VALUES ('a', 1) ON CONFLICT DO NOTHING"))


def test_what_has_no_rows_returns_none_however_it_is_written(store: Store) -> None:
    every = Statement(
        "WITH chosen AS (SELECT name FROM things) DELETE FROM things WHERE name IN (SELECT name FROM chosen)"
    )
    assert store.write(lambda tx: [tx.run(PUT, name="a", number=1), tx.run(every), tx.run(ALL)]) == [[], [], []]


def test_what_is_left_for_later_runs_at_the_end(store: Store) -> None:
    def unit(tx: Tx) -> list[dict]:
        for number in range(3):
            tx.later(PUT, name=f"{number}", number=number)
        tx.later(DOUBLE, name="2")
        return tx.run(ALL)

    assert store.write(unit) == []
    assert things(store) == {"0": 0, "1": 1, "2": 4}


def test_values_come_out_as_they_went_in(store: Store) -> None:
    names = {"é ☃ 😀 \\x00 ' %s :name $1": 1 << 62, "": None, "line\r\nbreak\t": -1}
    for name, number in names.items():
        store.write(lambda tx, name=name, number=number: tx.run(PUT, name=name, number=number))
    assert things(store) == names
    assert store.read(lambda tx: tx.run(PERCENT, part="%s", number=3)) == [{"name": next(iter(names))}]


@pytest.mark.parametrize("value", ["a\0b", "\ud83d"], ids=["NUL", "lone surrogate"])
def test_a_text_that_cannot_be_stored_is_refused_and_not_cut_off(store: Store, value: str) -> None:
    with pytest.raises((StoreUnavailable, UnicodeEncodeError)):
        store.write(lambda tx: tx.run(PUT, name=value, number=1))
    assert things(store) == {}


WAYS = {
    "of one that is sent with the COMMIT": lambda tx: None,
    "of one that is sent with another": lambda tx: tx.run(ALL),
    "of one that is sent before SQLAlchemy's": lambda tx: tx.query("SELECT 1"),
}


@pytest.mark.parametrize("then", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("first", [PUT, PUT_AND_SAY], ids=["that waits", "that answers"])
def test_an_error_is_said_and_leaves_nothing(store: Store, first: Statement, then) -> None:
    def unit(tx: Tx) -> None:
        tx.run(PUT, name="kept?", number=1)
        tx.run(first, name="kept?", number=2)
        then(tx)

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"UniqueViolation \(23505\)$"):
            store.write(unit)
    assert things(store) == {}
    store.write(lambda tx: tx.run(PUT, name="after", number=1))
    assert things(store) == {"after": 1}


def test_a_unit_that_goes_on_after_an_error_is_not_said_to_be_written(store: Store) -> None:
    """The server answers the COMMIT of such a transaction `ROLLBACK`, and calls that no error."""

    def unit(tx: Tx) -> None:
        tx.run(PUT, name="a", number=1)
        try:
            tx.query("SELECT 1 / 0")
        except Exception:
            return

    with pytest.raises(StoreUnavailable):
        store.write(unit)
    assert things(store) == {}


def test_a_unit_that_fails_for_a_reason_of_its_own_leaves_nothing_and_its_connection(store: Store) -> None:
    def unit(tx: Tx) -> None:
        pids.append(own_pid(tx))
        tx.run(PUT, name="a", number=1)
        raise KeyError

    pids = [store.read(own_pid)]
    with pytest.raises(KeyError):
        store.write(unit)
    assert things(store) == {}
    assert {*pids, store.read(own_pid)} == {pids[0]}


def test_a_connection_that_is_lost_under_what_waits_is_said_to_be_uncertain(store: Store, postgres: Server) -> None:
    """It goes with the COMMIT: of the two, nobody knows which was the last to arrive."""

    def unit(tx: Tx) -> None:
        postgres.execute(f"SELECT pg_terminate_backend({own_pid(tx)}, 5000)")
        tx.run(PUT, name="a", number=1)

    store.write(lambda tx: tx.run(PUT, name="prepared", number=1))
    with pytest.raises(StoreUnavailable, match="whether the last transaction was kept is not known"):
        store.write(unit)
    store.write(lambda tx: tx.run(PUT, name="b", number=2))
    assert things(store) == {"prepared": 1, "b": 2}


def test_a_lost_connection_is_noticed_by_what_is_sent_together(store: Store, postgres: Server) -> None:
    ran = []

    def unit(tx: Tx) -> list:
        ran.append(own_pid(tx))
        if len(ran) == 1:
            postgres.execute(f"SELECT pg_terminate_backend({ran[0]}, 5000)")
        tx.run(PUT, name="a", number=1)
        return tx.run(ALL)

    store.write(lambda tx: [tx.run(PUT, name="z", number=1), tx.run(ALL)])
    assert len(store.write(unit)) == 2
    assert len(set(ran)) == 2


def test_more_may_wait_than_a_socket_takes_at_once(store: Store) -> None:
    names = [f"{number:03}" + 50_000 * "x" for number in range(300)]

    def unit(tx: Tx) -> list:
        for name in names:
            tx.run(PUT, name=name, number=1)
        return tx.run(ALL)

    with ThreadPoolExecutor(1) as threads:
        assert [row["name"] for row in threads.submit(store.write, unit).result(30)] == names


def test_a_plan_is_made_again_when_a_newer_gateway_has_changed_the_table(store: Store) -> None:
    every = Statement("SELECT * FROM things")
    store.write(lambda tx: tx.run(PUT, name="a", number=1))
    for _ in range(2):
        assert store.read(lambda tx: tx.run(every)) == [{"name": "a", "number": 1}]
    store.write(lambda tx: tx.query("ALTER TABLE things ADD COLUMN more TEXT DEFAULT 'x'"))
    for shared in (True, False):
        found = store.write(lambda tx: [tx.run(DOUBLE, name="a"), *tx.run(every)], shared=shared)
        assert found[1] == {"name": "a", "number": 2 if shared else 4, "more": "x"}


def test_a_unit_within_a_unit_has_a_transaction_of_its_own(store: Store) -> None:
    def unit(tx: Tx) -> set[str]:
        tx.run(PUT, name="ours", number=1)
        assert things(store) == {}
        return {row["name"] for row in tx.query("SELECT name FROM things")}

    assert store.write(unit) == {"ours"}


def test_a_connection_that_is_interrupted_on_its_way_back_is_not_given_back_twice(store: Store) -> None:
    """It would be two threads' at a time."""

    class Interrupted(list):
        def append(self, one) -> None:
            super().append(one)
            raise KeyboardInterrupt

    database = store._db
    database._free = Interrupted(database._free)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        store.write(own_pid)
    free = database._free = list(database._free)  # type: ignore[attr-defined]
    assert len(set(map(id, free))) == len(free) == 1


def test_no_more_connections_are_kept_than_were_asked_for(store: Store, postgres: Server) -> None:
    together = threading.Barrier(6)

    def unit(tx: Tx) -> int:
        together.wait(10)
        return own_pid(tx)

    with ThreadPoolExecutor(6) as threads:
        pids = set(threads.map(lambda _: store.write(unit, shared=True), range(6)))
    assert len(pids) == 6
    assert len({store.read(own_pid) for _ in range(6)}) == 1
    asked = f"SELECT COUNT(*) FROM pg_stat_activity WHERE pid IN ({', '.join(map(str, pids))})"
    until(lambda: postgres.execute(asked) == [(2,)], "only two are left")
