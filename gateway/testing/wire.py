"""Stand in for the network: record what a carrier asks for, answer as told, and let nothing else out."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.client import RemoteDisconnected
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import requests
import responses
import urllib3

from gateway.testing.cases import HttpAnswer

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_POOL = urllib3.HTTPSConnectionPool("carrier.invalid")

#: Failures before the request left: nothing was sent. Each has the shape `requests` gives it.
NEVER_LEFT: dict[str, Exception] = {
    "connect timeout": requests.exceptions.ConnectTimeout(
        urllib3.exceptions.MaxRetryError(
            _POOL,
            "/",
            urllib3.exceptions.ConnectTimeoutError(None, "timed out"),
        )
    ),
    "connection refused": requests.exceptions.ConnectionError(
        urllib3.exceptions.MaxRetryError(
            _POOL,
            "/",
            urllib3.exceptions.NewConnectionError(None, "refused"),  # type: ignore[arg-type]
        )
    ),
}

#: Failures after the request left: the carrier may have acted on it.
NO_ANSWER: dict[str, Exception] = {
    "read timeout": requests.exceptions.ReadTimeout(urllib3.exceptions.ReadTimeoutError(_POOL, "/", "Read timed out.")),
    "connection reset": requests.exceptions.ConnectionError(
        urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset by peer"))
    ),
    "connection closed": requests.exceptions.ConnectionError(
        urllib3.exceptions.ProtocolError("Connection aborted.", RemoteDisconnected("closed without response"))
    ),
    "answer broken off": requests.exceptions.ChunkedEncodingError(
        urllib3.exceptions.ProtocolError("Connection broken: IncompleteRead")
    ),
}

FAILURES = {**NEVER_LEFT, **NO_ANSWER}


class Wire(AbstractContextManager["Wire"]):
    """Every request made inside `with` gets the next of `answers`, the last one as often as asked.

    An exception among them is raised. Whatever goes round `requests`, straight to a socket, fails the test.
    """

    def __init__(self, *answers: HttpAnswer | Exception) -> None:
        self.requests: list[requests.PreparedRequest] = []
        self._answers = answers
        self._around: list[str] = []
        self._mock = responses.RequestsMock(assert_all_requests_are_fired=False)
        self._cut = _cut_off(self._around)

    def __enter__(self) -> Wire:
        self._cut.__enter__()
        self._mock.start()
        for method in METHODS:
            self._mock.add_callback(method, re.compile(".*", re.DOTALL), self._answer)
        return self

    def __exit__(self, *failure: Any) -> None:
        self._mock.stop()
        self._cut.__exit__(None, None, None)
        assert not self._around, f"goes to the network without self.http: {self._around}"
        assert self._answers or not self.requests, f"touches the network: {[one.url for one in self.requests]}"

    def _answer(self, request: Any) -> Any:
        self.requests.append(request)
        answers = self._answers or tuple(NEVER_LEFT.values())
        answer = answers[min(len(self.requests), len(answers)) - 1]
        if isinstance(answer, Exception):
            return answer.with_traceback(None)
        headers = dict(answer.headers)
        if answer.json is not None:
            headers.setdefault("Content-Type", "application/json")
        body = json.dumps(answer.json) if answer.json is not None else answer.body
        return answer.status, headers, body


@contextmanager
def _cut_off(attempts: list[str]) -> Iterator[None]:
    def refuse(name: str) -> Any:
        def refused(*args: Any, **kwargs: Any) -> Any:
            attempts.append(name)
            raise OSError("the conformance kit has cut the network off")

        return refused

    with (
        mock.patch.object(socket.socket, "connect", refuse("connect")),
        mock.patch.object(socket.socket, "connect_ex", refuse("connect_ex")),
        mock.patch.object(socket.socket, "sendto", refuse("sendto")),
        mock.patch.object(socket, "getaddrinfo", refuse("getaddrinfo")),
    ):
        yield


def decoded(request: requests.PreparedRequest) -> Any:
    """Return a request's body as a JSON value or as form fields; without a body the fields of its query."""
    body = request.body.encode() if isinstance(request.body, str) else request.body
    if not body:
        return _fields(urlsplit(request.url or "").query)
    assert isinstance(body, bytes), f"the body is a {type(body).__name__}"
    text = body.decode("utf-8")
    if "form" in str(request.headers.get("Content-Type", "")):
        return _fields(text)
    return json.loads(text)


def _fields(text: str) -> dict[str, str | list[str]]:
    fields = parse_qs(text, keep_blank_values=True, strict_parsing=bool(text))
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def strings(value: Any) -> Iterator[str]:
    """Yield every string inside a decoded value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings(list(value.values()))
    elif isinstance(value, Sequence):
        for item in value:
            yield from strings(item)
