"""SignalWire's Compatibility API: send a text, look for one, prove the credentials (`carriers.md` 2.1).

signalwire.com/docs/compatibility-api/rest/messages
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from gateway import (
    CarrierMisconfigured,
    CarrierSession,
    OutboundMessage,
    PermanentSendError,
    RetryableSendError,
    Submission,
)
from gateway.numbers import party
from gateway.storable import storable
from gateway_signalwire.answers import MOST_MEDIA
from gateway_signalwire.errors import body_of, raise_refusal
from gateway_signalwire.settings import SignalWireSettings

SKEW = timedelta(minutes=5)  #: how far SignalWire's clock and ours may differ
PAGE_SIZE, MOST_PAGES = 100, 10  #: of one lane's list, which `lookup` reads


def send(http: CarrierSession, settings: SignalWireSettings, message: OutboundMessage) -> Submission:
    """Hand over `message` in one request. Raises a subclass of `SendError`.

    Any 2xx means that SignalWire has the message, whatever its body says: without an id the reference is "".
    """
    credentials = auth(settings)
    if len(message.media) > MOST_MEDIA:
        raise PermanentSendError(f"SignalWire takes at most {MOST_MEDIA} media in a message", code="21623")
    accept = {"Accept": "application/json"}
    response = http.post(_messages_url(settings), data=_form(message), auth=credentials, headers=accept, check=False)
    raise_refusal(response, datetime.now(timezone.utc))
    return Submission(carrier_ref=_sid(body_of(response)))


def _form(message: OutboundMessage) -> list[tuple[str, str]]:
    form = [("From", message.sender), ("To", message.recipient)]
    if message.text or not message.media:
        form.append(("Body", storable(message.text)))
    form += [("MediaUrl", url) for url in message.media]
    if message.receipt_url:
        form.append(("StatusCallback", message.receipt_url))
    return form


def auth(settings: SignalWireSettings) -> tuple[bytes, bytes]:
    """Return user and password. Raises `CarrierMisconfigured` where there is no token."""
    if settings.api_token is None:
        raise CarrierMisconfigured("SIGNALWIRE_API_TOKEN is not set: replies travel inside answers only")
    return settings.project_id.encode("utf-8"), settings.api_token.get_secret_value().encode("utf-8")


def account_url(settings: SignalWireSettings) -> str:
    """Return what the paths of the Compatibility API are appended to."""
    return f"{settings.base_url}/api/laml/2010-04-01/Accounts/{quote(settings.project_id, safe='')}"


def _messages_url(settings: SignalWireSettings) -> str:
    return f"{account_url(settings)}/Messages"


def _sid(record: Any) -> str:
    """Return the id in a message's record; "" where there is none."""
    sid = record.get("sid") if isinstance(record, dict) else None
    return storable(sid) if isinstance(sid, str) else ""


def lookup(http: CarrierSession, settings: SignalWireSettings, message: OutboundMessage) -> Submission | None:
    """Return what SignalWire calls `message`, None if it does not have it. See `Carrier.lookup`.

    The list is asked for by sender and recipient alone: its filter by date goes by when a message was sent,
    and one that still waits in SignalWire's queue has no such date.
    """
    found = [record for record in _records(http, settings, message) if _is(record, message)]
    # dates have whole seconds and lists begin with the newest: of equals the last is the oldest
    oldest = min(reversed(found), key=_created, default=None)
    return Submission(carrier_ref=_sid(oldest)) if oldest else None


def _records(http: CarrierSession, settings: SignalWireSettings, message: OutboundMessage) -> Iterator[dict[str, Any]]:
    """Yield the messages from this number to this person, page by page, back to the first attempt."""
    url = _messages_url(settings)
    params: dict[str, Any] | None = {"From": message.sender, "To": message.recipient, "PageSize": PAGE_SIZE}
    for _ in range(MOST_PAGES):
        page = _get(http, settings, url, params)
        records = page.get("messages")
        if not isinstance(records, list):
            raise RetryableSendError("SignalWire's list of messages cannot be read")
        records = [record for record in records if isinstance(record, dict)]
        yield from records
        following = page.get("next_page_uri")
        if not following or _is_past(records, message):
            return
        url, params = _next(url, following), None


def _get(http: CarrierSession, settings: SignalWireSettings, url: str, params: dict[str, Any] | None) -> dict[str, Any]:
    response = http.get(url, params=params, auth=auth(settings), headers={"Accept": "application/json"}, check=False)
    raise_refusal(response, datetime.now(timezone.utc))
    page = body_of(response)
    return page if isinstance(page, dict) else {}


def _next(url: str, following: Any) -> str:
    """Return the next page's address. Raises `RetryableSendError` if it is none, or elsewhere: our token stays here."""
    try:
        target: str = urljoin(url, following)
        target.encode("ascii")
        elsewhere = urlsplit(target)[:2] != urlsplit(url)[:2]
    except (TypeError, ValueError, AttributeError):
        raise RetryableSendError("SignalWire's list of messages cannot be read on") from None
    if elsewhere:
        raise RetryableSendError("SignalWire's list of messages goes on at another host")
    return target


def _is_past(records: list[dict[str, Any]], message: OutboundMessage) -> bool:
    """Return whether a page, newest first, has come to what is older than `message`."""
    if not records or message.first_tried_at is None:
        return False
    first, last = _created(records[0]), _created(records[-1])
    return first >= last and last < message.first_tried_at - SKEW


def _is(record: dict[str, Any], message: OutboundMessage) -> bool:
    """Return whether SignalWire's record is `message` and nobody else's."""
    since = message.first_tried_at - SKEW if message.first_tried_at else _NEVER
    return (
        str(record.get("direction")).startswith("outbound")
        and _sid(record) not in {"", *message.taken_refs}
        and party(record.get("from")) == message.sender
        and party(record.get("to")) == message.recipient
        and _written(record.get("body")) == _written(message.text)
        and _has_media(record, len(message.media))
        and since <= _created(record)
    )


def _written(body: Any) -> str:
    """Return a text as it compares: SignalWire may trim it and keep other line ends."""
    return storable(str(body or "")).replace("\r\n", "\n").strip()


def _has_media(record: dict[str, Any], count: int) -> bool:
    said = str(record.get("num_media", ""))
    return not said.isascii() or not said.isdigit() or said == str(count)


_NEVER = datetime.min.replace(tzinfo=timezone.utc)


def _created(record: dict[str, Any]) -> datetime:
    """Return when SignalWire made a record (RFC 2822, a whole second); the beginning of time where it does not say."""
    try:
        moment = parsedate_to_datetime(str(record.get("date_created")))
    except (ValueError, TypeError, IndexError, OverflowError):
        return _NEVER
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def check(http: CarrierSession, settings: SignalWireSettings) -> bool:
    """Ask for one message of the project. Raises a subclass of `SendError`; False where there is no token."""
    if settings.api_token is None:
        return False
    _get(http, settings, _messages_url(settings), {"PageSize": 1})
    return True
