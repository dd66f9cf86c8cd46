"""The same line, again and again: while a database is out, each request would log what the one before did."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

TIMES = 5  #: that a line is logged within `WINDOW`; a carrier's repeats of one webhook are seen
WINDOW = 10.0  #: seconds
KNOWN = 1000  #: lines that are remembered; with more, those whose window is over are forgotten


@dataclass(slots=True)
class _Seen:
    """A line, and how often it came since its window began."""

    began: float
    times: int = 0


class Repeats(logging.Filter):
    """Leaves out warnings and errors that have come `TIMES` times in a few seconds, and says how many it left out."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[object, ...], _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is to be logged."""
        if record.levelno < logging.WARNING:
            return True
        try:
            words = record.getMessage()
        except Exception:  # whoever formats it says what is wrong with it
            return True
        with self._lock:
            times, left_out = self._count((record.name, words, _place(record)))
        if times == TIMES:
            record.msg, record.args = f"{words} (more of the same is left out for {WINDOW:g} s)", ()
        elif left_out:
            record.msg, record.args = f"{words} ({left_out} more of the same were left out)", ()
        return times <= TIMES

    def _count(self, line: tuple[object, ...]) -> tuple[int, int]:
        """Return how often a line has come in its window; at the beginning of one, how many the last left out."""
        now, left_out = self._clock(), 0
        seen = self._seen.get(line)
        if seen is None or now - seen.began >= WINDOW:
            left_out = max(0, seen.times - TIMES) if seen else 0
            seen = self._seen[line] = _Seen(now)
            if len(self._seen) > KNOWN:
                self._seen = {other: one for other, one in self._seen.items() if now - one.began < WINDOW}
        seen.times += 1
        return seen.times, left_out


def _place(record: logging.LogRecord) -> tuple[str, int] | None:
    """Return where the error came from that a line is about: what breaks in another place is another line."""
    error = getattr(record, "bug", None) or (record.exc_info or (None, None))[1]
    place = error.__traceback__ if isinstance(error, BaseException) else None
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return (place.tb_frame.f_code.co_filename, place.tb_lineno) if place is not None else None
