"""What each connection waits for, kept by the system (epoll, kqueue) and not asked for at every turn."""

from __future__ import annotations

import selectors
from collections import deque
from contextlib import suppress
from select import POLLIN, POLLOUT
from time import monotonic

from waitress.wasyncore import dispatcher, readwrite

LOOK_S = 1.0  #: every so many seconds each connection is asked what it waits for

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Watch(dict[int, dispatcher]):
    """What waitress calls a map: the connections by their file descriptors; and what each waits for.

    The selector is told what a connection waits for when that changes, and not that it stopped waiting to be read from:
    while its request is answered, its peer seldom has more to say. Where it has, the connection is `parked`, and
    whoever ends the answer wakes the thread. Connections are taken and closed by that thread only.
    """

    def __init__(self) -> None:
        super().__init__()
        self._selector = selectors.DefaultSelector()
        self._told: dict[int | None, int] = {}
        self._changed: deque[dispatcher] = deque()
        self._looked = monotonic()

    def __setitem__(self, fd: int, one: dispatcher) -> None:
        self._forget(fd)
        super().__setitem__(fd, one)
        self._changed.append(one)  # it is not made yet, and is looked at in the next turn

    def __delitem__(self, fd: int) -> None:
        super().__delitem__(fd)
        self._forget(fd)  # before it is closed: another may have its number at once

    def close(self) -> None:
        """Ask the system nothing more."""
        self._selector.close()

    def note(self, one: dispatcher) -> None:
        """Look at a connection in the next turn, since it waits for something else now. From any thread."""
        self._changed.append(one)

    def is_parked(self, one: dispatcher) -> bool:
        """Return whether nothing is read from a connection, whatever comes. From any thread."""
        return not self._told.get(one._fileno, 0) & READ

    def park(self, one: dispatcher) -> None:
        """Tell the selector that a connection waits for nothing, until it is looked at."""
        if self.get(one._fileno) is one:
            self._tell(one, 0)

    def turn(self) -> None:
        """Wait until something is there for a connection, and give it to it: `LOOK_S` at most."""
        while self._changed:
            self.look_at(self._changed.popleft())
        for key, there in self._selector.select(LOOK_S):
            if self.get(key.fd) is key.data:  # or it was closed in this turn, and a new one may have its number
                self._give(key.data, there)
        if monotonic() - self._looked >= LOOK_S:
            self._looked = monotonic()
            for one in list(self.values()):
                self.look_at(one)

    def look_at(self, one: dispatcher) -> None:
        """Tell the selector what a connection waits for."""
        fd = one._fileno
        if self.get(fd) is one:
            self._tell(one, _awaited(one) | self._told.get(fd, 0) & READ)

    def _give(self, one: dispatcher, there: int) -> None:
        unawaited = there & ~_awaited(one)
        if unawaited:
            self._tell(one, self._told.get(one._fileno, 0) & ~unawaited)
        else:
            readwrite(one, (POLLIN if there & READ else 0) | (POLLOUT if there & WRITE else 0))
        # after it was parked, or by what it was given, it may wait for something else
        self.look_at(one)

    def _tell(self, one: dispatcher, awaited: int) -> None:
        fd = one._fileno
        told = self._told.get(fd, 0)
        if awaited == told:
            return
        self._told[fd] = awaited  # before the system is: who ends an answer may look here at any time
        try:
            if not awaited:
                self._selector.unregister(fd)
            elif told:
                self._selector.modify(fd, awaited, one)
            else:
                self._selector.register(fd, awaited, one)
        except (KeyError, OSError):  # the system is at its limits: it is told again at the next look
            self._told[fd] = 0

    def _forget(self, fd: int) -> None:
        self._told.pop(fd, None)
        with suppress(KeyError, OSError):
            self._selector.unregister(fd)


def _awaited(one: dispatcher) -> int:
    """Return whether a connection waits to be read from, to be written to, both or neither."""
    return (READ if one.readable() else 0) | (WRITE if one.writable() and not one.accepting else 0)
