"""How much a database is filled with, and what in it is rare, or has a hundredth of all."""

from __future__ import annotations

from dataclasses import dataclass

#: Interesting cases, by name: whoever has a hundredth of all, and what is rare.
BUSY_PERSON = "+12065550000"  #: takes part in every hundredth session
BUSY_MASK = "+12062000001"  #: a leg of every fiftieth session is on it
BUSY_SESSION = "the-busy-one"  #: an external id: every hundredth text is in it
REUSED = "again-and-again"  #: the external id of every hundredth session that has ended
ENDPOINT = "hooks.example.com-0123abcd"  #: is called back
STRANGER = "+12065559999"


@dataclass(frozen=True)
class Sizes:
    """How many sessions, messages (those that came in and those that went out) and numbers."""

    sessions: int
    messages: int
    live: float = 0.45  #: the share of sessions that are: the newer ones; from 0.5 on, of any age

    @property
    def numbers(self) -> int:
        """A tenth of the sessions, and no fewer than it takes to have some of each kind."""
        return max(100, self.sessions // 10)

    def is_live(self, i: int) -> bool:
        """Return whether the session in place `i`, from the oldest, is live."""
        if self.live >= 0.5:
            return i % 100 < self.live * 100
        return i * 2 >= self.sessions and i % 10 != 9

    def __str__(self) -> str:
        return f"{self.sessions:,} sessions, {self.messages:,} messages, {self.numbers:,} numbers"
