"""The pool: our numbers, and which of them are free."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from gateway.errors import NumberExists, NumberInUse, NumberUnknown
from gateway.records import NumberState, PoolNumber
from gateway.store.db import Row, Statement
from gateway.store.events import EventUnit

SHUFFLE = 1 << 62  #: numbers stand in random order along a column, so that one index look-up picks at random

_FREE = Statement(
    "SELECT number FROM numbers WHERE carrier = :carrier AND state = 'active' AND live = 0 AND shuffle >= :start "
    "ORDER BY shuffle LIMIT :count"
)
_OCCUPY = Statement(
    "UPDATE numbers SET live = :legs, exclusive = :session WHERE number = :number AND live = 0 AND state = 'active' "
    "RETURNING number"
)
_RELEASE = Statement(
    "UPDATE numbers SET live = live - :legs, shuffle = :shuffle, "
    "exclusive = CASE WHEN exclusive = :session THEN NULL ELSE exclusive END WHERE number = :number"
)


class PoolUnit(EventUnit):
    """What a unit of work can do with the pool."""

    def add_number(self, number: str, carrier: str, region: str, now: int) -> None:
        """Add an E.164 number. Raises `NumberExists`, whoever's it is."""
        rows = self.query(
            "INSERT INTO numbers (number, seq, carrier, state, region, shuffle, live, exclusive, created_at) "
            "VALUES (:number, (SELECT COALESCE(MAX(seq), 0) + 1 FROM numbers), :carrier, 'active', :region, :shuffle, "
            "0, NULL, :now) ON CONFLICT (number) DO NOTHING RETURNING number",
            number=number,
            carrier=carrier,
            region=region,
            shuffle=secrets.randbelow(SHUFFLE),
            now=now,
        )
        if not rows:
            raise NumberExists("the number is in the pool already")

    def remove_number(self, number: str, carrier: str) -> None:
        """Remove a number of `carrier`. Raises `NumberUnknown`, or `NumberInUse` with the live session on it."""
        found = self.number(number)
        if found is None or found.carrier != carrier:
            raise NumberUnknown("the number is not in the pool")
        if found.live:
            raise NumberInUse(self.session_on(number) or "")
        self.query("DELETE FROM numbers WHERE number = :number", number=number)

    def set_number_state(self, number: str, carrier: str, state: NumberState) -> None:
        """Say what a number of `carrier` may be used for. Raises `NumberUnknown`. Live sessions on it go on."""
        rows = self.query(
            "UPDATE numbers SET state = :state WHERE number = :number AND carrier = :carrier RETURNING number",
            state=state.value,
            number=number,
            carrier=carrier,
        )
        if not rows:
            raise NumberUnknown("the number is not in the pool")

    def number(self, number: str) -> PoolNumber | None:
        """Return the number, or None if it is not in the pool."""
        rows = self.query("SELECT * FROM numbers WHERE number = :number", number=number)
        return _pool_number(rows[0]) if rows else None

    def numbers_of(self, carrier: str) -> list[PoolNumber]:
        """Return every number of a carrier, in the order they were added."""
        rows = self.query("SELECT * FROM numbers WHERE carrier = :carrier ORDER BY seq", carrier=carrier)
        return [_pool_number(row) for row in rows]

    def free_numbers(self, carrier: str, count: int) -> list[str]:
        """Return up to `count` numbers that no live session is on, starting at a random one."""
        start = secrets.randbelow(SHUFFLE)
        rows = self.run(_FREE, carrier=carrier, start=start, count=count)
        if len(rows) < count:
            rows += self.run(_FREE, carrier=carrier, start=0, count=count)
        return list(dict.fromkeys(row["number"] for row in rows))[:count]

    def free_among(self, carrier: str, numbers: Collection[str]) -> set[str]:
        """Return those of `numbers` that are the carrier's and that no live session is on."""
        found = (self.number(number) for number in numbers)
        return {n.number for n in found if n and n.carrier == carrier and n.state is NumberState.ACTIVE and not n.live}

    def occupy(self, number: str, session: str, legs: int) -> bool:
        """Give a free number to one session alone. Return False if somebody was faster."""
        return bool(self.run(_OCCUPY, number=number, session=session, legs=legs))

    def release(self, number: str, session: str, legs: int) -> None:
        """Take `legs` live leases off a number, and give it a new place in the random order."""
        self.run(_RELEASE, number=number, session=session, legs=legs, shuffle=secrets.randbelow(SHUFFLE))

    def session_on(self, number: str) -> str | None:
        """Return the oldest live session on a number, or None."""
        rows = self.query(
            "SELECT s.id FROM leases l JOIN sessions s ON s.id = l.session "
            "WHERE l.mask = :mask AND l.state = 'live' ORDER BY s.seq LIMIT 1",
            mask=number,
        )
        return str(rows[0]["id"]) if rows else None


def _pool_number(row: Row) -> PoolNumber:
    return PoolNumber(
        number=row["number"],
        carrier=row["carrier"],
        state=NumberState(row["state"]),
        region=row["region"],
        live=row["live"],
        session=row["exclusive"],
        created_at=row["created_at"],
    )
