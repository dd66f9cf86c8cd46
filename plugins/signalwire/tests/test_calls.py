"""Calls and their progress from webhooks, and how a call goes on in SWML and in cXML."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from gateway_signalwire import SignalWire
from gateway_signalwire.settings import SignalWireSettings

from gateway import CallOutcome as Outcome
from gateway import (
    CallProgress,
    CallState,
    CarrierSession,
    Event,
    InboundCall,
    WebhookMalformed,
    WebhookRequest,
)

URL = "https://gw.example.com/webhooks/signalwire"
MASK, CALLER, CALLEE = "+12065550199", "+12065550101", "+12065550102"
MASK_B, MASK_C, THIRD = "+12065550198", "+12065550197", "+12065550103"
CALL = {
    "call_id": "c-1",
    "direction": "inbound",
    "type": "phone",
    "from": CALLER,
    "to": MASK,
    "from_number": CALLER,
    "to_number": MASK,
}
RINGING = {"CallSid": "c-1", "CallStatus": "ringing", "Direction": "inbound", "From": CALLER, "To": MASK}


def carrier() -> SignalWire:
    return SignalWire(SignalWireSettings(space="example"), CarrierSession())


def form(url: str = URL, **fields: str) -> list[Event]:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return list(carrier().parse(WebhookRequest(url=url, headers=headers, body=urlencode(fields).encode())))


def document(value: Any) -> list[Event]:
    headers = {"content-type": "application/json"}
    return list(carrier().parse(WebhookRequest(url=URL, headers=headers, body=json.dumps(value).encode())))


def call(form: str, **changed: str) -> InboundCall:
    return InboundCall(**{"carrier_ref": "c-1", "caller": CALLER, "called": MASK, "form": form, **changed})


def without(fields: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in names}


# --- inbound calls ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(CALL, {}, id="both spellings"),
        pytest.param(without(CALL, "from_number", "to_number"), {}, id="from and to alone"),
        pytest.param(without(CALL, "from", "to"), {}, id="from_number and to_number alone"),
        pytest.param(without(CALL, "call_id", "direction", "type"), {"carrier_ref": ""}, id="numbers alone"),
        pytest.param({**CALL, "from_number": None, "from": "anonymous"}, {"caller": "anonymous"}, id="anonymous"),
        pytest.param({**CALL, "from_number": "", "from": ""}, {"caller": ""}, id="no caller"),
        pytest.param(
            {**without(CALL, "from_number", "to_number"), "type": "sip", "from": "sip:ann@example.com"},
            {"caller": "sip:ann@example.com"},
            id="a SIP caller",
        ),
        pytest.param({**CALL, "from_number": "12065550101"}, {}, id="a number without +"),
        pytest.param({**CALL, "from": "+19995550000"}, {}, id="from_number goes before from"),
    ],
)
def test_json_is_a_call(fields: dict[str, Any], expected: dict[str, str]) -> None:
    assert document({"call": fields}) == [call("swml", **expected)]
    assert document({"call": fields, "vars": {}, "envs": {}, "params": {}}) == [call("swml", **expected)]


@pytest.mark.parametrize(
    "value",
    [None, [], "x", {}, {"from": CALLER}, {"from": CALLER, "to": "sip:room@example.com"}, {"to": []}],
    ids=str,
)
def test_a_call_to_no_number_of_ours_is_malformed(value: Any) -> None:
    with pytest.raises(WebhookMalformed):
        document({"call": value})


def test_a_call_of_ours_is_of_no_interest() -> None:
    assert document({"call": {**CALL, "direction": "outbound"}}) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(RINGING, {}, id="ringing"),
        pytest.param({**RINGING, "CallStatus": "in-progress"}, {}, id="already answered"),
        pytest.param(without(RINGING, "CallStatus", "Direction"), {}, id="numbers and id alone"),
        pytest.param({**RINGING, "From": "anonymous"}, {"caller": "anonymous"}, id="anonymous"),
        pytest.param({**RINGING, "From": ""}, {"caller": ""}, id="no caller"),
        pytest.param(without(RINGING, "From"), {"caller": ""}, id="caller missing"),
        pytest.param({**RINGING, "From": "sip:a@b"}, {"caller": "sip:a@b"}, id="a SIP caller"),
    ],
)
def test_a_form_is_a_call(fields: dict[str, str], expected: dict[str, str]) -> None:
    assert form(**fields) == [call("cxml", **expected)]


def test_a_call_may_come_by_get() -> None:
    request = WebhookRequest(url=f"https://gw.example.com/calls/route?{urlencode(RINGING)}", method="GET")
    assert list(carrier().parse(request)) == [call("cxml")]


def test_a_form_of_two_numbers_is_what_its_url_is_for() -> None:
    assert form("https://gw.example.com/calls/route?token=t", From=CALLER, To=MASK) == [call("cxml", carrier_ref="")]
    assert not isinstance(form("https://gw.example.com/texts/route", From=CALLER, To=MASK)[0], InboundCall)
    assert not isinstance(form("https://gw.example.com/calls/route", From=CALLER, To=MASK, Body="")[0], InboundCall)


# --- progress -----------------------------------------------------------------------------------

ENDED, ANSWERED = CallState.ENDED, CallState.ANSWERED
LEG = {**RINGING, "CallSid": "leg-1", "ParentCallSid": "c-1", "Direction": "outbound-dial"}


@pytest.mark.parametrize(
    ("fields", "state", "outcome", "seconds"),
    [
        ({**RINGING, "CallStatus": "completed", "CallDuration": "61"}, ENDED, Outcome.COMPLETED, 61),
        ({**RINGING, "CallStatus": "busy"}, ENDED, Outcome.BUSY, None),
        ({**RINGING, "CallStatus": "busy", "SipResultCode": "603"}, ENDED, Outcome.DECLINED, None),
        ({**RINGING, "CallStatus": "no-answer", "CallDuration": "0"}, ENDED, Outcome.NO_ANSWER, 0),
        ({**RINGING, "CallStatus": "failed", "CallDuration": "soon"}, ENDED, Outcome.FAILED, None),
        ({**RINGING, "CallStatus": "failed", "SipResultCode": "486"}, ENDED, Outcome.BUSY, None),
        ({**RINGING, "CallStatus": "failed", "SipResultCode": "480"}, ENDED, Outcome.NO_ANSWER, None),
        ({**RINGING, "CallStatus": "completed", "SipResultCode": "486"}, ENDED, Outcome.COMPLETED, None),
        ({**RINGING, "CallStatus": "canceled"}, ENDED, Outcome.CANCELED, None),
        ({**RINGING, "CallbackSource": "call-progress-events"}, CallState.RINGING, None, None),
        ({**RINGING, "CallStatus": "in-progress", "SequenceNumber": "2"}, ANSWERED, None, None),
        (
            {**RINGING, "CallStatus": "in-progress", "DialCallStatus": "no-answer", "DialCallSid": "d-1"},
            ENDED,
            Outcome.NO_ANSWER,
            None,
        ),
        (
            {**RINGING, "DialCallStatus": "completed", "DialCallDuration": "12", "RecordingUrl": "https://r"},
            ENDED,
            Outcome.COMPLETED,
            12,
        ),
        (LEG, CallState.RINGING, None, None),
        ({**LEG, "CallStatus": "in-progress"}, ANSWERED, None, None),
    ],
    ids=str,
)
def test_a_form_is_progress(
    fields: dict[str, str], state: CallState, outcome: Outcome | None, seconds: int | None
) -> None:
    word = fields.get("DialCallStatus", fields["CallStatus"]) if outcome else ""
    assert form(**fields) == [
        CallProgress(carrier_ref="c-1", state=state, outcome=outcome, seconds=seconds, detail=word)
    ]


@pytest.mark.parametrize(
    ("status", "state", "outcome"),
    [
        ("ringing", CallState.RINGING, None),
        ("in-progress", ANSWERED, None),
        ("completed", ENDED, Outcome.COMPLETED),
        ("no-answer", ENDED, Outcome.NO_ANSWER),
        ("canceled", ENDED, Outcome.CANCELED),
    ],
)
def test_a_form_at_a_callees_url_is_about_the_callee(status: str, state: CallState, outcome: Outcome | None) -> None:
    (event,) = form(f"{URL}/calls/k3y?callee=2", **{**LEG, "CallStatus": status})
    detail = status if outcome else ""
    assert event == CallProgress(carrier_ref="c-1", state=state, outcome=outcome, callee=2, detail=detail)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({**LEG, "CallStatus": "canceled"}, id="a leg that lost ends no call"),
        pytest.param({**LEG, "CallStatus": "completed"}, id="a leg that ends"),
        pytest.param({**LEG, "CallStatus": "initiated"}, id="a leg that begins"),
        pytest.param({"CallSid": "c-1", "RecordingSid": "r", "RecordingStatus": "completed"}, id="a recording"),
    ],
)
def test_some_callbacks_say_nothing_of_the_call(fields: dict[str, str]) -> None:
    assert form(**fields) == []


def test_progress_without_a_call_is_malformed() -> None:
    with pytest.raises(WebhookMalformed):
        form(CallStatus="completed", From=CALLER, To=MASK)


@pytest.mark.parametrize(
    ("event", "params", "expected"),
    [
        ("state", {"call_state": "ringing"}, (CallState.RINGING, None, "")),
        ("state", {"call_state": "answered"}, (ANSWERED, None, "")),
        ("state", {"call_state": "ended", "end_reason": "hangup"}, (ENDED, Outcome.COMPLETED, "hangup")),
        ("state", {"call_state": "ended", "end_reason": "no_answer"}, (ENDED, Outcome.NO_ANSWER, "no_answer")),
        ("state", {"call_state": "ended", "end_reason": "busy"}, (ENDED, Outcome.BUSY, "busy")),
        ("state", {"call_state": "ended", "end_reason": "declined"}, (ENDED, Outcome.DECLINED, "declined")),
        ("state", {"call_state": "ended", "end_reason": "cancel"}, (ENDED, Outcome.CANCELED, "cancel")),
        ("state", {"call_state": "ended", "end_reason": "error"}, (ENDED, Outcome.FAILED, "error")),
        ("state", {"call_state": "ended", "end_reason": "weather"}, (ENDED, Outcome.UNKNOWN, "weather")),
        ("state", {"call_state": "ended"}, (ENDED, Outcome.UNKNOWN, "ended")),
        ("state", {"call_state": "ended", "end_reason": "by +12065550101"}, (ENDED, Outcome.UNKNOWN, "")),
        ("state", {"call_state": "created"}, None),
        ("connect", {"connect_state": "connecting"}, (CallState.RINGING, None, "")),
        ("connect", {"connect_state": "connected"}, (ANSWERED, None, "")),
        ("connect", {"connect_state": "failed", "failed_reason": "busy"}, (ENDED, Outcome.BUSY, "busy")),
        ("connect", {"connect_state": "disconnected"}, (ENDED, Outcome.COMPLETED, "disconnected")),
        ("record", {"state": "finished", "url": "https://r"}, None),
    ],
    ids=str,
)
def test_an_event_is_progress(
    event: str, params: dict[str, str], expected: tuple[CallState, Outcome | None, str] | None
) -> None:
    found = document({"event_type": f"calling.call.{event}", "params": {"call_id": "c-1", **params}})
    if expected is None:
        assert found == []
    else:
        state, outcome, detail = expected
        assert found == [CallProgress(carrier_ref="c-1", state=state, outcome=outcome, detail=detail)]


@pytest.mark.parametrize("params", [None, [], {"call_state": "ended"}], ids=str)
def test_an_event_of_no_call_is_malformed(params: Any) -> None:
    with pytest.raises(WebhookMalformed):
        document({"event_type": "calling.call.state", "params": params})
