"""What `gateway serve` and `gateway dispatch` do, from the settings to the last signal."""

from __future__ import annotations

import difflib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import gateway
from gateway import plugins
from gateway.carrier import Carrier
from gateway.dispatcher import Dispatcher
from gateway.doors import closed_doors
from gateway.errors import ConfigError
from gateway.greeting import first_words
from gateway.http import BACKLOG
from gateway.plugins import Installed
from gateway.server import Gateway, bind, courier, url_of
from gateway.settings import Settings
from gateway.signals import hold_signals, wait_for_signal
from gateway.store import Store
from gateway.workers import Workers

Say = Callable[[str], None]
VERSION = gateway.__version__


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """What every form of the program begins with."""

    settings: Settings
    found: Mapping[str, Installed]
    carriers: Mapping[str, Carrier]
    say: Say

    def greet(self, store: Store, place: str, public_url: str) -> None:
        """Print the first words."""
        for line in first_words(self.settings, self.found, self.carriers, store, place, public_url):
            self.say(line)


def serve(settings: Settings, *, dispatches: bool = True, say: Say = print) -> None:
    """Serve until SIGTERM or SIGINT; send too, unless `dispatches` is false: then other processes do.

    Raises `ConfigError` for whatever must be mended before, `StoreUnavailable`, `WorkerFailed`.
    """
    start = _start(settings, say)
    hold_signals()
    listener = bind(settings)
    if settings.workers > 1:
        _serve_by_workers(start, listener, dispatches)
    else:
        _serve_here(start, listener, dispatches)


def dispatch(settings: Settings, *, say: Say = print) -> None:
    """Send and sweep until SIGTERM or SIGINT, and serve nothing. Raises `ConfigError`, `StoreUnavailable`."""
    start = _start(settings, say)
    if not settings.public_url:
        raise ConfigError("GATEWAY_PUBLIC_URL: unset, and GATEWAY_LISTEN has no port: where shall receipts go?")
    hold_signals()
    store = Store(settings.database_url, readers=4)
    dispatcher = Dispatcher(
        store,
        start.carriers,
        settings,
        receipt_url=lambda name: settings.webhook_url(settings.public_url, name),
        courier=courier(store, settings),
    )
    start.greet(store, "serves no HTTP", settings.public_url)
    dispatcher.start()
    say(f"maskgate {VERSION} dispatching")
    wait_for_signal()
    say("stopping: sends settle")
    dispatcher.stop()
    store.close()


def _start(settings: Settings, say: Say) -> _Start:
    """Return what is needed to begin. Raises `ConfigError` for whatever must be mended before."""
    found = plugins.find_carriers()
    if not found:
        raise ConfigError(plugins.HOW_TO_GET_ONE)
    if wrong := _not_installed(settings, found):
        raise ConfigError(wrong)
    carriers = plugins.build_configured(found)
    if missing := closed_doors(settings, carriers):
        raise ConfigError(missing)
    return _Start(settings=settings, found=found, carriers=carriers, say=say)


def _not_installed(settings: Settings, found: Mapping[str, Installed]) -> str:
    """Return which carriers are named that nobody has installed: numbers put in for them would be nobody's."""
    named = {"GATEWAY_TN_CARRIER": "tn_carrier", "GATEWAY_MASK_CARRIER": "mask_carrier"}
    lines = []
    for variable, field in named.items():
        name = getattr(settings, field)
        if field in settings.model_fields_set and name not in found:
            near = difflib.get_close_matches(name, found, 1)
            meant = f"Is it {near[0]}?" if near else f"Installed are: {', '.join(sorted(found))}."
            lines.append(f"{variable}: the carrier {name} is not installed. {meant}")
    return "\n".join(lines)


def _serve_here(start: _Start, listener: socket.socket, dispatches: bool) -> None:
    running = Gateway(start.settings, start.carriers, listener=listener, dispatches=dispatches, installed=start.found)
    start.greet(running.store, _place(running.url, 1, dispatches), running.context.public_url)
    running.start()
    start.say(f"maskgate {VERSION} ready on {running.url}")
    wait_for_signal()
    start.say("stopping: requests finish, sends settle")
    running.stop()


def _serve_by_workers(start: _Start, listener: socket.socket, dispatches: bool) -> None:
    """Serve by several processes. The database is closed before the first is begun: no connection outlives a fork."""
    settings, url = start.settings, url_of(listener)
    store = Store(settings.database_url, readers=1)
    try:
        start.greet(store, _place(url, settings.workers, dispatches), settings.public_url or url)
    finally:
        store.close()

    def begin(number: int) -> Gateway:
        carriers = plugins.build_configured(start.found)
        running = Gateway(settings, carriers, listener=listener, dispatches=dispatches, installed=start.found)
        running.start()
        return running

    listener.listen(BACKLOG)
    workers = Workers(settings.workers, begin)
    workers.start()
    start.say(f"maskgate {VERSION} ready on {url}")
    workers.keep()
    start.say("stopping: requests finish, sends settle")
    listener.close()
    workers.stop()


def _place(url: str, processes: int, dispatches: bool) -> str:
    many = f" with {processes} processes" if processes > 1 else ""
    return f"listens on {url}{many}" + ("" if dispatches else ", sends nothing (`gateway dispatch` does)")
