"""What a text costs the database: every statement, by name, is in docs/performance.md, and no other is run.

A statement more for each text is a decision: whoever makes it writes down there what it is for.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from benchmarks.sides import FACE, PUBLIC, Side
from fresh import prepared
from gateways import TOKEN
from program import until
from scripted import Scripted
from sqlalchemy import Engine, event
from town import Lane, meet

import gateway.store
from gateway.calls import Connect, InboundCall
from gateway.clock import now_ms
from gateway.dispatcher import Dispatcher
from gateway.messages import DeliveryReceipt, DeliveryStatus, InboundMessage
from gateway.store.db import Statement, Unit
from gateway.testing.network import Fate, Record, Send
from gateway.voice import turns
from gateway.voice.course import Line

PAGE = (Path(__file__).parent.parent / "docs" / "performance.md").read_text()
WEBHOOK = f"{PUBLIC}/webhooks/flowroute/{TOKEN}"
TEXTS = 11  #: of a turn that is compared with one of a single text


def written(heading: str, database: str) -> list[str]:
    """Return the statements in the table under a heading of the page, of those that run on a database."""
    part = PAGE.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| (both|PostgreSQL) \|", part, re.MULTILINE)
    return sorted(name for name, on in rows if on in ("both", database))


def _names() -> dict[Statement, str]:
    """Return each statement's name, with the module it is written in."""
    found = {}
    for module in pkgutil.iter_modules(gateway.store.__path__):
        loaded = importlib.import_module(f"gateway.store.{module.name}")
        source = inspect.getsource(loaded)
        for name, value in vars(loaded).items():
            if isinstance(value, Statement) and f"\n{name} = " in source:
                found[value] = f"{module.name}.{name.strip('_').lower()}"
    return found


NAMES = _names()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what takes down each statement that runs, by name: one for many alike that run in one go."""
    ran: list[str] = []
    run, query, do = Unit.run, Unit.query, Unit._do

    def noted_run(unit: Unit, statement: Statement, **params: Any) -> Any:
        ran.append(NAMES.get(statement, statement.sqlite))
        return run(unit, statement, **params)

    def noted_query(unit: Unit, sql: str, **params: Any) -> Any:
        caller = sys._getframe(1)
        ran.append(f"{Path(caller.f_code.co_filename).stem}.{caller.f_code.co_name}")
        return query(unit, sql, **params)

    def noted_do(unit: Unit, left: dict[Statement, Any]) -> None:
        ran.extend(NAMES[statement] for statement in left)
        do(unit, left)

    monkeypatch.setattr(Unit, "run", noted_run)
    monkeypatch.setattr(Unit, "query", noted_query)
    monkeypatch.setattr(Unit, "_do", noted_do)
    return ran


@pytest.fixture
def side(database_url: str) -> Iterator[Side]:
    """Return a gateway that nobody sends for, which never sweeps."""
    side = Side(prepared(database_url))
    yield side
    side.store.close()


@contextmanager
def noting(ran: list[str]) -> Iterator[list[str]]:
    """Forget what ran until now; what is yielded holds, at the end of the block, what ran in it."""
    ran.clear()
    here: list[str] = []
    yield here
    here += sorted(ran)


def text(lane: Lane) -> InboundMessage:
    """Return a text in a lane."""
    return InboundMessage(carrier_ref=f"mdr2-{lane.sender}", sender=lane.sender, recipient=lane.mask, text="On my way")


def as_on_the_page(ran: list[str], heading: str, side: Side) -> None:
    """Assert that what ran is what stands under a heading."""
    page = Counter(written(heading, side.store.facts.split()[0]))
    more, less = Counter(ran) - page, page - Counter(ran)
    assert not more, f"{heading}: say in docs/performance.md what these are for: {sorted(more.elements())}"
    assert not less, f"{heading}: take these out of docs/performance.md, they do not run: {sorted(less.elements())}"


@pytest.mark.both_databases
def test_the_statements_of_a_text_that_comes_in_are_those_of_the_page(side: Side, ran: list[str]) -> None:
    [lane, _] = meet(side.store, 1, "flowroute")
    webhook = FACE.message(WEBHOOK, text(lane))
    with noting(ran) as first:
        side.post(webhook)
    with noting(ran) as again:
        side.post(webhook)
    as_on_the_page(first, "A text comes in", side)
    as_on_the_page(again, "A text comes in again", side)


class Sends:
    """A dispatcher whose every step is taken here, at a time that stands still."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._carrier = Scripted(name="flowroute")
        now = now_ms() + 60_000
        self._dispatcher = Dispatcher(side.store, {"flowroute": self._carrier}, side.settings, clock=lambda: now)
        self._dispatcher.turn()  # which keeps house

    def turned(self, ran: list[str], lanes: list[Lane]) -> tuple[list[str], list[str]]:
        """Let a text come in for each lane; return what ran in the turn that claims them, and in that which settles."""
        for lane in lanes:
            self._side.post(FACE.message(WEBHOOK, text(lane)))
        with noting(ran) as claims:
            self._dispatcher.turn()
        until(lambda: self._dispatcher._answers.qsize() == len(lanes), "all were tried")
        with noting(ran) as settles:
            self._dispatcher.turn()
        return claims, settles

    def trips(self, side: Side, many: int, folder: Path) -> tuple[int, int]:
        """Return the round trips of the turn that claims so many texts that came in, and of that which settles them."""
        claims = round_trips(side, self._dispatcher.turn, folder)
        until(lambda: self._dispatcher._answers.qsize() == many, "all were tried")
        return claims, round_trips(side, self._dispatcher.turn, folder)

    def stop(self) -> None:
        """End the threads that send."""
        self._dispatcher.stop()


