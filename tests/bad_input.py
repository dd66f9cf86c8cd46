"""What the tests of bad input stand on: a gateway with the real carriers, whose every trace can be compared."""

from __future__ import annotations

import base64
import hashlib
import hmac
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from gateways import SIGNING_KEY, carrier_for, gateway, network
from wsgi import Answer, Client

from gateway.server import Gateway
from gateway.testing.network import Network, Record

KEY = "an-api-key-for-tests"
KEYED = {"Authorization": f"Bearer {KEY}"}
CARRIERS = ("flowroute", "signalwire", "simulator")
MASKS = {"flowroute": "+12065550199", "signalwire": "+12065550198"}
ANN, BOB = "+12065550101", "+12065550102"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Felt(AssertionError):
    """A bad request left a trace."""


class Tables:
    """A database as others see it, which is read again only when somebody has committed since."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, check_same_thread=False)
        self._version, self._rows = -1, dict[str, list[Any]]()

    def rows(self) -> dict[str, list[Any]]:
        """Return every row of every table."""
        [version] = self._db.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            names = [row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            self._rows = {name: sorted(self._db.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
            self._version = version
        return self._rows

    def close(self) -> None:
        """Close it."""
        self._db.close()


@dataclass(frozen=True)
class World:
    """A gateway on a socket, the same one over WSGI, and the networks beyond its carriers."""

    gateway: Gateway
    client: Client
    networks: Mapping[str, Network]
    file: Tables

    def tables(self) -> dict[str, list[Any]]:
        """Return every row of every table."""
        return self.file.rows()

    def accepted(self) -> list[Record]:
        """Return every text that the carriers took."""
        return [record for one in self.networks.values() for record in one.accepted()]

    @contextmanager
    def unfelt(self) -> Iterator[None]:
        """Raise `Felt` if the block changes a table, makes a carrier hear from us, or costs a thread."""
        before, reached = self.tables(), self._reached()
        yield
        after = self.tables()
        if after != before:
            raise Felt(f"changed: {[name for name in after if after[name] != before[name]]}")
        if self._reached() != reached:
            raise Felt("a carrier was called")
        self.check_alive()

    def check_alive(self) -> None:
        """Raise `Felt` unless the dispatcher and every thread that answers HTTP are alive."""
        threads = self.gateway.http.threads
        if not self.gateway.dispatcher.alive or threads != self.gateway.context.settings.threads:
            raise Felt("a thread is gone")

    def refuse(self, method: str, path: str, *expected: int, **request: Any) -> Answer:
        """Send what must be answered with one of `expected` and leave no trace; return the answer."""
        with self.unfelt():
            answer = self.client(method, path, **request)
            assert answer.status in expected, (answer.status, answer.body[:200])
            return answer

    def settle(self) -> None:
        """Wait until no text is on its way."""
        while self.tables()["lanes"]:
            pass

    def _reached(self) -> int:
        return sum(len(one.ledger.after(0, 100_000)) for one in self.networks.values())


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """Serve with every carrier; Ann and Bob are in a session over Flowroute and in one over SignalWire."""
    with ExitStack() as stack:
        networks = {name: stack.enter_context(network(name)) for name in CARRIERS}
        carriers = {name: carrier_for(networks[name], name) for name in CARRIERS}
        running = stack.enter_context(gateway(folder, carriers, GATEWAY_API_KEYS=KEY))
        file = stack.enter_context(closing(Tables(folder / "gateway.db")))
        w = World(running, Client(running.context), networks, file)
        for path, body in (
            ("/tn", {"value": MASKS["flowroute"]}),
            ("/session", {"participant_a": ANN, "participant_b": BOB}),
            ("/api/rest/numberPool", {"phone_numbers": MASKS["signalwire"]}),
            ("/api/rest/numberMask", {"client_number": ANN, "contractor_number": BOB}),
        ):
            assert w.client("POST", path, json=body, headers=KEYED).status == 200
        w.settle()
        yield w


def by_simulator(url: str, body: bytes, kind: str, key: str = "simulator-key") -> dict[str, str]:
    """Return the headers of a webhook as the simulated carrier signs it."""
    signature = hmac.new(key.encode(), url.encode() + body, hashlib.sha256).hexdigest()
    return {"content-type": kind, "x-simulator-signature": signature}


def by_signalwire(url: str, body: bytes, kind: str, key: str = SIGNING_KEY) -> dict[str, str]:
    """Return the headers of a webhook as SignalWire signs it: a form's fields in base64, JSON's bytes in hex."""
    pairs = sorted(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True), key=lambda pair: pair[0])
    what = "".join(name + value for name, value in pairs).encode("utf-8", "replace") if kind == FORM else body
    digest = hmac.new(key.encode(), url.encode() + what, hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode() if kind == FORM else digest.hex()
    return {"content-type": kind, "x-signalwire-sha256-signature": signature}
