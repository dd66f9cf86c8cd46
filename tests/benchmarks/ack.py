"""*ack* and *route*: webhooks answered, on disk, beside what bare Bottle on waitress answers without doing anything.

Real processes on real sockets; the load comes from another process. Each round has a turn of each, and whose turn it is
not stands still, so that what else the machine does is everybody's and a backlog costs nobody but who has it. Ratios
are of requests a second, and compare within one run only.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.load import CLIENTS, best
from benchmarks.report import Aim, Figure, Section
from benchmarks.stage import (
    NOBODY,
    WEBHOOKS,
    Json,
    Running,
    Town,
    add_gateways,
    add_options,
    gateways,
    load,
    run,
    write_requests,
)
from benchmarks.usage import cpu_s, peak_mb

BARE = "bare Bottle on waitress, a constant"
PAUSED, SENDING = Aim(0.4, "× bare"), Aim(0.2, "× bare")
PROMPT = Aim(25, "ms", at_most=True)
CARRIER_MS = 50  #: what the carrier takes for a text, while it is sent to
MOST = 5_000  #: requests a second that a gateway answers, at the very most


@dataclass
class Requests:
    """A file of requests, and how many of them may have been used."""

    path: Path
    used: int = 0


@dataclass
class Target:
    """What is asked, with requests of which each is sent once."""

    name: str
    server: Running | Town
    requests: Requests
    client: str  #: who makes the load, where it is as much as is answered
    aim: Aim | None = None
    taker: Running | None = None  #: who is sent to meanwhile, if anybody
    left: int = 0  #: texts that left meanwhile
    cpu_s: float = 0.0
    seconds: float = 0.0
    answered: int = 0
    found: list[Json] = field(default_factory=list)

    def ask(self, *options: str) -> Json:
        """Make load while everybody else stands still, and return what came of it."""
        cpu, left = cpu_s(*self.server.pids), self._left()
        begin = partial(_signal, self.server, signal.SIGCONT)
        options = ("--skip", str(self.requests.used), "--client", self.client, *options)
        one = load(self.requests.path, self.server.urls, *options, begin=begin)
        _signal(self.server, signal.SIGSTOP)
        self.cpu_s += cpu_s(*self.server.pids) - cpu
        self.left += self._left() - left
        self.seconds += one["seconds"]
        self.answered += one["answered"]
        if isinstance(self.server, Town):  # a webhook that is sent again is a repeat
            self.requests.used += one["sent"]
        assert set(one["statuses"]) == {"200"}, one
        return one

    def median(self, what: str) -> float:
        """Return the median of all rounds."""
        return float(statistics.median(one[what] for one in self.found))

    def _left(self) -> int:
        return int(self.taker.ask("/taken")["taken"]) if self.taker else 0


def _signal(server: Running | Town, number: signal.Signals) -> None:
    for pid in server.pids:
        os.killpg(pid, number)


def texts(given: Sequence[str]) -> Section:
    """Texts acknowledged, with sending paused and while they are sent."""
    return _section("ack", [kind for kind in WEBHOOKS if "text" in kind], given)


def calls(given: Sequence[str]) -> Section:
    """Calls routed, and written down."""
    return _section("route", [kind for kind in WEBHOOKS if "call" in kind], given)


def _section(name: str, kinds: Sequence[str], given: Sequence[str]) -> Section:
    asked = _arguments(name, given)
    loads = ["--seconds", str(asked.seconds), "--connections", str(asked.connections)]
    loads += ["--fresh"] if asked.fresh else []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maskgate-bench-")))
        targets = _Targets(stack, folder, asked).of(kinds)
        for _ in range(asked.rounds):
            for target in targets:
                target.found.append(target.ask(*loads))
        halves = [target.ask(*loads, "--rate", f"{target.median('per_second') / 2:.0f}") for target in targets]
        bare = {target.client: target for target in targets if target.name.startswith(BARE)}
        pairs = zip(targets, halves, strict=True)
        figures = [figure for target, half in pairs for figure in _figures(target, half, bare[target.client])]
    what, anew = "texts" if name == "ack" else "calls", ", a new one for each request" if asked.fresh else ""
    about = f"{what} answered, on disk, a second; {asked.connections} connections{anew}"
    return Section(shlex.join([name, *given]), about, figures)


def _arguments(name: str, given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=500, help="sessions of two, each on a number of its own")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--fresh", action="store_true", help="a connection for each request")
    parser.add_argument(
        "--clients", choices=CLIENTS, nargs="+", default=[best()], help="who makes the load: wrk where it is installed"
    )
    parser.add_argument("--only", default="", help="only what has this in its name, such as `flowroute` or `sending`")
    add_options(parser)
    add_gateways(parser)
    return parser.parse_args(given)


class _Targets:
    """Starts what is asked."""

    def __init__(self, stack: ExitStack, folder: Path, asked: argparse.Namespace) -> None:
        self._stack, self._folder, self._asked = stack, folder, asked
        self._folders = count()
        self._many = int(asked.seconds * (asked.rounds + 1) * MOST) * len(asked.clients)

    def of(self, kinds: Sequence[str]) -> list[Target]:
        """Return all of them, the bare one first."""
        found = [self._paused(kind) for kind in kinds if self._asked.only in f"{kind}, sending paused"]
        sent = [kind for kind in kinds if "text" in kind and self._asked.only in f"{kind}, while sending"]
        found += [self._sending(kind) for kind in sent]
        if not found:
            sys.exit(f"--only {self._asked.only}: none has this in its name; there are {', '.join(kinds)}")
        bare = self._stack.enter_context(run("bare.py"))
        clients = self._asked.clients
        return [by for target in [Target(BARE, bare, found[0].requests, ""), *found] for by in _by(target, clients)]

    def _paused(self, kind: str) -> Target:
        return self._target(kind, "sending paused", PAUSED, None)

    def _sending(self, kind: str) -> Target:
        taker = self._stack.enter_context(run("taker.py", "--delay", str(CARRIER_MS)))
        return self._target(kind, "while sending", SENDING, taker)

    def _target(self, kind: str, how: str, aim: Aim, taker: Running | None) -> Target:
        folder = self._folder / f"{next(self._folders)}"
        command = ["serve"] if taker else ["serve", "--no-dispatch"]
        at = taker.url if taker else NOBODY
        town = self._stack.enter_context(gateways(folder, WEBHOOKS[kind][0], self._asked, *command, taker=at))
        requests = write_requests(folder / "requests", kind, town.lanes, self._many)
        _signal(town, signal.SIGSTOP)
        aimed = aim if self._asked.database == "sqlite" else None  # what was asked for is of SQLite
        return Target(kind if "call" in kind else f"{kind}, {how}", town, Requests(requests), "", aimed, taker)


def _by(target: Target, clients: Sequence[str]) -> list[Target]:
    """Return a target once for each client; they take turns."""
    words = {client: f", by {client}" if len(clients) > 1 else "" for client in clients}
    return [replace(target, name=target.name + words[client], client=client, found=[]) for client in clients]


def _figures(target: Target, half: Json, bare: Target) -> list[Figure]:
    rate = target.median("per_second")
    ratio = rate / bare.median("per_second")
    rates = [one["per_second"] for one in target.found]
    found, cpu_ms = f"{rate:,.0f}/s ({min(rates):,.0f} to {max(rates):,.0f})", 1000 * target.cpu_s / target.answered
    if target.taker:
        found += f", {target.left / target.seconds:,.0f}/s left"
    full = f"p50 {target.median('p50_ms'):.1f}, p99 {target.median('p99_ms'):.1f} ms"
    at_half = f"p50 {half['p50_ms']:.1f}, p99 {half['p99_ms']:.1f} ms"
    aims = (target.aim.on(round(ratio, 2)), PROMPT.on(round(half["p99_ms"], 1))) if target.aim else ("", "")
    return [
        Figure(target.name, found, ratio, cpu_ms, peak_mb(*target.server.pids), aims[0]),
        Figure("— how soon, at full load", full),
        Figure("— how soon, at half of that", at_half, aim=aims[1]),
    ]
