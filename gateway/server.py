"""The wiring, by hand: settings, store, carriers, dispatcher, web, HTTP."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from gateway.callbacks.courier import Courier
from gateway.carrier import Carrier
from gateway.clock import Clock, now_ms
from gateway.dispatcher import Dispatcher
from gateway.dispatching import Dispatching, Elsewhere
from gateway.errors import ConfigError
from gateway.http import HttpServer
from gateway.listing import needed
from gateway.plugins import Installed
from gateway.settings import Settings
from gateway.store import Store
from gateway.web import Context, make_app, unsaid
from gateway.web.bodies import LIMIT
from gateway.web.v1.payloads import written

NONE: Mapping[str, Installed] = MappingProxyType({})


class Gateway:
    """A gateway that serves in threads of its own, from `start` to `stop`."""

    def __init__(
        self,
        settings: Settings,
        carriers: Mapping[str, Carrier],
        *,
        listener: socket.socket | None = None,
        dispatches: bool = True,
        installed: Mapping[str, Installed] = NONE,
        clock: Clock = now_ms,
    ) -> None:
        """Bind the address, unless `listener` is bound to it, and open the store. Without `dispatches`, others send.

        `installed` holds all carriers there are, those without settings too.
        Raises `ConfigError`, `StoreUnavailable`.
        """
        self.carriers = carriers
        self._socket = listener or bind(settings)
        try:
            self.store = Store(settings.database_url, readers=settings.threads + 4)
        except BaseException:
            self._socket.close()
            raise
        self.url = url_of(self._socket)
        public_url = settings.public_url or self.url
        self.dispatcher: Dispatching = Elsewhere(self.store, settings.threads)
        if dispatches:
            self.dispatcher = Dispatcher(
                self.store,
                carriers,
                settings,
                receipt_url=lambda name: settings.webhook_url(public_url, name),
                courier=courier(self.store, settings, clock),
                hurried=self.is_hurried,
                clock=clock,
            )
        self.context = Context(
            settings=settings,
            store=self.store,
            carriers=carriers,
            installed={name: needed(one.carrier) for name, one in installed.items()},
            dispatcher=self.dispatcher,
            public_url=public_url,
            clock=clock,
        )
        self.http: HttpServer | None = None  #: from the start on

    def start(self) -> None:
        """Start sending and serving; requests are answered from now on."""
        app, threads = unsaid(make_app(self.context)), self.context.settings.threads
        self.http = HttpServer(app, self._socket, threads=threads, body_limit=LIMIT)
        self.dispatcher.start()
        self.http.start()

    def stop(self) -> None:
        """Take no more requests, finish those under way, let sends settle, close the store."""
        if self.http is not None:
            self.http.shut()
        self.dispatcher.feed.close()  # whoever waits for events is answered, and asks no more
        if self.http is not None:
            self.http.stop()
        self._socket.close()
        self.dispatcher.stop()
        self.store.close()

    def is_hurried(self) -> bool:
        """Return whether requests wait for a thread, or many webhooks are taken at a time: sends can wait."""
        return self.context.hurry.is_on() or (self.http is not None and self.http.is_hurried())


def courier(store: Store, settings: Settings, clock: Clock = now_ms) -> Courier | None:
    """Return who sends callbacks, which show what `/v1` does; None where nobody wants any."""
    full = settings.callback_numbers == "full"
    write = partial(written, full=full, keep_ms=settings.keep_recordings_ms)
    return Courier(store, settings, write, clock=clock) if settings.callback_endpoints else None


def url_of(listener: socket.socket) -> str:
    """Return the URL of what is served on a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bind(settings: Settings) -> socket.socket:
    """Return a socket bound to `GATEWAY_LISTEN`. Raises `ConfigError` in words."""
    host, port = settings.listen_host, settings.listen_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"GATEWAY_LISTEN: cannot listen on {host}:{port}: {error.strerror}. Choose another."
        ) from None
    return listener
