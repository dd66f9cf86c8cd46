"""The courier: feed -> what each endpoint is owed -> the endpoints.

Beside the dispatcher, in threads of its own, so that no text waits for a receiver. Several may be at work on one
database, in processes of their own: what they claim is decided there.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue

from gateway.callbacks import desk as desks
from gateway.callbacks import verdicts
from gateway.callbacks.desk import Desk
from gateway.callbacks.posting import post
from gateway.callbacks.records import Callback, Draft, EndpointState, Verdict
from gateway.callbacks.verdicts import Attempt
from gateway.client import CarrierSession
from gateway.clock import Clock, now_ms
from gateway.errors import StoreUnavailable
from gateway.feed import Feed
from gateway.logs import log_bug
from gateway.owner import is_gone, this_process
from gateway.retry import Dice
from gateway.settings import Settings
from gateway.store import NEVER, Row, Store, Tx

log = logging.getLogger(__name__)

POLL = 0.2  #: seconds between two looks at the store when nothing comes back
HOUSEKEEPING_MS = 1_000
RENEWAL_MS = 5_000
SWEEPS = 8  #: of what is past its validity, in one go
CHUNK = 200  #: events that are put in line in one go at most

#: Returns the body of the callback about an event: a unit of work that only reads.
Write = Callable[[Tx, Row], str]


class Courier:
    """Sends callbacks to the endpoints of the settings, from `start` to `stop`."""

    def __init__(
        self, store: Store, settings: Settings, write: Write, *, clock: Clock = now_ms, dice: Dice = random.random
    ) -> None:
        """Take the store, the settings, and what writes the body of a callback."""
        self._store = store
        self._settings = settings
        self._write = write
        self._clock = clock
        self._dice = dice
        self._owner = this_process()
        self._feed = Feed(store)
        self._http = CarrierSession(bounded=True)
        self._desks = {endpoint.name: Desk(endpoint) for endpoint in settings.callback_endpoints}
        self._answers: SimpleQueue[Attempt] = SimpleQueue()
        self._bell = threading.Event()
        self._stopping = False
        self._given_up = False  # the store is closed by now: what comes back is tried again by the next who starts
        self._unsure = False  # whether the last turn was kept: its COMMIT may have been lost, or the answer to it
        self._next_housekeeping = 0
        self._next_renewal = 0
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    # --- what others call ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start sending: events from now on, to endpoints that are new."""
        self._begin()
        self._thread.start()

    def stop(self, timeout: float = 25.0) -> None:
        """Claim no more, let what is being sent come to its end (at most `timeout` seconds), settle it."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._given_up = True
        for desk in self._desks.values():
            desk.pool.shutdown(wait=False, cancel_futures=True)

    def end(self) -> None:
        """Claim no more, from now on."""
        self._stopping = True
        self._bell.set()

    @property
    def alive(self) -> bool:
        """Return whether the courier is at work."""
        return self._thread.is_alive() and not self._stopping

    # --- the loop -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Write down which endpoints there are. Raises `StoreUnavailable`."""
        keys = {name: secrets.token_hex(6) for name in self._desks}
        if missing := keys.keys() - self._store.read(lambda tx: tx.endpoints(keys)).keys():
            self._store.write(lambda tx: tx.add_endpoints({name: keys[name] for name in sorted(missing)}))

    def _run(self) -> None:
        while True:
            wake_at = self._turn_or_log()
            if self._stopping:
                if self._given_up or not any(desk.in_flight for desk in self._desks.values()):
                    return
                wake_at = NEVER  # an answer rings
            self._bell.wait(min(POLL, max(0.0, (wake_at - self._clock()) / 1000)))
            self._bell.clear()

    def _turn_or_log(self) -> int:
        """Turn; whatever goes wrong, go on a moment later."""
        try:
            return self.turn()
        except StoreUnavailable as error:
            log.error("callbacks wait for the database: %s", error)
        except Exception as error:
            log_bug(log, "the courier", error)
        return NEVER

    def turn(self) -> int:
        """Put events in line, settle what came back, claim and hand out. Return when to look again (ms).

        Raises `StoreUnavailable`; then nothing is lost, the next turn does it again.
        """
        self._gather()
        now = self._clock()
        if self._unsure:
            self._give_back(now)
        more = not self._stopping and self._fan_out(now)
        due = [self._serve(desk, now) for desk in self._desks.values()]
        self._housekeeping(now)
        return now if more else min(due, default=NEVER)

    # --- from the feed --------------------------------------------------------------------------------

    def _fan_out(self, now: int) -> bool:
        """Put the next events in line. Return whether there may be more.

        One endpoint that is far behind, as it was out of the settings for a time, keeps no other waiting.
        """
        upto = self._feed.complete()
        behind: dict[int, list[str]] = {}
        for state in self._store.read(lambda tx: tx.endpoints(self._desks)).values():
            if state.upto < upto:
                behind.setdefault(state.upto, []).append(state.name)
        for after, names in behind.items():
            self._put_in_line(names, after, upto, now)
        return bool(behind)

    def _put_in_line(self, names: list[str], after: int, upto: int, now: int) -> None:
        """Give endpoints the next events behind `after`.

        What is written is made before the unit that writes it: on SQLite that one holds up all others.
        """
        events, drafts = self._store.read(lambda tx: self._drafts(tx, after, upto, now))
        last = events[-1]["id"] if len(events) == CHUNK else upto
        self._store.write(lambda tx: tx.fan_out(names, after, last, drafts, now), shared=True)

    def _drafts(self, tx: Tx, after: int, upto: int, now: int) -> tuple[list[Row], list[Draft]]:
        """Return the next events, and what is to be told of those that are wanted and not too old."""
        events = tx.events(after, CHUNK, upto=upto)
        oldest = now - self._settings.callback_validity_ms
        kinds = self._settings.callback_kinds
        wanted = [row for row in events if row["at"] > oldest and (not kinds or row["kind"] in kinds)]
        return events, [self._draft(tx, row) for row in wanted]

    def _draft(self, tx: Tx, row: Row) -> Draft:
        return Draft(
            event=row["id"],
            kind=row["kind"],
            session=row["session"],
            body=self._write(tx, row),
            is_full=self._settings.callback_numbers == "full",
            expires_at=row["at"] + self._settings.callback_validity_ms,
        )

    # --- to the endpoints -----------------------------------------------------------------------------

    def _gather(self) -> None:
        """Collect the attempts that came back."""
        while True:
            try:
                one = self._answers.get_nowait()
            except Empty:
                return
            self._desks[one.callback.endpoint].answered.append(one)

    def _serve(self, desk: Desk, now: int) -> int:
        """Settle and claim for one endpoint, and hand out. Return when to look again (ms).

        Whoever only looks holds up nobody's write.
        """
        if not desk.answered:
            looked = self._store.read(lambda tx: desks.look(tx, desk))
            if self._stopping or looked > now:
                return looked
        self._unsure = True
        ways = desks.Ways(owner=self._owner, judge=self._judge, prepare=self._prepare)
        turned = self._store.write(
            lambda tx: desks.turn(tx, desk, ways, claims=not self._stopping, now=now), shared=True
        )
        self._unsure = False
        self._take_note(desk, turned)
        for one in turned.claimed:
            self._hand_out(desk, one)
        return turned.wake_at

    def _take_note(self, desk: Desk, turned: desks.Turned) -> None:
        for one in desk.answered:
            desk.in_flight.pop(one.callback.id, None)
            if desk.probe == one.callback.id:
                desk.probe = None
        desk.answered.clear()
        if turned.claimed and turned.after.circuit.is_open:
            desk.probe = turned.claimed[0].id
        desk.in_flight.update((one.id, one) for one in turned.claimed)
        desks.tell(turned)

    def _hand_out(self, desk: Desk, one: Callback) -> None:
        desk.pool.submit(self._attempt, desk, one, desk.probe == one.id)

    def _attempt(self, desk: Desk, one: Callback, is_probe: bool) -> None:
        keys = self._settings.callback_keys
        try:
            attempt = post(self._http, desk.endpoint, keys, one, is_probe=is_probe, now=self._clock())
        except Exception as error:
            log_bug(log, "a callback", error)
            attempt = Attempt(callback=one, is_probe=is_probe, status=0, reason=type(error).__name__)
        self._answers.put(attempt)
        self._bell.set()

    def _prepare(self, tx: Tx, one: Callback) -> Callback | None:
        """Return a callback as it may be sent, None if it cannot be.

        What was written down while participants' numbers were to be shown is written anew once they are not.
        """
        if not one.is_full or self._settings.callback_numbers == "full":
            return one
        events = tx.events(one.event - 1, 1, upto=one.event)
        return tx.write_anew(one, self._write(tx, events[0])) if events else None

    def _judge(self, one: Attempt, state: EndpointState, now: int) -> Verdict:
        return verdicts.verdict(one, state, now=now, base_ms=self._settings.retry_base_ms, dice=self._dice)

    # --- what falls due -------------------------------------------------------------------------------

    def _give_back(self, now: int) -> None:
        """Give back what was claimed by a turn of which nothing was heard: it is in nobody's hands."""
        held = {id for desk in self._desks.values() for id in desk.in_flight}
        self._store.write(lambda tx: tx.free_callbacks(self._owner, now, run_out_by=NEVER, held=held, begun=False))
        self._unsure = False

    def _housekeeping(self, now: int) -> None:
        held = [one for desk in self._desks.values() for one in desk.in_flight.values()]
        if held and not now < self._next_renewal <= now + RENEWAL_MS:  # else the clock was set back
            self._store.write(lambda tx: tx.renew_callbacks(self._owner, held, now))
            self._next_renewal = now + RENEWAL_MS
        if not now < self._next_housekeeping <= now + HOUSEKEEPING_MS:
            self._next_housekeeping = now + HOUSEKEEPING_MS
            self._expire(now)
            for holder in self._store.read(lambda tx: tx.callback_owners()):
                by = NEVER if holder != self._owner and is_gone(holder) else now
                self._store.write(partial(_take_over, owner=holder, by=by, now=now))

    def _expire(self, now: int) -> None:
        """Give up what is past its validity; after a long outage a little at a time, as it holds up all others."""
        for _ in range(SWEEPS):
            if self._store.read(lambda tx: tx.next_callback_expiry()) > now:
                return
            for name, count in self._store.write(lambda tx: tx.expire_callbacks(now)).items():
                log.warning("%d callbacks to %s are dead: not delivered within their validity", count, name)


def _take_over(tx: Tx, owner: str, by: int, now: int) -> None:
    tx.free_callbacks(owner, now, run_out_by=by)
