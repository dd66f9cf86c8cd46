"""`gateway serve` as a process: its first words, its locked door, and how it stops."""

from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gateways import TOKEN, api, carrier_for, gateway, network
from nursery import PIPE, Forked
from program import until
from scripted import Scripted

from gateway.doors import closed_doors
from gateway.settings import read_settings
from gateway.testing.network import Fault, Network

pytestmark = pytest.mark.slow

MASK, ANN, BOB = "+12065550199", "+12065550101", "+12065550102"
KEY = "a-long-random-key"
Start = Callable[..., Forked]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `gateway serve` with the variables given and nothing else."""
    running: list[Forked] = []
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("GATEWAY_", "FLOWROUTE_", "SIGNALWIRE_"))}

    def begin(**variables: str) -> Forked:
        environment = kept | {"GATEWAY_LISTEN": "127.0.0.1:0"} | variables
        running.append(Forked(["gateway", "serve"], cwd=tmp_path, env=environment, stdout=PIPE, stderr=PIPE))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate(timeout=20)


@pytest.fixture
def simulated() -> Iterator[tuple[Network, dict[str, str]]]:
    with Network(key="simulator-key") as net:
        yield net, {"SIMULATOR_URL": net.url, "SIMULATOR_KEY": "simulator-key", "GATEWAY_TN_CARRIER": "simulator"}


def ready(process: Forked) -> tuple[list[str], str]:
    """Return the lines until the gateway is ready, and its URL."""
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        if " ready on " in line:
            return lines, line.split()[-1]
    raise AssertionError(process.communicate(timeout=20)[1])


def call(url: str, body: bytes | None = None) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
        return answer.read().decode()


def test_each_start_says_what_it_is_and_ready_comes_last(start: Start, simulated) -> None:
    process = start(**simulated[1])
    lines, url = ready(process)
    words = ["maskgate ", "listens on ", "database: SQLite", "carriers: ", "dialects: ", "outbox: nothing", "auth: OFF"]
    words.append("maskgate ")
    assert [line[: len(word)] for line, word in zip(lines, words, strict=True)] == words
    assert "simulator ready" in lines[3]
    assert "flowroute idle" in lines[3]
    assert "synchronous=FULL" in lines[2]
    assert call(f"{url}/readyz") == '{"status": "ready"}'


def test_ctrl_c_and_sigterm_end_it_cleanly(start: Start, simulated) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start(**simulated[1])
        ready(process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")


def test_what_was_accepted_before_a_stop_is_sent_after_the_next_start(start: Start, simulated, tmp_path: Path) -> None:
    net, variables = simulated
    process = start(**variables)
    _, url = ready(process)
    net.webhook_url = f"{url}/webhooks/simulator"
    call(f"{url}/tn", b'{"value": "12065550199"}')
    call(f"{url}/session", b'{"participant_a": "12065550101", "participant_b": "12065550102"}')
    net.pause()
    assert net.handset(ANN).text(MASK, "kept").status == 200
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0
    net.resume()
    lines, _ = ready(start(**variables))
    assert "outbox: texts wait in 1 lanes" in lines
    assert net.handset(BOB).wait_for(2, timeout=20)[1].text == "kept"


def test_a_port_that_is_taken_is_named(start: Start, simulated) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(**simulated[1], GATEWAY_LISTEN=f"127.0.0.1:{port}")
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"GATEWAY_LISTEN: cannot listen on 127.0.0.1:{port}" in errors
    assert "Traceback" not in errors


def test_an_open_address_without_keys_is_refused_and_all_that_is_missing_named(start: Start) -> None:
    process = start(GATEWAY_LISTEN="0.0.0.0:0", FLOWROUTE_ACCESS_KEY="a", FLOWROUTE_SECRET_KEY="b")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "GATEWAY_API_KEYS" in errors
    assert "GATEWAY_WEBHOOK_TOKEN" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("variables", "signed", "missing"),
    [
        ({"GATEWAY_LISTEN": "127.0.0.1:8000"}, False, ""),
        ({"GATEWAY_LISTEN": "localhost:8000"}, False, ""),
        ({"GATEWAY_LISTEN": "[::1]:8000"}, False, ""),
        ({"GATEWAY_LISTEN": "127.0.0.1:8000", "GATEWAY_PUBLIC_URL": "https://mask.example.com"}, False, "KEY TOK"),
        ({"GATEWAY_LISTEN": "0.0.0.0:8000"}, False, "KEY TOK"),
        ({"GATEWAY_LISTEN": ":8000"}, False, ""),
        ({"GATEWAY_LISTEN": "10.0.0.1:8000", "GATEWAY_API_KEYS": KEY}, False, "TOK"),
        ({"GATEWAY_LISTEN": "0.0.0.0:8000", "GATEWAY_API_KEYS": KEY}, True, ""),
        ({"GATEWAY_LISTEN": "0.0.0.0:8000", "GATEWAY_WEBHOOK_TOKEN": TOKEN}, False, "KEY"),
        ({"GATEWAY_LISTEN": "0.0.0.0:8000", "GATEWAY_API_KEYS": KEY, "GATEWAY_WEBHOOK_TOKEN": TOKEN}, False, ""),
        ({"GATEWAY_LISTEN": "0.0.0.0:8000", "GATEWAY_INSECURE": "1"}, False, ""),
    ],
    ids=str,
)
def test_the_door(variables: dict[str, str], signed: bool, missing: str) -> None:
    carrier = Scripted()
    carrier.signed = signed  # type: ignore[misc]
    words = closed_doors(read_settings(**variables), {"scripted": carrier})
    named = {"KEY": "GATEWAY_API_KEYS:", "TOK": "GATEWAY_WEBHOOK_TOKEN:"}
    assert {short for short, name in named.items() if name in words} == set(missing.split())
    assert bool(words) == bool(missing)


def test_requests_under_way_are_finished_before_it_stops(tmp_path: Path) -> None:
    with network("simulator") as net, ThreadPoolExecutor(2) as threads:
        built = carrier_for(net, "simulator")
        with gateway(tmp_path, {"simulator": built}, GATEWAY_TN_CARRIER="simulator") as running:
            api(running, "POST", "/tn", {"value": MASK})
            gate = threading.Event()
            net.fail_next(1, Fault.slow(gate))
            body = {"participant_a": ANN, "participant_b": BOB}
            waiting = threads.submit(api, running, "POST", "/session", body)  # it waits for the carrier's answer
            net.wait_for(1)
            stopping = threads.submit(running.stop)
            while running.dispatcher.alive and not running.http.is_stopping():
                pass
            gate.set()
            assert waiting.result(20)[0] == 200
            stopping.result(20)


def test_the_dispatcher_is_told_while_requests_wait_for_a_thread(tmp_path: Path) -> None:
    with network("simulator") as net, ThreadPoolExecutor(5) as threads:
        carriers = {"simulator": carrier_for(net, "simulator")}
        with gateway(tmp_path, carriers, GATEWAY_TN_CARRIER="simulator", GATEWAY_THREADS="2") as running:
            assert running.dispatcher._hurried == running.is_hurried
            gate, holds = threading.Event(), threading.Event()
            writer = threads.submit(running.store.write, lambda tx: (holds.set(), gate.wait(20)))
            assert holds.wait(10)
            numbers = [{"value": f"+1206555019{n}"} for n in range(4)]
            waiting = [threads.submit(api, running, "POST", "/tn", number) for number in numbers]
            until(running.is_hurried, "two are being answered, and two wait")
            gate.set()
            assert [one.result(20)[0] for one in waiting] == [200] * 4
            assert not running.is_hurried()
            writer.result(20)


def test_the_dispatcher_is_told_while_many_webhooks_are_taken_and_threads_are_left(tmp_path: Path) -> None:
    with network("simulator") as net, ThreadPoolExecutor(5) as threads:
        carriers = {"simulator": carrier_for(net, "simulator")}
        with gateway(tmp_path, carriers, GATEWAY_TN_CARRIER="simulator", GATEWAY_THREADS="6") as running:
            api(running, "POST", "/tn", {"value": MASK})
            net.webhook_url = f"{running.url}/webhooks/simulator"
            gate, holds = threading.Event(), threading.Event()
            writer = threads.submit(running.store.write, lambda tx: (holds.set(), gate.wait(20)))
            assert holds.wait(10)
            texting = [threads.submit(net.deliver_text, ANN, MASK, f"{n}") for n in range(2)]
            until(lambda: len(running.context.hurry._taking) == 2, "two webhooks are taken")
            assert not running.is_hurried()
            assert [api(running, "POST", "/webhooks/simulator", {"n": n})[0] for n in range(3)] == [403] * 3
            assert not running.is_hurried()
            texting.append(threads.submit(net.deliver_text, BOB, MASK, "2"))
            until(lambda: len(running.context.hurry._taking) == 3, "three of six threads take webhooks")
            assert running.is_hurried()
            assert not running.http.is_hurried()
            gate.set()
            for one in (writer, *texting):
                one.result(20)
            until(lambda: not running.context.hurry._taking, "none is taken")


def test_a_stop_whose_server_has_seen_it_by_itself_is_no_error(tmp_path: Path) -> None:
    with network("simulator") as net, gateway(tmp_path, {"simulator": carrier_for(net, "simulator")}) as running:
        pull = running.http._server.pull_trigger

        def late() -> None:
            running.http._thread.join()
            pull()

        running.http._server.pull_trigger = late
        running.stop()


def test_stopping_twice_is_stopping_once(tmp_path: Path) -> None:
    with network("simulator") as net, gateway(tmp_path, {"simulator": carrier_for(net, "simulator")}) as running:
        running.stop()
        running.stop()


def test_a_signal_that_comes_at_once_is_heard(start: Start, simulated) -> None:
    """A handler in Python may be late by a whole signal: of a hundred such stops one or two hung."""
    for _ in range(4):
        process = start(**simulated[1])
        ready(process)
        process.terminate()
        assert process.wait(timeout=20) == 0


def test_a_second_signal_ends_it_though_a_send_hangs(start: Start, simulated) -> None:
    net, variables = simulated
    process = start(**variables)
    _, url = ready(process)
    net.webhook_url = f"{url}/webhooks/simulator"
    call(f"{url}/tn", b'{"value": "12065550199"}')
    call(f"{url}/session", b'{"participant_a": "12065550101", "participant_b": "12065550102"}')
    gate = threading.Event()
    net.fail_next(1, Fault.slow(gate))
    net.handset(ANN).text(MASK, "kept")
    net.wait_for(3)
    process.terminate()
    assert process.stdout is not None
    assert "stopping" in process.stdout.readline()
    process.terminate()
    assert process.wait(timeout=20) == -signal.SIGTERM
    gate.set()
