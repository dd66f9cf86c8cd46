"""Killed in the middle of a migration, or of the first start: all of it is there or nothing, and the next goes on."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest
from crashes import Scene, look
from ledger import Ledger, Ledgers
from nursery import Forked
from postgres import Server
from program import environment, until
from soak import Rounds

from gateway.errors import ConfigError
from gateway.store import Store, schema

#: What is there of a database: its version, 0 before the first, and whatever else can be listed of its tables.
Shape = tuple[int, frozenset[Any]]
NOTHING: Shape = (0, frozenset())


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Return a maker of empty databases."""
    names = count(1)
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield lambda: f"sqlite:///{tmp_path}/{next(names)}.db"
        else:
            server: Server = request.getfixturevalue("postgres")
            yield lambda: stack.enter_context(server.schema())


def shape(url: str) -> Shape:
    """Return what is there, all seen at one moment."""
    return _shape_of_file(Path(url.partition("///")[2])) if url.startswith("sqlite") else _shape_of_schema(url)


def _shape_of_file(path: Path) -> Shape:
    if not path.exists():
        return NOTHING
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("BEGIN")
        found = file.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        return _version(file, any(name == "schema_version" for _, name, _ in found)), frozenset(found)


def _shape_of_schema(url: str) -> Shape:
    name = url.rpartition("%3D")[2]
    with psycopg.connect(url) as server:
        server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        columns = server.execute(
            "SELECT table_name, column_name, data_type, is_nullable, is_identity FROM information_schema.columns "
            "WHERE table_schema = current_schema()"
        ).fetchall()
        indexes = server.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()").fetchall()
        found = {*columns, *(sql.replace(f"{name}.", "") for (sql,) in indexes)}
        return _version(server, any(table == "schema_version" for table, *_ in columns)), frozenset(found)


def _version(connection: Any, has_one: bool) -> int:
    rows = connection.execute("SELECT version FROM schema_version").fetchall() if has_one else []
    return int(rows[0][0]) if rows else 0


