"""Choosing masks (design 6): at random, by index, among those on which nobody could be misread.

What is chosen is taken by the caller in the same unit of work; the primary key of `leases` is the judge.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from gateway.errors import NoNumberFree
from gateway.records import Wish
from gateway.store.db import Statement
from gateway.store.opt_outs import OptOutUnit
from gateway.store.pool import SHUFFLE

LEGS = Statement(
    "SELECT position, participant, mask, carrier, name, pin FROM legs WHERE session = :session ORDER BY position"
)
_HAS_PIN = Statement("SELECT 1 FROM leases WHERE mask = :mask AND pin = :pin AND pin <> '' AND state = 'live'")
_HELD = Statement(
    "SELECT mask, session, ended_at FROM leases WHERE participant = :participant AND (state = 'live' OR until > :now)"
)


#: What a number must be for a leg that may share it with people of other sessions: nobody has it alone, the participant
#: neither holds a lease on it nor refuses texts from it, and nobody else on it has their PIN.
_FIT = (
    "state = 'active' AND exclusive IS NULL "
    "AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.mask = numbers.number AND l.participant = :participant "
    "AND (l.state = 'live' OR l.until > :now)) "
    "AND NOT EXISTS (SELECT 1 FROM opt_outs o WHERE o.participant = :participant AND o.mask = numbers.number) "
    "AND NOT EXISTS (SELECT 1 FROM leases p WHERE p.mask = numbers.number AND p.pin = :pin AND p.pin <> '' "
    "AND p.state = 'live')"
)
_IN_AREA = Statement(
    f"SELECT number FROM numbers WHERE carrier = :carrier AND area = :area AND shuffle >= :start AND {_FIT} "  # noqa: S608
    "ORDER BY shuffle LIMIT 1"
)
_IN_COUNTRY = Statement(
    f"SELECT number FROM numbers WHERE carrier = :carrier AND region = :region AND shuffle >= :start AND {_FIT} "  # noqa: S608
    "ORDER BY shuffle LIMIT 1"
)
_ANYWHERE = Statement(
    f"SELECT number FROM numbers WHERE carrier = :carrier AND shuffle >= :start AND {_FIT} "  # noqa: S608
    "ORDER BY shuffle LIMIT 1"
)
#: Masks on which somebody is quarantined from sessions with somebody else, the latest first.
_TOGETHER = Statement(
    "SELECT l.mask, l.session FROM leases l JOIN leases o ON o.session = l.session AND o.participant = :other "
    "WHERE l.participant = :participant AND l.state = 'quarantined' AND l.until > :now "
    "ORDER BY l.ended_at DESC LIMIT 20"
)
#: From the leases to the numbers (`CROSS JOIN`): those are fewer.
_LAST_RESORT = Statement(
    "SELECT n.number FROM leases l CROSS JOIN numbers n WHERE n.number = l.mask AND l.participant = :participant "
    "AND l.state = 'quarantined' AND l.until > :now AND n.carrier = :carrier AND n.state = 'active' "
    "AND n.exclusive IS NULL AND (:region = '' OR n.region = :region) "
    "AND NOT EXISTS (SELECT 1 FROM opt_outs o WHERE o.participant = :participant AND o.mask = n.number) "
    "AND NOT EXISTS (SELECT 1 FROM leases p WHERE p.mask = n.number AND p.pin = :pin AND p.pin <> '' "
    "AND p.state = 'live') ORDER BY l.ended_at, n.number LIMIT 1"
)


class AllocationUnit(OptOutUnit):
    """What a unit of work can do to choose masks."""

    def choose_shared(self, wish: Wish, others: Sequence[str], strict: bool, now: int) -> str:
        """Choose a mask for one leg, on which the participant reaches nobody yet. Raises `NoNumberFree`.

        In this order: the mask on which these same people talked last; one of the participant's area, of their
        country, of any (or of the country wished for). One on which they are quarantined from a
        conversation with other people only when no other is left: then the one that ended longest ago.
        """
        for number in self._same_people_on(wish, others, now):
            if self._fits(wish, number):
                return number
        carriers = sorted(wish.carriers, key=lambda _: secrets.randbits(32))
        for search in (self._in_area, self._in_country, self._anywhere):
            for carrier in carriers:
                if (found := search(wish, carrier, now)) is not None:
                    return found
        for carrier in [] if strict else carriers:
            of = {"participant": wish.participant, "pin": wish.pin, "region": wish.country}
            if rows := self.run(_LAST_RESORT, carrier=carrier, now=now, **of):
                return str(rows[0]["number"])
        raise NoNumberFree("no number of the pool is free for one of the participants")

    def _same_people_on(self, wish: Wish, others: Sequence[str], now: int) -> list[str]:
        rows = self.run(_TOGETHER, participant=wish.participant, other=others[0], now=now)
        people = {wish.participant, *others}
        return [row["mask"] for row in rows if self.people_of(row["session"]) == people]

    def _fits(self, wish: Wish, number: str) -> bool:
        found = self.number(number)
        return (
            found is not None
            and found.is_open
            and found.carrier in wish.carriers
            and (not wish.country or found.region == wish.country)
            and not self.has_opted_out(wish.participant, number)
            and not self.has_pin(number, wish.pin)
        )

    def has_pin(self, mask: str, pin: str) -> bool:
        """Return whether somebody live on a mask has this PIN; nobody has none ("")."""
        return bool(self.run(_HAS_PIN, mask=mask, pin=pin))

    def _in_area(self, wish: Wish, carrier: str, now: int) -> str | None:
        if not wish.area or (wish.country and wish.country != wish.home):
            return None
        return self._first(_IN_AREA, wish, carrier=carrier, area=wish.area, now=now)

    def _in_country(self, wish: Wish, carrier: str, now: int) -> str | None:
        region = wish.country or wish.home
        if not region:
            return None
        return self._first(_IN_COUNTRY, wish, carrier=carrier, region=region, now=now)

    def _anywhere(self, wish: Wish, carrier: str, now: int) -> str | None:
        if wish.country:
            return None
        return self._first(_ANYWHERE, wish, carrier=carrier, now=now)

    def _first(self, search: Statement, wish: Wish, **params: object) -> str | None:
        """Return the first number from a random place in the random order on, or else from its beginning."""
        for start in (secrets.randbelow(SHUFFLE), 0):
            if rows := self.run(search, participant=wish.participant, pin=wish.pin, start=start, **params):
                return str(rows[0]["number"])
        return None

    def choose_exclusive(self, carrier: str, people: Sequence[str], strict: bool, now: int, country: str = "") -> str:
        """Choose a free number (of an ISO country, if one is named) on which nobody of `people` could be misread.

        One on which somebody is quarantined from a conversation with other people only when no other is
        free: then the one that ended longest ago. One from which somebody refuses texts never.
        """
        quarantined = self._quarantined(people, now)
        refused = self.masks_refused_by(people)
        avoid = quarantined.keys() | refused
        for number in self.free_numbers(carrier, len(avoid) + 1, country):
            if number not in avoid:
                return number
        last_resort = self.free_among(carrier, quarantined.keys() - refused, country)
        if strict or not last_resort:
            raise NoNumberFree("no number of the pool is free for these participants")
        return min(last_resort, key=lambda number: (quarantined[number], number))

    def _quarantined(self, people: Sequence[str], now: int) -> dict[str, int]:
        """Return the masks on which one of `people` is quarantined from a session with others, and when it ended."""
        masks: dict[str, int] = {}
        for person in people:
            for row in self.run(_HELD, participant=person, now=now):
                if self.people_of(row["session"]) != set(people):
                    masks[row["mask"]] = max(masks.get(row["mask"], 0), row["ended_at"])
        return masks

    def people_of(self, session: str) -> set[str]:
        """Return the participants of a session."""
        return {row["participant"] for row in self.run(LEGS, session=session)}
