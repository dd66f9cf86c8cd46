"""A crowd: threads, of one process or of several, that do to one store all that a gateway does, and all at once.

What each did is written down in a `Diary`, with the moments around it, so that `judge` can tell afterwards whether
anything happened that must not. Moments are nanoseconds of a clock that all processes of a host share.
"""

from __future__ import annotations

import inspect
import multiprocessing
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import pairwise
from time import monotonic_ns
from typing import TypeVar

from invariants import broken
from scripted import Scripted, turn_with

from gateway import inbound, sessions
from gateway.desk import Ask, Desk
from gateway.errors import NoNumberFree, NumberExists, NumberInUse, NumberUnknown
from gateway.messages import InboundMessage, Rate
from gateway.records import Kind, Message, MessageState, NumberState, Origin, Outcome, Session
from gateway.settings import read_settings
from gateway.store import Row, Store, Tx

T = TypeVar("T")

MASKS = [f"+120655501{i:02}" for i in range(4)]
PEOPLE = [f"+120655502{i:02}" for i in range(5)]
SETTINGS = read_settings(GATEWAY_QUARANTINE="50ms")
RATE = Rate(per_number=1000, per_account=5000)
MS = 1_000_000  #: nanoseconds
LATE = 1 << 61  #: ms; later than anything that was written

#: What a carrier says to an attempt, and how often.
ANSWERS = {
    MessageState.SENT: 30,
    MessageState.QUEUED: 4,
    MessageState.UNCERTAIN: 2,
    MessageState.FAILED: 2,
    MessageState.SUPPRESSED: 1,
}
FINAL = {MessageState.SENT, MessageState.FAILED, MessageState.SUPPRESSED}


# --- what is written down -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Done:
    """Something that was done, and the moments between which it was."""

    began: int
    ended: int


@dataclass(frozen=True, kw_only=True)
class Said(Done):
    """A text that came in. `ended` is when it was answered for the first time."""

    sender: str
    mask: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Opened(Done):
    """A session that was opened."""

    session: Session


@dataclass(frozen=True, kw_only=True)
class Ending(Done):
    """An attempt to end a session."""

    session: str
    took_place: bool


@dataclass(frozen=True, kw_only=True)
class Extending(Done):
    """An attempt to extend a session."""

    session: str
    expires_at: int | None


@dataclass(frozen=True, kw_only=True)
class Switched(Done):
    """A number that takes new sessions from now on, or takes none; a person who wants texts, or none."""

    name: str
    on: bool


@dataclass(frozen=True, kw_only=True)
class Claimed(Done):
    """A message that a dispatcher took up, and what it said had become of it, and when it began to say so."""

    message: Message
    answered: int = 0
    state: MessageState = MessageState.SENDING


@dataclass
class Diary:
    """What some of the crowd did."""

    said: list[Said] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    extendings: list[Extending] = field(default_factory=list)
    switched: list[Switched] = field(default_factory=list)
    claimed: list[Claimed] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)  #: units of work that were run more than once

    @classmethod
    def of_all(cls, diaries: Iterable[Diary]) -> Diary:
        """Return what is written in any of `diaries`."""
        whole = cls()
        for diary in diaries:
            for one in fields(cls):
                getattr(whole, one.name).extend(getattr(diary, one.name))
        return whole


# --- what is done -----------------------------------------------------------------------------------


