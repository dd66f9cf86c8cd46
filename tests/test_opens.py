"""Many sessions opened at once over few numbers, through both inherited APIs of two gateways on one database."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import monotonic_ns
from types import SimpleNamespace
from typing import Any

import gateways
import pytest
from invariants import broken
from program import serving

from gateway.store import Store

NUMBERS = [f"+120655501{i:02}" for i in range(5)]
CLIENTS = 12
NONE_FREE = {
    "tn": "Could not create a new session -- No virtual TNs available.",
    "mask": "There are no usable numbers in the pool.  Please add numbers, or remove unused masks.",
}

#: Draws a person nobody else is.
nobody = itertools.count(1000)


@dataclass(frozen=True)
class Held:
    """A session that somebody has opened."""

    dialect: str
    mask: str
    id: str
    since: int


class Gateways:
    """Several of one database, which are asked in turn."""

    def __init__(self, urls: list[str]) -> None:
        self._next = itertools.cycle([SimpleNamespace(url=url) for url in urls])

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return gateways.api(next(self._next), method, path, body)  # type: ignore[arg-type]

    def open(self, dialect: str) -> Held | None:
        """Open a session of people who are in no other. Return None where no number is free, and that is said."""
        one, other = f"+1206555{next(nobody)}", f"+1206555{next(nobody)}"
        if dialect == "tn":
            status, answer = self.ask("POST", "/session", {"participant_a": one, "participant_b": other})
        else:
            both = {"contractor_number": one, "client_number": other}
            status, answer = self.ask("POST", "/api/rest/numberMask", both)
        if status == 200 and dialect == "tn":
            return Held(dialect, f"+{answer['virtual_tn']}", answer["session_id"], monotonic_ns())
        if status == 200:
            return Held(dialect, answer["mask_number"], "", monotonic_ns())
        words = answer["message"] if dialect == "tn" else answer
        assert (status, words) == (400, NONE_FREE[dialect])
        return None

    def end(self, held: Held) -> None:
        if held.dialect == "tn":
            assert self.ask("DELETE", "/session", {"session_id": held.id})[0] == 200
        else:
            assert self.ask("DELETE", f"/api/rest/numberMask/{held.mask}")[0] == 200


@pytest.fixture
def two(database_url: str, tmp_path: Path) -> Iterator[Gateways]:
    """Return two running gateways, each a process of its own."""
    with ExitStack() as stack:
        net = stack.enter_context(gateways.network("simulator"))
        variables = {
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_LISTEN": "127.0.0.1:0",
            "GATEWAY_TN_CARRIER": "simulator",
            "GATEWAY_MASK_CARRIER": "simulator",
            "SIMULATOR_URL": net.url,
            "SIMULATOR_KEY": "simulator-key",
        }
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        with ThreadPoolExecutor(2) as threads:
            running = threads.map(lambda folder: stack.enter_context(serving(folder, variables)), folders)
            both = Gateways([program.url for program in running])
        for number in NUMBERS:
            assert both.ask("POST", "/tn", {"value": number})[0] == 200
        yield both


def at_once(work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(CLIENTS) as threads:
        return list(threads.map(work, range(2 * CLIENTS)))


@pytest.mark.both_databases
def test_as_many_sessions_open_as_there_are_numbers_and_nobody_gets_another_s(two: Gateways, database_url: str) -> None:
    for dialects in (["tn"], ["mask"], ["tn", "mask"]):
        opened = [held for held in at_once(lambda n, of=dialects: two.open(of[n % len(of)])) if held is not None]
        assert sorted(held.mask for held in opened) == NUMBERS
        at_once(lambda n, held=opened: two.end(held[n]) if n < len(held) else None)
    spans = [span for some in at_once(lambda n: opened_and_ended(two, ["tn", "mask"][n % 2])) for span in some]
    by_mask = defaultdict(list)
    for mask, since, until in sorted(spans, key=lambda span: span[1]):
        by_mask[mask].append((since, until))
    assert all(first[1] < then[0] for of in by_mask.values() for first, then in pairwise(of))
    assert len(spans) > 2 * len(NUMBERS)
    assert two.ask("GET", "/tn")[1]["available"] == len(NUMBERS)
    nothing_is_left(database_url)


def opened_and_ended(two: Gateways, dialect: str) -> list[tuple[str, int, int]]:
    """Open and end sessions; return mask, the moment at which it was surely open, and that at which it was still."""
    spans = []
    for _ in range(3):
        if (held := two.open(dialect)) is not None:
            spans.append((held.mask, held.since, monotonic_ns()))
            two.end(held)
    return spans


def nothing_is_left(database_url: str) -> None:
    store = Store(database_url)
    assert broken(store, 1 << 61) == []
    kinds = Counter(row["kind"] for row in store.read(lambda tx: tx.query("SELECT kind FROM events")))
    assert kinds["session.opened"] == kinds["session.ended"]
    store.close()
