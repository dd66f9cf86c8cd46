"""Every route in SWML and in cXML: valid, and the same to everybody on the line.

SWML is checked against the schema that SignalWire's own SDK ships, cXML against its table of verbs. Then both are
played to the same people, and what each hears and sees, who talks with whom and what the core gets to know is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from gateway_signalwire import SignalWire
from gateway_signalwire.answers import MOST_BYTES
from gateway_signalwire.settings import SignalWireSettings
from voice.cxml import CxmlPlayer, read
from voice.people import CALLER, MASK, PIN, Core, Scene, Takes
from voice.swml import SwmlPlayer

from gateway import (
    AskPin,
    Bridge,
    Callee,
    CallRoute,
    CallStep,
    CarrierSession,
    Connect,
    InboundCall,
    RecordingKind,
    RecordingState,
    Refuse,
    Screen,
    Step,
    TakeMessage,
)

URL = "https://gw.example.com/webhooks/signalwire/calls/k3y?token=t"
BOB, CARL, DORA = "+12065550102", "+12065550103", "+12065550104"
MASKS = ("+12065550191", "+12065550192", "+12065550193")
WORDS, WHISPER, SORRY, LEAVE, THANKS = "Your driver.", "A call. Press 1.", "Nobody there.", "After the tone.", "Thanks."
HARD = "  “It’s” <b>5 & 6</b> 'x' \"y\" {{From}} ${call.from} %{call.from} \r\n\t漢字 👩‍👧‍👦 ]]> &amp; \u2028 – …  "

Words = Refuse(words=SORRY)
Message = TakeMessage(words=LEAVE, goodbye=THANKS, callback=URL)


def callees(*masks: str) -> tuple[Callee, ...]:
    numbers = (BOB, CARL, DORA)
    return tuple(
        Callee(number=numbers[position], caller_id=mask, position=position + 1) for position, mask in enumerate(masks)
    )


#: Whom a call rings.
RUNG = {
    "one": callees(MASKS[0]),
    "two": callees(MASKS[0], MASKS[1]),
    "two with one mask": callees(MASKS[0], MASKS[0]),
    "three": callees(*MASKS),
    "three with two masks": callees(MASKS[0], MASKS[1], MASKS[0]),
    "three with one mask": callees(MASKS[0], MASKS[0], MASKS[0]),
}


def connects(rung: tuple[Callee, ...]) -> Iterator[Connect]:
    """Yield every combination of the options of a route that rings these."""
    options = product(("", WORDS), ("", WHISPER), (False, True), (False, True), (Refuse(), Words, Message), ("", URL))
    for words, whisper, accept, record, unanswered, callback in options:
        yield Connect(
            callees=rung,
            ring_seconds=30,
            words=words,
            whisper=whisper,
            accept=accept,
            record=record,
            unanswered=unanswered,
            callback=callback,
        )


def others() -> Iterator[CallRoute]:
    """Yield every other route, with and without words, and a place to call back."""
    yield Bridge()
    for words, callback in product(("", WORDS, HARD), ("", URL)):
        yield Refuse(words=words)
        yield AskPin(words=words, callback=callback)
        yield from (TakeMessage(words=words, goodbye=bye, callback=callback) for bye in ("", THANKS))
        yield from (Screen(words=words, accept=accept, callback=callback) for accept in (False, True))


@pytest.fixture(scope="module")
def carrier() -> SignalWire:
    return SignalWire(SignalWireSettings(space="example"), CarrierSession())


@pytest.fixture(scope="module")
def schema() -> Any:
    """Return the schema of SWML: read, not imported, from where SignalWire's SDK is installed."""
    sdk = find_spec("signalwire")
    assert sdk, "install the extra dev: the schema comes with signalwire-sdk"
    assert sdk.origin
    return jsonschema_rs.validator_for(json.loads((Path(sdk.origin).parent / "schema.json").read_text("utf-8")))


def call(form: str) -> InboundCall:
    return InboundCall(carrier_ref="c-1", caller=CALLER, called=MASK, form=form)


def turns(form: str) -> list[InboundCall | CallStep]:
    """Return what may be answered in a language: the call itself, and one of its steps."""
    return [call(form), CallStep(carrier_ref="c-1", step=Step.SCREEN, callee=2, form=form)]


# --- valid --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG)
def test_every_connect_is_valid_in_both_languages(rung: str, carrier: SignalWire, schema: Any) -> None:
    for route in connects(RUNG[rung]):
        assert_valid(carrier, schema, route)


def test_every_other_route_is_valid_in_both_languages(carrier: SignalWire, schema: Any) -> None:
    for route in others():
        assert_valid(carrier, schema, route)


def test_words_of_any_kind_and_length_make_valid_documents(carrier: SignalWire, schema: Any) -> None:
    many = tuple(Callee(number=f"+1206556{n:04}", caller_id=MASKS[n % 3], position=n) for n in range(200))
    for words, rung in product((HARD, "👋" * 30_000, "\x00\ud800\n"), (RUNG["three"], many)):
        message = TakeMessage(words=words, goodbye=words, callback=URL)
        route = Connect(callees=rung, words=words, whisper=words, accept=True, unanswered=message, callback=URL)
        assert_valid(carrier, schema, route)