class Member:
    """One of the crowd: does one thing after the other, as its dice say, and sends texts as a dispatcher does."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.seed = seed
        self.dice = random.Random(seed)
        self.diary = Diary()
        self.carrier = Scripted(name="sim")
        self.carrier.rate = RATE  # type: ignore[misc]
        self.desk = Desk(self.carrier, 4)
        self.held: list[Claimed] = []
        self.began = 0

    def run(self, steps: int) -> Diary:
        """Do so many things; return what was done."""
        ways = {self.text: 12, self.dispatch: 10, self.open: 5, self.end: 2, self.extend: 2, self.stop_or_start: 2}
        ways |= {self.drain: 1, self.move: 1, self.sweep: 1, self.look: 1}
        for step in range(steps):
            [way] = self.dice.choices(list(ways), list(ways.values()))
            self.began = monotonic_ns()
            way(f"{self.seed}-{step}")
        while self.held:
            self.began = monotonic_ns()
            self.dispatch("the last", room=0)
        self.desk.pool.shutdown()
        return self.diary

    @property
    def now(self) -> int:
        """What the gateway's clock says (ms) at the beginning of a step."""
        return self.began // MS

    def times(self) -> dict[str, int]:
        """Return the moments around what was just done."""
        return {"began": self.began, "ended": monotonic_ns()}

    def write(self, work: Callable[[Tx], T], *, shared: bool = False) -> T:
        runs = 0

        def counted(tx: Tx) -> T:
            nonlocal runs
            runs += 1
            return work(tx)

        try:
            return self.store.write(counted, shared=shared)
        finally:
            if runs > 1:
                self.diary.repeated.append(inspect.getsource(work))

    def open(self, name: str) -> None:
        people, life = self.dice.sample(PEOPLE, 2), self.dice.choice([None, 5, 20, 100])
        try:
            opened = self.write(
                lambda tx: sessions.open_exclusive(
                    tx,
                    people,
                    carrier="sim",
                    origin=Origin.V1,
                    expires_at=life and self.now + life,
                    settings=SETTINGS,
                    now=self.now,
                    start_text=f"hello {name}",
                )
            )
        except NoNumberFree:
            return
        self.diary.opened.append(Opened(session=opened.session, **self.times()))

    def any_session(self) -> Session | None:
        found = self.store.read(lambda tx: tx.sessions_of("sim", 0))
        return self.dice.choice(found) if found else None

    def end(self, name: str) -> None:
        if (one := self.any_session()) is not None:
            self.began = monotonic_ns()
            took_place = self.write(lambda tx: sessions.end(tx, one, "ended", SETTINGS, self.now, end_text="bye"))
            self.diary.endings.append(Ending(session=one.id, took_place=took_place, **self.times()))

    def extend(self, name: str) -> None:
        if (one := self.any_session()) is not None:
            self.began = monotonic_ns()
            expires_at = self.now + self.dice.choice([0, 10, 50])
            self.write(lambda tx: sessions.extend(tx, one.id, expires_at, self.now))
            self.diary.extendings.append(Extending(session=one.id, expires_at=expires_at, **self.times()))

    def text(self, name: str) -> None:
        event = InboundMessage(
            carrier_ref=name, sender=self.dice.choice(PEOPLE), recipient=self.dice.choice(MASKS), text=f"said {name}"
        )
        self.receive(event)
        said = Said(sender=event.sender, mask=event.recipient, text=event.text, **self.times())
        self.diary.said.append(said)
        if self.dice.random() < 0.3:
            self.receive(event)

    def stop_or_start(self, name: str) -> None:
        person, on = self.dice.choice(PEOPLE), self.dice.random() < 0.7
        word = "START" if on else "STOP"
        event = InboundMessage(carrier_ref=name, sender=person, recipient=self.dice.choice(MASKS), text=word)
        self.receive(event, shared=False)
        self.diary.switched.append(Switched(name=person, on=on, **self.times()))

    def receive(self, event: InboundMessage, *, shared: bool = True) -> None:
        self.write(lambda tx: inbound.message(tx, self.carrier, event, SETTINGS, self.now), shared=shared)

    def drain(self, name: str) -> None:
        number, state = self.dice.choice(MASKS), self.dice.choice([NumberState.ACTIVE, NumberState.DRAINING])
        try:
            self.write(lambda tx: tx.set_number_state(number, "sim", state))
        except NumberUnknown:
            return
        self.diary.switched.append(Switched(name=number, on=state is NumberState.ACTIVE, **self.times()))

    def move(self, name: str) -> None:
        number = self.dice.choice(MASKS)
        try:
            self.write(lambda tx: tx.remove_number(number, "sim"))
            self.diary.switched.append(Switched(name=number, on=False, **self.times()))
            self.began = monotonic_ns()
            self.write(lambda tx: tx.add_number(number, "sim", "US", self.now))
            self.diary.switched.append(Switched(name=number, on=True, **self.times()))
        except (NumberInUse, NumberUnknown, NumberExists):
            pass

    def sweep(self, name: str) -> None:
        self.write(lambda tx: sessions.expire_due(tx, SETTINGS, self.now))
        self.write(lambda tx: tx.forget_leases(self.now))
        self.write(lambda tx: tx.expire_messages(self.now))

    def look(self, name: str) -> None:
        assert broken(self.store, LATE) == []

    def dispatch(self, name: str, room: int = 4) -> None:
        """Settle what was claimed before, and claim anew: a dispatcher's unit of work."""
        answered = monotonic_ns()
        outcomes = [self.outcome(one.message) for one in self.held]
        asks = {"sim": Ask(desk=self.desk, room=room)}
        claimed = self.write(lambda tx: turn_with(tx, f"{self.seed}", outcomes, asks, self.now), shared=True)
        for one, outcome in zip(self.held, outcomes, strict=True):
            times = {"began": one.began, "ended": one.ended}
            self.diary.claimed.append(Claimed(message=one.message, answered=answered, state=outcome.state, **times))
        self.held = [Claimed(message=message, **self.times()) for message, _ in claimed]

    def outcome(self, message: Message) -> Outcome:
        [state] = self.dice.choices(list(ANSWERS), list(ANSWERS.values()))
        ref = f"c{message.id}" if state is MessageState.SENT else ""
        opted_out = state is MessageState.SUPPRESSED
        return Outcome(message=message, state=state, due_at=self.now, carrier_ref=ref, opted_out=opted_out)


