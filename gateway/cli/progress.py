"""How far a long command has come, on standard error: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

STEP = 10_000  #: lines of a file between two lines of ours


class Progress(Protocol):
    """What shows how far it has come."""

    def advance(self, count: int) -> None:
        """Take note of so many more."""


class _Lines:
    def __init__(self, done: str, total: int | None) -> None:
        self._done, self._total, self._count = done, total, 0

    def advance(self, count: int) -> None:
        before, self._count = self._count, self._count + count
        if before // STEP < self._count // STEP:
            of = f" of {self._total:,}" if self._total else ""
            click.echo(f"{self._done} {self._count:,}{of} lines", err=True)


@contextmanager
def progress(done: str, total: int | None) -> Iterator[Progress]:
    """Show how many lines are `done` of `total`, None if nobody knows, until the end of the block."""
    if not sys.stderr.isatty():
        yield _Lines(done, total)
        return
    from rich import progress as bars

    from gateway.cli.frame import console

    shown = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*shown, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task(f"{done} lines", total=total)

        class Bar:
            def advance(self, count: int) -> None:
                bar.advance(task, count)

        yield Bar()
