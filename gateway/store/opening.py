"""Opening sessions, again too: who gets which mask. What `allocation.py` chooses is taken here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from gateway.errors import NoNumberFree, NumberUnknown, PairTaken, PinTaken, StoreError
from gateway.records import Leg, Session, Wish
from gateway.store.db import Statement
from gateway.store.sessions import SessionUnit

_JOIN = Statement(
    "UPDATE numbers SET live = live + :legs WHERE number = :number AND state = 'active' AND exclusive IS NULL "
    "RETURNING carrier"
)
_CLOSED = "the mask wished for takes no new sessions"
PIN_TAKEN = "somebody else on the mask has this PIN"


class OpeningUnit(SessionUnit):
    """What a unit of work can do to open sessions."""

    def open_exclusive(
        self,
        session: Session,
        carrier: str,
        *,
        strict: bool,
        now: int,
    ) -> Session:
        """Open a session of people who share one free number of `carrier`, and return it with its masks.

        `session` comes with legs whose masks are blank. Raises `NoNumberFree`.
        """
        people = [leg.participant for leg in session.legs]
        while True:
            number = self.choose_exclusive(carrier, people, strict, now)
            if self.occupy(number, session.id, len(people)):
                break
        legs = tuple(
            Leg(participant=person, mask=number, carrier=carrier, position=i) for i, person in enumerate(people)
        )
        return self.insert_session(session, legs)

    def open_shared(self, session: Session, wishes: Sequence[Wish], *, strict: bool, now: int) -> Session:
        """Open a session each of whose people gets a mask on which they reach nobody yet, and return it.

        Raises `NoNumberFree`; `PairTaken`, `PinTaken` or `NumberUnknown` where a wish names a mask that will not do.
        """
        # all are chosen before the first is taken: where one finds none, nothing is written
        masks = [self._choose(i, wishes, strict, now) for i in range(len(wishes))]
        legs = tuple(self._join(wish, mask, i) for i, (wish, mask) in enumerate(zip(wishes, masks, strict=True)))
        return self.insert_session(session, legs)

    def open_alone(self, session: Session, wishes: Sequence[Wish], *, strict: bool, now: int) -> Session:
        """Open a session whose people share one number that nobody else is on, and return it.

        Raises as `open_shared` does.
        """
        people = [wish.participant for wish in wishes]
        number = self._one_for_all(wishes, people, strict, now)
        if not self.occupy(number, session.id, len(people)):
            there = self.session_on(number)
            raise PairTaken(there, live=True) if there else NumberUnknown(_CLOSED)
        found = self.number(number)
        carrier = found.carrier if found else ""
        return self.insert_session(session, tuple(_leg(wish, number, carrier, i) for i, wish in enumerate(wishes)))

    def reopen_session(self, session: Session, expires_at: int | None, deadline: int | None, now: int) -> Session:
        """Make an ended session live again, on the masks it had.

        Raises `PairTaken` with the session that stands in the way, `PinTaken`, `NumberUnknown` for a number
        that is gone.
        """
        for leg in session.legs:
            if self.has_pin(leg.mask, leg.pin):
                raise PinTaken(PIN_TAKEN)
            lease = self.find_lease(leg.mask, leg.participant, now)
            if lease is not None and lease.session.id != session.id:
                raise PairTaken(lease.session.id, live=lease.live)
        self._enter_again(session)
        self.query(
            "UPDATE sessions SET state = 'live', reason = '', note = '', ended_at = NULL, unlisted = 0, "
            "expires_at = :expires_at, deadline = :deadline, version = version + 1 WHERE id = :id",
            expires_at=expires_at,
            deadline=deadline,
            id=session.id,
        )
        for leg in session.legs:
            self.take_lease(session.id, leg)
        return self.session(session.id)

    def replace_participant(
        self, session: Session, position: int, wish: Wish, quarantine_ms: int, *, strict: bool, now: int
    ) -> Session:
        """Give a leg of a live session to another number of its participant, on the same mask where that will do.

        The old number's lease is quarantined; see `raise_version`. Raises `NoNumberFree`; `PairTaken` where the session
        has one mask alone, and on that the new number still means a conversation with other people.
        """
        old = session.legs[position]
        self.quarantine_leases(session.id, now, quarantine_ms, position)
        others = [leg.participant for leg in session.others(position)]
        if session.exclusive:
            self._refuse_misread(session, wish, others, old.mask, now)
        if session.exclusive or self._may_stay(session, wish, old.mask, now):
            leg = replace(old, participant=wish.participant)
        else:
            self.release(old.mask, session.id, 1)
            leg = self._join(wish, self.choose_shared(wish, others, strict, now), position)
        self.query(
            "UPDATE legs SET participant = :participant, mask = :mask, carrier = :carrier "
            "WHERE session = :session AND position = :position",
            participant=leg.participant,
            mask=leg.mask,
            carrier=leg.carrier,
            session=session.id,
            position=position,
        )
        self.take_lease(session.id, leg)
        return self.session(session.id)

    def _choose(self, position: int, wishes: Sequence[Wish], strict: bool, now: int) -> str:
        wish = wishes[position]
        others = [other.participant for other in wishes if other is not wish]
        with _about(position):
            return self._wished(wish, others, now) if wish.mask else self.choose_shared(wish, others, strict, now)

    def _join(self, wish: Wish, mask: str, position: int) -> Leg:
        """Return a leg on a mask, on which one lease more is counted from now on."""
        with _about(position):
            carrier = self._join_number(mask, 1)
            if not carrier:
                raise NumberUnknown(_CLOSED)
        return _leg(wish, mask, carrier, position)

    def _one_for_all(self, wishes: Sequence[Wish], people: Sequence[str], strict: bool, now: int) -> str:
        """Choose the number for an exclusive session: the one wished for, or a free one of the first carrier."""
        masks = {wish.mask for wish in wishes if wish.mask}
        if len(masks) > 1:
            raise NumberUnknown("an exclusive session has one mask, and two are wished for")
        for position, wish in enumerate(wishes if masks else ()):
            with _about(position):
                self._wished(replace(wish, mask=min(masks)), [p for p in people if p != wish.participant], now)
        countries = {wish.country for wish in wishes if wish.country}
        if len(countries) > 1 and not masks:
            raise NoNumberFree("an exclusive session has one mask, and two countries are wished for")
        country = min(countries, default="")
        return min(masks) if masks else self.choose_exclusive(wishes[0].carriers[0], people, strict, now, country)

    def _wished(self, wish: Wish, others: Sequence[str], now: int) -> str:
        """Return the mask a wish names. Raises `PairTaken` or `NumberUnknown`."""
        found = self.number(wish.mask)
        if found is None or found.carrier not in wish.carriers:
            raise NumberUnknown("the mask wished for is no number that can carry this session")
        lease = self.find_lease(wish.mask, wish.participant, now)
        if lease is not None and (lease.live or self.people_of(lease.session.id) != {wish.participant, *others}):
            raise PairTaken(lease.session.id, live=lease.live)
        if self.has_pin(wish.mask, wish.pin):
            raise PinTaken(PIN_TAKEN)
        return wish.mask

    def _refuse_misread(self, session: Session, wish: Wish, others: Sequence[str], mask: str, now: int) -> None:
        """Raise `PairTaken` if what a participant says on the mask of a session may be meant for other people."""
        lease = self.find_lease(mask, wish.participant, now)
        if lease is None or (not lease.live and lease.session.id == session.id):  # they come back to a number
            return
        if lease.live or self.people_of(lease.session.id) != {wish.participant, *others}:
            raise PairTaken(lease.session.id, live=lease.live)

    def _may_stay(self, session: Session, wish: Wish, mask: str, now: int) -> bool:
        lease = self.find_lease(mask, wish.participant, now)
        free = lease is None or (not lease.live and lease.session.id == session.id)  # they come back to a number
        return free and not self.has_opted_out(wish.participant, mask) and not self.has_pin(mask, wish.pin)

    def _enter_again(self, session: Session) -> None:
        """Count the leases of a session that is to live again on its numbers. Raises `PairTaken`, `NumberUnknown`."""
        masks = {leg.mask for leg in session.legs}
        for mask in masks:
            legs = sum(leg.mask == mask for leg in session.legs)
            entered = self.occupy(mask, session.id, legs) if session.exclusive else self._join_number(mask, legs)
            if not entered:
                there = self.session_on(mask)
                raise PairTaken(there, live=True) if session.exclusive and there else NumberUnknown("a mask is gone")

    def _join_number(self, number: str, legs: int) -> str:
        """Count leases more on a number that may be shared, and return its carrier; "" if it may not."""
        rows = self.run(_JOIN, number=number, legs=legs)
        return str(rows[0]["carrier"]) if rows else ""


@contextmanager
def _about(position: int) -> Iterator[None]:
    """Let errors of the block name the participant they are about."""
    try:
        yield
    except StoreError as error:
        error.position = position
        raise


def _leg(wish: Wish, mask: str, carrier: str, position: int) -> Leg:
    return Leg(
        participant=wish.participant, mask=mask, carrier=carrier, position=position, name=wish.name, pin=wish.pin
    )