def left_behind(url: str, folder: Path) -> Shape:
    """Return what a dead program left; of a file, in a copy: it is for the next program to bring it in order."""
    if not url.startswith("sqlite"):
        return shape(url)
    path = Path(url.partition("///")[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, folder)
    return _shape_of_file(folder / path.name)


# --- the first start --------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], tuple[Forked, Path]]]:
    """Return what starts a gateway on a database, with nobody behind it."""
    running: list[Forked] = []

    def begin(url: str) -> tuple[Forked, Path]:
        output = tmp_path / f"{len(running)}.log"
        given = {"GATEWAY_LISTEN": "127.0.0.1:0", "GATEWAY_DATABASE_URL": url, "LOG_LEVEL": "WARNING"}
        given |= {"SIMULATOR_URL": "http://127.0.0.1:9", "SIMULATOR_KEY": "k"}
        with output.open("wb") as file:
            more: Any = {"cwd": tmp_path, "env": environment(given), "stdout": file, "stderr": subprocess.STDOUT}
            running.append(Forked(["gateway", "serve"], **more))
        return running[-1], output

    yield begin
    for one in running:
        one.kill()


def serves(started: tuple[Forked, Path]) -> None:
    """Wait until a program is ready, and kill it then."""
    running, output = started
    until(lambda: " ready on " in output.read_text() or running.poll() is not None, "it is ready", 30)
    assert running.poll() is None, output.read_text()
    running.kill()
    running.wait(30)


def migrated(url: str, count: int, monkeypatch: pytest.MonkeyPatch) -> Shape:
    """Bring a database up by the first `count` migrations, and return its shape."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:count])
        Store(url).close()
    return shape(url)


@pytest.mark.soak
def test_a_first_start_that_is_killed_leaves_whole_migrations_and_the_next_one_comes_up(
    databases: Callable[[], str],
    start: Callable[[str], tuple[Forked, Path]],
    tmp_path: Path,
    rounds: Rounds,
    ledgers: Ledgers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed at any moment of it, alone or beside another one that starts on the same database."""
    between = [migrated(databases(), count, monkeypatch) for count in range(1, len(schema.MIGRATIONS))]
    serves(start(databases()))
    url, began = databases(), monotonic()
    serves(start(url))
    took, whole = monotonic() - began, shape(url)
    found, kills = dict.fromkeys((NOTHING, *between, whole), 0), 0
    for chance, company in ((chance, company) for chance in rounds(seconds=1.5) for company in (False, True)):
        url, kills = databases(), kills + 1
        first, other = start(url), start(url) if company else None
        threading.Event().wait(chance.uniform(0, took))
        first[0].kill()
        first[0].wait(30)
        if other is None:
            left = left_behind(url, tmp_path / "copy")
            assert left in found
            found[left] += 1
        serves(other or start(url))
        assert shape(url) == whole
    assert whole[0] == len(schema.MIGRATIONS)
    some = sum(found[shape] for shape in between)
    note = f"{kills} kills: {found[NOTHING]} left nothing, {some} some, {found[whole]} all, the others had company"
    name = f"killed in a first start, {url.partition(':')[0]}"
    ledgers.record(Ledger(name=name, sent=0, acknowledged=0, accepted=0, doubled=0, lost=0, note=note))


# --- a migration of what is there --------------------------------------------------------------------

#: A migration as they are where a table has to be built anew.
NEXT = """
ALTER TABLE legs RENAME TO legs_before;
CREATE TABLE legs (
    session TEXT NOT NULL, position BIGINT NOT NULL, participant TEXT NOT NULL, mask TEXT NOT NULL,
    carrier TEXT NOT NULL, name TEXT NOT NULL, seq BIGINT NOT NULL, pin TEXT NOT NULL, more BIGINT NOT NULL DEFAULT 7,
    PRIMARY KEY (session, position));
INSERT INTO legs (session, position, participant, mask, carrier, name, seq, pin)
    SELECT session, position, participant, mask, carrier, name, seq, pin FROM legs_before;
WAIT;
DROP TABLE legs_before;
CREATE INDEX legs_mask ON legs (mask, session);
"""

#: A later version of the program, whose migration stops in the middle until a file is there.
LATER = """
import time
from pathlib import Path
from gateway.store import schema
from gateway.store.db import Unit

schema.MIGRATIONS += ({migration!r},)
query = Unit.query

def query_or_wait(self, sql, **params):
    if sql != "WAIT":
        return query(self, sql, **params)
    print("in the middle", flush=True)
    while not Path({go!r}).exists():
        time.sleep(0.01)
    return []

Unit.query = query_or_wait
"""

KEPT = ("numbers", "sessions", "leases", "legs", "inbox", "outbox")


def contents(url: str) -> dict[str, list[Any]]:
    """Return what is in the tables that are of people."""
    return {table: sorted(look(url, f"SELECT * FROM {table}"), key=repr) for table in KEPT}


@pytest.mark.both_databases
def test_a_migration_that_is_killed_in_the_middle_takes_nothing_with_it(
    scene: Callable[..., Scene],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ledgers: Ledgers,
) -> None:
    """A gateway with texts on their way is replaced by a newer one, which dies twice before it comes up."""
    here, go = scene(database_url, slow=0.2), tmp_path / "go"
    [gateway] = here.gateways
    with here.under_load():
        here.wait_for(200, 30)
    gateway.kill()
    before, is_before = contents(database_url), shape(database_url)
    gateway.first = LATER.format(migration=NEXT, go=str(go))

    gateway.begin()
    gateway.program.says("in the middle")
    gateway.kill()
    assert left_behind(database_url, tmp_path / "copy") == is_before
    assert contents(database_url) == before

    gateway.begin()
    gateway.program.says("in the middle")
    dying = gateway.running
    gateway.begin()  # another one, which has to wait its turn
    dying.kill()
    gateway.program.says("in the middle")
    go.touch()
    gateway.ready()
    assert shape(database_url)[0] == is_before[0] + 1
    assert contents(database_url)["legs"] == [(*leg, 7) for leg in before["legs"]]
    for table in ("numbers", "sessions", "leases", "inbox"):
        assert contents(database_url)[table] == before[table]
    with pytest.raises(ConfigError, match="newer gateway"):
        Store(database_url)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT))
    ledger = here.settle(ledgers, f"killed in a migration, {database_url.partition(':')[0]}")
    assert (ledger.lost, ledger.doubled) == (0, 0)
