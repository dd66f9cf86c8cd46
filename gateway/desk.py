"""What the dispatcher knows of one carrier: its senders, its circuit, who is held back; and its unit of work."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gateway import retry
from gateway.carrier import Carrier
from gateway.errors import CarrierMisconfigured, Throttled
from gateway.messages import Rate, Weight
from gateway.records import Message, MessageState, Outcome
from gateway.retry import Attempt, Circuit
from gateway.sending import to_carrier
from gateway.store import NEVER, Tx

log = logging.getLogger(__name__)

CROWD = 3  #: numbers of one account throttled at the same time, and the account is held back


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A pause that a carrier asked for, or needs."""

    until: int  #: ms UTC
    account: bool  #: not the number alone


class Desk:
    """The dispatcher's desk for one carrier. Only the dispatcher's own thread touches it."""

    def __init__(self, carrier: Carrier, senders: int) -> None:
        self.carrier = carrier
        self.circuit = Circuit()
        self.in_flight: dict[int, Message] = {}
        self.senders = senders
        self.pool = ThreadPoolExecutor(senders, thread_name_prefix=f"send-{carrier.name}")
        self.throttled: dict[str, int] = {}  #: mask -> until when (ms)
        self.misfits: dict[str, int] = {}  #: mask -> how often in a row the carrier refused the number itself
        self.backing_off: dict[tuple[str, str], int] = {}  #: lane -> when its next attempt is due (ms)

    def room(self, now: int, settling: int) -> int:
        """Return how many messages may be taken up now, in the unit that settles `settling` of those in flight."""
        return self.circuit.room(self.senders - len(self.in_flight) + settling, now)

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
            of = {"carrier": name, "message_id": message.id, "mask": message.mask}
            log.error("carrier %s cannot weigh message %d: %s", name, message.id, kind, extra=of)
            return Weight()
        return weight

    def held_back(self, one: Attempt, now: int) -> Hold | None:
        """Return how long the number of an attempt is to be held back; if several are at once, the account too.

        To be called once for each attempt: it keeps count.
        """
        mask, error = one.message.mask, one.result
        if isinstance(error, Throttled):
            until = now + round(error.retry_after * 1000)
            self.throttled = {m: at for m, at in self.throttled.items() if at > now} | {mask: until}
            return Hold(until=until, account=len(self.throttled) >= CROWD)
        if isinstance(error, CarrierMisconfigured) and error.number_only:
            tries = self.misfits.get(mask, 0)
            self.misfits[mask] = tries + 1
            name = self.carrier.name
            words = "carrier %s does not accept the number %s (%s): it is held back"
            log.error(words, name, mask, error, extra={"carrier": name, "mask": mask, "message_id": one.message.id})
            return Hold(until=now + retry.probe_delay(tries), account=False)
        self.misfits.pop(mask, None)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a turn asks of the store for one carrier: so many messages, as fast as it takes them at this moment."""

    desk: Desk
    room: int
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", self.desk.rate() if self.room > 0 else Rate())


#: By carrier, each message with the references that belong to others of its lane.
Claimed = dict[str, list[tuple[Message, frozenset[str]]]]
#: What was claimed, the messages whose recipients turned out to have blocked the mask, when to look again (ms).
Turned = tuple[Claimed, list[Message], int]


def turn(
    tx: Tx, owner: str, outcomes: Sequence[tuple[Outcome, Hold | None]], asks: Mapping[str, Ask], now: int
) -> Turned:
    """Settle `outcomes`, then claim what `asks` have room for, and return what came of it."""
    blocked = []
    tx.lock_paces((outcome.message.mask for outcome, _ in outcomes), _accounts(outcomes, asks))
    for outcome, hold in outcomes:
        if tx.settle(outcome, owner, now):
            blocked.append(outcome.message)
        if hold is not None:
            hold_back(tx, outcome.message, hold)
        tell_operator(tx, outcome, now)
    claimed = {}
    for name, ask in asks.items():
        heads = list[Message]()
        if ask.room > 0:
            heads = tx.claim(name, owner, rate=ask.rate, weigh=ask.desk.weigh, room=ask.room, now=now)
        claimed[name] = [(m, tx.taken_refs(m) if m.state is MessageState.UNCERTAIN else frozenset()) for m in heads]
    return claimed, blocked, now if any(claimed.values()) else next_due(tx, asks, now)


def next_due(tx: Tx, asks: Mapping[str, Ask], now: int) -> int:
    """Return when something is due that there is room for (ms): one look at an index for each carrier."""
    wake_at = NEVER
    for name, ask in asks.items():
        probe_at = ask.desk.circuit.probe_at
        if ask.room > 0:
            wake_at = min(wake_at, tx.next_due(name))
        elif probe_at is not None and probe_at > now:
            wake_at = min(wake_at, probe_at)  # else the probe is out, and its answer rings
    return wake_at


def _accounts(outcomes: Sequence[tuple[Outcome, Hold | None]], asks: Mapping[str, Ask]) -> set[str]:
    """Return the carriers whose account's pace this turn reads and writes."""
    limited = {name for name, ask in asks.items() if ask.room > 0 and ask.rate.per_account is not None}
    return limited | {outcome.message.carrier for outcome, hold in outcomes if hold is not None and hold.account}


def hold_back(tx: Tx, message: Message, hold: Hold) -> None:
    """Let the number a message was sent from, or its whole account, send nothing for a while."""
    tx.hold_back(message.mask, hold.until)
    if hold.account:
        tx.hold_back_account(message.carrier, hold.until)


def tell_operator(tx: Tx, outcome: Outcome, now: int) -> None:
    """Tell the operator of messages that did not reach their carrier for good."""
    if outcome.state in (MessageState.FAILED, MessageState.SUPPRESSED, MessageState.EXPIRED, MessageState.PARKED):
        sent = outcome.message
        tx.add_event(
            f"message.{outcome.state.value}",
            now,
            session=sent.session,
            mask=sent.mask,
            carrier=sent.carrier,
            message=sent.id,
            detail=outcome.reason,
        )
