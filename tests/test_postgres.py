"""The store on PostgreSQL: lost connections, restarts, what two units do to each other, and words without values."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from postgres import Server
from program import until

from gateway.errors import ConfigError, StoreUnavailable
from gateway.store import Store, Tx, check

ANN = "+12065550177"


@pytest.fixture
def url(postgres: Server) -> Iterator[str]:
    with postgres.schema() as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


@pytest.fixture
def own_server() -> Iterator[Server]:
    """Return a server that may be killed."""
    server = Server(uuid4().hex[:8], fsync=True)
    yield server
    server.stop()


def add(number: str):
    return lambda tx: tx.add_number(number, "simulator", "US", 1)


def numbers(store: Store) -> set[str]:
    return {row["number"] for row in store.read(lambda tx: tx.query("SELECT number FROM numbers"))}


def own_pid(tx: Tx) -> int:
    return int(tx.query("SELECT pg_backend_pid() AS pid")[0]["pid"])


# --- the server -------------------------------------------------------------------------------------


def test_the_start_says_what_runs_and_how_durable_it_is(url: str, postgres: Server) -> None:
    [[version]] = postgres.execute("SHOW server_version")
    words = check(url)
    assert words.startswith(f"PostgreSQL {version.split()[0]}, synchronous_commit=on, fsync=OFF (a power cut loses")
    assert words.endswith("/postgres")


def test_what_was_accepted_is_on_disk_whatever_the_server_s_default_is(url: str, postgres: Server) -> None:
    def level(default: str) -> str:
        postgres.execute(f"ALTER ROLE postgres SET synchronous_commit = '{default}'")
        store = Store(url)
        try:
            return str(store.read(lambda tx: tx.query("SHOW synchronous_commit"))[0]["synchronous_commit"])
        finally:
            store.close()
            postgres.execute("ALTER ROLE postgres RESET synchronous_commit")

    assert [level(default) for default in ("off", "remote_apply")] == ["on", "remote_apply"]


def test_a_server_that_is_killed_is_unavailable_and_the_store_comes_back_with_it(own_server: Server) -> None:
    store = Store(own_server.url())
    with ThreadPoolExecutor(6) as pool:  # as many stale connections as a busy gateway has
        list(pool.map(lambda i: store.write(add(f"+1206555010{i}"), shared=True), range(6)))
    own_server.kill()
    for attempt in (add(ANN), lambda tx: tx.number(ANN)):
        with pytest.raises(StoreUnavailable, match="the database did not answer"):
            store.write(attempt)
    with pytest.raises(StoreUnavailable):
        store.read(lambda tx: tx.number(ANN))
    own_server.start()
    until(lambda: _works(store), "the store is back")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: store.write(add(f"+1206555020{i}")), range(6)))
    assert len(numbers(store)) == 12
    store.close()


def _works(store: Store) -> bool:
    try:
        return store.read(lambda tx: True)
    except StoreUnavailable:
        return False


def test_a_connection_that_was_closed_while_nobody_used_it_is_not_noticed(store: Store, postgres: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        gate = threading.Barrier(4)
        pids = list(pool.map(lambda _: store.write(lambda tx: (gate.wait(10), own_pid(tx))[1], shared=True), range(4)))
    assert len(set(pids)) == 4
    for pid in pids:
        postgres.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    store.write(add(ANN))
    assert numbers(store) == {ANN}


def test_a_unit_whose_connection_is_lost_is_run_again_on_another(store: Store, postgres: Server) -> None:
    pids = []

    def unlucky(tx: Tx) -> None:
        pids.append(own_pid(tx))
        tx.add_number(ANN, "simulator", "US", 1)
        if len(pids) == 1:
            postgres.execute(f"SELECT pg_terminate_backend({pids[0]}, 5000)")
        tx.add_event("number.added", 1)

    store.write(unlucky)
    assert len(set(pids)) == 2
    assert numbers(store) == {ANN}
    assert len(store.read(lambda tx: tx.events())) == 1


def test_a_unit_whose_commit_was_lost_is_not_run_again(store: Store) -> None:
    """Nobody can know whether it was kept: whoever asked is told so."""
    ran = []
    store.write(lambda tx: tx.query("CREATE TABLE bomb (x BIGINT)"))
    store.write(
        lambda tx: tx.query(
            "CREATE FUNCTION explode() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
        )
    )
    store.write(
        lambda tx: tx.query(
            "CREATE CONSTRAINT TRIGGER explodes AFTER INSERT ON bomb DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION explode()"
        )
    )

    def unit(tx: Tx) -> None:
        ran.append(own_pid(tx))
        tx.query("INSERT INTO bomb VALUES (1)")

    with pytest.raises(StoreUnavailable, match="whether the last transaction was kept is not known"):
        store.write(unit)
    assert len(ran) == 1
    store.write(add(ANN))


def test_a_server_without_room_is_unavailable_until_there_is_some(store: Store, postgres: Server) -> None:
    """With the SQLSTATE of a full disk, which here a trigger raises: nothing is kept, no transaction left open."""
    for sql in (
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fill()",
    ):
        store.write(lambda tx, sql=sql: tx.query(sql))
    ran = []

    def unit(tx: Tx) -> None:
        ran.append(own_pid(tx))
        tx.add_number(ANN, "simulator", "US", 1)
        tx.add_event("number.added", 1)

    for shared in (True, False):
        with pytest.raises(StoreUnavailable, match="the database did not answer"):
            store.write(unit, shared=shared)
    assert len(ran) == 2  # as long as there is no room, no attempt comes through
    [[state]] = postgres.execute(f"SELECT state FROM pg_stat_activity WHERE pid = {ran[-1]}")
    assert (state, numbers(store)) == ("idle", set())
    store.write(lambda tx: tx.query("DROP TRIGGER full_disk ON events"))
    store.write(unit)
    assert numbers(store) == {ANN}


def test_nobody_tries_to_connect_just_after_somebody_could_not(own_server: Server) -> None:
    store = Store(own_server.url())
    own_server.kill()
    began = []
    with pytest.raises(StoreUnavailable):
        store.read(lambda tx: began.append(1))
    connects = []
    store._db._db.engine.dialect.connect = lambda *args, **more: connects.append(1)  # type: ignore[attr-defined]
    for _ in range(5):
        with pytest.raises(StoreUnavailable, match="the database did not answer"):
            store.read(lambda tx: began.append(1))
    assert (began, connects) == ([], [])
    store.close()


def test_a_statement_that_was_canceled_is_no_lost_connection(store: Store, postgres: Server) -> None:
    """By hand, or because it took too long, say for a lock: it is not run again, and nobody else is turned away."""
    ran = []

    def unit(tx: Tx) -> None:
        ran.append(own_pid(tx))
        tx.query("SET LOCAL statement_timeout = '50ms'")
        tx.query("SELECT pg_sleep(5)")

    with pytest.raises(StoreUnavailable, match=r"statement timeout$"):
        store.write(unit)
    inside, done = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        holds = pool.submit(store.write, lambda tx: (inside.set(), done.wait(20)))
        inside.wait(10)
        waits = pool.submit(store.write, unit)
        waiting = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: postgres.execute(waiting), "it waits for the lock, no more")
        with pytest.raises(StoreUnavailable, match=r"user request$"):
            waits.result(10)
        assert store.read(own_pid)
        done.set()
        holds.result(10)
    assert len(ran) == 1


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_takes_every_text_or_is_refused(postgres: Server, encoding: str) -> None:
    name = f"in_{encoding.lower()}_{uuid4().hex[:8]}"
    postgres.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        if encoding == "LATIN1":
            with pytest.raises(ConfigError, match="keeps texts as LATIN1"):
                check(postgres.url(database=name))
        else:
            store = Store(postgres.url(database=name))
            store.write(lambda tx: tx.add_event("test", 1, detail="é😀"))
            assert store.read(lambda tx: tx.events())[0]["detail"] == "é😀"
            store.close()
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_that_may_only_be_read_is_unavailable_to_writers(url: str) -> None:
    Store(url).close()
    read_only = url.replace("options=", "options=-cdefault_transaction_read_only%3Don%20")
    with pytest.raises(StoreUnavailable, match="ReadOnlySqlTransaction"):
        check(read_only)


# --- connections ------------------------------------------------------------------------------------


def test_no_connection_is_left_idle_in_transaction(store: Store, url: str, postgres: Server) -> None:
    def fail(tx: Tx) -> None:
        tx.query("SELECT 1")
        raise KeyError

    for use in (store.read, store.write, lambda work: store.write(work, shared=True)):
        use(lambda tx: tx.events())
        use(lambda tx: tx.has_opted_out(ANN, ANN))
        with pytest.raises(KeyError):
            use(fail)
        with pytest.raises(StoreUnavailable):
            use(lambda tx: tx.query("SELECT * FROM nowhere"))
    asked = "SELECT state FROM pg_stat_activity WHERE application_name = 'maskgate' AND state <> 'idle'"
    until(lambda: not postgres.execute(asked), "all are idle")  # a client that hung up is seen off a moment later


def test_a_closed_store_leaves_no_connection(url: str, postgres: Server) -> None:
    store = Store(url)
    pid = store.read(own_pid)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda i: store.read(own_pid), range(9)))
    store.close()
    until(lambda: not postgres.execute(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"), "it is gone")
    with pytest.raises(StoreUnavailable, match="closed"):
        store.read(own_pid)


# --- what units do to each other --------------------------------------------------------------------


def test_two_units_that_wait_for_each_other_both_come_through(store: Store) -> None:
    """A deadlock ends one of two transactions: its unit is run again."""
    store.write(lambda tx: [tx.add_number(f"+1206555010{i}", "simulator", "US", 1) for i in range(2)])
    both_hold = threading.Barrier(2)
    ran = []

    def take(first: int) -> None:
        def unit(tx: Tx) -> None:
            ran.append(first)
            for i in (first, 1 - first):
                tx.query("UPDATE numbers SET live = live + 1 WHERE number = :n", n=f"+1206555010{i}")
                if i == first and ran.count(first) == 1:
                    both_hold.wait(10)

        store.write(unit, shared=True)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(take, i) for i in range(2)]:
            done.result(20)
    assert len(ran) >= 3
    assert [row["live"] for row in store.read(lambda tx: tx.query("SELECT live FROM numbers"))] == [2, 2]


def test_units_that_are_shared_run_beside_each_other(store: Store) -> None:
    together = threading.Barrier(3)
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(store.write, lambda tx: together.wait(10), shared=True) for _ in range(3)]
        assert sorted(one.result(10) for one in done) == [0, 1, 2]


def test_two_gateways_in_two_schemas_do_not_wait_for_each_other(postgres: Server) -> None:
    with postgres.schema() as one, postgres.schema() as other:
        first, second = Store(one), Store(other)
        with ThreadPoolExecutor(1) as pool:
            inside = pool.submit(first.write, lambda tx: second.write(add(ANN)))
            inside.result(10)
        assert (numbers(first), numbers(second)) == (set(), {ANN})
        first.close()
        second.close()


def test_a_plan_made_for_an_older_schema_is_made_again(store: Store, url: str) -> None:
    """A newer gateway that migrates must not break the older ones that still run."""
    store.write(lambda tx: tx.find_lease(ANN, ANN, 1))
    for _ in range(3):
        store.write(lambda tx: tx.find_lease(ANN, ANN, 1))
    newer = Store(url)
    newer.write(lambda tx: tx.query("ALTER TABLE sessions ADD COLUMN more BIGINT"))
    newer.close()
    assert store.write(lambda tx: tx.find_lease(ANN, ANN, 1)) is None


# --- words ------------------------------------------------------------------------------------------

WITH_VALUES = {
    "a key that exists": "INSERT INTO opt_outs VALUES (:secret, '', 1), (:secret, '', 1)",
    "a value of another type": "UPDATE numbers SET seq = CAST(:secret AS BIGINT) + CAST('x' || :secret AS BIGINT)",
    "a row that fails": "INSERT INTO opt_outs VALUES (:secret, NULL, 1)",
    "a value out of range": "SELECT CAST(:secret AS SMALLINT)",
    "a raised one": "SELECT CAST(CAST(:secret AS TEXT) AS JSON)",
}


@pytest.mark.parametrize("sql", WITH_VALUES.values(), ids=WITH_VALUES)
def test_no_error_shows_a_value(store: Store, sql: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        store.write(lambda tx: tx.query(sql, secret=ANN))
    assert "5550177" not in f"{caught.value!r}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("postgresql+psycopg2://u:secret@localhost/x", ConfigError, "the driver is psycopg: write postgresql://"),
        ("postgresql://u:secret@127.0.0.1:1/x", StoreUnavailable, "127.0.0.1.*refused"),
        ("postgresql://u:secret@localhost:port/x", ConfigError, "not a database URL"),
    ],
    ids=["another driver", "nobody there", "no port"],
)
def test_a_url_that_cannot_be_used_is_named_without_its_password(url: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        check(url)
    assert "secret" not in str(caught.value)


def test_a_database_that_does_not_exist_is_named(postgres: Server) -> None:
    with pytest.raises(StoreUnavailable, match='database "nowhere" does not exist'):
        check(postgres.url().replace("/postgres?", "/nowhere?"))


def test_a_missing_driver_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.postgres.psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'maskgate\[postgres\]'"):
        check("postgresql://localhost/x")


def test_another_program_s_tables_are_left_alone(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE theirs (x BIGINT)")
    with pytest.raises(ConfigError, match="belongs to another program"):
        check(url)
