"""The wiring, by hand: settings, store, carriers, dispatcher, web, waitress."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from functools import partial
from time import monotonic
from types import MappingProxyType

from waitress.server import create_server

from gateway.callbacks.courier import Courier
from gateway.carrier import Carrier
from gateway.clock import Clock, now_ms
from gateway.dispatcher import Dispatcher
from gateway.dispatching import Dispatching, Elsewhere
from gateway.errors import ConfigError
from gateway.listing import needed
from gateway.plugins import Installed
from gateway.settings import Settings
from gateway.store import Store
from gateway.web import Context, make_app, unsaid
from gateway.web.bodies import LIMIT
from gateway.web.v1.payloads import written

FINISH = 10.0  #: seconds that requests under way are given when the server stops
BACKLOG = 1024
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
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        """Start sending and serving; requests are answered from now on."""
        self._server = create_server(
            unsaid(make_app(self.context)),
            sockets=[self._socket],
            threads=self.context.settings.threads,
            max_request_body_size=LIMIT + 1,
            backlog=BACKLOG,
            connection_limit=1000,
            channel_timeout=30,  # seconds without a byte
            cleanup_interval=10,
            ident=None,
            asyncore_use_poll=True,
        )
        self.dispatcher.start()
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, finish those under way, let sends settle, close the store."""
        serves = self._thread.ident is not None and not self._stopping.is_set()
        self._stopping.set()
        self.dispatcher.feed.close()
        if serves:
            self._server.pull_trigger()
            self._thread.join()
            self._server.trigger.close()  # not before: the thread may have seen the end by itself
        self._socket.close()
        self.dispatcher.stop()
        self.store.close()

    def is_hurried(self) -> bool:
        """Return whether requests wait for a thread to answer them. To be asked once the gateway has started."""
        return bool(self._server.task_dispatcher.queue)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._turn()
        self._server.accepting = False
        self._server.del_channel()  # nobody new
        self._socket.close()
        deadline = monotonic() + FINISH
        while self._busy() and monotonic() < deadline:
            self._turn()
        self._server.task_dispatcher.shutdown()
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()

    def _turn(self) -> None:
        self._server.asyncore.loop(timeout=1.0, map=self._server._map, use_poll=True, count=1)

    def _busy(self) -> bool:
        return any(c.requests or c.total_outbufs_len for c in self._server.active_channels.values())


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
