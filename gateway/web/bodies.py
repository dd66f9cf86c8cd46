"""Request bodies: read once, never more than the limit."""

from __future__ import annotations

import json
from typing import Any

import bottle

from gateway.web.errors import problem

LIMIT = 256 * 1024  #: bytes


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
