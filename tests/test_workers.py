"""`GATEWAY_WORKERS`: several processes on one SQLite file and one socket, and the parent that keeps their number."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from fleet import forked, is_gone, ready, started, workers
from invariants import broken
from ledger import Ledgers
from program import Program, install, until

from gateway.messages import InboundMessage
from gateway.store import Store
from gateway.testing.network import Fault, Network, SimulatorFace
from gateway.workers import SETTLED, Seat

KEY = "simulator-key"
PAIRS = [(f"+120655503{2 * i:02}", f"+120655503{2 * i + 1:02}") for i in range(4)]
MASK, ANN, BOB, CARL = "+12065550199", "+12065550101", "+12065550102", "+12065550103"
TWO = {"GATEWAY_WORKERS": "2", "GATEWAY_TN_CARRIER": "simulator", "GATEWAY_RETRY_BASE": "100ms"}
LINUX = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")


def simulated(net: Network) -> dict[str, str]:
    return TWO | {"SIMULATOR_URL": net.url, "SIMULATOR_KEY": KEY}


def open_session(program: Program, mask: str, one: str, other: str) -> None:
    assert program.ask("POST", "/tn", {"value": mask}) == 200
    assert program.ask("POST", "/session", {"participant_a": one, "participant_b": other}) == 200


# --- a fleet that several tests share -------------------------------------------------------------------


class Fleet:
    """Two workers at a simulated network, with a session for each pair."""

    def __init__(self, folder: Path, net: Network, program: Program) -> None:
        self.folder, self.net, self.program = folder, net, program
        self.masks: dict[tuple[str, str], str] = {}
        for i, (one, other) in enumerate(PAIRS):  # the number that was added last is the only free one
            mask = f"+120655504{i:02}"
            open_session(program, mask, one, other)
            self.masks[one, other] = mask

    def lanes(self) -> list[tuple[str, str, str]]:
        """Return sender, recipient and mask of every lane."""
        both = [[(one, other, mask), (other, one, mask)] for (one, other), mask in self.masks.items()]
        return [lane for pair in both for lane in pair]

    def post(self, said: InboundMessage) -> bool:
        """Bring a text as a carrier does. Return whether it was answered 200."""
        webhook = SimulatorFace(KEY).message(f"{self.program.url}/webhooks/simulator", said)
        try:
            with urlopen(Request(webhook.url, webhook.body, dict(webhook.headers)), timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def talk(self, phase: str, texts: int, dice: random.Random) -> None:
        """Let every lane of one thread say numbered texts, each until it is taken, some more than once."""
        for n in range(texts):
            for lane, (sender, _, mask) in enumerate(self.lanes()):
                if lane % 4 == int(phase[-1]):
                    ref = f"{phase[:-1]}:{lane}:{n}"
                    said = InboundMessage(carrier_ref=ref, sender=sender, recipient=mask, text=ref)
                    while not self.post(said):
                        threading.Event().wait(0.02)
                    for _ in range(dice.choice([0, 0, 0, 1, 2])):
                        self.post(said)

    def logged(self) -> list[str]:
        """Return the sessions whose opening was logged, in that order."""
        return re.findall(r"session\.opened: session (\w+)", self.program.output)

    def taken(self, phase: str) -> list[str]:
        """Return the texts of a phase that the network took, in its order."""
        texts = [record.send.text for record in self.net.accepted() if record.send]
        return [text for text in texts if text.startswith(f"{phase}:")]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with Network(key=KEY) as net, started(folder, simulated(net), "serve") as program:
        yield Fleet(folder, net, ready(program))


def test_the_first_words_come_once_and_ready_comes_last(fleet: Fleet) -> None:
    lines = fleet.program.output.splitlines()
    end = next(i for i, line in enumerate(lines) if " ready on " in line)
    words = [line for line in lines[: end + 1] if " INFO " not in line]
    assert [line.split()[0] for line in words] == [
        "maskgate", "listens", "database:", "carriers:", "dialects:", "outbox:", "auth:", "maskgate"
    ]  # fmt: skip
    assert words[1].endswith(f"{fleet.program.url} with 2 processes, carriers call {fleet.program.url}")


@LINUX
def test_the_parent_has_one_thread_and_no_database_so_a_fork_copies_nothing_half_done(fleet: Fleet) -> None:
    status = Path(f"/proc/{fleet.program.running.pid}/status").read_text()
    assert re.search(r"^Threads:\s+(\d+)", status, re.MULTILINE)[1] == "1"  # type: ignore[index]
    assert not [target for target in open_files(fleet.program.running.pid) if "gateway.db" in target]
    for pid in workers(fleet.program).values():
        assert [target for target in open_files(pid) if "gateway.db" in target]


def open_files(pid: int) -> list[str]:
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(link))
        except OSError:
            continue
    return found


@LINUX
def test_both_workers_serve(fleet: Fleet) -> None:
    def sockets() -> list[int]:
        return [sum(one.startswith("socket:") for one in open_files(pid)) for pid in workers(fleet.program).values()]

    before = sockets()
    host, _, port = fleet.program.url.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        for _ in range(60):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert all(now > then for now, then in zip(sockets(), before, strict=True))


def test_a_session_waits_for_an_answer_whichever_worker_sends(fleet: Fleet) -> None:
    fleet.program.ask("POST", "/tn", {"value": MASK})
    fleet.net.faults = lambda send: Fault.refused() if send.recipient == CARL else Fault.slow(0.05)
    for other in (BOB, CARL) * 4:
        began = time.monotonic()
        status = fleet.program.ask("POST", "/session", {"participant_a": ANN, "participant_b": other})
        assert time.monotonic() - began < 4  # of the 5 s after which it would be told without an answer
        assert status == (500 if other == CARL else 200), fleet.program.answers[-1]
        for session in re.findall(r'"session_id": "(\w+)"', fleet.program.answers[-1][2]):
            assert fleet.program.ask("DELETE", "/session", {"session_id": session}) == 200
    fleet.net.faults = None


@pytest.mark.parametrize("kill", [False, True], ids=["left in peace", "one is killed"])
def test_nothing_is_lost_doubled_or_out_of_order(fleet: Fleet, ledgers: Ledgers, kill: bool) -> None:
    phase, texts = ("killed" if kill else "calm"), 30
    fleet.net.faults = lambda send: Fault.slow(0.01)
    victim = workers(fleet.program)[1]
    with ThreadPoolExecutor(4) as threads:
        talks = [threads.submit(fleet.talk, f"{phase}{i}", texts, random.Random(i)) for i in range(4)]
        if kill:
            until(lambda: len(fleet.taken(phase)) > 60, "a quarter was sent")
            os.kill(victim, signal.SIGKILL)
        for talk in talks:
            talk.result()
    said = [f"{phase}:{lane}:{n}" for lane in range(8) for n in range(texts)]
    until(lambda: {*fleet.taken(phase)} >= {*said}, "everything was sent")
    fleet.net.faults = None
    accepted = fleet.taken(phase)
    ledger = ledgers.reconcile(f"2 workers, sqlite, {phase}", sent=said, acknowledged=said, accepted=accepted)
    assert (ledger.lost, ledger.doubled) == (0, 0)
    for lane, (_, recipient, mask) in enumerate(fleet.lanes()):
        here = [r for r in fleet.net.accepted() if r.send and r.send.text.startswith(f"{phase}:{lane}:")]
        assert [r.send.text for r in here] == [f"{phase}:{lane}:{n}" for n in range(texts)]
        assert {(r.send.sender, r.send.recipient) for r in here} == {(mask, recipient)}
    if kill:
        fleet.program.says(f"worker 1 (pid {victim}) was ended by signal 9")
        until(lambda: workers(fleet.program)[1] != victim, "it is replaced")
    store = Store(f"sqlite:///{fleet.folder}/gateway.db")
    until(lambda: not store.read(lambda tx: tx.lanes_waiting()), "every lane is settled")
    assert broken(store, 1 << 61) == []
    store.close()


def test_what_happens_while_a_worker_is_replaced_is_logged_once(fleet: Fleet) -> None:
    victim = workers(fleet.program)[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: is_gone(victim), "it is dead")
    fleet.program.ask("POST", "/tn", {"value": "+12065550190"})
    fleet.program.ask("POST", "/session", {"participant_a": ANN, "participant_b": BOB})
    until(lambda: workers(fleet.program)[0] != victim, "it is replaced")
    store = Store(f"sqlite:///{fleet.folder}/gateway.db")
    events = store.read(lambda tx: tx.events(count=10_000))
    opened = [event["session"] for event in events if event["kind"] == "session.opened"]
    store.close()
    until(lambda: {*fleet.logged()} >= {*opened}, "all are logged")
    assert fleet.logged() == opened


# --- how it starts and ends -----------------------------------------------------------------------------


def test_a_stop_ends_every_process_and_loses_nothing_though_each_is_told_twice(tmp_path: Path) -> None:
    """An init system tells the whole group, and the parent tells its workers again: that is no second signal."""
    with Network(key=KEY) as net, forked(tmp_path, simulated(net), "serve") as program:
        ready(program)
        net.webhook_url = f"{program.url}/webhooks/simulator"
        open_session(program, MASK, ANN, BOB)
        gate = threading.Event()
        net.fail_next(1, Fault.slow(gate))
        assert net.handset(ANN).text(MASK, "on its way").status == 200
        net.wait_for(3)
        os.killpg(program.running.pid, signal.SIGTERM)
        program.says("stopping: requests finish, sends settle")
        host, _, port = program.url.removeprefix("http://").partition(":")
        until(lambda: refuses(host, int(port)), "nobody new is let in", seconds=8)
        for pid in workers(program).values():
            with suppress(ProcessLookupError):  # one of them has nothing to finish
                os.kill(pid, signal.SIGTERM)
        gate.set()
        assert program.running.wait(30) == 0
        assert program.output.count(") ended with exit status 0") == 2  # the parent has waited for both
        assert all(is_gone(pid) for pid in workers(program).values())
        assert net.handset(BOB).wait_for(2)[1].text == "on its way"
        assert "Traceback" not in program.output
        # an event is logged once, though both worked on one table
        assert [program.output.count(f"session.{what}: ") for what in ("opened", "ended")] == [1, 0]
    store = Store(f"sqlite:///{tmp_path}/gateway.db")
    assert store.read(lambda tx: tx.lanes_waiting()) == 0
    store.close()


def refuses(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return True
    return False


def test_workers_end_by_themselves_when_their_parent_was_killed(tmp_path: Path) -> None:
    with Network(key=KEY) as net, forked(tmp_path, simulated(net), "serve") as program:
        ready(program)
        program.running.kill()
        until(lambda: all(is_gone(pid) for pid in workers(program).values()), "they are gone")


def test_a_second_signal_ends_all_of_them_though_a_send_hangs(tmp_path: Path) -> None:
    with Network(key=KEY) as net, forked(tmp_path, simulated(net), "serve") as program:
        ready(program)
        net.webhook_url = f"{program.url}/webhooks/simulator"
        open_session(program, MASK, ANN, BOB)
        gate = threading.Event()
        net.fail_next(1, Fault.slow(gate))
        net.handset(ANN).text(MASK, "x")
        net.wait_for(3)
        program.running.send_signal(signal.SIGINT)
        program.says("stopping")
        program.running.send_signal(signal.SIGINT)
        assert program.running.wait(20) == -signal.SIGINT
        until(lambda: all(is_gone(pid) for pid in workers(program).values()), "they are gone")
        gate.set()


#: A carrier that can be built by the parent and by no worker.
SHY = """
import os

