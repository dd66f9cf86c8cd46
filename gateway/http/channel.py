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
        channel = self.channel
        pieces = _Pieces(channel)
        self.channel = pieces
        try:
            super().write(data)
        finally:
            self.channel = channel
        channel.write_soon(b"".join(pieces))


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
        # what else came was not read while one more request waited here, or once it had been seen
        if self.writable() or self.requests or self._watch.is_parked(self):
            self._watch.note(self)
            self._woken.pull_trigger()

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
