"""Opt-outs: who wants no texts from us, from one mask or from any; and who was told of one.

What may happen once only is decided by an insert, never by a look beforehand: two may look at the same time.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from gateway.errors import OptOutUnknown
from gateway.records import OptedOut
from gateway.store.db import Statement
from gateway.store.pool import PoolUnit

_OPTED_OUT = Statement("SELECT 1 FROM opt_outs WHERE participant = :participant AND mask IN ('', :mask)")
_TOLD = Statement("SELECT participant, mask, created_at FROM opt_outs WHERE ref = :ref")
_PAGE = Statement(
    "SELECT participant, mask, created_at FROM opt_outs WHERE (participant, mask) > (:participant, :mask) "
    "ORDER BY participant, mask LIMIT :count"
)
_PAGE_OF_PERSON = Statement(
    "SELECT participant, mask, created_at FROM opt_outs WHERE participant = :of "
    "AND (participant, mask) > (:participant, :mask) ORDER BY participant, mask LIMIT :count"
)


class OptOutUnit(PoolUnit):
    """What a unit of work can do with opt-outs."""

    def opt_out(
        self, participant: str, mask: str, now: int, *, texted: str = "", carrier: str = "", detail: str = ""
    ) -> bool:
        """Remember that a participant wants no texts from `mask`, or from any of our numbers (mask "").

        Return whether that is news. Then it is an event, with the mask that was `texted`, the carrier and the detail.
        """
        ref = secrets.randbelow(1 << 62)
        rows = self.query(
            "INSERT INTO opt_outs (participant, mask, created_at, ref) VALUES (:participant, :mask, :now, :ref) "
            "ON CONFLICT (participant, mask) DO NOTHING RETURNING mask",
            participant=participant,
            mask=mask,
            now=now,
            ref=ref,
        )
        if rows:  # events are logged, and a number that is not in the pool may be anybody's
            ours = mask or texted if self.number(mask or texted) is not None else ""
            self.add_event("opt_out", now, mask=ours, carrier=carrier, message=ref, detail=detail)
        return bool(rows)

    def opt_out_told(self, ref: int) -> OptedOut | None:
        """Return the opt-out that an event tells of, None if it was taken back since."""
        rows = self.run(_TOLD, ref=ref)
        return OptedOut(**rows[0]) if rows else None

    def opt_in(self, participant: str, mask: str) -> bool:
        """Forget that a participant wants no texts from any number, or from `mask`; return whether that is news.

        What was learnt of other masks stays: their carriers still block them.
        """
        rows = self.query(
            "DELETE FROM opt_outs WHERE participant = :participant AND mask IN ('', :mask) RETURNING mask",
            participant=participant,
            mask=mask,
        )
        return bool(rows)

    def forget_opt_out(self, participant: str, mask: str) -> bool:
        """Forget that a participant wants no texts from `mask`, or ("") from any, and nothing else.

        Return whether that is news.
        """
        rows = self.query(
            "DELETE FROM opt_outs WHERE participant = :participant AND mask = :mask RETURNING mask",
            participant=participant,
            mask=mask,
        )
        return bool(rows)

    def opted_out_page(self, of: str, after: tuple[str, str], count: int) -> list[OptedOut]:
        """Return up to `count` opt-outs, of one participant or ("") of all, behind the (participant, mask) `after`."""
        where = {"participant": after[0], "mask": after[1], "count": count}
        rows = self.run(_PAGE_OF_PERSON, of=of, **where) if of else self.run(_PAGE, **where)
        return [
            OptedOut(participant=row["participant"], mask=row["mask"], created_at=row["created_at"]) for row in rows
        ]

    def opted_out(self, participant: str, mask: str) -> OptedOut:
        """Return an opt-out. Raises `OptOutUnknown`."""
        rows = self.query(
            "SELECT created_at FROM opt_outs WHERE participant = :participant AND mask = :mask",
            participant=participant,
            mask=mask,
        )
        if not rows:
            raise OptOutUnknown("nobody has opted out like that")
        return OptedOut(participant=participant, mask=mask, created_at=rows[0]["created_at"])

    def has_opted_out(self, participant: str, mask: str) -> bool:
        """Return whether a participant wants no texts from `mask`."""
        return bool(self.run(_OPTED_OUT, participant=participant, mask=mask))

    def masks_refused_by(self, people: Sequence[str]) -> set[str]:
        """Return the masks from which one of `people` wants no texts."""
        found: set[str] = set()
        for person in people:
            rows = self.query("SELECT mask FROM opt_outs WHERE participant = :person AND mask <> ''", person=person)
            found.update(row["mask"] for row in rows)
        return found

    def may_tell(self, session: str, position: int, now: int) -> bool:
        """Return whether a leg is still to be told that texts do not reach the others, and if so count it as told."""
        rows = self.query(
            "INSERT INTO told (session, position, told_at) VALUES (:session, :position, :now) "
            "ON CONFLICT (session, position) DO NOTHING RETURNING position",
            session=session,
            position=position,
            now=now,
        )
        return bool(rows)