# --- how many do it ---------------------------------------------------------------------------------


def gather(store: Store) -> None:
    """Put the numbers into the pool."""
    store.write(lambda tx: [tx.add_number(mask, "sim", "US", 0) for mask in MASKS])


def threads(store: Store, seeds: Sequence[int], steps: int) -> Diary:
    """Run one member for each seed, in a thread each."""
    with ThreadPoolExecutor(len(seeds)) as pool:
        return Diary.of_all(pool.map(lambda seed: Member(store, seed).run(steps), seeds))


def processes(url: str, seeds: Sequence[int], steps: int, count: int) -> Diary:
    """Run one member for each seed, in threads of `count` processes, each with its own store."""
    context = multiprocessing.get_context("spawn")
    together = partial(context.Barrier(count).wait, 60)
    with ProcessPoolExecutor(count, mp_context=context, initializer=together) as pool:
        return Diary.of_all(pool.map(_process, [url] * count, [seeds[n::count] for n in range(count)], [steps] * count))


def _process(url: str, seeds: Sequence[int], steps: int) -> Diary:
    store = Store(url)
    try:
        return threads(store, seeds, steps)
    finally:
        store.close()


def send_the_rest(store: Store) -> None:
    """Let one last dispatcher send whatever waits."""
    last = Member(store, 0)
    last.outcome = lambda message: Outcome(message=message, state=MessageState.SENT)  # type: ignore[method-assign]
    last.began = monotonic_ns()
    for _ in range(10_000):
        last.dispatch("the rest")
        last.began += 1000 * MS
        if not last.held and not store.read(lambda tx: tx.lanes_waiting()):
            break
    last.desk.pool.shutdown()


# --- what is found ----------------------------------------------------------------------------------


def judge(store: Store, diary: Diary) -> list[str]:
    """Send what waits, then return in words whatever happened that must not."""
    send_the_rest(store)
    rows = store.read(lambda tx: tx.query("SELECT * FROM outbox"))
    waiting = [row["id"] for row in rows if row["state"] in ("queued", "sending", "uncertain")]
    checks: list[Callable[[], Iterable[str]]] = [
        lambda: broken(store, LATE),
        lambda: [f"{len(waiting)} texts wait for ever"] if waiting else [],
        partial(_misdirected, diary, [row for row in rows if row["kind"] == "relay"]),
        partial(_on_numbers_that_were_off, diary),
        partial(_to_people_who_had_stopped, diary),
        partial(_out_of_order, diary),
    ]
    return [fault for check in checks for fault in check()]


