"""Events: what an operator, or an application, wants to know happened.

Append-only; ids, masks and states, never participants or texts.

Each process logs those that its own units of work wrote, once they are on disk: so an event is logged once, whoever
else uses the database, and what was rolled back is not.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from gateway.kinds import is_of_call, is_of_message, written_id
from gateway.store.db import Row, Statement, Unit, looks

#: What says how a carrier stands.
_OF_CARRIER = Statement(
    "SELECT id, at, detail FROM events WHERE carrier = :carrier AND kind = :kind "
    "AND kind IN ('carrier.paused', 'message.failed', 'message.parked') ORDER BY id DESC LIMIT 1"
)

log = logging.getLogger(__name__)


_ADD = Statement(
    "INSERT INTO events (at, kind, session, mask, carrier, message, detail) "
    "VALUES (:now, :kind, :session, :mask, :carrier, :message, :detail)"
)
_PAGE = Statement("SELECT * FROM events WHERE id > :after AND id <= :upto ORDER BY id LIMIT :count")
_PAGE_OF_SESSION = Statement(
    "SELECT * FROM events WHERE session = :session AND session <> '' AND id > :after AND id <= :upto "
    "ORDER BY id LIMIT :count"
)
#: Written out as in the index of the rare ones.
_PAGE_OF_KIND = Statement(
    "SELECT * FROM events WHERE kind = :kind AND kind NOT IN ('message.received', 'message.sent', 'message.delivered') "
    "AND id > :after AND id <= :upto ORDER BY id LIMIT :count"
)

#: What happens with every text.
FREQUENT = frozenset({"message.received", "message.sent", "message.delivered"})
#: What happens with every text or call: not logged.
USUAL = FREQUENT | {"call.connected", "call.answered", "call.ended"}

_LEVELS = {
    "message": logging.WARNING,
    "number": logging.WARNING,
    "pool": logging.WARNING,
    "recording.kept": logging.WARNING,
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
        """Append an event, such as `session.opened` or `message.failed`, at the end of the transaction.

        `message` is an id of the outbox; for `message.received`, of the inbox; for those of calls and
        recordings, of a call; for `opt_out`, the `ref` of an opt-out.
        """
        event = {
            "kind": kind,
            "session": session,
            "mask": mask,
            "carrier": carrier,
            "message": message,
            "detail": detail,
        }
        self.later(_ADD, now=now, **event)
        if kind not in USUAL:
            self.told.append(event)

    def last_of_carrier(self, carrier: str, kind: str) -> Row | None:
        """Return `id`, `at` and `detail` of a carrier's newest `carrier.paused`, `message.failed` or `message.parked`.

        None where there is none.
        """
        self.catch_up()
        rows = self.run(_OF_CARRIER, carrier=carrier, kind=kind)
        return rows[0] if rows else None

    def last_event(self) -> int:
        """Return the id of the newest event, 0 before the first.

        In a unit that runs alone, no event will ever come before that one: ids are taken by units that write, and
        all have ended. Beside others, one with a lower id may be still to come (`feed.py`).
        """
        self.catch_up()
        return int(self.query("SELECT COALESCE(MAX(id), 0) AS id FROM events")[0]["id"])

    def last_event_before(self, at: int) -> int:
        """Return an id behind which come the events from the time `at` on, 0 where that is all there are.

        Looked for by halves, so that its cost hardly grows. Times follow ids, but for what several processes write at
        the same moment, or while a clock is set back.
        """
        low, high = 0, self.last_event()  # of the answer
        while low < high:
            middle = (low + high) // 2
            rows = self.run(_PAGE, after=middle, upto=high, count=1)
            if rows and rows[0]["at"] < at:
                low = int(rows[0]["id"])
            else:
                high = middle
        return low

    def events(self, after: int = 0, count: int = 100, *, upto: int = (1 << 63) - 1) -> list[Row]:
        """Return events that came after the one with id `after`, oldest first, up to the one with id `upto`."""
        self.catch_up()
        return self.run(_PAGE, after=after, upto=upto, count=count)

    def events_page(
        self, kinds: Collection[str], session: str, after: int, upto: int, count: int
    ) -> tuple[list[Row], int]:
        """Return up to `count` events of `kinds` (none: all) in a session ("": all), and how far that looked.

        Oldest first, behind `after` and up to `upto`. Of frequent kinds, at most `LOOK` events are looked at.
        """
        if kinds and not session and not FREQUENT & set(kinds):
            return self._rare_events(sorted(set(kinds)), after, upto, count)
        statement = _PAGE_OF_SESSION if session else _PAGE
        of = {"session": session} if session else {}
        found: list[Row] = []
        for size in looks(count):
            rows = self.run(statement, after=after, upto=upto, count=size, **of)
            for row in rows:
                after = row["id"]
                if not kinds or row["kind"] in kinds:
                    found.append(row)
                    if len(found) == count:
                        return found, after
            if len(rows) < size:
                return found, upto
        return found, after

    def _rare_events(self, kinds: Sequence[str], after: int, upto: int, count: int) -> tuple[list[Row], int]:
        rows = [
            row for kind in kinds for row in self.run(_PAGE_OF_KIND, kind=kind, after=after, upto=upto, count=count)
        ]
        found = sorted(rows, key=lambda row: int(row["id"]))[:count]
        return found, found[-1]["id"] if len(found) == count else upto


def log_events(events: Sequence[Row]) -> None:
    """Log events, at a level that says whether somebody should look."""
    for event in events:
        if log.isEnabledFor(level := _level(event["kind"])):
            log.log(level, "%s", _in_words(event), extra=_fields(event))


def _level(kind: str) -> int:
    return _LEVELS.get(kind) or _LEVELS.get(kind.partition(".")[0], logging.INFO)


def _in_words(event: Row) -> str:
    """Return an event as one line: its kind, and of message, session, mask, carrier and detail what it has."""
    if words := _WORDS.get(event["kind"]):
        return words.format(carrier=event["carrier"], detail=event["detail"])
    about = {**_about(event), **{name: event[name] for name in ("session", "mask", "carrier")}}
    parts = [f"{name} {value}" for name, value in about.items() if value]
    return f"{event['kind']}: {', '.join(parts)}" + (f" ({event['detail']})" if event["detail"] else "")


def _about(event: Row) -> dict[str, object]:
    """Return which message or call an event is about, as the API names it."""
    kind, id = event["kind"], event["message"]
    if id is None:
        return {}
    if is_of_call(kind):
        return {"call": id}
    return {"message": written_id(kind, id)} if is_of_message(kind) else {}


def _fields(event: Row) -> dict[str, object]:
    of, _, state = event["kind"].partition(".")
    named = {name: event[name] for name in ("session", "mask", "carrier", "detail")}
    about = _about(event)
    named |= {"message_id": about.get("message", ""), "call": about.get("call", "")}
    return named | {"event": event["kind"], "state": state if of == "message" else ""}
