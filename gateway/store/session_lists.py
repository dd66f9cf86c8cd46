"""Lists of sessions: what the APIs show of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.records import Holder, Leg, Session
from gateway.store.db import Row, Statement, looks
from gateway.store.opening import OpeningUnit
from gateway.store.sessions import leg_in, session_in

#: `place` is what a page goes on by.
_FROM = "SELECT s.*, s.seq AS place FROM sessions s WHERE"
_LATEST = "s.seq < :before ORDER BY s.seq DESC LIMIT :count"
_PAGES = {
    "": Statement(f"{_FROM} {_LATEST}"),
    "live": Statement(f"{_FROM} s.state = 'live' AND {_LATEST}"),
    "ended": Statement(f"{_FROM} s.state = 'ended' AND {_LATEST}"),
}
_PAGE_OF_ID = Statement(
    "SELECT s.*, s.seq AS place, "  # noqa: S608
    "(:participant = '' OR EXISTS (SELECT 1 FROM legs p WHERE p.session = s.id AND p.participant = :participant)) "
    "AND (:mask = '' OR EXISTS (SELECT 1 FROM legs m WHERE m.session = s.id AND m.mask = :mask)) AS has_legs "
    f"FROM sessions s WHERE s.external_id = :external_id AND s.external_id <> '' AND {_LATEST}"
)
#: First the legs that are looked at, then their sessions: each costs a look-up of its own.
_FROM_LEGS = "SELECT s.*, g.seq AS place FROM (SELECT session, seq, mask FROM legs WHERE"
_LATEST_LEGS = "seq < :before ORDER BY seq DESC LIMIT :count) g LEFT JOIN sessions s ON s.id ="
_PAGE_OF_PERSON = Statement(
    f"{_FROM_LEGS} participant = :participant AND {_LATEST_LEGS} g.session ORDER BY g.seq DESC",
)
_PAGE_OF_PAIR = Statement(
    f"{_FROM_LEGS} participant = :participant AND {_LATEST_LEGS} CASE WHEN g.mask = :mask THEN g.session END "
    "ORDER BY g.seq DESC",
)
_PAGE_OF_MASK = Statement(
    f"{_FROM_LEGS} mask = :mask AND {_LATEST_LEGS} g.session ORDER BY g.seq DESC",
)
_ON_MASK = Statement(
    "SELECT l.participant, l.session, l.state, l.ended_at, l.until, g.name FROM leases l "
    "JOIN legs g ON g.session = l.session AND g.position = l.position WHERE l.mask = :mask "
    "AND l.participant > :after AND (l.state = 'live' OR l.until > :now) ORDER BY l.participant LIMIT :count"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Which sessions to list: those in a state, and of one external id, or participant, or mask; "" for any."""

    state: Literal["", "live", "ended"] = ""
    external_id: str = ""
    participant: str = field(default="", repr=False)
    mask: str = ""


