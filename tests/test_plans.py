"""What a statement costs must not grow with the tables: every statement of the store is looked at for scans."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sqlite3
from collections.abc import Iterator, Mapping
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
    "session_lists._PAGE_OF_PERSON": "the legs of one page, which an index found",
    "session_lists._PAGE_OF_PAIR": "the legs of one page, which an index found",
    "session_lists._PAGE_OF_MASK": "the legs of one page, which an index found",
    "session_lists.sessions_of": "a list of all live sessions is what was asked for",
    "claims.owners": "an index of the claimed lanes alone",
    "calls._PAGES.participant": "the ids of two pages, which indexes found",
    "callback_lists.all_endpoints": "a row for each URL that was ever in the settings",
    "callbacks.callback_owners": "an index of the claimed lines alone",
    "callbacks.set_back": "once for each time somebody sets the clock back; endpoints have a row each",
    "circuits.set_back": "a row for each carrier that fails",
    "claims.set_back": "once for each time somebody sets the clock back",
    "claims._WAITING": "what it counts itself, 10,000 rows at most",
    "callback_lists._WAITING": "what it counts itself, 10,000 rows at most",
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
            yield from _held(f"{module.name}.{name}", value)
        yield from _written_out(module.name, loaded)


def _held(where: str, value: object) -> Iterator[tuple[str, str]]:
    """Return the statements in a constant: itself one, or a table of them."""
    if isinstance(value, Statement):
        yield where, value.sqlite
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _held(f"{where}.{name}" if name else where, each)
    elif isinstance(value, tuple):
        for each in value:
            yield from _held(where, each)


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


def test_a_persons_calls_are_found_by_two_indexes_and_looked_up(database: sqlite3.Connection) -> None:
    [sql] = [sql for where, sql in FOUND if where == "calls._PAGES.participant"]
    steps = plan(database, sql)
    assert sorted(re.findall(r"(?:SCAN|SEARCH) (\w+)", steps)) == ["call_people", "calls", "calls", "made", "other"]
    assert "SEARCH calls USING INTEGER PRIMARY KEY" in steps
    assert "SEARCH calls USING COVERING INDEX calls_person (caller=? AND " in steps
    assert re.search(r"SEARCH call_people USING COVERING INDEX \w+ \(participant=\? AND call<\?\)", steps)


def test_a_lanes_history_costs_nothing(database: sqlite3.Connection) -> None:
    """Whatever looks into a lane goes by the index of what waits, not by that of all that was ever sent there."""
    history = re.compile(r"INDEX outbox_(person|mask|session|at)\b")
    by_history = {where for where, sql in FOUND if history.search(plan(database, sql))}
    # the references of equal texts, of the last days; what one text gave rise to, of its own moment; the lists
    assert by_history == {
        "references.taken_refs",
        "message_lists._CAUSED_BY",
        *("message_lists._OUT", *(f"message_lists._OUT.{name}" for name in ("session", "participant", "mask"))),
    }


#: Columns that have few values: an index that is searched by these alone leads to most of the rows.
_COARSE = "carrier|state|region|area|kind|origin"

#: What may look at all rows of a carrier, and why.
MAY_LOOK_AT_ALL_OF_ONE = {
    "lanes._NEXT_DUE": "the least, by the next column of the index",
    "events._OF_CARRIER": "the last, by the next column of the index",
    "pool.numbers_of": "all numbers are what was asked for",
    "circuits.throttled": "those that are throttled at this moment",
}


def test_no_statement_looks_at_all_rows_of_a_kind(database: sqlite3.Connection) -> None:
    one = re.compile(rf"SEARCH (\w+) USING (?:COVERING )?INDEX \w+ \((?:{_COARSE})=\?(?: AND (?:{_COARSE})=\?)*\)")
    small = {"circuits", "pool_lows"}  # a row for each carrier, or carrier and country
    found = {where for where, sql in FOUND for table in one.findall(plan(database, sql)) if table not in small}
    assert found == MAY_LOOK_AT_ALL_OF_ONE.keys()


def test_no_page_of_a_list_is_sorted(database: sqlite3.Connection) -> None:
    """It comes in the order of its index; sorted is at most what was found for the one page."""
    lists = [(where, sql) for where, sql in FOUND if "LIMIT :count" in sql and "ORDER BY" in sql]
    assert len(lists) >= 35
    is_sorted = {where for where, sql in lists if "USE TEMP B-TREE" in plan(database, sql)}
    assert is_sorted == {f"session_lists._PAGE_OF_{name}" for name in ("PERSON", "PAIR", "MASK")}


def test_a_page_by_a_filter_goes_by_an_index_of_it(database: sqlite3.Connection) -> None:
    """To go through all rows by their numbers and leave out most of them is no scan in SQLite's words, but in ours."""
    by_number = re.compile(r"USING INTEGER PRIMARY KEY \(rowid[<>]")
    filtered = [(where, sql) for where, sql in FOUND if "ORDER BY" in sql and re.search(r" = :|\.state = '", sql)]
    assert [where for where, sql in filtered if by_number.search(plan(database, sql))] == []
