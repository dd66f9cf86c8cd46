"""`GATEWAY_WORKERS`: several processes that do the same, and their parent, which keeps their number.

The parent has one thread and no connection to anything, so that a fork copies nothing that is held or half done. It
sits in `sigwait`, for the reason given in signals.py, and hears of all that happens to it as signals.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import NoReturn, Protocol

from gateway.errors import GatewayError, WorkerFailed
from gateway.logs import log_bug
from gateway.retry import probe_delay
from gateway.signals import STOP

log = logging.getLogger(__name__)

SETTLED = 10.0  #: seconds; a worker that lived so long did not fail at its start
SERVES = b"\0"  #: what a worker that serves tells its parent; one that cannot start says why, in UTF-8
_HEARD = (*STOP, signal.SIGCHLD, signal.SIGALRM)


class Service(Protocol):
    """What a worker runs."""

    def stop(self) -> None:
        """Finish what is under way."""


@dataclass(slots=True)
class Seat:
    """The place of one worker, which another takes when it died."""

    number: int
    pid: int = 0  #: 0: nobody has it
    said: int = -1  #: the file descriptor on which the worker says how its start went
    since: float = 0.0  #: when it was taken (monotonic, seconds)
    due: float = 0.0  #: when it is to be taken again
    failures: int = 0  #: how many in a row died soon after their start

    def leave(self, now: float) -> None:
        """Set free: to be taken again at once, or after 1 s, 2 s, 4 s … 30 s where one after the other dies soon."""
        self.failures = self.failures + 1 if now - self.since < SETTLED else 0
        pause = probe_delay(self.failures - 1) / 1000 if self.failures else 0.0
        self.pid, self.due = 0, now + pause


class Workers:
    """The parent's side: `start`, `keep` their number until a signal, `stop`. SIGTERM and SIGINT are held already."""

    def __init__(self, count: int, begin: Callable[[int], Service]) -> None:
        """Take how many there shall be, and what starts the service of one, in its process, by its number from 0."""
        self._begin = begin
        self._seats = [Seat(number) for number in range(count)]
        self._lifeline = os.pipe()  # the workers wait for its end, which comes with the parent's

    def start(self) -> None:
        """Return when every worker serves. Raises `WorkerFailed` if one cannot; then none is left."""
        signal.signal(signal.SIGCHLD, lambda *_: None)  # or there are systems that drop it though it is held
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        for seat in self._seats:
            self._fork(seat)
        said = [_read_all(seat.said) for seat in self._seats]
        if failed := [words for words in said if words != SERVES]:
            self.stop()
            words = next(filter(None, failed), b"a worker died before it served; its log says why")
            raise WorkerFailed(words.decode("utf-8", "replace"))

    def keep(self) -> None:
        """Replace whoever dies, until SIGTERM or SIGINT comes."""
        while True:
            self._replace()
            if signal.sigwait(_HEARD) in STOP:
                return
            self._bury()

    def stop(self) -> None:
        """Tell every worker to finish and wait until they have. A second signal ends all of them at once."""
        for seat in self._taken():
            os.kill(seat.pid, signal.SIGTERM)
        while self._bury():
            number = signal.sigwait(_HEARD)
            if number in STOP:
                self._end_at_once(number)

    def _taken(self) -> list[Seat]:
        return [seat for seat in self._seats if seat.pid]

    def _replace(self) -> None:
        """Fill the seats that are due, and let an alarm come when the next one is."""
        now = monotonic()
        for seat in self._seats:
            if not seat.pid and seat.due <= now:
                try:
                    self._fork(seat)
                except OSError as error:
                    log.error("worker %d cannot be replaced: %s", seat.number, error.strerror)
                    seat.leave(now)
        pauses = [seat.due - now for seat in self._seats if not seat.pid]
        signal.setitimer(signal.ITIMER_REAL, max(0.001, min(pauses)) if pauses else 0.0)

    def _bury(self) -> bool:
        """Take note of the dead. Return whether anybody lives."""
        while taken := self._taken():
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return True
            for seat in taken:
                if seat.pid == pid:
                    self._left(seat, os.waitstatus_to_exitcode(status))
        return False

    def _left(self, seat: Seat, status: int) -> None:
        pid, now = seat.pid, monotonic()
        how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
        words = _read_all(seat.said).removeprefix(SERVES).decode("utf-8", "replace")
        seat.leave(now)
        level = logging.WARNING if status else logging.INFO
        log.log(level, "worker %d (pid %d) %s%s", seat.number, pid, how, f": {words}" if words else "")

    def _fork(self, seat: Seat) -> None:
        """Put a new process on a seat. Returns in the parent only."""
        read, write = os.pipe()
        sys.stdout.flush()  # or what waits there is written by both
        sys.stderr.flush()
        seat.since = monotonic()
        try:
            seat.pid = os.fork()
            if seat.pid == 0:
                self._work(seat.number, write)
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        if seat.said >= 0:
            os.close(seat.said)
        seat.said = read
        log.info("worker %d is pid %d", seat.number, seat.pid)

    def _end_at_once(self, number: int) -> NoReturn:
        for seat in self._taken():
            os.kill(seat.pid, signal.SIGKILL)
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
        os.kill(os.getpid(), number)
        os._exit(128 + number)  # the first process of a container does not die of a signal it sends itself

    # --- in the worker --------------------------------------------------------------------------------

    def _work(self, number: int, say: int) -> NoReturn:
        status = 1
        try:
            status = self._serve(number, say)
        except BaseException as error:  # SystemExit too: it must not go on where the parent was
            log_bug(log, f"worker {number}", error)
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _serve(self, number: int, say: int) -> int:
        """Serve until SIGTERM comes, or the parent is gone. Return the exit status."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everybody: the parent will say
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, STOP)
        os.close(self._lifeline[1])
        threading.Thread(target=_follow, args=(self._lifeline[0],), name="lifeline", daemon=True).start()
        try:
            service = self._begin(number)
        except GatewayError as error:
            _say(say, str(error).encode())
            return 2
        _say(say, SERVES)
        signal.sigwait({signal.SIGTERM})  # those that come later find it held: to end at once is the parent's to say
        service.stop()
        return 0


def _follow(lifeline: int) -> None:
    """Wait until the parent is gone, then stop as if it had said so."""
    with suppress(OSError):
        os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _say(pipe: int, words: bytes) -> None:
    with suppress(OSError):  # a parent that is gone hears nothing
        os.write(pipe, words)
    os.close(pipe)


def _read_all(pipe: int) -> bytes:
    """Return what was said on a pipe, once its writer has closed it."""
    words = b""
    while more := os.read(pipe, 65536):
        words += more
    return words
