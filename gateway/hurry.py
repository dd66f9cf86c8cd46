"""Whether webhooks come faster than they are answered: then acknowledging comes first, and the backlog waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType

HOLD_S = 0.2  #: for so long after it was so: whoever asks does so now and then


class Hurry:
    """Counts who takes a webhook just now: `with hurry:`. Safe to use from any thread."""

    def __init__(self, threads: int, clock: Callable[[], float] = monotonic) -> None:
        """Take how many threads answer requests: half of them at a time are many. `clock` tells seconds."""
        self._many = max(2, threads // 2)
        self._clock = clock
        self._taking: set[int] = set()
        self._until = float("-inf")

    def __enter__(self) -> None:
        self._taking.add(threading.get_ident())
        if len(self._taking) >= self._many:
            self._until = self._clock() + HOLD_S

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._taking.discard(threading.get_ident())

    def is_on(self) -> bool:
        """Return whether many were taken at the same time, just now or a moment ago."""
        return self._clock() < self._until
