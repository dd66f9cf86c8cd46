"""*backlog*: very many texts wait because their carrier is down. What a gateway costs then, beside one with few.

In lanes over numbers of one carrier, each text with its webhook and its event, as they came in. Measured are the start
of a gateway on it, its memory while the carrier is down and when it is back, how fast it sends then, and a
dispatcher's turn: what was sent is settled, the next heads of lanes are claimed.
"""

from __future__ import annotations

import argparse
import random
import shlex
import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.report import Aim, Figure, Section
from benchmarks.rows import Rows, bulk
from benchmarks.stage import add_options, database, run, variables_for
from benchmarks.start import AIM as START
from benchmarks.start import serving
from benchmarks.usage import cpu_s, peak_mb
from fleet import ready, started
from program import until
from scripted import Scripted

from gateway.clock import now_ms
from gateway.dispatcher import Dispatcher
from gateway.settings import read_settings
from gateway.store import Store

SMALL = 1_000  #: texts, of what it is compared with
LANES_OF_MASK = 10
CARRIER = "signalwire"  #: whose numbers are paced one by one: no account holds back the others
DAY = 86_400_000
CARRIER_MS = 50
MEMORY = Aim(120, "MB", at_most=True)


@dataclass(frozen=True)
class Found:
    """What one backlog came to."""

    texts: int
    start_s: float
    down_mb: float
    sent: float  #: texts a second, once the carrier is back
    sent_cpu_ms: float
    sent_mb: float
    turn_ms: float  #: of the clock, with its commit
    turn_cpu_ms: float


def main(given: Sequence[str]) -> Section:
    """Measure a small one and a large one."""
    parser = argparse.ArgumentParser(prog="backlog", description=__doc__)
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--lanes", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=6.0, help="for which the carrier is back")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--starts", type=int, default=3)
    add_options(parser)
    asked = parser.parse_args(given)
    small, large = _measured(SMALL, asked), _measured(asked.texts, asked)
    about = f"{small.texts:,} texts wait in as many lanes; {large.texts:,} in {min(asked.lanes, asked.texts):,}"
    return Section(shlex.join(["backlog", *given]), about, _figures(small, large))


def fill(url: str, texts: int, lanes: int) -> None:
    """Fill an empty database with a backlog of so many texts in so many lanes."""
    Store(url, readers=1).close()
    with bulk(url) as put:
        rows, now, dice = Rows(put), now_ms(), random.Random(7)
        places = [_lane(rows, number, dice, now) for number in range(lanes)]
        for number in range(texts):
            _text(rows, *places[number % lanes], now - texts + number)
        rows.flush()


def _lane(rows: Rows, number: int, dice: random.Random, now: int) -> tuple[str, str, str]:
    """Write a lane with its session and, for every so many lanes, their mask; return mask, recipient, session."""
    mask, person = f"+1303{2_000_000 + number // LANES_OF_MASK}", f"+1206{2_000_000 + number}"
    session, other = f"{dice.getrandbits(128):032x}", f"+1404{2_000_000 + number}"
    if number % LANES_OF_MASK == 0:
        place, live = number // LANES_OF_MASK + 1, 2 * LANES_OF_MASK
        shuffle = dice.randrange(1 << 62)
        rows.add("numbers", mask, place, CARRIER, "active", "US", shuffle, live, None, now - DAY, "", mask[:5])
        rows.add("paces", mask, CARRIER, now, 0)
    rows.add("sessions", number + 1, session, "v1", "live", now - DAY, *[None] * 2, "", 0, 0, *[None] * 2, "", "")
    for position, participant in enumerate((person, other)):
        rows.add("legs", session, position, participant, mask, CARRIER, "", number + 1)
        rows.add("leases", mask, participant, session, position, "live", 0, 0)
    rows.add("lanes", mask, person, now, "", 0)
    return mask, person, session