class SessionListUnit(OpeningUnit):
    """What a unit of work can list of sessions."""

    def session_page(self, wanted: SessionFilter, before: int, count: int) -> tuple[list[Session], int | None]:
        """Return up to `count` sessions whose `seq` is below `before`, the latest first, and where to go on.

        That is None at the end. By the index that serves the filter best; what it leaves to sort out is looked at
        `LOOK` rows at a time, so that a page may hold less than `count`, or nothing, and there are more all the same.
        """
        found, on = self._session_rows(wanted, before, count)
        return [self.whole_session(row) for row in found], on

    def _session_rows(self, wanted: SessionFilter, before: int, count: int) -> tuple[list[Row], int | None]:
        statement, of = _best(wanted)
        found: list[Row] = []
        for size in looks(count + 1):
            rows = self.run(statement, before=before, count=size, **of)
            for row in rows:
                is_new = row["place"] < before  # two legs may share a mask: the first stands for both
                if is_new and _is_wanted(row, wanted):
                    if len(found) == count:
                        return found, before
                    found.append(row)
                before = row["place"]
            if len(rows) < size:
                return found, None
        return found, before

    def holders_page(self, mask: str, after: str, count: int, now: int) -> list[Holder]:
        """Return up to `count` leases on a mask, live or in quarantine, behind those of the participant `after`."""
        return [_holder(row) for row in self.run(_ON_MASK, mask=mask, after=after, count=count, now=now)]

    def sessions_of(self, carrier: str, now: int) -> list[Session]:
        """Return the sessions in progress with a leg on a number of `carrier`, oldest first, each with all its legs."""
        rows = self.query(
            "SELECT s.*, l.position, l.participant, l.mask, l.carrier, l.name, l.pin "
            "FROM sessions s JOIN legs l ON l.session = s.id WHERE s.state = 'live' "
            "AND (s.expires_at IS NULL OR s.expires_at > :now) ORDER BY s.seq, l.position",
            now=now,
        )
        return [session for session in _grouped(rows) if any(leg.carrier == carrier for leg in session.legs)]

    def live_on(self, mask: str, carrier: str) -> list[Session]:
        """Return the live sessions on `mask`, as a number of `carrier`, oldest first."""
        rows = self.query(
            "SELECT * FROM sessions WHERE state = 'live' AND id IN (SELECT l.session FROM leases l "
            "JOIN legs g ON g.session = l.session AND g.position = l.position "
            "WHERE l.mask = :mask AND l.state = 'live' AND g.carrier = :carrier) ORDER BY seq",
            mask=mask,
            carrier=carrier,
        )
        return [self.whole_session(row) for row in rows]

    def listed_on(self, mask: str, carrier: str) -> list[Session]:
        """Return the sessions on `mask`, as a number of `carrier`, that nobody has ended or unlisted, oldest first.

        Expired ones too.
        """
        rows = self.query(
            "SELECT * FROM sessions WHERE unlisted = 0 AND id IN "
            "(SELECT session FROM legs WHERE mask = :mask AND carrier = :carrier) ORDER BY seq",
            mask=mask,
            carrier=carrier,
        )
        return [self.whole_session(row) for row in rows]

    def unlist(self, mask: str, carrier: str) -> None:
        """Take the ended sessions on `mask`, as a number of `carrier`, off its list."""
        self.query(
            "UPDATE sessions SET unlisted = 1 WHERE unlisted = 0 AND state = 'ended' AND id IN "
            "(SELECT session FROM legs WHERE mask = :mask AND carrier = :carrier)",
            mask=mask,
            carrier=carrier,
        )


def _is_wanted(row: Row, wanted: SessionFilter) -> bool:
    """Return whether a session is wanted that the statement of `_best` found."""
    if row["id"] is None or wanted.state not in ("", row["state"]):
        return False
    return not wanted.external_id or bool(row["has_legs"])


def _best(wanted: SessionFilter) -> tuple[Statement, dict[str, str]]:
    """Return the statement that begins with what is fewest, and what it asks for."""
    if wanted.external_id:
        of = {"participant": wanted.participant, "mask": wanted.mask}
        return _PAGE_OF_ID, {"external_id": wanted.external_id} | of
    if wanted.participant and wanted.mask:
        return _PAGE_OF_PAIR, {"participant": wanted.participant, "mask": wanted.mask}
    if wanted.participant:
        return _PAGE_OF_PERSON, {"participant": wanted.participant}
    if wanted.mask:
        return _PAGE_OF_MASK, {"mask": wanted.mask}
    return _PAGES[wanted.state], {}


def _holder(row: Row) -> Holder:
    live = row["state"] == "live"
    return Holder(
        participant=row["participant"],
        name=row["name"],
        session=row["session"],
        live=live,
        ended_at=None if live else row["ended_at"],
        until=None if live else row["until"],
    )


def _grouped(rows: Sequence[Row]) -> list[Session]:
    """Return one session for each run of rows that bear its id."""
    legs: dict[str, list[Leg]] = {}
    for row in rows:
        legs.setdefault(row["id"], []).append(leg_in(row))
    first = {row["id"]: row for row in reversed(rows)}
    return [session_in(first[id], tuple(of)) for id, of in legs.items()]
