"""A CSV file of numbers, line by line: what a spreadsheet makes of it is understood, what is not is named."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO

from gateway.cli.frame import CommandFailed, Exit, clean

COLUMNS = ("number", "carrier", "region", "label")
SEPARATORS = ",;\t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that can be read: the fields of a number, as the API takes them."""

    line: int
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A line that cannot be imported."""

    line: int
    column: str  #: "": the line as a whole
    why: str

    def __str__(self) -> str:
        return f"line {self.line}{self.column and f', {self.column}'}: {self.why}"


def unreadable(words: str) -> CommandFailed:
    """Return what is raised of a file of which no line can be imported."""
    return CommandFailed(f"the file {words}", Exit.WRONG)


def read(file: IO[bytes], defaults: Mapping[str, str]) -> Iterator[Line | Bad]:
    """Yield the lines behind the head of a file; of what stands in none of its columns, or is empty, the default.

    Raises `CommandFailed` if the file or its head cannot be read.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from _Sheet(text).lines(defaults)
    except UnicodeDecodeError:
        raise unreadable("is not UTF-8. From a spreadsheet, save it as `CSV UTF-8`") from None
    finally:
        text.detach()


class _Sheet:
    """A file whose head was read."""

    def __init__(self, text: IO[str]) -> None:
        first = text.readline()
        self._above = 0
        while first and (not first.strip() or first.lower().startswith("sep=")):  # which spreadsheets put there
            first = text.readline()
            self._above += 1
        separator = max(SEPARATORS, key=first.count)
        self._rows = csv.reader(chain([first], text), delimiter=separator, strict=True)
        self._seen: dict[str, int] = {}  # digits of each number, by which they are told apart, and its line
        self._columns = self._head()

    def _head(self) -> list[str]:
        try:
            columns = [name.strip().lower() for name in next(self._rows, [])]
        except csv.Error:
            columns = []
        while columns and not columns[-1]:
            columns.pop()
        if "number" not in columns:
            raise unreadable(f"needs a first line that names its columns: number, and of {', '.join(COLUMNS[1:])} any")
        unknown = [clean(name)[:40] or "(no name)" for name in columns if name not in COLUMNS]
        if unknown:
            raise unreadable(f"has columns that are none: {', '.join(unknown)}. There are {', '.join(COLUMNS)}")
        if len(set(columns)) < len(columns):
            raise unreadable("has a column twice")
        return columns

    def lines(self, defaults: Mapping[str, str]) -> Iterator[Line | Bad]:
        while True:
            line = self._above + self._rows.line_num + 1
            try:
                row = next(self._rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Bad(line=line, column="", why=f"is no CSV: {error}")
                continue
            if any(cell.strip() for cell in row):
                yield self._line(line, row, defaults)

    def _line(self, line: int, row: Sequence[str], defaults: Mapping[str, str]) -> Line | Bad:
        cells = [cell.strip() for cell in row]
        while len(cells) > len(self._columns) and not cells[-1]:
            cells.pop()
        if len(cells) != len(self._columns):
            return Bad(line=line, column="", why=f"has {len(cells)} fields, and the first line {len(self._columns)}")
        given = {name: cell for name, cell in zip(self._columns, cells, strict=True) if cell}
        fields = {**defaults, **given}
        for name, hint in (("number", ""), ("carrier", ": fill it in, or say --carrier")):
            if not fields.get(name):
                return Bad(line=line, column=name, why=f"is missing{hint}")
        return self._again(line, fields) or Line(line=line, fields=fields)

    def _again(self, line: int, fields: Mapping[str, str]) -> Bad | None:
        """Return what is wrong with a number that stood there before. Of two lines nobody knows which is meant."""
        digits = "".join(filter(str.isdigit, fields["number"]))
        before = self._seen.setdefault(digits, line)
        return None if before == line else Bad(line=line, column="number", why=f"is that of line {before} again")
