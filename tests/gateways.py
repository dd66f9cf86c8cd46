"""A whole gateway for a test: served on a real socket, with a simulated network on the other side of each carrier."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faces.flowroute import FlowrouteFace
from faces.signalwire import SignalWireFace
from fresh import prepared
from gateway_flowroute import Flowroute
from gateway_signalwire import SignalWire
from gateway_simulator import Simulator

from gateway.carrier import Carrier
from gateway.client import CarrierSession
from gateway.clock import Clock, now_ms
from gateway.server import Gateway
from gateway.settings import read_settings
from gateway.testing.network import Network

TOKEN = "a-webhook-token-for-tests"
PROJECT = "00000000-0000-4000-8000-000000000001"
SIGNING_KEY = "PSK_docs_0123456789abcdef"


def network(carrier: str, *, clock: Clock = now_ms, **options: Any) -> Network:
    """Return a network that speaks like `carrier`. `receipts=True` lets it report delivery."""
    if carrier == "simulator":
        return Network(key="simulator-key", clock=clock, **options)
    if carrier == "flowroute":
        return Network(face=FlowrouteFace("access", "secret", **options), clock=clock)
    return Network(face=SignalWireFace(PROJECT, "token", SIGNING_KEY, **options), clock=clock)


def carrier_for(network: Network, carrier: str, **settings: Any) -> Carrier:
    """Return the real plugin, configured to call `network`."""
    http = CarrierSession()
    if carrier == "simulator":
        return Simulator(Simulator.Settings(url=network.url, key="simulator-key", **settings), http)
    if carrier == "flowroute":
        given = {"access_key": "access", "secret_key": "secret", "api_url": f"{network.url}/v2.2"}
        given |= {"rate": 1000, "number_rate": 1000}
        return Flowroute(Flowroute.Settings(**given | settings), http)
    given = {
        "project_id": PROJECT,
        "api_url": network.url,
        "api_token": "token",
        "signing_key": SIGNING_KEY,
        "rate": 1000,
    }
    return SignalWire(SignalWire.Settings(**given | settings), http)


@contextmanager
def gateway(folder: Path, carriers: Mapping[str, Carrier], **variables: str) -> Iterator[Gateway]:
    """Serve on a free port of loopback until the end of the block."""
    given = {
        "GATEWAY_LISTEN": "127.0.0.1:0",
        "GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "GATEWAY_WEBHOOK_TOKEN": TOKEN,
        "GATEWAY_RETRY_BASE": "20ms",
    }
    settings = read_settings(**given | variables)
    prepared(settings.database_url)
    running = Gateway(settings, carriers)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def api(running: Gateway, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Call the gateway's API; return status and answer, as JSON where it is."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(running.url + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text
