"""Keys of the API: whose they are, and what they open. Read from one variable; errors never hold a secret."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum

from pydantic import SecretStr


class Role(IntEnum):
    """What a key of the API opens. Each may do what those before it may."""

    READER = 1  #: looks, changes nothing
    OPERATOR = 2  #: everything but what takes numbers out of the pool
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of the API. `name` says whose it is; "" for one that stands alone, which is an admin's."""

    name: str
    role: Role
    secret: SecretStr

    @property
    def caller(self) -> str:
        """Who asks with it, for all times: its name, or what tells a key without one from others."""
        digest = hashlib.sha256(self.secret.get_secret_value().encode()).hexdigest()
        return self.name or f"sha256:{digest[:16]}"


def read_keys(text: str) -> tuple[ApiKey, ...]:
    """Return the keys of a comma-separated list, each once; none for "".

    Each is `name:role:secret`, or a secret alone, which is an admin's. A secret that stands alone holds no colon, so
    that a key whose role is misspelt is refused and not taken for one that may do everything.
    """
    found: dict[str, ApiKey] = {}
    for written in [key.strip() for key in text.split(",")] if text else []:
        key = _api_key(written)
        if found.setdefault(key.secret.get_secret_value(), key) != key:
            raise ValueError("has one secret twice, with another name or role")
    return tuple(found.values())


def _api_key(text: str) -> ApiKey:
    if not text:
        raise ValueError("has an empty key beside a comma")
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("has a key with white space, or with letters that an HTTP header does not carry")
    if ":" not in text:
        return ApiKey(name="", role=Role.ADMIN, secret=SecretStr(text))
    name, role, secret = ([*text.split(":", 2), "", ""])[:3]
    if role.upper() not in Role.__members__ or not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) or not secret:
        raise ValueError("has a key with a colon that is not name:role:secret with the role admin, operator or reader")
    return ApiKey(name=name, role=Role[role.upper()], secret=SecretStr(secret))
