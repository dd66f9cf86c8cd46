"""Rows written into a database in bulk: no unit of work, no fsync, and indexes that are built at the end."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

#: What is written of each table; `#`: the row's number.
COLUMNS = {
    "numbers": "number, seq, carrier, state, region, shuffle, live, exclusive, created_at, label, area",
    "sessions": "seq, id, origin, state, created_at, expires_at, ended_at, reason, unlisted, exclusive, ttl_ms, "
    "deadline, external_id, metadata",
    "legs": "session, position, participant, mask, carrier, name, seq",
    "leases": "mask, participant, session, position, state, ended_at, until",
    "inbox": "id, carrier, ref, mask, sender, session, outcome, received_at",
    "outbox": "id, carrier, mask, recipient, text, media, kind, session, inbox, state, reason, code, attempts, "
    "created_at, expires_at, first_tried_at, updated_at, carrier_ref",
    "lanes": "mask, recipient, due_at, owner, claimed_until",
    "paces": "name, carrier, next_at, free_us",
    "opt_outs": "participant, mask, created_at",
    "events": "id, at, kind, session, mask, carrier, message, detail",
    "message_history": "id, message, at, cause, state, reason, code, attempt",
    "calls": "id, carrier, ref, mask, caller, session, outcome, reason, at, ended_at",
    "endpoints": "name, key, upto, held_until, failures, probes, probe_at, why",
    "callbacks": "id, endpoint, event, kind, session, webhook_id, body, is_full, state, attempts, status, reason, "
    "created_at, updated_at, expires_at",
    "callback_lines": "endpoint, session, due_at, owner, claimed_until",
    "answers": "caller, key, fingerprint, status, headers, body, created_at",
}


@dataclass(slots=True)
class Rows:
    """Rows on their way into the database, table by table."""

    put: Callable[[str, Sequence[tuple[Any, ...]]], None]
    size: int = 20_000
    waiting: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)

    def add(self, table: str, *row: Any) -> int:
        """Add a row and return its number, from 1."""
        rows = self.waiting.setdefault(table, [])
        rows.append(row)
        self.counted[table] += 1
        if len(rows) >= self.size:
            self.put(table, rows)
            rows.clear()
        return self.counted[table]

    def flush(self) -> None:
        """Write what waits."""
        for table, rows in self.waiting.items():
            if rows:
                self.put(table, rows)
        self.waiting.clear()


@contextmanager
def bulk(url: str) -> Iterator[Callable[[str, Sequence[tuple[Any, ...]]], None]]:
    """Yield what writes rows. Indexes are set aside until the end, and built anew."""
    with (_sqlite if url.startswith("sqlite") else _postgres)(url) as put:
        yield put


@contextmanager
def _sqlite(url: str) -> Iterator[Callable[[str, Sequence[tuple[Any, ...]]], None]]:
    db = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    indexes = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    for name, _ in indexes:
        db.execute(f"DROP INDEX {name}")
    db.execute("BEGIN")

    def put(table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(rows[0]))
        db.executemany(f"INSERT INTO {table} ({COLUMNS[table]}) VALUES ({marks})", rows)

    yield put
    for _, sql in indexes:
        db.execute(sql)
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


@contextmanager
def _postgres(url: str) -> Iterator[Callable[[str, Sequence[tuple[Any, ...]]], None]]:
    with psycopg.connect(url, autocommit=True) as db:
        indexes = db.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        ).fetchall()
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")

        def put(table: str, rows: Sequence[tuple[Any, ...]]) -> None:
            with db.cursor().copy(f"COPY {table} ({COLUMNS[table]}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)

        yield put
        for _, sql in indexes:
            db.execute(sql)
        for table in ("sessions", "inbox", "outbox", "events", "message_history", "calls", "callbacks"):
            key = "seq" if table == "sessions" else "id"
            db.execute(f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), (SELECT MAX({key}) FROM {table}))")
        db.execute("VACUUM ANALYZE")
