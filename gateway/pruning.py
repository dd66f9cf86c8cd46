"""Forgets what is older than `GATEWAY_KEEP`: a little at a time, beside everything else that is to be done."""

from __future__ import annotations

from gateway.store import Store
from gateway.store.pruning import PRUNED

STEPS = 8  #: for each table in one go, at most
REST_MS = 3_600_000  #: after one came to where all is younger, before it begins with the oldest again


class Pruner:
    """Knows how far it came. For one thread."""

    def __init__(self, store: Store, keep_ms: int) -> None:
        """Take the store, and how long things are kept (ms); 0: for ever."""
        self._store = store
        self._keep_ms = keep_ms
        self._after = dict.fromkeys(PRUNED, 0)
        self._resume_at = dict.fromkeys(PRUNED, 0)

    def step(self, now: int) -> None:
        """Forget some of what is too old at `now`. Raises `StoreUnavailable`."""
        for table in PRUNED if self._keep_ms else ():
            for _ in range(STEPS):
                if now < self._resume_at[table] <= now + REST_MS:  # else the clock was set back
                    break
                self._forget(table, now)

    def _forget(self, table: str, now: int) -> None:
        after = self._after[table]
        last = self._store.write(lambda tx: tx.forget_old(table, now - self._keep_ms, after))
        self._after[table] = last or 0
        self._resume_at[table] = now + REST_MS if last is None else 0
