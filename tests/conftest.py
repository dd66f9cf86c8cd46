"""What tests of the whole stand on: a store on disk, a clock one can set, settings of their own, a WSGI client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fresh import prepared
from postgres import Server
from scripted import Scripted
from wsgi import Client, SettableClock

from gateway.carrier import Carrier
from gateway.dispatcher import Dispatcher
from gateway.settings import Settings, read_settings, settings_table
from gateway.store import Store
from gateway.web import Context

pytest_plugins = ["ledger", "parallel", "pytester", "soak", "crashes"]  # the last one imports others


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `both_databases` on each."""
    if "database_url" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_databases"):
        metafunc.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Server:
    """Return a PostgreSQL server, which the processes of a parallel run share."""
    return Server(os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}"))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database: an SQLite file, or a schema of PostgreSQL (mark `both_databases`).

    Of a copy of a migrated one, on PostgreSQL, for a test with a `store`: it would migrate it first of all.
    """
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite:///{tmp_path}/gateway.db"
        return
    server: Server = request.getfixturevalue("postgres")
    with server.copy() if "store" in request.fixturenames else server.schema() as url:
        yield url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """Return a store: an SQLite file, or a database of PostgreSQL where a test is marked `both_databases`."""
    store = Store(prepared(database_url))
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
