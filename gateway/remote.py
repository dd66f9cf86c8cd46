"""Which gateway the command line talks to, and with which key: two variables of the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from gateway.errors import ConfigError
from gateway.fields import SettingRow
from gateway.values import base_url

#: What the environment may say. The gateway itself reads neither.
VARIABLES = (
    SettingRow(
        variable="GATEWAY_URL",
        default="http://127.0.0.1:8000",
        description="The gateway that `gateway pool`, `sessions`, `messages` and their like talk to",
        example="https://mask.example.com",
    ),
    SettingRow(
        variable="GATEWAY_API_KEY",
        default="",
        description="The key they send: the secret of one of its `GATEWAY_API_KEYS`",
        example="one-long-random-word",
    ),
)
URL, KEY = VARIABLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A gateway somewhere."""

    url: str  #: what stands before /v1, without a slash at its end
    key: str = field(repr=False)  #: "": none


def read_remote(url: str | None = None, key: str | None = None) -> Remote:
    """Return the gateway to talk to; `url` and `key`, as they stand in options, come before the environment.

    Raises `ConfigError`, which never holds the key.
    """
    try:
        found = base_url((url or _variable(URL)).strip(), "/v1")
    except ValueError as error:
        raise ConfigError(f"{'--url' if url else URL.variable}: {error} (for example {URL.example})") from None
    return Remote(url=found, key=_readable_key(_variable(KEY) if key is None else key))


def _variable(row: SettingRow) -> str:
    """Return a variable, whatever its case, as those of the gateway itself are read; an empty one is its default."""
    found = next((value for name, value in os.environ.items() if name.upper() == row.variable), "")
    return found.strip() or row.default


def _readable_key(key: str) -> str:
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"{KEY.variable}: has white space, or letters that an HTTP header does not carry")
    return key
