"""What the benchmarks play on: real programs in processes of their own, sessions in a database, requests in a file."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # the helpers of the tests

from fleet import ready, started  # noqa: E402
from program import Program, environment, until  # noqa: E402
from town import Lane, meet  # noqa: E402

from gateway.store import Store  # noqa: E402

PUBLIC_URL = "http://gateway.example.com"
SIGNING_KEY = "PSK_docs_0123456789abcdef"
PROJECT = "00000000-0000-4000-8000-000000000001"
TOKEN = "a-webhook-token-for-benchmarks"

#: Both carriers, configured and unpaced. `{taker}` is where their APIs are.
VARIABLES = {
    "GATEWAY_PUBLIC_URL": PUBLIC_URL,
    "GATEWAY_WEBHOOK_TOKEN": TOKEN,
    "GATEWAY_API_KEYS": "an-api-key-for-benchmarks",
    "FLOWROUTE_ACCESS_KEY": "key",
    "FLOWROUTE_SECRET_KEY": "secret",
    "FLOWROUTE_RATE": "100000",
    "SIGNALWIRE_SPACE": "example.signalwire.com",
    "SIGNALWIRE_PROJECT_ID": PROJECT,
    "SIGNALWIRE_API_TOKEN": "token",
    "SIGNALWIRE_SIGNING_KEY": SIGNING_KEY,
    "SIGNALWIRE_RATE": "100000",
}

Json = dict[str, Any]


def flowroute(number: int, lane: Lane) -> Json:
    """Return Flowroute's webhook for a text (`carriers.md` 1.3 b)."""
    words = {"from": lane.sender[1:], "to": lane.mask[1:], "body": f"On my way, text {number}", "is_mms": False}
    attributes = {**words, "direction": "inbound", "message_encoding": 0, "timestamp": "2026-01-02T03:04:39.39Z"}
    body = json.dumps({"data": {"type": "message", "id": f"mdr2-{number:032x}", "attributes": attributes}})
    return {"path": f"/webhooks/flowroute/{TOKEN}", "headers": {"Content-Type": "application/json"}, "body": body}


def signalwire(number: int, lane: Lane) -> Json:
    """Return SignalWire's signed webhook for a text (`carriers.md` 2.3, 4.1)."""
    fields = {
        "AccountSid": PROJECT,
        "Body": f"On my way, text {number}",
        "From": lane.sender,
        "MessageSid": f"{number:08x}-0000-4000-8000-000000000000",
        "NumMedia": "0",
        "To": lane.mask,
    }
    path = "/webhooks/signalwire"
    signed = PUBLIC_URL + path + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    signature = base64.b64encode(hmac.new(SIGNING_KEY.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-SignalWire-Signature": signature}
    return {"path": path, "headers": headers, "body": urlencode(fields)}


WEBHOOKS: Mapping[str, Callable[[int, Lane], Json]] = {"flowroute": flowroute, "signalwire": signalwire}


@contextmanager
def run(*command: str) -> Iterator[str]:
    """Run a program of this folder and yield its URL."""
    running = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        yield running.stdout.readline().split()[-1]
    finally:
        running.kill()
        running.wait(30)


@contextmanager
def gateway(
    folder: Path, carrier: str, taker: str, pairs: int, *command: str, **variables: str
) -> Iterator[tuple[Program, list[Lane]]]:
    """Run `gateway <command>` on a database where so many pairs talk over numbers of `carrier`; yield it and the lanes."""
    store = Store(f"sqlite:///{folder}/gateway.db")
    lanes = meet(store, pairs, carrier)
    store.close()
    asked = VARIABLES | {"FLOWROUTE_API_URL": taker, "SIGNALWIRE_API_URL": taker} | variables
    with started(folder, asked, *command) as program:
        yield ready(program), lanes


def write_requests(path: Path, carrier: str, lanes: list[Lane], many: int) -> Path:
    """Write so many different webhooks into a file, of all lanes in turn."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(many):
            file.write(json.dumps(WEBHOOKS[carrier](number, lanes[number % len(lanes)])) + "\n")
    return path


def load(requests: Path, url: str, *options: str) -> Json:
    """Make load from a process of its own and return what came of it."""
    command = [sys.executable, str(HERE / "load.py"), str(requests), url, *options]
    done: Json = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return done
