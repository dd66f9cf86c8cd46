"""The command `gateway`. The only user of click; rich is used by the demo's screen too."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table

import gateway
from gateway import checks, listing, logs, plugins
from gateway.checks import Finding, Mark
from gateway.errors import ConfigError, GatewayError
from gateway.listing import CarrierRow, State
from gateway.settings import Settings, load_dotenv_file, read_settings

log = logging.getLogger(__name__)

STYLES = {
    Mark.OK: "green",
    Mark.NOTE: "yellow",
    Mark.WRONG: "bold red",
    State.READY: "green",
    State.IDLE: "dim",
    State.WRONG: "bold red",
}
NOT_A_TERMINAL = 10_000  #: columns: what is piped is neither folded nor cut


class _Commands(click.Group):
    """A group of commands in which what the gateway raises on purpose is a message, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A `GatewayError` goes to standard error and the exit code is 2."""
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            click.echo(f"gateway: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(gateway.__version__, prog_name="maskgate", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """A number-masking gateway.

    Two people text and call each other through a number of yours, and neither sees the other's. The carriers that own
    the numbers are plugins.

    Everything is set by environment variables, or by a file .env in the working folder. To see it work without an
    account anywhere, run `gateway demo`. To go live: set the variables of a carrier, run `gateway check` until it has
    nothing to say, paste the URLs that `gateway carriers` shows at your carrier, and run `gateway serve`.
    """
    if ctx.invoked_subcommand != "demo":  # which is the same for everybody
        load_dotenv_file()
    logs.configure(logging.WARNING)


@main.command()
@click.option("--no-dispatch", is_flag=True, help="Send nothing: `gateway dispatch` does, beside this or elsewhere.")
def serve(no_dispatch: bool) -> None:
    """Run the gateway until it is told to stop.

    Takes what carriers send, answers the API, and sends what is owed. One line each says the version, where it
    listens, the database, the carriers and who may use the API; the last one, `ready on http://…`, comes when requests
    are served. Ctrl-C or SIGTERM stop it: what it accepted is kept and sent by the next start.

    With GATEWAY_WORKERS it runs as several processes that share the address: each takes requests and sends, one that
    dies is replaced, and a stop stops them all.
    """
    with _told_in(os.environ.get("GATEWAY_LOG", "")):
        settings = _settings_for_a_run()
        from gateway.program import serve as run

        run(settings, dispatches=not no_dispatch, say=_say_in(settings.log_form))


@main.command()
def dispatch() -> None:
    """Send what is owed, and serve no requests.

    For a database that `gateway serve --no-dispatch` fills, on this host or another: sends what waits, ends what is
    over, and takes up what a process that died was sending. Give it the same settings, for it tells carriers where
    their receipts go. As many as you like may run at a time; they share the pace. The last of its first lines ends in
    `dispatching`. Ctrl-C or SIGTERM stop it: what is being sent is finished first.
    """
    with _told_in(os.environ.get("GATEWAY_LOG", "")):
        settings = _settings_for_a_run()
        from gateway.program import dispatch as run

        run(settings, say=_say_in(settings.log_form))


@main.command()
@click.option("--quick", is_flag=True, help="Play without the pauses that let a person follow.")
@click.pass_context
def demo(ctx: click.Context, quick: bool) -> None:
    """Watch a masked conversation on this machine.

    Starts a gateway and a simulated carrier beside it, opens a session by the API, and plays a short conversation on
    two phones side by side: each sees only the mask. In a terminal it then stays up: type as either phone, and try the
    API by the lines it prints. Otherwise it ends after the play.

    It needs no account, takes nothing from the environment or a .env file, listens on 127.0.0.1 only, calls nobody
    outside, and leaves nothing behind. The exit code is 0 if each phone saw only the mask, else 1.
    """
    from gateway.demo import demo as run

    ctx.exit(run(quick=quick))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of tables.")
def carriers(as_json: bool) -> None:
    """List the carriers that are installed.

    For each one: whether it is ready, idle (none of its variables is set) or wrong, what its numbers can carry,
    whether it signs what it sends, and the URL to paste at the carrier. Where the URL ends in $GATEWAY_WEBHOOK_TOKEN,
    put the value of that variable.
    """
    rows = listing.carrier_rows(plugins.find_carriers(), _settings_if_right())
    if as_json:
        click.echo(json.dumps([_plain(row) for row in rows], indent=2))
    elif not rows:
        click.echo(plugins.HOW_TO_GET_ONE)
    else:
        _show_carriers(rows)


@main.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Try everything once before going live.

    Reads the settings, writes to the database, calls each carrier with its credentials (nothing is sent to anyone),
    and says in one line each what is ok, what is wrong and what to do about it. The exit code is 0 if nothing is wrong,
    else 1.
    """
    console = _console()
    wrong = 0
    for step in checks.steps():
        with console.status(f"{step.name} …"):
            findings = step.run()
        for finding in findings:
            _show_finding(console, finding)
        wrong += sum(finding.mark is Mark.WRONG for finding in findings)
    console.print("Nothing is wrong." if not wrong else f"{wrong} to put right.")
    ctx.exit(1 if wrong else 0)


