"""Lists of messages, those that came in and those that went out in one order: the latest first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from gateway.past import Received
from gateway.records import Message, MessageState
from gateway.store.answers import AnswerUnit
from gateway.store.db import Row, Statement, looks
from gateway.store.outbox import message

_END = (1 << 63) - 1

#: Of messages at one time, those that went out come before those that came in: these caused them.
IN, OUT = 0, 1
#: When, which way, which one: what the list is sorted by.
Key = tuple[int, int, int]
FIRST_PAGE: Key = (_END, OUT, _END)

_LATEST_OUT = "(created_at, id) < (:at, :id) AND created_at >= :since ORDER BY created_at DESC, id DESC LIMIT :count"
_OUT = {
    "session": Statement(f"SELECT * FROM outbox WHERE session = :session AND {_LATEST_OUT}"),  # noqa: S608
    "participant": Statement(f"SELECT * FROM outbox WHERE recipient = :participant AND {_LATEST_OUT}"),  # noqa: S608
    "mask": Statement(f"SELECT * FROM outbox WHERE mask = :mask AND {_LATEST_OUT}"),  # noqa: S608
    #: Written out as in its index.
    "state": Statement(
        "SELECT * FROM outbox WHERE state = :state AND state IN ('undelivered', 'failed', 'expired', 'suppressed', "  # noqa: S608
        f"'blocked', 'parked') AND {_LATEST_OUT}"
    ),
    "": Statement(f"SELECT * FROM outbox WHERE {_LATEST_OUT}"),  # noqa: S608
}
_LATEST_IN = "(received_at, id) < (:at, :id) AND received_at >= :since ORDER BY received_at DESC, id DESC LIMIT :count"
_IN = {
    "session": Statement(f"SELECT * FROM inbox WHERE session = :session AND session <> '' AND {_LATEST_IN}"),  # noqa: S608
    "participant": Statement(f"SELECT * FROM inbox WHERE sender = :participant AND {_LATEST_IN}"),  # noqa: S608
    "mask": Statement(f"SELECT * FROM inbox WHERE mask = :mask AND {_LATEST_IN}"),  # noqa: S608
    "": Statement(f"SELECT * FROM inbox WHERE {_LATEST_IN}"),  # noqa: S608
}
#: Written out as in its index.
_REPLAYABLE = Statement(
    "SELECT * FROM outbox WHERE state IN ('failed', 'parked', 'expired', 'undelivered') AND replayed_as IS NULL "
    "AND (created_at, id) > (:at, :id) ORDER BY created_at, id LIMIT :count"
)
_OUT_BY_ID = Statement("SELECT * FROM outbox WHERE id = :id")
_IN_BY_ID = Statement("SELECT * FROM inbox WHERE id = :id")
#: What a text gave rise to was written in the transaction that took it, at the same time.
_CAUSED_BY = Statement("SELECT id FROM outbox WHERE created_at = :at AND inbox = :inbox ORDER BY id")

#: States that few messages are in: an index leads to them.
FAILURES = frozenset({"undelivered", "failed", "expired", "suppressed", "blocked", "parked"})
RECEIVED = "received"  #: the state of whatever came in

R = TypeVar("R", Message, Received)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages to list; "" for any."""

    direction: Literal["", "inbound", "outbound"] = ""
    session: str = ""
    state: str = ""
    participant: str = field(default="", repr=False)
    mask: str = ""
    carrier: str = ""
    since: int = 0  #: ms UTC
    until: int = _END  #: ms UTC, not included

    def fits(self, row: Row, out: bool) -> bool:
        """Return whether the message in a row is wanted: of the outbox, or else of the inbox."""
        return (
            self.session in ("", row["session"])
            and self.state in ("", row["state"] if out else RECEIVED)
            and self.participant in ("", row["recipient" if out else "sender"])
            and self.mask in ("", row["mask"])
            and self.carrier in ("", row["carrier"])
        )

    @property
    def wants_out(self) -> bool:
        """Whether messages of the outbox are wanted."""
        return self.direction != "inbound" and self.state != RECEIVED

    @property
    def wants_in(self) -> bool:
        """Whether messages of the inbox are wanted."""
        return self.direction != "outbound" and self.state in ("", RECEIVED)


def key_of(one: Message | Received) -> Key:
    """Return what a message is sorted by."""
    if isinstance(one, Message):
        return one.created_at, OUT, one.id
    return one.received_at, IN, one.id


