"""PINs: who is meant by one, and how many wrong ones there were of late."""

from __future__ import annotations

from gateway.errors import PinTaken
from gateway.store.db import Statement
from gateway.store.opening import PIN_TAKEN
from gateway.store.recordings import RecordingUnit

_OWNER = Statement("SELECT participant FROM leases WHERE mask = :mask AND pin = :pin AND pin <> '' AND state = 'live'")
_ANY = Statement(
    "SELECT 1 FROM leases l JOIN legs g ON g.session = l.session AND g.position = l.position WHERE l.mask = :mask "
    "AND l.pin <> '' AND l.state = 'live' AND g.carrier = :carrier LIMIT 1"
)
_LOCKED = Statement(
    "SELECT 1 FROM pin_tries WHERE mask = :mask AND caller IN (:caller, :all) AND locked_until > :now LIMIT 1"
)
_WRONG = Statement(
    "INSERT INTO pin_tries (mask, caller, wrong, since, locked_until) VALUES (:mask, :caller, 1, :now, 0) "
    "ON CONFLICT (mask, caller) DO UPDATE SET "
    "wrong = CASE WHEN pin_tries.since <= :begun THEN 1 ELSE pin_tries.wrong + 1 END, "
    "since = CASE WHEN pin_tries.since <= :begun THEN excluded.since ELSE pin_tries.since END RETURNING wrong"
)
_LOCK = Statement(
    "UPDATE pin_tries SET locked_until = :until, since = :until, wrong = 0 WHERE mask = :mask AND caller = :caller"
)
_SET = Statement("UPDATE legs SET pin = :pin WHERE session = :session AND position = :position RETURNING mask")
_SET_ON_LEASE = Statement(
    "UPDATE leases SET pin = :pin WHERE session = :session AND position = :position AND state = 'live'"
)


class PinUnit(RecordingUnit):
    """What a unit of work can do with PINs."""

    def set_pin(self, session: str, position: int, pin: str) -> None:
        """Give a participant of a live session another PIN; "": none; see `raise_version`. Raises `PinTaken`.

        The unit must run alone.
        """
        [row] = self.run(_SET, session=session, position=position, pin=pin)
        self.run(_SET_ON_LEASE, session=session, position=position, pin="")
        if self.has_pin(row["mask"], pin):
            raise PinTaken(PIN_TAKEN)
        self.run(_SET_ON_LEASE, session=session, position=position, pin=pin)

    def asks_pin(self, mask: str, carrier: str) -> bool:
        """Return whether somebody live on a mask of `carrier` has a PIN."""
        return bool(self.run(_ANY, mask=mask, carrier=carrier))

    def pin_owner(self, mask: str, pin: str) -> str | None:
        """Return the live participant on a mask who has this PIN, None if nobody has."""
        rows = self.run(_OWNER, mask=mask, pin=pin)
        return str(rows[0]["participant"]) if rows else None

    def pin_locked(self, mask: str, caller: str, every: str, now: int) -> bool:
        """Return whether no PIN is taken on a mask now, of `caller` or of `every` caller."""
        return bool(self.run(_LOCKED, mask=mask, caller=caller, all=every, now=now))

    def count_wrong_pin(self, mask: str, caller: str, most: int, window_ms: int, lock_ms: int, now: int) -> bool:
        """Count a wrong PIN; with the `most` of them within `window_ms`, lock for `lock_ms`. Return whether it did."""
        [row] = self.run(_WRONG, mask=mask, caller=caller, begun=now - window_ms, now=now)
        if row["wrong"] < most:
            return False
        self.run(_LOCK, mask=mask, caller=caller, until=now + lock_ms)
        return True

    def forget_pin_tries(self, before: int) -> None:
        """Drop what is known of wrong PINs from before `before` (ms)."""
        self.query("DELETE FROM pin_tries WHERE since <= :before", before=before)
