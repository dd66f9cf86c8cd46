"""The time. Passed in as a `Clock`, so that tests set it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

Clock = Callable[[], int]  #: returns ms UTC


def now_ms() -> int:
    """Return the time in ms UTC."""
    return time.time_ns() // 1_000_000


def moment(ms: int) -> datetime:
    """Return a time in ms UTC as an aware datetime."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc)
