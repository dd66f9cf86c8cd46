"""Sessions, legs and leases. The primary key of `leases` makes a wrong recipient impossible; nothing goes round it."""

from __future__ import annotations

from gateway.errors import SessionUnknown, StoreError
from gateway.records import Lease, Leg, Origin, Session
from gateway.store.allocation import LEGS, AllocationUnit
from gateway.store.db import Row, Statement

SWEEP = 50  #: sessions ended in one unit of work at most: it holds up all others

#: All that a text or a call needs to know, in one statement: a row for each leg of the session.
_LEASE = Statement(
    "SELECT l.position AS place, l.state AS lease, l.until, s.*, "
    "g.position, g.participant, g.mask, g.carrier, g.name, g.pin, "
    "EXISTS (SELECT 1 FROM opt_outs o WHERE o.participant = g.participant AND o.mask IN ('', g.mask)) AS refuses "
    "FROM leases l JOIN sessions s ON s.id = l.session JOIN legs g ON g.session = l.session "
    "WHERE l.mask = :mask AND l.participant = :participant ORDER BY g.position",
    aside=True,
)
_LIVE_LEASES = Statement("SELECT mask FROM leases WHERE participant = :participant AND state = 'live' LIMIT :count")
_TAKE = Statement(
    "INSERT INTO leases (mask, participant, session, position, pin, state, ended_at, until) "
    "VALUES (:mask, :participant, :session, :position, :pin, 'live', 0, 0) "
    "ON CONFLICT (mask, participant) DO UPDATE SET session = excluded.session, position = excluded.position, "
    "pin = excluded.pin, state = 'live', ended_at = 0, until = 0 WHERE leases.state = 'quarantined' RETURNING mask"
)

_TOUCH = Statement(
    "UPDATE sessions SET expires_at = CASE WHEN deadline < :until THEN deadline ELSE :until END "
    "WHERE id = :id AND state = 'live' AND expires_at < :worth_it AND (deadline IS NULL OR expires_at < deadline)",
    aside=True,
)
_INSERT = Statement(
    "INSERT INTO sessions (id, origin, state, created_at, expires_at, ended_at, reason, unlisted, exclusive, texts, "
    "calls, ttl_ms, deadline, external_id, metadata, end_text, call_options, note, version) VALUES (:id, :origin, "
    "'live', :created_at, :expires_at, NULL, '', 0, :exclusive, :texts, :calls, :ttl_ms, :deadline, :external_id, "
    ":metadata, :end_text, :call_options, '', 1) RETURNING seq"
)


