"""Calls: who called which mask, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.past import Call
from gateway.store.db import Row, Statement, looks
from gateway.store.message_lists import MessageListUnit

#: A carrier whose first answer was lost asks again.
_ADD = Statement(
    "INSERT INTO calls (carrier, ref, mask, caller, session, outcome, reason, at) VALUES (:carrier, :ref, :mask, "
    ":caller, :session, :outcome, :reason, :now) ON CONFLICT (carrier, ref) WHERE ref <> '' DO NOTHING RETURNING id"
)
_LATEST = "id < :before ORDER BY id DESC LIMIT :count"
_PAGES = {
    "session": Statement(f"SELECT * FROM calls WHERE session = :session AND session <> '' AND {_LATEST}"),  # noqa: S608
    "participant": Statement(f"SELECT * FROM calls WHERE caller = :participant AND {_LATEST}"),  # noqa: S608
    "mask": Statement(f"SELECT * FROM calls WHERE mask = :mask AND {_LATEST}"),  # noqa: S608
    "": Statement(f"SELECT * FROM calls WHERE {_LATEST}"),  # noqa: S608
}
_BY_ID = Statement("SELECT * FROM calls WHERE id = :id")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls to list; "" for any."""

    session: str = ""
    participant: str = field(default="", repr=False)
    mask: str = ""
    carrier: str = ""
    outcome: Literal["", "connected", "refused"] = ""

    def fits(self, row: Row) -> bool:
        """Return whether the call in a row is wanted."""
        return (
            self.session in ("", row["session"])
            and self.participant in ("", row["caller"])
            and self.mask in ("", row["mask"])
            and self.carrier in ("", row["carrier"])
            and self.outcome in ("", row["outcome"])
        )


class CallUnit(MessageListUnit):
    """What a unit of work can do with the record of calls."""

    def add_call(
        self, *, carrier: str, ref: str, mask: str, caller: str, session: str, outcome: str, reason: str, now: int
    ) -> int | None:
        """Write down a call; return its id, or None if it is known already."""
        rows = self.run(
            _ADD,
            carrier=carrier,
            ref=ref,
            mask=mask,
            caller=caller,
            session=session,
            outcome=outcome,
            reason=reason,
            now=now,
        )
        return int(rows[0]["id"]) if rows else None

    def call(self, id: int) -> Call | None:
        """Return a call, None if there is none of this id."""
        rows = self.run(_BY_ID, id=id)
        return _call(rows[0]) if rows else None

    def call_page(self, wanted: CallFilter, before: int, count: int) -> tuple[list[Call], int | None]:
        """Return up to `count` calls whose id is below `before`, the latest first, and the last id looked at.

        That is None at the end. A page looks at `LOOK` calls at most.
        """
        name, of = _best(wanted)
        found: list[Call] = []
        for size in looks(count + 1):
            rows = self.run(_PAGES[name], before=before, count=size, **of)
            for row in rows:
                if len(found) == count:
                    return found, before
                found += [_call(row)] if wanted.fits(row) else []
                before = row["id"]
            if len(rows) < size:
                return found, None
        return found, before


def _best(wanted: CallFilter) -> tuple[str, Mapping[str, str]]:
    for name in ("session", "participant", "mask"):
        if value := getattr(wanted, name):
            return name, {name: value}
    return "", {}


def _call(row: Row) -> Call:
    return Call(
        id=row["id"],
        carrier=row["carrier"],
        carrier_ref=row["ref"],
        mask=row["mask"],
        caller=row["caller"],
        session=row["session"],
        outcome=row["outcome"],
        reason=row["reason"],
        at=row["at"],
    )
