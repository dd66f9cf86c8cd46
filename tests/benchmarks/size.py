"""*size*: what a request costs with little and with much in the store, side by side in one run.

Every list of v1 (first page, one in the middle, the last), every look-up, `explain`, and what carriers and
applications do all day. Through the WSGI application, without sockets; nothing is sent.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from benchmarks.costs import BATCH, costs
from benchmarks.filling import DAY, fill
from benchmarks.lists import LISTS
from benchmarks.sides import FACE, PUBLIC, Case, Result, Side, compare
from benchmarks.sizes import BUSY_MASK, BUSY_PERSON, BUSY_SESSION, ENDPOINT, REUSED, STRANGER, Sizes
from benchmarks.stage import database as new_database
from gateways import TOKEN

from gateway.messages import InboundMessage

LIMIT = 2.0  #: a ratio above it is marked
SMALL = Sizes(1_000, 10_000)


def main(given: Sequence[str]) -> None:
    """Run by hand: see `--help`."""
    asked = _arguments(given)
    with ExitStack() as stack:
        folder = Path(asked.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="maskgate-size-")))
        sizes = {"small": SMALL, "large": Sizes(asked.sessions, asked.messages)}
        sides = {}
        for name, size in sizes.items():
            sides[name] = Side(stack.enter_context(_database(folder, f"{name}-{size.sessions}-{size.messages}", asked)))
            see_to(sides[name], size, print)
            stack.callback(sides[name].store.close)
        print(f"{sides['large'].store.facts.split(' at ')[0]}, Python {platform.python_version()}, ", end="")
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when it began")
        _print_cases(sides["small"], sides["large"], asked)
        if asked.only in "costs":
            pairs(sides["small"]), pairs(sides["large"])
            _print_costs(costs(sides["small"], sides["large"]))
        print(f"load {os.getloadavg()[0]:.1f} when it ended")


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="size", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--folder", help="where SQLite's files are kept, and found again by the next run")
    parser.add_argument("--only", default="", help="only what has this in its name")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--marked", action="store_true", help="print only what is marked")
    return parser.parse_args(given)


@contextmanager
def _database(folder: Path, name: str, asked: argparse.Namespace) -> Iterator[str]:
    if asked.database == "sqlite":
        yield f"sqlite:///{folder}/{name}.db"
        return
    with new_database(folder, asked.database) as url:
        yield url


def see_to(side: Side, size: Sizes, say: Callable[[str], None]) -> None:
    """Fill a side's database unless it is full, and find its landmarks."""
    if not side.rows("SELECT 1 FROM numbers LIMIT 1"):
        say(f"filling: {size}")
        fill(side.url, size, say)
    side.landmarks |= _landmarks(side)


def _print_cases(small: Side, large: Side, asked: argparse.Namespace) -> None:
    print(f"{'':<66} {'rows':>8} {'small ms':>9} {'large ms':>9} {'ratio':>7}")
    results = []
    for case in cases():
        if asked.only in case.name:
            result = _measured(case, small, large, asked.rounds)
            results.append(result)
            if not asked.marked or result.is_dearer(LIMIT):
                print(result.line(LIMIT), flush=True)
    marked = sum(result.is_dearer(LIMIT) for result in results)
    print(f"{len(results)} cases, {marked} marked: more than {LIMIT:g} times as dear, with no more rows to show for it")


def _print_costs(found: Mapping[str, tuple[float, float]]) -> None:
    print(f"{'CPU in µs, ' + str(BATCH) + ' at a time':<66} {'':>8} {'small':>9} {'large':>9} {'ratio':>7}")
    for name, (small, large) in found.items():
        print(f"{name:<66} {'':>8} {small:>9.0f} {large:>9.0f} {large / small:>7.2f}")


def _measured(case: Case, small: Side, large: Side, rounds: int) -> Result:
    """Return a case's result; one that would be marked is measured again, longer, before it is."""
    result = compare(Case(case.name, case.prepare, min(rounds, case.rounds)), small, large)
    if result.is_dearer(LIMIT) and case.rounds > 3:
        result = compare(Case(case.name, case.prepare, 3 * rounds), small, large)
    return result


def cases() -> list[Case]:
    """Return everything that is timed."""
    return [*(case for one in LISTS for case in one.cases()), *_LOOK_UPS, *_HOT]


# --- what there is to ask for -----------------------------------------------------------------------