class MessageListUnit(AnswerUnit):
    """What a unit of work can list of messages."""

    def message_page(
        self, wanted: MessageFilter, before: Key, count: int
    ) -> tuple[list[Message | Received], Key | None]:
        """Return up to `count` messages that come behind `before`, the latest first; and where the next page begins.

        That is None at the end. By the index that serves the filter best; what it leaves to sort out is looked at
        `LOOK` rows at a time, so that a page may hold less than `count`, or nothing, and there are more all the same.
        """
        start = min(before, (wanted.until, IN, 0))
        found: list[Message | Received] = []
        edges: list[Key] = []
        if wanted.wants_out:
            out, edge = self._stream(_OUT[_best(wanted)], message, wanted, _before_out(start), count)
            found, edges = [*found, *out], edges + ([edge] if edge else [])
        if wanted.wants_in:
            came, edge = self._stream(_IN[_best(wanted)], _received, wanted, _before_in(start), count)
            found, edges = [*found, *came], edges + ([edge] if edge else [])
        edge = max(edges, default=(0, 0, 0))  # behind it not both were looked at
        page = sorted((one for one in found if key_of(one) >= edge), key=key_of, reverse=True)
        if len(page) > count:
            return page[:count], key_of(page[count - 1])
        return page, edge if edges else None

    def replayable(
        self, wanted: MessageFilter, states: Collection[MessageState], after: tuple[int, int], count: int
    ) -> tuple[list[Message], tuple[int, int] | None]:
        """Return up to `count` messages in one of `states` that were not replayed, oldest first, and where to go on.

        That is None at the end. `LOOK` rows are looked at, at most.
        """
        found: list[Message] = []
        for size in looks(count + 1):
            rows = self.run(_REPLAYABLE, at=after[0], id=after[1], count=size)
            for row in rows:
                if len(found) == count:
                    return found, after
                timely = wanted.since <= row["created_at"] < wanted.until
                if timely and wanted.fits(row, out=True) and MessageState(row["state"]) in states:
                    found.append(message(row))
                after = (row["created_at"], row["id"])
            if len(rows) < size:
                return found, None
        return found, after

    def outbound(self, id: int) -> Message | None:
        """Return a message of the outbox, None if there is none of this id."""
        rows = self.run(_OUT_BY_ID, id=id)
        return message(rows[0]) if rows else None

    def inbound(self, id: int) -> Received | None:
        """Return a message of the inbox, None if there is none of this id."""
        rows = self.run(_IN_BY_ID, id=id)
        return _received(rows[0]) if rows else None

    def caused_by(self, one: Received) -> list[int]:
        """Return the messages of the outbox that a text gave rise to."""
        return [row["id"] for row in self.run(_CAUSED_BY, at=one.received_at, inbox=one.id)]

    def _stream(
        self, statement: Statement, read: Callable[[Row], R], wanted: MessageFilter, start: tuple[int, int], count: int
    ) -> tuple[list[R], Key | None]:
        """Return the first messages of one kind, one more than `count`, and the last that was looked at.

        That is None where nothing is behind it.
        """
        found: list[R] = []
        at, id = start
        out = read is message
        when, params = "created_at" if out else "received_at", _params(wanted)
        for size in looks(count + 1):
            rows = self.run(statement, at=at, id=id, count=size, **params)
            for row in rows:
                at, id = row[when], row["id"]
                if wanted.fits(row, out):  # most rows may be looked at in vain: those cost no record
                    found.append(read(row))
                    if len(found) > count:
                        return found, key_of(found[-1])
            if len(rows) < size:
                return found, None
        return found, (at, OUT if out else IN, id)


def _best(wanted: MessageFilter) -> str:
    """Return the name of the filter that leaves fewest."""
    for name in ("session", "participant", "mask"):
        if getattr(wanted, name):
            return name
    return "state" if wanted.state in FAILURES else ""


def _params(wanted: MessageFilter) -> dict[str, Any]:
    name = _best(wanted)
    return {"since": wanted.since} | ({name: getattr(wanted, name)} if name else {})


def _before_out(key: Key) -> tuple[int, int]:
    at, kind, id = key
    return (at, id) if kind == OUT else (at, 0)


def _before_in(key: Key) -> tuple[int, int]:
    at, kind, id = key
    return (at, id) if kind == IN else (at, _END)


def _received(row: Row) -> Received:
    return Received(
        id=row["id"],
        carrier=row["carrier"],
        carrier_ref=row["ref"],
        mask=row["mask"],
        sender=row["sender"],
        session=row["session"],
        outcome=row["outcome"],
        received_at=row["received_at"],
    )
