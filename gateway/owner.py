"""Who holds a claim: a name for this process, and whether the process behind a name is known to be gone."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path


def this_process() -> str:
    """Return `host:pid:start` of this process, such that no other process ever has the same."""
    return f"{_host()}:{os.getpid()}:{_start_of(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Return whether the process called `owner` is known to be dead: on this host, and no more there.

    Of a process on another host nothing is known: its claim has to run out.
    """
    host, pid, start = owner.rsplit(":", 2)
    return host == _host() and _start_of(int(pid)) != start


def _host() -> str:
    """Name the space in which process ids mean something: host, boot, and container."""
    words = [socket.gethostname(), _read("/proc/sys/kernel/random/boot_id")]
    try:
        words.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        words.append("")
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def _start_of(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; "" if there is none, "?" where nobody can say."""
    stat = _read(f"/proc/{pid}/stat")
    if stat:
        return stat.rpartition(")")[2].split()[19]  # field 22 of proc(5), counted behind the name
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "?"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
