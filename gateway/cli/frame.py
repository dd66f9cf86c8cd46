"""What every command stands in: errors as words and exit codes, and a console that neither folds nor cuts a pipe."""

from __future__ import annotations

import contextlib
import os
import sys
from enum import IntEnum
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from rich.console import Console

NOT_A_TERMINAL = 10_000  #: columns: what is piped is neither folded nor cut


class Exit(IntEnum):
    """What the exit code of a command says. README and `gateway --help` list them: they stay as they are."""

    DONE = 0
    NOT_ALL = 1  #: asked and answered, but some of it, or all, was refused or declined
    WRONG = 2  #: the command line, a file, a variable
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    NOT_ALLOWED = 6
    INTERRUPTED = 130  #: as shells have it
    NOBODY_READS = 141


class CommandFailed(GatewayError):
    """A command cannot do what it was asked to. Its words are printed, and the exit code says what kind it is of."""

    def __init__(self, words: str, exit_code: Exit) -> None:
        super().__init__(words)
        self.exit_code = exit_code


class Misused(click.BadParameter):
    """An option cannot be read. The words are ours, and repeat nothing of it."""


#: What click raises where a group is called without a command, which is help and no error. Older ones print it.
_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())


class Commands(click.Group):
    """A group of commands in which what the gateway raises on purpose is a message, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A `GatewayError` goes to standard error; the exit code is its own, or 2."""
        try:
            return super().invoke(ctx)
        except Misused:
            raise
        except click.UsageError as error:
            if isinstance(error, _HELP):
                raise
            # click repeats what it does not understand
            raise click.UsageError(_without_numbers(error.format_message()), error.ctx) from None
        except GatewayError as error:
            tell(str(error))
            ctx.exit(int(error.exit_code) if isinstance(error, CommandFailed) else int(Exit.WRONG))
        except KeyboardInterrupt:
            tell("interrupted")
            ctx.exit(Exit.INTERRUPTED)
        except BrokenPipeError:
            _drop_output()
            ctx.exit(Exit.NOBODY_READS)


def tell(words: str) -> None:
    """Print a line for people to standard error."""
    click.echo(f"gateway: {words}", err=True)


def speak_any_language() -> None:
    """Let no letter that a terminal cannot show end a command: it shows `?`."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def console(file: IO[str] | None = None, *, endless: bool = False) -> Console:
    """Return what prints to `file`, standard output if it is None; `endless`: whose lines have no end on terminals too.

    What is too long for such a line goes on in the next, as it does with any program.
    """
    from rich.console import Console

    class Pipe(Console):
        """A console that says so when nobody reads any more."""

        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError

    live = (file or sys.stdout).isatty() and not endless
    return Pipe(file=file, width=None if live else NOT_A_TERMINAL, highlight=False, markup=False, emoji=False)


def clean(words: str) -> str:
    """Return words fit for one line of a terminal: what people texted must not steer it."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in words)


def _without_numbers(words: str) -> str:
    from gateway.numbers import without_numbers

    return without_numbers(words)


def _drop_output() -> None:
    """Let what is still to be written at the end go nowhere, without a word."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())
