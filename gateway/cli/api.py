"""The API of a gateway, as the command line uses it: over HTTP, with a key, trying again where that is safe."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import gateway
from gateway.cli.refusals import Refused, Unavailable, Where, named, not_a_gateway, refusal
from gateway.client import TIMEOUT, CarrierSession, Response, retry_after
from gateway.errors import CarrierMisconfigured, ConfigError, PermanentSendError, SendError, UncertainSendError
from gateway.remote import URL, Remote

PAUSES = (0.25, 0.5, 1.0, 2.0)  #: seconds before each further try
LONGEST_PAUSE = 5.0
PAGE = 200  #: rows, the most of one page
_LATER = (429, 502, 503, 504)
_AS_IT_IS = named()

Query = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a list."""

    rows: list[dict[str, Any]]
    more: bool  #: it is the last one that was asked for, and others may follow


def path(*steps: str) -> str:
    """Return a path of the API, whose steps may hold anything."""
    return "/".join(["/v1", *(quote(step, safe="") for step in steps)])


class Api:
    """One gateway. What it refuses is `Refused`, what cannot be had now `Unavailable`."""

    def __init__(
        self, remote: Remote, *, timeout: tuple[float, float] = TIMEOUT, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.remote = remote
        local = urlsplit(remote.url).hostname in ("localhost", "127.0.0.1", "::1")
        self._http = CarrierSession(proxies=not local)
        self._timeout = timeout
        self._sleep = sleep
        self._known = False  #: it answered before, so it is there, and may be again in a moment

    def get(
        self,
        path: str,
        query: Query | None = None,
        *,
        wait: float = 0.0,
        patient: bool = True,
        where: Where = _AS_IT_IS,
    ) -> dict[str, Any]:
        """Return what is there. The answer may take `wait` seconds; without `patient` it is asked for once."""
        answer: dict[str, Any] = self._ask("GET", path, where, query=query, wait=wait, patient=patient)
        return answer

    def pages(self, path: str, query: Query, most: int | None, where: Where = _AS_IT_IS) -> Iterator[Page]:
        """Return the first `most` rows of a list, all for None, by pages: the first of them may be empty, no other."""
        cursor, left, first = None, most, True
        while True:
            size = PAGE if left is None else min(PAGE, left)
            answer = self.get(path, {**query, "limit": size, "cursor": cursor}, where=where)
            rows, cursor = answer["data"], answer["next"]
            left = None if left is None else left - len(rows)
            last = cursor is None or left == 0
            if rows or (last and first):
                yield Page(rows=rows, more=last and cursor is not None)
                first = False
            if last:
                return

    def post(self, path: str, body: Mapping[str, Any], where: Where = _AS_IT_IS) -> dict[str, Any]:
        """Do something, once: a repeat after a lost answer bears the same Idempotency-Key."""
        answer: dict[str, Any] = self._ask("POST", path, where, body=body)
        return answer

    def patch(self, path: str, body: Mapping[str, Any], where: Where = _AS_IT_IS) -> dict[str, Any]:
        """Change something to what it shall be, which may be said twice."""
        answer: dict[str, Any] = self._ask("PATCH", path, where, body=body)
        return answer

    def delete(self, path: str, query: Query | None = None, where: Where = _AS_IT_IS) -> None:
        """Remove something. That it is not there any more after a lost answer means that it was done."""
        self._ask("DELETE", path, where, query=query)

    def _ask(
        self,
        method: str,
        path: str,
        where: Where,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        wait: float = 0.0,
        patient: bool = True,
    ) -> Any:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        request = {"params": given, "json": body, "headers": self._headers(method)}
        lost = False  # an answer: what was asked may have been done
        for pause in (*PAUSES, None) if patient else (None,):
            try:
                response = self._send(method, path, wait, request)
            except SendError as error:
                lost = lost or isinstance(error, UncertainSendError)
                if pause is None or not (lost or self._known):
                    raise Unavailable(self._unreachable(error)) from None
            else:
                self._known = True
                if response.status_code not in _LATER or pause is None:
                    return self._read(response, where, gone_is_done=lost and method == "DELETE")
                pause = min(max(pause, retry_after(response, 0.0)), LONGEST_PAUSE)
            self._sleep(pause)
        raise AssertionError

    def _send(self, method: str, path: str, wait: float, request: Mapping[str, Any]) -> Response:
        connect, read = self._timeout
        try:
            return self._http.request(
                method, self.remote.url + path, check=False, timeout=(connect, read + wait), **request
            )
        except (CarrierMisconfigured, PermanentSendError):
            raise ConfigError(f"{URL.variable} or what was given cannot be put into a request") from None

    def _headers(self, method: str) -> dict[str, str]:
        headers = {"User-Agent": f"maskgate/{gateway.__version__}"}
        if self.remote.key:
            headers["Authorization"] = f"Bearer {self.remote.key}"
        return headers | ({"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {})

    def _unreachable(self, error: SendError) -> str:
        if isinstance(error, UncertainSendError):
            return f"{self.remote.url} took the request and did not answer. What was asked may have been done"
        if "certificate" in error.detail:
            return f"{self.remote.url}: its certificate is not valid"
        return f"cannot connect to {self.remote.url}. Is a gateway running there? {URL.variable} or --url says where"

    def _read(self, response: Response, where: Where, *, gone_is_done: bool) -> Any:
        """Return the JSON of a good answer, None where there is none. Raises `Refused`, `Unavailable`."""
        if response.status_code == 204:
            return None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code >= 400:
            error = refusal(response.status_code, answer, self.remote, where)
            if gone_is_done and isinstance(error, Refused) and response.status_code == 404:
                return None
            raise error
        if response.status_code >= 300 or not isinstance(answer, dict):
            raise not_a_gateway(f"HTTP {response.status_code}", self.remote)
        return answer
