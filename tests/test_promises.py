"""The promises, under whatever order of things: no text to a wrong person, none lost, none doubled, in order."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import gateways
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from invariants import broken
from scripted import Scripted

from gateway import inbound, sessions
from gateway.errors import NoNumberFree, NumberExists, NumberInUse, NumberUnknown
from gateway.messages import InboundMessage, Rate, Weight
from gateway.records import Message, MessageState, Origin, Outcome, Session
from gateway.settings import read_settings
from gateway.store import Store
from gateway.testing.network import Fault, SimulatorFace

MASKS = [f"+120655501{i:02}" for i in range(4)]
PEOPLE = [f"+120655502{i:02}" for i in range(5)]
STATES = [MessageState.SENT, MessageState.QUEUED, MessageState.UNCERTAIN, MessageState.FAILED, MessageState.PARKED]
RATES = [Rate(per_number=None), Rate(per_number=1), Rate(per_number=10, per_account=5)]


# --- every order of things, one after the other -----------------------------------------------------


@dataclass
class Talk:
    """A session as the model knows it."""

    people: frozenset[str]
    mask: str
    expires_at: int | None
    ended_at: int | None = None

    def lives(self, now: int) -> bool:
        return self.ended_at is None and (self.expires_at is None or self.expires_at > now)

    def end(self, now: int) -> None:
        if self.ended_at is None:
            self.ended_at = now


class Conversations(RuleBasedStateMachine):
    """People who open, end and forget sessions over too few numbers, and a model of who may hear whom."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.store = Store(f"sqlite:///{self.folder}/gateway.db")
        self.settings = read_settings(GATEWAY_QUARANTINE="1h", GATEWAY_VALIDITY="30m")
        self.carrier = Scripted(name="sim")
        self.now = 1_000_000
        self.talks: dict[str, Talk] = {}
        self.numbers: set[str] = set()
        self.held: list[Message] = []
        self.refs = count(1)
        self.seen = 0

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @initialize(numbers=st.sets(st.sampled_from(MASKS), min_size=1))
    def fill(self, numbers: set[str]) -> None:
        for number in numbers:
            self.add(number)

    @rule(number=st.sampled_from(MASKS))
    def add(self, number: str) -> None:
        try:
            self.store.write(lambda tx: tx.add_number(number, "sim", "US", self.now))
            assert number not in self.numbers
        except NumberExists:
            assert number in self.numbers
        self.numbers.add(number)

    @rule(number=st.sampled_from(MASKS))
    def remove(self, number: str) -> None:
        self.sweep()
        busy = any(talk.mask == number and talk.lives(self.now) for talk in self.talks.values())
        try:
            self.store.write(lambda tx: tx.remove_number(number, "sim"))
            assert not busy
            self.numbers.remove(number)
        except NumberInUse:
            assert busy
        except NumberUnknown:
            assert number not in self.numbers

    @rule(pair=st.permutations(PEOPLE), minutes=st.sampled_from([None, 1, 10]))
    def open(self, pair: list[str], minutes: int | None) -> None:
        people = frozenset(pair[:2])
        expires_at = None if minutes is None else self.now + minutes * 60_000
        free = self.numbers - {talk.mask for talk in self.talks.values() if talk.lives(self.now)}
        try:
            opened = self.store.write(
                lambda tx: sessions.open_exclusive(
                    tx,
                    pair[:2],
                    carrier="sim",
                    origin=Origin.V1,
                    expires_at=expires_at,
                    settings=self.settings,
                    now=self.now,
                    start_text="hello",
                )
            )
        except NoNumberFree:
            assert not free
            return
        mask = opened.session.legs[0].mask
        calm = {number for number in free if not self.misread(number, people)}
        assert mask in (calm or free)
        self.talks[opened.session.id] = Talk(people, mask, expires_at)

    def misread(self, number: str, people: frozenset[str]) -> bool:
        """Return whether one of `people` could take what is said on a number for an older conversation."""
        last: dict[str, Talk] = {}
        for talk in self.talks.values():
            if talk.mask == number:
                last |= dict.fromkeys(talk.people, talk)
        others = [last[person] for person in people if person in last and last[person].people != people]
        # one that is over and not marked as ended yet was ended by the very opening that is judged here
        return any((self.now if talk.ended_at is None else talk.ended_at) + 3_600_000 > self.now for talk in others)

    # What is drawn must not depend on how many talks there are: the gateway's choice of masks is its own.
    @rule(nth=st.integers(0, 999))
    def end(self, nth: int) -> None:
        if self.talks:
            id, talk = list(self.talks.items())[nth % len(self.talks)]
            lived = talk.ended_at is None
            session = self.store.read(lambda tx: tx.session(id))
            ended = self.store.write(
                lambda tx: sessions.end(tx, session, "ended", self.settings, self.now, end_text="bye")
            )
            assert ended is lived
            talk.end(self.now)

    @rule(sender=st.sampled_from(PEOPLE), mask=st.sampled_from(MASKS), again=st.integers(1, 3))
    def text_from_anybody(self, sender: str, mask: str, again: int) -> None:
        self.text(sender, mask, again)

    def text(self, sender: str, mask: str, again: int) -> None:
        ref = f"r{next(self.refs)}"
        event = InboundMessage(carrier_ref=ref, sender=sender, recipient=mask, text=f"said {ref}")
        for _ in range(again):
            self.store.write(lambda tx: inbound.message(tx, self.carrier, event, self.settings, self.now))
        rows = self.store.read(lambda tx: tx.query("SELECT * FROM outbox WHERE text = :text", text=event.text))
        heard = [(row["mask"], row["recipient"]) for row in rows]
        expected = [
            (mask, other)
            for talk in self.talks.values()
            if talk.mask == mask and sender in talk.people and talk.lives(self.now)
            for other in talk.people - {sender}
        ]
        assert heard == expected

    @rule(nth=st.integers(0, 2), who=st.integers(0, 1), again=st.integers(1, 2))
    def text_into_a_talk(self, nth: int, who: int, again: int) -> None:
        """A text from somebody who is, or once was, in a conversation: what chance alone would seldom bring."""
        if self.talks:
            newest = list(self.talks.values())[-3:]
            talk = newest[nth % len(newest)]
            self.text(sorted(talk.people)[who], talk.mask, again)

    @rule(seconds=st.sampled_from([0, 1, 30, 90, 700, 4000]), swept=st.booleans())
    def wait(self, seconds: int, swept: bool) -> None:
        self.now += seconds * 1000
        if swept:
            self.sweep()

    def sweep(self) -> None:
        self.store.write(lambda tx: sessions.expire_due(tx, self.settings, self.now))
        self.store.write(lambda tx: tx.expire_messages(self.now))
        self.store.write(lambda tx: tx.forget_leases(self.now))

    @rule(rate=st.sampled_from(RATES), room=st.integers(1, 5))
    def claim(self, rate: Rate, room: int) -> None:
        heads = self.store.write(
            lambda tx: tx.claim("sim", "me", rate=rate, weigh=lambda m: Weight(), room=room, now=self.now)
        )
        lanes = [(m.mask, m.recipient) for m in self.held + heads]
        assert len(lanes) == len(set(lanes))  # one at a time
        self.held += heads

    @rule(state=st.sampled_from(STATES), delay=st.sampled_from([0, 5_000]))
    def settle(self, state: MessageState, delay: int) -> None:
        if self.held:
            message = self.held.pop(0)
            ref = f"c{message.id}" if state is MessageState.SENT else ""
            outcome = Outcome(message=message, state=state, due_at=self.now + delay, carrier_ref=ref)
            self.store.write(lambda tx: tx.settle(outcome, "me", self.now))

    @rule()
    def die(self) -> None:
        self.store.write(lambda tx: tx.take_over("me", 1 << 61, self.now))
        self.held.clear()

    @rule(mask=st.sampled_from(MASKS), delay=st.sampled_from([500, 20_000]))
    def hold_back(self, mask: str, delay: int) -> None:
        self.store.write(lambda tx: tx.hold_back(mask, self.now + delay))

    @invariant()
    def nothing_is_broken(self) -> None:
        assert broken(self.store, self.now) == []
        for talk in self.talks.values():  # whoever looked has ended what was over
            if not talk.lives(self.now) and talk.ended_at is None:
                talk.ended_at = self._ended_at(talk)

    def _ended_at(self, talk: Talk) -> int | None:
        id = next(id for id, one in self.talks.items() if one is talk)
        rows = self.store.read(lambda tx: tx.query("SELECT ended_at FROM sessions WHERE id = :id", id=id))
        return rows[0]["ended_at"]


