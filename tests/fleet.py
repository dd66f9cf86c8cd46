"""Gateways of several processes for a test: started for real, each the leader of a group that is gone at the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from nursery import Forked
from program import Program, until

OURS = ("GATEWAY_", "FLOWROUTE_", "SIGNALWIRE_", "SIMULATOR_", "LOG_LEVEL", "ORG_NAME")


def _popen(words: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", *words], **options)


@contextmanager
def started(
    folder: Path, variables: Mapping[str, str], *command: str, name: str = "output", start: Callable[..., Any] = _popen
) -> Iterator[Program]:
    """Run `gateway <command>` in a folder, with no variables of ours but those given; what it prints goes to `name`."""
    kept = {variable: value for variable, value in os.environ.items() if not variable.startswith(OURS)}
    listens = {"GATEWAY_LISTEN": "127.0.0.1:0", "GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db"}
    with (folder / name).open("wb") as output:
        running = start(
            ["gateway", *command],
            cwd=folder,
            env=kept | listens | dict(variables),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Program(running, folder / name)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait(30)


forked = partial(started, start=Forked)  #: the same without its imports: see `nursery`


def ready(program: Program, words: str = " ready on ") -> Program:
    """Wait until a program says that it is at work, and return it."""
    until(lambda: words in program.output or program.running.poll() is not None, f"it says {words!r}")
    assert words in program.output, program.output
    return program


def workers(program: Program) -> dict[int, int]:
    """Return the process id of each worker by its number, those of replacements where there are."""
    return {int(number): int(pid) for number, pid in re.findall(r"worker (\d+) is pid (\d+)", program.output)}


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, be it that nobody took note."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
