"""What a statement costs must not grow with the tables: every statement of the store is looked at for scans."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from postgres import Server

import gateway.store
from gateway.store import Store
from gateway.store.db import Statement

#: What may look at every row of its kind, and why.
MAY_SCAN = {
    "pool.pool_figures": "at most a twentieth of the time: gateway.pool.Figures keeps what took long",
    "session_lists.sessions_of": "a list of all live sessions is what was asked for",
    "claims.owners": "an index of the claimed lanes alone",
    "circuits.set_back": "a row for each carrier that fails",
    "claims.set_back": "once for each time somebody sets the clock back",
    "claims._WAITING": "what it counts itself, 10,000 rows at most",
    "claims.lanes_waiting": "once for each start, and bounded",
    "claims.carriers_waiting": "once for each start",
    "pool.pool_lows": "a row for each carrier and country at most",
    "schema._step": "a table of one row",
    "__init__.check": "a table of one row",
}


def statements() -> Iterator[tuple[str, str]]:
    """Return (where, sql) of each statement in gateway.store, constants and those written out in a call."""
    for module in pkgutil.iter_modules(gateway.store.__path__):
        loaded = importlib.import_module(f"gateway.store.{module.name}")
        for name, value in vars(loaded).items():
            if isinstance(value, Statement):
                yield f"{module.name}.{name}", value.sqlite
        yield from _written_out(module.name, loaded)


def _written_out(module: str, loaded) -> Iterator[tuple[str, str]]:
    functions = [node for node in ast.walk(ast.parse(inspect.getsource(loaded))) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "query":
                sql = call.args[0]
                if isinstance(sql, (ast.Constant, ast.JoinedStr)):
                    yield f"{module}.{function.name}", eval(compile(ast.Expression(sql), module, "eval"), vars(loaded))


FOUND = sorted({(where, sql) for where, sql in statements() if not re.match(r"CREATE|PRAGMA", sql)})


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path: Path = tmp_path_factory.mktemp("plans") / "gateway.db"
    Store(f"sqlite:///{path}").close()
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


def plan(database: sqlite3.Connection, sql: str) -> str:
    names = set(re.findall(r":(\w+)", sql))
    return " | ".join(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(names, 1)))


@pytest.mark.parametrize(("where", "sql"), FOUND, ids=[where for where, _ in FOUND])
def test_no_statement_scans_a_table_that_grows(database: sqlite3.Connection, where: str, sql: str) -> None:
    scans = re.findall(r"SCAN (?!CONSTANT)\w+|AUTOMATIC", plan(database, sql))
    assert not scans or where in MAY_SCAN


@pytest.fixture(scope="module")
def planner(postgres: Server) -> Iterator[psycopg.Connection]:
    """Return a connection on which a table is scanned only if there is no other way."""
    with postgres.schema() as url:
        Store(url).close()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET enable_seqscan = off")
            yield connection


@pytest.mark.parametrize(("where", "sql"), FOUND, ids=[where for where, _ in FOUND])
def test_postgresql_has_an_index_for_every_statement(planner: psycopg.Connection, where: str, sql: str) -> None:
    names = list(dict.fromkeys(re.findall(r"(?<!:):(\w+)", sql)))
    numbered = re.sub(r"(?<!:):(\w+)", lambda name: f"${names.index(name[1]) + 1}", sql)
    lines = [line for (line,) in planner.execute(f"EXPLAIN (GENERIC_PLAN) {numbered}", prepare=False)]
    scans = [line.strip() for line in lines if "Seq Scan" in line]
    assert not scans or where in MAY_SCAN


def test_a_lanes_history_costs_nothing(database: sqlite3.Connection) -> None:
    """Whatever looks into a lane goes by the index of what waits, not by that of all that was ever sent there."""
    ways = (
        "FROM outbox WHERE mask = :mask AND recipient = :recipient",
        "FROM outbox WHERE recipient = :recipient AND mask",
    )
    into_lanes = [sql for where, sql in FOUND if any(way in sql for way in ways)]
    indexes = ("outbox_person", "outbox_mask", "outbox_session", "outbox_at")
    by_history = [sql for sql in into_lanes if any(f"USING INDEX {name}" in plan(database, sql) for name in indexes)]
    assert len(into_lanes) >= 4
    assert len(by_history) == 1  # the references of equal texts, of the last days
    assert "created_at >= :since" in by_history[0]
