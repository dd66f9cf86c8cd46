"""Events: what an operator wants to know happened. Append-only; ids, masks and states, never participants or texts.

Each process logs those that its own units of work wrote, once they are on disk: so an event is logged once, whoever
else uses the database, and what was rolled back is not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gateway.store.db import Row, Statement, Unit

#: What says how a carrier stands.
_OF_CARRIER = Statement(
    "SELECT id, at, detail FROM events WHERE carrier = :carrier AND kind = :kind "
    "AND kind IN ('carrier.paused', 'message.failed', 'message.parked') ORDER BY id DESC LIMIT 1"
)

log = logging.getLogger(__name__)

_LEVELS = {
    "message": logging.WARNING,
    "number": logging.WARNING,
    "carrier.paused": logging.ERROR,
    "carrier.resumed": logging.WARNING,
}
#: What the log says where an event's own name says too little.
_WORDS = {
    "carrier.paused": "carrier {carrier} is out ({detail}): its texts wait, a probe goes out from time to time",
    "carrier.resumed": "carrier {carrier} is back: its texts go out again",
}


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
        event = {
            "kind": kind,
            "session": session,
            "mask": mask,
            "carrier": carrier,
            "message": message,
            "detail": detail,
        }
        self.query(
            "INSERT INTO events (at, kind, session, mask, carrier, message, detail) "
            "VALUES (:now, :kind, :session, :mask, :carrier, :message, :detail)",
            now=now,
            **event,
        )
        self.told.append(event)

    def last_of_carrier(self, carrier: str, kind: str) -> Row | None:
        """Return `id`, `at` and `detail` of a carrier's newest `carrier.paused`, `message.failed` or `message.parked`.

        None where there is none.
        """
        rows = self.run(_OF_CARRIER, carrier=carrier, kind=kind)
        return rows[0] if rows else None

    def events(self, after: int = 0, count: int = 100) -> list[Row]:
        """Return events that came after the one with id `after`, oldest first."""
        return self.query("SELECT * FROM events WHERE id > :after ORDER BY id LIMIT :count", after=after, count=count)


def log_events(events: Sequence[Row]) -> None:
    """Log events, at a level that says whether somebody should look."""
    for event in events:
        log.log(_level(event["kind"]), "%s", _in_words(event), extra=_fields(event))


def _level(kind: str) -> int:
    return _LEVELS.get(kind) or _LEVELS.get(kind.partition(".")[0], logging.INFO)


def _in_words(event: Row) -> str:
    """Return an event as one line: its kind, and of message, session, mask, carrier and detail what it has."""
    if words := _WORDS.get(event["kind"]):
        return words.format(carrier=event["carrier"], detail=event["detail"])
    parts = [f"{name} {event[name]}" for name in ("message", "session", "mask", "carrier") if event[name]]
    return f"{event['kind']}: {', '.join(parts)}" + (f" ({event['detail']})" if event["detail"] else "")


def _fields(event: Row) -> dict[str, object]:
    of, _, state = event["kind"].partition(".")
    named = {name: event[name] for name in ("session", "mask", "carrier", "detail")}
    return named | {"event": event["kind"], "message_id": event["message"], "state": state if of == "message" else ""}
