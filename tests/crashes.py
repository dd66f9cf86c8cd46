"""For crash tests: `gateway serve` processes that are killed, a carrier that outlives them, and numbered texts.

    def test_a_gateway_that_is_killed_loses_nothing(scene, database_url, ledgers):
        here = scene(database_url)
        with here.under_load():
            here.gateways[0].kill()
            here.gateways[0].start()
        ledger = here.settle(ledgers, "kill -9, sqlite")

Every text says `lane:n`, and is posted again until it was answered 200, as carriers do: the network's book must hold
each that was, in order, as often as the test allows.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from invariants import broken
from ledger import Ledger, Ledgers
from nursery import Forked
from program import Program, environment, until

from gateway.messages import InboundMessage
from gateway.store import Store
from gateway.testing.network import SimulatorFace

KEY = "simulator-key"
PUBLIC_URL = "http://gateway.example.com"  #: what the carrier signs; whichever gateway it is posted to
WEBHOOK = "/webhooks/simulator"
LANES, POSTERS = 12, 4
NEVER = 1 << 61  #: ms; later than anything is due
SOON = 15  #: seconds: before a claim runs out, for which nobody should have to wait

Json = dict[str, Any]


def ask(url: str, method: str, path: str, body: object = None) -> Json:
    """Call an API, the gateway's or the network's, and return its answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url + path, data, headers, method=method), timeout=15) as answer:
        found: Json = json.load(answer)
        return found


