"""The promises of the program as a whole: what was answered 200 is sent, whoever kills it; who asks gets an answer."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gateways
import pytest
from invariants import broken

from gateway.messages import InboundMessage
from gateway.store import Store
from gateway.testing.network import Fault, SimulatorFace

MASKS = [f"+120655501{i:02}" for i in range(4)]
PEOPLE = [f"+120655502{i:02}" for i in range(5)]

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
