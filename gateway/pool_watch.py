"""Says when few numbers are left: once for each time they become few, whichever process sees it first."""

from __future__ import annotations

import logging
import threading

from gateway.errors import StoreUnavailable
from gateway.logs import log_bug
from gateway.records import PoolFigures
from gateway.store import Store, Tx

log = logging.getLogger(__name__)

PAUSE_MS = 60_000  #: between two looks


class PoolWatch:
    """Looks at the figures of the pool from time to time, in a thread of its own: they may take seconds."""

    def __init__(self, store: Store, percent: int) -> None:
        """Take the store, and at how much headroom (percent of the numbers in use or ready) it is low; 0: never."""
        self._store = store
        self._percent = percent
        self._next = 0
        self._thread: threading.Thread | None = None

    def step(self, now: int) -> None:
        """Begin to look, if it is time to and the last look has come to its end."""
        rests = now < self._next <= now + PAUSE_MS  # else it is time, or the clock was set back
        if not self._percent or rests or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = now + PAUSE_MS
        self._thread = threading.Thread(target=self._look_or_log, args=(now,), name="pool-watch", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the look that is under way: the store must not be closed meanwhile."""
        if self._thread is not None:
            self._thread.join()

    def look(self, now: int) -> None:
        """Look, and say what is low by now and was not before. Raises `StoreUnavailable`."""
        figures = self._store.read(lambda tx: tx.pool_figures(now))
        low = {(one.carrier, one.region): _in_words(one) for one in figures if self._is_low(one)}
        known = self._store.read(Tx.pool_lows)
        if known != low.keys():
            self._store.write(lambda tx: tx.note_pool_lows(low, now))

    def _is_low(self, one: PoolFigures) -> bool:
        return one.active > 0 and one.headroom * 100 < one.active * self._percent

    def _look_or_log(self, now: int) -> None:
        try:
            self.look(now)
        except StoreUnavailable:
            log.warning("the pool was not looked at: the database did not answer")
        except Exception as error:
            log_bug(log, "the look at the pool", error)


def _in_words(one: PoolFigures) -> str:
    return f"{one.region or 'no country'}: {one.headroom} of {one.active} numbers left for whoever has the most"
