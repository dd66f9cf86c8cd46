"""Programs without the second that their imports take: forked off a process that has done them.

    with Forked(["gateway", "serve"], cwd=folder, env=environment({...}), stdout=file) as running:
        ...                                         # as `python -m gateway serve`, started by `subprocess.Popen`

From the fork on it is the program: with arguments, environment, folder, files and end of its own, killed by its id.
What is not seen through it is the start before `main`: every form of a program is started for real somewhere too.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

#: What the programs import, with what some of them import late.
IMPORTS = (
    "gateway.cli",
    "gateway.demo",
    "gateway.program",
    "gateway.testing.network",
    "gateway.workers",
    "gateway_flowroute",
    "gateway_signalwire",
    "gateway_simulator",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "phonenumbers",
)
PIPE = subprocess.PIPE
STREAMS = ("stdin", "stdout", "stderr")


def _text(file: int, mode: str, buffering: int = -1, *, encoding: str = "utf-8", errors: str = "strict") -> IO[str]:
    """Return a stream; those that Python begins with stay open when theirs is closed."""
    return open(file, mode, buffering, encoding=encoding, errors=errors, closefd=file > 2)


class Forked:
    """A process as `subprocess.Popen` shows one, which runs a module, or with `code=True` a source text.

    `first` is a source text that is run in it before.
    """

    stdin: IO[str] | None
    stdout: IO[str] | None
    stderr: IO[str] | None

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        code: bool = False,
        first: str = "",
        start_new_session: bool = False,
    ) -> None:
        self.args = list(words)
        self.returncode: int | None = None
        asked = {"argv": self.args, "code": code, "first": first, "session": start_new_session}
        asked |= {"folder": str(cwd), "environment": dict(env)}
        files: list[int] = []
        for name, file in zip(STREAMS, (stdin, stdout, stderr), strict=True):
            files.append(os.dup(files[1]) if file == subprocess.STDOUT else self._open(name, file))
        self._note, note = os.pipe()
        weakref.finalize(self, os.close, self._note)
        self._lock = threading.Lock()
        try:
            self.pid = _nursery().fork(asked, [*files, note])
        finally:
            for theirs in (*files, note):
                os.close(theirs)

    def _open(self, name: str, file: Any) -> int:
        """Return their end of a stream, and keep ours."""
        setattr(self, name, None)
        if file == PIPE:
            ours, theirs = os.pipe()[:: -1 if name == "stdin" else 1]
            setattr(self, name, _text(ours, "w" if name == "stdin" else "r"))
            return theirs
        if file == subprocess.DEVNULL:
            return os.open(os.devnull, os.O_RDWR)
        if file is None:
            return os.dup(STREAMS.index(name))
        return os.dup(file if isinstance(file, int) else file.fileno())

    def poll(self) -> int | None:
        """Return what it ended with, None while it runs."""
        return self._await(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return what it ended with. Raises `subprocess.TimeoutExpired`."""
        if (code := self._await(timeout)) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _await(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._note], [], [], timeout)[0]:
            with self._lock:
                if self.returncode is None:
                    self.returncode = int(os.read(self._note, 100))
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Return what it prints until its end, on both streams. It is killed when the time is up."""
        watchdog = threading.Timer(timeout, self.kill)
        watchdog.start()
        try:
            streams = (self.stdout, self.stderr)
            said, errors = (stream.read() if stream and not stream.closed else "" for stream in streams)
            self.wait(timeout)
        finally:
            watchdog.cancel()
            self._close()
        return said, errors

    def _close(self) -> None:
        for stream in filter(None, (self.stdin, self.stdout, self.stderr)):
            stream.close()

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self.wait()


def run(words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, as `subprocess.run` does that captures what it prints."""
    timeout, encoding = options.pop("timeout"), options.pop("encoding", "utf-8")
    with Forked(words, stdout=PIPE, stderr=PIPE, **options) as running:
        for stream in (running.stdout, running.stderr):
            stream.reconfigure(encoding=encoding)  # type: ignore[union-attr]
        said, errors = running.communicate(timeout)
    return subprocess.CompletedProcess(list(words), running.wait(timeout), said, errors)


class _Nursery:
    """A process that forks others."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._socket.settimeout(30)
        self._lock = threading.Lock()

    def fork(self, asked: Mapping[str, Any], files: Sequence[int]) -> int:
        """Return the id of a new process."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(asked).encode()], files)
            return int(self._socket.recv(100))

    def close(self) -> None:
        """End it, once nobody needs it any more."""
        self._socket.close()
        self._process.wait(30)


@functools.cache
def _nursery() -> _Nursery:
    """Return that of this process."""
    nursery = _Nursery()
    atexit.register(nursery.close)
    return nursery


# --- in the process that forks --------------------------------------------------------------------------


class _Children:
    """Those who were forked, and where to write down what each ended with."""

    def __init__(self) -> None:
        self._notes: dict[int, int] = {}

    def add(self, pid: int, note: int) -> None:
        self._notes[pid] = note

    def bury(self) -> None:
        """Tell of everybody who has ended."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                with suppress(BrokenPipeError):
                    os.write(self._notes[pid], b"%d" % os.waitstatus_to_exitcode(status))
                os.close(self._notes.pop(pid))

    def forget(self) -> None:
        """Close what is nothing to one of them."""
        for note in self._notes.values():
            os.close(note)


def _prepare(asked: Mapping[str, Any], files: Sequence[int]) -> None:
    """Have the session, files, environment and folder that a program would be started with."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if asked["session"]:
        os.setsid()
    for name, file in enumerate(files):
        os.dup2(file, name)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    sys.stdin = _text(0, "r", encoding=encoding)
    sys.stdout = _text(1, "w", 1 if os.isatty(1) else -1, encoding=encoding)
    sys.stderr = _text(2, "w", 1, encoding=encoding, errors="backslashreplace")
    sys.path[0] = asked["folder"]
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))


def _become(asked: Mapping[str, Any]) -> None:
    """Be the program that was asked for; the caller has nothing left to do but to end."""
    import runpy

    exec(asked["first"], {})
    if asked["code"]:
        code, *sys.argv[1:] = asked["argv"]
        sys.argv[0] = "-c"
        exec(code, {"__name__": "__main__"})
    else:
        sys.argv = list(asked["argv"])
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _fork(door: socket.socket, bell: socket.socket, children: _Children) -> dict[str, Any]:
    """Fork one. Return what it is to be to the one that was forked, and nothing to the one who forks."""
    asked, files, _, _ = socket.recv_fds(door, 1 << 20, 4)
    if not asked:
        sys.exit()
    if pid := os.fork():
        children.add(pid, files.pop())
        for file in files:
            os.close(file)
        return {}
    children.forget()
    os.close(files.pop())
    found: dict[str, Any] = json.loads(asked)
    _prepare(found, files)
    door.send(b"%d" % os.getpid())
    door.close()
    bell.close()
    return found


def _serve(door: socket.socket) -> dict[str, Any]:
    """Fork whoever is asked for, until the asker has gone. Return, in each of them, what it is to be."""
    bell, rope = socket.socketpair()
    children, asked = _Children(), dict[str, Any]()
    rope.setblocking(False)
    signal.set_wakeup_fd(rope.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # it rings
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while not asked:
        called, _, _ = select.select([door, bell], [], [])
        if bell in called:
            bell.recv(1 << 10)
            children.bury()
        if door in called:
            asked = _fork(door, bell, children)
    rope.close()
    return asked


if __name__ == "__main__":
    for name in IMPORTS:
        __import__(name)
    gc.collect()
    gc.freeze()  # or whoever looks for garbage first copies all of it
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
