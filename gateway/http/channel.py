"""Connections and the requests on them, as waitress has them: but answers go out in one piece and wake nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import WSGITask

from gateway.http.watch import Watch


class Task(WSGITask):  # type: ignore[misc]
    """A request that is answered, the head of the answer and the first of its body in one piece."""

    channel: Any

    def write(self, data: bytes) -> None:
        if self.wrote_header:
            super().write(data)
            return
        if not self.channel.server.accepting:
            self.set_close_on_finish()  # the server stops: whoever has more to ask shall do so elsewhere
        self.channel.write_soon(self._first(data))

    def _first(self, data: bytes) -> bytes:
        """Return the head of the answer and a piece of its body, as they go out. What is raised can still be a 500."""
        channel = self.channel
        self.channel = pieces = _Pieces(channel)
        try:
            super().write(data)
            return b"".join(pieces)
        except BaseException:
            self.wrote_header = False
            raise
        finally:
            self.channel = channel


class _Pieces(list[bytes]):
    """A connection that keeps what is written to it."""

    def __init__(self, channel: HTTPChannel) -> None:
        super().__init__()
        self.server, self.adj = channel.server, channel.adj

    def write_soon(self, data: bytes) -> int:
        self.append(data)
        return len(data)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection to somebody who asks. Its answers wake nobody without need."""

    task_class = Task

    def __init__(self, server: BaseWSGIServer, watch: Watch, *given: Any, **named: Any) -> None:
        self._watch = watch
        self._woken = server
        super().__init__(_Bell(server, self.wake), *given, **named)

    def wake(self) -> None:
        """Wake the thread that looks after connections, if there is something for it to do here."""
        stops = not self._woken.accepting  # then it waits for the last answer
        if self.writable() or self._watch.is_parked(self) or stops:
            self._watch.note(self)
            self._woken.pull_trigger()

    def give_up(self) -> None:
        """Let the connection be closed, since its request cannot be answered. From any thread."""
        self.will_close = True
        self.wake()

    def is_idle(self, since: float) -> bool:
        """Return whether nothing came or went since a time (seconds, UTC), though it is not us who keep it waiting."""
        return self.last_activity < since and bool(not self.requests or self.total_outbufs_len)

    def _flush_some(self, do_close: bool = False) -> bool:
        """As waitress's, which closes the connection if not told otherwise, in any thread that says 100; and alone.

        It sends without the lock where no request is there, and so beside whoever says 100: that went out twice.
        """
        with self.outbuf_lock:
            return bool(super()._flush_some(do_close))

    def handle_close(self) -> None:
        super().handle_close()
        self.server = self._woken  # without a bell that holds on to this


class _Bell:
    """The server as one of its connections sees it: what wakes its thread goes by way of that connection."""

    def __init__(self, server: BaseWSGIServer, pull_trigger: Callable[[], None]) -> None:
        self._server = server
        self.pull_trigger = pull_trigger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)
