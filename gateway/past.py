"""What the store remembers of what is over: what became of messages, texts that came in, calls. Times are ms UTC.

The `repr` of each leaves out participants, which must not be logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of a message at one time."""

    at: int
    cause: str  #: attempt, receipt, expiry, opt_out, cancel, readdress, take_over, replay
    state: str  #: it came to; for a receipt, the carrier's word
    reason: str
    code: str
    attempt: int  #: the number of the attempt; 0: no attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A text that a carrier brought, without its words."""

    id: int
    carrier: str
    carrier_ref: str
    mask: str
    sender: str = field(repr=False)
    session: str
    outcome: str  #: relayed, ended, no_texts, no_session, unknown_number, keyword
    received_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that somebody made to one of our numbers."""

    id: int
    carrier: str
    carrier_ref: str
    mask: str
    caller: str = field(repr=False)
    session: str
    outcome: str  #: connected or refused
    reason: str
    at: int
