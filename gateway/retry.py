"""When to try again, and when to stop trying a carrier. Pure: the time and the dice are passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.errors import (
    CarrierMisconfigured,
    PermanentSendError,
    RecipientOptedOut,
    RetryableSendError,
    SendError,
    Throttled,
    UncertainSendError,
)
from gateway.messages import Submission
from gateway.records import Message, MessageState, Outcome

CAP_MS = 300_000  #: the longest delay between two attempts
PROBE_CAP_MS = 30_000  #: the longest delay between two probes of a carrier that is out
FAILURES = 5  #: in a row, and the circuit opens

Dice = Callable[[], float]  #: returns 0 ≤ x < 1


@dataclass(frozen=True, slots=True)
class Expired:
    """It turned out that the carrier does not have a message whose validity is over."""


@dataclass(frozen=True, slots=True)
class Held:
    """Whether the carrier has a message cannot be learnt, and the operator wants to decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt to send a message, and what came of it. `result` of no kind named here is a plugin's bug."""

    message: Message
    result: Submission | SendError | Expired | Held | BaseException
    looked_up: bool = False  #: it comes from a look-up: nothing was sent


def delay(attempt: int, base_ms: int, dice: Dice) -> int:
    """Return how long to wait (ms) after the `attempt`th failure, counted from 0: exponential with full jitter."""
    return round(dice() * min(CAP_MS, base_ms << min(attempt, 30)))


def probe_delay(probes: int) -> int:
    """Return how long (ms) to leave a carrier alone after so many failed probes: 1 s, 2 s, 4 s … 30 s."""
    return min(PROBE_CAP_MS, 1000 << min(probes, 10))


def outcome(attempt: Attempt, *, now: int, base_ms: int, dice: Dice, carrier_is_out: bool) -> Outcome:
    """Return what becomes of a message after an attempt.

    While its carrier is out nothing is counted against a message and it stays due: the circuit decides when.
    """
    again = now if carrier_is_out else now + delay(attempt.message.attempts, base_ms, dice)
    counts = not carrier_is_out
    unsent = Outcome(message=attempt.message, state=MessageState.QUEUED, due_at=again, counts=counts)
    result = attempt.result
    if isinstance(result, Submission):
        return Outcome(
            message=attempt.message,
            state=MessageState.SENT,
            carrier_ref=result.carrier_ref,
            found=attempt.looked_up,
            due_at=now,
        )
    if isinstance(result, Expired):
        return replace(unsent, state=MessageState.EXPIRED, reason="not accepted within its validity", due_at=now)
    if isinstance(result, Held):
        return replace(unsent, state=MessageState.PARKED, reason="whether the carrier has it is unknown", due_at=now)
    if isinstance(result, SendError):
        # while the carrier cannot be asked, the message stays as uncertain as it was
        state = MessageState.UNCERTAIN if attempt.looked_up else MessageState.QUEUED
        return _after_error(replace(unsent, state=state), result, now)
    reason = f"the plugin failed: {type(result).__name__}"
    return replace(unsent, state=MessageState.PARKED, reason=reason, due_at=now)


def _after_error(unsent: Outcome, error: SendError, now: int) -> Outcome:
    told = replace(unsent, reason=error.detail, code=error.code)
    if isinstance(error, RecipientOptedOut):
        return replace(told, state=MessageState.SUPPRESSED, opted_out=True, due_at=now)
    if isinstance(error, PermanentSendError):
        return replace(told, state=MessageState.FAILED, due_at=now)
    if isinstance(error, CarrierMisconfigured):
        return replace(told, counts=False, due_at=now)
    if isinstance(error, Throttled):
        return replace(told, counts=False, due_at=now + round(error.retry_after * 1000))
    if isinstance(error, UncertainSendError):
        return replace(told, state=MessageState.UNCERTAIN)
    if isinstance(error, RetryableSendError):
        return told
    # a bare SendError: the contract asks for a subclass
    return replace(told, state=MessageState.PARKED, reason=f"the plugin raised {type(error).__name__}", due_at=now)


class Circuit:
    """Whether a carrier account can be reached. Open: nothing is tried but one probe now and then."""

    def __init__(self) -> None:
        self.why = ""  #: the error that opened it
        self.probe_at: int | None = None  #: when the next probe is due (ms); None while closed
        self._probe: int | None = None  #: the message that is out as a probe
        self._failures = 0
        self._probes = 0

    @property
    def is_open(self) -> bool:
        """Return whether the carrier is taken to be out."""
        return self.probe_at is not None

    def room(self, wanted: int, now: int) -> int:
        """Return how many of `wanted` messages may be sent now: all while closed, one when a probe is due."""
        if self.probe_at is None:
            return wanted
        return min(wanted, 1) if self._probe is None and self.probe_at <= now else 0

    def sending(self, message: Message) -> None:
        """Take note that a message goes out: while open, it is the probe."""
        if self.probe_at is not None:
            self._probe = message.id

    def heard(self, attempt: Attempt, now: int) -> None:
        """Take note of an attempt: any answer but an outage closes the circuit, enough failures open it."""
        was_probe = attempt.message.id == self._probe
        if was_probe:
            self._probe = None
        error = attempt.result
        if isinstance(error, CarrierMisconfigured) and not error.number_only:
            self._fail(now, f"{error.detail}: check its credentials and account", was_probe, at_once=True)
        elif isinstance(error, RetryableSendError) and not isinstance(error, Throttled):
            self._fail(now, error.detail, was_probe, at_once=False)
        else:
            self._failures, self._probes, self.probe_at, self.why = 0, 0, None, ""

    def set_back(self, now: int) -> None:
        """Take note that the clock was set back: a probe that was due at a time now far away is due."""
        if self.probe_at is not None:
            self.probe_at = min(self.probe_at, now)

    def _fail(self, now: int, why: str, was_probe: bool, *, at_once: bool) -> None:
        self._failures += 1
        if self.probe_at is not None:
            if was_probe:  # answers of sends from before it opened say nothing new
                self._probes += 1
                self.probe_at = now + probe_delay(self._probes)
        elif at_once or self._failures >= FAILURES:
            self.why = why
            self.probe_at = now + probe_delay(0)
