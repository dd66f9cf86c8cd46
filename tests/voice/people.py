"""Who takes part in a call that is played from a document, what they do, and what they hear and see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from gateway import (
    AskPin,
    Bridge,
    CallProgress,
    CallRoute,
    CallState,
    CallStep,
    Carrier,
    Connect,
    Event,
    RecordingKind,
    RecordingReport,
    Refuse,
    Screen,
    Step,
    TakeMessage,
    WebhookRequest,
    WebhookResponse,
)

CALLER, MASK = "+12065550101", "+12065550199"
PIN = "4711"


@dataclass(frozen=True)
class Takes:
    """How somebody takes a call that rings."""

    how: str = "answers"  #: answers, busy, declines, ignores
    keys: tuple[str, ...] = ("1",)  #: what is typed at each prompt; nothing after that
    after: int = 3  #: seconds of ringing


@dataclass
class Scene:
    """What is scripted, and what happened."""

    callees: dict[str, Takes] = field(default_factory=dict)
    caller_keys: tuple[str, ...] = ()
    leaves_message: bool = True
    ref: str = "c-1"  #: the carrier's id of the call
    heard: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    seen: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    connected: list[str] = field(default_factory=list)  #: who talked with the caller
    recorded: list[str] = field(default_factory=list)  #: whose voices, in what
    kept_waiting: int = 0  #: for how many seconds somebody rang, if nobody was connected

    def hears(self, who: str, words: str) -> None:
        """Write down what was said, as it sounds."""
        self.heard[who].append(" ".join(words.replace("\u2060", "").split()))


class Core:
    """Answers the steps of one call as the gateway's core does, and keeps what it is told."""

    def __init__(self, carrier: Carrier, route: CallRoute, then: CallRoute | None = None) -> None:
        self.carrier = carrier
        self.route = route
        self.then = then  #: the route of a caller who types the right PIN
        self.tries = 0
        self.accepted = False
        self.events: list[Event] = []
        self.reports: list[RecordingReport] = []

    def take(self, request: WebhookRequest) -> WebhookResponse:
        """Take what the carrier posts to a URL of the call."""
        events = self.carrier.parse(request)
        self.events += events
        for event in events:
            if isinstance(event, CallStep):
                return self.carrier.answer_call(event, self.answer(event))
        self.reports += [event for event in events if isinstance(event, RecordingReport)]
        return self.carrier.acknowledge(events, ())

    def answer(self, step: CallStep) -> CallRoute:
        """Return what comes next."""
        if step.step is Step.PIN:
            return self._pin(step.digits)
        if step.step is Step.RECORDED:
            return Refuse(words=_message(self.route).goodbye)
        assert isinstance(self.route, Connect)
        if step.step is Step.SCREEN:
            return Screen(words=self.route.whisper, accept=self.route.accept, callback=self.route.callback)
        if step.step is Step.SCREENED:
            self.accepted |= step.digits == "1"
            return Bridge() if step.digits == "1" else Refuse()
        return self._dialled(step, self.route)

    def _dialled(self, step: CallStep, route: Connect) -> CallRoute:
        if step.connected or self.accepted:
            return Refuse()
        rest = tuple(callee for callee in route.callees if callee.position not in step.rung)
        if step.rung and rest:
            return replace(route, callees=rest)
        return route.unanswered

    def _pin(self, digits: str) -> CallRoute:
        assert isinstance(self.route, AskPin)
        self.tries += 1
        if digits == PIN:
            assert self.then
            self.route = self.then
        elif self.tries == 3:
            self.route = Refuse(words="Too many tries.")
        return self.route

    def told(self) -> dict[str, Any]:
        """Return what the core knows of the call in the end."""
        steps = [event for event in self.events if isinstance(event, CallStep)]
        progress = [event for event in self.events if isinstance(event, CallProgress)]
        accepted = {step.callee for step in steps if step.step is Step.SCREENED and step.digits == "1"}
        return {
            "accepted by": accepted,
            "answered": {one.callee for one in progress if one.state is CallState.ANSWERED},
            "reports": {(one.kind, one.state) for one in self.reports if not self._is_nobodys(one, accepted)},
            "over": any(step.step is Step.DIALLED for step in steps),
        }

    def _is_nobodys(self, report: RecordingReport, accepted: Collection[int | None]) -> bool:
        """Return whether nobody whose answering began a recording of a call has pressed 1 in it."""
        asked = isinstance(self.route, Connect) and self.route.accept and report.kind is RecordingKind.CALL
        return asked and not (set(report.callees) & set(accepted) if report.callees else accepted)


def _message(route: CallRoute) -> TakeMessage:
    message = route.unanswered if isinstance(route, Connect) else route
    assert isinstance(message, TakeMessage)
    return message
