"""How the demo is told to end: Ctrl-C, SIGTERM, or a terminal that is closed. Heard where nothing is half done."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

_TOLD = (signal.SIGTERM, signal.SIGHUP)
_ENDS = (signal.SIGINT, *_TOLD)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keep what ends the demo waiting, in this thread and in those it starts, except within `heard`.

    A handler that raises may do so anywhere, and where a lock was just taken, or in what Python runs between two
    lines, the lock stays taken, or nobody gets to know: then the demo would hang, or go on.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    handlers = {number: signal.signal(number, _told) for number in _TOLD}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Let what came before, or comes within the block, end the demo: by `KeyboardInterrupt`, or `SystemExit`."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)


def _told(number: int, frame: object) -> None:
    sys.exit(128 + number)
