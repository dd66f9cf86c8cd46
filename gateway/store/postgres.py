"""PostgreSQL: units run in the calling thread's transaction, in as many processes and on as many hosts as there are.

A unit that writes holds a lock of the whole store until its transaction ends: alone, or shared with others that say
they may be. So every other unit can be written as if nobody else were there, as on SQLite.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Any

import dataset
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from gateway.errors import ConfigError, StoreUnavailable
from gateway.store.db import WORDS, Database, T, Tell, U
from gateway.store.running import Running

try:
    import psycopg

    from gateway.store.pipeline import Pipeline, Plans
except ImportError:  # said in words where somebody wants it
    psycopg = None  # type: ignore[assignment]

TRIES = 8  #: of a unit that another one got in the way of
LOST_TRIES = 3  #: of a unit whose connection was lost before its COMMIT: a stale one, another stale one, a new one
GATE = 0.5  #: seconds for which nobody tries to connect after somebody could not

#: `hashtext`: two gateways in two schemas of one database do not wait for each other.
_LOCK = b"SELECT pg_advisory_xact_lock%b(1835101035, hashtext(current_schema()))"
ALONE = b"BEGIN ISOLATION LEVEL READ COMMITTED; " + _LOCK % b""
SHARED = b"BEGIN ISOLATION LEVEL READ COMMITTED; " + _LOCK % b"_shared"
READING = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

#: A lock that never comes and a process that stopped in the middle must not hold everybody; what was answered 200 must
#: survive a power cut.
ON_CONNECT = """
SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""

#: How soon a connection to a host that is gone is given up, where the URL does not say.
CONNECTION = {
    "connect_timeout": "5",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "application_name": "maskgate",
    "client_encoding": "utf8",  # whatever the server's default is, or PGCLIENTENCODING
}

PIPELINE = "maskgate pipeline"  #: by what name SQLAlchemy keeps it beside its connection

#: SQLSTATEs of a transaction that may be run again: could not serialise; deadlock; a statement that was prepared for
#: the schema before a newer gateway's migration (it is prepared anew after the rollback).
_AGAIN = frozenset({"40001", "40P01", "0A000"})
_CANCELED = "57014"  #: SQLSTATE; by hand or by statement_timeout: the connection is as good as before
#: Classes of SQLSTATEs whose words are about the server, not about what was being written.
_ABOUT_THE_SERVER = ("08", "28", "3D", "53", "57", "58")


class PostgresDatabase(Database[U]):
    """A PostgreSQL database that units of work are run on. Safe to use from any thread."""

    def __init__(self, url: str, unit: type[U], connections: int, tell: Tell) -> None:
        """Connect to `url`. Raises `ConfigError` for a URL that cannot be used, `StoreUnavailable`."""
        self._unit = unit
        self._tell = tell
        self._db = _connect(url, connections)
        self._plans = Plans()
        self._most_free = connections
        self._free: list[Connection] = []
        self._running = Running(shut=self._shut)
        self._down_until = 0.0
        self._down_because = ""
        event.listen(self._db.engine, "before_cursor_execute", _catch_up)
        try:
            self.facts = self.read(_facts) + f" at {_place(make_url(url))}"
        except BaseException:
            self.close()
            raise

    def write(self, work: Callable[[U], T], *, shared: bool = False) -> T:
        """Run a unit of work in a transaction of this thread, alone or beside others that are `shared`."""
        return self._run(SHARED if shared else ALONE, work)

    def read(self, work: Callable[[U], T]) -> T:
        """Run a unit that only reads, on one snapshot, beside those that write. Raises `StoreUnavailable`."""
        return self._run(READING, work)

    def close(self) -> None:
        self._running.close()

    def _shut(self) -> None:
        self._drop_free()
        self._db.close()

    def _run(self, begin: bytes, work: Callable[[U], T]) -> T:
        """Run a unit until it comes through, or fails for a reason of its own."""
        if monotonic() < self._down_until:
            raise StoreUnavailable(self._down_because)
        for tried in range(TRIES):
            attempt = _Attempt()
            try:
                return self._once(begin, work, attempt)
            except (SQLAlchemyError, psycopg.Error) as error:
                if not attempt.may_be_repeated(error, tried) or tried == TRIES - 1:
                    raise self._unavailable(error, attempt) from None
            sleep(random.uniform(0, 0.001 * (1 << tried)))  # noqa: S311 - so that two do not meet again
        raise AssertionError("the last try returns or raises")

    def _once(self, begin: bytes, work: Callable[[U], T], attempt: _Attempt) -> T:
        with self._running, self._pipeline() as pipeline:
            pipeline.begin(begin)
            attempt.begun = True
            words = WORDS["postgresql"]
            unit = self._unit(self._db, pipeline.run, pipeline.run_many, words=words, alone=begin != SHARED)
            result = work(unit)
            unit.catch_up()
            attempt.committing = True
            pipeline.commit()
        if unit.told:
            self._tell(unit.told)
        return result

    @contextmanager
    def _pipeline(self) -> Iterator[Pipeline]:
        """Yield a connection's for a transaction of this thread: that of a unit within a unit is another one."""
        connection = self._taken()
        me, ours = threading.get_ident(), self._db.connections
        outer, ours[me] = ours.get(me), connection
        try:
            yield connection.info[PIPELINE]
        except BaseException:
            self._let_go(connection)
            raise
        else:  # outside of what is caught: one that was given back twice would be two threads' at a time
            self._give_back(connection)
        finally:
            ours.pop(me)
            if outer is not None:
                ours[me] = outer

    def _taken(self) -> Connection:
        """Return a connection that nobody uses, a new one where there is none."""
        with suppress(IndexError):
            return self._free.pop()
        connection: Connection = self._db.engine.connect()  # type: ignore[union-attr]
        driver: Any = connection.connection.driver_connection
        connection.info[PIPELINE] = Pipeline(driver, self._plans)
        return connection

    def _give_back(self, connection: Connection) -> None:
        if len(self._free) < self._most_free:
            self._free.append(connection)
        else:
            _drop(connection)

    def _let_go(self, connection: Connection) -> None:
        """Roll back; where that fails, throw the connection away, and those that nobody uses: they may be lost, too."""
        try:
            if connection.info[PIPELINE].roll_back():
                connection.rollback()
                self._give_back(connection)
                return
        except (SQLAlchemyError, psycopg.Error):
            pass
        _drop(connection)
        self._drop_free()

    def _drop_free(self) -> None:
        with suppress(IndexError):
            while True:
                _drop(self._free.pop())

    def _unavailable(self, error: Exception, attempt: _Attempt) -> StoreUnavailable:
        words = f"the database did not answer: {_in_words(error)}"
        if attempt.committing and _is_lost(error):  # else the server itself has said that nothing was
            words += "; whether the last transaction was kept is not known"
        if not attempt.begun and _is_lost(error):
            self._down_until, self._down_because = monotonic() + GATE, words
        return StoreUnavailable(words)