#: The same steps in every run, though the gateway's choices differ; with `HYPOTHESIS_MAX_EXAMPLES` so many, at random.
Conversations.TestCase.settings = settings(
    max_examples=int(os.environ.get("HYPOTHESIS_MAX_EXAMPLES", "40")),
    derandomize="HYPOTHESIS_MAX_EXAMPLES" not in os.environ,
    stateful_step_count=50,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestConversations = Conversations.TestCase


# --- everybody at once --------------------------------------------------------------------------------


@dataclass
class Said:
    """A text that came in, and the moments between which it did."""

    sender: str
    mask: str
    text: str
    began: int
    done: int = 0


@dataclass
class Lived:
    """A session, and the moments between which it was opened and ended."""

    session: Session
    opening: int
    opened: int
    ending: int = 1 << 60
    ended: int = 1 << 60

    def has(self, said: Said) -> bool:
        return any((leg.mask, leg.participant) == (said.mask, said.sender) for leg in self.session.legs)

    def may_carry(self, said: Said) -> bool:
        return self.has(said) and self.opening < said.done and said.began < self.ended

    def must_carry(self, said: Said) -> bool:
        return self.has(said) and self.opened < said.began and said.done < self.ending


class Crowd:
    """Threads that do everything at once; what each did is written down with the moments around it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.settings = read_settings(GATEWAY_QUARANTINE="1s")
        self.carrier = Scripted(name="sim")
        self.moment = count(1)
        self.said: list[Said] = []
        self.lived: list[Lived] = []
        self.lock = threading.Lock()

    def run(self, seed: int, rounds: int) -> None:
        dice = random.Random(seed)
        for n in range(rounds):
            step = dice.choices([self.open, self.end, self.text, self.move, self.expire], [4, 3, 12, 1, 1])[0]
            step(dice, f"{seed}-{n}", n)

    def open(self, dice: random.Random, name: str, now: int) -> None:
        people, opening = dice.sample(PEOPLE, 2), next(self.moment)
        try:
            opened = self.store.write(
                lambda tx: sessions.open_exclusive(
                    tx, people, carrier="sim", origin=Origin.V1, expires_at=None, settings=self.settings, now=now
                )
            )
        except NoNumberFree:
            return
        with self.lock:
            self.lived.append(Lived(opened.session, opening, next(self.moment)))

    def end(self, dice: random.Random, name: str, now: int) -> None:
        with self.lock:
            going = [one for one in self.lived if one.ended == 1 << 60]
            if not going:
                return
            one = dice.choice(going)
            one.ending = min(one.ending, next(self.moment))
        if self.store.write(lambda tx: sessions.end(tx, one.session, "ended", self.settings, now)):
            one.ended = next(self.moment)

    def text(self, dice: random.Random, name: str, now: int) -> None:
        said = Said(dice.choice(PEOPLE), dice.choice(MASKS), f"said {name}", next(self.moment))
        event = InboundMessage(carrier_ref=name, sender=said.sender, recipient=said.mask, text=said.text)
        for _ in range(dice.randint(1, 2)):
            self.store.write(lambda tx: inbound.message(tx, self.carrier, event, self.settings, now))
            said.done = said.done or next(self.moment)
        self.said.append(said)

    def move(self, dice: random.Random, name: str, now: int) -> None:
        number = dice.choice(MASKS)
        try:
            self.store.write(lambda tx: tx.remove_number(number, "sim"))
            self.store.write(lambda tx: tx.add_number(number, "sim", "US", now))
        except (NumberInUse, NumberUnknown, NumberExists):
            pass

    def expire(self, dice: random.Random, name: str, now: int) -> None:
        self.store.write(lambda tx: tx.forget_leases(now))
        assert broken(self.store, 1 << 61) == []


def test_eight_at_once_cross_no_two_conversations(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/gateway.db")
    store.write(lambda tx: [tx.add_number(mask, "sim", "US", 0) for mask in MASKS])
    crowd = Crowd(store)
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(crowd.run, seed, 250) for seed in range(8)]:
            done.result()
    rows = store.read(lambda tx: tx.query("SELECT * FROM outbox WHERE kind = 'relay'"))
    relayed = {row["text"]: row for row in rows}
    by_id = {one.session.id: one for one in crowd.lived}
    assert len(relayed) == len(rows)  # none twice
    must = 0
    for said in crowd.said:
        row = relayed.get(said.text)
        if row is None:
            lost = [one for one in crowd.lived if one.must_carry(said)]
            assert lost == []
            continue
        must += 1
        carried = by_id[row["session"]]
        assert carried.may_carry(said)
        others = {leg.participant for leg in carried.session.legs} - {said.sender}
        assert {row["recipient"]} == others
        assert row["mask"] == said.mask
    assert broken(store, 1 << 61) == []
    assert must > 50
    assert len(crowd.lived) > 50
    store.close()


# --- kill -9 --------------------------------------------------------------------------------------------

KEY = "simulator-key"
LANES, POSTERS = 12, 4


@contextmanager
def network() -> Iterator[str]:
    """Run the simulated network as a process of its own; yield its URL."""
    command = [sys.executable, "-m", "gateway.testing.network", "--key", KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def steer(url: str, method: str, path: str, body: object = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url + path, data, headers, method=method), timeout=10) as answer:
        return json.load(answer)


def serve(folder: Path, port: int, carrier_url: str, lookup: bool) -> subprocess.Popen[str]:
    """Start the real program and return once it says that it is ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    environment |= {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "GATEWAY_TN_CARRIER": "simulator",
        "GATEWAY_RETRY_BASE": "100ms",
        "SIMULATOR_URL": carrier_url,
        "SIMULATOR_KEY": KEY,
        "SIMULATOR_LOOKUP": str(int(lookup)),
        "PYTHONUNBUFFERED": "1",
        "LOG_LEVEL": "CRITICAL",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve"], env=environment, stdout=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None
    for line in process.stdout:
        if " ready on " in line:
            return process
    raise AssertionError("the gateway did not start")


@dataclass
class Posters:
    """Threads that bring numbered texts, each again until it was answered 200, as carriers do."""

    port: int
    masks: list[str]
    stop: threading.Event = field(default_factory=threading.Event)
    answered: dict[int, int] = field(default_factory=lambda: defaultdict(int))  #: lane -> how many texts

    def people(self, lane: int) -> tuple[str, str, str]:
        """Return sender, recipient and mask of a lane: two lanes, there and back, for each mask."""
        one, other = f"+120655503{lane - lane % 2:02}", f"+120655503{lane - lane % 2 + 1:02}"
        return (one, other, self.masks[lane // 2]) if lane % 2 == 0 else (other, one, self.masks[lane // 2])

    def run(self, first: int) -> None:
        face, url = SimulatorFace(KEY), f"http://127.0.0.1:{self.port}/webhooks/simulator"
        while not self.stop.is_set():
            for lane in range(first, LANES, POSTERS):
                n = self.answered[lane]
                sender, _, mask = self.people(lane)
                said = InboundMessage(carrier_ref=f"{lane}:{n}", sender=sender, recipient=mask, text=f"{lane}:{n}")
                webhook = face.message(url, said)
                while not self.post(webhook.body, webhook.headers):
                    self.stop.wait(0.02)
                self.answered[lane] = n + 1

    def post(self, body: bytes, headers: dict[str, str]) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/webhooks/simulator", body, headers)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def taken(url: str) -> list[dict]:
    """Return the relayed texts in the network's ledger, in order."""
    records, after = [], 0
    while page := steer(url, "GET", f"/ledger?after={after}")["records"]:
        records += page
        after = page[-1]["seq"]
    return [r for r in records if r["fate"] in ("accepted", "doubled") and re.fullmatch(r"\d+:\d+", r["text"])]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(("lookup", "kills", "seed"), [(True, 4, 1), (False, 2, 2)], ids=["asked", "not asked"])
def test_kill_9_loses_nothing(
    tmp_path: Path, lookup: bool, kills: int, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    dice, port = random.Random(seed), free_port()
    masks = [f"+120655504{i:02}" for i in range(LANES // 2)]
    with network() as carrier:
        running = serve(tmp_path, port, carrier, lookup)
        posters = Posters(port, masks)
        mine = f"http://127.0.0.1:{port}"
        for i, mask in enumerate(masks):
            steer(mine, "POST", "/tn", {"value": mask})
            steer(
                mine,
                "POST",
                "/session",
                {"participant_a": posters.people(2 * i)[0], "participant_b": posters.people(2 * i)[1]},
            )
        # each session got one of the numbers: which one is the gateway's choice
        opened = steer(mine, "GET", "/session")["sessions"]
        by_person = {f"+{one['participant_a']}": f"+{one['virtual_tn']}" for one in opened}
        posters.masks[:] = [by_person[posters.people(2 * i)[0]] for i in range(LANES // 2)]
        steer(carrier, "POST", "/faults", {"fault": "slow", "seconds": 0.03})
        with ThreadPoolExecutor(POSTERS) as threads:
            posting = [threads.submit(posters.run, first) for first in range(POSTERS)]
            for _ in range(kills):
                posters.stop.wait(dice.uniform(0.15, 0.6))
                running.send_signal(signal.SIGKILL)
                running.communicate()
                running = serve(tmp_path, port, carrier, lookup)
            posters.stop.wait(0.3)
            posters.stop.set()
            for one in posting:
                one.result()
        expected = {f"{lane}:{n}" for lane, many in posters.answered.items() for n in range(many)}
        for _ in range(150):
            if {record["text"] for record in taken(carrier)} >= expected:
                break
            threading.Event().wait(0.1)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
        assert running.returncode == 0
        records = taken(carrier)
    texts = [record["text"] for record in records]
    doubled = len(texts) - len(set(texts))
    with capsys.disabled():
        how = "asked" if lookup else "not asked"
        print(f"\nkill -9 {kills} times, carrier {how}: {len(expected)} answered 200, ", end="")
        print(f"{len(expected - set(texts))} lost, {doubled} doubled")
    assert set(texts) == expected
    assert doubled <= (0 if lookup else kills * LANES)
    for lane in range(LANES):
        _, recipient, mask = posters.people(lane)
        here = [record for record in records if record["text"].split(":")[0] == str(lane)]
        assert {(record["from"], record["to"]) for record in here} == {(mask, recipient)}
        numbers = [int(record["text"].split(":")[1]) for record in here]
        assert numbers == sorted(numbers)
    store = Store(f"sqlite:///{tmp_path}/gateway.db")
    assert broken(store, 1 << 61) == []
    assert store.read(lambda tx: tx.query("SELECT COUNT(*) AS n FROM lanes"))[0]["n"] == 0
    store.close()


# --- the stop ---------------------------------------------------------------------------------------------


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    with ExitStack() as stack:
        net = stack.enter_context(gateways.network("simulator"))
        carriers = {"simulator": gateways.carrier_for(net, "simulator")}
        running = stack.enter_context(gateways.gateway(tmp_path, carriers, GATEWAY_TN_CARRIER="simulator"))
        gateways.api(running, "POST", "/tn", {"value": MASKS[0]})
        answer = threading.Event()
        net.fail_next(2, Fault.slow(answer))
        pair = {"participant_a": PEOPLE[0], "participant_b": PEOPLE[1]}
        with ThreadPoolExecutor(2) as threads:
            asked = threads.submit(gateways.api, running, "POST", "/session", pair)
            net.wait_for(2)  # the gateway waits for the carrier's answer, and the request for the gateway
            stopped = threads.submit(running.stop)
            while not running._stopping.is_set():
                pass
            answer.set()
            assert asked.result(15)[0] == 200
            stopped.result(15)
