"""Calls on the simulated network: the gateway is asked what becomes of them, and they are played to the people.

Nobody waits: how long something takes is counted, not spent. What each person saw and heard is in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.calls import (
    AskPin,
    Bridge,
    Callee,
    CallOutcome,
    CallProgress,
    CallRoute,
    CallState,
    CallStep,
    Connect,
    InboundCall,
    RecordingKind,
    RecordingReport,
    RecordingState,
    Refuse,
    Screen,
    Step,
    TakeMessage,
    callback_url,
)
from gateway.testing.network.handset import Call, Caller, Delivery, Ring
from gateway.testing.network.ledger import Moment
from gateway.testing.network.wire import Webhook

if TYPE_CHECKING:
    from gateway.testing.network import Network
    from gateway.testing.network.face import Face

MOST_TURNS = 32  #: after which a call that leads nowhere is hung up on

_MISSED = {"busy": CallOutcome.BUSY, "declines": CallOutcome.DECLINED, "ignores": CallOutcome.NO_ANSWER}


class Line:
    """One call, from its first webhook to its end."""

    def __init__(self, network: Network, face: Face, call: InboundCall, caller: Caller, began: int) -> None:
        self._network = network
        self._face = face
        self._call = call
        self._caller = caller
        self._keys = list(caller.keys)
        self._began = began
        self._seconds = 0  #: since it began
        self._answered = False  #: the caller has heard or said something
        self._callback = ""
        self._talked = 0
        self._why = CallOutcome.NO_ANSWER

    def play(self, route: CallRoute) -> None:
        """Do what the gateway wants done, and then what it wants next, until somebody hangs up."""
        follows: CallRoute | None = route
        for _ in range(MOST_TURNS):
            if follows is None:
                break
            follows = self._follow(follows)
        self._moment(self._call.caller, "hangs up")
        self._end()

    def _follow(self, route: CallRoute) -> CallRoute | None:
        self._callback = getattr(route, "callback", "") or self._callback
        if isinstance(route, Connect):
            return self._connect(route)
        self._hear(self._call.caller, getattr(route, "words", ""))
        if isinstance(route, AskPin):
            typed = self._type(self._call.caller, self._keys, route.most_digits)
            return self._ask(Step.PIN, digits=typed)
        if isinstance(route, TakeMessage):
            return self._message(route)
        return None

    # --- connecting ------------------------------------------------------------------------------

    def _connect(self, route: Connect) -> CallRoute | None:
        self._hear(self._call.caller, route.words)
        for callee in route.callees:
            self._ring(callee)
        winner: Callee | None = None
        answered: list[Callee] = []
        for callee in sorted(route.callees, key=lambda one: self._network.handset(one.number).takes.after):
            if winner is None and self._picks_up(callee, route):
                answered.append(callee)
                winner = callee if self._is_connected(callee, route) else None
        self._over(route, winner, answered)
        if winner is not None and self._caller.hangs_up:
            return None
        return self._ask(Step.DIALLED, connected=winner is not None) if route.callback else route.unanswered

    def _ring(self, callee: Callee) -> None:
        """Show the callee the mask, and tell the gateway that it rings."""
        self._moment(callee.number, "rings", callee.caller_id)
        ring = Ring(caller_id=callee.caller_id, at=self._now(), ref=self._call.carrier_ref)
        self._network.handset(callee.number).receive(ring)
        self._tell(CallState.RINGING, callee)

    def _picks_up(self, callee: Callee, route: Connect) -> bool:
        takes = self._network.handset(callee.number).takes
        if takes.how != "answers" or takes.after >= route.ring_seconds:
            return False
        self._seconds = max(self._seconds, takes.after)
        self._moment(callee.number, "answers")
        self._tell(CallState.ANSWERED, callee)
        return True

    def _is_connected(self, callee: Callee, route: Connect) -> bool:
        """Return whether the two are connected, once the callee has heard and typed what the gateway asks."""
        if not route.screens:
            return True
        screen = self._ask(Step.SCREEN, callee)
        if not isinstance(screen, Screen):
            return isinstance(screen, Bridge)
        self._hear(callee.number, screen.words)
        if not screen.accept:
            return True
        keys = list(self._network.handset(callee.number).takes.keys)
        follows = self._ask(Step.SCREENED, callee, digits=self._type(callee.number, keys, 1))
        self._hear(callee.number, follows.words if isinstance(follows, Refuse) else "")
        return isinstance(follows, Bridge)

    def _over(self, route: Connect, winner: Callee | None, answered: Iterable[Callee]) -> None:
        """Let the two talk, and tell how each callee's part ended."""
        if winner is not None:
            self._talk(route, winner)
        else:
            self._seconds += route.ring_seconds
        outcomes = set()
        for callee in route.callees:
            outcome = self._outcome(callee, winner, callee in answered)
            outcomes.add(outcome)
            self._tell(CallState.ENDED, callee, outcome, self._talked if callee is winner else 0)
        if winner is None:
            self._why = outcomes.pop() if len(outcomes) == 1 else CallOutcome.NO_ANSWER
        elif route.record and route.callback:
            words = f"{self._call.called} and {winner.caller_id} talk"
            self._report(RecordingKind.CALL, words, self._talked)

    def _outcome(self, callee: Callee, winner: Callee | None, answered: bool) -> CallOutcome:
        if callee is winner or answered:
            return CallOutcome.COMPLETED
        missed = _MISSED.get(self._network.handset(callee.number).takes.how, CallOutcome.NO_ANSWER)
        return CallOutcome.CANCELED if winner is not None and missed is CallOutcome.NO_ANSWER else missed

    def _talk(self, route: Connect, winner: Callee) -> None:
        self._answered = True
        self._talked = min(self._network.handset(winner.number).takes.talks, route.limit_seconds)
        self._moment(self._call.caller, "talks", self._call.called)
        self._moment(winner.number, "talks", winner.caller_id)
        self._seconds += self._talked

    # --- one step --------------------------------------------------------------------------------

    def _message(self, route: TakeMessage) -> CallRoute | None:
        said = self._caller.message
        if said:
            self._moment(self._call.caller, "says", said)
            self._seconds += min(len(said.split()), route.limit_seconds)
        self._report(RecordingKind.VOICEMAIL, said, min(len(said.split()), route.limit_seconds))
        return self._ask(Step.RECORDED)

    def _hear(self, who: str, words: str) -> None:
        if words.strip():
            self._moment(who, "hears", words)
            self._answered = self._answered or who == self._call.caller

    def _type(self, who: str, keys: list[str], most: int) -> str:
        typed = (keys.pop(0) if keys else "").partition("#")[0][:most]
        self._moment(who, "types", typed)
        self._answered = self._answered or who == self._call.caller
        return typed

    # --- the gateway -----------------------------------------------------------------------------

    def _ask(self, step: Step, callee: Callee | None = None, *, digits: str = "", connected: bool = False) -> CallRoute:
        """Ask how the call goes on. Nothing that can be understood: it ends."""
        position = callee.position if callee else None
        ref = self._call.carrier_ref
        asked = CallStep(carrier_ref=ref, step=step, callee=position, digits=digits, connected=connected)
        answer = self._post(self._face.step(callback_url(self._callback, step, position), asked))
        return self._face.route(answer.answers[0]) if answer.status == 200 and answer.body else Refuse()

    def _tell(self, state: CallState, callee: Callee, outcome: CallOutcome | None = None, seconds: int = 0) -> None:
        if self._callback:
            told = self._progress(state, outcome, seconds if state is CallState.ENDED else None)
            url = callback_url(self._callback, callee=callee.position)
            self._post(self._face.progress(url, self._call, replace(told, callee=callee.position)))

    def _progress(self, state: CallState, outcome: CallOutcome | None, seconds: int | None) -> CallProgress:
        ref = self._call.carrier_ref
        return CallProgress(carrier_ref=ref, state=state, outcome=outcome, seconds=seconds)

    def _report(self, kind: RecordingKind, words: str, seconds: int) -> None:
        ref = self._network.recordings.keep(words) if words else ""
        report = RecordingReport(
            carrier_ref=self._call.carrier_ref,
            kind=kind,
            state=RecordingState.READY if words else RecordingState.ABSENT,
            recording_ref=ref,
            url=f"{self._network.url}/recordings/{ref}" if ref else "",
            seconds=seconds,
        )
        self._post(self._face.report(callback_url(self._callback, kind), report))

    def _end(self) -> None:
        """Tell how the caller's part ended: for a carrier a call is answered by whatever is said in it."""
        if self._callback:
            outcome = CallOutcome.COMPLETED if self._answered else self._why
            told = self._progress(CallState.ENDED, outcome, self._seconds if self._answered else 0)
            self._post(self._face.progress(self._callback, self._call, told))

    def _post(self, webhook: Webhook) -> Delivery:
        return self._network.post(self._call.carrier_ref, webhook)

    # --- the ledger ------------------------------------------------------------------------------

    def _moment(self, who: str, what: str, words: str = "") -> None:
        moment = Moment(at=self._now(), ref=self._call.carrier_ref, who=who, what=what, words=words)
        self._network.ledger.add_moment(moment)

    def _now(self) -> int:
        return self._began + self._seconds * 1000


class Exchange:
    """The calls of a network."""

    def __init__(self, network: Network, face: Face, clock: Callable[[], int]) -> None:
        self._network = network
        self._face = face
        self._clock = clock
        self.calls: dict[str, InboundCall] = {}

    def place(self, call: InboundCall, url: str, caller: Caller, repeat: int | None) -> Call:
        """Post a call to the gateway, and play what it answers."""
        self.calls[call.carrier_ref] = call
        began = self._clock()
        delivery = self._network.post(call.carrier_ref, self._face.call(url, call), repeat)
        route = self._face.route(delivery.answers[0]) if delivery.status == 200 else None
        if route is not None:
            Line(self._network, self._face, call, caller, began).play(route)
        moments = tuple(one for one in self._network.ledger.moments() if one.ref == call.carrier_ref)
        return Call(delivery=delivery, route=route, moments=moments)