class Book:
    """The ledger of a simulated network that is a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._records: list[Json] = []
        self._read = 0

    def slow(self, seconds: float) -> None:
        """Let the network take every text at once and answer so much later."""
        ask(self.url, "POST", "/faults", {"fault": "slow", "seconds": seconds})

    def taken(self) -> list[Json]:
        """Return the numbered texts that were taken, in order, each as often as it was."""
        while page := ask(self.url, "GET", f"/ledger?after={self._read}")["records"]:
            self._read = page[-1]["seq"]
            kept = ("accepted", "doubled")
            self._records += [r for r in page if r["fate"] in kept and re.fullmatch(r"\d+:\d+", r["text"])]
        return self._records


class Serving:
    """One `gateway serve`, which can be killed and started again. It listens somewhere else each time."""

    def __init__(
        self,
        folder: Path,
        name: str,
        variables: Mapping[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        self._folder, self._name, self._prefix = folder, name, prefix
        self._variables = environment(variables)
        self._starts = 0
        self.first = ""  #: source text that is run before the program when it is started again
        self.program: Program | None = None
        self.place = ("", 0)  #: host and port; the last one while it is down

    @property
    def running(self) -> Any:
        """The process, or what is left of it."""
        assert self.program is not None
        return self.program.running

    def start(self) -> None:
        """Start it, and return when it serves."""
        self.begin()
        self.ready()

    def begin(self) -> None:
        """Start it."""
        self._starts += 1
        path = self._folder / f"{self._name}-{self._starts}.log"
        self.program = Program(self._run(path), path)

    def ready(self) -> None:
        """Wait until it serves."""
        program = self.program
        assert program is not None
        until(lambda: " ready on " in program.output or self.running.poll() is not None, "it is ready", 30)
        assert self.running.poll() is None, program.output
        url = urlsplit(program.url)
        self.place = (str(url.hostname), int(url.port or 0))

    def _run(self, path: Path) -> Any:
        first = self.first if self._starts > 1 else ""
        with path.open("wb") as output:
            more: Any = {"cwd": self._folder, "env": self._variables, "stdout": output, "stderr": subprocess.STDOUT}
            if not self._prefix or self._starts > 1:
                return Forked(["gateway", "serve"], **more, first=first)
            return subprocess.Popen([*self._prefix, sys.executable, "-m", "gateway", "serve"], **more)

    def kill(self) -> None:
        """Kill it, as nothing can be that wants to end well."""
        self.running.kill()
        self.running.wait(30)

    def stop(self) -> None:
        """Stop it as an operator does."""
        self.running.send_signal(signal.SIGTERM)
        assert self.running.wait(40) == 0, self.lines

    @property
    def lines(self) -> list[str]:
        """What it has printed, since it was started last."""
        assert self.program is not None
        return self.program.output.splitlines()


@dataclass
class Posters:
    """Threads that bring numbered texts to the gateways, as a carrier behind a proxy does."""

    gateways: Sequence[Serving]
    pause: float = 0.02  #: seconds that a thread waits after each answer
    once: frozenset[int] = frozenset()  #: lanes whose texts do not come again after a 503
    masks: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    give_up: bool = False  #: on texts that are not taken, too
    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)  #: answered 503, and then not posted again
    answers: Counter[int] = field(default_factory=Counter)  #: by status; 0: none
    odd: list[str] = field(default_factory=list)  #: answers that nobody should get
    taken: threading.Condition = field(default_factory=threading.Condition)  #: notified of every 200
    _next: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def pair(self, lane: int) -> tuple[str, str, str]:
        """Return sender, recipient and mask of a lane: two lanes, there and back, for each mask."""
        people = [f"+120655503{lane - lane % 2 + i:02}" for i in range(2)]
        sender, recipient = people if lane % 2 == 0 else people[::-1]
        return sender, recipient, self.masks[lane // 2]

    def open(self) -> None:
        """Put numbers into the pool and open the sessions."""
        url = "http://{}:{}".format(*self.gateways[0].place)
        for i in range(LANES // 2):
            ask(url, "POST", "/tn", {"value": f"+120655504{i:02}"})
        self.masks = [""] * (LANES // 2)
        for i in range(LANES // 2):
            sender, recipient, _ = self.pair(2 * i)
            ask(url, "POST", "/session", {"participant_a": sender, "participant_b": recipient})
        # each session got one of the numbers: which one is the gateway's choice
        for one in ask(url, "GET", "/session")["sessions"]:
            self.masks[int(one["participant_a"][-2:]) // 2] = f"+{one['virtual_tn']}"

    def run(self, first: int) -> None:
        """Post one text after the other to every `POSTERS`th lane."""
        while not self.stop.is_set():
            for lane in range(first, LANES, POSTERS):
                self._bring(lane, f"{lane}:{self._next[lane]}")
                self._next[lane] += 1

    def _bring(self, lane: int, text: str) -> None:
        sender, _, mask = self.pair(lane)
        said = InboundMessage(carrier_ref=text, sender=sender, recipient=mask, text=text)
        webhook = SimulatorFace(KEY).message(PUBLIC_URL + WEBHOOK, said)
        self.sent.add(text)
        end, tries = monotonic() + 60, lane
        while (status := self._post(self.gateways[tries % len(self.gateways)], webhook.body, webhook.headers)) != 200:
            if status == 503 and lane in self.once:
                self.refused.add(text)
                break
            if self.give_up or monotonic() > end:
                raise TimeoutError(f"text {text} was not taken, at last with {status}")
            tries += 1
            threading.Event().wait(2 * self.pause)
        else:
            self.acknowledged.add(text)
            with self.taken:
                self.taken.notify_all()
        self.stop.wait(self.pause)

    def _post(self, gateway: Serving, body: bytes, headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection(*gateway.place, timeout=15)
        try:
            connection.request("POST", WEBHOOK, body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.answers[0] += 1
            return 0
        finally:
            connection.close()
        self.answers[answer.status] += 1
        if answer.status != 200 and not (answer.status == 503 and answer.headers["Retry-After"]):
            self.odd.append(f"{answer.status} {answer.headers}")
        return answer.status


@dataclass
class Scene:
    """Gateways on one database, the network behind them, and those who text."""

    database_url: str
    book: Book
    gateways: list[Serving]
    posters: Posters

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """Let texts come in throughout the block."""
        self.posters.stop.clear()
        with ThreadPoolExecutor(POSTERS) as threads:
            posting = [threads.submit(self.posters.run, first) for first in range(POSTERS)]
            try:
                yield
            except BaseException:
                self.posters.give_up = True
                raise
            finally:
                self.posters.stop.set()
        for one in posting:
            one.result()

    def wait_for(self, status: int, count: int = 1) -> None:
        """Wait until so many more answers of a status have come."""
        enough = self.posters.answers[status] + count
        until(lambda: self.posters.answers[status] >= enough, f"{count} are answered {status}", 60)

    def wait_for_a_moment(self, chance: Random, most: float, *, at_an_answer: bool) -> None:
        """Wait for a random time (seconds); with `at_an_answer`, until a 200 has just been given, to be believed."""
        threading.Event().wait(chance.uniform(0.1, most))
        if at_an_answer:
            with self.posters.taken:
                assert self.posters.taken.wait(30)

    def settle(self, ledgers: Ledgers, name: str, note: str = "") -> Ledger:
        """Wait until all that was acknowledged is with the carrier, stop the gateways, and compare.

        Asserts what holds without exception: the order in every lane, who gets what from which mask, the rules of the
        tables, and that nothing is left in them.
        """
        try:
            until(self._is_all_there, "everything that was acknowledged is with the carrier", SOON)
        except TimeoutError:
            self.reconcile(ledgers, name, note)  # it says how much is not
            raise
        for gateway in self.gateways:
            gateway.stop()
        self.judge_tables()
        return self.reconcile(ledgers, name, note)

    def reconcile(self, ledgers: Ledgers, name: str, note: str = "") -> Ledger:
        """Compare what was acknowledged with the network's book."""
        book, posters = self.book.taken(), self.posters
        texts = [record["text"] for record in book]
        ledger = ledgers.reconcile(
            name, sent=posters.sent, acknowledged=posters.acknowledged, accepted=texts, note=note or self._note()
        )
        assert set(texts) <= posters.acknowledged  # in the end: what was posted again and again was acknowledged
        for lane in range(LANES):
            _, recipient, mask = posters.pair(lane)
            here = [record for record in book if record["text"].split(":")[0] == str(lane)]
            assert {(record["from"], record["to"]) for record in here} <= {(mask, recipient)}
            numbers = [int(record["text"].split(":")[1]) for record in here]
            assert numbers == sorted(numbers), f"lane {lane}"
        assert posters.odd == []
        return ledger

    def judge_tables(self) -> None:
        """Assert that the tables are as they must be, with nothing waiting in them."""
        store = Store(self.database_url)
        try:
            assert broken(store, NEVER) == []
            assert store.read(lambda tx: tx.lanes_waiting()) == 0
            states = store.read(lambda tx: tx.query("SELECT DISTINCT state FROM outbox"))
            assert {row["state"] for row in states} == {"sent"}
        finally:
            store.close()

    def _is_all_there(self) -> bool:
        there = {record["text"] for record in self.book.taken()}
        return self.posters.acknowledged <= there and look(self.database_url, "SELECT COUNT(*) FROM lanes") == [(0,)]

    def _note(self) -> str:
        answers = self.posters.answers
        return f"{answers[200]} x 200, {answers[503]} x 503, {answers[0]} x no answer"


