"""Lists of sessions: what the APIs show of them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.records import Leg, Session
from gateway.store.db import Row
from gateway.store.opening import OpeningUnit
from gateway.store.sessions import leg_in, session_in


class SessionListUnit(OpeningUnit):
    """What a unit of work can list of sessions."""

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


def _grouped(rows: Sequence[Row]) -> list[Session]:
    """Return one session for each run of rows that bear its id."""
    legs: dict[str, list[Leg]] = {}
    for row in rows:
        legs.setdefault(row["id"], []).append(leg_in(row))
    first = {row["id"]: row for row in reversed(rows)}
    return [session_in(first[id], tuple(of)) for id, of in legs.items()]
