"""*relay*: end to end, from a carrier's webhook to the text taken by a carrier.

So many texts are brought as fast as they are answered, and the clock stops when the carrier has taken all of them. In a
lane one waits for the other: with few lanes, what the carrier takes is what a text takes. CPU and memory are those of
the gateway's processes; the carrier and whoever brings the webhooks run beside them, on the same cores.

SignalWire's pace is each number's own, Flowroute's its account's; both are set so high that nothing waits for them.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import monotonic, sleep

from benchmarks.report import Aim, Figure, Section
from benchmarks.stage import Json, Running, Town, add_gateways, add_options, gateways, load, run, shown, write_requests
from benchmarks.usage import cpu_s, peak_mb

AIM, MEMORY = Aim(500, "texts/s"), Aim(120, "MB", at_most=True)
AIMED_AT = 50  #: ms; what the carrier of the aim takes
SENDERS = 64  #: what a gateway has, unless told otherwise
FASTEST = 1_500  #: texts a second, for how many to bring
PATIENCE = 600.0  #: seconds
KINDS = {"signalwire": "signalwire text", "flowroute": "flowroute text"}


@dataclass(frozen=True)
class Trial:
    """One of the circumstances."""

    carrier_ms: int
    lanes: int

    def __str__(self) -> str:
        return f"carrier takes {self.carrier_ms} ms, {self.lanes:,} lanes"

    def texts(self, asked: argparse.Namespace) -> int:
        """Return how many texts take about as many seconds as asked for."""
        at_once = min(self.lanes, (asked.senders or SENDERS) * asked.workers * asked.gateways)
        bound = 1000 * at_once / self.carrier_ms if self.carrier_ms else FASTEST
        return int(asked.seconds * min(FASTEST, bound))


def main(given: Sequence[str]) -> Section:
    """Run each trial with a gateway of its own."""
    asked = _arguments(given)
    trials = [Trial(ms, 2 * pairs) for ms, pairs in product(asked.carrier_ms, asked.pairs_of_trials)]
    with tempfile.TemporaryDirectory(prefix="maskgate-bench-") as folder:
        figures = [_measured(Path(folder) / f"{n}", trial, asked) for n, trial in enumerate(shown(trials))]
    about = "texts relayed, from webhook to carrier; CPU of the gateway for each, memory of its largest process"
    return Section(shlex.join(["relay", *given]), about, figures)


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="relay", description=__doc__)
    parser.add_argument(
        "--carrier-ms", type=int, nargs="+", default=[0, AIMED_AT, 200], help="the carrier takes so long"
    )
    parser.add_argument("--carrier", choices=list(KINDS), default="signalwire")
    parser.add_argument("--pairs", type=int, nargs="+", default=[500, 5], dest="pairs_of_trials", help="two lanes each")
    parser.add_argument("--seconds", type=float, default=4.0, help="about how long a trial is to take")
    parser.add_argument("--connections", type=int, default=16)
    add_options(parser)
    add_gateways(parser)
    return parser.parse_args(given)


def _measured(folder: Path, trial: Trial, asked: argparse.Namespace) -> Figure:
    asked.pairs, texts = trial.lanes // 2, trial.texts(asked)
    with ExitStack() as stack:
        taker = stack.enter_context(run("taker.py", "--delay", str(trial.carrier_ms)))
        town = stack.enter_context(gateways(folder, asked.carrier, asked, "serve", taker=taker.url))
        requests = write_requests(folder / "requests", KINDS[asked.carrier], town.lanes, texts)
        return _figure(town, taker, trial, texts, requests, asked)


def _when_taken(taker: Running, texts: int) -> Json:
    """Return what the carrier says when it has taken so many. Asks seldom: it has enough to do."""
    deadline = monotonic() + PATIENCE
    while (taken := taker.ask("/taken"))["taken"] < texts and monotonic() < deadline:
        sleep(0.2)
    return dict(taken)


def _figure(town: Town, taker: Running, trial: Trial, texts: int, requests: Path, asked: argparse.Namespace) -> Figure:
    before = cpu_s(*town.pids)
    came = load(requests, town.urls, "--seconds", "600", "--connections", str(asked.connections))
    assert came["statuses"] == {"200": texts}, came
    taken = _when_taken(taker, texts)
    assert taken["taken"] == texts, f"{taken['taken']} taken of {texts}"
    rate, memory_mb = texts / (taken["last_at"] - came["began_at"]), peak_mb(*town.pids)
    aimed = trial.carrier_ms == AIMED_AT and trial.lanes > SENDERS and asked.database == "sqlite"
    aim = AIM.on(round(rate)) if aimed else ""
    return Figure(
        f"{trial}",
        f"{rate:,.0f}/s ({texts:,} texts; webhooks {came['per_second']:,.0f}/s)",
        cpu_ms=1000 * (cpu_s(*town.pids) - before) / texts,
        memory_mb=memory_mb,
        aim="; ".join(filter(None, (aim, MEMORY.on(round(memory_mb))))),
    )
