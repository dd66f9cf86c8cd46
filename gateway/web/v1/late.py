"""Texts that are written when somebody first asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Late:
    """A text that `write` makes, once. Safe to use from any thread."""

    def __init__(self, write: Callable[[], str]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The text, from now on without delay."""
        with self._lock:
            if self._text is None:
                self._text = self._write()
            return self._text
