"""The store: what must survive. The only folder that imports dataset.

`Store` runs units of work; a `Tx` is what a unit of work sees, with one method for each thing the gateway does:

    store.write(lambda tx: tx.add_number("+12065550100", "flowroute", "US", now))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gateway.errors import ConfigError
from gateway.store.callback_lists import CallbackFilter
from gateway.store.calls import CallFilter, NewCall, Routed
from gateway.store.db import LOOK, Database, Row
from gateway.store.events import log_events
from gateway.store.message_lists import MessageFilter
from gateway.store.outbox import NEVER
from gateway.store.pruning import PruningUnit
from gateway.store.schema import migrate
from gateway.store.sqlite import SqliteDatabase

__all__ = [
    "LOOK",
    "NEVER",
    "CallFilter",
    "CallbackFilter",
    "MessageFilter",
    "NewCall",
    "Routed",
    "Row",
    "Store",
    "Tx",
    "check",
]

T = TypeVar("T")


class Tx(PruningUnit):
    """A unit of work in progress: events, pool, opt-outs, sessions, outbox, inbox, lanes, claims, circuits, lists.

    And calls, callbacks. One upon another.
    """

    def write_something(self) -> None:
        """Write, and leave everything as it was: what it takes to know that the database can be written to.

        There and back, as SQLite writes no page for an UPDATE that changes nothing, even to a disk that is full.
        """
        for _ in range(2):
            self.query("UPDATE schema_version SET version = -version")


class Store:
    """The gateway's database, brought up to date. Safe to use from any thread. What it is told happened, it logs."""

    def __init__(self, url: str, readers: int = 12) -> None:
        """Open the database and apply migrations.

        Raises `ConfigError` for a URL that cannot be used or a database newer than the program,
        `StoreUnavailable` for one that does not answer.
        """
        self._db = _open(url, readers)
        self.facts = self._db.facts  #: one line about it, for the start and `gateway check`
        try:
            migrate(self._db)
            self._db.migrated()
        except BaseException:
            self._db.close()
            raise

    def write(self, work: Callable[[Tx], T], *, shared: bool = False) -> T:
        """Run a unit of work; return its result once it is on disk. Raises what it raises: then nothing was written.

        `work` may run twice, so it has no effect but on `tx`. It runs as if no other unit did; a `shared` one may run
        beside others that are: webhooks and dispatchers, whose every step is made for that. Raises `StoreUnavailable`.
        """
        return self._db.write(work, shared=shared)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run a unit of work that only reads, on one snapshot. Raises `StoreUnavailable`."""
        return self._db.read(work)

    def close(self) -> None:
        """Finish what was handed in and close."""
        self._db.close()


def _open(url: str, connections: int) -> Database[Tx]:
    kind = url.partition(":")[0].partition("+")[0]
    if kind == "postgresql":
        from gateway.store.postgres import PostgresDatabase  # with its driver, a tenth of the start of who has SQLite

        return PostgresDatabase(url, unit=Tx, connections=connections, tell=log_events)
    if kind == "sqlite":
        return SqliteDatabase(url, unit=Tx, readers=connections, tell=log_events)
    raise ConfigError("GATEWAY_DATABASE_URL: not a database URL; write sqlite:///gateway.db or postgresql://…")


def check(url: str) -> str:
    """Open the database, write to it, and return one line about it. Raises `ConfigError` or `StoreUnavailable`."""
    store = Store(url)
    try:
        store.write(Tx.write_something)
        return store.facts
    finally:
        store.close()
