"""What the benchmarks play on: real programs in processes of their own, sessions in a database, requests in a file."""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode
from urllib.request import urlopen

from fleet import ready, started
from program import Program
from town import Lane, meet

from gateway.store import Store

T = TypeVar("T")

HERE = Path(__file__).parent

PUBLIC_URL = "http://gateway.example.com"
SIGNING_KEY = "PSK_docs_0123456789abcdef"
PROJECT = "00000000-0000-4000-8000-000000000001"
TOKEN = "a-webhook-token-for-benchmarks"

NOBODY = "http://127.0.0.1:9"  #: where nothing listens

#: Both carriers, configured and unpaced.
VARIABLES = {
    "GATEWAY_PUBLIC_URL": PUBLIC_URL,
    "GATEWAY_WEBHOOK_TOKEN": TOKEN,
    "GATEWAY_API_KEYS": "an-api-key-for-benchmarks",
    "FLOWROUTE_ACCESS_KEY": "key",
    "FLOWROUTE_SECRET_KEY": "secret",
    "FLOWROUTE_RATE": "100000",
    "FLOWROUTE_NUMBER_RATE": "100000",
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
    return _form(fields)


def swml_call(number: int, lane: Lane) -> Json:
    """Return SignalWire's signed webhook for a call, as JSON (`carriers.md` 3.2, 4.1)."""
    people = {"from": lane.sender, "to": lane.mask, "from_number": lane.sender, "to_number": lane.mask}
    call = {"call_id": f"{number:08x}-0000-4000-8000-000000000000", "direction": "inbound", "type": "phone", **people}
    body = json.dumps({"call": {**call, "project_id": PROJECT}, "vars": {}, "envs": {}, "params": {}})
    path = "/webhooks/signalwire"
    signature = hmac.new(SIGNING_KEY.encode(), (PUBLIC_URL + path + body).encode(), hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Signalwire-SHA256-Signature": signature}
    return {"path": path, "headers": headers, "body": body}


def cxml_call(number: int, lane: Lane) -> Json:
    """Return SignalWire's signed webhook for a call, as a form (`carriers.md` 3.1, 4.1)."""
    call = {"CallSid": f"{number:08x}-0000-4000-8000-000000000000", "CallStatus": "ringing", "Direction": "inbound"}
    return _form({"AccountSid": PROJECT, "ApiVersion": "2010-04-01", "From": lane.sender, "To": lane.mask, **call})


def _form(fields: Mapping[str, str]) -> Json:
    path = "/webhooks/signalwire"
    signed = PUBLIC_URL + path + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    signature = base64.b64encode(hmac.new(SIGNING_KEY.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-SignalWire-Signature": signature}
    return {"path": path, "headers": headers, "body": urlencode(fields)}


#: By name: whose numbers they come to, and what makes one.
WEBHOOKS: Mapping[str, tuple[str, Callable[[int, Lane], Json]]] = {
    "flowroute text": ("flowroute", flowroute),
    "signalwire text": ("signalwire", signalwire),
    "signalwire call, SWML": ("signalwire", swml_call),
    "signalwire call, cXML": ("signalwire", cxml_call),
}


@dataclass(frozen=True)
class Running:
    """A program of this folder that runs."""

    url: str
    pid: int

    @property
    def urls(self) -> list[str]:
        """Where it listens."""
        return [self.url]

    @property
    def pids(self) -> list[int]:
        """Its process, the leader of a group."""
        return [self.pid]

    def ask(self, path: str) -> Any:
        """Return what it answers, as JSON."""
        with urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)


@contextmanager
def run(program: str, *options: str) -> Iterator[Running]:
    """Run a program of this folder until the end of the block."""
    command = [sys.executable, str(HERE / program), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
        try:
            assert running.stdout is not None
            yield Running(running.stdout.readline().split()[-1], running.pid)
        finally:
            running.kill()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is asked of every gateway that is measured."""
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--workers", type=_some, default=1, help="GATEWAY_WORKERS")
    parser.add_argument("--threads", type=_some, help="GATEWAY_THREADS; the environment has no say")
    parser.add_argument("--senders", type=_some, help="GATEWAY_SENDERS")


def add_gateways(parser: argparse.ArgumentParser) -> None:
    """Add how many gateways there are to be."""
    parser.add_argument("--gateways", type=_some, default=1, help="so many `gateway serve` on one database, in turn")


@contextmanager
def database(folder: Path, kind: str) -> Iterator[str]:
    """Yield the URL of a new database: a file in `folder`, or a schema of a server that syncs what it commits."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/gateway.db"
        return
    with _server().schema() as url:
        yield url


@functools.cache
def _server() -> Any:
    from postgres import Server

    return Server(f"bench-{os.getpid()}", fsync=True)


@dataclass(frozen=True)
class Town:
    """Gateways on one database, with people who text each other through them."""

    programs: list[Program]
    lanes: list[Lane]

    @property
    def pids(self) -> list[int]:
        """The processes that were started, each the leader of a group; workers are their children."""
        return [program.running.pid for program in self.programs]

    @property
    def urls(self) -> list[str]:
        """Where they listen."""
        return [program.url for program in self.programs]


@contextmanager
def gateways(
    folder: Path, carrier: str, asked: argparse.Namespace, *command: str, taker: str = NOBODY
) -> Iterator[Town]:
    """Run `gateway <command>` where `asked.pairs` pairs talk over numbers of `carrier`, whose API is at `taker`.

    `asked.gateways` of them, each with `asked.workers`.
    """
    folder.mkdir()
    with database(folder, asked.database) as url, ExitStack() as stack:
        store = Store(url, readers=1)
        lanes = meet(store, asked.pairs, carrier)
        store.close()
        variables = variables_for(taker) | {"GATEWAY_DATABASE_URL": url} | _sizes(asked)
        names = [f"output{number}" for number in range(asked.gateways)]
        programs = [stack.enter_context(started(folder, variables, *command, name=name)) for name in names]
        yield Town([ready(program) for program in programs], lanes)


def _some(given: str) -> int:
    """Return a number of at least 1."""
    if (number := int(given)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _sizes(asked: argparse.Namespace) -> dict[str, str]:
    """Return the variables that say how much of each a gateway has; of what is not asked for, as much as it likes."""
    given = {name: getattr(asked, name, None) for name in ("workers", "threads", "senders")}
    return {f"GATEWAY_{name.upper()}": str(number) for name, number in given.items() if number}


def shown(of: Sequence[T]) -> Iterator[T]:
    """Yield one after the other, and say on stderr which one it is."""
    for number, one in enumerate(of, 1):
        print(f"{number} of {len(of)}: {one}", file=sys.stderr, flush=True)
        yield one


def variables_for(taker: str) -> dict[str, str]:
    """Return the variables of a gateway whose carriers' APIs are at a URL."""
    return VARIABLES | {"FLOWROUTE_API_URL": taker, "SIGNALWIRE_API_URL": taker}


def write_requests(path: Path, kind: str, lanes: list[Lane], many: int) -> Path:
    """Write so many different webhooks of a kind into a file, of all lanes in turn."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(many):
            file.write(json.dumps(WEBHOOKS[kind][1](number, lanes[number % len(lanes)])) + "\n")
    return path


def load(requests: Path, urls: Sequence[str], *options: str, begin: Callable[[], object] = lambda: None) -> Json:
    """Make load from a process of its own and return what came of it; `begin` is called just before its first request.

    That process reads its requests before that. Where there are several `urls`, each has its share of the connections.
    """
    command = [sys.executable, str(HERE / "load.py"), str(requests), *urls, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        begin()
        done: Json = json.loads(process.communicate("\n")[0])
    return done
