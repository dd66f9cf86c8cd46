"""The simulator passes the conformance kit; and what is peculiar to it."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime, timezone
from typing import Any

import pytest
from gateway_simulator import Simulator, SimulatorSettings

from gateway import (
    UNSUPPORTED,
    Callee,
    CallOutcome,
    CallProgress,
    CallState,
    CallStep,
    CarrierMisconfigured,
    CarrierSession,
    Connect,
    DeliveryReceipt,
    DeliveryStatus,
    InboundCall,
    InboundMessage,
    OutboundMessage,
    PermanentSendError,
    Rate,
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
)
from gateway.errors import ConfigError
from gateway.plugins import build
from gateway.testing import (
    MESSAGE,
    Answers,
    CarrierConformance,
    Deletes,
    Fetches,
    HttpAnswer,
    Looks,
    Receives,
    Sends,
)

KEY = "made-up-key"
URL = "https://gateway.example.com/webhooks/simulator?x=1"
NETWORK = "http://simulator.example.com/base"
ALICE, BOB, MASK = "+12065550101", "+12065550102", "+12065550199"
PICTURE = "https://media.example.com/a.jpg?signature=a%2Fb"


def signed(event: dict[str, Any], query: str = "") -> WebhookRequest:
    body = json.dumps(event).encode()
    signature = hmac.new(KEY.encode(), f"{URL}{query}".encode() + body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "x-simulator-signature": signature}
    return WebhookRequest(url=f"{URL}{query}", headers=headers, body=body)


def error(status: int, code: str, **headers: str) -> HttpAnswer:
    return HttpAnswer(status, json={"error": {"code": code, "detail": "in words"}}, headers=headers)


PLAIN = {
    "id": MESSAGE.id,
    "from": MESSAGE.sender,
    "to": MESSAGE.recipient,
    "text": MESSAGE.text,
    "media": [],
    "receipt_url": MESSAGE.receipt_url,
}
MMS = OutboundMessage(id="m-0002", sender=MASK, recipient=BOB, media=(PICTURE,))
CALL = InboundCall(carrier_ref="c1", caller=ALICE, called=MASK)
TEXT = {"type": "message", "ref": "r1", "from": ALICE, "to": MASK, "text": "Is it still free?"}
TAKEN = OutboundMessage(id="m-0003", sender=MASK, recipient=BOB, text="Yes", taken_refs=frozenset({"r1"}))


def record(ref: str, message: OutboundMessage) -> dict[str, Any]:
    return {"ref": ref, "id": message.id, "text": message.text}


def listed(*messages: dict[str, Any]) -> HttpAnswer:
    return HttpAnswer(200, json={"messages": list(messages)})


SOUND = f"{NETWORK}/recordings/r9"
KEPT = Recording(carrier_ref="c1", recording_ref="r9", url=SOUND)


class TestSimulator(CarrierConformance):
    carrier_class = Simulator
    settings = {"url": NETWORK, "key": KEY}
    send_url = f"{NETWORK}/messages"
    receives = [
        Receives(
            "text",
            signed({**TEXT, "media": [], "at": "2026-01-02T03:04:05.678000+00:00"}),
            [
                InboundMessage(
                    carrier_ref="r1",
                    sender=ALICE,
                    recipient=MASK,
                    text="Is it still free?",
                    sent_at=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc),
                )
            ],
        ),
        Receives(
            "picture from a short code",
            signed({**TEXT, "from": "55512", "text": "", "media": [PICTURE]}),
            [InboundMessage(carrier_ref="r1", sender="55512", recipient=MASK, media=(PICTURE,))],
        ),
        Receives(
            "receipt",
            signed({"type": "receipt", "ref": "r2", "status": "delivered"}),
            [DeliveryReceipt(carrier_ref="r2", status=DeliveryStatus.DELIVERED)],
        ),
        Receives(
            "receipt of an opt-out",
            signed(
                {
                    "type": "receipt",
                    "ref": "r2",
                    "status": "undelivered",
                    "code": "9",
                    "detail": "no",
                    "opted_out": True,
                }
            ),
            [
                DeliveryReceipt(
                    carrier_ref="r2", status=DeliveryStatus.UNDELIVERED, code="9", detail="no", opted_out=True
                )
            ],
        ),
        Receives(
            "receipt in a word we do not know",
            signed({"type": "receipt", "ref": "r2", "status": "read"}),
            [DeliveryReceipt(carrier_ref="r2", status=DeliveryStatus.UNKNOWN, detail="read")],
        ),
        Receives("call", signed({"type": "call", "ref": "c1", "from": ALICE, "to": MASK}), [CALL]),
        Receives(
            "anonymous call",
            signed({"type": "call", "ref": "c2", "from": "anonymous", "to": MASK}),
            [InboundCall(carrier_ref="c2", caller="anonymous", called=MASK)],
        ),
        Receives(
            "call progress",
            signed({"type": "progress", "ref": "c1", "state": "ended", "outcome": "completed", "seconds": 61}),
            [CallProgress(carrier_ref="c1", state=CallState.ENDED, outcome=CallOutcome.COMPLETED, seconds=61)],
        ),
        Receives(
            "progress in a word we do not know",
            signed({"type": "progress", "ref": "c1", "state": "ended", "outcome": "bored"}),
            [CallProgress(carrier_ref="c1", state=CallState.ENDED, outcome=CallOutcome.UNKNOWN, detail="bored")],
        ),
        Receives(
            "a callee answers",
            signed({"type": "progress", "ref": "c1", "state": "answered"}, "&callee=2"),
            [CallProgress(carrier_ref="c1", state=CallState.ANSWERED, callee=2)],
        ),
        *[
            Receives(
                f"step {step.value}",
                signed(
                    {"type": "step", "ref": "c1", "digits": digits, "connected": False}, f"&step={step.value}{about}"
                ),
                [CallStep(carrier_ref="c1", step=step, digits=digits, callee=callee)],
            )
            for step, digits, callee, about in (
                (Step.PIN, "47110815", None, ""),
                (Step.SCREEN, "", 2, "&callee=2"),
                (Step.SCREENED, "1", 2, "&callee=2"),
                (Step.DIALLED, "", None, ""),
                (Step.RECORDED, "", None, ""),
            )
        ],
        Receives(
            "recording",
            signed(
                {"type": "recording", "ref": "c1", "state": "ready", "recording": "r9", "url": SOUND, "seconds": 7},
                "&step=recording",
            ),
            [
                RecordingReport(
                    carrier_ref="c1",
                    kind=RecordingKind.CALL,
                    state=RecordingState.READY,
                    recording_ref="r9",
                    url=SOUND,
                    seconds=7,
                )
            ],
        ),
        Receives(
            "no message",
            signed({"type": "recording", "ref": "c1", "state": "absent"}, "&step=voicemail"),
            [RecordingReport(carrier_ref="c1", kind=RecordingKind.VOICEMAIL, state=RecordingState.ABSENT)],
        ),
        Receives("of no interest", signed({"type": "weather", "text": "rain"}), []),
    ]
    sends = [
        Sends(
            "accepted",
            PLAIN,
            HttpAnswer(202, json={"ref": "r3"}),
            Submission(carrier_ref="r3"),
            headers={"Authorization": f"Bearer {KEY}"},
        ),
        Sends(
            "picture",
            {"id": "m-0002", "from": MASK, "to": BOB, "text": "", "media": [PICTURE], "receipt_url": ""},
            HttpAnswer(202, json={"ref": "r4"}),
            Submission(carrier_ref="r4"),
            message=MMS,
        ),
        Sends("opted out", PLAIN, error(400, "opted_out"), RecipientOptedOut("", code="opted_out")),
        Sends("refused", PLAIN, error(400, "refused"), PermanentSendError("", code="refused")),
        Sends("wrong key", PLAIN, error(401, "unauthorized"), CarrierMisconfigured("", code="unauthorized")),
        Sends(
            "throttled",
            PLAIN,
            error(429, "throttled", **{"Retry-After": "7"}),
            Throttled("", retry_after=7.0, code="throttled"),
        ),
        Sends("unavailable", PLAIN, error(503, "unavailable"), RetryableSendError("", code="unavailable")),
    ]
    lookups = [
        Looks(
            "taken",
            listed(record("r3", MESSAGE)),
            Submission(carrier_ref="r3"),
            urls=[f"{NETWORK}/messages?from=%2B12065550199&to=%2B12065550102&id=m-0001"],
        ),
        Looks("never came", listed(), None),
        Looks("only others", listed({"ref": "r3", "id": "m-9999", "text": MESSAGE.text}), None),
        Looks(
            "the oldest of two",
            listed(
                record("r5", MESSAGE),
                record("r6", MESSAGE),
            ),
            Submission(carrier_ref="r5"),
        ),
        Looks(
            "another message's reference",
            listed(record("r1", TAKEN)),
            None,
            message=TAKEN,
        ),
        Looks("network out of service", error(503, "unavailable"), RetryableSendError),
        Looks("no list", HttpAnswer(200, json={}), RetryableSendError),
    ]
    answers = [
        Answers(
            "connect",
            CALL,
            Connect(callees=(Callee(number=BOB, caller_id=MASK),), ring_seconds=25, limit_seconds=3600),
            {
                "connect": {
                    "callees": [{"number": BOB, "caller_id": MASK}],
                    "ring_seconds": 25,
                    "limit_seconds": 3600,
                }
            },
        ),
        Answers("refuse", CALL, Refuse(words="This call is over."), {"say": "This call is over.", "hangup": True}),
        Answers(
            "ask for a key",
            CallStep(carrier_ref="c1", step=Step.SCREEN, callee=2),
            Screen(words="Press 1.", accept=True, callback=URL),
            {"say": "Press 1.", "ask": {"digits": 1, "then": f"{URL}&step=screened&callee=2"}},
        ),
    ]
    fetches = [
        Fetches("heard", KEPT, HttpAnswer(body=b"RIFF\x00\xff"), b"RIFF\x00\xff", urls=[SOUND]),
        Fetches("gone", KEPT, HttpAnswer(404), PermanentSendError("", code="404")),
    ]
    deletes = [Deletes("deleted", KEPT, HttpAnswer(200), urls=[SOUND])]


def simulator(**settings: Any) -> Simulator:
    return Simulator(SimulatorSettings(url=NETWORK, key=KEY, **settings), CarrierSession())


def test_a_network_that_cannot_be_asked_is_not_asked() -> None:
    assert simulator(lookup=False).lookup(MESSAGE) is UNSUPPORTED


def test_the_rate_is_unlimited_unless_set() -> None:
    assert simulator().rate == Rate(per_number=None)
    assert simulator(rate=2.5).rate == Rate(per_number=2.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("SIMULATOR_URL", "simulator.example.com"), ("SIMULATOR_RATE", "0"), ("SIMULATOR_RATE", "fast")],
)
def test_a_wrong_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATOR_URL", NETWORK)
    monkeypatch.setenv("SIMULATOR_KEY", KEY)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        build(Simulator)
