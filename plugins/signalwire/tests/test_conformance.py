"""The gateway's own expectations of a carrier, for both ways of working: with an API token, and without."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode

from gateway_signalwire import SignalWire

from gateway import (
    Bridge,
    Callee,
    CallOutcome,
    CallProgress,
    CallState,
    CallStep,
    CarrierMisconfigured,
    Connect,
    DeliveryReceipt,
    DeliveryStatus,
    InboundCall,
    InboundMessage,
    OutboundMessage,
    PermanentSendError,
    RecipientOptedOut,
    Recording,
    RecordingKind,
    RecordingReport,
    RecordingState,
    Refuse,
    RetryableSendError,
    Screen,
    Step,
    Submission,
    Throttled,
    WebhookRequest,
    WebhookResponse,
)
from gateway.testing import (
    MESSAGE,
    Acknowledges,
    Answers,
    CarrierConformance,
    Deletes,
    Fetches,
    HttpAnswer,
    Looks,
    Receives,
    Sends,
)

KEY = "PSK_docs_0123456789abcdef"
PROJECT = "00000000-0000-4000-8000-000000000001"
URL = "https://gw.example.com/webhooks/signalwire"
MESSAGES = f"https://example.signalwire.com/api/laml/2010-04-01/Accounts/{PROJECT}/Messages"
MASK, PERSON, OTHER = "+12065550199", "+12065550101", "+12065550102"
SILENT = WebhookResponse(body='<?xml version="1.0" encoding="UTF-8"?>\n<Response/>', content_type="application/xml")


def form(url: str = URL, **fields: str) -> WebhookRequest:
    """Return a form as SignalWire signs it."""
    body = urlencode({"AccountSid": PROJECT, **fields}).encode()
    signed = url + "".join(name + value for name, value in sorted(parse_qsl(body.decode(), keep_blank_values=True)))
    signature = base64.b64encode(hmac.digest(KEY.encode(), signed.encode(), "sha1")).decode()
    headers = {"content-type": "application/x-www-form-urlencoded", "x-signalwire-signature": signature}
    return WebhookRequest(url=url, headers=headers, body=body)


def query(**fields: str) -> WebhookRequest:
    """Return a GET as SignalWire signs it: the URL is all there is."""
    url = f"{URL}?{urlencode({'AccountSid': PROJECT, **fields})}"
    signature = base64.b64encode(hmac.digest(KEY.encode(), url.encode(), "sha1")).decode()
    return WebhookRequest(url=url, method="GET", headers={"x-signalwire-signature": signature})


def document(value: Any, algorithm: str = "", url: str = URL) -> WebhookRequest:
    """Return JSON as SignalWire signs it, with SHA-256 too for a call."""
    body = json.dumps(value).encode()
    headers = {
        "content-type": "application/json",
        "x-signalwire-signature": hmac.digest(KEY.encode(), url.encode() + body, "sha1").hex(),
    }
    if algorithm:
        headers["x-signalwire-sha256-signature"] = hmac.digest(KEY.encode(), url.encode() + body, algorithm).hex()
    return WebhookRequest(url=url, headers=headers, body=body)


def event(at: str, kind: str, **params: Any) -> WebhookRequest:
    """Return an event, which SignalWire does not sign."""
    body = json.dumps({"event_type": f"calling.call.{kind}", "project_id": PROJECT, "params": params}).encode()
    return WebhookRequest(url=at, headers={"content-type": "application/json"}, body=body)


def swml(**steps: Any) -> dict[str, Any]:
    """Return a SWML document of these methods, in order."""
    return {"version": "1.0.0", "sections": {"main": [{name: parameters} for name, parameters in steps.items()]}}


CALL = {
    "call_id": "11111111-2222-4333-8444-555555555555",
    "direction": "inbound",
    "type": "phone",
    "from": PERSON,
    "to": MASK,
    "from_number": PERSON,
    "to_number": MASK,
    "headers": [],
    "project_id": PROJECT,
}
TEXT = {
    "message_id": "c2d3e4f5-a6b7-8901-cdef-234567890abc",
    "project_id": PROJECT,
    "direction": "inbound",
    "type": "mms",
    "from": PERSON,
    "to": MASK,
    "body": "Is it still free?",
    "media": [{"url": "https://files.example.com/a.jpg?x=%3D", "content_type": "image/jpeg", "size": 12}],
    "segments": 1,
    "timestamp": "2026-01-02T03:04:05Z",
}

texts = [
    Receives(
        "a text as a form",
        form(MessageSid="m-1", From=PERSON, To=MASK, Body="Café at 5? ☃ & bring €20", NumMedia="0", SmsStatus=""),
        [InboundMessage(carrier_ref="m-1", sender=PERSON, recipient=MASK, text="Café at 5? ☃ & bring €20")],
        answer=SILENT,
    ),
    Receives(
        "a text by GET",
        query(MessageSid="m-2", From=PERSON, To=MASK, Body="Is it still free?"),
        [InboundMessage(carrier_ref="m-2", sender=PERSON, recipient=MASK, text="Is it still free?")],
        answer=SILENT,
    ),
    Receives(
        "a text as JSON",
        document({"message": TEXT, "params": {}}),
        [
            InboundMessage(
                carrier_ref="c2d3e4f5-a6b7-8901-cdef-234567890abc",
                sender=PERSON,
                recipient=MASK,
                text="Is it still free?",
                media=("https://files.example.com/a.jpg?x=%3D",),
                sent_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
                form="swml",
            )
        ],
        answer=WebhookResponse(body=json.dumps(swml(receive={})), content_type="application/json"),
    ),
]
receipts = [
    Receives(
        "a receipt as a form",
        form(MessageSid="m-1", MessageStatus="delivered", From=MASK, To=PERSON, Body="Hi", NumMedia="0"),
        [DeliveryReceipt(carrier_ref="m-1", status=DeliveryStatus.DELIVERED, detail="delivered")],
    ),
]
voice = [
    Receives(
        "a call as JSON",
        document({"call": CALL, "vars": {}, "envs": {}, "params": {}}, "sha256"),
        [InboundCall(carrier_ref=CALL["call_id"], caller=PERSON, called=MASK, form="swml")],  # type: ignore[arg-type]
    ),
    Receives(
        "a call as a form",
        form(CallSid="c-1", CallStatus="ringing", Direction="inbound", From=PERSON, To=MASK),
        [InboundCall(carrier_ref="c-1", caller=PERSON, called=MASK, form="cxml")],
    ),
    Receives(
        "the end of a call as a form",
        form(CallSid="c-1", CallStatus="completed", Direction="inbound", From=PERSON, To=MASK, CallDuration="61"),
        [
            CallProgress(
                carrier_ref="c-1",
                state=CallState.ENDED,
                outcome=CallOutcome.COMPLETED,
                seconds=61,
                detail="completed",
            )
        ],
    ),
    Receives(
        "a state of a call, which SignalWire does not sign",
        event(URL, "state", call_id="c-2", call_state="ended", end_reason="busy", direction="outbound"),
        [CallProgress(carrier_ref="c-2", state=CallState.ENDED, outcome=CallOutcome.BUSY, detail="busy")],
        signed=False,
    ),
]

TURN = f"{URL}/call-k3y"
SID = "0a059168-ead0-41af-9d1f-343dae832527"
RECORDING = f"https://example.signalwire.com/api/laml/2010-04-01/Accounts/{PROJECT}/Recordings/{SID}"
LEG = {"CallSid": "l-1", "ParentCallSid": "c-1", "Direction": "outbound-dial", "From": MASK, "To": OTHER}
REPORT = RecordingReport(
    carrier_ref="c-1",
    kind=RecordingKind.CALL,
    state=RecordingState.READY,
    recording_ref=SID,
    url=RECORDING,
    seconds=61,
)
WHOSE = {"CallSid": "c-1", "From": PERSON, "To": MASK}


def step(step: Step, **fields: Any) -> CallStep:
    return CallStep(**{"carrier_ref": "c-1", "step": step, "form": "cxml", **fields})


turns = [
    Receives(
        "a PIN as a form",
        form(f"{TURN}?step=pin", **WHOSE, Digits="47110815"),
        [step(Step.PIN, digits="47110815")],
    ),
    Receives(
        "a PIN as JSON",
        document(
            {"call": CALL, "vars": {"prompt_value": "47110815"}, "params": {"digits": "47110815"}},
            "sha256",
            f"{TURN}?step=pin",
        ),
        [step(Step.PIN, carrier_ref=CALL["call_id"], digits="47110815", form="swml")],
    ),
    Receives(
        "a callee answers, as a form",
        form(f"{TURN}?step=screen&callee=2", **LEG, CallStatus="in-progress"),
        [step(Step.SCREEN, carrier_ref="l-1", callee=2)],
    ),
    Receives(
        "a callee has typed, as a form",
        form(f"{TURN}?step=screened&callee=2", **LEG, Digits="1"),
        [step(Step.SCREENED, carrier_ref="l-1", callee=2, digits="1")],
    ),
    Receives(
        "a callee has typed, as an event",
        event(
            f"{TURN}?step=screened&callee=2",
            "collect",
            call_id="l-1",
            result={"type": "digit", "params": {"digits": "1"}},
        ),
        [step(Step.SCREENED, carrier_ref="l-1", callee=2, digits="1", form="swml")],
        signed=False,
    ),
    Receives(
        "the end of a dial, as a form",
        form(f"{TURN}?step=dialled&rung=0,2&each=12", **WHOSE, DialCallStatus="no-answer"),
        [step(Step.DIALLED, rung=(0, 2), form="cxml 12")],
    ),
    Receives(
        "the end of a connect, as our own request",
        WebhookRequest(
            url=f"{TURN}?step=dialled",
            headers={"content-type": "application/json"},
            body=b'{"call_id": "c-1", "connect_result": "failed"}',
        ),
        [step(Step.DIALLED, form="swml")],
        signed=False,
    ),
    Receives("a message has been left", form(f"{TURN}?step=recorded", **WHOSE), [step(Step.RECORDED)]),
    Receives(
        "the end of a callee's part, as a form",
        form(f"{TURN}?callee=2", **LEG, CallStatus="no-answer"),
        [
            CallProgress(
                carrier_ref="c-1", state=CallState.ENDED, outcome=CallOutcome.NO_ANSWER, callee=2, detail="no-answer"
            )
        ],
    ),
    Receives(
        "a callee answers, as an event",
        event(f"{TURN}?callee=2", "state", call_id="l-1", call_state="answered"),
        [CallProgress(carrier_ref="l-1", state=CallState.ANSWERED, callee=2)],
        signed=False,
    ),
    Receives(
        "a recording, as a form",
        form(
            f"{TURN}?step=recording",
            CallSid="c-1",
            RecordingSid=SID,
            RecordingUrl=RECORDING,
            RecordingStatus="completed",
            RecordingDuration="61",
        ),
        [REPORT],
    ),
    Receives(
        "a recording, as an event",
        event(
            f"{TURN}?step=recording",
            "record",
            call_id="c-1",
            state="finished",
            url=RECORDING,
            duration=60.7,
            recording_id=SID,
        ),
        [REPORT],
        signed=False,
    ),
    Receives(
        "a message that is none, as an event",
        event(f"{TURN}?step=voicemail", "record", call_id="c-1", state="no_input"),
        [RecordingReport(carrier_ref="c-1", kind=RecordingKind.VOICEMAIL, state=RecordingState.ABSENT)],
        signed=False,
    ),
]

SWML_CALL = InboundCall(carrier_ref="c-1", caller=PERSON, called=MASK, form="swml")
CXML_CALL = replace(SWML_CALL, form="cxml")
ROUTE = Connect(callees=(Callee(number=OTHER, caller_id="+12065550198"),), ring_seconds=25, limit_seconds=3600)

answers = [
    Answers(
        "SWML connect",
        SWML_CALL,
        ROUTE,
        swml(
            connect={
                "from": "+12065550198",
                "to": OTHER,
                "timeout": 25,
                "max_duration": 3600,
                "answer_on_bridge": True,
            }
        ),
    ),
    Answers(
        "SWML refuse",
        SWML_CALL,
        Refuse(words="This number is not in use."),
        swml(answer={}, play={"url": "say:This number is not in use."}, hangup={}),
    ),
    Answers(
        "cXML connect",
        CXML_CALL,
        ROUTE,
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Response><Dial callerId="+12065550198" timeout="25" timeLimit="3600" answerOnBridge="true">'
        f"<Number>{OTHER}</Number></Dial></Response>",
    ),
    Answers(
        "cXML refuse",
        CXML_CALL,
        Refuse(words="Nobody <here> & now."),
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Response><Say>Nobody &lt;here&gt; &amp; now.</Say><Hangup /></Response>",
    ),
    Answers(
        "cXML asks for a key",
        step(Step.SCREEN, callee=2),
        Screen(words="A call. Press 1.", accept=True, callback=TURN),
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Response><Gather action="{TURN}?step=screened&amp;callee=2" method="POST" actionOnEmptyResult="true" '
        'numDigits="1" timeout="8"><Say>A call. Press 1.</Say></Gather><Hangup /></Response>',
    ),
    Answers("cXML bridges", step(Step.SCREENED, callee=2), Bridge(), SILENT.body),
]

KEPT = Recording(carrier_ref="c-1", recording_ref=SID, url=RECORDING)
NATIVE = f"https://example.signalwire.com/api/relay/rest/recordings/{SID}"
SOUND = HttpAnswer(body=b"RIFF\x00\xff", headers={"Content-Type": "audio/wav"})
fetches = [
    Fetches("heard", KEPT, SOUND, b"RIFF\x00\xff", urls=[RECORDING]),
    Fetches("gone", KEPT, HttpAnswer(404), PermanentSendError("", code="404")),
    Fetches("at a host that is not theirs", replace(KEPT, url="https://example.com/r"), SOUND, PermanentSendError),
]


def record(sid: str, **changed: Any) -> dict[str, Any]:
    """Return a message as the Compatibility API shows it."""
    return {
        "sid": sid,
        "from": MESSAGE.sender,
        "to": MESSAGE.recipient,
        "body": MESSAGE.text,
        "status": "queued",
        "direction": "outbound-api",
        "num_media": 0,
        "date_created": "Fri, 02 Jan 2026 03:04:05 +0000",
        "date_sent": None,
        **changed,
    }


def refused(code: Any, status: int = 422) -> HttpAnswer:
    """Return how the Compatibility API refuses."""
    return HttpAnswer(status, json={"code": code, "message": "in words", "more_info": "https://…", "status": status})


PLAIN = {"From": MESSAGE.sender, "To": MESSAGE.recipient, "Body": MESSAGE.text, "StatusCallback": MESSAGE.receipt_url}
PICTURES = ("https://files.example.com/1.jpg?a=1&b=%3D", "https://files.example.com/2.jpg")
TRIED = datetime(2026, 1, 2, 3, 4, 6, tzinfo=timezone.utc)
SOUGHT = replace(MESSAGE, first_tried_at=TRIED)
LIST = f"{MESSAGES}?From=%2B12065550199&To=%2B12065550102&PageSize=100"


class TestSignalWire(CarrierConformance):
    carrier_class = SignalWire
    settings = {
        "space": "example.signalwire.com",
        "project_id": PROJECT,
        "api_token": "PT-made-up-token",
        "signing_key": KEY,
        "rate": 4.0,
    }
    send_url = MESSAGES
    receives = [*texts, *receipts, *voice, *turns]
    answers = answers
    fetches = fetches
    deletes = [
        Deletes("of cXML", KEPT, [HttpAnswer(204), HttpAnswer(404)], urls=[RECORDING, NATIVE]),
        Deletes("of SWML", KEPT, [HttpAnswer(404), HttpAnswer(204)], urls=[RECORDING, NATIVE]),
    ]
    sends = [
        Sends(
            "a text",
            PLAIN,
            HttpAnswer(201, json=record("0a059168-ead0-41af-9d1f-343dae832527")),
            Submission(carrier_ref="0a059168-ead0-41af-9d1f-343dae832527"),
            headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
        ),
        Sends(
            "media alone",
            {"From": MESSAGE.sender, "To": MESSAGE.recipient, "MediaUrl": list(PICTURES)},
            HttpAnswer(201, json=record("m-2")),
            Submission(carrier_ref="m-2"),
            message=replace(MESSAGE, text="", media=PICTURES, receipt_url=""),
        ),
        Sends("taken without an id", PLAIN, HttpAnswer(201, json={}), Submission(carrier_ref="")),
        Sends("blocked by the recipient", PLAIN, refused(21610), RecipientOptedOut("", code="21610")),
        Sends("no mobile number", PLAIN, refused(21606), PermanentSendError("", code="21606")),
        Sends("not our number", PLAIN, refused(21212), CarrierMisconfigured("", code="21212", number_only=True)),
        Sends("no balance", PLAIN, refused(30002), CarrierMisconfigured("", code="30002")),
        Sends("queue full", PLAIN, refused(21611), Throttled("", code="21611", retry_after=10.0)),
        Sends("their error", PLAIN, refused(20504, 400), RetryableSendError("", code="20504")),
        Sends("an unknown code", PLAIN, refused(29999), PermanentSendError("", code="29999")),
    ]
    lookups = [
        Looks("found", HttpAnswer(json={"messages": [record("m-1")]}), Submission(carrier_ref="m-1"), SOUGHT, [LIST]),
        Looks("not there", HttpAnswer(json={"messages": [], "next_page_uri": None}), None, SOUGHT, [LIST]),
    ]


ELSEWHERE = "https://files.signalwire.com/r-1.wav"


class TestSignalWireInline(CarrierConformance):
    carrier_class = SignalWire
    settings = {"signing_key": f"{KEY}-old,{KEY}"}
    receives = [*texts, *voice, *turns]
    answers = answers
    fetches = [replace(fetches[0], recording=replace(KEPT, url=ELSEWHERE), urls=[ELSEWHERE])]
    deletes = [Deletes("without a token", KEPT, HttpAnswer(204), CarrierMisconfigured)]
    acknowledges = [
        Acknowledges(
            "a reply in cXML",
            [InboundMessage(carrier_ref="m-1", sender="+15558001234", recipient="+15551231111", text="On my way")],
            [OutboundMessage(id="1", sender="+15551231111", recipient="+15559990000", text="On my way")],
            WebhookResponse(
                body='<?xml version="1.0" encoding="UTF-8"?>\n<Response><Message to="+15559990000" '
                'from="+15551231111"><Body>On my way</Body></Message></Response>',
                content_type="application/xml",
            ),
        ),
        Acknowledges(
            "a reply in SWML",
            [InboundMessage(carrier_ref="m-1", sender=PERSON, recipient=MASK, text="Hello", form="swml")],
            [OutboundMessage(id="1", sender=MASK, recipient=OTHER, text="Hello", media=PICTURES)],
            WebhookResponse(
                body=json.dumps(swml(reply={"to": OTHER, "from": MASK, "body": "Hello", "media": list(PICTURES)})),
                content_type="application/json",
            ),
        ),
    ]
