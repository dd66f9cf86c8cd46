"""No text to a wrong person, in whatever order things happen: a model of who may hear whom, and any steps at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from time import monotonic

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as chances
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from invariants import broken, empty
from scripted import Scripted

from gateway import inbound, sessions
from gateway.changes import Change, PersonChange, change
from gateway.errors import (
    NoNumberFree,
    NumberExists,
    NumberInUse,
    NumberUnknown,
    PairTaken,
    PeopleRefused,
    SessionOver,
)
from gateway.messages import InboundMessage, Rate, Weight
from gateway.records import Kind, Message, MessageState, NumberState, Origin, Outcome
from gateway.settings import read_settings
from gateway.store import NEVER, Store

MASKS = [f"+120655501{i:02}" for i in range(4)]
PEOPLE = [f"+120655502{i:02}" for i in range(5)]
CARRIERS = {name: Scripted(name=name) for name in ("sim", "other")}
DISPATCHERS = ["me", "you"]
ENDS = [MessageState.SENT, MessageState.FAILED, MessageState.PARKED]
STATES = [MessageState.SENT, MessageState.QUEUED, MessageState.UNCERTAIN, MessageState.FAILED, MessageState.PARKED]
RATES = [Rate(per_number=None), Rate(per_number=1), Rate(per_number=10, per_account=5)]
QUARANTINE_MS = 3_600_000

# What is drawn must not depend on what the gateway chose: then the same steps come in every run.
number = st.sampled_from(MASKS)
person = st.sampled_from(PEOPLE)
carrier = st.sampled_from([*["sim"] * 4, "other"])
dispatcher = st.sampled_from(DISPATCHERS)
pair = st.permutations(PEOPLE)
nth = st.integers(0, 999)
minutes = st.sampled_from([1, 10, None])


@dataclass
class Talk:
    """A session as the model knows it."""

    people: frozenset[str]
    mask: str
    carrier: str
    expires_at: int | None
    ended_at: int | None = None
    left: dict[str, int] = field(default_factory=dict)  #: who goes on from another number, and since when

    def lives(self, now: int) -> bool:
        return self.ended_at is None and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True)
class Attempt:
    """A message that a dispatcher has at a carrier."""

    owner: str
    message: Message

    @property
    def lane(self) -> tuple[str, str]:
        return self.message.mask, self.message.recipient


class Conversations(RuleBasedStateMachine):
    """People who open, end and forget sessions over too few numbers; and two dispatchers, which die."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        empty(store)
        self.settings = read_settings(GATEWAY_QUARANTINE="1h", GATEWAY_VALIDITY="30m")
        self.now = 1_000_000
        self.refs = count(1)
        self.numbers: dict[str, tuple[str, NumberState]] = {}
        self.talks: dict[str, Talk] = {}
        self.stopped: set[str] = set()  #: who said STOP
        self.said: dict[str, tuple[str, str]] = {}  #: a text -> mask and recipient it is for
        self.held: list[Attempt] = []
        self.stale: list[Attempt] = []  #: whose claim was taken over, and which are not answered yet
        self.done: dict[tuple[str, str], int] = defaultdict(int)  #: lane -> the last message that came to an end

    # --- the pool -----------------------------------------------------------------------------------

    @initialize(numbers=st.sets(number, min_size=1), pairs=st.lists(pair, min_size=1, max_size=3), minutes=minutes)
    def fill(self, numbers: set[str], pairs: list[list[str]], minutes: int | None) -> None:
        for one in sorted(numbers):
            self.add(one, "sim")
        for people in pairs:
            self.open(people, "sim", minutes)

    @rule(number=number, carrier=carrier)
    def add(self, number: str, carrier: str) -> None:
        try:
            self.store.write(lambda tx: tx.add_number(number, carrier, "US", self.now))
            assert number not in self.numbers
            self.numbers[number] = carrier, NumberState.ACTIVE
        except NumberExists:
            assert number in self.numbers

    @rule(number=number)
    def remove(self, number: str) -> None:
        carrier = self.numbers.get(number, ("sim", None))[0]
        taken = number in {talk.mask for talk in self.talks.values() if talk.ended_at is None}
        try:
            self.store.write(lambda tx: tx.remove_number(number, carrier))
            assert not taken
            del self.numbers[number]
        except NumberInUse:
            assert taken
        except NumberUnknown:
            assert number not in self.numbers

    @rule(number=number, state=st.sampled_from(NumberState))
    def drain(self, number: str, state: NumberState) -> None:
        carrier = self.numbers.get(number, ("sim", None))[0]
        try:
            self.store.write(lambda tx: tx.set_number_state(number, carrier, state))
            self.numbers[number] = carrier, state
        except NumberUnknown:
            assert number not in self.numbers

    def busy(self) -> set[str]:
        return {talk.mask for talk in self.talks.values() if talk.lives(self.now)}

    # --- sessions -----------------------------------------------------------------------------------

    @rule(pair=pair, carrier=carrier, minutes=minutes)
    def open(self, pair: list[str], carrier: str, minutes: int | None) -> None:
        people, expires_at = frozenset(pair[:2]), self.in_minutes(minutes)
        active = {one for one, its in self.numbers.items() if its == (carrier, NumberState.ACTIVE)}
        usable = active - self.busy() - {mask for mask, one in self.refusals() if one in people}
        try:
            opened = self.store.write(
                lambda tx: sessions.open_exclusive(
                    tx,
                    pair[:2],
                    carrier=carrier,
                    origin=Origin.V1,
                    expires_at=expires_at,
                    settings=self.settings,
                    now=self.now,
                    start_text="hello",
                )
            )
        except NoNumberFree:
            assert not usable
            return
        mask = opened.session.legs[0].mask
        calm = {one for one in usable if not self.misread(one, people)}
        assert mask in (calm or usable)
        self.talks[opened.session.id] = Talk(people, mask, carrier, expires_at)

    @rule(pair=pair, minutes=minutes)
    def open_another(self, pair: list[str], minutes: int | None) -> None:
        """Open a session where most numbers are: with few of them going on, little can go wrong."""
        self.open(pair, "sim", minutes)

    def in_minutes(self, minutes: int | None) -> int | None:
        return None if minutes is None else self.now + minutes * 60_000

    def misread(self, number: str, people: frozenset[str]) -> bool:
        """Return whether one of `people` could take what is said on a number for an older conversation."""
        return any(self.means_others(number, person, people) for person in people)

    def means_others(self, number: str, person: str, people: frozenset[str], own: Talk | None = None) -> bool:
        """Return whether what `person` says on a number may be meant for other people, not in the talk `own`."""
        talks = [one for one in self.talks.values() if one.mask == number and person in {*one.people, *one.left}]
        if not talks or talks[-1] is own or talks[-1].people == people:
            return False
        last = talks[-1]
        over = last.ended_at if person in last.people else last.left[person]
        # one that is over and not marked as ended yet was ended by the very opening that is judged here
        return (self.now if over is None else over) + QUARANTINE_MS > self.now

    def refusals(self) -> set[tuple[str, str]]:
        """Return the (mask, participant) between which a carrier carries nothing any more."""
        rows = self.store.read(lambda tx: tx.query("SELECT mask, participant FROM opt_outs WHERE mask <> ''"))
        return {(row["mask"], row["participant"]) for row in rows}

    def talk(self, nth: int, *, late: bool) -> tuple[str, Talk] | None:
        """Return one of the newest sessions; `late`: at the very moment at which it is over.

        What chance alone would seldom bring.
        """
        newest = list(self.talks.items())[-3:]
        if not newest:
            return None
        id, talk = newest[nth % len(newest)]
        if late and talk.expires_at is not None:
            self.now = max(self.now, talk.expires_at)
        return id, talk

    @rule(nth=nth, late=st.booleans())
    def end(self, nth: int, late: bool) -> None:
        if (found := self.talk(nth, late=late)) is not None:
            id, talk = found
            session = self.store.read(lambda tx: tx.session(id))
            ended = self.store.write(
                lambda tx: sessions.end(tx, session, "ended", self.settings, self.now, end_text="bye")
            )
            assert ended is (talk.ended_at is None)
            talk.ended_at = self.now if ended else talk.ended_at

    @rule(nth=nth, minutes=minutes, late=st.booleans())
    def extend(self, nth: int, minutes: int | None, late: bool) -> None:
        if (found := self.talk(nth, late=late)) is not None:
            id, talk = found
            expires_at = self.in_minutes(minutes)
            extended = self.store.write(lambda tx: sessions.extend(tx, id, expires_at, self.now))
            assert extended is talk.lives(self.now)
            talk.expires_at = expires_at if extended else talk.expires_at

    @rule(nth=nth, who=st.integers(0, 1), number=person, late=st.booleans())
    def replace(self, nth: int, who: int, number: str, late: bool) -> None:
        """Let somebody go on from another number."""
        if (found := self.talk(nth, late=late)) is not None:
            id, talk = found
            session = self.store.read(lambda tx: tx.session(id))
            old, other = session.legs[who].participant, session.legs[1 - who].participant
            waiting = self.waiting(id, old)
            asked = Change(people=(PersonChange(position=who, number=number),))
            mine = self.means_others(talk.mask, number, frozenset([number, other]), talk)
            try:
                self.store.write(lambda tx: change(tx, session, asked, CARRIERS, self.settings, self.now))
            except SessionOver:
                assert not talk.lives(self.now)
            except PeopleRefused:
                assert number == other
            except PairTaken:
                assert mine
            else:
                assert number in (old, other) or not mine
                self.replaced(talk, old, number, waiting)

    @rule(nth=nth, who=st.integers(0, 1), whom=nth)
    def replace_by_somebody_of_before(self, nth: int, who: int, whom: int) -> None:
        """Let somebody go on from a number that was on the mask before: what chance alone would seldom bring."""
        if (found := self.talk(nth, late=False)) is not None:
            talks = [talk for talk in self.talks.values() if talk.mask == found[1].mask]
            before = sorted({person for talk in talks for person in {*talk.people, *talk.left}} - found[1].people)
            if before:
                self.replace(nth, who, before[whom % len(before)], late=False)

    def replaced(self, talk: Talk, old: str, number: str, waiting: list[str]) -> None:
        if number != old:
            talk.people = talk.people - {old} | {number}
            talk.left = {one: at for one, at in talk.left.items() if one != number} | {old: self.now}
            self.said |= dict.fromkeys(waiting, (talk.mask, number))

    def waiting(self, id: str, recipient: str) -> list[str]:
        """Return the texts of a session that wait for somebody and that no carrier has."""
        sql = "SELECT text FROM outbox WHERE session = :id AND recipient = :to AND state = 'queued' AND kind = 'relay'"
        return [row["text"] for row in self.store.read(lambda tx: tx.query(sql, id=id, to=recipient))]

    # --- texts --------------------------------------------------------------------------------------

    @rule(sender=person, mask=number, carrier=carrier, again=st.integers(1, 3))
    def text_from_anybody(self, sender: str, mask: str, carrier: str, again: int) -> None:
        self.text(sender, mask, carrier, again)

    @rule(nth=nth, who=st.integers(0, 2), again=st.integers(1, 2), late=st.booleans())
    def text_into_a_talk(self, nth: int, who: int, again: int, late: bool) -> None:
        """A text from somebody who is, or once was, in a conversation."""
        if (found := self.talk(nth, late=late)) is not None:
            _, talk = found
            ever = [*sorted(talk.people), *sorted(talk.left)]
            self.text(ever[who % len(ever)], talk.mask, talk.carrier, again)

    def text(self, sender: str, mask: str, carrier: str, again: int) -> None:
        ref = f"r{next(self.refs)}"
        text = f"said {ref}"
        for _ in range(again):
            self.receive(carrier, InboundMessage(carrier_ref=ref, sender=sender, recipient=mask, text=text))
        rows = self.store.read(lambda tx: tx.query("SELECT mask, recipient FROM outbox WHERE text = :text", text=text))
        expected = [
            (mask, other)
            for talk in self.talks.values()
            if (talk.mask, talk.carrier) == (mask, carrier) and sender in talk.people and talk.lives(self.now)
            for other in talk.people - {sender}
        ]
        assert [(row["mask"], row["recipient"]) for row in rows] == expected
        self.said |= dict.fromkeys([text], *expected) if expected else {}

    @rule(sender=person, mask=number, word=st.sampled_from(["STOP", "Start!"]))
    def keyword(self, sender: str, mask: str, word: str) -> None:
        event = InboundMessage(carrier_ref=f"r{next(self.refs)}", sender=sender, recipient=mask, text=word)
        self.receive(self.numbers.get(mask, ("sim", None))[0], event)
        self.stopped = self.stopped | {sender} if word == "STOP" else self.stopped - {sender}
        assert self.store.read(lambda tx: tx.query("SELECT id FROM outbox WHERE text = :word", word=word)) == []

    def receive(self, carrier: str, event: InboundMessage) -> None:
        of = CARRIERS[carrier]
        self.store.write(lambda tx: inbound.message(tx, of, event, self.settings, self.now), shared=True)

    # --- time ---------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([90, 700, 1, 30, 4000]), swept=st.booleans())
    def wait(self, seconds: int, swept: bool) -> None:
        self.now += seconds * 1000
        if swept:
            self.sweep()

    def sweep(self) -> None:
        self.store.write(lambda tx: sessions.expire_due(tx, self.settings, self.now))
        self.store.write(lambda tx: tx.expire_messages(self.now))
        self.store.write(lambda tx: tx.forget_leases(self.now))

    # --- two dispatchers ----------------------------------------------------------------------------

    @rule(owner=dispatcher, carrier=carrier, rate=st.sampled_from(RATES), room=st.integers(1, 5))
    def claim(self, owner: str, carrier: str, rate: Rate, room: int) -> None:
        heads = self.store.write(
            lambda tx: tx.claim(carrier, owner, rate=rate, weigh=lambda m: Weight(), room=room, now=self.now)
        )
        refusals = self.refusals()
        for head in heads:
            attempt = Attempt(owner, head)
            assert attempt.lane not in {one.lane for one in self.held}  # one at a time
            assert head.id > self.done[attempt.lane]  # in order, and what is done is done
            assert head.kind is not Kind.RELAY or self.said[head.text] == attempt.lane
            if head.kind is not Kind.KEYWORD and head.state is MessageState.QUEUED:
                assert head.recipient not in self.stopped
                assert attempt.lane not in refusals
            self.held.append(attempt)

    @rule(nth=nth, state=st.sampled_from(STATES), delay=st.sampled_from([0, 5_000]))
    def settle(self, nth: int, state: MessageState, delay: int) -> None:
        if self.held:
            attempt = self.held.pop(nth % len(self.held))
            self.answer(attempt, state, delay)
            if state in ENDS:
                self.done[attempt.lane] = attempt.message.id

    @rule(nth=nth)
    def refuse(self, nth: int) -> None:
        """The carrier says that the recipient has blocked the mask."""
        if self.held:
            attempt = self.held.pop(nth % len(self.held))
            self.answer(attempt, MessageState.SUPPRESSED, 0, opted_out=True)

    def answer(self, attempt: Attempt, state: MessageState, delay: int, **more: bool) -> None:
        ref = f"c{attempt.message.id}" if state is MessageState.SENT else ""
        outcome = Outcome(message=attempt.message, state=state, due_at=self.now + delay, carrier_ref=ref, **more)
        self.store.write(lambda tx: tx.settle(outcome, attempt.owner, self.now), shared=True)

    @rule(owner=dispatcher)
    def stall(self, owner: str) -> None:
        """Somebody takes over what a dispatcher has at its carriers; their answers come all the same, some time."""
        self.store.write(lambda tx: tx.take_over(owner, NEVER, self.now))
        self.stale += [one for one in self.held if one.owner == owner]
        self.held = [one for one in self.held if one.owner != owner]

    @rule(nth=nth, state=st.sampled_from([MessageState.SENT, *STATES]))
    def answer_late(self, nth: int, state: MessageState) -> None:
        if self.stale:
            attempt = self.stale.pop(nth % len(self.stale))
            self.answer(attempt, state, 0)
            again = [one for one in self.held if (one.owner, one.message.id) == (attempt.owner, attempt.message.id)]
            # two attempts of one dispatcher at one message: the first answer counts, and then the other is late
            self.held = [one for one in self.held if one not in again]
            self.stale += again
            if state is MessageState.SENT or (again and state in ENDS):
                self.done[attempt.lane] = max(self.done[attempt.lane], attempt.message.id)

    @rule(mask=number, delay=st.sampled_from([500, 20_000]))
    def hold_back(self, mask: str, delay: int) -> None:
        self.store.write(lambda tx: tx.hold_back(mask, self.now + delay))

    # --- what must hold at any moment ---------------------------------------------------------------

    @invariant()
    def nothing_is_broken(self) -> None:
        assert broken(self.store, self.now) == []
        for id, talk in self.talks.items():  # whoever looked has ended what was over
            if not talk.lives(self.now) and talk.ended_at is None:
                talk.ended_at = self._ended_at(id)

    def _ended_at(self, id: str) -> int | None:
        return self.store.read(lambda tx: tx.query("SELECT ended_at FROM sessions WHERE id = :id", id=id))[0][
            "ended_at"
        ]


@pytest.mark.soak
@pytest.mark.both_databases
def test_whatever_happens_nobody_hears_what_was_not_for_them(
    store: Store, soak_seconds: Callable[[float], float]
) -> None:
    end, soak = monotonic() + soak_seconds(0), soak_seconds(0) > 0
    while True:
        run_state_machine_as_test(
            lambda: Conversations(store), settings=steps(24 if "PostgreSQL" in store.facts else 80, at_random=soak)
        )
        if monotonic() >= end:
            return


def steps(times: int, *, at_random: bool) -> chances:
    """Return how many times fifty steps, and of what kind: the same in every run of the suite, any in a soak."""
    return chances(
        max_examples=times,
        stateful_step_count=50,
        derandomize=not at_random,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
