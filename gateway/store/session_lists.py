"""Lists of sessions: what the APIs show of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from gateway.records import Holder, Leg, Session
from gateway.store.db import Row, Statement
from gateway.store.opening import OpeningUnit
from gateway.store.sessions import leg_in, session_in

_STATE = "(:state = '' OR s.state = :state)"
_PAGES = {
    "": Statement("SELECT * FROM sessions s WHERE s.seq < :before ORDER BY s.seq DESC LIMIT :count"),
    "live": Statement(
        "SELECT * FROM sessions s WHERE s.state = 'live' AND s.seq < :before ORDER BY s.seq DESC LIMIT :count"
    ),
    "ended": Statement(
        "SELECT * FROM sessions s WHERE s.state = 'ended' AND s.seq < :before ORDER BY s.seq DESC LIMIT :count"
    ),
}
_HAS_LEG = (
    "(:participant = '' OR EXISTS (SELECT 1 FROM legs p WHERE p.session = s.id AND p.participant = :participant)) "
    "AND (:mask = '' OR EXISTS (SELECT 1 FROM legs m WHERE m.session = s.id AND m.mask = :mask))"
)
_PAGE_OF_ID = Statement(
    "SELECT * FROM sessions s WHERE s.external_id = :external_id AND s.external_id <> '' AND s.seq < :before "  # noqa: S608
    f"AND {_STATE} AND {_HAS_LEG} ORDER BY s.seq DESC LIMIT :count"
)
_PAGE_OF_PERSON = Statement(
    "SELECT s.* FROM legs g JOIN sessions s ON s.id = g.session WHERE g.participant = :participant "  # noqa: S608
    f"AND (:mask = '' OR g.mask = :mask) AND g.seq < :before AND {_STATE} ORDER BY g.seq DESC LIMIT :count"
)
#: Two legs of a session may share the mask: the first of them stands for it.
_PAGE_OF_MASK = Statement(
    "SELECT s.* FROM legs g JOIN sessions s ON s.id = g.session WHERE g.mask = :mask AND g.seq < :before "  # noqa: S608
    "AND NOT EXISTS (SELECT 1 FROM legs f WHERE f.session = g.session AND f.mask = g.mask AND f.position < g.position) "
    f"AND {_STATE} ORDER BY g.seq DESC LIMIT :count"
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

    def session_page(self, wanted: SessionFilter, before: int, count: int) -> list[Session]:
        """Return up to `count` sessions whose `seq` is below `before`, the latest first. An index leads to each."""
        rows = self.run(_page(wanted), before=before, count=count, **_params(wanted))
        return [self.whole_session(row) for row in rows]

    def holders_page(self, mask: str, after: str, count: int, now: int) -> list[Holder]:
        """Return up to `count` leases on a mask, live or in quarantine, behind those of the participant `after`."""
        return [_holder(row) for row in self.run(_ON_MASK, mask=mask, after=after, count=count, now=now)]

    def sessions_of(self, carrier: str, now: int) -> list[Session]:
        """Return the sessions in progress with a leg on a number of `carrier`, oldest first, each with all its legs."""
        rows = self.query(
            "SELECT s.*, l.position, l.participant, l.mask, l.carrier, l.name "
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


def _page(wanted: SessionFilter) -> Statement:
    """Return the statement that begins with what is fewest."""
    if wanted.external_id:
        return _PAGE_OF_ID
    if wanted.participant:
        return _PAGE_OF_PERSON
    return _PAGE_OF_MASK if wanted.mask else _PAGES[wanted.state]


def _params(wanted: SessionFilter) -> dict[str, str]:
    """Return what the statement of `_page` asks for."""
    if wanted.external_id:
        return asdict(wanted)
    if wanted.participant:
        return {"participant": wanted.participant, "mask": wanted.mask, "state": wanted.state}
    return {"mask": wanted.mask, "state": wanted.state} if wanted.mask else {}


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
