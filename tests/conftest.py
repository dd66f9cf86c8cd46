"""What tests of the whole stand on: a store on disk, a clock one can set, settings of their own, a WSGI client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripted import Scripted
from wsgi import Client, SettableClock

from gateway.carrier import Carrier
from gateway.dispatcher import Dispatcher
from gateway.settings import Settings, read_settings, settings_table
from gateway.store import Store
from gateway.web import Context

pytest_plugins = ["ledger", "pytester", "soak"]


@pytest.fixture
def clock() -> SettableClock:
    """Return a clock that stands still until it is set."""
    return SettableClock()


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Return a maker of settings from variables given by name; the environment has no say."""
    ours = {row.variable for row in settings_table()}
    for name in list(os.environ):
        if name in ours or name.startswith("GATEWAY_"):
            monkeypatch.delenv(name)
    return read_settings


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store on an SQLite file."""
    store = Store(f"sqlite:///{tmp_path}/gateway.db")
    yield store
    store.close()


@pytest.fixture
def carriers() -> dict[str, Carrier]:
    """Return the configured carriers, which a test may add to before it serves."""
    return {name: Scripted(name=name) for name in ("flowroute", "signalwire")}


@pytest.fixture
def serve(
    store: Store, clock: SettableClock, settings: Callable[..., Settings], carriers: dict[str, Carrier]
) -> Iterator[Callable[..., Client]]:
    """Return a maker of clients of a gateway with the variables given; `sending=False`: its texts stay where they are.

    Then nothing falls due by itself either.
    """
    started: list[Dispatcher] = []

    def make(*, sending: bool = True, **variables: str) -> Client:
        chosen = settings(**variables)
        dispatcher = Dispatcher(store, carriers, chosen, clock=clock)
        if sending:
            dispatcher.start()
            started.append(dispatcher)
        url = "http://gw.example.com"
        return Client(
            Context(settings=chosen, store=store, carriers=carriers, dispatcher=dispatcher, public_url=url, clock=clock)
        )

    yield make
    for dispatcher in started:
        dispatcher.stop()


@pytest.fixture
def client(serve: Callable[..., Client]) -> Client:
    """Return a client of a gateway with default settings."""
    return serve()
