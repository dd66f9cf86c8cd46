"""A town for tests of faults: gateways in processes of their own, the simulated network in another, people who text."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fleet import forked, ready
from nursery import Forked
from program import Program, until

from gateway import sessions
from gateway.messages import InboundMessage
from gateway.records import Origin
from gateway.settings import read_settings
from gateway.store import Store, Tx
from gateway.testing.network import SimulatorFace

KEY = "simulator-key"
URL = "http://gw.example.com/webhooks/simulator"  #: as it is signed, whichever gateway it is brought to
POSTERS = 3  #: threads that bring webhooks


class Net:
    """The simulated network in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Steer it, once it is in service; see `gateway.testing.network.control`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Authorization": f"Bearer {KEY}"}, method=method)
        answers: list[Any] = []

        def answered() -> bool:
            try:
                with urllib.request.urlopen(request, timeout=15) as answer:
                    answers.append(json.load(answer))
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError):
                return False
            return True

        until(answered, "the network answers")
        return answers[0]

    def records(self, after: int = 0) -> list[dict[str, Any]]:
        """Return every request it took after so many, in order."""
        records: list[dict[str, Any]] = []
        while page := self.ask("GET", f"/ledger?after={records[-1]['seq'] if records else after}")["records"]:
            records += page
        return records

    def taken(self, after: int = 0) -> list[dict[str, Any]]:
        """Return the texts it took, doubled ones included, in order."""
        return [record for record in self.records(after) if record["fate"] in ("accepted", "doubled")]