@contextlib.contextmanager
def _told_in(form: str) -> Iterator[None]:
    """Where the log is to be JSON, let what ends the start be a line of it. Otherwise it is told as everywhere."""
    asked = form.strip().lower()
    if asked == logs.JSON:
        logs.configure(logging.INFO, form=asked)
    try:
        yield
    except GatewayError as error:
        if asked != logs.JSON:
            raise
        log.critical("%s", error)
        sys.exit(2)


# --- what it looks like -------------------------------------------------------------------------


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else NOT_A_TERMINAL, highlight=False, markup=False, emoji=False)


def _settings_for_a_run() -> Settings:
    """Return the settings, and let the log begin. Raises `ConfigError`."""
    settings = read_settings()
    found = plugins.find_carriers()
    packages = {each.carrier.__module__.partition(".")[0] for each in found.values()}
    logs.configure(settings.log_level, packages, settings.log_form)
    return settings


def _say_in(form: str) -> Callable[[str], None]:
    """Return what prints a line, plain or as the log's. It flushes: whoever waits for `ready` reads a pipe."""
    return lambda words: click.echo(logs.spoken(words, form))


def _settings_if_right() -> Settings | None:
    """Return the settings; where they are wrong, say so and return None: the list is still worth having."""
    try:
        return read_settings()
    except ConfigError as error:
        click.echo(f"gateway: {error}", err=True)
        return None


def _show_finding(console: Console, finding: Finding) -> None:
    console.print(f"{finding.mark.value:<6}", style=STYLES[finding.mark], end="")
    console.print(f"{finding.subject}: {finding.words}", soft_wrap=True)


def _show_carriers(rows: list[CarrierRow]) -> None:
    console = _console()
    console.print(_carriers_table(rows))
    width = max(len(row.name) for row in rows)
    for row in rows:
        if row.detail:
            console.print(f"\n{row.name:<{width}}  {row.state.value}: {row.detail}", soft_wrap=True, end="")
    console.print("\n\nURLs to paste at the carriers: for texts and receipts, for calls, and as the fallback of both")
    for row in rows:
        console.print(f"{row.name:<{width}}  {row.webhook_url}", soft_wrap=True)


def _carriers_table(rows: list[CarrierRow]) -> Table:
    table = Table("carrier", "package", "state", "carries", "signed", box=None, pad_edge=False)
    for row in rows:
        signed = {True: "yes", False: "no", None: "by settings"}[row.signed]
        carries = " ".join(row.channels)
        package = f"{row.distribution} {row.version}"
        table.add_row(row.name, package, row.state.value, carries, signed, style=STYLES[row.state])
    for column in table.columns:
        column.overflow = "fold"
    return table


def _plain(row: CarrierRow) -> dict[str, Any]:
    return {**dataclasses.asdict(row), "state": row.state.value}
