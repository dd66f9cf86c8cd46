"""The feed of events, in an order in which none can be passed over.

Ids are taken by units of work before they commit. Where several write at a time (PostgreSQL), an event may so appear
behind one with a higher id, and whoever had read that one already would never see it. So nobody reads further than to
an event that was the newest while a unit ran *alone*: then every unit that had taken an id had ended. That look is
needed only when there is something new, and one does for all who wait in this process.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from gateway.store import Row, Store

Seats = threading.BoundedSemaphore

LOOK_S = 0.2  #: seconds between two looks of whoever waits


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are wanted; nothing: all."""

    kinds: frozenset[str] = frozenset()
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events, oldest first."""

    events: tuple[Row, ...]
    last: int  #: how far that looked: the next page comes after this id


class Feed:
    """The events of a store. Safe to use from any thread."""

    def __init__(self, store: Store, seats: Sequence[Seats] = ()) -> None:
        """Take the store, and what whoever waits takes a seat of each."""
        self._store = store
        self._lock = threading.Lock()
        self._complete = 0  #: nothing will ever come before the event with this id
        self._seats = seats
        self._closing = threading.Event()

    def complete(self) -> int:
        """Return the id of an event before which nothing will come any more: the newest one there is by now.

        Raises `StoreUnavailable`.
        """
        newest = self._store.read(lambda tx: tx.last_event())
        if newest <= self._complete:
            return self._complete
        with self._lock:
            if newest > self._complete:  # else somebody else looked meanwhile
                self._complete = self._store.write(lambda tx: tx.last_event())
            return self._complete

    def read(self, wanted: EventFilter, after: int, count: int, wait: float = 0.0) -> EventPage:
        """Return the next events behind the one with id `after`; if there are none, wait `wait` seconds for one.

        Where too many wait already, it does not. Raises `StoreUnavailable`.
        """
        page = self._page(wanted, after, count)
        if page.events or wait <= 0 or not self._enter():
            return page
        try:
            deadline = monotonic() + wait
            while not page.events and (left := deadline - monotonic()) > 0:
                if self._closing.wait(min(left, LOOK_S)):
                    break
                page = self._page(wanted, page.last, count)
            return page
        finally:
            self._leave()

    def before(self, at: int) -> int:
        """Return the id of the last event before those of the time `at` (ms UTC). Raises `StoreUnavailable`."""
        return self._store.read(lambda tx: tx.last_event_before(at))

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closing.set()

    def _enter(self) -> bool:
        taken = [seats for seats in self._seats if seats.acquire(blocking=False)]
        if len(taken) == len(self._seats):
            return True
        for seats in taken:
            seats.release()
        return False

    def _leave(self) -> None:
        for seats in self._seats:
            seats.release()

    def _page(self, wanted: EventFilter, after: int, count: int) -> EventPage:
        upto = self.complete()
        if upto <= after:
            return EventPage(events=(), last=after)
        found, last = self._store.read(lambda tx: tx.events_page(wanted.kinds, wanted.session, after, upto, count))
        return EventPage(events=tuple(found), last=last)
