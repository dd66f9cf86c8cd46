"""Processes that write into one SQLite file take turns: a courtesy, for SQLite itself keeps them apart.

Its own wait looks again after 1, 2, 5 … 100 ms, and whoever has just written is nearly always back before that: of two
processes under load one waits for seconds. Here who waits is next.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep

PAUSE = 0.0005  #: seconds between two tries
TURN, NEXT = 0, 1  #: bytes of the file: who writes locks the first, who is to be next the second


class Turn:
    """Whose turn it is. The locks are the kernel's: a process that dies has none any more."""

    def __init__(self, database: str, patience: float) -> None:
        """Take the path of the database, and how long to wait (s) before going ahead all the same."""
        self._patience = patience
        self._file: int | None = None
        with suppress(OSError):  # then SQLite's own locks have to do, or say what is wrong
            self._file = os.open(f"{database}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Run the block when it is this process's turn."""
        deadline = monotonic() + self._patience
        try:
            self._wait(NEXT, deadline)  # whoever has just had its turn waits here for who waited meanwhile
            self._wait(TURN, deadline)
            self._release(NEXT)
            yield
        finally:
            self._release(NEXT)
            self._release(TURN)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _wait(self, place: int, deadline: float) -> None:
        while not self._lock(place) and monotonic() < deadline:
            sleep(PAUSE)

    def _lock(self, place: int) -> bool:
        """Return whether there is no need to wait: it is ours, or cannot be had at all."""
        try:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, lockf(3) says
            return False
        except OSError:
            return True
        return True

    def _release(self, place: int) -> None:
        with suppress(OSError):
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)
