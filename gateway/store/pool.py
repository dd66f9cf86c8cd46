"""The pool: our numbers, and which of them are free."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping

from gateway.errors import NumberExists, NumberInUse, NumberUnknown
from gateway.numbers import area
from gateway.records import NumberFilter, NumberState, PoolFigures, PoolNumber
from gateway.store.db import Row, Statement, looks
from gateway.store.history import HistoryUnit

SHUFFLE = 1 << 62  #: numbers stand in random order along a column, so that one index look-up picks at random

_FREE = Statement(
    "SELECT number FROM numbers WHERE carrier = :carrier AND state = 'active' AND live = 0 AND shuffle >= :start "
    "ORDER BY shuffle LIMIT :count"
)
_FREE_IN = Statement(
    "SELECT number FROM numbers WHERE carrier = :carrier AND region = :region AND state = 'active' AND live = 0 "
    "AND exclusive IS NULL AND shuffle >= :start ORDER BY shuffle LIMIT :count"
)
_OCCUPY = Statement(
    "UPDATE numbers SET live = :legs, exclusive = :session WHERE number = :number AND live = 0 AND state = 'active' "
    "RETURNING number"
)
_RELEASE = Statement(
    "UPDATE numbers SET live = live - :legs, shuffle = :shuffle, "
    "exclusive = CASE WHEN exclusive = :session THEN NULL ELSE exclusive END WHERE number = :number"
)
#: The version begins with the time: that of a number that was removed meanwhile never comes again.
_ADD = Statement(
    "INSERT INTO numbers (number, seq, carrier, state, region, area, shuffle, live, exclusive, created_at, label, "
    "version) VALUES (:number, (SELECT COALESCE(MAX(seq), 0) + 1 FROM numbers), :carrier, 'active', :region, :area, "
    ":shuffle, 0, NULL, :now, :label, :now) ON CONFLICT (number) DO NOTHING RETURNING number"
)
#: The row says through whom goes what waits to be sent from a number.
_TAKE_ALONG = Statement("UPDATE paces SET carrier = :carrier WHERE name = :number")

_PAGE = Statement("SELECT * FROM numbers WHERE number > :after ORDER BY number LIMIT :count")
_PAGE_OF_LABEL = Statement(
    "SELECT * FROM numbers WHERE label = :label AND label <> '' AND number > :after ORDER BY number LIMIT :count"
)
_PAGE_OF_REGION = Statement(
    "SELECT * FROM numbers WHERE region = :region AND number > :after ORDER BY number LIMIT :count"
)
_PAGE_OF_CARRIER = Statement(
    "SELECT * FROM numbers WHERE carrier = :carrier AND number > :after ORDER BY number LIMIT :count"
)
_PAGE_OF_STATE = Statement(
    "SELECT * FROM numbers WHERE state = :state AND state <> 'active' AND number > :after ORDER BY number LIMIT :count"
)


class PoolUnit(HistoryUnit):
    """What a unit of work can do with the pool."""

    def add_number(self, number: str, carrier: str, region: str, now: int, *, label: str = "") -> None:
        """Add an E.164 number. Raises `NumberExists`, whoever's it is.

        What still waits to be sent from it goes out through `carrier` from now on. The unit must run alone.
        """
        added = self.run(
            _ADD,
            number=number,
            carrier=carrier,
            region=region,
            area=area(number),
            shuffle=secrets.randbelow(SHUFFLE),
            now=now,
            label=label,
        )
        if not added:
            raise NumberExists("the number is in the pool already")
        self.run(_TAKE_ALONG, number=number, carrier=carrier)

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
            "UPDATE numbers SET state = :state, version = version + 1 WHERE number = :number AND carrier = :carrier "
            "RETURNING number",
            state=state.value,
            number=number,
            carrier=carrier,
        )
        if not rows:
            raise NumberUnknown("the number is not in the pool")

    def change_number(self, number: str, *, state: NumberState, region: str, label: str) -> None:
        """Say anew what a number may be used for, where it is, and what it is called."""
        self.query(
            "UPDATE numbers SET state = :state, region = :region, label = :label, version = version + 1 "
            "WHERE number = :number",
            state=state.value,
            region=region,
            label=label,
            number=number,
        )

    def number(self, number: str) -> PoolNumber | None:
        """Return the number, or None if it is not in the pool."""
        rows = self.query("SELECT * FROM numbers WHERE number = :number", number=number)
        return _pool_number(rows[0]) if rows else None

    def numbers_of(self, carrier: str) -> list[PoolNumber]:
        """Return every number of a carrier, in the order they were added."""
        rows = self.query("SELECT * FROM numbers WHERE carrier = :carrier ORDER BY seq", carrier=carrier)
        return [_pool_number(row) for row in rows]

    def numbers_page(self, wanted: NumberFilter, after: str, count: int) -> tuple[list[PoolNumber], str | None]:
        """Return up to `count` numbers behind the number `after`, and where to go on; None: there are no more.

        By the index that serves the filter best; what it leaves to sort out is looked at `LOOK` rows at a time, so
        that a page may hold less than `count`, or nothing, and there are more all the same.
        """
        statement = _best(wanted)
        found: list[PoolNumber] = []
        for size in looks(count + 1):
            rows = self.run(
                statement,
                label=wanted.label,
                region=wanted.region,
                carrier=wanted.carrier,
                state=wanted.state and wanted.state.value,
                after=after,
                count=size,
            )
            for row in rows:
                if _fits(wanted, row):
                    if len(found) == count:
                        return found, after
                    found.append(_pool_number(row))
                after = row["number"]
            if len(rows) < size:
                return found, None
        return found, after

    def pool_lows(self) -> set[tuple[str, str]]:
        """Return the carriers and countries whose numbers are known to be few."""
        return {(row["carrier"], row["region"]) for row in self.query("SELECT carrier, region FROM pool_lows")}

    def note_pool_lows(self, low: Mapping[tuple[str, str], str], now: int) -> None:
        """Take note of the carriers and countries with few numbers left, and tell of those that are news in words."""
        for carrier, region in self.pool_lows() - low.keys():
            self.query(
                "DELETE FROM pool_lows WHERE carrier = :carrier AND region = :region", carrier=carrier, region=region
            )
        for (carrier, region), words in low.items():
            news = self.query(
                "INSERT INTO pool_lows (carrier, region, since) VALUES (:carrier, :region, :now) "
                "ON CONFLICT (carrier, region) DO NOTHING RETURNING carrier",
                carrier=carrier,
                region=region,
                now=now,
            )
            if news:
                self.add_event("pool.low", now, carrier=carrier, detail=words)

    def pool_figures(self, now: int) -> list[PoolFigures]:
        """Return the figures of each carrier and country. Looks at every number and every lease."""
        rows = self.query(
            "SELECT carrier, region, COUNT(*) AS numbers, COUNT(CASE WHEN state = 'active' THEN 1 END) AS active, "
            "COUNT(CASE WHEN state = 'draining' THEN 1 END) AS draining, COUNT(exclusive) AS exclusive, "
            "COUNT(CASE WHEN state = 'active' AND exclusive IS NULL THEN 1 END) AS shareable "
            "FROM numbers GROUP BY carrier, region ORDER BY carrier, region"
        )
        leases = self.query(
            "SELECT carrier, region, SUM(live) AS live, SUM(quarantined) AS quarantined, MAX(live) AS most, "
            "MAX(shared) AS most_shared FROM (SELECT n.carrier, n.region, l.participant, "
            "COUNT(CASE WHEN l.state = 'live' THEN 1 END) AS live, "
            "COUNT(CASE WHEN l.state = 'live' AND n.exclusive IS NULL THEN 1 END) AS shared, "
            "COUNT(CASE WHEN l.state = 'quarantined' AND l.until > :now THEN 1 END) AS quarantined "
            "FROM leases l JOIN numbers n ON n.number = l.mask GROUP BY n.carrier, n.region, l.participant) AS each "
            "GROUP BY carrier, region",
            now=now,
        )
        held = {(row["carrier"], row["region"]): row for row in leases}
        return [_figures(row, held.get((row["carrier"], row["region"]), {})) for row in rows]

    def free_numbers(self, carrier: str, count: int, region: str = "") -> list[str]:
        """Return up to `count` numbers that no live session is on, from a random one on; of a country, if named."""
        search, where = (_FREE_IN, {"region": region}) if region else (_FREE, {})
        start = secrets.randbelow(SHUFFLE)
        rows = self.run(search, carrier=carrier, start=start, count=count, **where)
        if len(rows) < count:
            rows += self.run(search, carrier=carrier, start=0, count=count, **where)
        return list(dict.fromkeys(row["number"] for row in rows))[:count]

    def free_among(self, carrier: str, numbers: Collection[str], region: str = "") -> set[str]:
        """Return those of `numbers` that are the carrier's, of the country if named, and free of live sessions."""
        found = [one for one in map(self.number, numbers) if one and one.carrier == carrier and not one.live]
        return {one.number for one in found if one.state is NumberState.ACTIVE and region in ("", one.region)}

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
        label=row["label"],
        version=row["version"],
    )


