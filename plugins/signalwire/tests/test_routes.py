"""How a call goes on, in SWML and in cXML: whom it rings, what they see, and that it is never a real number."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from gateway_signalwire import SignalWire
from gateway_signalwire.settings import SignalWireSettings

from gateway import Callee, CallRoute, CallStep, CarrierSession, Connect, InboundCall, Refuse, Screen, Step

MASK, CALLER, CALLEE, THIRD = "+12065550199", "+12065550101", "+12065550102", "+12065550103"
MASK_B, MASK_C = "+12065550198", "+12065550197"
ONE = Connect(callees=(Callee(number=CALLEE, caller_id=MASK_B),), ring_seconds=30)
TWO = Connect(
    callees=(Callee(number=CALLEE, caller_id=MASK_B), Callee(number=THIRD, caller_id=MASK_C)), ring_seconds=30
)


def answer(form: str, route: CallRoute) -> tuple[str, str]:
    carrier = SignalWire(SignalWireSettings(space="example"), CarrierSession())
    call = InboundCall(carrier_ref="c-1", caller=CALLER, called=MASK, form=form)
    answer = carrier.answer_call(call, route)
    assert answer.status == 200
    return answer.body, answer.content_type


def swml(route: CallRoute) -> list[dict[str, Any]]:
    body, content_type = answer("swml", route)
    assert content_type == "application/json"
    document = json.loads(body)
    assert set(document) == {"version", "sections"}
    assert document["version"] == "1.0.0"
    steps: list[dict[str, Any]] = document["sections"]["main"]
    return steps


def cxml(route: CallRoute, form: str = "cxml") -> ElementTree.Element:
    body, content_type = answer(form, route)
    assert content_type == "application/xml"
    return ElementTree.fromstring(body.encode())


def test_swml_connects_from_the_mask_to_the_callee() -> None:
    [step] = swml(ONE)
    connect = step["connect"]
    assert {name: connect[name] for name in ("from", "to", "timeout")} == {"from": MASK_B, "to": CALLEE, "timeout": 30}
    assert connect["max_duration"] == 14_400
    assert connect["answer_on_bridge"] is True


def test_a_call_whose_form_is_not_known_is_answered_in_swml() -> None:
    assert answer("", ONE) == answer("swml", ONE)


def test_swml_rings_several_at_once_and_shows_each_the_mask_of_its_own_leg() -> None:
    [step] = swml(TWO)
    connect = step["connect"]
    assert connect["parallel"] == [
        {"from": MASK_B, "to": CALLEE, "timeout": 30},
        {"from": MASK_C, "to": THIRD, "timeout": 30},
    ]
    assert connect["from"] == MASK_B  # what is left out would be the caller's own number
    assert "to" not in connect


def test_cxml_dials_from_the_mask() -> None:
    dial = cxml(Connect(callees=ONE.callees, ring_seconds=25, limit_seconds=3600)).find("Dial")
    assert dial is not None
    assert dial.attrib == {"callerId": MASK_B, "timeout": "25", "timeLimit": "3600", "answerOnBridge": "true"}
    assert [number.text for number in dial] == [CALLEE]


def test_cxml_rings_at_once_those_who_see_the_same_mask() -> None:
    same = Connect(callees=(Callee(number=CALLEE, caller_id=MASK_B), Callee(number=THIRD, caller_id=MASK_B)))
    [dial] = cxml(same).findall("Dial")
    assert [number.text for number in dial] == [CALLEE, THIRD]


def test_cxml_rings_one_mask_after_the_other() -> None:
    dials = cxml(TWO).findall("Dial")
    assert [(dial.get("callerId"), [number.text for number in dial]) for dial in dials] == [
        (MASK_B, [CALLEE]),
        (MASK_C, [THIRD]),
    ]


def test_cxml_rings_no_more_than_ten_at_once() -> None:
    callees = tuple(Callee(number=f"+1206555{index:04}", caller_id=MASK_B) for index in range(12))
    assert [len(dial) for dial in cxml(Connect(callees=callees)).findall("Dial")] == [10, 2]


@pytest.mark.parametrize(("asked", "said"), [(1, "5"), (30, "30"), (10_000, "600")])
def test_cxml_rings_for_as_long_as_it_can_be_told(asked: int, said: str) -> None:
    dial = cxml(Connect(callees=ONE.callees, ring_seconds=asked)).find("Dial")
    assert dial is not None
    assert dial.get("timeout") == said


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("cxml 12", "12"),
        ("cxml", "25"),
        ("cxml 1", "5"),
        ("cxml 999", "600"),
        ("cxml \u00b2", "25"),
        ("cxml \u0661", "25"),
    ],
    ids=ascii,
)
def test_a_later_group_of_cxml_rings_for_as_long_as_the_first(form: str, said: str) -> None:
    dial = cxml(Connect(callees=ONE.callees, ring_seconds=25), form).find("Dial")
    assert dial is not None
    assert dial.get("timeout") == said


@pytest.mark.parametrize("caller_id", [CALLER, "", "anonymous", "12065550198"])
def test_nobody_is_rung_who_would_not_see_a_mask(caller_id: str, caplog: pytest.LogCaptureFixture) -> None:
    callees = (Callee(number=THIRD, caller_id=caller_id), *ONE.callees)
    with caplog.at_level(logging.ERROR):
        assert swml(Connect(callees=callees, ring_seconds=30)) == swml(ONE)
        route = Connect(callees=callees, ring_seconds=30)
        assert ElementTree.tostring(cxml(route)) == ElementTree.tostring(cxml(ONE))
    assert "c-1: 1 callees without a mask" in caplog.text
    assert "+1206" not in caplog.text


@pytest.mark.parametrize("callees", [(), (Callee(number=CALLEE, caller_id=CALLER),)], ids=["none", "without a mask"])
def test_a_call_with_nobody_to_ring_ends(callees: tuple[Callee, ...]) -> None:
    assert swml(Connect(callees=callees)) == [{"hangup": {"reason": "decline"}}]
    assert [verb.tag for verb in cxml(Connect(callees=callees))] == ["Reject"]


@pytest.mark.parametrize("route", [ONE, TWO, Refuse(words="No.")], ids=["one", "two", "refused"])
@pytest.mark.parametrize("form", ["swml", "cxml"])
def test_the_callers_number_is_nowhere(form: str, route: CallRoute) -> None:
    body, _ = answer(form, route)
    assert CALLER.removeprefix("+") not in body


WORDS = "This conversation has ended.\nAsk for <more> & \"better\" 'words': 漢字"


def test_swml_says_why_it_refuses_on_one_line_and_hangs_up() -> None:
    assert swml(Refuse(words=WORDS)) == [
        {"answer": {}},
        {"play": {"url": f"say:{' '.join(WORDS.split())}"}},
        {"hangup": {}},
    ]


def test_cxml_says_why_it_refuses_and_hangs_up() -> None:
    root = cxml(Refuse(words=WORDS))
    assert [verb.tag for verb in root] == ["Say", "Hangup"]
    assert root.findtext("Say") == WORDS


def test_words_of_a_refusal_are_said_and_not_evaluated() -> None:
    refusal = Refuse(words="${call.from} %{call.from} {{From}}\x00")
    swml_body, cxml_body = answer("swml", refusal)[0], answer("cxml", refusal)[0]
    assert not any(sign in json.dumps(json.loads(swml_body), ensure_ascii=False) for sign in ("${", "%{"))
    assert "{{" not in cxml_body


# --- too long -----------------------------------------------------------------------------------

CALLBACK = "https://gw.example.com/webhooks/signalwire/calls/k3y"
TOLD = "This call is recorded. Press 1 to take the call."
RECORDED = replace(TWO, record=True, accept=True, words="Recorded.", whisper=TOLD, callback=CALLBACK)
MANY = tuple(Callee(number=f"+1206555{index:04}", caller_id=MASK_B) for index in range(300))


@pytest.mark.parametrize("form", ["swml", "cxml"])
def test_who_is_told_is_recorded(form: str) -> None:
    assert "record" in answer(form, RECORDED)[0].replace(TOLD, "").replace("Recorded.", "")


@pytest.mark.parametrize("form", ["swml", "cxml"])
@pytest.mark.parametrize(
    "longer",
    [
        pytest.param({"words": "x" * 9000 + " Recorded."}, id="words of which one turn says all, another nothing"),
        pytest.param({"words": "x" * 90_000 + " Recorded."}, id="words"),
        pytest.param({"whisper": "x" * 90_000 + TOLD}, id="whisper"),
        pytest.param({"words": "\u20ac" * 30_000 + " Recorded."}, id="words of many bytes"),
    ],
)
def test_nobody_is_recorded_whose_words_may_have_been_cut(
    form: str, longer: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    route = replace(RECORDED, **longer)
    ringing = InboundCall(carrier_ref="c-1", caller=CALLER, called=MASK, form=form)
    later = CallStep(carrier_ref="c-1", step=Step.DIALLED, rung=(0,), form=form)
    carrier = SignalWire(SignalWireSettings(space="example"), CarrierSession())
    for call in (ringing, later):
        body = carrier.answer_call(call, route).body
        assert CALLEE in body
        assert not any(sign in body for sign in ("record_call", "record-from", "step=recording"))
    assert "c-1: too much is said" in caplog.text
    assert "xxx" not in caplog.text


def test_a_document_of_many_callees_that_is_cut_records_nobody_and_still_asks_for_the_key() -> None:
    route = replace(RECORDED, callees=MANY[:40], whisper=f"{'x' * 3000} {TOLD}")
    body, _ = answer("swml", route)
    assert "record_call" not in body
    assert json.loads(body)["sections"]["main"][-1]["connect"]["parallel"][0]["confirm"][0]["prompt"]["play"].endswith(
        TOLD
    )


def test_what_a_callee_hears_is_cut_at_its_beginning() -> None:
    carrier = SignalWire(SignalWireSettings(space="example"), CarrierSession())
    call = CallStep(carrier_ref="c-1", step=Step.SCREEN, callee=0, form="cxml")
    body = carrier.answer_call(call, Screen(words="x" * 90_000 + TOLD, accept=True, callback=CALLBACK)).body
    assert ElementTree.fromstring(body.encode()).findtext(".//Say", "").endswith(TOLD)


def test_no_words_that_are_recorded_are_too_long_for_a_document_of_cxml() -> None:
    """Words of the length that is still recorded, written as long as XML writes anything, beside ten callees."""
    route = replace(RECORDED, callees=MANY[:10], words="&" * 8000, whisper="&" * 8000)
    body, _ = answer("cxml", route)
    assert (body.count("record-from-answer"), body.count("&amp;") > 8000) == (1, True)
    carrier = SignalWire(SignalWireSettings(space="example"), CarrierSession())
    call = CallStep(carrier_ref="c-1", step=Step.SCREEN, callee=0, form="cxml")
    screen = carrier.answer_call(call, Screen(words=route.whisper, accept=True, callback=CALLBACK))
    assert screen.body.count("&amp;") >= 8000


# --- what is recorded ---------------------------------------------------------------------------


def test_in_cxml_each_group_says_whose_its_recording_is() -> None:
    """It begins before anybody has pressed a key, and a later group may be the one that talks."""
    carrier = SignalWire(SignalWireSettings(space="example"), CarrierSession())
    callees = tuple(replace(one, position=at) for at, one in enumerate((*TWO.callees, *TWO.callees[1:]), 1))
    route = replace(RECORDED, callees=callees)
    later = CallStep(carrier_ref="c-1", step=Step.DIALLED, rung=(1,), form="cxml 12")
    told = []
    for call, left in ((InboundCall(carrier_ref="c-1", caller=CALLER, called=MASK, form="cxml"), 0), (later, 1)):
        body = carrier.answer_call(call, replace(route, callees=callees[left:])).body
        dial = ElementTree.fromstring(body.encode()).find("Dial")
        assert dial is not None
        told.append(dial.get("recordingStatusCallback"))
    assert told == [f"{CALLBACK}?step=recording&rung=1", f"{CALLBACK}?step=recording&rung=2,3"]


def test_in_swml_no_recording_begins_before_a_callee_takes_the_call_so_none_says_whose_it_is() -> None:
    callees = tuple(replace(one, position=at) for at, one in enumerate(TWO.callees, 1))
    body, _ = answer("swml", replace(RECORDED, callees=callees))
    assert (body.count(f'"{CALLBACK}?step=recording"'), body.count("step=recording")) == (2, 2)
