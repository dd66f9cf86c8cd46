"""Endpoints: URLs of the application, and the names by which the API and the log call them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where callbacks are sent. The URL may hold secrets: only its scheme and host are ever shown."""

    url: str = field(repr=False)

    @property
    def host(self) -> str:
        """Its host, in lower case."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Its port."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody on the way can read what is sent there."""
        return self.url.startswith("https:")

    @property
    def name(self) -> str:
        """Its host and a short hash, which other passwords or queries in the URL do not change.

        So it goes on where it was when they do; and nothing of them is in the hash.
        """
        parts = urlsplit(self.url)
        place = f"{parts.scheme}://{self.host}:{self.port}{parts.path or '/'}"
        return f"{self.host}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def read_endpoint(text: str) -> Endpoint:
    """Return the endpoint of a URL. Raises `ValueError` in words without it."""
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isascii() or re.search(r"[\s\\\x00-\x1f\x7f]", text):
        raise ValueError("holds what is not a URL that begins with https:// or http:// and a host, in ASCII")
    if url.fragment:
        raise ValueError("holds a URL with a fragment (#…), which is sent to nobody")
    return Endpoint(text)