def _text(rows: Rows, mask: str, person: str, session: str, at: int) -> None:
    """Write a text that came in and waits: what its webhook wrote."""
    number = rows.counted["outbox"] + 1
    other = f"+1404{person[5:]}"
    rows.add("inbox", number, CARRIER, f"mdr2-{number:032x}", mask, other, session, "relayed", at)
    rows.add("events", number, at, "message.received", session, mask, CARRIER, number, "relayed")
    rows.add(
        "outbox",
        *(number, CARRIER, mask, person, f"On my way, number {number}, ten minutes", "", "relay", session, number),
        *("queued", "", "", 0, at, at + DAY, None, at, ""),
    )


def _measured(texts: int, asked: argparse.Namespace) -> Found:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maskgate-bench-")))
        url = stack.enter_context(database(folder, asked.database))
        fill(url, texts, min(texts, asked.lanes))
        start_s = median(serving(folder, url, asked.workers, "--no-dispatch") for _ in range(asked.starts))
        turn_ms, turn_cpu_ms = _turns(url, min(asked.turns, texts // 64))
        return Found(texts, start_s, *_outage(folder, url, asked), turn_ms, turn_cpu_ms)


def _turns(url: str, turns: int) -> tuple[float, float]:
    """Return what a dispatcher's turn takes, in ms, medians: of the clock, and of CPU with its sends."""
    store, carrier = Store(url, readers=4), Scripted(name=CARRIER)
    dispatcher = Dispatcher(store, {CARRIER: carrier}, read_settings())
    took, used = [], []
    for _ in range(turns):
        began, cpu = time.perf_counter(), time.process_time()
        dispatcher.turn()
        took.append(1000 * (time.perf_counter() - began))
        until(lambda: dispatcher._answers.qsize() == len(dispatcher._desks[CARRIER].in_flight), "all were tried")
        used.append(1000 * (time.process_time() - cpu))
    while dispatcher._busy():  # settled, and no more claimed: the next owner finds no lane held
        dispatcher._stopping = True
        dispatcher.turn()
    dispatcher.stop()
    store.close()
    return median(took), median(used)


def _outage(folder: Path, url: str, asked: argparse.Namespace) -> tuple[float, float, float, float]:
    """Run a gateway while its carrier is down, then back; return MB before, texts/s, ms of CPU for each, MB after."""
    port = _free_port()
    variables = variables_for(f"http://127.0.0.1:{port}") | {"GATEWAY_DATABASE_URL": url}
    with started(folder, variables | {"GATEWAY_WORKERS": str(asked.workers)}, "serve") as program:
        ready(program)
        until(lambda: " is out" in program.output, "the carrier is out", seconds=60)
        down_mb, pid = peak_mb(program.running.pid), program.running.pid
        with run("taker.py", "--delay", str(CARRIER_MS), "--port", str(port)) as taker:
            until(lambda: taker.ask("/taken")["taken"] > 1, "the carrier is back", seconds=60)
            before, cpu, began = taker.ask("/taken")["taken"], cpu_s(pid), time.perf_counter()
            time.sleep(asked.seconds)
            taken = taker.ask("/taken")["taken"] - before
            rate, used = taken / (time.perf_counter() - began), cpu_s(pid) - cpu
        return down_mb, rate, 1000 * used / max(1, taken), peak_mb(pid)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _figures(small: Found, large: Found) -> list[Figure]:
    def figure(what: str, a: float, b: float, form: str, unit: str, aim: str = "", **more: float) -> Figure:
        return Figure(what, f"{a:{form}} → {b:{form}} {unit}", ratio=b / a, aim=aim, **more)

    start, memory = START.on(round(large.start_s, 2)), MEMORY.on(round(large.down_mb))
    sent = {"cpu_ms": large.sent_cpu_ms, "memory_mb": large.sent_mb}
    return [
        figure("start, to `ready`", small.start_s, large.start_s, ".2f", "s", start),
        figure("memory, the carrier down", small.down_mb, large.down_mb, ".0f", "MB", memory, memory_mb=large.down_mb),
        figure("a dispatcher's turn of 64 texts, its commit included", small.turn_ms, large.turn_ms, ".1f", "ms"),
        figure("— CPU of it, with what sends", small.turn_cpu_ms, large.turn_cpu_ms, ".1f", "ms"),
        Figure("sent, the carrier back", f"{large.sent:,.0f}/s", **sent, aim=MEMORY.on(round(large.sent_mb))),
    ]
