"""The simulated carrier network in a process of its own, steered over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from faces.standin import StandIn
from gateway_simulator import Simulator, SimulatorSettings
from nursery import Forked

from gateway import (
    Callee,
    CarrierSession,
    Connect,
    OutboundMessage,
    PermanentSendError,
    Refuse,
    RetryableSendError,
)
from gateway.testing.network import Answer, Network, Request, Takes

KEY = "made-up-key"
ALICE, BOB, MASK = "+12065550101", "+12065550102", "+12065550199"


def carrier(url: str, key: str = KEY) -> Simulator:
    return Simulator(SimulatorSettings(url=url, key=key), CarrierSession())


def message(text: str = "On my way", **kwargs: Any) -> OutboundMessage:
    return OutboundMessage(**{"id": text, "sender": MASK, "recipient": BOB, "text": text, **kwargs})


@pytest.fixture
def gateway() -> Iterator[StandIn]:
    gateway = StandIn(carrier("http://unused.invalid"))
    yield gateway
    gateway.close()


class Remote:
    """A network in a process of its own, steered over HTTP."""

    def __init__(self, webhook: str) -> None:
        command = ["gateway.testing.network", "--key", KEY, "--webhook", webhook]
        self.process = Forked(command, cwd=Path.cwd(), env=os.environ, stdout=subprocess.PIPE)
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    def ask(self, method: str, path: str, value: object = None, key: str = KEY) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            body = None if value is None else json.dumps(value)
            connection.request(method, path, body=body, headers={"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/ledger")[0] == 200
        except OSError:
            return False


@pytest.fixture
def remote(gateway: StandIn) -> Iterator[Remote]:
    remote = Remote(gateway.url)
    yield remote
    remote.process.terminate()
    assert remote.process.wait(10) == 0
    assert remote.process.stdout
    remote.process.stdout.close()


def test_it_runs_on_its_own_and_is_steered_over_http(remote: Remote, gateway: StandIn) -> None:
    status, said = remote.ask("POST", f"/handsets/{ALICE}/text", {"to": MASK, "text": "hello", "repeat": 2})
    assert (status, said["status"], len(said["answers"])) == (200, 200, 2)
    assert [event.carrier_ref for event in gateway.events] == [said["ref"]] * 2
    client = carrier(remote.url)
    remote.ask("POST", "/faults", {"fault": "unavailable", "count": 1})
    with pytest.raises(RetryableSendError):
        client.send(message())
    client.send(message())
    inbox = remote.ask("GET", f"/handsets/{BOB}/inbox?wait=1&timeout=5")[1]["inbox"]
    assert [(text["from"], text["text"]) for text in inbox] == [(MASK, "On my way")]
    records = remote.ask("GET", "/ledger")[1]["records"]
    assert [(record["fate"], record["status"]) for record in records] == [("refused", 503), ("accepted", 202)]
    assert remote.ask("GET", "/ledger?after=1")[1]["records"] == records[1:]


def test_a_remote_call_says_what_became_of_it(remote: Remote, gateway: StandIn) -> None:
    gateway.route = Connect(callees=(Callee(number=BOB, caller_id=MASK),))
    said = remote.ask("POST", f"/handsets/{ALICE}/call", {"to": MASK})[1]
    assert said["route"] == {"connect": [{"number": BOB, "caller_id": MASK}]}
    gateway.route = Refuse(words="No.")
    assert remote.ask("POST", f"/handsets/{ALICE}/call", {"to": MASK})[1]["route"] == {"refuse": "No."}


def test_faults_stay_until_they_are_changed(remote: Remote) -> None:
    client = carrier(remote.url)
    remote.ask("POST", "/faults", {"fault": "refused"})
    for _ in range(3):
        with pytest.raises(PermanentSendError):
            client.send(message())
    remote.ask("POST", "/faults", {"fault": None})
    client.send(message())


def test_a_mix_of_faults_meets_its_share_of_the_sends_and_can_be_repeated(remote: Remote) -> None:
    client = carrier(remote.url)

    def fates() -> list[tuple[str, int]]:
        before = len(remote.ask("GET", "/ledger")[1]["records"])
        remote.ask(
            "POST", "/faults", {"mix": {"unavailable": 0.3, "throttled": 0.3, "slow": 0.2}, "seed": 5, "seconds": 0}
        )
        for number in range(60):
            with contextlib.suppress(RetryableSendError):
                client.send(message(f"{number}"))
        return [(each["fate"], each["status"]) for each in remote.ask("GET", f"/ledger?after={before}")[1]["records"]]

    first = fates()
    assert {status for _, status in first} == {202, 429, 503}
    assert [status for _, status in fates()] == [status for _, status in first]


def test_an_outage_to_order_ends_by_itself(remote: Remote) -> None:
    assert remote.ask("POST", "/pause", {"seconds": 0.1})[0] == 202
    seen = [remote.answers()]
    while seen != [True, False, True]:  # it goes, and comes back
        answers = remote.answers()
        seen += [answers] if answers is not seen[-1] else []


@pytest.mark.parametrize(
    ("method", "path", "value", "status"),
    [
        pytest.param("POST", "/faults", {"fault": "no such"}, 400, id="unknown fault"),
        pytest.param("POST", "/faults", {"mix": ["reset"]}, 400, id="no mix"),
        pytest.param("POST", "/faults", {"mix": {"no such": 0.1}}, 400, id="unknown fault in a mix"),
        pytest.param("POST", "/faults", {"mix": {"reset": "x"}}, 400, id="no share"),
        pytest.param("POST", "/handsets/alice/text", {}, 400, id="no number"),
        pytest.param("POST", f"/handsets/{ALICE}/text", {"to": MASK}, 400, id="no text"),
        pytest.param("GET", f"/handsets/{BOB}/inbox?wait=1&timeout=0.01", None, 504, id="nothing came"),
        pytest.param("GET", "/ledger?after=x", None, 400, id="no such page"),
        pytest.param("PUT", "/ledger", {}, 404, id="unknown"),
    ],
)
def test_control_refuses_in_words(gateway: StandIn, method: str, path: str, value: object, status: int) -> None:
    with Network(KEY, webhook_url=gateway.url, control=True) as network:
        answer = network._serve(_request(method, path, value))
        assert isinstance(answer, Answer)
        assert answer.status == status
        assert "error" in json.loads(answer.body)
        stranger = network._serve(_request(method, path, value, key="other"))
        assert isinstance(stranger, Answer)
        assert stranger.status == 401


@pytest.mark.parametrize(
    ("what", "value", "said"),
    [
        pytest.param("takes", {"how": "sleeps"}, "how is one of answers, busy, declines, ignores", id="unknown how"),
        pytest.param("takes", {"hows": "busy"}, "there is no hows: there are how, keys, after, talks", id="no such"),
        pytest.param("takes", {"keys": "1"}, "keys is a list of strings", id="no list of keys"),
        pytest.param("call", {"to": MASK, "hang_up": True}, "there is no hang_up: there are to, ", id="a call's key"),
    ],
)
def test_what_nobody_would_heed_is_refused_with_the_choices(
    gateway: StandIn, what: str, value: object, said: str
) -> None:
    with Network(KEY, webhook_url=gateway.url, control=True) as network:
        answer = network._serve(_request("PUT" if what == "takes" else "POST", f"/handsets/{BOB}/{what}", value))
        assert isinstance(answer, Answer)
        assert (answer.status, json.loads(answer.body)["error"][: len(said)]) == (400, said)
        assert network.handset(BOB).takes == Takes()


def test_somebody_who_shows_no_number_calls(gateway: StandIn) -> None:
    gateway.route = Refuse(words="No.")
    with Network(KEY, webhook_url=gateway.url, control=True) as network:
        answer = network._serve(_request("POST", "/handsets/anonymous/call", {"to": MASK}))
        assert isinstance(answer, Answer)
        assert [one["who"] for one in json.loads(answer.body)["moments"]] == ["anonymous"] * 2
        assert [(event.caller, event.called) for event in gateway.events[:1]] == [("anonymous", MASK)]


def _request(method: str, path: str, value: object, key: str = KEY) -> Request:
    path, _, query = path.partition("?")
    headers = {"authorization": f"Bearer {key}"}
    return Request(method=method, path=path, query=query, headers=headers, body=json.dumps(value).encode())


def test_it_needs_none_of_the_test_tools() -> None:
    code = """
import sys
import gateway.testing.network.__main__
wrong = {"pytest", "responses", "bottle"} & set(sys.modules)
sys.exit(f"imports {wrong}" if wrong else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
