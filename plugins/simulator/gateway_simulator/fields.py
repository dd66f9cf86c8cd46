"""What a webhook of the network's says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway import WebhookMalformed
from gateway.errors import InvalidNumber
from gateway.numbers import e164


def string(event: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Return a string. Raises `WebhookMalformed`."""
    value = event.get(name, default)
    if not isinstance(value, str):
        raise WebhookMalformed(f"{name} is not a string")
    return value


def number(event: Mapping[str, Any], name: str) -> str:
    """Return a phone number as E.164. Raises `WebhookMalformed`."""
    try:
        return e164(event.get(name))
    except InvalidNumber:
        raise WebhookMalformed(f"{name} is not a phone number") from None


def count(event: Mapping[str, Any], name: str) -> int | None:
    """Return a number of seconds; None where there is none."""
    value = event.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None
