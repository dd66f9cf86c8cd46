"""Forgetting: what is older than it is to be kept, a step at a time.

Each step looks at the rows behind where the last one came to, so that what must stay (the messages of a session in
progress) is not looked at over and over. The newest row of a table always stays: SQLite would give its number again.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.store.callback_lists import CallbackListUnit
from gateway.store.db import Statement

STEP = 500  #: rows looked at in one unit of work at most: it holds up all others


class _Table(NamedTuple):
    """What one step looks at, and how the old rows among it go."""

    look: Statement
    forget: tuple[Statement, ...]


_TABLES = {
    "events": _Table(
        Statement("SELECT id, at FROM events WHERE id > :after ORDER BY id LIMIT :count"),
        (
            Statement(
                "DELETE FROM events WHERE id > :after AND id <= :upto AND id < (SELECT MAX(id) FROM events) "
                "AND at < :before"
            ),
        ),
    ),
    "calls": _Table(
        Statement("SELECT id, at FROM calls WHERE id > :after ORDER BY id LIMIT :count"),
        (
            Statement(
                "DELETE FROM calls WHERE id > :after AND id <= :upto AND id < (SELECT MAX(id) FROM calls) "
                "AND at < :before AND state = 'ended' AND NOT EXISTS (SELECT 1 FROM recordings r "
                "WHERE r.call = calls.id AND r.state IN ('ready', 'deleting'))"
            ),
            Statement(
                "DELETE FROM call_legs WHERE call > :after AND call <= :upto AND NOT EXISTS "
                "(SELECT 1 FROM calls c WHERE c.id = call_legs.call)"
            ),
            Statement(
                "DELETE FROM call_people WHERE call > :after AND call <= :upto AND NOT EXISTS "
                "(SELECT 1 FROM calls c WHERE c.id = call_people.call)"
            ),
            Statement(
                "DELETE FROM recordings WHERE call > :after AND call <= :upto AND NOT EXISTS "
                "(SELECT 1 FROM calls c WHERE c.id = recordings.call)"
            ),
        ),
    ),
    "callbacks": _Table(
        Statement("SELECT id, updated_at AS at FROM callbacks WHERE id > :after ORDER BY id LIMIT :count"),
        (
            Statement(
                "DELETE FROM callbacks WHERE id > :after AND id <= :upto AND id < (SELECT MAX(id) FROM callbacks) "
                "AND updated_at < :before AND state IN ('delivered', 'dead')"
            ),
        ),
    ),
    "inbox": _Table(
        Statement("SELECT id, received_at AS at FROM inbox WHERE id > :after ORDER BY id LIMIT :count"),
        (
            Statement(
                "DELETE FROM inbox WHERE id > :after AND id <= :upto AND id < (SELECT MAX(id) FROM inbox) "
                "AND received_at < :before"
            ),
        ),
    ),
    "outbox": _Table(
        Statement("SELECT id, updated_at AS at FROM outbox WHERE id > :after ORDER BY id LIMIT :count"),
        (
            Statement(
                "DELETE FROM outbox WHERE id > :after AND id <= :upto AND id < (SELECT MAX(id) FROM outbox) "
                "AND updated_at < :before AND state NOT IN ('queued', 'sending', 'uncertain') AND NOT EXISTS "
                "(SELECT 1 FROM sessions s WHERE s.id = outbox.session AND s.state = 'live')"
            ),
            Statement(
                "DELETE FROM message_history WHERE message > :after AND message <= :upto AND NOT EXISTS "
                "(SELECT 1 FROM outbox o WHERE o.id = message_history.message) AND at < :before"
            ),
        ),
    ),
}

#: What can be forgotten.
PRUNED = tuple(_TABLES)


class PruningUnit(CallbackListUnit):
    """What a unit of work can forget."""

    def forget_old(self, table: str, before: int, after: int) -> int | None:
        """Drop the rows of one of `PRUNED` that are older than `before` (ms), of the `STEP` behind the id `after`.

        Calls stay while their carrier keeps a recording of them, messages while their session is live or they wait,
        callbacks while they wait. Return the id of the last row that was looked at, or None where all behind it are
        younger. The unit must run alone.
        """
        look, forget = _TABLES[table]
        rows = self.run(look, after=after, count=STEP)
        old = [row["id"] for row in rows if row["at"] < before]
        for statement in forget if old else ():
            self.run(statement, after=after, upto=old[-1], before=before)
        return old[-1] if old and len(rows) == STEP else None
