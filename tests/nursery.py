"""Programs without the half second that their imports take: forked off a process that has done them.

    nursery = Nursery(folder)
    running = nursery.start(["gateway", "serve"], folder, environment({...}), output)    # as `python -m gateway serve`

From the fork on it is the program: with arguments, environment, folder and output of its own, and killed by its id.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from program import until

#: What the programs import, with what some of them import late.
IMPORTS = (
    "gateway.cli",
    "gateway.server",
    "gateway.testing.network",
    "gateway_simulator",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "phonenumbers",
)


class Forked:
    """A process as `subprocess.Popen` shows one."""

    def __init__(self, pid: int, ended: Path) -> None:
        self.pid = pid
        self._ended = ended

    def poll(self) -> int | None:
        """Return what it ended with, None while it runs."""
        return int(self._ended.read_text()) if self._ended.exists() else None

    def wait(self, timeout: float) -> int:
        """Wait for its end and return what it ended with."""
        until(lambda: self._ended.exists(), f"process {self.pid} has ended", timeout)
        return int(self._ended.read_text())

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """A process that forks others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = [sys.executable, __file__, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(
        self, module: Sequence[str], folder: Path, variables: Mapping[str, str], output: Path, *, first: str = ""
    ) -> Forked:
        """Run `python -m module…`; before that, in the same process, the source text `first`."""
        asked = {"argv": list(module), "folder": str(folder), "environment": dict(variables), "output": str(output)}
        asked |= {"first": first}
        output.write_bytes(b"")
        stdin, stdout = self._pipes()
        stdin.write(json.dumps(asked) + "\n")
        stdin.flush()
        pid = int(stdout.readline())
        return Forked(pid, self._folder / str(pid))

    def close(self) -> None:
        """End it."""
        for pipe in self._pipes():
            pipe.close()
        self._process.wait(30)

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


def _bury(folder: Path) -> None:
    """Write down who has ended, and how."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            note = folder / f"{pid}.tmp"
            note.write_text(str(os.waitstatus_to_exitcode(status)))
            note.rename(folder / str(pid))


def _become(asked: Mapping[str, Any]) -> None:
    """Be the program that was asked for, and never return."""
    import runpy

    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        files = [os.open(os.devnull, os.O_RDONLY), os.open(asked["output"], os.O_WRONLY)]
        for file, name in ((files[0], 0), (files[1], 1), (files[1], 2)):
            os.dup2(file, name)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        exec(asked["first"], {})
        sys.argv = list(asked["argv"])
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _main(folder: Path) -> None:
    for name in IMPORTS:
        __import__(name)
    signal.signal(signal.SIGCHLD, lambda *_: _bury(folder))
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _become(json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
