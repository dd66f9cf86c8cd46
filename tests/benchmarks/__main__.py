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

#: What `all` runs, in order; in its short form with what is behind the bar too.
ALL = """
start                                               | --rounds 1
ack --seconds 2                                     | --seconds 0.3 --rounds 1 --pairs 5
ack --seconds 2 --rounds 3 --fresh                  | --seconds 0.3 --rounds 1 --pairs 5 --only flowroute
route --seconds 2                                   | --seconds 0.3 --rounds 1 --pairs 5
relay                                               | --seconds 0.2 --pairs 5 --carrier-ms 50
relay --workers 2                                   | --seconds 0.2 --pairs 5 --carrier-ms 50
relay --carrier flowroute --carrier-ms 50           | --seconds 0.2 --pairs 5
million                                             | --live 2000 --messages 5000 --rounds 2 --seconds 0.3
backlog                                             | --texts 2000 --lanes 500 --seconds 0.5 --turns 3
ack --seconds 2 --rounds 3 --database postgres      | --seconds 0.3 --rounds 1 --pairs 5 --only flowroute
ack --seconds 2 --rounds 3 --database postgres --workers 2 --only paused
route --seconds 2 --rounds 3 --database postgres    | --seconds 0.3 --rounds 1 --pairs 5 --only SWML
relay --database postgres --carrier-ms 50           | --seconds 0.2 --pairs 5
relay --database postgres --carrier-ms 50 --workers 2
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
    else:
        sys.exit(f"{__doc__}\nName one: all, {', '.join(BENCHMARKS)}.")


def _all(given: Sequence[str], facts: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="all", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="see whether they run; the figures are worth nothing")
    parser.add_argument("--write", action="store_true", help=f"put the table into docs/{report.PAGE.name}")
    asked = parser.parse_args(given)
    sections = [_run(command, began=monotonic()) for command in commands(short=asked.short)]
    report.show(sections, facts)
    if asked.write:
        report.write(sections, facts)


def commands(*, short: bool) -> list[str]:
    """Return the command lines of which `all` consists."""
    lines = [line.split("|") for line in ALL.strip().splitlines()]
    if not short:
        return [line[0].strip() for line in lines]
    return [f"{line[0].strip()} {line[1].strip()}" for line in lines if len(line) == 2]


def _run(command: str, began: float) -> Section:
    name, *given = shlex.split(command)
    section = BENCHMARKS[name](given)
    assert section is not None
    print(f"{command}: {monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return section


if __name__ == "__main__":
    main()
