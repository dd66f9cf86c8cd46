"""What can go wrong between gateway and carrier, to order or by chance."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.testing.network.wire import UNAUTHORIZED, Drop, Refusal, Send


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one request. Built by the methods below."""

    outcome: Refusal | Drop | None = None  #: instead of the usual answer
    taken: bool = False  #: whether the text is taken all the same
    wait: float | threading.Event | None = None  #: before the answer: seconds, or until the event is set

    @classmethod
    def status(cls, status: int, code: str = "refused", retry_after: float | None = None) -> Fault:
        """Answer with an HTTP status and take nothing."""
        return cls(outcome=Refusal(status=status, code=code, detail="a planted fault", retry_after=retry_after))

    @classmethod
    def unavailable(cls) -> Fault:
        """Answer 503."""
        return cls.status(503, "unavailable")

    @classmethod
    def throttled(cls, retry_after: float = 1.0) -> Fault:
        """Answer 429 with `Retry-After` (seconds)."""
        return cls.status(429, "throttled", retry_after)

    @classmethod
    def unauthorized(cls) -> Fault:
        """Answer 401."""
        return cls(outcome=UNAUTHORIZED)

    @classmethod
    def refused(cls) -> Fault:
        """Answer 400: never to be sent."""
        return cls.status(400)

    @classmethod
    def opted_out(cls) -> Fault:
        """Answer that the recipient does not want texts from this number."""
        return cls.status(400, "opted_out")

    @classmethod
    def reset(cls) -> Fault:
        """Reset the connection and take nothing: for the client the same as a request nobody read."""
        return cls(outcome=Drop(reset=True))

    @classmethod
    def no_answer(cls) -> Fault:
        """Take the text, then close the connection without an answer."""
        return cls(outcome=Drop(), taken=True)

    @classmethod
    def slow(cls, wait: float | threading.Event) -> Fault:
        """Take the text, and answer as usual after `wait` seconds or once the event is set."""
        return cls(taken=True, wait=wait)


Faults = Callable[[Send], "Fault | None"]  #: asked for each send what shall go wrong with it


def no_faults(send: Send) -> None:
    """Return None: nothing goes wrong."""


def by_chance(seed: int, shares: Mapping[Fault, float]) -> Faults:
    """Return faults that happen to `shares` (0 to 1) of the sends.

    What happens to the nth try of a text depends on `seed`, the text and n alone: a run can be repeated
    whatever the order in which its threads happen to send.
    """
    tries: Counter[tuple[str, str, str]] = Counter()
    lock = threading.Lock()

    def choose(send: Send) -> Fault | None:
        key = (send.sender, send.recipient, send.text)
        with lock:
            tries[key] += 1
            nth = tries[key]
        point = random.Random(f"{seed}/{key}/{nth}").random()
        for fault, share in shares.items():
            if point < share:
                return fault
            point -= share
        return None

    return choose


class Script:
    """The faults of a network: those planned for the next requests first, then `faults`. Thread-safe."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._lock = threading.Lock()
        self._sends: list[Fault] = []
        self._lookups: list[Fault] = []

    def plan_sends(self, count: int, fault: Fault) -> None:
        """Let the next `count` sends, after those planned before, meet `fault`."""
        with self._lock:
            self._sends += [fault] * count

    def plan_lookups(self, count: int, fault: Fault) -> None:
        """Let the next `count` lookups, after those planned before, meet `fault`."""
        with self._lock:
            self._lookups += [fault] * count

    def for_send(self, send: Send) -> Fault | None:
        """Return what goes wrong with `send`."""
        with self._lock:
            if self._sends:
                return self._sends.pop(0)
        return self.faults(send)

    def for_lookup(self) -> Fault | None:
        """Return what goes wrong with the next lookup."""
        with self._lock:
            return self._lookups.pop(0) if self._lookups else None