def per_text(one: list[str], many: list[str]) -> tuple[list[str], list[str]]:
    """Return what each of many costs, and what all of them together cost besides."""
    each = Counter({name: (count - Counter(one)[name]) / (TEXTS - 1) for name, count in Counter(many).items()})
    assert all(count == int(count) for count in each.values()), each
    each = Counter({name: int(count) for name, count in each.items() if count})
    return sorted(each.elements()), sorted((Counter(one) - each).elements())


@pytest.mark.both_databases
def test_the_statements_of_a_text_that_leaves_are_those_of_the_page(side: Side, ran: list[str]) -> None:
    lanes = meet(side.store, TEXTS + 1, "flowroute")[::2]
    sends = Sends(side)
    few, many = sends.turned(ran, lanes[:1]), sends.turned(ran, lanes[1:])
    sends.stop()
    claimed, claiming = per_text(few[0], many[0])
    settled, settling = per_text(few[1], many[1])
    as_on_the_page(claimed, "A text is claimed", side)
    as_on_the_page(claiming, "A turn that only claims", side)
    as_on_the_page(settled, "A text is settled", side)
    as_on_the_page(settling, "A turn that settles", side)


@pytest.mark.both_databases
def test_the_statements_of_a_receipt_are_those_of_the_page(side: Side, ran: list[str]) -> None:
    lanes, sends = meet(side.store, 1, "flowroute"), Sends(side)
    sends.turned(ran, lanes[:1])
    sends.stop()
    [sent] = side.rows("SELECT carrier_ref, mask, recipient FROM outbox")
    what = Send(sender=sent["mask"], recipient=sent["recipient"], text="On my way")
    record = Record(seq=1, at=0, request="", fate=Fate.ACCEPTED, status=202, ref=sent["carrier_ref"], send=what)
    receipt = DeliveryReceipt(carrier_ref=record.ref, status=DeliveryStatus.DELIVERED)
    with noting(ran) as came:
        side.post(FACE.receipt(WEBHOOK, record, receipt))
    as_on_the_page(came, "A receipt comes in", side)


@pytest.mark.both_databases
def test_the_statements_of_a_call_are_those_of_the_page(side: Side, ran: list[str]) -> None:
    [lane, _] = meet(side.store, 1, "signalwire")
    line = Line(carrier=side.carriers["signalwire"], settings=side.settings, now=now_ms(), public_url=PUBLIC)
    call = InboundCall(carrier_ref="c-1", caller=lane.sender, called=lane.mask)
    with noting(ran) as came:
        route = side.store.write(lambda tx: turns.call(tx, line, call))
    assert isinstance(route, Connect)
    as_on_the_page(came, "A call comes in", side)


