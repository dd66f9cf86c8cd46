"""HTTP by waitress: the only folder that imports it. `HttpServer` serves a WSGI application.

As it comes, waitress's thread asks every connection at each of its turns what it waits for, and every answer makes it
turn once more; an answer goes out in two pieces. That was half of what a webhook cost. Here the system's own selector
remembers what is waited for, and the thread is only woken where there is something for it to do.
"""

from __future__ import annotations

import logging
import resource
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
CONNECTIONS = 1000  #: at most
REST = 1.0  #: seconds before a connection is taken again, after the system could give none

log = logging.getLogger(__name__)

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
            connection_limit=_most(),
            channel_timeout=30,  # seconds without a byte
            cleanup_interval=10,
            ident=None,
        )
        self._server.channel_class = self._channel
        self._server.accept, self._server.maintenance = self._accept, self._end_idle
        self._rests_until = 0.0
        self._stopping, self._stopped = threading.Event(), False
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def shut(self) -> None:
        """Take nobody new from now on."""
        if not self.is_stopping():
            self._stopping.set()
            self._server.pull_trigger()

    def stop(self) -> None:
        """Take nobody new, finish the requests under way, close every connection. A second time does nothing."""
        self.shut()
        if self._stopped:
            return
        self._stopped = True
        if self._thread.ident is None:
            self._end()
        else:
            self._thread.join()
        if not self.threads:  # one that is left might pull it, and write to the file that has its number by then
            self._server.trigger.close()
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

    def _channel(self, server: BaseWSGIServer, line: socket.socket, *given: Any, **named: Any) -> None:
        try:
            Channel(server, self._watch, line, *given, **named)
        except OSError:  # gone already, which some systems say only now: waitress would close the server
            line.close()

    def _accept(self) -> tuple[socket.socket, Any] | None:
        """Return a connection and whose it is, if there is one. Rest a while where the system has none to give."""
        try:
            return BaseWSGIServer.accept(self._server)  # type: ignore[no-any-return]
        except OSError as error:  # what waits stays there, so that it would be asked for again at once, for ever
            log.error("cannot take a connection: %s", error.strerror)
            self._rests_until = monotonic() + REST
            return None

    def _end_idle(self, now: float) -> None:
        """Close what is idle, whether or not there is room to write to it."""
        since = now - self._server.adj.channel_timeout
        self._close(lambda channel: channel.is_idle(since))

    def _serve(self) -> None:
        while not self.is_stopping():
            self._turn()
        self._end()

    def _end(self) -> None:
        self._server.accepting = False
        self._server.del_channel()  # nobody new
        self._server.socket.close()
        deadline = monotonic() + FINISH
        while self._busy() and monotonic() < deadline:
            self._turn()
        self._close(lambda channel: channel.total_outbufs_len)  # nobody reads it: a thread may wait for that
        self._threads.shutdown()
        self._close(lambda channel: True)

    def _turn(self) -> None:
        if monotonic() < self._rests_until:
            self._watch.park(self._server)
        else:
            self._watch.look_at(self._server)  # which counts connections, and now and then ends those that are idle
        self._watch.turn()

    def _busy(self) -> bool:
        return any(channel.requests or channel.total_outbufs_len for channel in self._channels())

    def _close(self, which: Callable[[Channel], object]) -> None:
        for channel in filter(which, self._channels()):
            channel.handle_close()

    def _channels(self) -> list[Channel]:
        return list(self._server.active_channels.values())


def _most() -> int:
    """Return how many may be connected: at most half of the files we may have open, since the rest of us has some."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files == resource.RLIM_INFINITY else min(CONNECTIONS, files // 2)
