"""The two requests of Flowroute's Messages API that the gateway makes, and how to read any answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from gateway import CarrierSession
from gateway.client import Response

JSON_API = "application/vnd.api+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """`<FLOWROUTE_API_URL>/messages`, with the account's keys."""

    http: CarrierSession
    url: str
    access_key: SecretStr
    secret_key: SecretStr

    def submit(self, attributes: dict[str, Any]) -> Response:
        """Ask for a message to be sent, and return the answer whatever its status. Raises `SendError` without one."""
        return self.http.post(
            self.url,
            check=False,
            auth=self._auth(),
            json={"data": {"type": "message", "attributes": attributes}},
            headers={"Content-Type": JSON_API, "Accept": JSON_API},
        )

    def records(self, *, start: str, limit: int, offset: int) -> Response:
        """Ask for the records since `start` (UTC, ISO 8601 with Z). Raises `SendError`."""
        query: dict[str, Any] = {"start_date": start, "limit": limit, "offset": offset}
        return self.http.get(self.url, auth=self._auth(), params=query, headers={"Accept": JSON_API})

    def _auth(self) -> tuple[bytes, bytes]:
        return self.access_key.get_secret_value().encode(), self.secret_key.get_secret_value().encode()


def body_of(response: Response) -> Any:
    """Return the JSON an answer holds, or None: a proxy's page is no JSON, whatever its status says."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def reference(value: Any) -> str:
    """Return the id that stands in a record or a webhook, or "" where there is none that can be read."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
