"""When to try again, and when to stop trying a carrier. Pure: the time and the dice are passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
from gateway.storable import storable

CAP_MS = 300_000  #: the longest delay between two attempts
PROBE_CAP_MS = 30_000  #: the longest delay between two probes of a carrier that is out
PROBE_MS = 30_000  #: a probe whose answer has not come by then is given up: its sender may be dead
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """Whether a carrier account can be reached. Open: nothing is tried but one probe now and then."""

    failures: int = 0  #: in a row
    probes: int = 0  #: that failed since it opened
    probe_at: int | None = None  #: when the next probe is due, or the one that is out given up (ms); None: closed
    why: str = ""  #: the error that opened it

    @property
    def is_open(self) -> bool:
        """Return whether the carrier is taken to be out."""
        return self.probe_at is not None

    def heard(self, attempt: Attempt, now: int, *, probe: bool, wary: bool = False) -> Circuit:
        """Return what it is after an attempt: any answer but an outage closes it, enough failures open it.

        One is enough if it is `wary`.
        """
        error = attempt.result
        if isinstance(error, Held):  # nobody was asked
            return replace(self, probe_at=now) if self.is_open and probe else self
        if not is_failure(attempt):
            return CLOSED
        assert isinstance(error, SendError)
        if isinstance(error, CarrierMisconfigured):
            return self.failed(now, f"{error.detail}: check its credentials and account", probe, at_once=True)
        return self.failed(now, error.detail, probe, at_once=wary)

    def failed(self, now: int, why: str, probe: bool, *, at_once: bool = False) -> Circuit:
        """Return what it is after an outage: open after enough in a row, or `at_once`."""
        if self.is_open:  # answers of sends from before it opened say nothing new
            tried = self.probes + 1
            return replace(self, probes=tried, probe_at=now + probe_delay(tried)) if probe else self
        failures = self.failures + 1
        if at_once or failures >= FAILURES:
            return Circuit(failures=failures, probe_at=now + probe_delay(0), why=storable(str(why)))
        return replace(self, failures=failures)


CLOSED = Circuit()


def is_failure(attempt: Attempt) -> bool:
    """Return whether an attempt did not reach its carrier's service: an outage, or an account that is refused."""
    error = attempt.result
    if isinstance(error, CarrierMisconfigured):
        return not error.number_only
    return isinstance(error, RetryableSendError) and not isinstance(error, Throttled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whether one process can reach a carrier account, of the several that may send.

    Failures are counted, and probes sent, for all of them, so that an outage costs as little with many as with one.
    Who hears that the carrier is out tries for itself, one text, before it believes that: where that one goes through
    the fault lies with the other process, which then is out alone and in nobody's way.
    """

    shared: Circuit = CLOSED  #: as it stands in the store
    own: Circuit = CLOSED
    probe: int | None = None  #: the message that this process has out as a probe

    @property
    def is_out(self) -> bool:
        """Return whether nothing may be sent but a probe."""
        return self.shared.is_open or self.own.is_open

    @property
    def is_wary(self) -> bool:
        """Return whether the carrier is out by the word of others only."""
        return self.shared.is_open and not self.own.is_open

    @property
    def is_alone(self) -> bool:
        """Return whether this process has failed again while others had no cause to complain."""
        return self.own.is_open and not self.shared.is_open and self.own.probes > 0

    @property
    def probe_at(self) -> int:
        """Return when a probe of this process is due (ms); 0: at once."""
        return 0 if self.is_wary else (self.shared if self.shared.is_open else self.own).probe_at or 0

    def knowing(self, shared: Circuit, now: int) -> Reach:
        """Return what it is, given what stands in the store: whoever is out has a probe when another got through."""
        own = self.own
        if own.is_open and self.shared.is_open and not shared.is_open:
            own = replace(own, probes=0, probe_at=now)
        return Reach(shared=shared, own=own, probe=self.probe)

    def heard(self, attempts: Iterable[Attempt], now: int) -> Reach:
        """Return what it is after attempts of this process."""
        reach = self
        for attempt in attempts:
            reach = reach._heard(attempt, now)
        return reach

    def _heard(self, attempt: Attempt, now: int) -> Reach:
        probe, shared = attempt.message.id == self.probe, self.shared
        if shared.is_open or not self.own.is_open or not is_failure(attempt):
            shared = shared.heard(attempt, now, probe=probe and self.own.is_open)
        own = self.own.heard(attempt, now, probe=probe, wary=shared.is_open)
        return Reach(shared=shared, own=own, probe=None if probe else self.probe)
