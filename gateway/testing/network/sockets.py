"""The network's HTTP server: sockets in, requests out to a function, answers back."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from gateway.testing.network.wire import Answer, Drop, Request

log = logging.getLogger(__name__)

BACKLOG = 512  #: connections that wait to be accepted: more clients than that at once and some are refused
MAX_BODY = 1 << 20  #: bytes
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, by RST

Serve = Callable[[Request], "Answer | Drop"]


class Listener:
    """Listens on one address, may stop and listen there again. Serves each connection in a thread, kept alive."""

    def __init__(self, host: str, port: int, serve: Serve) -> None:
        self._address = (host, port)
        self._serve = serve
        self._server: _Server | None = None
        self._held: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port, once it has listened."""
        return self._address[1]

    def open(self) -> None:
        """Listen. Raises `OSError` if the address is taken."""
        if self._server:
            return
        self._server = _Server(self._address, self._serve)
        self._address = self._server.server_address[:2]  # type: ignore[assignment]
        self._release()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="network", daemon=True).start()

    def close(self, *, hold: bool = False) -> None:
        """Refuse connections and cut those there are. With `hold`, keep others off the port meanwhile."""
        server, self._server = self._server, None
        if server:
            server.wake()
            server.shutdown()
            server.server_close()
            if hold:
                self._hold()
            server.cut()
        if not hold:
            self._release()

    def _hold(self) -> None:
        """Bind the port without listening: connections are still refused, and nobody else is given it."""
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(self._address)

    def _release(self) -> None:
        if self._held:
            self._held.close()
            self._held = None


class _Server(ThreadingHTTPServer):
    request_queue_size = BACKLOG

    def __init__(self, address: tuple[str, int], serve: Serve) -> None:
        self.serve = serve
        self._open: set[socket.socket] = set()
        self._to_reset: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own asks DNS for the host's name

    def wake(self) -> None:
        """Refuse connections at once, which wakes the loop; where it does not, the loop looks soon."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
            reset = request in self._to_reset
            self._to_reset.discard(request)
        if reset:  # a shutdown would say goodbye first
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def reset(self, connection: socket.socket) -> None:
        """Let a connection end by RST once its thread is done with it."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        with self._lock:
            self._to_reset.add(connection)

    def cut(self) -> None:
        """Cut every connection; its thread finds out and ends."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("the simulated network failed to serve a request")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write for an answer, so that it is one packet
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client went away, or we were told to cut
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def _one(self) -> None:
        body = self._body()
        if body is None:
            self._write(Answer(status=400, content_type="text/plain", body="send Content-Length, at most 1 MiB\n"))
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(method=self.command, path=unquote(path), query=query, headers=headers, body=body)
        answer = self.server.serve(request)
        if isinstance(answer, Drop):
            self._drop(answer)
        else:
            self._write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = _one  # noqa: N815  # the names the base class looks for

    def _body(self) -> bytes | None:
        if "Transfer-Encoding" in self.headers:
            return None
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > MAX_BODY:
            return None
        return self.rfile.read(int(length))

    def _write(self, answer: Answer) -> None:
        body = answer.body.encode() if answer.content is None else answer.content
        phrase = responses.get(answer.status, "")
        lines = [f"HTTP/1.1 {answer.status} {phrase}", f"Content-Type: {answer.content_type}"]
        lines.append(f"Content-Length: {len(body)}")
        if answer.retry_after is not None:
            lines.append(f"Retry-After: {answer.retry_after:g}")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def _drop(self, drop: Drop) -> None:
        if drop.reset:
            self.server.reset(self.connection)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: request lines hold numbers."""
