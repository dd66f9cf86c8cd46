"""The threads in which requests are answered."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic

from waitress.task import ThreadedTaskDispatcher

from gateway.http.channel import Channel


class Threads(ThreadedTaskDispatcher):  # type: ignore[misc]
    """The threads in which requests are answered, in the order in which they came.

    As waitress's own, but for a queue that costs a tenth.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._tasks: SimpleQueue[Channel | None] = SimpleQueue()
        self._all = [threading.Thread(target=self._work, name=f"http-{n}", daemon=True) for n in range(count)]
        for thread in self._all:
            thread.start()

    @property
    def alive(self) -> int:
        """How many there are."""
        return sum(thread.is_alive() for thread in self._all)

    def are_behind(self) -> bool:
        """Return whether requests wait."""
        return not self._tasks.empty()

    def add_task(self, task: Channel) -> None:
        self._tasks.put(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """Answer what waits no more, and wait so many seconds for the rest."""
        while not self._tasks.empty():
            with suppress(Empty):
                if (task := self._tasks.get_nowait()) is not None:
                    task.cancel()
        for _ in self._all:
            self._tasks.put(None)
        deadline = monotonic() + timeout
        for thread in self._all:
            thread.join(max(0.0, deadline - monotonic()))
        return True

    def _work(self) -> None:
        while self._answer(self._tasks.get()):
            pass

    def _answer(self, task: Channel | None) -> bool:
        """Answer a request, and keep nothing of it. Return whether there may be more."""
        if task is None:
            return False
        try:
            task.service()
        except BaseException:
            self.logger.exception("Exception when servicing %r", task)
            task.give_up()
        return True
