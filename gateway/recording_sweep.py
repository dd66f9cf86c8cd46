"""Deletes recordings that are kept no longer, at their carriers too; nothing else waits for that."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from gateway import recordings
from gateway.carrier import Carrier
from gateway.errors import StoreUnavailable
from gateway.logs import log_bug
from gateway.settings import Settings
from gateway.store import Store

log = logging.getLogger(__name__)

PAUSE_MS = 30_000  #: between two sweeps
MOST = 50  #: recordings whose time is found to be over in one sweep; and as many are deleted


class RecordingSweep:
    """Looks from time to time what is to be deleted, in a thread of its own: carriers may take seconds."""

    def __init__(self, store: Store, carriers: Mapping[str, Carrier], settings: Settings) -> None:
        self._store = store
        self._carriers = carriers
        self._keep_ms = settings.keep_recordings_ms
        self._next = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def step(self, now: int) -> None:
        """Begin to sweep, if it is time to and the last sweep has come to its end."""
        rests = now < self._next <= now + PAUSE_MS  # else it is time, or the clock was set back
        if rests or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = now + PAUSE_MS
        self._thread = threading.Thread(target=self._sweep_or_log, args=(now,), name="recordings", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Begin with no other one, and wait for the one under way: the store must not be closed meanwhile."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join()

    def sweep(self, now: int) -> None:
        """Delete what is due, a bounded number. Raises `StoreUnavailable`."""
        if self._keep_ms:
            self._store.write(lambda tx: tx.delete_old_recordings(now - self._keep_ms, MOST, now))
        for _ in range(MOST):
            if self._stopping or not recordings.delete_due(self._store, self._carriers, now):
                return

    def _sweep_or_log(self, now: int) -> None:
        try:
            self.sweep(now)
        except StoreUnavailable:
            log.warning("no recordings were deleted: the database did not answer")
        except Exception as error:
            log_bug(log, "deleting recordings", error)
