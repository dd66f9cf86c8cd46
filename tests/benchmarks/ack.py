"""*ack* and *route*: webhooks answered, on disk, beside what bare Bottle on waitress answers without doing anything.

Real processes on real sockets, on SQLite; the load comes from another process. Each round has a turn of each, so that
what else the machine does is everybody's. Ratios are of requests a second, and compare within one run only.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.stage import HERE, WEBHOOKS, Json, gateway, load, run, write_requests
from rich.console import Console
from rich.table import Table

BARE = "bare Bottle on waitress"


@dataclass
class Target:
    """What is asked, with requests of which each is sent once."""

    name: str
    url: str
    requests: Path
    used_up: bool  #: by an answer: a webhook that is sent again is a repeat
    used: int = 0
    found: list[Json] = field(default_factory=list)

    def ask(self, *options: str) -> Json:
        """Make load and return what came of it."""
        one = load(self.requests, self.url, "--skip", str(self.used), *options)
        if self.used_up:
            self.used += one["answered"] + one["broken"] + 256
        assert set(one["statuses"]) == {"200"}, one
        return one

    def median(self, what: str) -> float:
        """Return the median of all rounds."""
        return statistics.median(one[what] for one in self.found)


def texts(given: list[str]) -> None:
    """Texts acknowledged, with sending paused."""
    _main("ack", [kind for kind in WEBHOOKS if "text" in kind], given)


def calls(given: list[str]) -> None:
    """Calls routed, and written down."""
    _main("route", [kind for kind in WEBHOOKS if "call" in kind], given)


def _main(name: str, kinds: list[str], given: list[str]) -> None:
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=500, help="sessions of two, each on a number of its own")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--fresh", action="store_true", help="a connection for each request")
    asked = parser.parse_args(given)
    loads = ["--seconds", str(asked.seconds), "--connections", str(asked.connections)]
    loads += ["--fresh"] if asked.fresh else []
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when it began")
    with ExitStack() as stack:
        targets = _targets(stack, kinds, asked)
        for _ in range(asked.rounds):
            for target in targets:
                target.found.append(target.ask(*loads))
        halves = [target.ask(*loads, "--rate", f"{target.median('per_second') / 2:.0f}") for target in targets]
    _show(targets, halves)
    print(f"load {os.getloadavg()[0]:.1f} when it ended")


def _targets(stack: ExitStack, kinds: list[str], asked: argparse.Namespace) -> list[Target]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maskgate-bench-")))
    bare = stack.enter_context(run(str(HERE / "bare.py")))
    many = int(asked.seconds * (asked.rounds + 1) * 5_000)
    targets: list[Target] = []
    for number, kind in enumerate(kinds):
        home = folder / f"{number}"
        home.mkdir()
        served = gateway(home, WEBHOOKS[kind][0], "http://127.0.0.1:9", asked.pairs, "serve", "--no-dispatch")
        program, lanes = stack.enter_context(served)
        requests = write_requests(home / "requests", kind, lanes, many)
        targets += [Target(kind, program.url, requests, used_up=True)]
    return [Target(BARE, bare, targets[0].requests, used_up=False), *targets]


def _show(targets: list[Target], halves: list[Json]) -> None:
    base = targets[0].median("per_second")
    table = Table("", "requests/s", "of bare", "p50 ms", "p99 ms", "p50 ms at half", "p99 ms at half", box=None)
    for target, half in zip(targets, halves, strict=True):
        rate = target.median("per_second")
        times = [target.median("p50_ms"), target.median("p99_ms"), half["p50_ms"], half["p99_ms"]]
        table.add_row(target.name, f"{rate:,.0f}", f"{rate / base:.2f}", *(f"{time:.1f}" for time in times))
    Console(width=120).print(table)
