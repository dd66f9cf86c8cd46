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
    key: str = field(default="", repr=False)  #: stands in the URLs that its carrier calls
    mask: str
    caller: str = field(repr=False)
    session: str
    state: str  #: asked (for a PIN), ringing, answered, message (the caller may leave one), ended
    outcome: str  #: "" until it is known; refused, or the word of a `CallOutcome`
    reason: str  #: why it was refused
    at: int  #: when it came in
    plan: str = field(default="", repr=False)  #: how it was routed: `voice.policy.Plan` as JSON; "": to nobody
    pin_tries: int = 0  #: wrong ones
    give_up_at: int = 0  #: when it is taken as over, should nobody tell us
    answered_at: int | None = None
    answered_by: int | None = None  #: the position of the leg
    missed_at: int | None = None  #: when it was known that nobody would answer
    ended_at: int | None = None
    seconds: int | None = None  #: how long two people were connected


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLeg:
    """The part of one callee in a call."""

    position: int
    state: str
    outcome: str
    detail: str  #: the carrier's own word for the outcome
    answered_at: int | None
    ended_at: int | None
    seconds: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingKept:
    """What a carrier keeps for us of a call."""

    id: int
    call: int
    kind: str  #: the word of a `RecordingKind`
    ref: str = field(repr=False)  #: the carrier's id of it, or a digest of its URL
    url: str = field(repr=False)
    seconds: int | None
    state: str  #: ready, absent, deleting (at the carrier), deleted, kept (the carrier does not delete it)
    key: str = field(repr=False)  #: stands in the link to it
    callees: tuple[int, ...]  #: the positions of those of whom one's answering began it; (): nobody said
    at: int
    tries: int  #: at deleting it
