"""`tox -e bench -- NAME …`: run one of the benchmarks."""

from __future__ import annotations

import logging
import sys

from benchmarks import ack, size

BENCHMARKS = {"ack": ack.texts, "route": ack.calls, "size": size.main}


def main() -> None:
    """Hand the rest of the command line to the benchmark it names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in BENCHMARKS:
        raise SystemExit(f"name one of: {', '.join(BENCHMARKS)}")
    logging.disable(logging.ERROR)  # what happens is logged, which is not what is measured
    BENCHMARKS[name](sys.argv[2:])


if __name__ == "__main__":
    main()