def assert_valid(carrier: SignalWire, schema: Any, route: CallRoute) -> None:
    for swml, cxml in zip(turns("swml"), turns("cxml"), strict=True):
        for answer in (carrier.answer_call(swml, route), carrier.answer_call(cxml, route)):
            assert answer.status == 200
            assert len(answer.body.encode()) <= MOST_BYTES
            assert CALLER[1:] not in answer.body
        errors = [error.message for error in schema.iter_errors(json.loads(carrier.answer_call(swml, route).body))]
        assert errors == [], route
        read(carrier.answer_call(cxml, route))


# --- the same to everybody ----------------------------------------------------------------------

YES, NO, MAILBOX = Takes(), Takes(keys=("2",)), Takes(keys=())
BUSY, DECLINES, IGNORES, LATE = Takes("busy"), Takes("declines"), Takes("ignores"), Takes(after=60)

#: What those who are rung do, in order.
PLAYS: dict[str, Sequence[Takes]] = {
    "all take it": (YES, YES, YES),
    "all are busy": (BUSY, BUSY, BUSY),
    "all decline": (DECLINES, DECLINES, DECLINES),
    "nobody stirs": (IGNORES, IGNORES, IGNORES),
    "all answer too late": (LATE, LATE, LATE),
    "mailboxes answer": (MAILBOX, MAILBOX, MAILBOX),
    "all press another key": (NO, NO, NO),
    "only the last takes it": (IGNORES, BUSY, YES),
    "a mailbox, then somebody": (MAILBOX, YES, IGNORES),
}


def played(carrier: SignalWire, form: str, scene: Scene, route: CallRoute, then: CallRoute | None = None) -> Core:
    core = Core(carrier, route, then)
    player = SwmlPlayer(core, scene) if form == "swml" else CxmlPlayer(core, scene)
    player.play(carrier.answer_call(call(form), route))
    return core


def scene_of(route: Connect, takes: Sequence[Takes], **more: Any) -> Scene:
    return Scene({callee.number: one for callee, one in zip(route.callees, takes, strict=False)}, **more)


@pytest.mark.parametrize("play", PLAYS)
@pytest.mark.parametrize("rung", RUNG)
def test_a_call_is_the_same_in_both_languages(rung: str, play: str, carrier: SignalWire) -> None:
    for route in connects(RUNG[rung]):
        if not route.callback and len({callee.caller_id for callee in route.callees}) > 1:
            continue  # cXML has nobody to ask, so the others are rung whatever became of the first
        scenes = [scene_of(route, PLAYS[play]) for _ in range(2)]
        cores = [played(carrier, form, scene, route) for form, scene in zip(("swml", "cxml"), scenes, strict=True)]
        swml, cxml = scenes
        assert swml.heard == cxml.heard, route
        assert swml.connected == cxml.connected, route
        assert swml.recorded == cxml.recorded, route
        turns = len({callee.caller_id for callee in route.callees})  # in cXML; each needs time to take the call
        assert swml.connected or cxml.kept_waiting == max(swml.kept_waiting, 15 * turns), route
        assert_core_knows(route, cores, swml)
        for scene in scenes:
            assert_masked(route, scene)


def assert_masked(route: Connect, scene: Scene) -> None:
    """Fail unless each callee saw the mask of their own leg and nothing else, and nobody was rung twice."""
    for callee in route.callees:
        assert scene.seen[callee.number] in ([callee.caller_id], []), route


def assert_core_knows(route: Connect, cores: Sequence[Core], scene: Scene) -> None:
    swml, cxml = (core.told() for core in cores)
    positions = {callee.number: callee.position for callee in route.callees}
    talked = {positions[who] for who in scene.connected}
    assert swml == cxml, route
    assert swml["over"] == bool(route.callback)
    if route.callback and route.accept:
        assert swml["accepted by"] == talked
    if route.callback and not route.accept:
        assert swml["answered"] == talked


@pytest.mark.parametrize("form", ["swml", "cxml"])
@pytest.mark.parametrize("play", PLAYS)
def test_what_each_hears_is_what_the_route_says(play: str, form: str, carrier: SignalWire) -> None:
    for route in connects(RUNG["one"]):
        scene = scene_of(route, PLAYS[play])
        core = played(carrier, form, scene, route)
        back = bool(route.callback)
        [takes] = scene.callees.values()
        answers = takes.how == "answers" and takes.after < 30
        talks = answers and (takes is YES or not (route.accept and back))
        assert scene.connected == ([BOB] if talks else [])
        assert scene.heard[BOB] == ([WHISPER] if answers and route.whisper and back else [])
        missed = {Words: [SORRY], Message: [LEAVE, THANKS]}.get(route.unanswered, [])
        assert scene.heard[CALLER] == ([WORDS] if route.words else []) + (missed if back and not talks else [])
        left = back and not talks and route.unanswered is Message
        assert scene.recorded == ["message"] * left + [f"call of {BOB}"] * (talks and route.record and back)
        kinds = {RecordingKind.VOICEMAIL} if left else {RecordingKind.CALL} if scene.recorded else set()
        assert core.told()["reports"] == {(kind, RecordingState.READY) for kind in kinds}


