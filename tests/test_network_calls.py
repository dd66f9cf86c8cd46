"""Calls on the simulated network, over real sockets: what people do, hear and see, and what the gateway is told."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from faces.standin import StandIn
from gateway_simulator import Simulator, SimulatorSettings
from voice.people import PIN, Core

from gateway import (
    AskPin,
    Callee,
    CallOutcome,
    CallProgress,
    CallRoute,
    CallState,
    CallStep,
    CarrierSession,
    Connect,
    PermanentSendError,
    Recording,
    RecordingKind,
    RecordingReport,
    RecordingState,
    Refuse,
    Step,
    TakeMessage,
)
from gateway.testing.network import Moment, Network, Takes, words_of

KEY = "made-up-key"
ANN, BOB, CARL, MASK = "+12065550101", "+12065550102", "+12065550103", "+12065550199"
MASKS = {BOB: "+12065550191", CARL: "+12065550192"}
WORDS, WHISPER, LEAVE, THANKS = "Your driver.", "A call. Press 1.", "After the tone.", "Thanks."
NOW = 1_767_323_045_000


@dataclass
class World:
    """A network, its carrier, and a gateway that answers each turn of a call as the core would."""

    network: Network
    carrier: Simulator
    gateway: StandIn

    def answers(self, route: CallRoute, then: CallRoute | None = None) -> Core:
        core = Core(self.carrier, route, then)
        self.gateway.route, self.gateway.next = route, core.answer
        return core

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.gateway.events if isinstance(event, kind)]

    def did(self, who: str) -> list[tuple[str, str]]:
        return [(one.what, one.words) for one in self.network.ledger.moments(who)]

    @property
    def callback(self) -> str:
        return self.gateway.url.replace("/webhooks/carrier", "/webhooks/simulator/call-k3y")


@pytest.fixture(scope="module")
def line() -> Iterator[tuple[Network, Simulator, StandIn]]:
    with Network(KEY, clock=lambda: NOW, control=True) as network:
        carrier = Simulator(SimulatorSettings(url=network.url, key=KEY), CarrierSession())
        gateway = StandIn(carrier)
        network.webhook_url = gateway.url
        yield network, carrier, gateway
        gateway.close()


@pytest.fixture
def world(line: tuple[Network, Simulator, StandIn]) -> Iterator[World]:
    network, carrier, gateway = line
    gateway.events.clear()
    network.ledger._moments.clear()
    for number in (ANN, BOB, CARL):
        network.handset(number)._rings.clear()
        network.handset(number).takes = Takes()
    yield World(network, carrier, gateway)
    network.repeat = 1


def connect(world: World, *numbers: str, **options: Any) -> Connect:
    callees = tuple(
        Callee(number=number, caller_id=MASKS[number], position=place) for place, number in enumerate(numbers, 1)
    )
    message = TakeMessage(words=LEAVE, goodbye=THANKS, callback=world.callback)
    return Connect(callees=callees, callback=world.callback, **{"words": WORDS, "unanswered": message, **options})


def progress(world: World) -> list[tuple[int | None, CallState, CallOutcome | None]]:
    return [(one.callee, one.state, one.outcome) for one in world.told(CallProgress)]


RINGING, ANSWERED, ENDED = CallState.RINGING, CallState.ANSWERED, CallState.ENDED


def test_a_call_is_answered_and_each_sees_the_mask_alone(world: World) -> None:
    world.answers(connect(world, BOB))
    call = world.network.handset(ANN).call(MASK)
    assert world.did(ANN) == [("hears", WORDS), ("talks", MASK), ("hangs up", "")]
    assert world.did(BOB) == [("rings", MASKS[BOB]), ("answers", ""), ("talks", MASKS[BOB])]
    assert progress(world) == [
        (1, RINGING, None),
        (1, ANSWERED, None),
        (1, ENDED, CallOutcome.COMPLETED),
        (None, ENDED, CallOutcome.COMPLETED),
    ]
    assert [one.seconds for one in world.told(CallProgress)] == [None, None, 60, 63]
    [step] = world.told(CallStep)
    assert (step.step, step.connected) == (Step.DIALLED, True)
    assert call.moments == world.network.ledger.moments()
    assert call.moments[-1] == Moment(at=NOW + 63_000, ref=call.delivery.ref, who=ANN, what="hangs up")


def test_a_callee_accepts_after_hearing_who_it_is(world: World) -> None:
    core = world.answers(connect(world, BOB, whisper=WHISPER, accept=True))
    world.network.handset(ANN).call(MASK, hangs_up=True)
    assert core.accepted
    assert world.did(BOB)[2:] == [("hears", WHISPER), ("types", "1"), ("talks", MASKS[BOB])]
    assert [step.step for step in world.told(CallStep)] == [Step.SCREEN, Step.SCREENED]
    assert [step.callee for step in world.told(CallStep)] == [1, 1]


def test_a_whisper_alone_needs_no_key(world: World) -> None:
    world.answers(connect(world, BOB, whisper=WHISPER))
    world.network.handset(ANN).call(MASK)
    assert world.did(BOB)[2:] == [("hears", WHISPER), ("talks", MASKS[BOB])]


@pytest.mark.parametrize("keys", [(), ("2",)], ids=["a mailbox", "another key"])
def test_who_does_not_press_1_is_not_connected(world: World, keys: tuple[str, ...]) -> None:
    world.answers(connect(world, BOB, whisper=WHISPER, accept=True, unanswered=Refuse(words="Sorry.")))
    world.network.handset(BOB).takes = Takes(keys=keys)
    world.network.handset(ANN).call(MASK)
    assert world.did(ANN) == [("hears", WORDS), ("hears", "Sorry."), ("hangs up", "")]
    assert world.did(BOB)[-1] == ("types", keys[0] if keys else "")


@pytest.mark.parametrize(
    ("how", "outcome"),
    [("busy", CallOutcome.BUSY), ("declines", CallOutcome.DECLINED), ("ignores", CallOutcome.NO_ANSWER)],
)
def test_nobody_answers_and_a_message_is_left(world: World, how: str, outcome: CallOutcome) -> None:
    world.answers(connect(world, BOB))
    world.network.handset(BOB).takes = Takes(how=how)
    world.network.handset(ANN).call(MASK, message="Call me “back” 👋")
    assert world.did(ANN) == [
        ("hears", WORDS),
        ("hears", LEAVE),
        ("says", "Call me “back” 👋"),
        ("hears", THANKS),
        ("hangs up", ""),
    ]
    assert progress(world)[1] == (1, ENDED, outcome)
    [report] = world.told(RecordingReport)
    assert (report.kind, report.state) == (RecordingKind.VOICEMAIL, RecordingState.READY)
    kept = Recording(carrier_ref=report.carrier_ref, recording_ref=report.recording_ref, url=report.url)
    audio = world.carrier.fetch_recording(kept)
    assert audio.content_type == "audio/wav"
    sound = b"".join(audio.chunks)
    assert (words_of(sound), audio.size) == ("Call me “back” 👋", len(sound))
    world.carrier.delete_recording(kept)
    world.carrier.delete_recording(kept)
    with pytest.raises(PermanentSendError):
        world.carrier.fetch_recording(kept)


def test_a_caller_who_says_nothing_leaves_no_message(world: World) -> None:
    world.answers(connect(world, BOB))
    world.network.handset(BOB).takes = Takes(how="ignores")
    world.network.handset(ANN).call(MASK)
    [report] = world.told(RecordingReport)
    assert (report.state, report.recording_ref, report.url) == (RecordingState.ABSENT, "", "")


def test_a_conversation_is_recorded(world: World) -> None:
    world.answers(connect(world, BOB, record=True))
    world.network.handset(ANN).call(MASK)
    [report] = world.told(RecordingReport)
    assert (report.kind, report.state, report.seconds) == (RecordingKind.CALL, RecordingState.READY, 60)
    assert world.network.recordings.get(report.recording_ref)


def test_all_ring_and_the_first_who_accepts_wins(world: World) -> None:
    world.answers(connect(world, BOB, CARL, whisper=WHISPER, accept=True))
    world.network.handset(BOB).takes = Takes(after=9)
    world.network.handset(ANN).call(MASK)
    assert world.did(CARL)[-1] == ("talks", MASKS[CARL])
    assert world.did(BOB) == [("rings", MASKS[BOB])]
    assert (1, ENDED, CallOutcome.CANCELED) in progress(world)


def test_a_conversation_lasts_no_longer_than_it_may_and_a_phone_rings_no_longer(world: World) -> None:
    world.answers(connect(world, BOB, limit_seconds=30, ring_seconds=8))
    world.network.handset(BOB).takes = Takes(after=7)
    world.network.handset(ANN).call(MASK)
    assert [one.seconds for one in world.told(CallProgress) if one.state is ENDED] == [30, 37]
    world.gateway.events.clear()
    world.network.handset(BOB).takes = Takes(after=8)
    world.network.handset(ANN).call(MASK)
    assert (1, ENDED, CallOutcome.NO_ANSWER) in progress(world)


@pytest.mark.parametrize(
    ("keys", "tries", "talks"), [((PIN,), 1, True), (("1", f"{PIN}#"), 2, True), (("1", "2", "3", PIN), 3, False)]
)
def test_a_stranger_types_a_pin(world: World, keys: tuple[str, ...], tries: int, talks: bool) -> None:
    core = world.answers(AskPin(words="Your PIN?", callback=f"{world.callback}&try=1"), then=connect(world, BOB))
    world.network.handset(CARL).call(MASK, keys=keys)
    assert core.tries == tries
    assert world.did(CARL)[-2] == (("talks", MASK) if talks else ("hears", "Too many tries."))
    assert bool(world.did(BOB)) == talks


def test_without_a_place_to_call_back_it_only_rings(world: World) -> None:
    world.gateway.route = Connect(callees=(Callee(number=BOB, caller_id=MASK),), ring_seconds=25, limit_seconds=60)
    call = world.network.handset(ANN).call(MASK)
    assert call.route == world.gateway.route
    assert len(world.gateway.events) == 1
    assert world.did(BOB) == [("rings", MASK), ("answers", ""), ("talks", MASK)]


def test_every_webhook_of_a_call_may_come_several_times(world: World) -> None:
    world.answers(connect(world, BOB, whisper=WHISPER, accept=True, record=True))
    world.network.repeat = 3
    world.network.handset(ANN).call(MASK)
    assert {world.gateway.events.count(event) for event in world.gateway.events} == {3}
    assert world.did(BOB)[-1] == ("talks", MASKS[BOB])


def test_a_gateway_that_leads_in_circles_is_left(world: World) -> None:
    world.gateway.route = AskPin(words="Again?", callback=world.callback)
    world.gateway.next = lambda step: AskPin(words="Again?", callback=world.callback)
    world.network.handset(ANN).call(MASK)
    assert world.did(ANN)[-1] == ("hangs up", "")


def test_calls_are_steered_and_read_over_http(world: World) -> None:
    world.answers(connect(world, BOB, whisper=WHISPER, accept=True))
    connection = http.client.HTTPConnection(urlsplit(world.network.url).netloc, timeout=5)

    def ask(method: str, path: str, value: object = None) -> Any:
        body = None if value is None else json.dumps(value)
        connection.request(method, path, body, {"Authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    assert ask("PUT", f"/handsets/{BOB}/takes", {"keys": ["2"], "after": 5}) == (200, {})
    status, said = ask("POST", f"/handsets/{ANN}/call", {"to": MASK, "message": "Hello"})
    assert (status, said["route"]["connect"][0]["caller_id"]) == (200, MASKS[BOB])
    assert [one["what"] for one in said["moments"] if one["who"] == BOB] == ["rings", "answers", "hears", "types"]
    assert ask("GET", f"/calls?who=%2B{BOB[1:]}")[1]["moments"] == [one for one in said["moments"] if one["who"] == BOB]
    assert ask("GET", "/calls")[1]["moments"] == said["moments"]
    for path, value in ((f"/handsets/{BOB}/takes", {"how": "sings"}), (f"/handsets/{BOB}/takes", {"keys": "1"})):
        assert ask("PUT", path, value)[0] == 400
    connection.close()
