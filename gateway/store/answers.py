"""What requests with an Idempotency-Key were answered, kept in the transaction of what the answer tells of."""

from __future__ import annotations

from gateway.store.circuits import CircuitUnit
from gateway.store.db import Row

KEPT_MS = 24 * 3_600_000  #: for how long a repeat gets the same answer
BATCH = 500  #: answers forgotten in one unit of work at most


class AnswerUnit(CircuitUnit):
    """What a unit of work can do with answers that are kept."""

    def kept_answer(self, caller: str, key: str, now: int) -> Row | None:
        """Return `fingerprint`, `status`, `headers` (a JSON object) and `body` of an answer, None if there is none."""
        rows = self.query(
            "SELECT fingerprint, status, headers, body FROM answers "
            "WHERE caller = :caller AND key = :key AND created_at > :since",
            caller=caller,
            key=key,
            since=now - KEPT_MS,
        )
        return rows[0] if rows else None

    def keep_answer(
        self, caller: str, key: str, fingerprint: str, status: int, headers: str, body: str, now: int
    ) -> None:
        """Keep an answer for `KEPT_MS`. One that is older than that gives way."""
        self.query(
            "INSERT INTO answers (caller, key, fingerprint, status, headers, body, created_at) "
            "VALUES (:caller, :key, :fingerprint, :status, :headers, :body, :now) ON CONFLICT (caller, key) DO UPDATE "
            "SET fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers, "
            "body = excluded.body, created_at = excluded.created_at",
            caller=caller,
            key=key,
            fingerprint=fingerprint,
            status=status,
            headers=headers,
            body=body,
            now=now,
        )

    def forget_answers(self, now: int) -> int:
        """Drop answers older than `KEPT_MS`, a bounded number, and return how many."""
        rows = self.query(
            "DELETE FROM answers WHERE created_at <= :by AND (caller, key) IN "
            "(SELECT caller, key FROM answers WHERE created_at <= :by LIMIT :count) RETURNING key",
            by=now - KEPT_MS,
            count=BATCH,
        )
        return len(rows)
