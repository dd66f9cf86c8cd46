"""The dispatcher: outbox -> carriers, and whatever else falls due.

One thread claims, settles and sweeps, so that one place writes down what became of each message; sender threads only
speak HTTP. Stopping is: claim no more, wait for the senders, settle.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue

from gateway import retry, unreachable
from gateway.callbacks.courier import Courier
from gateway.carrier import Carrier
from gateway.clock import Clock, now_ms
from gateway.desk import Answered, Ask, Asks, Desk, Turned, look, turn
from gateway.dispatching import Dispatching
from gateway.errors import StoreUnavailable
from gateway.housekeeping import sweep
from gateway.logs import log_bug
from gateway.owner import this_process
from gateway.pool_watch import PoolWatch
from gateway.pruning import Pruner
from gateway.records import Message, MessageState, Outcome
from gateway.retry import Attempt, Dice
from gateway.sending import attempt
from gateway.settings import Settings
from gateway.storable import storable
from gateway.store import NEVER, Store
from gateway.voice.hang_ups import HangUps
from gateway.voice.sweep import RecordingSweep

log = logging.getLogger(__name__)

POLL = 0.2  #: seconds between two looks at the store when nothing rings: other processes may enqueue
LOCKED_MS = 20  #: before what is due is looked at again that another process is at work on just now
HURRIED_MS = 10  #: between two looks while requests wait to be answered, and so not all that is due is sent
HOUSEKEEPING_MS = 1_000
CLOCK_STEP_MS = 1_000  #: a clock that goes back by more was set; by less, it was put right
RENEWAL_MS = 5_000

ReceiptUrl = Callable[[str], str]


class Dispatcher(Dispatching):
    """Sends what waits in the outbox through the carriers it is given.

    Several may be at work on one database, in processes of their own: what they claim, and how fast, is decided there.
    Whether a carrier is out they tell each other there.
    """

    def __init__(
        self,
        store: Store,
        carriers: Mapping[str, Carrier],
        settings: Settings,
        *,
        receipt_url: ReceiptUrl = lambda carrier: "",
        courier: Courier | None = None,
        hurried: Callable[[], bool] = lambda: False,
        clock: Clock = now_ms,
        dice: Dice = random.random,
    ) -> None:
        """Take the store, the configured carriers, and who sends callbacks beside it, if any are to be sent.

        `hurried` says whether requests wait to be answered in this process: those come first, and the backlog waits.
        """
        super().__init__(store, settings.threads)
        self._settings = settings
        self._receipt_url = receipt_url
        self._courier = courier
        self._hurried = hurried
        self._clock = clock
        self._dice = dice
        self._owner = this_process()
        self._desks = {name: Desk(carrier, settings.senders) for name, carrier in carriers.items()}
        self._answers: SimpleQueue[tuple[Desk, Attempt]] = SimpleQueue()
        self._unsettled: list[Answered] = []
        self._bell = threading.Condition()
        self._rung = False
        self._stopping = False
        self._given_up = False  # the store is closed by now: what comes back is settled by the next who starts
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._next_housekeeping = 0
        self._next_renewal = 0
        self._last_turn = 0
        self._unsure = False  # whether the last turn was kept: its COMMIT may have been lost, or the answer to it
        self._pruner = Pruner(store, settings.keep_ms)
        self._pool_watch = PoolWatch(store, settings.pool_low)
        self._beside = (RecordingSweep(store, carriers, settings), HangUps(store, carriers, settings))

    # --- what others call ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start sending. Raises `StoreUnavailable`."""
        if self._courier is not None:
            self._courier.start()
        self._thread.start()

    def stop(self, timeout: float = 25.0) -> None:
        """Claim no more, let what is being sent come to its end (at most `timeout` seconds), settle it."""
        self._stopping = True
        self.ring()
        if self._courier is not None:
            self._courier.end()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._given_up = True
        if self._courier is not None:
            self._courier.stop()
        self._pool_watch.join()
        for work in self._beside:
            work.join()
        for desk in self._desks.values():
            desk.pool.shutdown(wait=False, cancel_futures=True)

    @property
    def alive(self) -> bool:
        """Return whether the dispatcher is at work."""
        if self._courier is not None and not self._courier.alive:
            return False
        return self._thread.is_alive() and not self._stopping

    def ring(self) -> None:
        """Say that there is something new in the outbox."""
        with self._bell:
            self._rung = True
            self._bell.notify()

    def is_out(self, carrier: str) -> bool:
        """Return whether a carrier cannot be reached just now, or nobody sends through it."""
        desk = self._desks.get(carrier)
        return desk is None or desk.reach.is_out

    # --- the loop -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            wake_at = self._turn_or_log()
            if self._stopping and (self._given_up or not self._busy()):
                return
            if not self._stopping:
                self._pool_watch.step(self._clock())  # beside the turns: `stop` waits for both
                for work in self._beside:
                    work.step(self._clock())
            self._sleep(wake_at)

    def _turn_or_log(self) -> int:
        """Turn; whatever goes wrong, go on a moment later."""
        try:
            return self.turn()
        except StoreUnavailable as error:
            log.error("the dispatcher waits for the database: %s", error)
        except Exception as error:
            log_bug(log, "the dispatcher", error)
        return NEVER

    def turn(self) -> int:
        """Settle what came back, do what is due, claim and hand out. Return when to look again (ms).

        Raises `StoreUnavailable`; then nothing is lost, the next turn does it again.
        """
        self._gather()
        now = self._clock()
        if now < self._last_turn - CLOCK_STEP_MS:
            self._set_back(now)
        self._last_turn = now
        if self._unsure:
            self._give_back(now)
        back = Counter(desk.carrier.name for desk, _, _ in self._unsettled)
        hurried = self._hurried()
        rooms = {name: self._room(desk, back[name], now, hurried) for name, desk in self._desks.items()}
        turned = self._settle_and_claim({n: Ask(desk=desk, room=rooms[n]) for n, desk in self._desks.items()}, now)
        self._take_note(turned, now)
        for name, messages in turned.claimed.items():
            for message, taken in messages:
                self._hand_out(self._desks[name], message, taken)
        if turned.blocked:  # in a unit that runs alone; should it fail, the others are told when they write next
            self._store.write(lambda tx: unreachable.tell_of(tx, turned.blocked, self._settings, now))
        self._housekeeping(now)
        if turned.blocked or any(turned.claimed.values()):
            return now
        wake_at = turned.wake_at if turned.wake_at > now else now + LOCKED_MS
        return min(wake_at, now + HURRIED_MS) if hurried else wake_at

    def _room(self, desk: Desk, settling: int, now: int, hurried: bool) -> int:
        return 0 if self._stopping else desk.room(settling, now, hurried=hurried)

    def _settle_and_claim(self, asks: Asks, now: int) -> Turned:
        """Return what was claimed, and when the next is due. Whoever only looks holds up nobody's write."""
        if not self._unsettled:
            looked = self._store.read(lambda tx: look(tx, asks, now))
            if looked.wake_at > now:
                return looked
        self._unsure = True
        turned = self._store.write(
            lambda tx: turn(tx, self._owner, self._unsettled, asks, self._judge, self._clock), shared=True
        )
        self._unsure = False
        return turned

    def _give_back(self, now: int) -> None:
        """Give back what was claimed by a turn of which nothing was heard: it is in nobody's hands."""
        held = {id for desk in self._desks.values() for id in desk.in_flight}
        self._store.write(lambda tx: tx.give_back(self._owner, held, now))
        self._unsure = False

    def _take_note(self, turned: Turned, now: int) -> None:
        """Remember what a turn came to, now that it is on disk."""
        for desk, one, _ in self._unsettled:
            desk.in_flight.pop(one.message.id, None)
        for (desk, one, _), outcome in zip(self._unsettled, turned.outcomes, strict=True):
            if outcome.state in (MessageState.QUEUED, MessageState.UNCERTAIN) and outcome.due_at > now:
                desk.backing_off[(one.message.mask, one.message.recipient)] = outcome.due_at
        if self._unsettled:
            self._unsettled.clear()
            self._tell()
        for name, reach in turned.reaches.items():
            self._desks[name].take_note(reach)

    def _hand_out(self, desk: Desk, message: Message, taken: frozenset[str]) -> None:
        desk.sending(message)
        desk.pool.submit(self._attempt, desk, message, taken)

    def _attempt(self, desk: Desk, message: Message, taken: frozenset[str]) -> None:
        one = attempt(
            desk.carrier,
            message,
            receipt_url=self._receipt_url(desk.carrier.name),
            taken_refs=taken,
            hold=self._settings.uncertain == "hold",
            clock=self._clock,
        )
        self._answers.put((desk, one))
        self.ring()

    def _gather(self) -> None:
        """Collect the attempts that came back."""
        now = self._clock()
        while True:
            try:
                desk, one = self._answers.get_nowait()
            except Empty:
                return
            self._unsettled.append((desk, one, desk.held_back(one, now)))

    def _judge(self, one: Attempt, carrier_is_out: bool, now: int) -> Outcome:
        outcome = retry.outcome(
            one, now=now, base_ms=self._settings.retry_base_ms, dice=self._dice, carrier_is_out=carrier_is_out
        )
        # what a plugin put into its error must not be what the store stumbles over, turn after turn
        return replace(outcome, reason=storable(str(outcome.reason)), code=storable(str(outcome.code)))

    # --- what falls due -----------------------------------------------------------------------------

    def _housekeeping(self, now: int) -> None:
        for desk in self._desks.values():
            if desk.resumed:
                self._store.write(partial(desk.make_due, now=now))
                desk.backing_off.clear()
                desk.resumed = False
        if now >= self._next_renewal:
            held = [message for desk in self._desks.values() for message in desk.in_flight.values()]
            self._store.write(lambda tx: tx.renew(self._owner, held, now))
            self._next_renewal = now + RENEWAL_MS
        if now >= self._next_housekeeping:
            sweep(self._store, self._settings, self._owner, now)
            self._pruner.step(now)
            self._next_housekeeping = now + HOUSEKEEPING_MS

    def _set_back(self, now: int) -> None:
        """Let nothing wait for a time that the clock went back from."""
        log.warning("the clock was set back by %d s: what waits is looked at now", (self._last_turn - now) // 1000)
        self._next_housekeeping = self._next_renewal = now
        self._store.write(lambda tx: tx.set_back(now))

    def _busy(self) -> bool:
        return any(desk.in_flight for desk in self._desks.values())

    def _sleep(self, wake_at: int) -> None:
        with self._bell:
            if not self._rung:
                self._bell.wait(min(POLL, max(0.0, (wake_at - self._clock()) / 1000)))
            self._rung = False