def _best(wanted: NumberFilter) -> Statement:
    """Return the statement that looks at the fewest rows; `state` is indexed for the few that are not active."""
    if wanted.label:
        return _PAGE_OF_LABEL
    if wanted.state not in (None, NumberState.ACTIVE):
        return _PAGE_OF_STATE
    if wanted.region is not None:
        return _PAGE_OF_REGION
    return _PAGE if wanted.carrier is None else _PAGE_OF_CARRIER


def _fits(wanted: NumberFilter, row: Row) -> bool:
    """Return whether the number in a row is wanted. Most rows may be looked at in vain: those cost no record."""
    return (
        wanted.carrier in (None, row["carrier"])
        and wanted.region in (None, row["region"])
        and wanted.state in (None, row["state"])
        and wanted.label in (None, row["label"])
        and wanted.in_use in (None, row["live"] > 0)
    )


def _figures(numbers: Row, leases: Row) -> PoolFigures:
    return PoolFigures(
        carrier=numbers["carrier"],
        region=numbers["region"],
        active=numbers["active"],
        draining=numbers["draining"],
        disabled=numbers["numbers"] - numbers["active"] - numbers["draining"],
        exclusive=numbers["exclusive"],
        shareable=numbers["shareable"],
        live=int(leases.get("live", 0)),
        quarantined=int(leases.get("quarantined", 0)),
        most=leases.get("most", 0),
        most_shared=leases.get("most_shared", 0),
    )