class _Attempt:
    """How far one attempt at a unit of work has come."""

    def __init__(self) -> None:
        self.begun = False
        self.committing = False

    def may_be_repeated(self, error: Exception, tried: int) -> bool:
        """Return whether nothing of it can have been kept, and another attempt may well come through."""
        if _state(error) in _AGAIN:
            return True
        return _is_lost(error) and not self.committing and tried < LOST_TRIES


def _connect(url: str, connections: int) -> dataset.Database:
    """Open a pool of connections, each in autocommit: a transaction begins with the words we say."""
    if psycopg is None:
        raise ConfigError("GATEWAY_DATABASE_URL: PostgreSQL needs its driver: pip install 'maskgate[postgres]'")
    if not psycopg.capabilities.has_pipeline():
        raise ConfigError("GATEWAY_DATABASE_URL: the driver needs libpq 14 or newer: pip install 'psycopg[binary]'")
    try:
        parsed = make_url(url)
        if parsed.drivername not in ("postgresql", "postgresql+psycopg"):
            raise ConfigError("GATEWAY_DATABASE_URL: the driver is psycopg: write postgresql://user:password@host/name")
        return dataset.connect(
            parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False),
            ensure_schema=False,
            on_connect_statements=[ON_CONNECT],
            engine_kwargs={
                "pool_size": connections,
                # as many as there are threads: dataset holds the lock that giving one back needs while it waits
                "max_overflow": -1,
                "hide_parameters": True,  # errors must not show numbers or texts
                "connect_args": {"autocommit": True, "prepare_threshold": None}
                | {name: value for name, value in CONNECTION.items() if name not in parsed.query},
            },
        )
    except (ArgumentError, ValueError):
        raise ConfigError(
            "GATEWAY_DATABASE_URL: not a database URL; write postgresql://user:password@host:5432/name"
        ) from None


def _drop(connection: Connection) -> None:
    connection.invalidate()
    connection.close()


def _catch_up(connection: Connection, *_: object) -> None:
    """Let what waits run before a statement of SQLAlchemy's."""
    pipeline = connection.info.get(PIPELINE)
    if pipeline is not None:
        pipeline.catch_up()


def _facts(unit: Any) -> str:
    """Return what is worth knowing of the server. Raises `ConfigError` for a database that not every text fits into."""
    names = ("server_version", "synchronous_commit", "fsync", "full_page_writes", "server_encoding")
    found = unit.query("SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in names))[0]
    if (encoding := found["server_encoding"]) not in ("UTF8", "SQL_ASCII"):  # the latter takes any bytes
        raise ConfigError(
            f"GATEWAY_DATABASE_URL: the database keeps texts as {encoding}, which has no emoji: make one in UTF8"
        )
    words = f"PostgreSQL {found['server_version'].split()[0]}, synchronous_commit={found['synchronous_commit']}"
    risks = [name for name in ("fsync", "full_page_writes") if found[name] != "on"]
    return words + "".join(f", {name}=OFF (a power cut loses texts that were accepted)" for name in risks)


def _place(url: URL) -> str:
    """Return where a database is, without user and password."""
    host = url.host or url.query.get("host") or "local socket"
    return f"{host if isinstance(host, str) else host[0]}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def _cause(error: Exception) -> BaseException | None:
    """Return the driver's own error."""
    return error.orig if isinstance(error, DBAPIError) else error


def _state(error: Exception) -> str:
    """Return the SQLSTATE of an error, "" where the server did not get to say one."""
    return getattr(_cause(error), "sqlstate", None) or ""


def _is_lost(error: Exception) -> bool:
    """Return whether there is no connection, or none any more: class 08, class 57 (shut down), or no word at all."""
    state = _state(error)
    of_it = state[:2] in ("", "08", "57") and state != _CANCELED
    return of_it and isinstance(_cause(error), psycopg.OperationalError)


def _in_words(error: Exception) -> str:
    """Return what the server said, if that is about itself; of what was written, only the kind of error.

    PostgreSQL puts values into its words: `Key (mask, participant)=(…) already exists`. And so may a function that
    somebody has hung on a table, with whatever SQLSTATE it likes: then the error has a context.
    """
    cause, state = _cause(error), _state(error)
    of_the_server = state[:2] in ("", *_ABOUT_THE_SERVER)
    if isinstance(cause, psycopg.OperationalError) and of_the_server and not cause.diag.context:
        return str(cause).strip().split("\n")[0]
    return f"{type(cause).__name__}" + (f" ({state})" if state else "")
