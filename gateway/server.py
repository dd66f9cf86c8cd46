"""The wiring, by hand: settings, store, carriers, dispatcher, web, waitress, signals."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from time import monotonic

from waitress.server import create_server

import gateway
from gateway import plugins
from gateway.carrier import Carrier
from gateway.clock import Clock, now_ms
from gateway.dispatcher import Dispatcher
from gateway.doors import closed_doors
from gateway.errors import ConfigError
from gateway.greeting import first_words
from gateway.settings import Settings
from gateway.store import Store
from gateway.web import Context, make_app
from gateway.web.bodies import LIMIT
from gateway.web.webhooks import webhook_url

log = logging.getLogger(__name__)

FINISH = 10.0  #: seconds that requests under way are given when the server stops
BACKLOG = 1024
_STOP = (signal.SIGTERM, signal.SIGINT)
Say = Callable[[str], None]


class Gateway:
    """A gateway that serves in threads of its own, from `start` to `stop`."""

    def __init__(self, settings: Settings, carriers: Mapping[str, Carrier], *, clock: Clock = now_ms) -> None:
        """Bind the address and open the store. Raises `ConfigError`, `StoreUnavailable`."""
        self.carriers = carriers
        self._socket = _bind(settings.listen_host, settings.listen_port)
        try:
            self.store = Store(settings.database_url, readers=settings.threads + 4)
        except BaseException:
            self._socket.close()
            raise
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.dispatcher = Dispatcher(
            self.store, carriers, settings, receipt_url=lambda name: webhook_url(self.context, name), clock=clock
        )
        self.context = Context(
            settings=settings,
            store=self.store,
            carriers=carriers,
            dispatcher=self.dispatcher,
            public_url=settings.public_url or self.url,
            clock=clock,
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        """Start sending and serving; requests are answered from now on."""
        self._server = create_server(
            make_app(self.context),
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
        self._stopping.set()
        if self._thread.is_alive():
            self._server.pull_trigger()
            self._thread.join()
        self._socket.close()
        self.dispatcher.stop()
        self.store.close()

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
        self._server.trigger.close()

    def _turn(self) -> None:
        self._server.asyncore.loop(timeout=1.0, map=self._server._map, use_poll=True, count=1)

    def _busy(self) -> bool:
        return any(c.requests or c.total_outbufs_len for c in self._server.active_channels.values())


def serve(settings: Settings, *, say: Say = print) -> None:
    """Serve until SIGTERM or SIGINT. Raises `ConfigError` for whatever must be mended before."""
    found = plugins.find_carriers()
    if not found:
        raise ConfigError(plugins.HOW_TO_GET_ONE)
    carriers = plugins.build_configured(found)
    if missing := closed_doors(settings, carriers):
        raise ConfigError(missing)
    _hold_signals()
    running = Gateway(settings, carriers)
    for line in first_words(settings, found, carriers, running.store, running.url, running.context.public_url):
        say(line)
    running.start()
    say(f"maskgate {gateway.__version__} ready on {running.url}")
    _wait_for_signal()
    say("stopping: requests finish, sends settle")
    running.stop()


def _hold_signals() -> None:
    """Keep SIGTERM and SIGINT waiting, in this thread and in those it starts, until `_wait_for_signal`.

    A handler will not do: Python runs it in the main thread, and a signal that comes as that one is falling asleep on
    a lock is not heard before the next.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)


def _wait_for_signal() -> None:
    """Sleep until SIGTERM or SIGINT comes, or has come. A second one ends the process at once."""
    signal.sigwait(_STOP)
    for number in _STOP:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address. Raises `ConfigError` in words."""
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
