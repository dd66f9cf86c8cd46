"""Calls: who called which mask, how that was routed, and lists of them. How they go on: call_progress.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.errors import CallUnknown
from gateway.past import Call
from gateway.store.db import Row, Statement, looks
from gateway.store.message_lists import MessageListUnit

#: A carrier whose first answer was lost asks again.
_ADD = Statement(
    "INSERT INTO calls (carrier, ref, key, mask, caller, session, state, outcome, reason, plan, at, ended_at, "
    "give_up_at) VALUES (:carrier, :ref, :key, :mask, :caller, :session, :state, :outcome, :reason, :plan, :now, "
    ":ended_at, :give_up_at) ON CONFLICT (carrier, ref) WHERE ref <> '' DO NOTHING RETURNING id"
)
_ROUTE = Statement(
    "UPDATE calls SET session = :session, state = :state, outcome = :outcome, reason = :reason, plan = :plan, "
    "ended_at = :ended_at, give_up_at = :give_up_at WHERE id = :id AND state = 'asked' RETURNING id"
)
_LATEST = "id < :before ORDER BY id DESC LIMIT :count"
_PAGES = {
    "session": Statement(f"SELECT * FROM calls WHERE session = :session AND session <> '' AND {_LATEST}"),  # noqa: S608
    #: The latest of those they made, and of those that concern them otherwise.
    "participant": Statement(
        "SELECT * FROM calls WHERE id IN "
        "(SELECT id FROM (SELECT id FROM calls WHERE caller = :participant AND id < :before ORDER BY id DESC "
        "LIMIT :count) made UNION SELECT call FROM (SELECT call FROM call_people WHERE participant = :participant "
        "AND call < :before ORDER BY call DESC LIMIT :count) other) ORDER BY id DESC LIMIT :count"
    ),
    "mask": Statement(f"SELECT * FROM calls WHERE mask = :mask AND {_LATEST}"),  # noqa: S608
    "": Statement(f"SELECT * FROM calls WHERE {_LATEST}"),  # noqa: S608
}
_CONCERNS = Statement("INSERT INTO call_people (participant, call) VALUES (:participant, :call)")
_BY_ID = Statement("SELECT * FROM calls WHERE id = :id")
_BY_KEY = Statement("SELECT * FROM calls WHERE key = :key AND key <> ''")
_BY_REF = Statement("SELECT * FROM calls WHERE carrier = :carrier AND ref = :ref AND ref <> ''")
_OPTED_OUT = Statement(
    "SELECT g.position FROM legs g WHERE g.session = :session AND EXISTS "
    "(SELECT 1 FROM opt_outs o WHERE o.participant = g.participant AND o.mask IN ('', g.mask))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A call to be written down."""

    carrier: str
    ref: str
    key: str = field(repr=False)
    mask: str
    caller: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """How a call was routed."""

    state: str  #: asked, ringing or ended (refused)
    session: str = ""
    reason: str = ""  #: why it was refused
    plan: str = field(default="", repr=False)
    give_up_at: int = 0  #: when to take it as over (ms UTC)
    people: frozenset[str] = field(default=frozenset(), repr=False)  #: whom it concerns beside the number that called

    def row(self, now: int) -> dict[str, object]:
        """Return it as what columns hold."""
        over = self.state == "ended"
        return {
            "state": self.state,
            "session": self.session,
            "outcome": "refused" if over else "",
            "reason": self.reason,
            "plan": self.plan,
            "ended_at": now if over else None,
            "give_up_at": self.give_up_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls to list; "" for any."""

    session: str = ""
    participant: str = field(default="", repr=False)  #: who called, or was rung, or whose PIN was used
    mask: str = ""
    carrier: str = ""
    state: str = ""
    outcome: str = ""

    def fits(self, row: Row) -> bool:
        """Return whether the call in a row is wanted, if it is one of the participant's."""
        return (
            self.session in ("", row["session"])
            and self.mask in ("", row["mask"])
            and self.carrier in ("", row["carrier"])
            and self.state in ("", row["state"])
            and self.outcome in ("", row["outcome"])
        )


class CallUnit(MessageListUnit):
    """What a unit of work can do with the record of calls."""

    def add_call(self, new: NewCall, routed: Routed, now: int) -> int | None:
        """Write down a call; return its id, or None if it is known already."""
        of = {"carrier": new.carrier, "ref": new.ref, "key": new.key, "mask": new.mask, "caller": new.caller}
        rows = self.run(_ADD, now=now, **of, **routed.row(now))
        if not rows:
            return None
        self._concern(rows[0]["id"], routed)
        return int(rows[0]["id"])

    def _concern(self, id: int, routed: Routed) -> None:
        for participant in routed.people:
            self.later(_CONCERNS, participant=participant, call=id)

    def route_call(self, id: int, routed: Routed, now: int) -> bool:
        """Write down how a call was routed whose caller was asked for a PIN; return whether it waited for that."""
        waited = bool(self.run(_ROUTE, id=id, **routed.row(now)))
        if waited:
            self._concern(id, routed)
        return waited

    def find_call(self, id: int) -> Call:
        """Return a call. Raises `CallUnknown`."""
        rows = self.run(_BY_ID, id=id)
        if not rows:
            raise CallUnknown("there is no such call")
        return call_in(rows[0])

    def call_by_key(self, carrier: str, key: str) -> Call | None:
        """Return the call of a carrier whose URLs bear `key`, None if there is none."""
        rows = self.run(_BY_KEY, key=key)
        return call_in(rows[0]) if rows and rows[0]["carrier"] == carrier else None

    def call_by_ref(self, carrier: str, ref: str) -> Call | None:
        """Return the call that a carrier calls `ref`, None if there is none."""
        rows = self.run(_BY_REF, carrier=carrier, ref=ref)
        return call_in(rows[0]) if rows else None

    def opted_out_legs(self, session: str) -> frozenset[int]:
        """Return the positions of those in a session who want nothing from their masks."""
        return frozenset(row["position"] for row in self.run(_OPTED_OUT, session=session))

    def call_page(self, wanted: CallFilter, before: int, count: int) -> tuple[list[Call], int | None]:
        """Return up to `count` calls whose id is below `before`, the latest first, and the last id looked at.

        That is None at the end. A page looks at `LOOK` calls at most.
        """
        self.catch_up()
        name, of = _best(wanted)
        found: list[Call] = []
        for size in looks(count + 1):
            rows = self.run(_PAGES[name], before=before, count=size, **of)
            for row in rows:
                if len(found) == count:
                    return found, before
                found += [call_in(row)] if wanted.fits(row) else []
                before = row["id"]
            if len(rows) < size:
                return found, None
        return found, before


def _best(wanted: CallFilter) -> tuple[str, Mapping[str, str]]:
    for name in ("participant", "session", "mask"):  # the first finds what no row says
        if value := getattr(wanted, name):
            return name, {name: value}
    return "", {}


def call_in(row: Row) -> Call:
    """Return the call in a row of `calls`."""
    return Call(
        id=row["id"],
        carrier=row["carrier"],
        carrier_ref=row["ref"],
        key=row["key"],
        mask=row["mask"],
        caller=row["caller"],
        session=row["session"],
        state=row["state"],
        outcome=row["outcome"],
        reason=row["reason"],
        at=row["at"],
        plan=row["plan"],
        pin_tries=row["pin_tries"],
        give_up_at=row["give_up_at"],
        answered_at=row["answered_at"],
        answered_by=row["answered_by"],
        missed_at=row["missed_at"],
        ended_at=row["ended_at"],
        seconds=row["seconds"],
    )
