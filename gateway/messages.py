"""The data that crosses borders: between web, core, store and carriers. Frozen, keyword-only, no behaviour.

The `repr` of each leaves out what must not be logged: numbers, texts, bodies, and URLs, which may hold the token.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from gateway.errors import WebhookMalformed
from gateway.numbers import e164, without_numbers
from gateway.storable import check_length, mend, storable

A = TypeVar("A")
T = TypeVar("T")


class Channel(Enum):
    """What a carrier's numbers can carry."""

    SMS = "sms"
    MMS = "mms"
    VOICE = "voice"


class OptOut(Enum):
    """Who answers STOP."""

    CARRIER = "carrier"  #: the carrier blocks the pair and confirms by itself
    GATEWAY = "gateway"  #: nobody unless we do


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How fast a carrier may be sent to, in parts per second (`carriers.md` 7).

    At more than 50 a second, as many as in 20 ms may leave at once; up to that, each has its time for itself.
    """

    per_number: float | None = 1.0  #: for one sending number; None: unlimited
    per_account: float | None = None  #: for the whole account; None: unlimited

    def __post_init__(self) -> None:
        if not all(limit is None or 0 < limit < math.inf for limit in (self.per_number, self.per_account)):
            raise ValueError("a rate is parts per second, more than 0, or None: unlimited")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What one message takes out of a `Rate`."""

    number: float = 1.0
    account: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.number < math.inf and 0 <= self.account < math.inf):
            raise ValueError("a weight is 0 or more")


# --- webhooks -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """What a carrier sent us, free of any web framework."""

    url: str = field(repr=False)  #: the public URL as the carrier saw it, with its query (signatures cover it)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  #: names in lower case
    body: bytes = field(default=b"", repr=False)  #: as it came
    _known: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  #: what was read of it

    @property
    def content_type(self) -> str:
        """Return the media type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises `WebhookMalformed`."""
        return dict(self._once(_json, self.body))

    def pairs(self) -> Sequence[tuple[str, str]]:
        """Return the names and values of the body's form as they came, blank ones too; `�` for what is no UTF-8.

        That is what a signature covers; see `form` for what to read.
        """
        return self._once(_pairs, self.body)

    def form(self) -> dict[str, str]:
        """Return the body's form fields, blank ones too; of a repeated one the first. Raises `WebhookMalformed`."""
        return dict(self._once(_form, self))

    def query(self) -> dict[str, str]:
        """Return the fields of the URL's query, blank ones too; of a repeated one the first."""
        return dict(self._once(_query, self.url))

    def _once(self, read: Callable[[A], T], of: A) -> T:
        """Return what `read` makes of the request. It is asked for by `verify` and by `parse`, and read once."""
        if read not in self._known:
            self._known[read] = read(of)
        found: T = self._known[read]
        return found


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookMalformed(f"the body is not JSON: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise WebhookMalformed(f"the body is a JSON {type(value).__name__}, not an object")
    return value


def _pairs(body: bytes) -> Sequence[tuple[str, str]]:
    return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)


def _form(request: WebhookRequest) -> Mapping[str, str]:
    pairs = request.pairs()
    if any("\ufffd" in part for pair in pairs for part in pair):  # written so, or no UTF-8
        _refuse_other_bytes(request.body)
    return dict(reversed(pairs))


def _refuse_other_bytes(body: bytes) -> None:
    try:
        parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise WebhookMalformed(f"the body is not a form: {type(error).__name__}") from None


def _query(url: str) -> Mapping[str, str]:
    query = urlsplit(url).query if "?" in url else ""
    return dict(reversed(parse_qsl(query, keep_blank_values=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookResponse:
    """What we answer a carrier."""

    status: int = 200
    body: str = field(default="", repr=False)  #: sent as UTF-8
    content_type: str = "text/plain; charset=utf-8"


# --- texts --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    """A person texted one of our numbers."""

    carrier_ref: str  #: the carrier's id, by which a repeat is known; "" where it gives none
    sender: str = field(repr=False)  #: E.164; else the carrier's own word (short code, name)
    recipient: str = field(repr=False)  #: our number, the mask
    text: str = field(
        default="", repr=False
    )  #: as written; only NUL and lone surrogates, which no store and no carrier takes, are mended
    media: tuple[str, ...] = field(default=(), repr=False)  #: URLs, byte for byte
    sent_at: datetime | None = None  #: by the carrier's clock, aware
    form: str = ""  #: the plugin's own note of the language `acknowledge` must speak

    def __post_init__(self) -> None:
        mend(self, "carrier_ref", "sender", "recipient", "text", "form")
        check_length(self, "carrier_ref", "sender", "recipient")
        object.__setattr__(self, "media", tuple(storable(url) for url in self.media))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundMessage:
    """A text to send from one of our numbers. Both numbers are E.164, or `InvalidNumber` is raised."""

    id: str  #: ours, stable over retries: pass it on where the carrier takes a reference
    sender: str = field(repr=False)  #: our number, the mask
    recipient: str = field(repr=False)
    text: str = field(default="", repr=False)
    media: tuple[str, ...] = field(default=(), repr=False)  #: URLs the carrier will fetch
    receipt_url: str = field(default="", repr=False)  #: where the carrier shall report delivery; "": nowhere
    first_tried_at: datetime | None = None  #: aware; when it was first handed to the carrier, for `lookup`
    taken_refs: frozenset[str] = frozenset()  #: references of other messages of this lane: not this one's

    def __post_init__(self) -> None:
        e164(self.sender), e164(self.recipient)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The carrier took a message."""

    carrier_ref: str  #: what the carrier calls it; "" where it did not say

    def __post_init__(self) -> None:
        mend(self, "carrier_ref")


class Unsupported(Enum):
    """The type of `UNSUPPORTED`."""

    UNSUPPORTED = "this carrier cannot be asked what became of a message"


UNSUPPORTED: Final = Unsupported.UNSUPPORTED  #: what `Carrier.lookup` returns where there is nobody to ask


class DeliveryStatus(Enum):
    """What became of a message, in the carrier's word. The last two are final."""

    UNKNOWN = "unknown"  #: a word we have no meaning for: kept in `detail`, the state stays
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReceipt:
    """A carrier's word on what became of a message."""

    carrier_ref: str  #: the reference of the `Submission`
    status: DeliveryStatus
    code: str = ""  #: the carrier's error code
    detail: str = ""  #: the carrier's own words; no numbers, no text
    opted_out: bool = False  #: the recipient has blocked this number

    def __post_init__(self) -> None:
        mend(self, "carrier_ref", "code", "detail")
        object.__setattr__(self, "detail", without_numbers(self.detail))  # it is kept, and shown to the operator
        check_length(self, "carrier_ref")
