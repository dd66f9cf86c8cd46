"""`tox -e bench -- NAME …`: run one of the benchmarks, or `all` of them. Each has `--help`.

tox -e bench -- ack --rounds 3 --only flowroute
tox -e bench -- all --short            # half a minute: whether they run, not how fast anything is
tox -e bench -- all --write            # on a quiet machine: puts the table into docs/performance.md
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from time import monotonic

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

#: What `all` runs, in order.
ALL = """
start
ack --seconds 2
ack --seconds 2 --rounds 3 --fresh --only flowroute
ack --seconds 2 --rounds 3 --workers 2 --only flowroute
route --seconds 2
relay
relay --workers 2
relay --carrier flowroute --carrier-ms 50
million
backlog
ack --seconds 2 --rounds 3 --only flowroute --database postgres
ack --seconds 2 --rounds 3 --only flowroute --database postgres --gateways 2
route --seconds 2 --rounds 3 --only SWML --database postgres
relay --carrier-ms 50 --database postgres
relay --carrier-ms 50 --database postgres --gateways 2
"""

#: The same in so short a time that the figures are worth nothing.
SHORT = """
start --rounds 1
ack --seconds 0.3 --rounds 1 --pairs 5 --only flowroute
route --seconds 0.3 --rounds 1 --pairs 5 --only SWML
relay --seconds 0.2 --pairs 5 --carrier-ms 50
million --live 2000 --messages 3000 --rounds 1 --seconds 0.3 --starts 1
backlog --texts 2000 --lanes 500 --seconds 0.3 --turns 3 --starts 1
ack --seconds 0.3 --rounds 1 --pairs 5 --only 'signalwire text, sending paused' --database postgres
relay --seconds 0.2 --pairs 5 --carrier-ms 50 --database postgres --gateways 2
"""


def main() -> None:
    """Hand the rest of the command line to the benchmark it names."""
    name, *given = sys.argv[1:] or ["--help"]
    logging.disable(logging.ERROR)  # what happens is logged, which is not what is measured
    facts = report.machine()
    if name == "all":
        _all(given, facts)
    elif name in BENCHMARKS:
        if section := BENCHMARKS[name](given):
            report.show([section], facts)
    elif name in ("-h", "--help"):
        print(f"{__doc__}\nNAME is all, or {', '.join(BENCHMARKS)}.")
    else:
        sys.exit(f"There is no benchmark {name}: name all, or {', '.join(BENCHMARKS)}.")


def _all(given: Sequence[str], facts: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="all", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="see whether they run; the figures are worth nothing")
    parser.add_argument("--write", action="store_true", help=f"put the table into docs/{report.PAGE.name}")
    asked = parser.parse_args(given)
    commands = (SHORT if asked.short else ALL).strip().splitlines()
    sections = [_run(command) for command in commands]
    report.show(sections, facts)
    if asked.short:
        print("So short a run shows that everything runs: its figures, and which aims they meet, mean nothing.")
    if asked.write:
        report.write(sections, facts)


def _run(command: str) -> Section:
    began = monotonic()
    name, *given = shlex.split(command)
    section = BENCHMARKS[name](given)
    assert section is not None
    print(f"{command}: {monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for figure in section.figures:  # should a later one fail, they are not lost
        print("   ", *filter(None, figure.cells), sep=" | ", file=sys.stderr, flush=True)
    return section


if __name__ == "__main__":
    main()
