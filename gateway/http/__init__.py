"""HTTP by waitress: the only folder that imports it. `HttpServer` serves a WSGI application.

As it comes, waitress's thread asks every connection at each of its turns what it waits for, and every answer makes it
turn once more; an answer goes out in two pieces. That was half of what a webhook cost. Here the system's own selector
remembers what is waited for, and the thread is only woken where there is something for it to do.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from waitress.server import BaseWSGIServer, create_server

from gateway.http.channel import Channel
from gateway.http.threads import Threads
from gateway.http.watch import Watch

__all__ = ["BACKLOG", "FINISH", "HttpServer"]

FINISH = 10.0  #: seconds that requests under way are given when the server stops
BACKLOG = 1024

WsgiApp = Callable[..., Iterable[bytes]]


class HttpServer:
    """Serves a WSGI application on a socket that is bound, in threads of its own, from `start` to `stop`."""

    def __init__(self, app: WsgiApp, listener: socket.socket, *, threads: int, body_limit: int) -> None:
        """Listen. Bodies that are longer than `body_limit` bytes are refused."""
        self._watch = Watch()
        self._threads = Threads(threads)
        self._server: BaseWSGIServer = create_server(
            app,
            map=self._watch,
            _dispatcher=self._threads,
            sockets=[listener],
            max_request_body_size=body_limit + 1,
            backlog=BACKLOG,
            connection_limit=1000,
            channel_timeout=30,  # seconds without a byte
            cleanup_interval=10,
            ident=None,
        )
        self._server.channel_class = self._channel
        self._stopping, self._stopped = threading.Event(), False
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def shut(self) -> None:
        """Take nobody new from now on."""
        self._stopping.set()

    def stop(self) -> None:
        """Take nobody new, finish the requests under way, close every connection. A second time does nothing."""
        self.shut()
        if self._thread.ident is None or self._stopped:
            return
        self._stopped = True
        self._server.pull_trigger()
        self._thread.join()
        self._server.trigger.close()  # not before: the thread may have seen the end by itself
        self._watch.close()

    def is_stopping(self) -> bool:
        """Return whether nobody new is taken."""
        return self._stopping.is_set()

    @property
    def connections(self) -> int:
        """How many are connected."""
        return len(self._server.active_channels)

    @property
    def threads(self) -> int:
        """How many threads answer requests."""
        return self._threads.alive

    def is_hurried(self) -> bool:
        """Return whether requests wait for a thread to answer them."""
        return self._threads.are_behind()

    def _channel(self, server: BaseWSGIServer, *given: Any, **named: Any) -> Channel:
        return Channel(server, self._watch, *given, **named)

    def _serve(self) -> None:
        while not self.is_stopping():
            self._turn()
        self._server.accepting = False
        self._server.del_channel()  # nobody new
        self._server.socket.close()
        deadline = monotonic() + FINISH
        while self._busy() and monotonic() < deadline:
            self._turn()
        self._threads.shutdown()
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()

    def _turn(self) -> None:
        self._watch.look_at(self._server)  # which counts connections, and now and then ends those that are idle
        self._watch.turn()

    def _busy(self) -> bool:
        return any(c.requests or c.total_outbufs_len for c in list(self._server.active_channels.values()))
