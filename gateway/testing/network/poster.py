"""Posts webhooks to the gateway over connections that are kept."""

from __future__ import annotations

import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from gateway.testing.network.wire import Answer, Webhook

Address = tuple[str, str]  # scheme, host and port


class Poster:
    """POSTs from any number of threads: one attempt, no redirect, one connection for each post under way."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: dict[Address, list[http.client.HTTPConnection]] = {}
        self._closed = False

    def post(self, webhook: Webhook) -> Answer:
        """Post a webhook and return the answer; its status is 0 if none came."""
        split = urlsplit(webhook.url)
        address = (split.scheme, split.netloc)
        target = (split.path or "/") + (f"?{split.query}" if split.query else "")
        connection = self._take(address)
        try:
            connection.request("POST", target, body=webhook.body, headers=dict(webhook.headers))
            answer = _read(connection.getresponse())
        except (OSError, http.client.HTTPException):
            connection.close()
            return Answer(status=0)
        self._give_back(address, connection)
        return answer

    def post_together(self, webhook: Webhook, times: int) -> tuple[Answer, ...]:
        """Post a webhook several times at once, and return the answers."""
        if times == 1:
            return (self.post(webhook),)
        together = threading.Barrier(times)

        def post(_: int) -> Answer:
            together.wait()
            return self.post(webhook)

        with ThreadPoolExecutor(times) as pool:
            return tuple(pool.map(post, range(times)))

    def close(self) -> None:
        """Close the connections, those in use once they are done."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _take(self, address: Address) -> http.client.HTTPConnection:
        while connection := self._pop(address):
            if not _dropped(connection.sock):
                return connection
            connection.close()
        kind = http.client.HTTPSConnection if address[0] == "https" else http.client.HTTPConnection
        return kind(address[1], timeout=self._timeout)

    def _pop(self, address: Address) -> http.client.HTTPConnection | None:
        with self._lock:
            idle = self._idle.get(address)
            return idle.pop() if idle else None

    def _give_back(self, address: Address, connection: http.client.HTTPConnection) -> None:
        if connection.sock is None:  # the gateway asked to close it
            return
        with self._lock:
            if not self._closed:
                self._idle.setdefault(address, []).append(connection)
                return
        connection.close()


def _read(response: http.client.HTTPResponse) -> Answer:
    body = response.read().decode("utf-8", "replace")
    return Answer(status=response.status, body=body, content_type=response.headers.get("Content-Type", ""))


def _dropped(sock: socket.socket) -> bool:
    """Whether the other side has closed: a kept connection on which anything waits to be read is of no use."""
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        sock.settimeout(timeout)
    return True
