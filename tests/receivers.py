"""An application that is called back: a real HTTP server, which keeps what it got and answers as it is told."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from program import until

SECRET = "whsec_b25lLWxvbmctcmFuZG9tLXdvcmQtb3ItdHdv"
OTHER_SECRET = "whsec_YW5vdGhlci1sb25nLXJhbmRvbS13b3JkLW9yLXR3bw=="

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, by RST


@dataclass(frozen=True)
class Got:
    """One POST."""

    path: str
    headers: dict[str, str]  #: names in lower case
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> Any:
        return json.loads(self.body)

    @property
    def event(self) -> int:
        return int(self.payload["data"]["id"])

    @property
    def session(self) -> str:
        return self.payload["data"]["session"] or ""


@dataclass(frozen=True)
class Reply:
    """What is answered, after a while. `status` 0: the connection is reset."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: float = 0.0  #: seconds


TAKEN = Reply()
Answerer = Callable[[Got], Reply]


class Receiver:
    """Listens until it is closed; may be closed and opened again on the same port."""

    def __init__(self, answer: Answerer = lambda got: TAKEN) -> None:
        self.answer = answer
        self.got: list[Got] = []  #: every POST, as they came
        self.taken: list[Got] = []  #: those answered 2xx, as they were answered
        self.at_once: dict[str, int] = {}  #: by session, the most POSTs under way at a time
        self._under_way: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def open(self) -> None:
        """Listen."""
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def wait(self, count: int, seconds: float = 20) -> list[Got]:
        """Wait until so many were taken, and return them."""
        until(lambda: len(self.taken) >= count, f"{count} callbacks are taken, {len(self.taken)} are", seconds)
        return list(self.taken)

    def handle(self, got: Got) -> Reply:
        with self._lock:
            self.got.append(got)
            now = self._under_way[got.session] = self._under_way.get(got.session, 0) + 1
            self.at_once[got.session] = max(now, self.at_once.get(got.session, 0))
        try:
            reply = self.answer(got)
            time.sleep(reply.after)
        finally:
            with self._lock:
                self._under_way[got.session] -= 1
        if 200 <= reply.status < 300:
            with self._lock:
                self.taken.append(got)
        return reply


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of those who hang up."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if len(body) < int(self.headers["Content-Length"]):  # its sender was killed meanwhile
                self.close_connection = True
                return
            got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            reply = receiver.handle(got)
            if not reply.status:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(reply.status)
            for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def receiving(answer: Answerer = lambda got: TAKEN) -> Iterator[Receiver]:
    """Run a receiver until the end."""
    receiver = Receiver(answer)
    try:
        yield receiver
    finally:
        receiver.close()
