"""Work done from time to time beside the dispatcher's turns, in a thread of its own: carriers may take seconds."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from typing import ClassVar

from gateway.errors import StoreUnavailable
from gateway.logs import log_bug

log = logging.getLogger(__name__)


class Beside(ABC):
    """Sweeps, if it is time to and the last sweep has come to its end."""

    name: ClassVar[str]  #: of its threads
    pause_ms: ClassVar[int]  #: between two sweeps

    def __init__(self) -> None:
        self._next = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    @abstractmethod
    def sweep(self, now: int) -> None:
        """Do what is due, a bounded number, and no more once `_stopping`. Raises `StoreUnavailable`."""

    def step(self, now: int) -> None:
        """Begin to sweep, if it is time to and the last sweep has come to its end."""
        rests = now < self._next <= now + self.pause_ms  # else it is time, or the clock was set back
        if rests or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = now + self.pause_ms
        self._thread = threading.Thread(target=self._sweep_or_log, args=(now,), name=self.name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Begin with no other one, and wait for the one under way: the store must not be closed meanwhile."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join()

    def _sweep_or_log(self, now: int) -> None:
        try:
            self.sweep(now)
        except StoreUnavailable:
            log.warning("no sweep of %s: the database did not answer", self.name)
        except Exception as error:
            log_bug(log, f"a sweep of {self.name}", error)
