"""Who may use the API: a key, as `Authorization: Bearer <key>` or as the password of HTTP Basic."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from typing import Any

import bottle
from pydantic import SecretStr

from gateway.web.bodies import read_header
from gateway.web.errors import problem

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="maskgate", Basic realm="maskgate"'}


class KeyRequired:
    """A Bottle plugin: without one of `keys` the answer is 401. With no keys at all everybody may."""

    name = "key_required"
    api = 2

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self._keys = [key.get_secret_value().encode() for key in keys]

    def apply(self, callback: Any, route: bottle.Route) -> Any:
        """Return `callback` behind the check."""
        if not self._keys:
            return callback

        def checked(*args: Any, **kwargs: Any) -> Any:
            given = given_key(read_header("Authorization"))
            # every key is compared, so that the time tells nothing
            if not any([equal(given, key) for key in self._keys]):  # noqa: C419
                return problem(401, "Send a key of GATEWAY_API_KEYS: Authorization: Bearer <key>.", _CHALLENGE)
            return callback(*args, **kwargs)

        return checked


def given_key(header: str) -> bytes:
    """Return the key in an `Authorization` header, b"" where there is none to be found."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("utf-8", "replace")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""


def equal(given: bytes, secret: bytes) -> bool:
    """Compare in constant time; nothing equals an empty secret."""
    return bool(secret) and hmac.compare_digest(given, secret)
