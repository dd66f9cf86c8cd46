"""`python -m gateway.testing.network`: a simulated carrier in a process of its own, steered over HTTP.

Its first line is its URL. See `gateway.testing.network.control` for what can be asked of it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from gateway.testing.network import Network


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m gateway.testing.network", description=__doc__)
    parser.add_argument("--key", required=True, help="authenticates sends and control, signs webhooks")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks one")
    parser.add_argument("--webhook", default=None, help="where the gateway takes webhooks")
    parser.add_argument("--receipts", action="store_true", help="report each text as sent, then as delivered")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    network = Network(options.key, options.host, options.port, options.webhook, receipts=options.receipts, control=True)
    with network:
        sys.stdout.write(f"{network.url}\n")
        sys.stdout.flush()
        ended.wait()


if __name__ == "__main__":
    main()
