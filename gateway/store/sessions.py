"""Sessions, legs and leases. The primary key of `leases` makes a wrong recipient impossible; nothing goes round it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import NoNumberFree, SessionUnknown, StoreError
from gateway.records import Lease, Leg, Origin, Session
from gateway.store.db import Row, Statement
from gateway.store.opt_outs import OptOutUnit

SWEEP = 50  #: sessions ended in one unit of work at most: it holds up all others

_LEASE = Statement(
    "SELECT l.position, l.state AS lease, l.until, s.* FROM leases l JOIN sessions s ON s.id = l.session "
    "WHERE l.mask = :mask AND l.participant = :participant"
)
_LIVE_LEASES = Statement(
    "SELECT l.position, s.* FROM leases l JOIN sessions s ON s.id = l.session "
    "WHERE l.participant = :participant AND l.state = 'live' LIMIT :count"
)
_LEGS = Statement("SELECT position, participant, mask, carrier FROM legs WHERE session = :session ORDER BY position")
_TAKE = Statement(
    "INSERT INTO leases (mask, participant, session, position, state, ended_at, until) "
    "VALUES (:mask, :participant, :session, :position, 'live', 0, 0) "
    "ON CONFLICT (mask, participant) DO UPDATE SET session = excluded.session, position = excluded.position, "
    "state = 'live', ended_at = 0, until = 0 WHERE leases.state = 'quarantined' RETURNING mask"
)
_HELD = Statement(
    "SELECT mask, session, ended_at FROM leases WHERE participant = :participant AND (state = 'live' OR until > :now)"
)


class SessionUnit(OptOutUnit):
    """What a unit of work can do with sessions."""

    def find_lease(self, mask: str, participant: str, now: int) -> Lease | None:
        """Return the lease on (mask, participant), live or still in quarantine, with its session. One or none."""
        rows = self.run(_LEASE, mask=mask, participant=participant)
        if not rows or (rows[0]["lease"] == "quarantined" and rows[0]["until"] <= now):
            return None
        row = rows[0]
        return Lease(session=self._session(row), position=row["position"], live=row["lease"] == "live")

    def live_leases(self, participant: str, count: int) -> list[Lease]:
        """Return up to `count` live leases of a participant, on whatever masks."""
        rows = self.run(_LIVE_LEASES, participant=participant, count=count)
        return [Lease(session=self._session(row), position=row["position"], live=True) for row in rows]

    def open_exclusive(
        self,
        session: Session,
        carrier: str,
        *,
        strict: bool,
        now: int,
    ) -> Session:
        """Open a session of people who share one free number of `carrier`, and return it with its masks.

        `session` comes with legs whose masks are blank. Raises `NoNumberFree`.
        """
        people = [leg.participant for leg in session.legs]
        while True:
            number = self._choose_exclusive(carrier, people, strict, now)
            if self.occupy(number, session.id, len(people)):
                break
        legs = tuple(
            Leg(participant=person, mask=number, carrier=carrier, position=i) for i, person in enumerate(people)
        )
        return self._insert(session, legs)

    def end_session(self, session: str, reason: str, now: int, quarantine_ms: int, *, unlisted: bool = True) -> bool:
        """End a live session and quarantine its leases. Return False if it was not live."""
        rows = self.query(
            "UPDATE sessions SET state = 'ended', reason = :reason, ended_at = :now, unlisted = :unlisted "
            "WHERE id = :id AND state = 'live' RETURNING id",
            id=session,
            reason=reason,
            now=now,
            unlisted=int(unlisted),
        )
        if not rows:
            return False
        leases = self.query(
            "UPDATE leases SET state = 'quarantined', ended_at = :now, until = :until "
            "WHERE session = :session AND state = 'live' RETURNING mask",
            session=session,
            now=now,
            until=now + quarantine_ms,
        )
        masks = [row["mask"] for row in leases]
        for mask in sorted(set(masks)):  # in one order: two units that do this do not wait for each other
            self.release(mask, session, masks.count(mask))
        return True

    def extend_session(self, session: str, expires_at: int | None, now: int) -> bool:
        """Put the expiry of a live session off, or nearer (ms UTC; None: never). Return False if it is over."""
        rows = self.query(
            "UPDATE sessions SET expires_at = :expires_at WHERE id = :id AND state = 'live' "
            "AND (expires_at IS NULL OR expires_at > :now) RETURNING id",
            expires_at=expires_at,
            id=session,
            now=now,
        )
        return bool(rows)

    def due_sessions(self, now: int) -> list[Session]:
        """Return live sessions past their expiry, a bounded number."""
        rows = self.query(
            "SELECT * FROM sessions WHERE state = 'live' AND expires_at IS NOT NULL AND expires_at <= :now "
            "ORDER BY expires_at LIMIT :count",
            now=now,
            count=SWEEP,
        )
        return [self._session(row) for row in rows]

    def session(self, session: str) -> Session:
        """Return a session. Raises `SessionUnknown`."""
        rows = self.query("SELECT * FROM sessions WHERE id = :id", id=session)
        if not rows:
            raise SessionUnknown("there is no such session")
        return self._session(rows[0])

    def sessions_of(self, carrier: str, now: int) -> list[Session]:
        """Return the sessions in progress with a leg on a number of `carrier`, oldest first, each with all its legs."""
        rows = self.query(
            "SELECT s.*, l.position, l.participant, l.mask, l.carrier FROM sessions s JOIN legs l ON l.session = s.id "
            "WHERE s.state = 'live' AND (s.expires_at IS NULL OR s.expires_at > :now) ORDER BY s.seq, l.position",
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
        return [self._session(row) for row in rows]

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
        return [self._session(row) for row in rows]

    def unlist(self, mask: str, carrier: str) -> None:
        """Take the ended sessions on `mask`, as a number of `carrier`, off its list."""
        self.query(
            "UPDATE sessions SET unlisted = 1 WHERE unlisted = 0 AND state = 'ended' AND id IN "
            "(SELECT session FROM legs WHERE mask = :mask AND carrier = :carrier)",
            mask=mask,
            carrier=carrier,
        )

    def forget_leases(self, now: int) -> int:
        """Drop leases whose quarantine is over, a bounded number, and return how many."""
        rows = self.query(
            "DELETE FROM leases WHERE state = 'quarantined' AND until <= :now AND (mask, participant) IN "
            "(SELECT mask, participant FROM leases WHERE state = 'quarantined' AND until <= :now LIMIT :count) "
            "RETURNING mask",
            now=now,
            count=SWEEP,
        )
        return len(rows)

    def _choose_exclusive(self, carrier: str, people: Sequence[str], strict: bool, now: int) -> str:
        """Choose a free number on which nobody of `people` could be misread.

        One on which somebody is quarantined from a conversation with other people only when no other is
        free: then the one that ended longest ago. One from which somebody refuses texts never.
        """
        quarantined = self._quarantined(people, now)
        refused = self.masks_refused_by(people)
        avoid = quarantined.keys() | refused
        for number in self.free_numbers(carrier, len(avoid) + 1):
            if number not in avoid:
                return number
        last_resort = self.free_among(carrier, quarantined.keys() - refused)
        if strict or not last_resort:
            raise NoNumberFree("no number of the pool is free for these participants")
        return min(last_resort, key=lambda number: (quarantined[number], number))

    def _quarantined(self, people: Sequence[str], now: int) -> dict[str, int]:
        """Return the masks on which one of `people` is quarantined from a session with others, and when it ended."""
        masks: dict[str, int] = {}
        for person in people:
            for row in self.run(_HELD, participant=person, now=now):
                if self._people_of(row["session"]) != set(people):
                    masks[row["mask"]] = max(masks.get(row["mask"], 0), row["ended_at"])
        return masks

    def _people_of(self, session: str) -> set[str]:
        return {row["participant"] for row in self.run(_LEGS, session=session)}

    def _insert(self, session: Session, legs: tuple[Leg, ...]) -> Session:
        self.query(
            "INSERT INTO sessions (id, origin, state, created_at, expires_at, ended_at, reason, unlisted) "
            "VALUES (:id, :origin, 'live', :created_at, :expires_at, NULL, '', 0)",
            id=session.id,
            origin=session.origin.value,
            created_at=session.created_at,
            expires_at=session.expires_at,
        )
        for leg in legs:
            self._insert_leg(session.id, leg)
        return self.session(session.id)

    def _insert_leg(self, session: str, leg: Leg) -> None:
        self.query(
            "INSERT INTO legs (session, position, participant, mask, carrier) "
            "VALUES (:session, :position, :participant, :mask, :carrier)",
            session=session,
            position=leg.position,
            participant=leg.participant,
            mask=leg.mask,
            carrier=leg.carrier,
        )
        taken = self.run(_TAKE, mask=leg.mask, participant=leg.participant, session=session, position=leg.position)
        if not taken:  # somebody live holds the pair: the constraint has spoken, nothing of this unit is kept
            raise StoreError("the pair (mask, participant) is in use")

    def _session(self, row: Row) -> Session:
        return _session(row, tuple(_leg(leg) for leg in self.run(_LEGS, session=row["id"])))


def _session(row: Row, legs: tuple[Leg, ...]) -> Session:
    return Session(
        id=row["id"],
        origin=Origin(row["origin"]),
        live=row["state"] == "live",
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        reason=row["reason"],
        legs=legs,
    )


def _leg(row: Row) -> Leg:
    return Leg(participant=row["participant"], mask=row["mask"], carrier=row["carrier"], position=row["position"])


def _grouped(rows: Sequence[Row]) -> list[Session]:
    """Return one session for each run of rows that bear its id."""
    legs: dict[str, list[Leg]] = {}
    for row in rows:
        legs.setdefault(row["id"], []).append(_leg(row))
    first = {row["id"]: row for row in reversed(rows)}
    return [_session(first[id], tuple(of)) for id, of in legs.items()]
