"""Who may use the API: a key, as `Authorization: Bearer <key>` or as the password of HTTP Basic, and its role."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from typing import Any

import bottle

from gateway.keys import ApiKey, Role
from gateway.web.bodies import read_header
from gateway.web.errors import problem

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="maskgate", Basic realm="maskgate"'}


class KeyRequired:
    """A Bottle plugin: without one of `keys` the answer is 401, with one of too small a role 403.

    What only looks (GET) is for readers, everything else for operators, unless `role` says otherwise. With no keys at
    all everybody may do everything.
    """

    name = "key_required"
    api = 2

    def __init__(self, keys: Sequence[ApiKey], role: Role | None = None) -> None:
        self._keys = keys
        self._role = role

    def apply(self, callback: Any, route: bottle.Route) -> Any:
        """Return `callback` behind the check."""
        least = self._role or (Role.READER if route.method == "GET" else Role.OPERATOR)

        def checked(*args: Any, **kwargs: Any) -> Any:
            admitted(self._keys, least)
            return callback(*args, **kwargs)

        return checked


def admitted(keys: Sequence[ApiKey], least: Role) -> ApiKey | None:
    """Return the key of the request, None where there are none to be had. Raises the answer, 401 or 403."""
    if not keys:
        return None
    given = given_key(read_header("Authorization"))
    # every key is compared, so that the time tells nothing
    found = [key for key in keys if equal(given, key.secret.get_secret_value().encode())]
    if not found:
        raise problem(401, "Send a key of GATEWAY_API_KEYS: Authorization: Bearer <key>.", _CHALLENGE)
    if found[0].role < least:
        raise problem(403, f"This needs a key with the role {least}; the one sent has the role {found[0].role}.")
    return found[0]


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
