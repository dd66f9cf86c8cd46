"""What the dispatcher knows of one carrier: its senders, its circuit, who is held back; and its unit of work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from gateway import retry
from gateway.carrier import Carrier
from gateway.clock import Clock
from gateway.errors import CarrierMisconfigured, Throttled
from gateway.messages import Rate, Weight
from gateway.pacing import after
from gateway.records import Message, MessageState, Outcome
from gateway.retry import Attempt, Reach
from gateway.sending import to_carrier
from gateway.store import NEVER, Tx

log = logging.getLogger(__name__)

HURRIED = 250  #: sends that begin in a second, at most, while requests wait to be answered
CROWD = 3  #: numbers of one account throttled at the same time, and the account is held back


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A pause that a carrier asked for, or needs."""

    until: int  #: ms UTC
    throttled: bool  #: several numbers of an account at a time, and it is the account's


class Desk:
    """The dispatcher's desk for one carrier. Only the dispatcher's own thread touches it."""

    def __init__(self, carrier: Carrier, senders: int) -> None:
        self.carrier = carrier
        self.reach = Reach()
        self.resumed = False  #: the carrier is back, and what waits for its next attempt can have it now
        self.in_flight: dict[int, Message] = {}
        self.senders = senders
        self._hurried_us = 0  #: when the next send may begin, while requests wait
        self.pool = ThreadPoolExecutor(senders, thread_name_prefix=f"send-{carrier.name}")
        self.misfits: dict[str, int] = {}  #: mask -> how often in a row the carrier refused the number itself
        self.backing_off: dict[tuple[str, str], int] = {}  #: lane -> when its next attempt is due (ms)

    def room(self, settling: int, now: int, *, hurried: bool = False) -> int:
        """Return how many sends may begin now (ms), in the unit that settles `settling` of the messages in flight.

        As many as senders are free. `hurried`: requests wait to be answered, so that only so many begin in a second;
        what they wait for at a slow carrier costs nobody anything.
        """
        free = max(0, self.senders - len(self.in_flight) + settling)
        return min(free, self._hurried_room(now)) if hurried else free

    def _hurried_room(self, now: int) -> int:
        """Return how many may begin, and count them as begun."""
        count = 0
        if self._hurried_us > (now + 1000) * 1000:  # the clock was set back
            self._hurried_us = 0
        while self._hurried_us <= now * 1000:
            self._hurried_us = after(self._hurried_us, now * 1000, 1, HURRIED)
            count += 1
        return count

    def sending(self, message: Message) -> None:
        """Take note that a message goes out: while the carrier is out, as a probe."""
        self.in_flight[message.id] = message
        self.backing_off.pop((message.mask, message.recipient), None)
        if self.reach.is_out:
            self.reach = replace(self.reach, probe=message.id)

    def take_note(self, reach: Reach) -> None:
        """Take note of whether the carrier can be reached; the log says it where that is this process's affair."""
        if reach.is_alone and not self.reach.is_alone:
            name, why = self.carrier.name, reach.own.why
            words = "carrier %s is out for this process, and for others it is not (%s)"
            log.error(words, name, why, extra={"carrier": name})
        elif self.reach.is_alone and not reach.is_out:
            name = self.carrier.name
            log.warning("carrier %s is back for this process", name, extra={"carrier": name})
        self.resumed = self.resumed or (self.reach.is_out and not reach.is_out)
        self.reach = reach

    def make_due(self, tx: Tx, now: int) -> None:
        """Let the lanes that wait for their next attempt have it now."""
        for (mask, recipient), due in self.backing_off.items():
            if due > now:
                tx.make_due(mask, recipient, now)

    def rate(self) -> Rate:
        """Return how fast the carrier may be sent to; a plugin that fails here gets the slow default."""
        try:
            rate = self.carrier.rate
            if not isinstance(rate, Rate):
                raise TypeError
        except Exception as error:
            name = self.carrier.name
            log.error("carrier %s cannot tell its rate: %s", name, type(error).__name__, extra={"carrier": name})
            return Rate()
        return rate

    def weigh(self, message: Message) -> Weight:
        """Return what a message takes out of the carrier's rate; a plugin that fails here loses its say."""
        try:
            weight = self.carrier.weigh(to_carrier(self.carrier, message, ""))
            if not isinstance(weight, Weight):
                raise TypeError
        except Exception as error:
            name, kind = self.carrier.name, type(error).__name__
            id = f"out-{message.id}"
            of = {"carrier": name, "message_id": id, "mask": message.mask}
            log.error("carrier %s cannot weigh message %s: %s", name, id, kind, extra=of)
            return Weight()
        return weight

    def held_back(self, one: Attempt, now: int) -> Hold | None:
        """Return how long the number of an attempt is to be held back.

        To be called once for each attempt: it keeps count.
        """
        mask, error = one.message.mask, one.result
        if isinstance(error, Throttled):
            return Hold(until=now + round(error.retry_after * 1000), throttled=True)
        if isinstance(error, CarrierMisconfigured) and error.number_only:
            tries = self.misfits.get(mask, 0)
            self.misfits[mask] = tries + 1
            name = self.carrier.name
            words = "carrier %s does not accept the number %s (%s): it is held back"
            of = {"carrier": name, "mask": mask, "message_id": f"out-{one.message.id}"}
            log.error(words, name, mask, error, extra=of)
            return Hold(until=now + retry.probe_delay(tries), throttled=False)
        self.misfits.pop(mask, None)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a turn asks of the store for one carrier: so many messages, as fast as it takes them at this moment."""

    desk: Desk
    room: int  #: how many senders are free
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", self.desk.rate() if self.room > 0 else Rate())


#: By carrier, each message with the references that belong to others of its lane.
Claimed = dict[str, list[tuple[Message, frozenset[str]]]]
Asks = Mapping[str, Ask]
Reaches = dict[str, Reach]
Answered = tuple[Desk, Attempt, "Hold | None"]
Judge = Callable[[Attempt, bool, int], Outcome]  #: takes an attempt, whether its carrier is out, and the time (ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """What a turn came to."""

    wake_at: int  #: when something is due (ms)
    reaches: Reaches  #: by carrier
    claimed: Claimed = field(default_factory=dict)
    outcomes: Sequence[Outcome] = ()
    blocked: Sequence[Message] = ()  #: whose recipients turned out to have blocked the mask


def look(tx: Tx, asks: Asks, now: int) -> Turned:
    """Only look when something is due: a few keyed reads for each carrier."""
    reaches = {name: ask.desk.reach.knowing(tx.circuit(name), now) for name, ask in asks.items()}
    return Turned(wake_at=_next_due(tx, asks, reaches, now), reaches=reaches)


def turn(tx: Tx, owner: str, answered: Sequence[Answered], asks: Asks, judge: Judge, clock: Clock) -> Turned:
    """Settle what was `answered`, then claim what `asks` have room for."""
    tx.lock_paces((one.message.mask for _, one, _ in answered), _accounts(answered, asks))
    now = clock()  # not before: who waited for a lock would take what is due now for due long ago, and send in bursts
    by_desk = {name: [one for desk, one, _ in answered if desk is ask.desk] for name, ask in asks.items()}
    reaches = {name: _hear(tx, asks[name].desk, by_desk[name], now) for name in sorted(asks)}  # which locks, in order
    outcomes = [judge(one, reaches[desk.carrier.name].is_out, now) for desk, one, _ in answered]
    blocked = []
    for (_, _, hold), outcome in zip(answered, outcomes, strict=True):
        if tx.settle(outcome, owner, now):
            blocked.append(outcome.message)
        if hold is not None:
            hold_back(tx, outcome.message, hold, now)
    claimed = {name: _claim(tx, owner, ask, reaches[name], now) for name, ask in asks.items()}
    wake_at = now if any(claimed.values()) else _next_due(tx, asks, reaches, now)
    return Turned(wake_at=wake_at, reaches=reaches, claimed=claimed, outcomes=outcomes, blocked=blocked)


def _hear(tx: Tx, desk: Desk, attempts: Sequence[Attempt], now: int) -> Reach:
    """Return whether a carrier can be reached after attempts, and write down what that means for the others."""
    name = desk.carrier.name
    before = desk.reach.knowing(tx.circuit(name), now)
    if before.heard(attempts, now).shared == before.shared:
        return before.heard(attempts, now)
    before = before.knowing(tx.lock_circuit(name), now)
    after = before.heard(attempts, now)
    tx.set_circuit(name, after.shared)
    if after.shared.is_open is not before.shared.is_open:
        kind = "carrier.paused" if after.shared.is_open else "carrier.resumed"
        tx.add_event(kind, now, carrier=name, detail=after.shared.why)
    return after


def _claim(tx: Tx, owner: str, ask: Ask, reach: Reach, now: int) -> list[tuple[Message, frozenset[str]]]:
    name, room = ask.desk.carrier.name, _room(tx, ask, reach, now)
    if room <= 0:
        return []
    heads = tx.claim(name, owner, rate=ask.rate, weigh=ask.desk.weigh, room=room, now=now)
    if not heads and reach.shared.is_open and not reach.is_wary:
        tx.probe_soon(name, now)  # nothing was there to be sent as a probe
    return [(m, tx.taken_refs(m) if m.state is MessageState.UNCERTAIN else frozenset()) for m in heads]


def _room(tx: Tx, ask: Ask, reach: Reach, now: int) -> int:
    """Return how many messages may be claimed: while the carrier is out one, by one of all who send, if it is due."""
    if not reach.is_out or ask.room <= 0:
        return ask.room
    if reach.probe is not None or reach.probe_at > now:
        return 0
    by_itself = reach.is_wary or not reach.shared.is_open
    return int(by_itself or tx.take_probe(ask.desk.carrier.name, now, now + retry.PROBE_MS))


def _next_due(tx: Tx, asks: Asks, reaches: Reaches, now: int) -> int:
    """Return when something is due that there is room for (ms)."""
    due = [_due(tx, name, reaches[name], now) for name, ask in asks.items() if ask.room > 0]
    return min(due, default=NEVER)


def _due(tx: Tx, name: str, reach: Reach, now: int) -> int:
    if not reach.is_out or (reach.probe is None and reach.probe_at <= now):
        return tx.next_due(name)
    return NEVER if reach.probe is not None else reach.probe_at  # the probe's answer rings


def _accounts(answered: Sequence[Answered], asks: Asks) -> set[str]:
    """Return the carriers whose account's pace this turn reads and writes."""
    limited = {name for name, ask in asks.items() if ask.room > 0 and ask.rate.per_account is not None}
    return limited | {one.message.carrier for _, one, hold in answered if hold is not None and hold.throttled}


def hold_back(tx: Tx, message: Message, hold: Hold, now: int) -> None:
    """Let the number a message was sent from send nothing for a while.

    Where several are throttled at the same time, whichever process they were sent by, the account neither.
    """
    tx.hold_back(message.mask, hold.until)
    if hold.throttled and tx.throttled(message.mask, message.carrier, hold.until, now) >= CROWD:
        tx.hold_back_account(message.carrier, hold.until)
