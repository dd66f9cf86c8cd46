"""What passes between the gateway and the simulated network: requests, answers, and what they mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that says no. Nothing was taken."""

    status: int
    #: `unavailable`, `throttled`, `unauthorized`, `refused`, `opted_out`, `unreadable`, `unknown`: a face has its own
    code: str
    detail: str = ""  #: no numbers, no text
    retry_after: float | None = None  #: seconds


class Refused(Exception):
    """A face refuses a request; it is answered with `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def unreadable(detail: str) -> Refused:
    """Return what to raise where a request cannot be read."""
    return Refused(Refusal(status=400, code="unreadable", detail=detail))


UNAUTHORIZED = Refusal(status=401, code="unauthorized", detail="the credentials are wrong")
UNKNOWN = Refusal(status=404, code="unknown", detail="there is nothing here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the gateway asked."""

    method: str
    path: str  #: without the query
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)  #: names in lower case
    body: bytes = b""

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises `Refused`."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            raise unreadable("the body is not JSON") from None
        if not isinstance(value, dict):
            raise unreadable("the body is not a JSON object")
        return value

    def form(self) -> dict[str, list[str]]:
        """Return the body's form fields, each with all its values."""
        return parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def fields(self) -> dict[str, str]:
        """Return the query's fields; of a repeated one the first."""
        return {name: values[0] for name, values in parse_qs(self.query, keep_blank_values=True).items()}

    def basic(self) -> tuple[str, str]:
        """Return user and password of HTTP Basic, or two blanks."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        except ValueError:
            return "", ""
        return (user, password) if scheme.lower() == "basic" else ("", "")

    def bearer(self) -> str:
        """Return the key of `Authorization: Bearer`, or a blank."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one side answered the other. Status 0: no answer came."""

    status: int
    body: str = ""
    content_type: str = "application/json"
    content: bytes | None = None  #: instead of `body`, of what is no text
    retry_after: float | None = None  #: seconds


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection instead of answering, with `reset` by an RST."""

    reset: bool = False


def answer_json(status: int, value: object, retry_after: float | None = None) -> Answer:
    """Return an answer whose body is `value` as JSON."""
    return Answer(status=status, body=json.dumps(value), retry_after=retry_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """The gateway wants a text sent. Both numbers are E.164."""

    sender: str
    recipient: str
    text: str = ""
    media: tuple[str, ...] = ()
    id: str = ""  #: the gateway's own, where the wire carries it
    receipt_url: str = ""  #: "": no receipts


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """The gateway asks which texts were taken. Blank: any."""

    sender: str = ""
    recipient: str = ""
    id: str = ""
    ref: str = ""
    since: int = 0  #: ms UTC
    newest_first: bool = False
    offset: int = 0
    limit: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """The gateway asks whether its credentials are good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """The gateway wants a recording, or `forget`s it."""

    ref: str
    forget: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A POST to the gateway, signed as the carrier signs."""

    url: str
    body: bytes
    headers: Mapping[str, str]
