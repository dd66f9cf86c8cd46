"""`tox -e bench -- NAME …`: run one of the benchmarks, or `all` of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from benchmarks import ack, backlog, million, relay, report, size, start
from benchmarks.report import Section

BENCHMARKS: dict[str, Callable[[Sequence[str]], Section | None]] = {
    "ack": ack.texts,
    "route": ack.calls,
    "relay": relay.main,
    "start": start.main,
    "backlog": backlog.main,
    "million": million.main,
    "size": size.main,
}


def main() -> None:
    """Hand the rest of the command line to the benchmark it names."""
    name, *given = sys.argv[1:] or [""]
    if name not in BENCHMARKS:
        raise SystemExit(f"name one of: all, {', '.join(BENCHMARKS)}")
    logging.disable(logging.ERROR)  # what happens is logged, which is not what is measured
    facts = report.machine()
    section = BENCHMARKS[name](given)
    if section:
        report.show([section], facts)


if __name__ == "__main__":
    main()
