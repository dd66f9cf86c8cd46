"""A carrier that does what a test tells it to: for tests of what is on our side of `Carrier.send`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from gateway import (
    UNSUPPORTED,
    Carrier,
    CarrierSession,
    CarrierSettings,
    Channel,
    Event,
    OutboundMessage,
    Rate,
    Submission,
    WebhookRequest,
)
from gateway.desk import Asks, turn
from gateway.records import Message, Outcome
from gateway.retry import Attempt
from gateway.store import Tx


class Scripted(Carrier):
    """Answers each send with the next of `script`, and with acceptance when that is used up."""

    name = "scripted"
    Settings = CarrierSettings
    channels = frozenset({Channel.SMS, Channel.MMS})
    rate = Rate(per_number=None)
    signed = False

    def __init__(self, *script: Any, name: str = "scripted") -> None:
        super().__init__(None, CarrierSession())
        self.name = name  # type: ignore[misc]
        self.script = list(script)
        self.on_send: Callable[[OutboundMessage], Any] = lambda message: None
        self.on_lookup: Callable[[OutboundMessage], Any] = lambda message: UNSUPPORTED
        self.sent: list[OutboundMessage] = []  #: every attempt, in order
        self.accepted: list[OutboundMessage] = []
        self.looked_up: list[OutboundMessage] = []
        self.changed = threading.Condition()

    def verify(self, request: WebhookRequest) -> None:
        """Believe everybody."""

    def parse(self, request: WebhookRequest) -> Sequence[Event]:
        """Understand nothing."""
        return ()

    def send(self, message: OutboundMessage) -> Submission:
        """Do what the script says."""
        with self.changed:
            self.sent.append(message)
            step = self.script.pop(0) if self.script else None
        answer = _answer(step if step is not None else self.on_send(message), message)
        with self.changed:
            self.accepted.append(message)
            self.changed.notify_all()
        return answer or Submission(carrier_ref=f"ref-{message.id}")

    def lookup(self, message: OutboundMessage) -> Any:
        """Do what `on_lookup` says."""
        self.looked_up.append(message)
        return _answer(self.on_lookup(message), message)

    def wait_for(self, count: int, timeout: float = 10.0) -> list[str]:
        """Wait until `count` messages were accepted; return all their texts."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.accepted) >= count, timeout), f"{len(self.accepted)}"
            return [message.text for message in self.accepted]


def _answer(step: Any, message: OutboundMessage) -> Any:
    if callable(step):
        step = step(message)
    if isinstance(step, Exception):
        raise step
    return step


def turn_with(
    tx: Tx, owner: str, outcomes: Sequence[Outcome], asks: Asks, now: int
) -> list[tuple[Message, frozenset[str]]]:
    """Do a dispatcher's turn in which its one carrier took every message, but that came to `outcomes`."""
    [ask] = asks.values()
    answered = [(ask.desk, Attempt(message=one.message, result=Submission(carrier_ref="")), None) for one in outcomes]
    meant = {one.message.id: one for one in outcomes}
    turned = turn(tx, owner, answered, asks, lambda one, out, at: meant[one.message.id], lambda: now)
    return turned.claimed[ask.desk.carrier.name]
