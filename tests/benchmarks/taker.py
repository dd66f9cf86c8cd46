"""A carrier that takes every text, so many ms later, and costs next to nothing: Flowroute's and SignalWire's answers.

    python taker.py --delay 50

Prints its URL. `GET /taken`: how many texts were taken so far and when the last one was (seconds, UTC), as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from time import time


class Taker(asyncio.Protocol):
    """One connection: requests come one after the other."""

    taken = 0
    last_at = 0.0

    def __init__(self, delay: float) -> None:
        self._delay, self._buffer = delay, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request that is whole."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end])
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        del self._buffer[: end + 4 + length]
        if head.startswith(b"GET"):
            self._answer(200, {"taken": Taker.taken, "last_at": Taker.last_at})
        else:
            asyncio.get_running_loop().call_later(self._delay, self._take, b"/Accounts/" in head)

    def _take(self, signalwire: bool) -> None:
        Taker.taken += 1
        Taker.last_at = time()
        ref = f"{Taker.taken:032x}"
        self._answer(201, {"sid": ref}) if signalwire else self._answer(202, {"data": {"id": f"mdr2-{ref}"}})

    def _answer(self, status: int, body: object) -> None:
        words = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(words)}\r\n\r\n"
        self._transport.write(head.encode() + words)


async def serve(delay: float, port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Taker(delay), "127.0.0.1", port, backlog=1024)
    sys.stdout.write(f"taker ready on http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=0.0, help="ms")
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    asyncio.run(serve(asked.delay / 1000, asked.port))
