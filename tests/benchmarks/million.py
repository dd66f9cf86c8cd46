"""*million*: with 1,000,000 live sessions and 100,000 numbers, beside 1,000 and 100, in one run.

Requests as applications and carriers make them all day, through the WSGI application; the store's part of a text, many
at a time; and a gateway on each of the two databases. `size` takes its time over everything else there is to ask for.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.costs import costs
from benchmarks.report import Aim, Figure, Section
from benchmarks.sides import Case, Side, compare
from benchmarks.size import cases, pairs, see_to
from benchmarks.sizes import Sizes
from benchmarks.stage import NOBODY, Json, load, variables_for, write_requests
from benchmarks.start import AIM as START
from benchmarks.start import serving
from benchmarks.usage import cpu_s, peak_mb
from fleet import ready, started
from town import Lane

LIVE = 0.98  #: of the sessions; the others ended
AIM, MEMORY = Aim(1.5, "× the time", at_most=True), Aim(120, "MB", at_most=True)

#: What is timed, by the name that it has in `size`.
TIMED = {
    "a text relayed (webhook)": "a text, from webhook to answer",
    "POST /v1/sessions": "a session opened",
    "POST /v1/sessions/{id}/end": "a session ended",
    "/v1/masks/{mask}/explain?from={person}": "explain: what would happen to a text",
}


def main(given: Sequence[str]) -> Section:
    """Fill both databases, then measure."""
    asked = _arguments(given)
    with ExitStack() as stack:
        folder = Path(asked.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="maskgate-million-")))
        few = Sizes(1_020, min(10_000, asked.messages), LIVE)
        many = Sizes(round(asked.live / LIVE), asked.messages, LIVE)
        small, large = _side(stack, folder, few), _side(stack, folder, many)
        figures = [*_requests(small, large, asked.rounds), *_steps(small, large, asked.rounds // 3)]
        figures += _programs(folder, small, large, asked)
    about = f"{int(few.sessions * LIVE):,} live sessions, {few.numbers:,} numbers → "
    about += f"{int(many.sessions * LIVE):,} live sessions, {many.numbers:,} numbers"
    return Section(shlex.join(["million", *given]), about, figures)


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="million", description=__doc__)
    parser.add_argument("--live", type=int, default=1_000_000, help="live sessions; a tenth as many numbers")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--folder", help="where the databases are kept, and found again by the next run")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=3.0, help="for which a gateway is asked on each database")
    parser.add_argument("--starts", type=int, default=3)
    return parser.parse_args(given)


def _side(stack: ExitStack, folder: Path, sizes: Sizes) -> Side:
    side = Side(f"sqlite:///{folder}/million-{sizes.sessions}-{sizes.messages}.db")
    stack.callback(side.store.close)
    see_to(side, sizes, lambda words: None)
    pairs(side)
    return side


def _requests(small: Side, large: Side, rounds: int) -> list[Figure]:
    figures = []
    for case in cases():
        if case.name in TIMED:
            one = compare(Case(case.name, case.prepare, rounds), small, large)
            found = f"{one.small:.2f} → {one.large:.2f} ms (CPU {one.cpu[0]:.2f} → {one.cpu[1]:.2f})"
            figures.append(Figure(TIMED[case.name], found, one.ratio, one.cpu[1], aim=AIM.on(round(one.ratio, 2))))
    return figures


def _steps(small: Side, large: Side, rounds: int) -> list[Figure]:
    """Many at a time, in one transaction: without HTTP, and without what a transaction costs."""
    return [
        Figure(f"in the store: {name}", f"CPU {a:.0f} → {b:.0f} µs", b / a, b / 1000)
        for name, (a, b) in costs(small, large, max(1, rounds)).items()
    ]


def _programs(folder: Path, small: Side, large: Side, asked: argparse.Namespace) -> list[Figure]:
    """Start a gateway on each and let webhooks come."""
    a, b = (_started(folder, side, asked) for side in (small, large))
    memory = MEMORY.on(round(b["memory_mb"]))
    came = f"{a['per_second']:,.0f} → {b['per_second']:,.0f}/s (CPU {a['cpu_ms']:.2f} → {b['cpu_ms']:.2f} ms)"
    slower = a["per_second"] / b["per_second"]
    return [
        Figure("texts answered by a gateway, sending paused", came, slower, b["cpu_ms"], b["memory_mb"], memory),
        Figure(
            "start, to `ready`",
            f"{a['start_s']:.2f} → {b['start_s']:.2f} s",
            b["start_s"] / a["start_s"],
            aim=START.on(round(b["start_s"], 2)),
        ),
    ]


def _started(folder: Path, side: Side, asked: argparse.Namespace) -> Json:
    start_s = median(serving(folder, side.url, 1, "--no-dispatch") for _ in range(asked.starts))
    lanes = [Lane(person, mask, "") for mask, person in pairs(side)]
    requests = write_requests(folder / "requests", "flowroute text", lanes, round(asked.seconds * 4_000))
    variables = variables_for(NOBODY) | {"GATEWAY_DATABASE_URL": side.url}
    with started(folder, variables, "serve", "--no-dispatch") as program:
        pid, url = ready(program).running.pid, program.url
        cpu = cpu_s(pid)
        came: dict[str, Any] = load(requests, [url], "--seconds", str(asked.seconds))
        cpu_ms = 1000 * (cpu_s(pid) - cpu) / came["answered"]
        return came | {"start_s": start_s, "cpu_ms": cpu_ms, "memory_mb": peak_mb(pid)}
