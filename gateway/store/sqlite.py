"""SQLite: every write goes through one thread that commits in groups (many units of work, one transaction, one fsync).

Reads have connections of their own and never wait for it.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Generic

import dataset
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from gateway.errors import ConfigError, StoreUnavailable
from gateway.store.db import WORDS, Database, Row, Rows, Run, RunMany, Statement, T, Tell, U, transaction
from gateway.store.held import Held
from gateway.store.running import PATIENCE, Running
from gateway.store.turn import Turn

BEGIN_WRITE = "BEGIN IMMEDIATE"
GROUP = 256  #: units in one transaction at most
BUSY_MS = 10_000  #: how long SQLite waits for another process's write
TURN_S = 2.0  #: seconds to wait for one's turn before SQLite decides

#: Rows that are added by one statement: as many as there are, up to a few; then so many at a time.
FEW_ROWS, MOST_ROWS = 16, 64

#: Pages that are in the log before they are put in their places (32 MB): each once, however often it was written.
CHECKPOINT = 8_000

#: `synchronous=FULL`: what was answered 200 must survive a power cut.
SQLITE_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA wal_autocheckpoint={CHECKPOINT}",
)


@dataclass(slots=True)
class _Ticket(Generic[U, T]):
    """A unit of work on its way through the writer, and what became of it."""

    work: Callable[[U], T]
    done: threading.Lock
    result: T | None = None
    told: Sequence[Row] = ()
    error: BaseException | None = None

    def settle(self, result: T | None = None, told: Sequence[Row] = (), *, error: BaseException | None = None) -> None:
        self.result, self.told, self.error = result, told, error
        self.done.release()


class SqliteDatabase(Database[U]):
    """A file that units of work are run on. Safe to use from any thread."""

    def __init__(self, url: str, unit: type[U], readers: int, tell: Tell) -> None:
        """Open `url`. Raises `ConfigError` for a URL that cannot be used, `StoreUnavailable` for a file that cannot."""
        self._unit = unit
        self._tell = tell
        self._writer = _connect(url, begin=BEGIN_WRITE, connections=1)
        self._held = Held(self._writer, BEGIN_WRITE)
        self._reader = _connect(url, begin="BEGIN", connections=readers)
        self._reads = Running(shut=self._reader.close)
        self._tickets: queue.SimpleQueue[_Ticket[U, Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._door = threading.Lock()  # nothing is handed in behind the word that no more comes
        try:
            with _in_our_terms():
                self.facts = _patiently(lambda: _facts(self._writer))
        except StoreUnavailable as error:
            if "not a database" in str(error):
                raise ConfigError("GATEWAY_DATABASE_URL: the file is no SQLite database: name another") from None
            raise
        self._turn = Turn(make_url(url).database or "", patience=TURN_S)
        self._thread = threading.Thread(target=self._write_groups, name="store-writer", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[U], T], *, shared: bool = False) -> T:
        """Run a unit of work in the writer's next group: one after the other, `shared` or not."""
        ticket: _Ticket[U, T] = _Ticket(work, threading.Lock())
        ticket.done.acquire()
        with self._door:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._tickets.put(ticket)
        with ticket.done:
            if ticket.error is not None:
                with _in_our_terms():
                    raise ticket.error
        if ticket.told:
            self._tell(ticket.told)
        return ticket.result  # type: ignore[return-value]

    def read(self, work: Callable[[U], T]) -> T:
        """Run a unit that only reads, on one snapshot, beside the writer. Raises `StoreUnavailable`."""
        with self._reads, _in_our_terms(), transaction(self._reader):
            return work(self._unit(self._reader, *_runners(self._reader), words=WORDS["sqlite"], alone=True))

    def migrated(self) -> None:
        """Keep what a statement of many rows must be able to take back in memory: it was a file each time.

        Not before: a migration that makes an index would sort all that is in the database in memory, too.
        """
        self._held.say("PRAGMA temp_store=MEMORY")

    def close(self) -> None:
        with self._door:
            if not self._closed:
                self._closed = True
                self._tickets.put(None)
        self._reads.close()
        self._thread.join(PATIENCE)  # it closes its connection itself

    def _write_groups(self) -> None:
        try:
            while (group := self._next_group()) is not None:
                with self._turn.taken():
                    self._commit(group)
        finally:  # whatever ends this thread, nobody waits for it for ever
            with self._door:
                self._closed = True
            self._refuse_the_rest()
            self._turn.close()
            self._writer.close()

    def _next_group(self) -> list[_Ticket[U, Any]] | None:
        """Wait for a unit, then take along those that came meanwhile. None at the end."""
        group: list[_Ticket[U, Any]] = []
        ticket = self._tickets.get()
        while ticket is not None:
            group.append(ticket)
            if len(group) >= GROUP or self._tickets.empty():
                return group
            ticket = self._tickets.get()
        self._tickets.put(None)
        return group or None

    def _commit(self, group: Sequence[_Ticket[U, Any]]) -> None:
        """Run a group in one transaction; if any unit fails, each in one of its own.

        If none can be begun, all fail: each would wait as long for another process as the group did.
        """
        begun = False
        try:
            with self._held.transaction():
                begun = True
                runners = _runners(self._writer)
                unit = self._unit(self._writer, *runners, words=WORDS["sqlite"], alone=True, grouped=True)
                results = [_work(ticket, unit) for ticket in group]
                unit.catch_up()
        except BaseException as error:  # SystemExit too: it is the caller's, and must not end the writer
            for ticket in group:
                if len(group) == 1 or not begun:
                    ticket.settle(error=error)
                else:
                    self._commit([ticket])
        else:
            for ticket, (result, told) in zip(group, results, strict=True):
                ticket.settle(result, told)

    def _refuse_the_rest(self) -> None:
        while not self._tickets.empty():
            if (ticket := self._tickets.get()) is not None:
                ticket.settle(error=StoreUnavailable("the store is closed"))