@pytest.mark.parametrize("form", ["swml", "cxml"])
def test_who_stays_on_the_line_after_a_conversation_is_connected_to_nobody_else(form: str, carrier: SignalWire) -> None:
    """The callees have different masks, so cXML rings them one after the other: but not once two have talked."""
    route = Connect(callees=RUNG["three"], callback=URL)
    scene = scene_of(route, PLAYS["all take it"])
    played(carrier, form, scene, route)
    assert scene.connected == [BOB]


@pytest.mark.parametrize(("asked", "waited"), [(25, 45), (60, 60), (12, 36)])
def test_those_rung_one_after_the_other_share_the_time(asked: int, waited: int, carrier: SignalWire) -> None:
    """But each has time to take the call, as far as it is to ring that long at all."""
    for callback in ("", URL):
        route = Connect(callees=RUNG["three"], ring_seconds=asked, callback=callback)
        scene = scene_of(route, PLAYS["nobody stirs"])
        played(carrier, "cxml", scene, route)
        assert scene.kept_waiting == waited
        assert {who for who, seen in scene.seen.items() if seen} == {BOB, CARL, DORA}


@pytest.mark.parametrize("form", ["swml", "cxml"])
def test_only_the_conversation_is_recorded_once_one_has_pressed_1(form: str, carrier: SignalWire) -> None:
    route = Connect(callees=RUNG["two"], whisper=WHISPER, accept=True, record=True, callback=URL)
    scene = scene_of(route, (NO, IGNORES))
    played(carrier, form, scene, route)
    assert scene.recorded == []


def test_words_sound_the_same_whatever_stands_in_them(carrier: SignalWire) -> None:
    message = TakeMessage(words=HARD, goodbye=HARD, callback=URL)
    route = Connect(callees=RUNG["one"], words=HARD, whisper=HARD, accept=True, unanswered=message, callback=URL)
    for form in ("swml", "cxml"):
        scene = scene_of(route, (NO,))
        played(carrier, form, scene, route)
        assert scene.heard == {CALLER: [" ".join(HARD.split())] * 3, BOB: [" ".join(HARD.split())]}


# --- PINs and messages --------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["swml", "cxml"])
@pytest.mark.parametrize(
    ("keys", "asked", "talks"),
    [
        pytest.param((PIN,), 1, True, id="right"),
        pytest.param((f"{PIN}#",), 1, True, id="right, and ended by #"),
        pytest.param(("1234", PIN), 2, True, id="right at the second try"),
        pytest.param(("", f"{PIN}#"), 2, True, id="nothing at first"),
        pytest.param((PIN[:3], "", "9" * 20), 3, False, id="wrong three times"),
        pytest.param(("1234",), 3, False, id="wrong, then nothing"),
        pytest.param((), 3, False, id="nothing at all"),
    ],
)
def test_a_caller_types_a_pin(form: str, keys: tuple[str, ...], asked: int, talks: bool, carrier: SignalWire) -> None:
    route = Connect(callees=RUNG["two"], words=WORDS, callback=URL)
    scene = scene_of(route, (YES, YES), caller_keys=keys)
    core = played(carrier, form, scene, AskPin(words="Type your PIN.", callback=URL), then=route)
    assert scene.heard[CALLER] == ["Type your PIN."] * asked + ([WORDS] if talks else ["Too many tries."])
    assert scene.connected == ([BOB] if talks else [])
    assert core.tries == asked


@pytest.mark.parametrize("form", ["swml", "cxml"])
@pytest.mark.parametrize("leaves", [True, False], ids=["a message", "silence"])
def test_a_caller_leaves_a_message(form: str, leaves: bool, carrier: SignalWire) -> None:
    scene = Scene(leaves_message=leaves)
    core = played(carrier, form, scene, Message)
    assert scene.heard == {CALLER: [LEAVE, THANKS]}
    [report] = core.reports
    assert (report.kind, report.carrier_ref[:1]) == (RecordingKind.VOICEMAIL, "c" if form == "cxml" else "l")
    assert report.state is (RecordingState.READY if leaves else RecordingState.ABSENT)
    assert (report.recording_ref, report.seconds if leaves else 7) == ("rec-2", 7)


@pytest.mark.parametrize("form", ["swml", "cxml"])
@pytest.mark.parametrize(
    "route", [AskPin(words="Type your PIN."), TakeMessage(words=LEAVE, goodbye=THANKS)], ids=["PIN", "message"]
)
def test_without_a_place_to_call_back_nothing_is_asked(form: str, route: CallRoute, carrier: SignalWire) -> None:
    scene = Scene()
    core = played(carrier, form, scene, route)
    assert core.events == []
    assert scene.heard == ({CALLER: [THANKS]} if isinstance(route, TakeMessage) else {})
