"""Texts and receipts from webhooks, in SignalWire's two spellings (`carriers.md` 2.3 to 2.5). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

from gateway import DeliveryReceipt, DeliveryStatus, Event, InboundMessage, WebhookMalformed
from gateway.storable import storable
from gateway_signalwire import fields as f
from gateway_signalwire.errors import is_opt_out, meaning
from gateway_signalwire.fields import Fields

SWML = "swml"  #: `InboundMessage.form` of a text that came as JSON; "" is cXML

_REFERENCES = ("MessageSid", "SmsSid", "SmsMessageSid")
_ARRIVING = ("received", "receiving")

#: The union of what the REST objects, the form callbacks and the JSON callbacks say. A text the carrier has
#: taken is sent as far as we are concerned: nothing later is promised for an MMS.
_STATUSES = {
    "accepted": DeliveryStatus.SENT,
    "scheduled": DeliveryStatus.SENT,
    "queued": DeliveryStatus.SENT,
    "initiated": DeliveryStatus.SENT,
    "sending": DeliveryStatus.SENT,
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.DELIVERED,
    "undelivered": DeliveryStatus.UNDELIVERED,
    "failed": DeliveryStatus.UNDELIVERED,
    "canceled": DeliveryStatus.UNDELIVERED,
}


def from_cxml(fields: Fields) -> Sequence[Event]:
    """Return the text or the receipt of a form (or of JSON with a form's names). Raises `WebhookMalformed`.

    `SmsStatus` is `received` or blank on a text of which there is a first report; `MessageStatus` belongs to
    receipts. A text may never pass for a receipt, since it would be lost: an unknown `SmsStatus` alone is a text.
    """
    status = f.word(fields, "MessageStatus").lower()
    if status == "receiving":
        return ()  # not whole yet: the message itself follows under the same id
    status = status or _outbound(f.word(fields, "SmsStatus").lower())
    if status and status not in _ARRIVING:
        return [receipt(f.reference(fields, *_REFERENCES), status, fields.get("ErrorCode"))]
    return [_cxml_message(fields)]


def _outbound(status: str) -> str:
    return status if status in _STATUSES else ""


def _cxml_message(fields: Fields) -> InboundMessage:
    return InboundMessage(
        carrier_ref=f.word(fields, *_REFERENCES),
        sender=_sender(fields, "From"),
        recipient=f.mask(fields, "To"),
        text=f.text(fields, "Body"),
        media=tuple(_media_fields(fields)),
    )


def _media_fields(fields: Fields) -> Iterator[str]:
    """Yield `MediaUrl0`, `MediaUrl1` … in order; `NumMedia` may be absent or wrong."""
    found = ((re.fullmatch(r"MediaUrl([0-9]{1,3})", name), value) for name, value in fields.items())
    numbered = sorted((int(match[1]), value) for match, value in found if match and isinstance(value, str) and value)
    yield from (storable(value) for _, value in numbered)


def from_swml(fields: Fields) -> Sequence[Event]:
    """Return the text of a messaging SWML webhook, `{"message": {…}}`. Raises `WebhookMalformed`."""
    message = f.section(fields, "message")
    if f.word(message, "direction").lower().startswith("outbound"):
        return ()
    return [
        InboundMessage(
            carrier_ref=f.word(message, "message_id", "id"),
            sender=_sender(message, "from"),
            recipient=f.mask(message, "to"),
            text=f.text(message, "body"),
            media=tuple(_media_items(message.get("media"))),
            sent_at=_moment(message.get("timestamp")),
            form=SWML,
        )
    ]


def _media_items(items: Any) -> Iterator[str]:
    for item in items if isinstance(items, list) else ():
        url = item.get("url") if isinstance(item, dict) else item
        if isinstance(url, str) and url:
            yield storable(url)


def _sender(fields: Fields, name: str) -> str:
    sender = f.person(fields, name)
    if not sender:
        raise WebhookMalformed(f"{name} is missing")
    return sender


def _moment(value: Any) -> datetime | None:
    """Return an ISO 8601 time as an aware datetime; None for anything else."""
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def from_status(fields: Fields) -> Sequence[Event]:
    """Return the receipt of the JSON API: `id`, `status`, `error_code`. Raises `WebhookMalformed`."""
    status = f.word(fields, "status").lower()
    if status in _ARRIVING:
        return ()
    return [receipt(f.reference(fields, "id"), status, fields.get("error_code"))]


def receipt(reference: str, status: str, error: Any) -> DeliveryReceipt:
    """Return a receipt in our terms; of SignalWire's words only those that hold neither number nor text."""
    code = f.code(error)
    words = [f.plain(status), meaning(code) if code else ""]
    return DeliveryReceipt(
        carrier_ref=reference,
        status=_STATUSES.get(status, DeliveryStatus.UNKNOWN),
        code=code,
        detail=": ".join(filter(None, words)),
        opted_out=is_opt_out(code),
    )
