"""What every command stands in: errors as words and exit codes, and a console that neither folds nor cuts a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from rich.console import Console

NOT_A_TERMINAL = 10_000  #: columns: what is piped is neither folded nor cut


class Commands(click.Group):
    """A group of commands in which what the gateway raises on purpose is a message, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A `GatewayError` goes to standard error and the exit code is 2."""
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            click.echo(f"gateway: {error}", err=True)
            ctx.exit(2)


def console() -> Console:
    """Return what prints to standard output."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else NOT_A_TERMINAL, highlight=False, markup=False, emoji=False)
