"""`gateway pool import`: the whole file is judged by the gateway first, then goes in, some hundred lines at a time.

Of the file no more is held than one batch, and the digits of its numbers: what was judged waits in a temporary file, so
that what goes in is what was judged, also from a pipe.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from gateway.cli.api import Api, path
from gateway.cli.frame import clean, tell
from gateway.cli.lines import Bad, Line, read, unreadable
from gateway.cli.progress import Progress, progress
from gateway.cli.refusals import Refused, Where, named
from gateway.errors import GatewayError

MOST = 500  #: numbers in one request
MOST_BYTES = 200_000  #: of its JSON
NAMED = 20  #: wrong lines that are named, at most
PATH = "/v1/pool/import"


@dataclass(slots=True)
class Report:
    """What became of a file."""

    dry_run: bool
    lines_read: int = 0
    added: int = 0  #: in a dry run, what would be
    existing: int = 0
    refused: int = 0
    bad: list[Bad] = field(default_factory=list)  #: the first of those refused, but for their carrier
    carriers: dict[str, int] = field(default_factory=dict)  #: how many lines name each carrier that cannot be used
    why: dict[str, str] = field(default_factory=dict)  #: why each of those cannot

    def refuse(self, bad: Iterable[Bad]) -> None:
        """Take note of wrong lines."""
        for one in bad:
            self.refused += 1
            if len(self.bad) < NAMED:
                self.bad.append(one)

    def refuse_carrier(self, name: str, why: str) -> None:
        """Take note of a line whose carrier cannot be used."""
        self.refused += 1
        self.carriers[name] = self.carriers.get(name, 0) + 1
        self.why[name] = why

    @property
    def left_out(self) -> int:
        """Return how many wrong lines are neither named nor counted under their carrier."""
        return self.refused - len(self.bad) - sum(self.carriers.values())

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        bad = [{"line": one.line, "column": one.column or None, "detail": one.why} for one in self.bad]
        names = ("dry_run", "added", "existing", "refused")
        counts = {name: getattr(self, name) for name in names}
        carriers = [
            {"carrier": name, "lines": count, "detail": self.why[name]} for name, count in self.carriers.items()
        ]
        return {"lines": self.lines_read, **counts, "errors": bad, "more_errors": self.left_out, "carriers": carriers}

    def lines(self) -> Iterator[str]:
        """Return it for people."""
        yield from map(str, self.bad)
        if self.left_out:
            yield f"… and {self.left_out:,} more lines"
        for name, count in self.carriers.items():
            yield f"carrier {clean(name)[:40]}, {count:,} line{'s' * (count > 1)}: {self.why[name]}"
        yield (
            f"{self.added:,} {'would be added' if self.dry_run else 'added'}, {self.existing:,} in the pool already, "
            f"{self.refused:,} refused"
        )
        if self.refused and not self.dry_run and not self.added + self.existing:
            yield "Nothing was added. Put the lines right, or say --skip-bad."


def import_file(
    api: Api, file: IO[bytes], defaults: Mapping[str, str], *, skip_bad: bool = False, dry_run: bool = False
) -> Report:
    """Import a CSV file and return what became of it. Raises what stops it, with a word on what is in by then."""
    report = Report(dry_run)
    refusal = _of_carriers(api)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as judged:
        with progress("checked", _lines_in(file)) as bar:
            would = _judge(api, read(file, defaults), refusal, judged, report, bar)
        if not report.lines_read:
            raise unreadable("holds no numbers")
        if dry_run:
            report.added, report.existing = would
        elif skip_bad or not report.refused:
            judged.seek(0)
            _send(api, map(_read_back, judged), report, skip_bad=skip_bad)
    return report


def _lines_in(file: IO[bytes]) -> int | None:
    """Return how many lines a file has behind its head, None for what cannot be read twice."""
    if not file.seekable():
        return None
    start, count, last = file.tell(), 0, b"\n"
    for part in iter(lambda: file.read(1 << 20), b""):
        count, last = count + part.count(b"\n"), part[-1:]
    file.seek(start)
    return max(0, count - (last == b"\n"))


def _of_carriers(api: Api) -> Callable[[str], str]:
    """Return what says why numbers of a carrier cannot be added, "" where they can."""
    there = {row["name"]: row for row in api.get(path("carriers"))["data"]}

    def why(name: str) -> str:
        if name not in there:
            return f"it is not installed where the gateway runs; there are {', '.join(there) or 'none'}"
        if there[name]["state"] != "idle":
            return ""
        return f"it is idle: where the gateway runs, set {there[name]['needs']}"

    return why


def _judge(
    api: Api,
    found: Iterable[Line | Bad],
    refusal: Callable[[str], str],
    judged: IO[str],
    report: Report,
    bar: Progress,
) -> tuple[int, int]:
    """Write the lines that can be imported to `judged`; return how many would be added, and how many are there."""
    added = existing = 0
    for batch in _batches(found):
        good, bad, answer = _ask(api, _of_usable(batch, refusal, report), dry_run=True)
        added += len(answer["added"])
        existing += len(answer["existing"])
        report.refuse(sorted([*bad, *(one for one in batch if isinstance(one, Bad))], key=lambda one: one.line))
        report.lines_read += len(batch)
        judged.writelines(json.dumps([one.line, dict(one.fields)]) + "\n" for one in good)
        bar.advance(len(batch))
    return added, existing


def _of_usable(batch: Iterable[Line | Bad], refusal: Callable[[str], str], report: Report) -> list[Line]:
    """Return the lines whose carrier can be used; the others are taken note of."""
    usable = []
    for one in batch:
        if not isinstance(one, Line):
            continue
        if why := refusal(one.fields["carrier"]):
            report.refuse_carrier(one.fields["carrier"], why)
        else:
            usable.append(one)
    return usable


def _send(api: Api, lines: Iterable[Line], report: Report, *, skip_bad: bool) -> None:
    try:
        with progress("sent", report.lines_read - report.refused) as bar:
            for batch in _batches(lines):
                good = [one for one in batch if isinstance(one, Line)]
                _, bad, answer = _ask(api, good, dry_run=False, skip_bad=skip_bad)
                report.refuse(bad)
                report.added += len(answer["added"])
                report.existing += len(answer["existing"])
                bar.advance(len(batch))
    except (KeyboardInterrupt, GatewayError):
        tell(f"{report.added:,} numbers were added before this, and stay. Run it again, and it carries on")
        raise


def _ask(
    api: Api, lines: list[Line], *, dry_run: bool, skip_bad: bool = True
) -> tuple[list[Line], list[Bad], dict[str, list[str]]]:
    """Import a batch, or try it; return its lines without those that are wrong, those, and the answer.

    An answer names a hundred wrong ones at most, so it is asked for again without them until nothing is wrong.
    """
    bad: list[Bad] = []
    while lines:
        body = {"numbers": [one.fields for one in lines], "existing": "skip", "dry_run": dry_run}
        try:
            return lines, bad, api.post(PATH, body, _line_of(lines))
        except Refused as error:
            wrong = _wrong_lines(error, lines)
            if not wrong or not skip_bad:
                raise
            bad += wrong.values()
            lines = [one for place, one in enumerate(lines) if place not in wrong]
    return [], bad, {"added": [], "existing": []}


def _wrong_lines(error: Refused, lines: list[Line]) -> dict[int, Bad]:
    """Return what is wrong with each of some lines, by their place in the request."""
    found: dict[int, Bad] = {}
    for one in error.wrong:
        first, place, *field = (*one.place, "", "")
        if first == "numbers" and place.isdigit():
            at = int(place)
            found.setdefault(at, Bad(line=lines[at].line, column=field[0], why=one.why))
    return found


def _line_of(lines: list[Line]) -> Where:
    def where(place: Any) -> str:
        if len(place) < 2 or place[0] != "numbers" or not place[1].isdigit():
            return named()(place)
        return ", ".join([f"line {lines[int(place[1])].line}", *place[2:]])

    return where


def _batches(found: Iterable[Line | Bad]) -> Iterator[list[Line | Bad]]:
    """Yield lines, as many at a time as a request can hold."""
    batch: list[Line | Bad] = []
    size = 0
    for one in found:
        weight = len(json.dumps(dict(one.fields))) + 2 if isinstance(one, Line) else 0
        if batch and (len(batch) == MOST or size + weight > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += weight
    if batch:
        yield batch


def _read_back(written: str) -> Line:
    line, fields = json.loads(written)
    return Line(line=line, fields=fields)
