"""Calls over real sockets: people on the simulated network, the gateway as it is served, what is known in the end."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from gateways import TOKEN, api, carrier_for, gateway, network
from program import until

from gateway.server import Gateway
from gateway.testing.network import Network, Takes

MASKS = ANNS, BOBS, CARLS = "+12065550191", "+12065550192", "+12065550193"
ANN, BOB, CARL, EVE = "+12065550101", "+12065550102", "+12065550103", "+12065550166"
PIN = "24680135"


@dataclass
class World:
    """A gateway, and the network of its carrier."""

    running: Gateway
    network: Network
    session: str = ""

    def open(self, *people: str, **calls: Any) -> None:
        named = [{"number": who, "mask": mask} for who, mask in zip(people or (ANN, BOB), MASKS, strict=False)]
        named[0]["pin"] = PIN
        status, answer = api(self.running, "POST", "/v1/sessions", {"participants": named, "calls": calls})
        assert status == 201, answer
        self.session = answer["id"]

    def close(self) -> None:
        """Leave nothing behind for the next test but what is over."""
        if self.session:
            api(self.running, "POST", f"/v1/sessions/{self.session}/end", {})
        self.running.store.write(lambda tx: [tx.query(f"DELETE FROM {table}") for table in ("leases", "pin_tries")])

    def last(self) -> dict[str, Any]:
        return api(self.running, "GET", "/v1/calls?limit=1")[1]["data"][0]

    def events(self) -> list[str]:
        found = api(self.running, "GET", f"/v1/events?session={self.session}&limit=200")[1]["data"]
        return [one["kind"] for one in found if one["kind"].startswith(("call.", "recording."))]

    def did(self, who: str) -> list[tuple[str, str]]:
        return [(one.what, one.words) for one in self.network.ledger.moments(who)]

    def heard(self, who: str) -> list[str]:
        return [words for what, words in self.did(who) if what == "hears"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with network("simulator") as net:
        carriers = {"simulator": carrier_for(net, "simulator")}
        with gateway(tmp_path_factory.mktemp("calls"), carriers, GATEWAY_CALL_WORDS="One moment.") as running:
            net.webhook_url = f"{running.url}/webhooks/simulator/{TOKEN}"
            for mask in MASKS:
                assert api(running, "POST", "/v1/pool", {"number": mask, "carrier": "simulator"})[0] == 201
            yield World(running, net)


@pytest.fixture
def world(served: World) -> Iterator[World]:
    made = World(served.running, served.network)
    made.network.ledger._moments.clear()
    for number in (ANN, BOB, CARL, EVE):
        made.network.handset(number).takes = Takes()
        made.network.handset(number)._inbox.clear()
    yield made
    made.network.repeat = 1
    made.close()


@pytest.mark.parametrize("repeat", [1, 5])
def test_accepted(world: World, repeat: int) -> None:
    world.open(accept=True, whisper="A customer.")
    world.network.repeat = repeat
    world.network.handset(ANN).call(ANNS)
    assert world.heard(ANN) == ["One moment."]
    assert world.did(BOB) == [
        ("rings", BOBS), ("answers", ""), ("hears", "A customer. Press 1 to take the call."), ("types", "1"),
        ("talks", BOBS),
    ]  # fmt: skip
    shown = world.last()
    assert (shown["state"], shown["outcome"], shown["answered_by"]) == ("ended", "completed", BOB)
    assert world.events() == ["call.connected", "call.answered", "call.ended"]


@pytest.mark.parametrize(("how", "outcome"), [("busy", "busy"), ("declines", "declined"), ("ignores", "no_answer")])
def test_not_taken(world: World, how: str, outcome: str) -> None:
    world.open(missed_text=True)
    world.network.handset(BOB).takes = Takes(how=how)
    world.network.handset(ANN).call(ANNS)
    assert world.heard(ANN) == ["One moment.", world.running.context.settings.call_unanswered_msg]
    assert (world.last()["state"], world.last()["outcome"]) == ("ended", outcome)
    [text] = world.network.handset(BOB).wait_for(1)
    assert (text.sender, "You missed a call" in text.text) == (BOBS, True)
    assert world.events() == ["call.connected", "call.missed", "call.ended"]


def test_a_mailbox_that_picks_up_is_nobody(world: World) -> None:
    world.open(accept=True, missed_text=True)
    world.network.handset(BOB).takes = Takes(keys=())
    world.network.handset(ANN).call(ANNS)
    assert ("talks", BOBS) not in world.did(BOB)
    assert world.last()["answered_by"] is None
    assert world.last()["outcome"] == "no_answer"
    assert len(world.network.handset(BOB).wait_for(1)) == 1


@pytest.mark.parametrize("repeat", [1, 5])
def test_unanswered_then_a_message_then_a_text(world: World, repeat: int) -> None:
    world.open(voicemail=True)
    world.network.handset(BOB).takes = Takes(how="ignores")
    world.network.repeat = repeat
    world.network.handset(ANN).call(ANNS, message="It is about the order.")
    world.network.repeat = 1
    settings = world.running.context.settings
    asked = f"{settings.call_unanswered_msg} {settings.call_voicemail_msg}"
    assert world.heard(ANN)[:2] == ["One moment.", asked]
    [text] = world.network.handset(BOB).wait_for(1)
    link = text.text.rpartition(" ")[2]
    assert (text.sender, link.startswith(f"{world.running.url}/recordings/")) == (BOBS, True)
    with urllib.request.urlopen(link) as answer:
        assert answer.headers["Content-Type"].startswith("audio/")
        sound = answer.read()
    assert sound
    shown = world.last()
    [kept] = shown["recordings"]
    assert (shown["outcome"], kept["kind"], kept["state"]) == ("no_answer", "voicemail", "ready")
    path = f"/v1/calls/{shown['id']}/recordings/1"
    with urllib.request.urlopen(world.running.url + path) as answer:
        assert answer.read() == sound
    assert api(world.running, "DELETE", path)[0] == 204
    assert api(world.running, "GET", path)[0] == 404
    kinds = ["call.connected", "call.ended", "call.missed", "recording.deleted", "recording.ready"]
    assert sorted(world.events()) == kinds
    until(lambda: "sending" not in _states(world), "all is sent")
    assert len(world.network.handset(BOB).inbox) == 1


def _states(world: World) -> set[str]:
    return {row["state"] for row in world.running.store.read(lambda tx: tx.query("SELECT state FROM outbox"))}


def test_a_recorded_conversation(world: World) -> None:
    world.open(record=True)
    world.network.handset(ANN).call(ANNS)
    told = world.running.context.settings.call_record_msg
    assert world.heard(ANN) == [f"One moment. {told}"]
    assert world.heard(BOB) == [told]
    assert [one["kind"] for one in world.last()["recordings"]] == ["recording"]


def test_a_pin_right_wrong_and_locked(world: World) -> None:
    world.open()
    settings = world.running.context.settings
    world.network.handset(EVE).call(ANNS, keys=["1111", PIN])
    assert world.heard(EVE) == [settings.call_pin_msg, settings.call_pin_wrong_msg, "One moment."]
    assert ("talks", BOBS) in world.did(BOB)
    assert (world.last()["by_pin"], world.last()["answered_by"]) == (True, BOB)
    world.network.repeat = 5  # repeats are no tries
    world.network.handset(CARL).call(ANNS, keys=["1111", "2222", PIN])
    assert (world.last()["by_pin"], world.last()["outcome"]) == (True, "completed")
    world.network.repeat = 1
    world.network.handset("+12065550177").call(ANNS, keys=["1111", "2222", "3333"])
    assert world.heard("+12065550177")[-1] == settings.call_pin_locked_msg
    world.network.handset("+12065550177").call(ANNS, keys=[PIN])
    assert world.heard("+12065550177")[-1] == settings.call_pin_locked_msg
    assert [world.last()[name] for name in ("outcome", "reason")] == ["refused", "pin_locked"]


def test_a_group(world: World) -> None:
    world.open(ANN, BOB, CARL, accept=True)
    world.network.handset(BOB).takes = Takes(keys=())
    world.network.handset(ANN).call(ANNS)
    assert ("talks", CARLS) in world.did(CARL)
    assert ("rings", BOBS) in world.did(BOB)
    assert (world.last()["outcome"], world.last()["answered_by"]) == ("completed", CARL)


def test_nothing_that_is_private_is_logged_or_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    world.open(voicemail=True, missed_text=True, whisper="zebra", words="giraffe")
    world.network.handset(BOB).takes = Takes(how="ignores")
    world.network.handset(EVE).call(ANNS, keys=["1111", PIN], message="lion")
    world.network.handset(BOB).wait_for(2)
    link = world.network.handset(BOB).inbox[-1].text.rpartition("/")[2]
    urllib.request.urlopen(f"{world.running.url}/recordings/{link}").close()
    keys = [row["key"] for row in world.running.store.read(lambda tx: tx.query("SELECT key FROM calls"))]
    events = json.dumps(api(world.running, "GET", "/v1/events?limit=200&after=0")[1])
    private = (ANN, BOB, EVE, ANN[1:], BOB[1:], PIN, "zebra", "giraffe", "lion", link, *keys)
    said = caplog.text + events
    assert [one for one in private if one in said] == []
    assert "call.missed" in caplog.text
