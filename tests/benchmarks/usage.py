"""What a process and its children use, as the kernel counts it: `/proc`, so on Linux."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return a process and its children: a gateway of several workers is one parent and them."""
    children = " ".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children"))
    return [pid, *map(int, children.split())]


def cpu_s(*pids: int) -> float:
    """Return the CPU (seconds, user and system) that processes and their children have used until now."""
    return sum(_ticks(one) for pid in pids for one in family(pid)) / _TICKS


def peak_mb(*pids: int) -> float:
    """Return the most memory (MB) that a process had resident at once: of families, their largest member."""
    return max(_peak_mb(one) for pid in pids for one in family(pid))


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _peak_mb(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6
