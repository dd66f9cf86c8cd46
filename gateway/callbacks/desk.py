"""What one process knows of one endpoint, and its unit of work there: settle what came back, claim what is due."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gateway.callbacks import verdicts
from gateway.callbacks.endpoints import Endpoint
from gateway.callbacks.records import Callback, CallbackState, EndpointState, Verdict
from gateway.callbacks.verdicts import Attempt
from gateway.store import NEVER, Tx

log = logging.getLogger(__name__)

SENDERS = 16  #: to each endpoint at a time, in each process

#: Why a callback dies that was claimed and may not be sent.
UNSAYABLE = "it shows participants' numbers, which are to be masked by now, and its event is gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How a process goes about its turns."""

    owner: str  #: of what it claims
    judge: Callable[[Attempt, EndpointState, int], Verdict]
    prepare: Callable[[Tx, Callback], Callback | None]  #: returns what is sent; None: nothing may be


class Desk:
    """The courier's desk for one endpoint. Only the courier's own thread touches it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.name = endpoint.name
        self.in_flight: dict[int, Callback] = {}
        self.answered: list[Attempt] = []  #: and not settled yet
        self.probe: int | None = None  #: the callback that is out as a probe
        self.pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="callback")

    def free(self) -> int:
        """Return how many senders are free once what was answered is settled."""
        return SENDERS - len(self.in_flight) + len(self.answered)

    def is_probing(self) -> bool:
        """Return whether a probe will still be out then."""
        return self.probe is not None and all(one.callback.id != self.probe for one in self.answered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """What a turn at a desk came to."""

    before: EndpointState
    after: EndpointState
    wake_at: int  #: when something is due (ms)
    claimed: list[Callback] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


def look(tx: Tx, desk: Desk) -> int:
    """Return when something is due that there is room for (ms), from two keyed reads."""
    state = tx.endpoints([desk.name])[desk.name]
    return _due(tx, state, probing=desk.is_probing(), room=desk.free())


def turn(tx: Tx, desk: Desk, ways: Ways, *, claims: bool, now: int) -> Turned:
    """Settle what was answered, then claim what there is room for, if `claims`."""
    before = state = tx.lock_endpoint(desk.name)
    for one in desk.answered:
        state = verdicts.heard(state, one, now)
    found = [ways.judge(one, state, now) for one in desk.answered]
    for each in found:
        tx.settle_callback(each, ways.owner, now)
    if before.circuit.is_open and not state.circuit.is_open:
        tx.make_callbacks_due(desk.name, now)
    room = verdicts.room(state, desk.free() if claims else 0, desk.is_probing(), now)
    claimed, dead = _claim(tx, desk, ways, room, now) if room else ([], [])
    if claimed and state.circuit.is_open:
        state = verdicts.probed(state, now)
    if state != before:
        tx.set_endpoint(state)
    probing = desk.is_probing() or (state.circuit.is_open and bool(claimed))
    due = _due(tx, state, probing=probing, room=desk.free() - len(claimed))
    return Turned(before=before, after=state, wake_at=due, claimed=claimed, verdicts=found + dead)


def _claim(tx: Tx, desk: Desk, ways: Ways, room: int, now: int) -> tuple[list[Callback], list[Verdict]]:
    """Claim what is due, and return it as it may be sent; and what became of that which may not be."""
    claimed, dead = [], []
    for one in tx.claim_callbacks(desk.name, ways.owner, room, now):
        if sayable := ways.prepare(tx, one):
            claimed.append(sayable)
            continue
        verdict = Verdict(
            callback=one, state=CallbackState.DEAD, due_at=now, status=one.status, reason=UNSAYABLE, counts=False
        )
        tx.settle_callback(verdict, ways.owner, now)
        dead.append(verdict)
    return claimed, dead


def _due(tx: Tx, state: EndpointState, *, probing: bool, room: int) -> int:
    due = verdicts.due_at(state, tx.next_callback(state.name), probing) if room > 0 else None
    return NEVER if due is None else due


def tell(turned: Turned) -> None:
    """Log what an operator should know of a turn, now that it is on disk."""
    before, after = turned.before.circuit, turned.after.circuit
    name = turned.after.name
    if after.is_open and not before.is_open:
        log.error("callbacks to %s fail (%s): they wait, a probe goes out from time to time", name, after.why)
    elif before.is_open and not after.is_open:
        log.warning("callbacks to %s go out again", name)
    for one in turned.verdicts:
        if one.state is CallbackState.DEAD:
            words = "callback %d to %s is dead: %s"
            log.warning(words, one.callback.id, name, one.reason, extra={"session": one.callback.session})
