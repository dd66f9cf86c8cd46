"""Deletes recordings that are kept no longer, at their carriers too; nothing else waits for that."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.beside import Beside
from gateway.carrier import Carrier
from gateway.settings import Settings
from gateway.store import Store
from gateway.voice import recordings

MOST = 50  #: recordings whose time is found to be over in one sweep; and as many are deleted


class RecordingSweep(Beside):
    """Looks from time to time what is to be deleted."""

    name = "recordings"
    pause_ms = 30_000

    def __init__(self, store: Store, carriers: Mapping[str, Carrier], settings: Settings) -> None:
        super().__init__()
        self._store = store
        self._carriers = carriers
        self._keep_ms = settings.keep_recordings_ms

    def sweep(self, now: int) -> None:
        """Delete what is due, a bounded number. Raises `StoreUnavailable`."""
        if self._keep_ms:
            self._store.write(lambda tx: tx.delete_old_recordings(now - self._keep_ms, MOST, now))
        for _ in range(MOST):
            if self._stopping or not recordings.delete_due(self._store, self._carriers, now):
                return
