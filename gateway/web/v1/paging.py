"""Lists in pages: by key, never by offset, so that they stay right while rows come and go.

A cursor holds the key of the last row that was looked at, and a fingerprint of the list and its filters. It is no
secret and opens nothing; whatever is not a cursor of the same list is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from gateway.web.v1.operations import Call
from gateway.web.v1.problems import BAD_CURSOR, Refusal
from gateway.web.v1.types import Input, Output, Whole

T = TypeVar("T", bound=BaseModel)
GREATEST = (1 << 63) - 1  #: the greatest integer of the databases
Key = tuple[str | int, ...]  #: of a row: what the list is sorted by, unique


class Paging(Input):
    """The query of a list. Lists extend it with their filters."""

    limit: Whole = Field(50, ge=1, le=200, description="The most rows of one page")
    cursor: str | None = Field(None, max_length=1024, pattern=r"^[^\x00]*$", description="`next` of the page before")


class Page(Output, Generic[T]):
    """A page of a list."""

    data: list[T]
    next: str | None = Field(description="Send it as `cursor` for the next page; null: this is the last one")


def after(call: Call[Any, Any, Any], *kinds: type[str] | type[int]) -> Key | None:
    """Return the key behind which the page asked for begins, None for the first page.

    Its parts are of `kinds`: a string, or an integer that a database takes. Raises `Refusal`.
    """
    cursor = call.query.cursor
    if cursor is None:
        return None
    try:
        *key, _ = json.loads(base64.b64decode(f"{cursor}===".encode("ascii"), altchars=b"-_"))
        if write(call, tuple(key)) != cursor or not _fits(key, kinds):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise Refusal(BAD_CURSOR, "The cursor was not answered by this list with these filters.") from None
    return tuple(key)


def _fits(key: list[Any], kinds: tuple[type[str] | type[int], ...]) -> bool:
    """Return whether a key may be handed to the store: anybody can write a cursor who has read this file."""
    if [type(part) for part in key] != list(kinds):
        return False
    return all(-GREATEST <= part <= GREATEST if isinstance(part, int) else _is_text(part) for part in key)


def _is_text(part: str) -> bool:
    """Return whether a database takes a string: JSON has NUL and halves of a character, by their numbers."""
    return "\x00" not in part and not any("\ud800" <= letter <= "\udfff" for letter in part)


def write(call: Call[Any, Any, Any], key: Key | None) -> str | None:
    """Return the cursor of the page behind `key`; None for None: there is no next page."""
    if key is None:
        return None
    held = json.dumps([*key, _mark(call, list(key))], separators=(",", ":"))
    return base64.urlsafe_b64encode(held.encode()).decode("ascii").rstrip("=")


def _mark(call: Call[Any, Any, Any], key: list[Any]) -> str:
    """Return what tells a key of this list, under these filters, from any other."""
    filters = call.query.model_dump(mode="json", exclude={"limit", "cursor"})
    marked = json.dumps([call.target, filters, key], sort_keys=True)
    return hashlib.sha256(marked.encode()).hexdigest()[:16]
