"""Load from a process of its own: requests that are ready made, over as many connections as asked for.

    python load.py REQUESTS URL [URL …] --connections 16 --seconds 5 [--rate 500] [--fresh] [--skip 1000]

REQUESTS is a file of requests, each a JSON object `{"path": …, "headers": {…}, "body": …}` on a line of its own. Each
is sent once, the next one on whichever connection is free; when all are used up, the load ends. With `--rate` they
leave at that many a second, and how long one took counts from when it should have left. Of several URLs each has its
share of the connections. Says when it is ready, begins when it reads a line, and prints one JSON object; `sent` is
how many requests of the file may have been used.

Where wrk is installed it makes the load, unless there is a rate to keep, which wrk cannot; else, and with `--client
asyncio`, a client in here does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from threading import Timer
from time import perf_counter, time
from typing import Any
from urllib.parse import urlsplit

Place = tuple[str, int]  #: host and port

CLIENTS = ("wrk", "asyncio")
HERE = Path(__file__).parent
TOO_LONG = 600  #: seconds more than asked for, after which wrk ends unasked


def best() -> str:
    """Return who makes the load where nobody says who."""
    return "wrk" if shutil.which("wrk") else "asyncio"


@dataclass
class Tally:
    """What came of it."""

    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)  #: seconds
    sent: int = 0
    broken: int = 0  #: connections that ended in the middle of an answer

    def share(self, of_all: float) -> float:
        """Return within how many ms that share of all were answered."""
        took = sorted(self.took)
        return took[min(len(took) - 1, int(len(took) * of_all))] * 1000 if took else 0.0


class Talk(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send a request; the future is the status of its answer."""
        assert self.transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._buffer.clear()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Look whether the answer is whole: its length is always said."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) >= end + 4 + length and self._answer and not self._answer.done():
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        """Let nobody wait for an answer that will not come."""
        if self._answer and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())


def written(path: Path, host: str, *, fresh: bool, skip: int) -> list[bytes]:
    """Return the requests of a file as they go over the wire."""
    with path.open(encoding="utf-8") as file:
        return [_written(json.loads(line), host, fresh) for number, line in enumerate(file) if number >= skip]


def _written(request: dict[str, Any], host: str, fresh: bool) -> bytes:
    body = request["body"].encode()
    headers = {"Host": host, "Content-Length": str(len(body)), **request["headers"]}
    if fresh:
        headers["Connection"] = "close"
    lines = [f"POST {request['path']} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


async def run(requests: list[bytes], places: list[Place], options: argparse.Namespace) -> dict[str, Any]:
    """Send until the time is over or all are sent."""
    tally, began_at, begun = Tally(), time(), perf_counter()
    work = _due(requests, begun, options)
    turns = islice(cycle(places), options.connections)
    await asyncio.gather(*(_talk(work, tally, place, options.fresh) for place in turns))
    took = perf_counter() - begun
    return {
        "began_at": began_at,
        "seconds": took,
        "sent": tally.sent,
        "answered": len(tally.took),
        "per_second": len(tally.took) / took,
        "p50_ms": tally.share(0.5),
        "p99_ms": tally.share(0.99),
        "statuses": dict(tally.statuses),
        "broken": tally.broken,
    }


def _due(requests: list[bytes], begun: float, options: argparse.Namespace) -> Iterator[tuple[float, bytes]]:
    """Yield each request with the time it is to leave."""
    for number, request in enumerate(requests):
        at = begun + number / options.rate if options.rate else perf_counter()
        if at >= begun + options.seconds:
            return
        yield at, request


async def _talk(work: Iterator[tuple[float, bytes]], tally: Tally, place: Place, fresh: bool) -> None:
    talk: Talk | None = None
    for at, request in work:
        if (wait := at - perf_counter()) > 0:
            await asyncio.sleep(wait)
        tally.sent += 1
        try:
            if talk is None or fresh:
                _, talk = await asyncio.get_running_loop().create_connection(Talk, *place)
            tally.statuses[await talk.ask(request)] += 1
            tally.took.append(perf_counter() - at)
        except OSError:
            tally.broken += 1
            talk = None
        if fresh and talk and talk.transport:
            talk.transport.close()


def run_wrk(requests: list[bytes], places: list[Place], options: argparse.Namespace) -> dict[str, Any]:
    """Let wrk send until the time is over or all are answered, with a thread for each place."""
    with tempfile.TemporaryDirectory(prefix="maskgate-load-") as folder:
        for number in range(len(places)):
            _write_share(Path(folder) / f"{number}", requests[number :: len(places)])
        numbers = {"-t": len(places), "-c": options.connections, "-d": f"{int(options.seconds) + TOO_LONG}s"}
        command = ["wrk", *(f"{name}{number}" for name, number in numbers.items()), f"--timeout={TOO_LONG}s"]
        command += ["-s", str(HERE / "wrk.lua"), f"http://{places[0][0]}:{places[0][1]}"]
        given = {"FOLDER": folder, "PLACES": " ".join(f"{host}:{port}" for host, port in places)}
        with subprocess.Popen(command, env=os.environ | given, stdout=subprocess.PIPE, text=True) as process:
            done = _heard(process, options.seconds, min(len(places), len(requests)))
            return {**done, "sent": min(len(requests), done["sent"] * len(places))}


def _write_share(path: Path, requests: list[bytes]) -> None:
    with path.open("wb") as file:
        file.write(b"%d\n" % len(requests))
        for request in requests:
            file.write(b"%d\n%b" % (len(request), request))


def _heard(process: subprocess.Popen[str], seconds: float, threads: int) -> dict[str, Any]:
    """Return what wrk says at its end, which comes when it is interrupted: when time is up, or all are answered.

    Of what it sent it says the most that one of its threads has.
    """
    began_at = took = 0.0
    end = Timer(seconds, process.send_signal, [signal.SIGINT])
    assert process.stdout is not None
    for line in process.stdout:
        if line == "begins\n":
            began_at = time()
            end.start()
        elif line == "all answered\n":
            threads -= 1
            if not threads:
                took = time() - began_at
                end.cancel()
                process.send_signal(signal.SIGINT)
        elif line.startswith("{"):
            end.cancel()
            found: dict[str, Any] = json.loads(line)
            took = took or found["seconds"]
            return {**found, "began_at": began_at, "seconds": took, "per_second": found["answered"] / took}
    raise SystemExit("wrk ended without a word")


def main() -> None:
    """Read the arguments, make the load, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", type=Path)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: as fast as they are answered")
    parser.add_argument("--fresh", action="store_true", help="a connection for each request")
    parser.add_argument("--skip", type=int, default=0, help="requests of the file that were used before")
    parser.add_argument("--client", choices=CLIENTS, help="who makes the load where there is no --rate")
    options = parser.parse_args()
    urls = [urlsplit(url) for url in options.urls]
    places = [(str(url.hostname), int(url.port or 80)) for url in urls]
    requests = written(options.requests, urls[0].netloc, fresh=options.fresh, skip=options.skip)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    by_wrk = requests and not options.rate and (options.client or best()) == "wrk"
    with suppress(KeyboardInterrupt):
        done = run_wrk(requests, places, options) if by_wrk else asyncio.run(run(requests, places, options))
        json.dump(done, sys.stdout)


if __name__ == "__main__":
    main()