import gateway

PARENT = os.getpid()


class Settings(gateway.CarrierSettings):
    model_config = {"env_prefix": "SHY_"}
    key: str


class Shy(gateway.Carrier):
    name = "shy"
    Settings = Settings
    channels = frozenset({gateway.Channel.SMS})
    signed = True

    def __init__(self, settings, http):
        super().__init__(settings, http)
        if os.getpid() != PARENT:
            raise RuntimeError(settings.key)

    def verify(self, request): ...
    def parse(self, request): return ()
    def send(self, message): ...


@gateway.hookimpl
def register_carriers(register):
    register(Shy)
"""


def test_a_worker_that_cannot_start_ends_the_start_in_its_words(tmp_path: Path) -> None:
    install(tmp_path / "site", "shy", SHY)
    given = {"GATEWAY_WORKERS": "2", "SHY_KEY": "a-secret-of-shy", "PYTHONPATH": str(tmp_path / "site")}
    with forked(tmp_path, given, "serve") as program:
        assert program.running.wait(30) == 2
        assert "gateway: maskgate-shy fails with RuntimeError: a fault in the plugin" in program.output
        assert " ready on " not in program.output
        assert "a-secret-of-shy" not in program.output
        assert all(is_gone(pid) for pid in workers(program).values())


def test_what_is_wrong_with_the_settings_is_said_before_anything_is_forked(tmp_path: Path) -> None:
    given = {"GATEWAY_WORKERS": "2", "GATEWAY_LISTEN": "0.0.0.0:0", "FLOWROUTE_ACCESS_KEY": "a"}
    with forked(tmp_path, given, "serve") as program:
        assert program.running.wait(30) == 2
        assert "FLOWROUTE_SECRET_KEY: is missing" in program.output
        assert not workers(program)


# --- when a seat is taken again -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lives", "pauses"),
    [
        ([SETTLED], [0]),
        ([0, 0, 0, 0, 0, 0, 0], [1, 2, 4, 8, 16, 30, 30]),
        ([0, 0, SETTLED, 0], [1, 2, 0, 1]),
        ([SETTLED - 0.1, SETTLED + 0.1], [1, 0]),
    ],
    ids=["lived long", "dies at once, again and again", "lives in between", "just so"],
)
def test_who_dies_soon_after_the_start_is_replaced_later_and_later(lives: list[float], pauses: list[float]) -> None:
    seat, now, found = Seat(0), 100.0, []
    for life in lives:
        seat.pid, seat.since = 4242, now
        now += life
        seat.leave(now)
        assert seat.pid == 0
        found.append(seat.due - now)
    assert found == pytest.approx(pauses)