def _misdirected(diary: Diary, relayed: Sequence[Row]) -> Iterable[str]:
    said, opened = {one.text: one for one in diary.said}, {one.session.id: one for one in diary.opened}
    for row in relayed:
        one, by = said[row["text"]], opened[row["session"]]
        others = {leg.participant: leg.mask for leg in by.session.legs if leg.participant != one.sender}
        if others != {row["recipient"]: row["mask"]} or not _may_carry(diary, by, one):
            yield f"{one} went to {row['recipient']} in {by}"
    arrived = [row["text"] for row in relayed]
    if len(set(arrived)) < len(arrived):
        yield "a text was relayed twice"
    for one in diary.said:
        if one.text not in said.keys() & set(arrived):
            yield from (f"{one} was not relayed in {by}" for by in diary.opened if _must_carry(diary, by, one))


def _legs(by: Opened) -> set[tuple[str, str]]:
    return {(leg.mask, leg.participant) for leg in by.session.legs}


def _may_carry(diary: Diary, by: Opened, one: Said) -> bool:
    """Return whether a session of the sender's may have been live at some moment while a text came in."""
    if (one.mask, one.sender) not in _legs(by) or by.began > one.ended:
        return False
    over = [end for end in diary.endings if end.session == by.session.id and end.took_place and end.ended < one.began]
    return not over and any(at is None or at > one.began // MS for at in _expiries(diary, by))


def _must_carry(diary: Diary, by: Opened, one: Said) -> bool:
    """Return whether a session of the sender's was live at every moment while a text came in."""
    if (one.mask, one.sender) not in _legs(by) or by.ended > one.began:
        return False
    over = [end for end in diary.endings if end.session == by.session.id and end.began < one.ended]
    return not over and all(at is None or at > one.ended // MS + 1 for at in _expiries(diary, by))


def _expiries(diary: Diary, by: Opened) -> list[int | None]:
    extended = [one.expires_at for one in diary.extendings if one.session == by.session.id]
    return [by.session.expires_at, *extended]


def _on_numbers_that_were_off(diary: Diary) -> Iterable[str]:
    for one in diary.opened:
        if _was_off(diary, one.session.legs[0].mask, one):
            yield f"{one} on a number that took no new sessions"


def _to_people_who_had_stopped(diary: Diary) -> Iterable[str]:
    for one in diary.claimed:
        to_be_asked = one.message.state is MessageState.UNCERTAIN or one.message.kind is Kind.KEYWORD
        if not to_be_asked and _was_off(diary, one.message.recipient, one):
            yield f"{one.message} was sent to somebody who had said STOP"


def _was_off(diary: Diary, name: str, during: Done) -> bool:
    """Return whether something was switched off before, and not on again before the end of `during`."""
    about = [one for one in diary.switched if one.name == name]
    on = [one for one in about if one.on and one.began < during.ended]
    off = [one for one in about if not one.on and one.ended < during.began]
    return any(all(again.ended < one.began for again in on) for one in off)


def _out_of_order(diary: Diary) -> Iterable[str]:
    lanes: dict[tuple[str, str], list[Claimed]] = defaultdict(list)
    for one in sorted(diary.claimed, key=lambda one: one.ended):
        lanes[(one.message.mask, one.message.recipient)].append(one)
    for lane in lanes.values():
        for first, then in pairwise(lane):
            if then.ended < first.answered:
                yield f"{first.message} and {then.message} were sent at the same time"
            elif then.message.id < first.message.id or (then.message.id == first.message.id and first.state in FINAL):
                yield f"{then.message} was sent after {first.message}"
