"""Echo passes the conformance kit: these tables are all its author writes."""

from __future__ import annotations

import json

from gateway_echo import Echo

from gateway import InboundMessage, Submission, WebhookRequest
from gateway.testing import MESSAGE, CarrierConformance, HttpAnswer, Receives, Sends

WEBHOOK = {"id": "e-1", "from": "+12065550101", "to": "+12065550199", "text": "Is it still free? “é” 👋"}
WIRE = {"from": MESSAGE.sender, "to": MESSAGE.recipient, "text": MESSAGE.text}


class TestEcho(CarrierConformance):
    carrier_class = Echo
    settings = {"url": "https://echo.example.com/messages", "api_key": "made-up-key"}
    send_url = "https://echo.example.com/messages"
    receives = [
        Receives(
            "a text",
            WebhookRequest(
                url="https://gateway.example.com/webhooks/echo",
                headers={"content-type": "application/json"},
                body=json.dumps(WEBHOOK).encode(),
            ),
            [InboundMessage(carrier_ref="e-1", sender=WEBHOOK["from"], recipient=WEBHOOK["to"], text=WEBHOOK["text"])],
        )
    ]
    sends = [
        Sends(
            "accepted",
            WIRE,
            HttpAnswer(202, json={"id": "e-2"}),
            Submission(carrier_ref="e-2"),
            headers={"Authorization": "Bearer made-up-key"},
        ),
        Sends("accepted without a reference", WIRE, HttpAnswer(202), Submission(carrier_ref="")),
    ]
