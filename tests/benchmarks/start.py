"""*start*: how long it takes from the command to the line that says that requests are served.

Beside Python itself, and Python importing the libraries that the gateway stands on; alternating, medians.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.report import Aim, Figure, Section
from benchmarks.stage import NOBODY, add_options, database, variables_for
from fleet import OURS

AIM = Aim(1.5, "s", at_most=True)
BASELINES = {
    "python -c pass": "pass",
    "python -c 'import requests, bottle, dataset'": "import requests, bottle, dataset",
}


def main(given: Sequence[str]) -> Section:
    """Start each in turn, round by round; the first round, which finds no file in memory, is not counted."""
    parser = argparse.ArgumentParser(prog="start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    add_options(parser)
    asked = parser.parse_args(given)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maskgate-bench-")))
        starts = _starts(stack, folder, asked)
        took = [{name: start() for name, start in starts.items()} for _ in range(asked.rounds + 1)][1:]
    medians = {name: median(one[name] for one in took) for name in starts}
    figures = [_figure(name, seconds, next(iter(medians.values()))) for name, seconds in medians.items()]
    return Section(shlex.join(["start", *given]), "from exec to `ready`, seconds", figures)


def serving(folder: Path, url: str, workers: int, *options: str) -> float:
    """Start a gateway in a folder, stop it when it is ready, and return how long that took (s)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    ours = {"GATEWAY_LISTEN": "127.0.0.1:0", "GATEWAY_DATABASE_URL": url, "GATEWAY_WORKERS": str(workers)}
    command = [sys.executable, "-m", "gateway", "serve", *options]
    return _until_it_says("ready on", command, folder, kept | variables_for(NOBODY) | ours)


def _starts(stack: ExitStack, folder: Path, asked: argparse.Namespace) -> dict[str, Callable[[], float]]:
    old = folder / "old"
    old.mkdir()
    names, url = count(), stack.enter_context(database(old, asked.database))

    def anew() -> float:
        new = folder / f"{next(names)}"
        new.mkdir()
        return serving(new, stack.enter_context(database(new, asked.database)), asked.workers)

    bases = {name: lambda code=code: _ended([sys.executable, "-c", code]) for name, code in BASELINES.items()}
    return {
        **bases,
        "gateway serve, no database yet": anew,
        "gateway serve, its database": lambda: serving(old, url, asked.workers),
    }


def _ended(command: Sequence[str]) -> float:
    began = perf_counter()
    subprocess.run(command, check=True)
    return perf_counter() - began


def _until_it_says(words: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    began = perf_counter()
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = next((line for line in running.stdout if words in line), None)
        took = perf_counter() - began
        running.terminate()
    assert said is not None, "it ended before it was ready"
    return took


def _figure(name: str, seconds: float, base: float) -> Figure:
    aim = AIM.on(round(seconds, 2)) if name.startswith("gateway") else ""
    return Figure(name, f"{seconds:.2f} s", ratio=seconds / base, aim=aim)
