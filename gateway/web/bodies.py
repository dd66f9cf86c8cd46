"""Requests, so read that nothing in them raises: headers in any bytes, bodies once and never beyond the limit."""

from __future__ import annotations

import json
from typing import Any

import bottle

from gateway.web.errors import problem

LIMIT = 256 * 1024  #: bytes
_CONTENT = ("CONTENT_TYPE", "CONTENT_LENGTH")  #: headers that WSGI keeps apart


def read_headers() -> dict[str, str]:
    """Return the headers of the request, their names in lower case; see `_readable`."""
    environ = bottle.request.environ  # whose own words for them are read at once: every webhook passes here
    named = {key.removeprefix("HTTP_"): environ[key] for key in environ if key.startswith("HTTP_") or key in _CONTENT}
    return {key.replace("_", "-").lower(): _readable(value) for key, value in named.items()}


def read_header(name: str) -> str:
    """Return one header of the request, "" where there is none; see `_readable`."""
    return _readable(bottle.request.headers.raw(name, ""))


def _readable(value: str) -> str:
    """Return a header as UTF-8, or letter for byte where it is none: Bottle itself raises then."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def read_body() -> bytes:
    """Return the body of the request. A longer one than `LIMIT` is answered 413."""
    if (bottle.request.content_length or 0) > LIMIT:
        raise problem(413, f"The body is longer than {LIMIT} bytes.")
    body: bytes = bottle.request.environ["wsgi.input"].read(LIMIT + 1)
    if len(body) > LIMIT:
        raise problem(413, f"The body is longer than {LIMIT} bytes.")
    return body


def read_object() -> dict[str, Any] | None:
    """Return the body as a JSON object, or None if it is none. Lone surrogates and NaN are no JSON here."""
    try:
        value = json.loads(read_body().decode("utf-8"), parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> float:
    raise ValueError(constant)
