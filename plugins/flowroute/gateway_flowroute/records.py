"""Find a message among the account's records: what Flowroute has of a text whose sending was never answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from gateway import UNSUPPORTED, OutboundMessage, RetryableSendError, Submission, Unsupported
from gateway.numbers import party
from gateway_flowroute.api import Api, body_of, reference
from gateway_flowroute.sending import plain
from gateway_flowroute.webhooks import moment

CLOCK_SKEW = timedelta(seconds=30)  #: Flowroute's clock and ours need not agree
PAGE = 250  #: records a request
MOST_PAGES = 10  #: 2,500 records; five requests a second are all an account has


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some records of the list, and whether there are more."""

    records: list[Any]
    more: bool


def find(api: Api, message: OutboundMessage) -> Submission | Unsupported | None:
    """Return the oldest record that is `message` and nobody else's, or None where the carrier does not have it.

    `UNSUPPORTED` where that cannot be told: the list is too long, or it is not known since when to look. Raises
    `SendError`.
    """
    if message.first_tried_at is None:
        return UNSUPPORTED
    since = message.first_tried_at.astimezone(timezone.utc) - CLOCK_SKEW
    records = _records(api, since)
    if records is None:
        return UNSUPPORTED
    fits = [
        (moment(_attributes(one).get("timestamp")) or since, _ref(one)) for one in records if _is(one, message, since)
    ]
    return Submission(carrier_ref=min(fits)[1]) if fits else None


def _records(api: Api, since: datetime) -> list[Any] | None:
    """Return the records since a time, or None where there are too many."""
    records: list[Any] = []
    for _ in range(MOST_PAGES):
        page = _page(api, since, len(records))
        records += page.records
        if not page.more:
            return records
    return None


def _page(api: Api, since: datetime, offset: int) -> Page:
    response = api.records(start=f"{since:%Y-%m-%dT%H:%M:%SZ}", limit=PAGE, offset=offset)
    answer = body_of(response)
    records = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(records, list):
        raise RetryableSendError("the list of messages cannot be read")
    links = answer.get("links")
    following = links.get("next") if isinstance(links, dict) else None
    return Page(records=records, more=bool(records) and (bool(following) or len(records) >= PAGE))


def _is(record: Any, message: OutboundMessage, since: datetime) -> bool:
    """Return whether a record is of `message`, its quotes plain perhaps, and belongs to no other message."""
    attributes = _attributes(record)
    at = moment(attributes.get("timestamp"))
    is_mms = bool(message.media)
    return (
        _ref(record) not in {"", *message.taken_refs}
        and attributes.get("direction") == "outbound"
        and party(attributes.get("from")) == message.sender
        and party(attributes.get("to")) == message.recipient
        and (attributes.get("body") or "") in (message.text, plain(message.text))
        and attributes.get("is_mms", is_mms) in (is_mms, str(is_mms).lower())
        and (at is None or at >= since)
    )


def _ref(record: Any) -> str:
    return reference(record.get("id")) if isinstance(record, dict) else ""


def _attributes(record: Any) -> dict[str, Any]:
    attributes = record.get("attributes") if isinstance(record, dict) else None
    return attributes if isinstance(attributes, dict) else {}