def look(database_url: str, sql: str) -> list[tuple[Any, ...]]:
    """Run a query from outside, on a connection of its own that nobody is in the way of."""
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(database_url.partition("///")[2])) as file:
            return file.execute(sql).fetchall()
    with psycopg.connect(database_url, autocommit=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """Return the book of a simulated network, which runs until the end of the test."""
    output = tmp_path / "network.log"
    command = ["gateway.testing.network", "--key", KEY]
    with output.open("wb") as file:
        running = Forked(command, cwd=tmp_path, env=environment({}), stdout=file, stderr=subprocess.STDOUT)
    until(lambda: output.read_text().endswith("\n"), "the network runs")
    yield Book(output.read_text().strip())
    running.kill()


@pytest.fixture
def scene(book: Book, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Return a maker of a scene on a database, with sessions that are open; everything is cleared away at the end."""
    started: list[Serving] = []

    def make(
        database_url: str,
        *,
        gateways: int = 1,
        slow: float = 0.03,
        prefix: Sequence[str] = (),
        once: frozenset[int] = frozenset(),
        **variables: str,
    ) -> Scene:
        given = {
            "GATEWAY_API_KEYS": KEY,
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_LISTEN": "127.0.0.1:0",
            "GATEWAY_PUBLIC_URL": PUBLIC_URL,
            "GATEWAY_RETRY_BASE": "300ms",
            "GATEWAY_TN_CARRIER": "simulator",
            "LOG_LEVEL": "WARNING",
            "PYTHONUNBUFFERED": "1",
            "SIMULATOR_KEY": KEY,
            "SIMULATOR_URL": book.url,
        }
        for i in range(gateways):
            started.append(Serving(tmp_path, f"gateway{i}", given | variables, prefix))
            started[i].start()
        posters = Posters(started, once=once)
        posters.open()
        book.slow(slow)
        return Scene(database_url, book, started, posters)

    yield make
    for gateway in started:
        gateway.kill()
