"""The test file of an author: test_kit.py copies it beside the carrier as test_acme.py."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import datetime, timezone

from gateway_acme import Acme

from gateway import (
    Callee,
    CallOutcome,
    CallProgress,
    CallState,
    CallStep,
    Connect,
    DeliveryReceipt,
    DeliveryStatus,
    InboundCall,
    InboundMessage,
    PermanentSendError,
    Recording,
    RecordingKind,
    RecordingReport,
    RecordingState,
    Refuse,
    RetryableSendError,
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

HOOK = "https://gateway.example.com/webhooks/acme?from=acme"
KEY = "made-up-signing-key"
PHOTO = "https://media.acme.example/a.jpg?X=%2F&y=1"


def signed(payload, hook=HOOK) -> WebhookRequest:
    body = json.dumps(payload).encode()
    signature = hmac.new(KEY.encode(), hook.encode() + body, hashlib.sha256).hexdigest()
    return WebhookRequest(
        url=hook, headers={"content-type": "application/json", "x-acme-signature": signature}, body=body
    )


def wire(**changes):
    return {
        "ref": "m-0001",
        "from": "+12065550199",
        "to": "+12065550102",
        "text": "On my way, two minutes",
        "callback": "https://gateway.example.com/webhooks/carrier",
    } | changes


TEXT = {
    "kind": "text",
    "id": "t1",
    "from": "+12065550101",
    "to": "+12065550199",
    "text": "Is it still free?",
    "at": "2026-01-02T03:04:05+00:00",
    "media": [PHOTO],
}
MESSAGE_IN = InboundMessage(
    carrier_ref="t1",
    sender="+12065550101",
    recipient="+12065550199",
    text="Is it still free?",
    media=(PHOTO,),
    sent_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
)
KEPT = Recording(carrier_ref="c1", recording_ref="r1", url="https://api.acme.example/recordings/r1")
CALL = InboundCall(carrier_ref="c1", caller="+12065550101", called="+12065550199")
WITH_MEDIA = replace(MESSAGE, media=(PHOTO,))


class TestAcme(CarrierConformance):
    carrier_class = Acme
    settings = {"account": "AC1", "api_token": "made-up-api-token", "signing_key": KEY}
    send_url = "https://api.acme.example/messages"
    receives = [
        Receives("text", signed(TEXT), [MESSAGE_IN]),
        Receives(
            "short-code",
            signed({key: value for key, value in TEXT.items() if key != "media"} | {"from": "55512"}),
            [replace(MESSAGE_IN, sender="55512", media=())],
        ),
        Receives(
            "receipt",
            signed({"kind": "receipt", "id": "m1", "status": "delivered"}),
            [DeliveryReceipt(carrier_ref="m1", status=DeliveryStatus.DELIVERED, detail="delivered")],
        ),
        Receives("call", signed({"kind": "call", "id": "c1", "from": "+12065550101", "to": "+12065550199"}), [CALL]),
        Receives("of-no-interest", signed({"kind": "invoice"}), []),
        Receives(
            "pin",
            signed({"kind": "step", "id": "c1", "keys": "4711"}, f"{HOOK}&step=pin"),
            [CallStep(carrier_ref="c1", step=Step.PIN, digits="4711")],
        ),
        Receives(
            "callee-answers",
            signed({"kind": "step", "id": "l1"}, f"{HOOK}&step=screen&callee=1"),
            [CallStep(carrier_ref="l1", step=Step.SCREEN, callee=1)],
        ),
        Receives(
            "callee-typed",
            signed({"kind": "step", "id": "l1", "keys": "1"}, f"{HOOK}&step=screened&callee=1"),
            [CallStep(carrier_ref="l1", step=Step.SCREENED, callee=1, digits="1")],
        ),
        Receives(
            "dialled",
            signed({"kind": "step", "id": "c1", "connected": False}, f"{HOOK}&step=dialled"),
            [CallStep(carrier_ref="c1", step=Step.DIALLED)],
        ),
        Receives(
            "recorded",
            signed({"kind": "step", "id": "c1"}, f"{HOOK}&step=recorded"),
            [CallStep(carrier_ref="c1", step=Step.RECORDED)],
        ),
        Receives(
            "callee-is-busy",
            signed({"kind": "progress", "id": "l1", "state": "ended", "outcome": "busy"}, f"{HOOK}&callee=1"),
            [CallProgress(carrier_ref="l1", state=CallState.ENDED, outcome=CallOutcome.BUSY, callee=1)],
        ),
        Receives(
            "recording",
            signed({"kind": "recording", "id": "c1", "recording": "r1"}, f"{HOOK}&step=recording"),
            [
                RecordingReport(
                    carrier_ref="c1",
                    kind=RecordingKind.CALL,
                    state=RecordingState.READY,
                    recording_ref="r1",
                    url="https://api.acme.example/recordings/r1",
                )
            ],
        ),
        Receives(
            "no-message",
            signed({"kind": "recording", "id": "c1", "recording": ""}, f"{HOOK}&step=voicemail"),
            [RecordingReport(carrier_ref="c1", kind=RecordingKind.VOICEMAIL, state=RecordingState.ABSENT)],
        ),
    ]
    sends = [
        Sends(
            "accepted",
            wire(),
            HttpAnswer(202, json={"id": "m1"}),
            Submission(carrier_ref="m1"),
            headers={"Authorization": "Bearer made-up-api-token"},
        ),
        Sends("media", wire(media=[PHOTO]), HttpAnswer(json={"id": "m2"}), Submission(carrier_ref="m2"), WITH_MEDIA),
        Sends("refused", wire(), HttpAnswer(422), PermanentSendError("", code="422")),
        Sends(
            "throttled",
            wire(),
            HttpAnswer(429, headers={"Retry-After": "3"}),
            Throttled("", code="429", retry_after=3.0),
        ),
        Sends("down", wire(), HttpAnswer(502), RetryableSendError),
    ]
    lookups = [
        Looks(
            "found",
            HttpAnswer(json=[{"id": "m1", "text": "On my way, two minutes"}]),
            Submission(carrier_ref="m1"),
            urls=["https://api.acme.example/messages?ref=m-0001"],
        ),
        Looks("not-found", HttpAnswer(json=[]), None),
    ]
    answers = [
        Answers(
            "connect",
            CALL,
            Connect(callees=(Callee(number="+12065550102", caller_id="+12065550199"),)),
            [{"ring": "+12065550102", "caller_id": "+12065550199"}],
        ),
        Answers("refuse", CALL, Refuse(words="No."), '[{"say": "No."}, {"hangup": true}]'),
    ]
    fetches = [
        Fetches("heard", KEPT, HttpAnswer(body=b"RIFF\x00\xff"), b"RIFF\x00\xff", urls=[KEPT.url]),
        Fetches("gone", KEPT, HttpAnswer(404), PermanentSendError("", code="404")),
    ]
    deletes = [Deletes("deleted", KEPT, HttpAnswer(204), urls=[KEPT.url])]


class TestAcmeWithoutToken(CarrierConformance):
    """Inline: the same carrier, answering inside its webhooks."""

    carrier_class = Acme
    settings = {"account": "AC1", "signing_key": KEY}
    receives = TestAcme.receives
    answers = TestAcme.answers
    fetches = TestAcme.fetches
    deletes = TestAcme.deletes
    acknowledges = [
        Acknowledges(
            "one-reply",
            [MESSAGE_IN],
            [MESSAGE],
            WebhookResponse(
                body='{"texts": [{"from": "+12065550199", "to": "+12065550102", "text": "On my way, two minutes"}]}',
                content_type="application/json",
            ),
        )
    ]
