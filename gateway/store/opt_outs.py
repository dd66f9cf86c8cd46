"""Opt-outs: who wants no texts from us, from one mask or from any."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.store.db import Statement
from gateway.store.pool import PoolUnit

_OPTED_OUT = Statement("SELECT 1 FROM opt_outs WHERE participant = :participant AND mask IN ('', :mask)")


class OptOutUnit(PoolUnit):
    """What a unit of work can do with opt-outs."""

    def opt_out(self, participant: str, mask: str, now: int) -> None:
        """Remember that a participant wants no texts from `mask`, or from any of our numbers (mask "")."""
        self.query(
            "INSERT INTO opt_outs (participant, mask, created_at) VALUES (:participant, :mask, :now) "
            "ON CONFLICT (participant, mask) DO NOTHING",
            participant=participant,
            mask=mask,
            now=now,
        )

    def opt_in(self, participant: str) -> None:
        """Forget every opt-out of a participant."""
        self.query("DELETE FROM opt_outs WHERE participant = :participant", participant=participant)

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
