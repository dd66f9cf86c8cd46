"""Signatures after Standard Webhooks (https://www.standardwebhooks.com, specification 1.0.0, symmetric signatures)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"
LEAST = 24  #: bytes of a secret, after the specification
HOW_TO_MAKE_ONE = (
    "python3 -c \"import base64, secrets; print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
)


def key_of(secret: str) -> bytes:
    """Return the key of a secret, `whsec_` and base64. Raises `ValueError` in words without the secret."""
    if not secret.startswith(PREFIX):
        raise ValueError("has a secret that does not begin with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("has a secret that is not base64 after whsec_") from None
    if len(key) < LEAST:
        raise ValueError(f"has a secret of less than {LEAST} bytes, which can be guessed")
    return key


def headers(keys: Iterable[bytes], webhook_id: str, now: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a callback that is sent at `now` (ms UTC): a signature for each key."""
    at = str(now // 1000)
    signed = f"{webhook_id}.{at}.".encode() + body
    signatures = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii") for key in keys]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
