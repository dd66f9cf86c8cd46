"""What the benchmarks found, and on what: as a table in a terminal, and as the generated part of a page."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.load import best
from rich.console import Console
from rich.table import Table
from rich.text import Text

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- generated: tox -e bench -- all --write -->", "<!-- end of what is generated -->"
HEADS = {"": 64, "found": 44, "ratio": 6, "CPU ms each": 11, "MB": 4, "aim": 36}  #: and how wide
LIBRARIES = ("maskgate", "waitress", "bottle", "dataset", "SQLAlchemy", "requests", "psycopg")


@dataclass(frozen=True)
class Aim:
    """What is asked for (design 10)."""

    limit: float
    unit: str
    at_most: bool = False

    def on(self, value: float) -> str:
        """Return the aim, and whether a value meets it."""
        sign, met = ("≤", value <= self.limit) if self.at_most else ("≥", value >= self.limit)
        return f"{sign} {self.limit:g} {self.unit}: {'met' if met else 'missed'}"


@dataclass(frozen=True)
class Figure:
    """One line: what was measured, and what was found."""

    what: str
    found: str
    ratio: float | None = None
    cpu_ms: float | None = None  #: of the gateway's processes, for each of what is counted
    memory_mb: float | None = None  #: of its largest process, at most
    aim: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The line as a table has it."""
        numbers = [(self.ratio, ".2f"), (self.cpu_ms, ".2f"), (self.memory_mb, ".0f")]
        return self.what, self.found, *("" if n is None else format(n, form) for n, form in numbers), self.aim


@dataclass(frozen=True)
class Section:
    """What one benchmark found."""

    command: str  #: its name and its options
    about: str
    figures: Sequence[Figure]


def machine() -> list[str]:
    """Return what the figures depend on: the machine, without its name, and the versions."""
    model = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    cpu = model[0].partition(":")[2].strip() if model else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = [f"{name} {metadata.version(name)}" for name in LIBRARIES]
    return [
        f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GB, {platform.system()} {platform.release().split('-')[0]}",
        ", ".join([f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}", *versions]),
        _who_makes_the_load(),
        "load " + ", ".join(f"{load:.1f}" for load in os.getloadavg()) + " when it began",
    ]


def _who_makes_the_load() -> str:
    if best() == "asyncio":
        return "requests made by an asyncio client; where wrk is installed, it makes most of them"
    words = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split()  # which it ends as a mistake
    version = words[1].rpartition("/")[2]
    return f"requests made by wrk {version}; at half load, where there is a rate to keep, by an asyncio client"


def show(sections: Sequence[Section], facts: Sequence[str]) -> None:
    """Print the table."""
    console = Console(width=sum(HEADS.values()) + 2 * len(HEADS), highlight=False)
    console.print(*facts, "", sep="\n", markup=False)
    console.print(_table([], heads=True))
    for section in sections:
        console.print(Text(section.command, "bold"), Text(section.about), _table(section.figures), "", sep="\n")


def _table(figures: Sequence[Figure], *, heads: bool = False) -> Table:
    table = Table(box=None, show_header=heads)
    for head, width in HEADS.items():
        table.add_column(head, width=width)
    for figure in figures:
        table.add_row(*figure.cells)
    return table


def write(sections: Sequence[Section], facts: Sequence[str], page: Path = PAGE) -> None:
    """Put the table into the generated part of a page; what stands around it stays."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{page.name} has no generated part: {BEGIN} … {END}")
    page.write_text(f"{before}{begin}\n{_markdown(sections, facts)}\n{end}{after}", "utf-8")


def _markdown(sections: Sequence[Section], facts: Sequence[str]) -> str:
    lines = [*(f"- {fact}" for fact in facts), "", _line([*HEADS]), _line(["---"] + ["---:"] * 4 + ["---"])]
    for section in sections:
        lines.append(_line([f"**`{section.command}`** {section.about}", *[""] * 5]))
        lines += [_line(figure.cells) for figure in section.figures]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
