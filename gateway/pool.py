"""The pool: add numbers, change them, take them away; and its figures. What the API calls; the store keeps the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from gateway import sessions
from gateway.clock import Clock
from gateway.errors import NumberExists, NumberInUse, NumberUnknown
from gateway.numbers import region
from gateway.records import NumberState, PoolFigures, PoolNumber
from gateway.settings import Settings
from gateway.store import Store, Tx

CHEAP = 0.05  #: seconds; figures that took less are worked out each time
SHARE = 20  #: others are kept this many times as long as they took: they cost a twentieth of one thread's time at most


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNumber:
    """A number to be added."""

    number: str  #: E.164
    carrier: str
    region: str | None = None  #: ISO country; None: what the number itself says
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of numbers that were to be added, by their places in the list."""

    added: tuple[int, ...]
    existing: tuple[int, ...]  #: are the same carrier's already
    taken: tuple[int, ...]  #: are another carrier's


def get(tx: Tx, number: str) -> PoolNumber:
    """Return a number of the pool. Raises `NumberUnknown`."""
    found = tx.number(number)
    if found is None:
        raise NumberUnknown("the number is not in the pool")
    return found


def add(tx: Tx, new: NewNumber, now: int) -> PoolNumber:
    """Add a number and return it. Raises `NumberExists`."""
    country = region(new.number) if new.region is None else new.region
    tx.add_number(new.number, new.carrier, country, now, label=new.label)
    return get(tx, new.number)


def add_many(tx: Tx, new: Sequence[NewNumber], now: int) -> Added:
    """Add numbers; those that are there already stay as they are."""
    added: list[int] = []
    existing: list[int] = []
    taken: list[int] = []
    for place, one in enumerate(new):
        try:
            add(tx, one, now)
            added.append(place)
        except NumberExists:
            (existing if get(tx, one.number).carrier == one.carrier else taken).append(place)
    return Added(added=tuple(added), existing=tuple(existing), taken=tuple(taken))


def would_add(tx: Tx, new: Sequence[NewNumber]) -> Added:
    """Return what `add_many` would, and add nothing."""
    places: dict[str, list[int]] = {"added": [], "existing": [], "taken": []}
    carriers: dict[str, str] = {}  # of numbers that would be added
    for place, one in enumerate(new):
        found = tx.number(one.number)
        owner = found.carrier if found else carriers.get(one.number)
        if owner is None:
            carriers[one.number] = one.carrier
        places["added" if owner is None else "existing" if owner == one.carrier else "taken"].append(place)
    return Added(added=tuple(places["added"]), existing=tuple(places["existing"]), taken=tuple(places["taken"]))


def change(
    tx: Tx, found: PoolNumber, *, state: NumberState | None, region: str | None, label: str | None
) -> PoolNumber:
    """Change what is not None and return the number; live sessions go on. What is so already makes no new version."""
    wanted = (state or found.state, found.region if region is None else region, found.label if label is None else label)
    if wanted == (found.state, found.region, found.label):
        return found
    tx.change_number(found.number, state=wanted[0], region=wanted[1], label=wanted[2])
    return get(tx, found.number)


def remove(tx: Tx, found: PoolNumber, settings: Settings, now: int) -> None:
    """Take a number out of the pool. Raises `NumberInUse`, with a live session on it.

    Sessions past their expiry, which only nobody has noticed yet, are ended first.
    """
    while (id := tx.session_on(found.number)) is not None:
        session = tx.session(id)
        if not session.is_over(now):
            raise NumberInUse(id)
        sessions.end(tx, session, sessions.EXPIRED, settings, now)
    tx.remove_number(found.number, found.carrier)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    at: int
    figures: list[PoolFigures]
    until: float


class Figures:
    """The figures of the pool, which take a look at every lease: kept the longer, the longer that took."""

    def __init__(self, store: Store, clock: Clock, timer: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._clock = clock
        self._timer = timer
        self._busy = threading.Lock()
        self._kept: _Kept | None = None

    def read(self) -> tuple[int, list[PoolFigures]]:
        """Return the figures, and when they were worked out (ms UTC).

        While somebody works them out, whoever else asks gets those from before. Raises `StoreUnavailable`.
        """
        kept = self._kept
        if kept is None or self._timer() >= kept.until:
            kept = self._anew(kept)
        return kept.at, kept.figures

    def _anew(self, before: _Kept | None) -> _Kept:
        if not self._busy.acquire(blocking=before is None):
            assert before is not None
            return before
        try:
            if self._kept is not None and self._kept is not before:  # somebody was faster
                return self._kept
            self._kept = self._worked_out()
            return self._kept
        finally:
            self._busy.release()

    def _worked_out(self) -> _Kept:
        now, began = self._clock(), self._timer()
        figures = self._store.read(lambda tx: tx.pool_figures(now))
        took = self._timer() - began
        kept_for = 0.0 if took < CHEAP else SHARE * took
        return _Kept(at=now, figures=figures, until=self._timer() + kept_for)
