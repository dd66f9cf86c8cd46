"""Events: what an operator wants to know happened. Append-only; ids, masks and states, never participants or texts."""

from __future__ import annotations

from gateway.store.db import Row, Unit


class EventUnit(Unit):
    """What a unit of work can do with events."""

    def add_event(
        self,
        kind: str,
        now: int,
        *,
        session: str = "",
        mask: str = "",
        carrier: str = "",
        message: int | None = None,
        detail: str = "",
    ) -> None:
        """Append an event, such as `session.opened` or `message.failed`."""
        self.query(
            "INSERT INTO events (at, kind, session, mask, carrier, message, detail) "
            "VALUES (:now, :kind, :session, :mask, :carrier, :message, :detail)",
            now=now,
            kind=kind,
            session=session,
            mask=mask,
            carrier=carrier,
            message=message,
            detail=detail,
        )

    def last_event(self) -> int:
        """Return the id of the newest event, 0 before the first."""
        return int(self.query("SELECT COALESCE(MAX(id), 0) AS id FROM events")[0]["id"])

    def events(self, after: int = 0, count: int = 100) -> list[Row]:
        """Return events that came after the one with id `after`, oldest first."""
        return self.query("SELECT * FROM events WHERE id > :after ORDER BY id LIMIT :count", after=after, count=count)