# --- round trips ----------------------------------------------------------------------------------------


def round_trips(side: Side, work: Callable[[], object], folder: Path) -> int:
    """Return how often this thread waited for PostgreSQL's answer, by what went over the wire."""
    [connection] = side.store._db._free  # type: ignore[attr-defined]
    said = folder / "said"
    with said.open("w") as file:
        connection.connection.driver_connection.pgconn.trace(file.fileno())
        work()
        connection.connection.driver_connection.pgconn.untrace()
    ways = [line.split("\t")[1] for line in said.read_text().splitlines()]
    return sum(way == "F" and then == "B" for way, then in pairwise(ways))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_round_trips_of_a_text_are_those_of_the_page(side: Side, tmp_path: Path) -> None:
    lanes = iter(meet(side.store, TEXTS + 2, "flowroute")[::2])
    sends, found = Sends(side), {}
    for many in (1, 1, TEXTS):  # what is prepared the first time is prepared
        for lane in islice(lanes, many):
            webhook = FACE.message(WEBHOOK, text(lane))
            came = round_trips(side, lambda webhook=webhook: side.post(webhook), tmp_path)
        found[many] = came, *sends.trips(side, many, tmp_path)
    sends.stop()
    (came, claims, settles), (_, more_claims, more_settles) = found[1], found[TEXTS]
    each = came, (more_claims - claims) / (TEXTS - 1), (more_settles - settles) / (TEXTS - 1)
    [row] = re.findall(r"^\| round trips \| (.*) \|$", PAGE, re.MULTILINE)
    assert each == tuple(map(int, re.findall(r"\b\d+\b", row)))


# --- that nothing goes by those names -------------------------------------------------------------------


@pytest.fixture
def traced() -> Iterator[list[str]]:
    """Return what takes down each statement that SQLite itself is given, on connections opened from now on."""
    said: list[str] = []

    def trace(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(said.append)

    event.listen(Engine, "connect", trace)
    yield said
    event.remove(Engine, "connect", trace)


def test_a_text_that_comes_in_is_one_transaction_of_what_the_page_names(traced: list[str], tmp_path: Path) -> None:
    side = Side(prepared(f"sqlite:///{tmp_path}/gateway.db"))
    [lane, _] = meet(side.store, 1, "flowroute")
    traced.clear()
    side.post(FACE.message(WEBHOOK, text(lane)))
    side.store.close()
    assert (traced[0], traced[-1]) == ("BEGIN IMMEDIATE", "COMMIT")
    assert len(traced) == len(written("A text comes in", "SQLite")) + 2


#: Each write on its own, between two marks.
SYNCS = """
import os, sys
from gateway.store import Store, Tx
store = Store(sys.argv[1])
store.write(Tx.write_something)
os.write(2, b"begins")
for _ in range(5):
    store.write(Tx.write_something)
os.write(2, b"is over")
store.close()
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="counts system calls by strace")
def test_a_transaction_is_one_sync_of_the_log(tmp_path: Path) -> None:
    url, calls = prepared(f"sqlite:///{tmp_path}/gateway.db"), tmp_path / "calls"
    strace = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync,write", "-o", calls]
    done = subprocess.run([*strace, sys.executable, "-c", SYNCS, url], capture_output=True, text=True)
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    between = calls.read_text().partition("begins")[2].partition("is over")[0]
    assert re.findall(r"f(?:data)?sync\(\d+<.*/([^/>]+)>", between) == ["gateway.db-wal"] * 5


#: Which may run while texts are still to be put in, though they look at the same table: what is only just put in has no
#: reference at its carrier, and was not sent.
OF_WHAT_WAS_SENT = {"outbox.receipt_for", "outbox.set_state"}


def test_what_runs_before_texts_are_put_in_does_not_look_where_they_are_put() -> None:
    aside = {name: statement.sqlite for statement, name in NAMES.items() if statement.aside}
    looks = {name for name, sql in aside.items() if re.search(r"\b(outbox|lanes|paces)\b", sql)}
    assert looks == OF_WHAT_WAS_SENT
    assert "state = 'sent'" in aside["outbox.set_state"]
    assert "carrier_ref <> ''" in aside["outbox.receipt_for"]