@contextmanager
def network() -> Iterator[Net]:
    """Run the simulated network until the end of the block."""
    command = ["gateway.testing.network", "--key", KEY]
    with Forked(command, cwd=Path.cwd(), env=os.environ, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Net(process.stdout.readline().strip())
        finally:
            process.terminate()


@dataclass(frozen=True)
class Lane:
    """The way from one person to another."""

    sender: str
    mask: str
    recipient: str


def meet(store: Store, pairs: int, carrier: str = "simulator") -> list[Lane]:
    """Open so many sessions, each of two people on a number of their own; return the lanes, there and back."""
    lanes, now, settings = [], time.time_ns() // 1_000_000, read_settings()
    opened = partial(
        sessions.open_exclusive, carrier=carrier, origin=Origin.V1, expires_at=None, settings=settings, now=now
    )
    for n in range(pairs):
        one, other, mask = f"+1206555{2 * n:04}", f"+1206555{2 * n + 1:04}", f"+1206556{n:04}"
        lanes += [Lane(one, mask, other), Lane(other, mask, one)]

    def open_all(tx: Tx) -> None:  # one after the other: the number that was added last is the only free one
        for lane in lanes[::2]:
            tx.add_number(lane.mask, carrier, "US", now)
            opened(tx, [lane.sender, lane.recipient])

    store.write(open_all)
    return lanes


@dataclass
class Talk:
    """What was said, and answered 200."""

    acknowledged: dict[Lane, list[str]] = field(default_factory=lambda: defaultdict(list))  #: in order

    @property
    def texts(self) -> list[str]:
        """Every text that was answered 200."""
        return [text for texts in self.acknowledged.values() for text in texts]


class Town:
    """Gateways on one database, and the lanes that lead through them."""

    def __init__(self, net: Net, lanes: Sequence[Lane], start: Callable[..., Program]) -> None:
        self.net = net
        self.lanes = lanes
        self.doors: list[Program] = []  #: those that take webhooks
        self.dispatchers: list[Program] = []  #: those that send and serve nothing
        self._start = start
        self._names = count(1)

    def open(self, serve: int, dispatch: int) -> None:
        """Start so many that take webhooks, which send too unless others dispatch, and so many of those."""
        self.doors += [self._start("serve", *["--no-dispatch"][:dispatch], name=self._name()) for _ in range(serve)]
        self.add(dispatch)
        for door in self.doors:
            ready(door)

    def add(self, dispatchers: int) -> None:
        """Start so many more dispatchers."""
        new = [self._start("dispatch", name=self._name()) for _ in range(dispatchers)]
        self.dispatchers += [ready(one, " dispatching") for one in new]

    def _name(self) -> str:
        return f"output{next(self._names)}"

    def talk(self, name: str, each: int, *, middle: Callable[[], None]) -> Talk:
        """Bring so many texts of each lane, every one once the one before was answered 200; return what was said.

        `middle` is called when half of it was said, and the talk goes on meanwhile.
        """
        talk, half = Talk(), threading.Event()
        with ThreadPoolExecutor(POSTERS) as threads:
            posting = [
                threads.submit(self._post, talk, self.lanes[first::POSTERS], name, each, half)
                for first in range(POSTERS)
            ]
            half.wait(60)
            middle()
            for one in posting:
                one.result()
        return talk

    def _post(self, talk: Talk, lanes: Sequence[Lane], name: str, each: int, half: threading.Event) -> None:
        face, doors = SimulatorFace(KEY), [urlsplit(door.url).netloc for door in self.doors]
        connections = [http.client.HTTPConnection(door, timeout=10) for door in doors]
        waiting, turns = threading.Event(), cycle(connections)
        for n in range(each):
            for lane in lanes:
                text = f"{name}:{self.lanes.index(lane)}:{n}"
                said = InboundMessage(carrier_ref=text, sender=lane.sender, recipient=lane.mask, text=text)
                webhook = face.message(URL, said)
                while not _answered_200(next(turns), webhook.body, webhook.headers):
                    waiting.wait(0.02)
                talk.acknowledged[lane].append(text)
            if n >= each // 2:
                half.set()
        for connection in connections:
            connection.close()

    def arrived(self, talk: Talk, after: int = 0, seconds: float = 30) -> list[dict[str, Any]]:
        """Wait until the network took all of it; return the texts it took of it, in order."""
        expected, found = set(talk.texts), dict[str, Any]()

        def all_there() -> bool:
            found["taken"] = [record for record in self.net.taken(after) if record["text"] in expected]
            return {record["text"] for record in found["taken"]} >= expected

        until(all_there, "everything arrived", seconds)
        return list(found["taken"])

    def kill(self, number: int) -> None:
        """End a dispatcher by SIGKILL."""
        killed = self.dispatchers.pop(number).running
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait(10)


def _answered_200(connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        connection.request("POST", urlsplit(URL).path, body, dict(headers))
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return False
    return answer.status == 200


def assert_in_order(talk: Talk, arrived: Sequence[Mapping[str, Any]]) -> None:
    """Assert that each lane's texts arrived as they were said, from its mask to its recipient, each once."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in arrived:
        found[record["from"], record["to"]].append(record["text"])
    assert found == {(lane.mask, lane.recipient): texts for lane, texts in talk.acknowledged.items()}


@contextmanager
def town(folder: Path, database_url: str, *, serve: int, dispatch: int, pairs: int, **variables: str) -> Iterator[Town]:
    """Run a town until the end of the block; see `Town.open`. `variables`: for all processes of it."""
    with ExitStack() as stack:
        net = stack.enter_context(network())
        given = {
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_PUBLIC_URL": URL.partition("/webhooks")[0],
            "GATEWAY_INSECURE": "1",
            "GATEWAY_RETRY_BASE": "20ms",
            "SIMULATOR_URL": net.url,
            "SIMULATOR_KEY": KEY,
            "LOG_LEVEL": "ERROR",
        } | variables
        store = Store(database_url, readers=1)
        stack.callback(store.close)
        lanes = meet(store, pairs)
        opened = Town(net, lanes, lambda *args, name: stack.enter_context(forked(folder, given, *args, name=name)))
        opened.open(serve, dispatch)
        yield opened
