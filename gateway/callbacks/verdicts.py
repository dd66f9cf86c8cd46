"""What follows from an answer: for the callback, and for its endpoint. Pure.

2xx is a delivery. 410 is final. Whatever else, redirects too, is tried again until the callback's validity is over; 429
and `Retry-After` say when. This is what Standard Webhooks 1.0.0 advises.

An endpoint that cannot be reached, or answers 408, 425 or 5xx, is out as soon as five callbacks in a row have met that
at their first attempt; one that fails again and again says nothing of the others. Then only a probe goes out now and
then, each time another callback, and nothing is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.callbacks.records import Callback, CallbackState, EndpointState, Verdict
from gateway.retry import CLOSED, PROBE_MS, Dice, delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a callback, and what came of it."""

    callback: Callback
    is_probe: bool
    status: int  #: 0: there was no answer
    reason: str  #: "" for a delivery; never a word of the receiver's
    retry_after_ms: int | None = None  #: what the answer asked for

    @property
    def is_delivery(self) -> bool:
        """Whether the receiver has taken it."""
        return 200 <= self.status < 300

    @property
    def is_outage(self) -> bool:
        """Whether the endpoint could not do its work, whatever it was sent."""
        return self.status in (0, 408, 425) or self.status >= 500


def heard(state: EndpointState, one: Attempt, now: int) -> EndpointState:
    """Return how an endpoint stands after an attempt."""
    if one.is_outage:
        if one.is_probe or (not state.circuit.is_open and one.callback.attempts == 0):
            return replace(state, circuit=state.circuit.failed(now, one.reason, one.is_probe))
        return state
    held_until = state.held_until
    if one.status == 429 and one.retry_after_ms is not None:
        held_until = max(held_until, now + one.retry_after_ms)
    return replace(state, circuit=CLOSED, held_until=held_until)


def verdict(one: Attempt, state: EndpointState, *, now: int, base_ms: int, dice: Dice) -> Verdict:
    """Return what becomes of a callback after an attempt, where its endpoint stands so by now."""
    if one.is_delivery or one.status == 410:
        final = CallbackState.DELIVERED if one.is_delivery else CallbackState.DEAD
        return Verdict(callback=one.callback, state=final, due_at=now, status=one.status, reason=one.reason)
    again = Verdict(
        callback=one.callback,
        state=CallbackState.WAITING,
        due_at=now + max(delay(one.callback.attempts, base_ms, dice), one.retry_after_ms or 0),
        status=one.status,
        reason=one.reason,
    )
    if state.circuit.is_open:
        return replace(again, due_at=now, counts=False)  # behind all that was due before: the next probe is another
    return replace(again, counts=not (one.status == 429 and one.retry_after_ms))  # else it would not get later


def room(state: EndpointState, free: int, probing: bool, now: int) -> int:
    """Return how many callbacks may be claimed where so many senders are free: in an outage one, if a probe is due."""
    if free <= 0 or state.held_until > now:
        return 0
    if not state.circuit.is_open:
        return free
    return int(not probing and (state.circuit.probe_at or 0) <= now)


def probed(state: EndpointState, now: int) -> EndpointState:
    """Return how an endpoint stands while a probe is out: given up after a while, as its sender may be dead."""
    return replace(state, circuit=replace(state.circuit, probe_at=now + PROBE_MS))


def due_at(state: EndpointState, line_due: int | None, probing: bool) -> int | None:
    """Return when there is something to be claimed (ms), where the first line is due then; None: never."""
    if line_due is None or (state.circuit.is_open and probing):
        return None
    return max(line_due, state.held_until, (state.circuit.probe_at or 0) if state.circuit.is_open else 0)
