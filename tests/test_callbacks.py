"""Callbacks: each event reaches each endpoint, signed, in order, once it can; nothing else waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from receivers import SECRET, Got, Receiver, receiving

from gateway.callbacks.courier import Courier
from gateway.server import courier as courier_of
from gateway.settings import Settings
from gateway.store import Store

MASK, ANN, BOB = "+12065550199", "+12065550101", "+12065550102"
Make = Callable[..., Settings]


def add(store: Store, kind: str = "opt_out", at: int | None = None, **of: str) -> None:
    store.write(lambda tx: tx.add_event(kind, at or now_ms(), **of), shared=True)


def now_ms() -> int:
    from gateway.clock import now_ms

    return now_ms()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def make(settings: Make, receiver: Receiver, database_url: str) -> Make:
    """Return a maker of settings with a receiver, and hardly a pause between two tries."""
    defaults = {
        "GATEWAY_CALLBACK_URL": receiver.url,
        "GATEWAY_CALLBACK_SECRET": SECRET,
        "GATEWAY_RETRY_BASE": "5ms",
        "GATEWAY_DATABASE_URL": database_url,
    }
    return lambda **given: settings(**(defaults | given))


@contextmanager
def calling(store: Store, settings: Settings) -> Iterator[Courier]:
    """Run a courier."""
    courier = courier_of(store, settings)
    assert courier is not None
    courier.start()
    try:
        yield courier
    finally:
        courier.stop()


def by_session(all_of_them: list[Got]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for got in all_of_them:
        found.setdefault(got.session, []).append(got.event)
    return found


def callbacks(store: Store) -> list[dict[str, Any]]:
    return [dict(row) for row in store.read(lambda tx: tx.query("SELECT * FROM callbacks ORDER BY id"))]


@pytest.mark.both_databases
def test_a_callback_comes_for_each_event_from_now_on(store: Store, make: Make, receiver: Receiver) -> None:
    add(store, "opt_in")
    with calling(store, make()):
        add(store, "opt_out")
        add(store, "carrier.paused", carrier="flowroute")
        got = receiver.wait(2)
    assert [one.payload["type"] for one in got] == ["opt_out", "carrier.paused"]
    assert [row["state"] for row in callbacks(store)] == ["delivered"] * 2
