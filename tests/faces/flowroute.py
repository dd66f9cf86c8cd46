"""The face of Flowroute: JSON:API v2.2, as far as developer.flowroute.com/api/messages/v2.2 tells."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from gateway.errors import InvalidNumber
from gateway.messages import DeliveryReceipt, DeliveryStatus, InboundMessage
from gateway.numbers import digits, e164
from gateway.testing.network import Answer, Face, Lookup, Ping, Record, Refusal, Refused, Request, Send, Webhook
from gateway.testing.network.wire import UNAUTHORIZED, UNKNOWN, answer_json, unreadable

MESSAGES = re.compile(r"/v2(\.[12])?/messages(/(?P<ref>[^/]+))?")
TITLES = {400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests", 503: "Service Unavailable"}
QUOTES = re.compile("[“”‘’]")

#: What a receipt says: level, status, status_code, status_code_description (`carriers.md` 1.4)
WORDS = {
    DeliveryStatus.SENT: (2, "message buffered", 1003, "Message accepted by Carrier"),
    DeliveryStatus.DELIVERED: (2, "delivery success", None, "Message delivered"),
    DeliveryStatus.UNDELIVERED: (2, "delivery failure", None, "Message not delivered"),
}


class FlowrouteFace(Face):
    """Speaks like Flowroute. `flat`: webhooks in the old form. `refuses_quotes`: as its pages say it may."""

    def __init__(self, access_key: str, secret_key: str, *, flat: bool = False, refuses_quotes: bool = False) -> None:
        self._auth = (access_key, secret_key)
        self._flat = flat
        self._refuses_quotes = refuses_quotes

    def new_ref(self) -> str:
        return f"mdr2-{uuid4().hex}"

    def read(self, request: Request) -> Send | Lookup | Ping:
        if request.basic() != self._auth:
            raise Refused(UNAUTHORIZED)
        found = MESSAGES.fullmatch(request.path)
        if found and request.method == "POST" and not found["ref"]:
            return self._send(request.json())
        if found and request.method == "GET":
            return Lookup(ref=found["ref"]) if found["ref"] else _lookup(request.fields())
        raise Refused(UNKNOWN)

    def _send(self, body: dict[str, Any]) -> Send:
        asked = body.get("data", body)
        asked = asked.get("attributes", asked)
        media, text = asked.get("media_urls") or [], asked.get("body") or ""
        try:
            sender, recipient = e164(asked.get("from")), e164(asked.get("to"))
        except InvalidNumber:
            raise _unprocessable("from and to are phone numbers") from None
        if not isinstance(text, str) or not (text or media):
            raise _unprocessable("body is missing")
        if self._refuses_quotes and QUOTES.search(text):
            raise _unprocessable("the body holds characters that are not taken")
        receipt_url = asked.get("dlr_callback") or ""
        return Send(sender=sender, recipient=recipient, text=text, media=tuple(media), receipt_url=receipt_url)

    def accept(self, record: Record) -> Answer:
        return answer_json(
            self.accepted_status, {"data": {"id": record.ref, "type": "message", "links": _links(record)}}
        )

    def refuse(self, refusal: Refusal) -> Answer:
        title = TITLES.get(refusal.status, "Error")
        error: dict[str, Any] = {"id": str(uuid4()), "status": refusal.status, "title": title, "detail": refusal.detail}
        if refusal.code == "opted_out":
            error |= {"code": 1110, "detail": "accepted by the SMSC but the phone rejected the message"}
        return answer_json(refusal.status, {"errors": [error]}, refusal.retry_after)

    def list(self, asked: Lookup, records: Sequence[Record]) -> Answer:
        if not asked.ref:
            return answer_json(200, {"data": [_record(record) for record in records], "links": {}})
        return answer_json(200, {"data": _record(records[0])}) if records else self.refuse(UNKNOWN)

    def message(self, url: str, message: InboundMessage) -> Webhook:
        numbers = {"from": digits(message.sender), "to": digits(message.recipient)}
        if self._flat:
            return _webhook(url, {**numbers, "body": message.text, "id": message.carrier_ref})
        attributes: dict[str, Any] = {
            **numbers,
            "body": message.text,
            "direction": "inbound",
            "is_mms": bool(message.media),
            "message_encoding": 0,
            "message_type": "longcode",
            "delivery_receipts": [],
            "status": "" if message.media else "delivered",
            "timestamp": message.sent_at.isoformat() if message.sent_at else None,
            "amount_display": "$0.0040",
            "amount_nanodollars": 4000000,
        }
        body: dict[str, Any] = {"data": {"type": "message", "id": message.carrier_ref, "attributes": attributes}}
        if message.media:
            included = [_media(url, number) for number, url in enumerate(message.media)]
            linked = [{"type": "media", "id": each["id"]} for each in included]
            body["data"]["relationships"] = {"media": {"data": linked}}
            body["included"] = included
        return _webhook(url, body)

    def receipt(self, url: str, record: Record, receipt: DeliveryReceipt) -> Webhook:
        assert record.send
        level, status, code, description = WORDS[receipt.status]
        attributes = {
            "body": record.send.text,
            "level": level,
            "status": status,
            "status_code": 1110 if receipt.opted_out else receipt.code or code,
            "status_code_description": receipt.detail or description,
            "timestamp": _time(record.at),
        }
        links = {"related": _links(record)["self"]}
        data = {"type": "delivery_receipt", "id": record.ref, "attributes": attributes, "links": links}
        return _webhook(url, {"data": data})


def _unprocessable(detail: str) -> Refused:
    return Refused(Refusal(status=422, code="refused", detail=detail))


def _lookup(fields: dict[str, str]) -> Lookup:
    try:
        since = datetime.fromisoformat(fields["start_date"].replace("Z", "+00:00"))
        offset, limit = int(fields.get("offset", 0)), int(fields.get("limit", 50))
    except (KeyError, ValueError):
        raise unreadable("start_date, limit, offset") from None
    since = since if since.tzinfo else since.replace(tzinfo=timezone.utc)
    return Lookup(since=int(since.timestamp() * 1000), offset=offset, limit=limit)


def _links(record: Record) -> dict[str, str]:
    return {"self": f"https://api.flowroute.com/v2.2/messages/{record.ref}"}


def _record(record: Record) -> dict[str, Any]:
    assert record.send
    send = record.send
    attributes = {
        "body": send.text,
        "direction": "outbound",
        "from": digits(send.sender),
        "to": digits(send.recipient),
        "is_mms": bool(send.media),
        "message_encoding": 0,
        "message_type": "longcode",
        "status": "message buffered",
        "amount_display": "$0.0040",
        "amount_nanodollars": 4000000,
        "timestamp": _time(record.at),
        "delivery_receipts": [],
    }
    return {"type": "message", "id": record.ref, "attributes": attributes, "links": _links(record)}


def _media(url: str, number: int) -> dict[str, Any]:
    name = f"{number}-{uuid4().hex}.jpg"
    attributes = {"file_name": "pic.jpg", "file_size": 58017, "mime_type": "image/jpeg", "url": url}
    links = {"self": f"https://api.flowroute.com/v2.1/media/{name}"}
    return {"type": "media", "id": name, "attributes": attributes, "links": links}


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _webhook(url: str, body: dict[str, Any]) -> Webhook:
    return Webhook(url=url, body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