class SessionUnit(AllocationUnit):
    """What a unit of work can do with sessions."""

    def find_lease(self, mask: str, participant: str, now: int) -> Lease | None:
        """Return the lease on (mask, participant), live or still in quarantine, with its session. One or none."""
        rows = self.run(_LEASE, mask=mask, participant=participant)
        if not rows or (rows[0]["lease"] == "quarantined" and rows[0]["until"] <= now):
            return None
        return Lease(
            session=session_in(rows[0], tuple(leg_in(row) for row in rows)),
            position=rows[0]["place"],
            live=rows[0]["lease"] == "live",
            refusing=frozenset(row["position"] for row in rows if row["refuses"]),
        )

    def live_leases(self, participant: str, count: int, now: int) -> list[Lease]:
        """Return up to `count` live leases of a participant, on whatever masks."""
        rows = self.run(_LIVE_LEASES, participant=participant, count=count)
        found = [self.find_lease(row["mask"], participant, now) for row in rows]
        return [lease for lease in found if lease is not None]

    def touch_session(self, session: Session, now: int) -> None:
        """Put off the expiry of a session that lives so long after its last text or call; never past its deadline."""
        if session.ttl_ms is not None and session.expires_at is not None:
            until = now + session.ttl_ms
            self.run(_TOUCH, id=session.id, until=until, worth_it=until - min(1000, session.ttl_ms // 100))

    def end_session(
        self, session: str, reason: str, now: int, quarantine_ms: int, *, unlisted: bool = True, note: str = ""
    ) -> bool:
        """End a live session and quarantine its leases. Return False if it was not live."""
        rows = self.query(
            "UPDATE sessions SET state = 'ended', reason = :reason, note = :note, ended_at = :now, "
            "unlisted = :unlisted, version = version + 1 WHERE id = :id AND state = 'live' RETURNING id",
            id=session,
            reason=reason,
            note=note,
            now=now,
            unlisted=int(unlisted),
        )
        if not rows:
            return False
        masks = self.quarantine_leases(session, now, quarantine_ms)
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

    def change_session(self, session: Session) -> None:
        """Say anew how long a session lives, how its calls go, and what is kept with it; see `raise_version`."""
        self.query(
            "UPDATE sessions SET expires_at = :expires_at, ttl_ms = :ttl_ms, deadline = :deadline, "
            "metadata = :metadata, call_options = :call_options WHERE id = :id",
            expires_at=session.expires_at,
            ttl_ms=session.ttl_ms,
            deadline=session.deadline,
            metadata=session.metadata,
            call_options=session.call_options,
            id=session.id,
        )

    def name_participant(self, session: str, position: int, name: str) -> None:
        """Say anew what the others of a group see before somebody's texts; see `raise_version`."""
        self.query(
            "UPDATE legs SET name = :name WHERE session = :session AND position = :position",
            name=name,
            session=session,
            position=position,
        )

    def raise_version(self, session: str) -> None:
        """Say that a session is not as it was: once for all that changed in it at a time."""
        self.query("UPDATE sessions SET version = version + 1 WHERE id = :id", id=session)

    def due_sessions(self, now: int) -> list[Session]:
        """Return live sessions past their expiry, a bounded number."""
        rows = self.query(
            "SELECT * FROM sessions WHERE state = 'live' AND expires_at IS NOT NULL AND expires_at <= :now "
            "ORDER BY expires_at LIMIT :count",
            now=now,
            count=SWEEP,
        )
        return [self.whole_session(row) for row in rows]

    def session(self, session: str) -> Session:
        """Return a session. Raises `SessionUnknown`."""
        rows = self.query("SELECT * FROM sessions WHERE id = :id", id=session)
        if not rows:
            raise SessionUnknown("there is no such session")
        return self.whole_session(rows[0])

    def live_with_external_id(self, external_id: str) -> str:
        """Return the id of the live session that bears an application's own name, "" if there is none."""
        rows = self.query(
            "SELECT id FROM sessions WHERE external_id = :external_id AND external_id <> '' AND state = 'live'",
            external_id=external_id,
        )
        return str(rows[0]["id"]) if rows else ""

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

    def quarantine_leases(self, session: str, now: int, quarantine_ms: int, position: int | None = None) -> list[str]:
        """Quarantine the live leases of a session, or that of one leg, and return their masks."""
        rows = self.query(
            "UPDATE leases SET state = 'quarantined', ended_at = :now, until = :until WHERE session = :session "
            "AND state = 'live' AND (position = :position OR :position = -1) RETURNING mask",
            session=session,
            now=now,
            until=now + quarantine_ms,
            position=-1 if position is None else position,
        )
        return [row["mask"] for row in rows]

    def insert_session(self, session: Session, legs: tuple[Leg, ...]) -> Session:
        """Write a new session down, with its leases on masks that were chosen in this unit."""
        [row] = self.run(
            _INSERT,
            id=session.id,
            origin=session.origin.value,
            created_at=session.created_at,
            expires_at=session.expires_at,
            exclusive=int(session.exclusive),
            texts=int(session.texts),
            calls=int(session.calls),
            ttl_ms=session.ttl_ms,
            deadline=session.deadline,
            external_id=session.external_id,
            metadata=session.metadata,
            end_text=session.end_text,
            call_options=session.call_options,
        )
        for leg in legs:
            self._insert_leg(session.id, row["seq"], leg)
        return self.session(session.id)

    def _insert_leg(self, session: str, seq: int, leg: Leg) -> None:
        self.query(
            "INSERT INTO legs (session, seq, position, participant, mask, carrier, name, pin) "
            "VALUES (:session, :seq, :position, :participant, :mask, :carrier, :name, :pin)",
            session=session,
            seq=seq,
            position=leg.position,
            participant=leg.participant,
            mask=leg.mask,
            carrier=leg.carrier,
            name=leg.name,
            pin=leg.pin,
        )
        self.take_lease(session, leg)

    def take_lease(self, session: str, leg: Leg) -> None:
        """Let the pair of a leg mean this session from now on."""
        of = {"mask": leg.mask, "participant": leg.participant, "position": leg.position, "pin": leg.pin}
        taken = self.run(_TAKE, session=session, **of)
        if not taken:  # somebody live holds the pair: the constraint has spoken, nothing of this unit is kept
            raise StoreError("the pair (mask, participant) is in use")

    def whole_session(self, row: Row) -> Session:
        """Return the session in a row of `sessions`, with its legs."""
        return session_in(row, tuple(leg_in(leg) for leg in self.run(LEGS, session=row["id"])))


def session_in(row: Row, legs: tuple[Leg, ...]) -> Session:
    """Return the session in a row of `sessions`."""
    return Session(
        id=row["id"],
        origin=Origin(row["origin"]),
        live=row["state"] == "live",
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        reason=row["reason"],
        legs=legs,
        seq=row["seq"],
        ended_at=row["ended_at"],
        exclusive=bool(row["exclusive"]),
        texts=bool(row["texts"]),
        calls=bool(row["calls"]),
        ttl_ms=row["ttl_ms"],
        deadline=row["deadline"],
        external_id=row["external_id"],
        metadata=row["metadata"],
        end_text=row["end_text"],
        call_options=row["call_options"],
        note=row["note"],
        version=row["version"],
    )


def leg_in(row: Row) -> Leg:
    """Return the leg in a row of `legs`."""
    return Leg(
        participant=row["participant"],
        mask=row["mask"],
        carrier=row["carrier"],
        position=row["position"],
        name=row["name"],
        pin=row["pin"],
    )
