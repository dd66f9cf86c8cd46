"""Claims on lanes: who holds them, how long, what happens when the holder is dead; and what waits for anybody."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gateway.records import Message, MessageState
from gateway.store.db import Statement
from gateway.store.lanes import CLAIM_MS, FREE_LANE, HEAD, HEAD_ID, LOOK_AT, LaneUnit
from gateway.store.outbox import NEVER

_RENEW = Statement(
    "UPDATE lanes SET claimed_until = :until WHERE mask = :mask AND recipient = :recipient AND owner = :owner"
)
MOST_WAITING = 10_000  #: messages that are counted
#: By the masks with a lane that nobody is at work on, and by the lanes that somebody is at work on. In this order
#: (`CROSS JOIN`): by what waits in a lane, never by all that a mask ever sent.
_WAITING = Statement(
    "SELECT COUNT(*) AS count FROM (SELECT o.id FROM paces p CROSS JOIN lanes l CROSS JOIN outbox o "
    "WHERE p.carrier = :carrier AND p.next_at < :never AND l.mask = p.name AND l.owner = '' "
    "AND o.mask = l.mask AND o.recipient = l.recipient AND o.state IN ('queued', 'sending', 'uncertain') "
    "UNION ALL SELECT o.id FROM lanes l CROSS JOIN paces p CROSS JOIN outbox o "
    "WHERE l.owner <> '' AND p.name = l.mask AND p.carrier = :carrier "
    "AND o.mask = l.mask AND o.recipient = l.recipient AND o.state IN ('queued', 'sending', 'uncertain') "
    "LIMIT :most) AS waiting"
)
#: An uncertain one stays so.
_UNSTART = Statement(
    "UPDATE outbox SET state = 'queued', attempts = attempts - 1, "
    "first_tried_at = CASE WHEN attempts = 1 THEN NULL ELSE first_tried_at END WHERE id = :id AND state = 'sending'"
)


class ClaimUnit(LaneUnit):
    """What a unit of work can do with claims."""

    def renew(self, owner: str, lanes: Iterable[Message], now: int) -> None:
        """Put off the end of an owner's claims on the lanes of these messages."""
        for held in lanes:
            self.run(_RENEW, owner=owner, until=now + CLAIM_MS, mask=held.mask, recipient=held.recipient)

    def owners(self) -> list[str]:
        """Return who holds claims."""
        return [row["owner"] for row in self.query("SELECT DISTINCT owner FROM lanes WHERE owner <> ''")]

    def take_over(self, owner: str, run_out_by: int, due_at: int, now: int | None = None) -> int:
        """Free the lanes whose claim by `owner` runs out by then; what it was sending is uncertain. Return how many.

        They are due at `due_at`. The history says that it was at `now`, or else then.
        """
        at = due_at if now is None else now
        lanes = self.query(
            "SELECT mask, recipient FROM lanes WHERE owner = :owner AND owner <> '' AND claimed_until <= :by",
            owner=owner,
            by=run_out_by,
        )
        for lane in lanes:
            rows = self.query(
                f"UPDATE outbox SET state = 'uncertain', reason = 'its sender stopped' WHERE id = ({HEAD_ID}) "  # noqa: S608
                "AND state = 'sending' RETURNING id, session, mask, carrier, reason",
                **lane,
            )
            for row in rows:
                self.changed(row["id"], row, "take_over", MessageState.UNCERTAIN, at, reason=row["reason"])
            self.run(FREE_LANE, owner=owner, due=due_at, **lane)
            self.run(LOOK_AT, mask=lane["mask"], due=due_at)
        return len(lanes)

    def give_back(self, owner: str, held: Collection[int], now: int) -> None:
        """Free the lanes of an owner whose head is not among `held`: nobody has begun to send it."""
        for lane in self.query("SELECT mask, recipient FROM lanes WHERE owner = :owner AND owner <> ''", owner=owner):
            heads = self.run(HEAD, **lane)
            if heads and heads[0]["id"] in held:
                continue
            for head in heads:
                self.run(_UNSTART, id=head["id"])
            self.run(FREE_LANE, owner=owner, due=now, **lane)
            self.run(LOOK_AT, mask=lane["mask"], due=now)

    def set_back(self, now: int) -> None:
        """Make due what waits for a later time, retries and pauses included: the clock those were read from was wrong.

        Looks at every lane, once for each time the clock was set.
        """
        self.query("UPDATE lanes SET due_at = :now WHERE due_at > :now", now=now)
        self.query("UPDATE paces SET next_at = :now WHERE next_at > :now AND next_at < :never", now=now, never=NEVER)
        self.query("UPDATE paces SET free_us = :now_us WHERE free_us > :now_us", now_us=now * 1000)

    def make_due(self, mask: str, recipient: str, now: int) -> None:
        """Let a lane that waits for its next attempt have it now."""
        self.query(
            "UPDATE lanes SET due_at = :now WHERE mask = :mask AND recipient = :recipient AND owner = '' "
            "AND due_at > :now",
            mask=mask,
            recipient=recipient,
            now=now,
        )
        self.run(LOOK_AT, mask=mask, due=now)

    def lanes_waiting(self) -> int:
        """Return how many lanes have something in them; 10,000 stands for more."""
        return int(
            self.query("SELECT COUNT(*) AS count FROM (SELECT mask FROM lanes LIMIT 10000) AS waiting")[0]["count"]
        )

    def messages_waiting(self, carrier: str) -> int:
        """Return how many messages of a carrier wait or are being sent; `MOST_WAITING` stands for more."""
        [row] = self.run(_WAITING, carrier=carrier, never=NEVER, most=MOST_WAITING)
        return int(row["count"])

    def carriers_waiting(self) -> set[str]:
        """Return the carriers that have a mask with something in a lane."""
        rows = self.query("SELECT DISTINCT carrier FROM paces WHERE next_at < :never AND carrier <> ''", never=NEVER)
        return {row["carrier"] for row in rows}
