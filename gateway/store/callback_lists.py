"""Lists of callbacks, the latest first; and putting those that are dead in line again."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.callbacks.records import Callback, CallbackState, EndpointState
from gateway.store.callbacks import ADD_LINE, HEAD_ID, CallbackUnit, callback, endpoint
from gateway.store.db import Statement, looks

MOST_WAITING = 10_000  #: callbacks that are counted
_END = (1 << 63) - 1

_LATEST = "id < :before ORDER BY id DESC LIMIT :count"
_OF_SESSION = Statement(f"SELECT * FROM callbacks WHERE session = :session AND session <> '' AND {_LATEST}")  # noqa: S608
#: Each written out as in its index.
_OF_STATE = {
    CallbackState.WAITING: Statement(f"SELECT * FROM callbacks WHERE state IN ('waiting', 'sending') AND {_LATEST}"),  # noqa: S608
    CallbackState.SENDING: Statement(f"SELECT * FROM callbacks WHERE state IN ('waiting', 'sending') AND {_LATEST}"),  # noqa: S608
    CallbackState.DEAD: Statement(f"SELECT * FROM callbacks WHERE state = 'dead' AND {_LATEST}"),  # noqa: S608
}
_ALL = Statement(f"SELECT * FROM callbacks WHERE {_LATEST}")  # noqa: S608
_BY_ID = Statement("SELECT * FROM callbacks WHERE id = :id")
_DEAD = Statement("SELECT * FROM callbacks WHERE state = 'dead' AND id > :after ORDER BY id LIMIT :count")
_AGAIN = Statement(
    "INSERT INTO callbacks (endpoint, event, kind, session, webhook_id, body, is_full, state, attempts, status, "
    "reason, created_at, updated_at, expires_at, replay_of) "
    "SELECT endpoint, event, kind, session, webhook_id, body, is_full, 'waiting', 0, 0, '', :now, :now, "
    ":expires_at, id FROM callbacks WHERE id = :id RETURNING id"
)
_TOOK_ITS_PLACE = Statement("UPDATE callbacks SET replayed_as = :new WHERE id = :id")
_WAITING = Statement(
    "SELECT COUNT(*) AS count FROM (SELECT id FROM callbacks WHERE endpoint = :endpoint "
    "AND state IN ('waiting', 'sending') LIMIT :most) AS waiting"
)
_NEXT_TRY = Statement(
    "SELECT due_at FROM callback_lines WHERE endpoint = :endpoint AND session = :session AND owner = '' "  # noqa: S608
    f"AND :id = ({HEAD_ID})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackFilter:
    """Which callbacks to list; "" and None for any."""

    endpoint: str = ""
    session: str = ""
    kind: str = ""
    state: CallbackState | None = None
    since: int = 0  #: ms UTC
    until: int = _END  #: ms UTC, not included

    def fits(self, one: Callback) -> bool:
        """Return whether a callback is wanted."""
        return (
            self.endpoint in ("", one.endpoint)
            and self.session in ("", one.session)
            and self.kind in ("", one.kind)
            and self.state in (None, one.state)
            and self.since <= one.created_at < self.until
        )


class CallbackListUnit(CallbackUnit):
    """What a unit of work can list of callbacks, and replay."""

    def all_endpoints(self) -> list[EndpointState]:
        """Return how all endpoints stand that ever were in the settings, by name."""
        return [endpoint(row) for row in self.query("SELECT * FROM endpoints ORDER BY name")]

    def callbacks_waiting(self, name: str) -> int:
        """Return how many callbacks an endpoint is owed; `MOST_WAITING` stands for more."""
        [row] = self.run(_WAITING, endpoint=name, most=MOST_WAITING)
        return int(row["count"])

    def callback(self, id: int) -> Callback | None:
        """Return a callback, None if there is none of this id."""
        rows = self.run(_BY_ID, id=id)
        return callback(rows[0]) if rows else None

    def next_try(self, one: Callback) -> int | None:
        """Return when a callback is due (ms) that is the first of its line and waits; else None."""
        rows = self.run(_NEXT_TRY, endpoint=one.endpoint, session=one.session, id=one.id)
        return int(rows[0]["due_at"]) if rows else None

    def callback_page(self, wanted: CallbackFilter, before: int, count: int) -> tuple[list[Callback], int | None]:
        """Return up to `count` callbacks whose id is below `before`, the latest first, and the last id looked at.

        That is None at the end. A page looks at `LOOK` callbacks at most.
        """
        statement = _OF_STATE.get(wanted.state, _ALL) if wanted.state else _ALL
        of = {"session": wanted.session} if wanted.session else {}
        found: list[Callback] = []
        for size in looks(count + 1):
            rows = self.run(_OF_SESSION if of else statement, before=before, count=size, **of)
            for one in map(callback, rows):
                if len(found) == count:
                    return found, before
                found += [one] if wanted.fits(one) else []
                before = one.id
            if len(rows) < size:
                return found, None
        return found, before

    def dead_callbacks(self, wanted: CallbackFilter, after: int, count: int) -> tuple[list[Callback], int | None]:
        """Return up to `count` dead callbacks that were not replayed, behind the id `after`, and where to go on.

        Oldest first. That is None at the end. `LOOK` are looked at, at most.
        """
        found: list[Callback] = []
        for size in looks(count + 1):
            rows = self.run(_DEAD, after=after, count=size)
            for one in map(callback, rows):
                if len(found) == count:
                    return found, after
                found += [one] if wanted.fits(one) and one.replayed_as is None else []
                after = one.id
            if len(rows) < size:
                return found, None
        return found, after

    def replay_callback(self, one: Callback, expires_at: int, now: int) -> int:
        """Put a dead callback at the end of its line again, as it was; return the id of the new one.

        The unit must run alone.
        """
        new = int(self.run(_AGAIN, id=one.id, expires_at=expires_at, now=now)[0]["id"])
        self.run(_TOOK_ITS_PLACE, id=one.id, new=new)
        self.run(ADD_LINE, endpoint=one.endpoint, session=one.session, now=now)
        return new
