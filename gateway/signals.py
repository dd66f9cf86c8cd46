"""SIGTERM and SIGINT: held back from the start, and waited for."""

from __future__ import annotations

import signal

STOP = (signal.SIGTERM, signal.SIGINT)


def hold_signals() -> None:
    """Keep SIGTERM and SIGINT waiting, in this thread and in those it starts, until `wait_for_signal`.

    A handler will not do: Python runs it in the main thread, and a signal that comes as that one is falling asleep on
    a lock is not heard before the next.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)


def wait_for_signal() -> None:
    """Sleep until SIGTERM or SIGINT comes, or has come. A second one ends the process at once."""
    signal.sigwait(STOP)
    for number in STOP:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
