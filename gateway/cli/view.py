"""How what a gateway answers is shown: tables for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.api import Page
from gateway.cli.frame import clean, console

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]

GAP = "  "  #: between two columns
SHORTEST = 20  #: letters to which a column is shortened

#: Of states and outcomes, those that call for a look.
STYLES = {
    "active": "green", "live": "green", "delivered": "green", "connected": "green", "relayed": "green",
    "draining": "yellow", "disabled": "dim", "ended": "dim", "quarantined": "dim", "expired": "yellow",
    "failed": "bold red", "parked": "bold red", "undelivered": "bold red", "refused": "red", "ignored": "red",
    "blocked": "red", "suppressed": "yellow", "uncertain": "yellow",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its head, and what stands in it."""

    head: str
    read: Callable[[Row], Any]
    cut: bool = False  #: on a terminal it may be shortened


def field(name: str, head: str = "", *, cut: bool = False) -> Column:
    """Return the column of a field."""
    return Column(head or name.replace("_", " "), lambda row: row[name], cut)


def when(name: str, head: str) -> Column:
    """Return the column of a time."""
    return Column(f"{head} (UTC)", lambda row: moment(row[name]))


def moment(value: str | None) -> str:
    """Return a time of the API as people read it, in UTC: `2026-11-22 14:37:45`."""
    return (value or "")[:19].replace("T", " ")


def words(value: Any) -> str:
    """Return a value as it stands in a table, on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(words, value))
    if isinstance(value, dict):
        return clean(json.dumps(value, ensure_ascii=False)) if value else ""
    return "" if value is None else clean(str(value))


def document(value: Any) -> None:
    """Print one thing as JSON."""
    click.echo(json.dumps(value, indent=2))


def line(value: Any) -> None:
    """Print one of several things as JSON, on a line of its own."""
    click.echo(json.dumps(value))


def pages(found: Iterable[Page], columns: Sequence[Column], *, as_json: bool, none: str) -> None:
    """Print a list as it comes, a page at a time; say on standard error if there is nothing, or more."""
    widths: list[int] = []
    rows = 0
    for page in found:
        if as_json:
            for row in page.rows:
                line(row)
        elif page.rows:
            widths = _print(page.rows, columns, widths)
        rows += len(page.rows)
        if page.more:
            click.echo("There may be more: --limit or --all shows them.", err=True)
    if not rows and not as_json:
        click.echo(none, err=True)


def table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Print rows."""
    _print(rows, columns, [])


def fields(row: Row, columns: Sequence[Column]) -> None:
    """Print one thing, a line for each of its columns that says something."""
    shown = [(column.head, words(column.read(row))) for column in columns]
    width = max(len(head) for head, _ in shown)
    out = console()
    for head, value in shown:
        if value:
            out.print(f"{head:<{width}}  ", style="dim", end="")
            out.print(value, style=STYLES.get(value, ""), soft_wrap=True)


def _print(rows: Sequence[Row], columns: Sequence[Column], before: Sequence[int]) -> list[int]:
    """Print rows below those that were printed with columns as wide as `before`; return how wide they are now."""
    from rich.cells import cell_len

    shown = [[words(column.read(row)) for column in columns] for row in rows]
    heads = [column.head for column in columns]
    widths = [max(map(cell_len, cells)) for cells in zip(*shown, heads, strict=True)]
    widths = [max(pair) for pair in zip(widths, before or widths, strict=True)]
    out = console(endless=True)
    grid = _grid(columns, _fitting(columns, widths, console().width), with_heads=not before)
    for cells in shown:
        style = next((STYLES[cell] for cell in cells if cell in STYLES), "")
        grid.add_row(*cells, style=style)
    if out.is_terminal:
        out.print(grid)
    else:
        with out.capture() as printed:
            out.print(grid)
        click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))
    return widths


def _fitting(columns: Sequence[Column], widths: Sequence[int], available: int) -> list[int]:
    """Return how wide columns are to be: those that may be shortened are, so that a line has room for the others."""
    over = sum(widths) + len(GAP) * (len(widths) - 1) - available
    return [
        max(min(width, SHORTEST), width - max(over, 0)) if column.cut else width
        for column, width in zip(columns, widths, strict=True)
    ]


def _grid(columns: Sequence[Column], widths: Sequence[int], *, with_heads: bool) -> Table:
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), show_header=with_heads, header_style="dim")
    for column, width in zip(columns, widths, strict=True):
        grid.add_column(column.head, overflow="ellipsis", no_wrap=True, min_width=width, max_width=width)
    return grid