def _work(ticket: _Ticket[U, T], unit: U) -> tuple[T, Sequence[Row]]:
    """Run one of several units in a transaction; return its result and its own events."""
    unit.told = []
    return ticket.work(unit), unit.told


def _connect(url: str, begin: str, connections: int) -> dataset.Database:
    """Open a pool of connections each of whose transactions starts with `begin`."""
    try:
        _look_at_the_file(make_url(url).database or "")
        with _in_our_terms():
            db = dataset.connect(
                url,
                ensure_schema=False,
                sqlite_wal_mode=False,  # our own pragmas say so, in order
                on_connect_statements=list(SQLITE_PRAGMAS),
                engine_kwargs={
                    "pool_size": connections,
                    # as many as there are threads: dataset holds the lock that giving one back needs while it waits
                    "max_overflow": -1,
                    "hide_parameters": True,  # errors must not show numbers or texts
                    "connect_args": {"check_same_thread": False, "isolation_level": None, "cached_statements": 512},
                },
            )
    except ArgumentError:
        raise ConfigError("GATEWAY_DATABASE_URL: not a database URL; write sqlite:///gateway.db") from None
    event.listen(db.engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return db


def _runners(db: dataset.Database) -> tuple[Run, RunMany]:
    """Return what runs statements on the driver's own connection of this thread's transaction: one, or many alike."""
    driver: Any = db.executable.connection.driver_connection
    cursor = driver.cursor()
    cursor.row_factory = sqlite3.Row

    def run(statement: Statement, params: dict[str, Any]) -> list[Row]:
        rows: list[Row] = cursor.execute(statement.sqlite, params).fetchall()
        return rows

    def run_many(statement: Statement, many: list[dict[str, Any]]) -> None:
        at = 0
        for size in _sizes(len(many)):
            rows = _rows(statement, size)
            cursor.execute(rows.sql, rows.values(many[at : at + size]))
            at += size

    return run, run_many


@lru_cache(maxsize=256)
def _rows(statement: Statement, count: int) -> Rows:
    return Rows(statement, count)


def _sizes(count: int) -> Iterator[int]:
    """Yield sizes that make up `count`, of which there are few: each is a statement to prepare."""
    yield from repeat(MOST_ROWS, count // MOST_ROWS)
    count %= MOST_ROWS
    if rest := count % FEW_ROWS:
        yield rest
    yield from repeat(FEW_ROWS, count // FEW_ROWS)


def _look_at_the_file(path: str) -> None:
    """Raise `ConfigError`, with what to do, for a path that no database can be at."""
    if path in ("", ":memory:"):
        raise ConfigError("GATEWAY_DATABASE_URL: name a file, as in sqlite:///gateway.db")
    file = Path(path).absolute()
    if not file.parent.is_dir():
        raise ConfigError(f"GATEWAY_DATABASE_URL: the folder {file.parent} does not exist: make it, or name another")
    if file.is_dir():
        raise ConfigError(f"GATEWAY_DATABASE_URL: {file} is a folder: name a file in it")
    if not os.access(file if file.exists() else file.parent, os.W_OK) or not os.access(file.parent, os.W_OK):
        raise ConfigError(f"GATEWAY_DATABASE_URL: {file} and its folder must be writable for the user that runs this")


def _patiently(opened: Callable[[], T]) -> T:
    """Return `opened()`. While another process makes the file a WAL, SQLite says "locked" and does not wait."""
    deadline = monotonic() + BUSY_MS / 1000
    while True:
        try:
            return opened()
        except OperationalError as error:
            if "locked" not in str(error.orig) or monotonic() > deadline:
                raise
            sleep(0.02)


def _facts(db: dataset.Database) -> str:
    """Return one line about the database. Opens the first connection, so it fails where the file cannot be used."""
    with transaction(db):
        mode = next(iter(db.query("PRAGMA journal_mode")))["journal_mode"]
        level = next(iter(db.query("PRAGMA synchronous")))["synchronous"]
    path = os.path.abspath(make_url(db.url).database or "")
    durable = {2: "FULL", 3: "EXTRA"}.get(level, str(level))
    return f"SQLite {sqlite3.sqlite_version} at {path}, {mode.upper()}, synchronous={durable}"


@contextmanager
def _in_our_terms() -> Iterator[None]:
    """Turn what the driver raises into `StoreUnavailable`, which holds no parameter of any statement."""
    try:
        yield
    except DBAPIError as error:
        raise StoreUnavailable(f"the database did not answer: {error.orig}") from None
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the database did not answer: {type(error).__name__}") from None
    except sqlite3.DatabaseError as error:  # bare: the file is damaged; its other kinds are bugs of ours
        if type(error) not in (sqlite3.DatabaseError, sqlite3.OperationalError):
            raise
        raise StoreUnavailable(f"the database did not answer: {error}") from None
