"""What carriers write, made fit for every store: the strings of the data that crosses borders."""

from __future__ import annotations

from typing import Any

from gateway.errors import WebhookMalformed

LONGEST = 255  #: characters of a carrier's reference, of a number, name or SIP address: no database takes any key


def storable(text: str) -> str:
    """Return `text` without NUL and with each lone surrogate as `?`: what is left, every store and carrier takes."""
    if text.isascii():
        return text.replace("\x00", "")
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def mend(frozen: Any, *names: str) -> None:
    """Make the strings of a new object storable: what a carrier wrote must not be what the store stumbles over."""
    for name in names:
        value = getattr(frozen, name)
        mended = storable(value)
        if mended is not value:
            object.__setattr__(frozen, name, mended)


def check_length(event: Any, *names: str) -> None:
    for name in names:
        if len(getattr(event, name)) > LONGEST:
            raise WebhookMalformed(f"{name} has {len(getattr(event, name))} characters")
