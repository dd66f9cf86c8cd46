"""Read what Flowroute posts: texts in two forms, picture messages, receipts in two forms.

https://developer.flowroute.com/docs/receive-an-inbound-message (flat), …/api/messages/v2.2/receive-an-sms,
receive-an-mms, receive-a-dlr (JSON:API). Types are looser than those pages say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from gateway import DeliveryReceipt, DeliveryStatus, Event, InboundMessage, WebhookMalformed
from gateway.numbers import e164, party, without_numbers
from gateway_flowroute.api import reference
from gateway_flowroute.sending import OPTED_OUT

#: The first two are documented, the next three belong to the same vocabulary, the rest was seen in use.
STATUSES = {
    "smsc submit": DeliveryStatus.SENT,
    "message buffered": DeliveryStatus.SENT,
    "delivery success": DeliveryStatus.DELIVERED,
    "delivery failure": DeliveryStatus.UNDELIVERED,
    "smsc reject": DeliveryStatus.UNDELIVERED,
    "delivered": DeliveryStatus.DELIVERED,
    "failed": DeliveryStatus.UNDELIVERED,
    "message sent": DeliveryStatus.SENT,
    "pending": DeliveryStatus.SENT,
}

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?")


def events(payload: dict[str, Any]) -> Sequence[Event]:
    """Return what a webhook says: one text or one receipt; nothing for a text of our own. Raises `WebhookMalformed`."""
    data = _object(payload.get("data", payload), "data")
    attributes = _object(data.get("attributes", data), "attributes")
    if data.get("type") == "delivery_receipt":
        return [_receipt(data, attributes)]
    if attributes.get("direction") == "outbound":
        return []
    return [_text(data, attributes, _media(payload.get("included")))]


def moment(value: Any) -> datetime | None:
    """Return a time of Flowroute's, aware; None where it cannot be read. Its fraction has up to nine digits."""
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return None
    day, time, fraction, zone = match.groups()
    offset = "+00:00" if zone in (None, "Z") else f"{zone[:3]}:{zone[-2:]}"
    try:
        return datetime.fromisoformat(f"{day}T{time}.{(fraction or '0')[:6]:0<6}{offset}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def _text(data: dict[str, Any], attributes: dict[str, Any], media: tuple[str, ...]) -> InboundMessage:
    return InboundMessage(
        carrier_ref=reference(data.get("id")),
        sender=_sender(attributes.get("from")),
        recipient=_recipient(attributes.get("to")),
        text=_body(attributes, media),
        media=media,
        sent_at=moment(attributes.get("timestamp")),
    )


def _sender(value: Any) -> str:
    sender = "" if isinstance(value, bool) else party(value)
    if not sender:
        raise WebhookMalformed("from is missing or no string")
    return sender


def _recipient(value: Any) -> str:
    """Return our number. A group message names several, run together: whom to relay it to, nobody can tell."""
    try:
        return e164(value)
    except ValueError:
        raise WebhookMalformed("to is not one phone number (a group message?)") from None


def _body(attributes: dict[str, Any], media: tuple[str, ...]) -> str:
    body = attributes.get("body")
    if body is None and media:
        return ""  # a picture without words
    if isinstance(body, bool) or not isinstance(body, (str, int)):
        raise WebhookMalformed(f"body is a {type(body).__name__}")
    return str(body)


def _media(included: Any) -> tuple[str, ...]:
    """Return the URLs of what came along, byte for byte: they are signed. `relationships` may name other ids."""
    entries = included if isinstance(included, list) else []
    attributes = [entry.get("attributes") for entry in entries if isinstance(entry, dict) and _is_media(entry)]
    urls = [one.get("url") for one in attributes if isinstance(one, dict)]
    return tuple(url for url in urls if isinstance(url, str) and url)


def _is_media(entry: dict[str, Any]) -> bool:
    return entry.get("type") == "media"


def _receipt(data: dict[str, Any], attributes: dict[str, Any]) -> DeliveryReceipt:
    ref = reference(data.get("id"))
    if not ref:
        raise WebhookMalformed("the receipt has no id")
    code = reference(attributes.get("status_code"))
    word = _word(attributes.get("status"))
    opted_out = code == OPTED_OUT
    status = DeliveryStatus.UNDELIVERED if opted_out else STATUSES.get(word.lower(), DeliveryStatus.UNKNOWN)
    detail = ": ".join(one for one in (word, _word(attributes.get("status_code_description"))) if one)
    return DeliveryReceipt(carrier_ref=ref, status=status, code=code, detail=detail, opted_out=opted_out)


def _word(value: Any) -> str:
    return without_numbers(value.strip())[:200] if isinstance(value, str) else ""


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WebhookMalformed(f"{name} is a {type(value).__name__}, not an object")
    return value
