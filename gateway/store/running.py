"""The units of work that run, so that no connection is closed under one: the driver would take the process with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Condition

from gateway.errors import StoreUnavailable

log = logging.getLogger(__name__)

PATIENCE = 15.0  #: seconds that units which run are given when the store is closed


class Running:
    """Counts the units that run: `with running:` around each. Safe to use from any thread."""

    def __init__(self, shut: Callable[[], None]) -> None:
        """Take what closes the connections. It is called once, when the last unit is over."""
        self._shut = shut
        self._changed = Condition()
        self._count = 0
        self._closed = False
        self._late = False  # nobody waits for the last unit any more

    def __enter__(self) -> None:
        """Begin a unit. Raises `StoreUnavailable` once the store is closed."""
        with self._changed:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            if self._count or not self._closed:
                return
            self._changed.notify_all()
            if not self._late:
                return
        self._shut()

    def close(self, patience: float = PATIENCE) -> None:
        """Let no unit begin any more, wait for those that run (at most `patience` seconds), close the connections.

        Where one takes longer it closes them itself, when it is over.
        """
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._late = not self._changed.wait_for(lambda: not self._count, patience)
            if self._late:
                log.warning("the store is closed while units of work still run: %d", self._count)
                return
        self._shut()