def _landmarks(side: Side) -> dict[str, Any]:
    """Return what paths are made with. With `_` at its end a number as it is, without, as a query has it."""
    live = "SELECT s.id, s.external_id, g.participant, g.mask FROM sessions s JOIN legs g ON g.session = s.id "
    live += "WHERE s.state = 'live' AND g.mask <> :busy ORDER BY s.seq LIMIT 1 OFFSET 91"
    one = side.rows(live, busy=BUSY_MASK)[0]
    over = side.rows("SELECT mask, participant FROM leases WHERE state = 'quarantined' ORDER BY mask LIMIT 1")[0]
    since = side.rows("SELECT MIN(created_at) AS a, MAX(created_at) AS z FROM outbox")[0]
    middle = (since["a"] + since["z"]) // 2
    numbers = {
        "person": one["participant"],
        "mask": one["mask"],
        "busy_person": BUSY_PERSON,
        "busy_mask": BUSY_MASK,
        "stranger": STRANGER,
        "refusing": side.rows("SELECT MIN(participant) AS n FROM opt_outs")[0]["n"],
        "over_mask": over["mask"],
        "over_person": over["participant"],
    }
    return {
        **{name: quote(number, safe="") for name, number in numbers.items()},
        **{f"{name}_": number for name, number in numbers.items()},
        "session": one["id"],
        "external_id": one["external_id"] or "order-1",
        "reused": REUSED,
        "busy_session": side.rows("SELECT id FROM sessions WHERE external_id = :id", id=BUSY_SESSION)[0]["id"],
        "called": side.rows("SELECT session FROM calls WHERE id = 77")[0]["session"],
        "since": _time(middle),
        "since_ms": middle,
        "until": _time(middle + DAY),
        "until_ms": middle + DAY,
        "in_id": side.rows("SELECT MAX(id) / 2 AS n FROM inbox")[0]["n"],
        "out_id": side.rows("SELECT MAX(id) / 2 AS n FROM outbox")[0]["n"],
        "endpoint": ENDPOINT,
        "callback_id": side.rows("SELECT MAX(id) / 2 AS n FROM callbacks")[0]["n"],
        "waiting_callback_id": side.rows("SELECT MIN(id) AS n FROM callbacks WHERE state = 'waiting'")[0]["n"],
        "call_id": side.rows("SELECT MAX(id) / 2 AS n FROM calls")[0]["n"],
    }


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _look_up(path: str, rounds: int = 15) -> Case:
    return Case(path, lambda side: lambda: side.ask("GET", path.format(**side.landmarks)), rounds)


_LOOK_UPS = [
    *map(
        _look_up,
        (
            "/v1/sessions/{session}",
            "/v1/sessions/{busy_session}",
            "/v1/pool/{mask}",
            "/v1/pool/{busy_mask}",
            "/v1/messages/in-{in_id}",
            "/v1/messages/out-{out_id}",
            "/v1/calls/{call_id}",
            "/v1/callbacks/{callback_id}",
            "/v1/callbacks/{waiting_callback_id}",
            "/v1/callbacks/endpoints",
            "/v1/carriers",
            "/v1/carriers/signalwire",
            "/v1/events?after=latest",
            "/v1/masks/{mask}/explain?from={person}",
            "/v1/masks/{busy_mask}/explain?from={stranger}",
            "/v1/masks/{over_mask}/explain?from={over_person}",
        ),
    ),
]


# --- what is done all day ---------------------------------------------------------------------------


def pairs(side: Side, carrier: str = "flowroute") -> list[tuple[str, str]]:
    """Return pairs (mask, participant) of live sessions of two over numbers of one carrier."""
    if "pairs" not in side.landmarks:
        rows = side.rows(
            "SELECT l.mask, l.participant FROM leases l JOIN legs g ON g.session = l.session GROUP BY l.mask, "
            "l.participant, l.session, l.state HAVING l.state = 'live' AND COUNT(*) = 2 AND MIN(g.carrier) = :carrier "
            "AND MAX(g.carrier) = :carrier ORDER BY l.session LIMIT 5000",
            carrier=carrier,
        )
        side.landmarks["pairs"] = [(row["mask"], row["participant"]) for row in rows]
    return list(side.landmarks["pairs"])


def text(side: Side) -> InboundMessage:
    """Return a text that somebody sends into their session."""
    mask, person = random.choice(pairs(side))
    ref = f"mdr2-{uuid4().hex}"
    return InboundMessage(carrier_ref=ref, sender=person, recipient=mask, text="On my way, ten minutes")


def _relay(side: Side) -> Callable[[], Any]:
    webhook = FACE.message(f"{PUBLIC}/webhooks/flowroute/{TOKEN}", text(side))
    return lambda: side.post(webhook)


def _people(side: Side) -> list[dict[str, str]]:
    """Return two people whose numbers are none of the pool's, nor dear (303 976 …) or for emergencies."""
    found: set[str] = set()
    while len(found) < 2:
        number = f"+1303{random.randrange(2_000_000, 9_000_000)}"
        if not side.rows("SELECT 1 FROM numbers WHERE number = :number", number=number):
            found.add(number)
    return [{"number": number} for number in found]


def _open(side: Side) -> Callable[[], Any]:
    body = {"participants": _people(side), "ttl": "15m", "external_id": uuid4().hex}
    return lambda: side.ask("POST", "/v1/sessions", body)


def _end(side: Side) -> Callable[[], Any]:
    opened = side.ask("POST", "/v1/sessions", {"participants": _people(side)})
    return lambda: side.ask("POST", f"/v1/sessions/{opened['id']}/end", {})


def _figures(side: Side) -> Callable[[], Any]:
    return lambda: side.store.read(lambda tx: tx.pool_figures(0))


_HOT = [
    Case("a text relayed (webhook)", _relay, 60),
    Case("POST /v1/sessions", _open, 40),
    Case("POST /v1/sessions/{id}/end", _end, 40),
    Case("the figures of the pool, worked out anew (kept 20 times as long)", _figures, 3),
]
