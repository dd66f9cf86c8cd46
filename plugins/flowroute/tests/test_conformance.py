"""What the gateway expects of every carrier, with Flowroute's payloads."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from gateway_flowroute import Flowroute

from gateway import (
    CarrierMisconfigured,
    DeliveryReceipt,
    DeliveryStatus,
    InboundMessage,
    PermanentSendError,
    RecipientOptedOut,
    RetryableSendError,
    Submission,
    Throttled,
    WebhookRequest,
    WebhookResponse,
)
from gateway.testing import MESSAGE, CarrierConformance, HttpAnswer, Looks, Receives, Sends

PAYLOADS = Path(__file__).parent / "payloads"
URL = "https://api.flowroute.com/v2.2/messages"
PHOTO = "https://mms-media-prod.s3.amazonaws.com/a.jpg?Expires=1770000000&Signature=abc%3D"
TRIED = replace(MESSAGE, first_tried_at=datetime(2026, 1, 2, 3, 4, 33, tzinfo=timezone.utc))
RECORDS = json.loads((PAYLOADS / "records.json").read_text("utf-8"))
LISTED = f"{URL}?start_date=2026-01-02T03%3A04%3A03Z&limit=250&offset=0"


def posted(name: str, content_type: str = "application/json") -> WebhookRequest:
    return WebhookRequest(
        url="https://gw.example.com/webhooks/flowroute/made-up-token",
        headers={"content-type": content_type},
        body=(PAYLOADS / name).read_bytes(),
    )


def wire(**changes: Any) -> dict[str, Any]:
    attributes = {
        "from": "12065550199",
        "to": "12065550102",
        "body": "On my way, two minutes",
        "dlr_callback": "https://gateway.example.com/webhooks/carrier",
    }
    attributes |= changes
    return {"data": {"type": "message", "attributes": {k: v for k, v in attributes.items() if v is not None}}}


def refused(status: int, **error: Any) -> HttpAnswer:
    return HttpAnswer(
        status, json={"errors": [{"id": "6b1f3c1e-0000-4000-8000-000000000001", "status": status, **error}]}
    )


ACCEPTED = HttpAnswer(
    202,
    json={
        "data": {
            "id": "mdr2-39cadeace66e11e7aff806cd7f24ba2d",
            "type": "message",
            "links": {"self": "https://api.flowroute.com/v2.1/messages/mdr2-39cadeace66e11e7aff806cd7f24ba2d"},
        }
    },
)
SUBMITTED = Submission(carrier_ref="mdr2-39cadeace66e11e7aff806cd7f24ba2d")

TEXT = InboundMessage(
    carrier_ref="mdr2-ca82be46000011e79d08862d092cf73d",
    sender="+12065550101",
    recipient="+12065550199",
    text="Is it still free?",
    sent_at=datetime(2026, 1, 2, 3, 4, 39, 390_000, tzinfo=timezone.utc),
)
PICTURES = replace(
    TEXT,
    carrier_ref="mdr2-5730c97c000011ec8008a26e9054fd5e",
    text="",
    media=(
        "https://mms-media-prod.s3.amazonaws.com/1490000000000000000-pic.jpg"
        "?AWSAccessKeyId=EXAMPLE&Expires=1770000000&Signature=abc%3D",
        "https://mms-media-prod.s3.amazonaws.com/b.png?x=%2F+y",
    ),
    sent_at=datetime(2026, 1, 2, 3, 21, 17, tzinfo=timezone.utc),
)
BUFFERED = DeliveryReceipt(
    carrier_ref="mdr2-39cadeace66e11e7aff806cd7f24ba2d",
    status=DeliveryStatus.SENT,
    code="1003",
    detail="message buffered: Message accepted by Carrier",
)


class TestFlowroute(CarrierConformance):
    carrier_class = Flowroute
    settings = {"access_key": "made-up-access-key", "secret_key": "made-up-secret-key"}
    send_url = URL
    receives = [
        Receives(
            "flat",
            posted("flat.json"),
            [replace(TEXT, carrier_ref="mdr1-febb118b000034338adfc662a8c02fd8", sent_at=None)],
            WebhookResponse(status=200),  # exactly 200: anything else is posted again, four times
        ),
        Receives("sms", posted("sms.json"), [TEXT]),
        Receives("sms as JSON:API", posted("sms.json", "application/vnd.api+json; charset=utf-8"), [TEXT]),
        Receives(
            "sms of loose types", posted("sms-loose.json"), [replace(TEXT, sent_at=TEXT.sent_at.replace(microsecond=0))]
        ),
        Receives("mms", posted("mms.json"), [PICTURES]),
        Receives("receipt", posted("receipt.json"), [BUFFERED]),
        Receives(
            "receipt, unwrapped", posted("receipt-unwrapped.json"), [replace(BUFFERED, code="", detail="smsc submit")]
        ),
    ]
    sends = [
        Sends(
            "accepted",
            wire(),
            ACCEPTED,
            SUBMITTED,
            headers={
                "Authorization": "Basic bWFkZS11cC1hY2Nlc3Mta2V5Om1hZGUtdXAtc2VjcmV0LWtleQ==",
                "Content-Type": "application/vnd.api+json",
                "Accept": "application/vnd.api+json",
            },
        ),
        Sends("accepted with 200", wire(), replace(ACCEPTED, status=200), SUBMITTED),
        Sends("accepted without an id", wire(), HttpAnswer(202, json={"data": {}}), Submission(carrier_ref="")),
        Sends("no receipt asked for", wire(dlr_callback=None), ACCEPTED, SUBMITTED, replace(MESSAGE, receipt_url="")),
        Sends(
            "mms",
            wire(media_urls=[PHOTO], is_mms=True),
            ACCEPTED,
            SUBMITTED,
            replace(MESSAGE, media=(PHOTO,)),
        ),
        Sends(
            "mms without words",
            wire(media_urls=[PHOTO], is_mms=True, body=None),
            ACCEPTED,
            SUBMITTED,
            replace(MESSAGE, media=(PHOTO,), text=""),
        ),
        Sends("opted out", wire(), refused(400, code=1110), RecipientOptedOut("", code="1110")),
        Sends("bad value", wire(), refused(422, title="Unprocessable Entity"), PermanentSendError("", code="422")),
        Sends("keys", wire(), refused(401), CarrierMisconfigured("", code="401")),
        Sends("not our number", wire(), refused(403), CarrierMisconfigured("", code="403", number_only=True)),
        Sends("wrong method", wire(), refused(405), PermanentSendError("", code="405")),
        Sends("wrong type", wire(), refused(415), PermanentSendError("", code="415")),
        Sends(
            "too many",
            wire(),
            replace(refused(429), headers={"Retry-After": "12"}),
            Throttled("", code="429", retry_after=12.0),
        ),
        Sends(
            "maintenance", wire(), HttpAnswer(503, body="<html>Back soon</html>"), RetryableSendError("", code="503")
        ),
    ]
    lookups = [
        Looks(
            "the oldest since it was tried",
            HttpAnswer(json=RECORDS),
            Submission(carrier_ref="mdr2-00000000000000000000000000000002"),
            TRIED,
            urls=[LISTED],
        ),
        Looks("nothing", HttpAnswer(json={"data": []}), None, TRIED, urls=[LISTED]),
        Looks(
            "not what is somebody else's",
            HttpAnswer(json=RECORDS),
            Submission(carrier_ref="mdr2-00000000000000000000000000000003"),
            replace(TRIED, taken_refs=frozenset({"mdr2-00000000000000000000000000000002"})),
        ),
        Looks(
            "on the second page",
            [
                HttpAnswer(json={"data": RECORDS["data"][2:], "links": {"next": f"{URL}?offset=4"}}),
                HttpAnswer(json=RECORDS),
            ],
            Submission(carrier_ref="mdr2-00000000000000000000000000000002"),
            TRIED,
            urls=[LISTED, LISTED.replace("offset=0", "offset=4")],
        ),
        Looks("keys", HttpAnswer(401), CarrierMisconfigured, TRIED),
    ]
