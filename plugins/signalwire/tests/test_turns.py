"""What SignalWire asks and tells at the URLs a route named: steps, progress, recordings."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from gateway_signalwire import SignalWire
from gateway_signalwire.settings import SignalWireSettings

from gateway import (
    CallStep,
    CarrierSession,
    Event,
    InboundMessage,
    RecordingKind,
    RecordingReport,
    RecordingState,
    Step,
    WebhookMalformed,
    WebhookRequest,
    callback_url,
)

BASE = "https://gw.example.com/webhooks/signalwire/calls/k3y"
MASK, CALLER = "+12065550199", "+12065550101"
CALL = {"call_id": "c-1", "direction": "inbound", "type": "phone", "from": CALLER, "to": MASK}
REC = "https://example.signalwire.com/api/laml/2010-04-01/Accounts/p/Recordings/r-1"


def carrier() -> SignalWire:
    return SignalWire(SignalWireSettings(space="example"), CarrierSession())


def form(url: str, **fields: str) -> list[Event]:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return list(carrier().parse(WebhookRequest(url=url, headers=headers, body=urlencode(fields).encode())))


def document(url: str, value: Any) -> list[Event]:
    headers = {"content-type": "application/json"}
    return list(carrier().parse(WebhookRequest(url=url, headers=headers, body=json.dumps(value).encode())))


def step(**fields: Any) -> CallStep:
    return CallStep(**{"carrier_ref": "c-1", "form": "cxml", **fields})


@pytest.mark.parametrize(
    ("query", "fields", "expected"),
    [
        ("step=pin", {"Digits": "4711"}, step(step=Step.PIN, digits="4711")),
        ("step=pin", {"Digits": "4711#"}, step(step=Step.PIN, digits="4711")),
        ("step=pin", {"Digits": ""}, step(step=Step.PIN)),
        ("step=pin", {}, step(step=Step.PIN)),
        ("step=pin", {"Digits": "call me"}, step(step=Step.PIN)),
        ("step=screen&callee=2", {"CallStatus": "in-progress"}, step(step=Step.SCREEN, callee=2)),
        ("step=screened&callee=0", {"Digits": "1"}, step(step=Step.SCREENED, callee=0, digits="1")),
        ("step=screened&callee=x", {"Digits": "2"}, step(step=Step.SCREENED, digits="2")),
        ("step=dialled", {"DialCallStatus": "completed"}, step(step=Step.DIALLED, connected=True)),
        ("step=dialled", {"DialCallStatus": "answered"}, step(step=Step.DIALLED, connected=True)),
        ("step=dialled&accept=1", {"DialCallStatus": "completed"}, step(step=Step.DIALLED)),
        ("step=dialled", {"DialCallStatus": "no-answer"}, step(step=Step.DIALLED)),
        ("step=dialled", {"DialCallStatus": "busy", "RecordingUrl": REC}, step(step=Step.DIALLED)),
        (
            "step=dialled&rung=0,2&each=12",
            {"DialCallStatus": "no-answer"},
            step(step=Step.DIALLED, rung=(0, 2), form="cxml 12"),
        ),
        ("step=dialled&rung=0,x&each=y", {"DialCallStatus": "failed"}, step(step=Step.DIALLED)),
        ("step=dialled&each=%C2%B2", {"DialCallStatus": "failed"}, step(step=Step.DIALLED)),
        ("step=dialled&each=%D9%A1%D9%A2", {"DialCallStatus": "failed"}, step(step=Step.DIALLED)),
        ("step=dialled&each=0", {"DialCallStatus": "failed"}, step(step=Step.DIALLED)),
        ("step=dialled&each=9999", {"DialCallStatus": "failed"}, step(step=Step.DIALLED)),
        ("step=recorded", {"RecordingUrl": REC, "Digits": "hangup"}, step(step=Step.RECORDED)),
    ],
)
def test_a_form_is_a_step(query: str, fields: dict[str, str], expected: CallStep) -> None:
    numbers = {"CallSid": "c-1", "From": CALLER, "To": MASK}
    assert form(f"{BASE}?{query}", **numbers, **fields) == [expected]
    assert form(f"{BASE}?token=t&{query}", **numbers, **fields) == [expected]
    request = WebhookRequest(url=f"{BASE}?{query}&{urlencode({**numbers, **fields})}", method="GET")
    assert list(carrier().parse(request)) == [expected]


@pytest.mark.parametrize(
    ("query", "value", "expected"),
    [
        ("step=pin", {"params": {"digits": "4711"}}, step(step=Step.PIN, digits="4711")),
        ("step=pin", {"params": {"digits": 4711}}, step(step=Step.PIN, digits="4711")),
        (
            "step=pin",
            {"vars": {"prompt_value": "4711", "prompt_result": "match_digits"}},
            step(step=Step.PIN, digits="4711"),
        ),
        ("step=pin", {"params": {"digits": "%{prompt_value}"}, "vars": {}}, step(step=Step.PIN)),
        ("step=pin", {"vars": {"prompt_value": "4711", "prompt_result": "no_input"}}, step(step=Step.PIN)),
        ("step=pin", {"params": [], "vars": "x"}, step(step=Step.PIN)),
        ("step=screen&callee=2", {}, step(step=Step.SCREEN, callee=2)),
    ],
    ids=str,
)
def test_a_document_fetched_for_a_call_is_a_step(query: str, value: dict[str, Any], expected: CallStep) -> None:
    [event] = document(f"{BASE}?{query}", {"call": CALL, **value})
    assert isinstance(event, CallStep)
    assert (event.carrier_ref, event.step, event.digits) == ("c-1", expected.step, expected.digits)
    assert (event.callee, event.form) == (expected.callee, "swml")


@pytest.mark.parametrize(("result", "connected"), [("connected", True), ("failed", False), ("", False)])
def test_our_own_request_says_how_a_call_went(result: str, connected: bool) -> None:
    found = document(f"{BASE}?step=dialled", {"call_id": "c-1", "connect_result": result})
    assert found == [step(step=Step.DIALLED, connected=connected, form="swml")]


@pytest.mark.parametrize(
    ("result", "digits"),
    [
        ({"type": "digit", "params": {"digits": "1", "terminator": ""}}, "1"),
        ({"type": "digit", "params": {"digits": "2"}}, "2"),
        ({"type": "no_input"}, ""),
        ({"type": "no_match"}, ""),
        ({"type": "error", "params": {}}, ""),
        ({"type": "start_of_input"}, None),
        ({}, None),
        (None, None),
    ],
    ids=str,
)
def test_a_prompt_says_what_a_callee_pressed(result: Any, digits: str | None) -> None:
    params = {"call_id": "leg-2", "control_id": "x", "result": result}
    found = document(f"{BASE}?step=screened&callee=1", {"event_type": "calling.call.collect", "params": params})
    pressed = CallStep(carrier_ref="leg-2", step=Step.SCREENED, callee=1, digits=digits or "", form="swml")
    assert found == ([] if digits is None else [pressed])
    partial = {**params, "final": False}
    assert document(f"{BASE}?step=screened", {"event_type": "calling.call.collect", "params": partial}) == []


@pytest.mark.parametrize("kind", RecordingKind)
def test_a_recording_callback_is_a_report(kind: RecordingKind) -> None:
    told = {"CallSid": "c-1", "RecordingSid": "r-1", "RecordingUrl": REC, "RecordingDuration": "12"}
    url = callback_url(BASE, kind)
    ready = RecordingReport(
        carrier_ref="c-1", kind=kind, state=RecordingState.READY, recording_ref="r-1", url=REC, seconds=12
    )
    assert form(url, **told, RecordingStatus="completed") == [ready]
    assert form(url, **told) == [ready]
    assert form(url, **told, RecordingStatus="in-progress") == []
    [absent] = form(url, **told, RecordingStatus="absent")
    assert isinstance(absent, RecordingReport)
    assert (absent.state, absent.url) == (RecordingState.ABSENT, "")


@pytest.mark.parametrize(
    ("query", "callees"),
    [("", ()), ("&rung=0,2", (0, 2)), ("&callee=2", (2,)), ("&rung=x", ()), ("&callee=x", ()), ("&rung=\u00b2", ())],
    ids=ascii,
)
def test_a_report_says_whose_answering_was_recorded(query: str, callees: tuple[int, ...]) -> None:
    url = callback_url(BASE, RecordingKind.CALL) + query
    [told] = form(url, CallSid="c-1", RecordingSid="r-1", RecordingUrl=REC)
    params = {"call_id": "leg-2", "state": "finished", "url": REC}
    [also] = document(url, {"event_type": "calling.call.record", "params": params})
    for report in (told, also):
        assert isinstance(report, RecordingReport)
        assert (report.callees, report.state) == (callees, RecordingState.READY)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"state": "finished", "url": REC, "duration": 7.6, "recording_id": "r-1"}, ("r-1", REC, 8)),
        ({"state": "finished", "record": {"url": REC, "duration": 7, "recording_id": "r-1"}}, ("r-1", REC, 7)),
        ({"state": "finished", "url": REC}, ("", REC, None)),
        ({"state": "finished", "url": "ftp://x", "recording_id": "r-1"}, ("r-1", "", None)),
        ({"state": "no_input", "url": REC, "recording_id": "r-1"}, ("r-1", "", None)),
        ({"state": "error"}, ("", "", None)),
        ({"state": "recording", "url": REC}, None),
        ({"state": "paused"}, None),
        ({"state": "finished"}, None),
    ],
    ids=str,
)
def test_a_record_event_is_a_report(params: dict[str, Any], expected: tuple[str, str, int | None] | None) -> None:
    event = {"event_type": "calling.call.record", "params": {"call_id": "leg-2", **params}}
    found = document(callback_url(BASE, RecordingKind.VOICEMAIL), event)
    if expected is None:
        assert found == []
        return
    [report] = found
    assert isinstance(report, RecordingReport)
    assert (report.recording_ref, report.url, report.seconds) == expected
    assert report.kind is RecordingKind.VOICEMAIL
    assert report.state is (RecordingState.READY if params["state"] == "finished" else RecordingState.ABSENT)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("step=recording", {"event_type": "calling.call.play", "params": {"call_id": "c"}}),
        ("step=screened", {"event_type": "calling.call.play", "params": {"call_id": "c"}}),
        ("step=dialled", {"event_type": "calling.call.collect", "params": {"call_id": "c"}}),
    ],
)
def test_other_events_say_nothing(query: str, value: dict[str, Any]) -> None:
    assert document(f"{BASE}?{query}", value) == []


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("step=pin", {}),
        ("step=pin", {"call": {}}),
        ("step=pin", {"call": []}),
        ("step=dialled", {"connect_result": "connected"}),
        ("step=recording", {"event_type": "calling.call.record", "params": {"state": "finished", "url": REC}}),
        ("step=voicemail", {"RecordingUrl": REC}),
    ],
)
def test_a_turn_of_no_call_is_malformed(query: str, value: dict[str, Any]) -> None:
    with pytest.raises(WebhookMalformed):
        document(f"{BASE}?{query}", value)


def test_a_text_is_never_taken_for_a_turn_of_a_call() -> None:
    """Whatever stands in the URL a number is configured with: a text that is not understood would be lost."""
    [text] = form(f"{BASE}?step=pin", MessageSid="m-1", From=CALLER, To=MASK, Body="Hello")
    assert isinstance(text, InboundMessage)
    [text] = document(f"{BASE}?step=pin", {"message": {"message_id": "m", "from": CALLER, "to": MASK, "body": "Hello"}})
    assert isinstance(text, InboundMessage)


def test_an_unknown_step_is_no_step() -> None:
    ringing = {"CallSid": "c-1", "CallStatus": "ringing", "Direction": "inbound", "From": CALLER, "To": MASK}
    assert not isinstance(form(f"{BASE}?step=dance", **ringing)[0], CallStep)
