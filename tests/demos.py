"""`gateway demo` as a process: in a folder of its own, in a pipe or on a pseudo-terminal with a keyboard."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import nursery
from nursery import Forked

RUN = "import sys; from gateway.cli import main; main(['demo', *sys.argv[1:]], prog_name='gateway')"
ON_ITS_TERMINAL = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {RUN}"
OURS = ("GATEWAY_", "FLOWROUTE_", "SIGNALWIRE_", "SIMULATOR_", "ORG_NAME", "LOG_LEVEL", "SESSION_", "NO_SESSION_")
#: proxies, and the size of some other terminal: whatever starts the tests may have set it
NOT_PASSED_ON = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "columns", "lines")
ANSI = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>])")


class Place:
    """A working folder, a folder for temporary files, and an environment in which nothing is configured."""

    def __init__(self, folder: Path) -> None:
        self.work, self.temporary = folder / "work", folder / "temporary"
        self.work.mkdir()
        self.temporary.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(OURS)}
        self.env = {name: value for name, value in kept.items() if name.lower() not in NOT_PASSED_ON}
        self.env |= {"TMPDIR": str(self.temporary), "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}

    def play(self, code: str = RUN, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the demo to its end, without a terminal."""
        env, encoding = self.env | variables, variables.get("PYTHONIOENCODING", "utf-8")
        options: dict[str, Any] = {"cwd": self.work, "env": env, "stdin": subprocess.DEVNULL, "encoding": encoding}
        return nursery.run([code], code=True, timeout=60, **options)

    def start(self) -> subprocess.CompletedProcess[str]:
        """Do the same as anybody does it, imports and all."""
        command = [sys.executable, "-c", RUN]
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "encoding": "utf-8"}
        return subprocess.run(command, cwd=self.work, env=self.env, timeout=60, check=False, **options)

    def leftovers(self) -> list[str]:
        return [path.name for folder in (self.work, self.temporary) for path in folder.iterdir()]


class Terminal:
    """The demo on a pseudo-terminal: what it shows, and a keyboard."""

    def __init__(self, place: Place, columns: int = 100, *options: str) -> None:
        self.place = place
        self._keyboard, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = Forked(
            [ON_ITS_TERMINAL, *options],
            code=True,
            cwd=place.work,
            env=place.env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._shown = ""
        self._seen = 0

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def until(self, wanted: str, timeout: float = 30) -> str:
        """Return what was shown since the last time, up to `wanted`."""
        deadline = time.monotonic() + timeout
        while True:
            text = ANSI.sub("", self._shown).replace("\r", "")
            found = text.find(wanted, self._seen)
            if found >= 0:
                begin, self._seen = self._seen, found + len(wanted)
                return text[begin : self._seen]
            left = deadline - time.monotonic()
            assert left > 0, f"{wanted!r} did not come; shown was:\n{text[self._seen :]}"
            assert self._read(left), f"{wanted!r} did not come before the end; shown was:\n{text[self._seen :]}"

    def press(self, what: str | signal.Signals) -> None:
        """Press a key, or send a signal."""
        if isinstance(what, str):
            self.type(what)
        else:
            self.process.send_signal(what)

    def leave(self, what: str | signal.Signals) -> int:
        """Press until it ends, as people do, and return the exit code.

        Once is not always enough: between the prompt and its wait for a key, Python's input() is deaf to signals.
        """
        for _ in range(5):
            self.press(what)
            while self._read(5):
                pass
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(1)
        raise AssertionError(f"it does not end; shown was:\n{self.shown()}")

    def end(self) -> int:
        """Return the exit code."""
        while self._read(30):
            pass
        return self.process.wait(30)

    def shown(self) -> str:
        return ANSI.sub("", self._shown).replace("\r", "")

    def _read(self, timeout: float) -> bool:
        if not select.select([self._keyboard], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self._keyboard, 1 << 16)
        except OSError:  # Linux: nobody holds the other side any more
            return False
        self._shown += data.decode("utf-8", "replace")
        return bool(data)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._keyboard)


def run_line(line: str) -> str:
    """Run a line that was printed for a shell, and return what it answers."""
    words = shlex.split(line)
    if words[1] == "gateway":
        name, _, value = words[0].partition("=")
        command = [sys.executable, "-m", *words[1:]]
        env = os.environ | {name: value}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=True).stdout
    assert words[0] == "curl"
    if shutil.which("curl"):
        return subprocess.run([*words, "-sS"], capture_output=True, text=True, timeout=30, check=True).stdout
    (url,) = (word for word in words if word.startswith("http"))
    option = dict(pairwise(words))
    data = option["-d"].encode() if "-d" in option else None
    request = urllib.request.Request(url, data, method=option.get("-X"))
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return answer.read().decode()
