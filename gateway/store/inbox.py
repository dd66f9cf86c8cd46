"""The inbox: what carriers told us, so that a repeat is known as one; and the notices sent to strangers."""

from __future__ import annotations

from gateway.records import Message
from gateway.store.db import Statement
from gateway.store.outbox import OutboxUnit, message

_REMEMBER = Statement(
    "INSERT INTO inbox (carrier, ref, mask, sender, session, outcome, received_at) "
    "VALUES (:carrier, :ref, :mask, :sender, :session, :outcome, :now) "
    "ON CONFLICT (carrier, ref) WHERE ref <> '' DO NOTHING RETURNING id",
    aside=True,
)
_MAY_NOTIFY = Statement(
    "INSERT INTO notices (mask, participant, sent_at) VALUES (:mask, :participant, :now) "
    "ON CONFLICT (mask, participant) DO UPDATE SET sent_at = excluded.sent_at WHERE notices.sent_at <= :before "
    "RETURNING mask"
)
_MAY_HELP = Statement(
    "INSERT INTO help_answers (mask, participant, sent_at) VALUES (:mask, :participant, :now) "
    "ON CONFLICT (mask, participant) DO UPDATE SET sent_at = excluded.sent_at WHERE help_answers.sent_at <= :before "
    "RETURNING mask"
)


class InboxUnit(OutboxUnit):
    """What a unit of work can do with what carriers tell us."""

    def remember(
        self, *, carrier: str, ref: str, mask: str, sender: str, session: str, outcome: str, now: int
    ) -> int | None:
        """Write down that a carrier told us something; return its id, or None if it had told us before.

        With `ref` "" every time is the first.
        """
        rows = self.run(
            _REMEMBER, carrier=carrier, ref=ref, mask=mask, sender=sender, session=session, outcome=outcome, now=now
        )
        return int(rows[0]["id"]) if rows else None

    def inline_replies(self, carrier: str, ref: str) -> list[Message]:
        """Return the messages that travelled inside the answer to a webhook, for when it is asked again."""
        rows = self.query(
            "SELECT o.* FROM inbox i JOIN outbox o ON o.inbox = i.id WHERE i.carrier = :carrier AND i.ref = :ref "
            "AND i.ref <> '' AND o.reason = 'inside the answer' ORDER BY o.id",  # written out as in its index
            carrier=carrier,
            ref=ref,
        )
        return [message(row) for row in rows]

    def may_notify(self, mask: str, participant: str, now: int, pause_ms: int) -> bool:
        """Return whether a system text may go to the pair now, and if so count it as sent."""
        rows = self.run(_MAY_NOTIFY, mask=mask, participant=participant, now=now, before=now - pause_ms)
        return bool(rows)

    def may_help(self, mask: str, participant: str, now: int, pause_ms: int) -> bool:
        """Return whether the pair may be answered to HELP now, and if so count it as answered."""
        return bool(self.run(_MAY_HELP, mask=mask, participant=participant, now=now, before=now - pause_ms))

    def forget_notices(self, before: int) -> None:
        """Drop notices, answers to HELP and unclaimed receipts that are too old to matter."""
        self.query("DELETE FROM notices WHERE sent_at <= :before", before=before)
        self.query("DELETE FROM help_answers WHERE sent_at <= :before", before=before)
        self.query("DELETE FROM early_receipts WHERE received_at <= :before", before=before)
