"""One side of a comparison: a gateway over a database, called through its WSGI application, in this thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from faces.flowroute import FlowrouteFace
from gateways import TOKEN, carrier_for
from wsgi import Client

from gateway.clock import now_ms
from gateway.dispatching import Elsewhere
from gateway.settings import read_settings
from gateway.store import Store
from gateway.web import Context
from gateway.web.v1 import paging

PUBLIC = "http://gw.example.com"
NOBODY: Any = SimpleNamespace(url="http://127.0.0.1:9")  #: the network of carriers that are never asked
FACE = FlowrouteFace("access", "secret")


class Side:
    """A gateway that nobody sends for: what is timed is the request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = Store(url)
        self.carriers = {name: carrier_for(NOBODY, name) for name in ("flowroute", "signalwire")}
        self.settings = read_settings(GATEWAY_WEBHOOK_TOKEN=TOKEN)
        self.context = Context(
            settings=self.settings,
            store=self.store,
            carriers=self.carriers,
            dispatcher=Elsewhere(self.store, 8),
            public_url=PUBLIC,
            clock=now_ms,
        )
        self.client = Client(self.context)
        self.landmarks: dict[str, Any] = {}

    def rows(self, sql: str, **params: Any) -> list[Mapping[str, Any]]:
        """Return the rows of a query about the database."""
        return self.store.read(lambda tx: tx.query(sql, **params))

    def ask(self, method: str, path: str, json: Any = None) -> Any:
        """Send a request and return the answer's JSON. Whatever is refused ends the benchmark."""
        answer = self.client(method, path) if json is None else self.client(method, path, json=json)
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {answer.text}")
        return answer.json()

    def post(self, webhook: Any) -> None:
        """Deliver a webhook of a carrier."""
        path = webhook.url.removeprefix(PUBLIC)
        answer = self.client("POST", path, body=webhook.body, headers=dict(webhook.headers))
        if answer.status != 200:
            raise SystemExit(f"a webhook: {answer.status}")

    def cursor(self, path: str, key: tuple[Any, ...]) -> str:
        """Return the cursor of the page of a list behind `key`, as the list itself would write it."""
        calls: list[Any] = []
        original = paging.after

        def spy(call: Any, *kinds: Any) -> Any:
            calls.append(call)
            return original(call, *kinds)

        with patch.object(paging, "after", spy):
            self.ask("GET", path)
        cursor = paging.write(calls[0], key)
        assert cursor is not None
        return cursor


@dataclass(frozen=True)
class Case:
    """What is timed: `prepare` may do what is not, and returns what is."""

    name: str
    prepare: Callable[[Side], Callable[[], Any]]
    rounds: int = 15


@dataclass(frozen=True)
class Result:
    """Medians in ms, wall-clock time; and how many rows were answered, where it is a list."""

    name: str
    small: float
    large: float
    rows: tuple[int, int]
    cpu: tuple[float, float]  #: of this process, ms

    @property
    def ratio(self) -> float:
        """How many times as long the large one takes."""
        return self.large / self.small

    def is_dearer(self, limit: float) -> bool:
        """Return whether it takes more than `limit` times as long, and not because it answers more rows."""
        few, many = (max(1, count) for count in self.rows)
        return self.ratio > limit * max(1.0, many / few)

    def line(self, limit: float) -> str:
        """Return the line of a table."""
        rows = "{:>4}{:>4}".format(*self.rows) if any(self.rows) else " " * 8
        mark = " <<" if self.is_dearer(limit) else ""
        return f"{self.name:<66} {rows} {self.small:>9.2f} {self.large:>9.2f} {self.ratio:>7.2f}{mark}"


def compare(case: Case, small: Side, large: Side) -> Result:
    """Time a case on both sides, one after the other, round by round; the first round of each is not counted."""
    times: dict[Side, list[float]] = {small: [], large: []}
    cpu: dict[Side, list[float]] = {small: [], large: []}
    rows = {small: 0, large: 0}
    for round in range(case.rounds + 1):
        for side in (small, large) if round % 2 else (large, small):
            run = case.prepare(side)
            began, used = time.perf_counter(), time.process_time()
            answer = run()
            times[side].append(1000 * (time.perf_counter() - began))
            cpu[side].append(1000 * (time.process_time() - used))
            rows[side] = len(answer.get("data", ())) if isinstance(answer, dict) else 0
    a, b = (median(times[side][1:]) for side in (small, large))
    return Result(case.name, a, b, (rows[small], rows[large]), (median(cpu[small][1:]), median(cpu[large][1:])))
