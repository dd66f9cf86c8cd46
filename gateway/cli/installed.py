"""The commands that look at what is installed here: carriers, check."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.frame import console
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from gateway.checks import Finding
    from gateway.listing import CarrierRow
    from gateway.settings import Settings

#: By `Mark` and `State`.
STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red", "ready": "green", "idle": "dim"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of tables.")
def carriers(as_json: bool) -> None:
    """List the carriers that are installed.

    For each one: whether it is ready, idle (none of its variables is set) or wrong, what its numbers can carry,
    whether it signs what it sends, and the URL to paste at the carrier. Where the URL ends in $GATEWAY_WEBHOOK_TOKEN,
    put the value of that variable.
    """
    from gateway import listing, plugins

    rows = listing.carrier_rows(plugins.find_carriers(), _settings_if_right())
    if as_json:
        click.echo(json.dumps([_plain(row) for row in rows], indent=2))
    elif not rows:
        click.echo(plugins.HOW_TO_GET_ONE)
    else:
        _show_carriers(rows)


@click.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Try everything once before going live.

    Reads the settings, writes to the database, calls each carrier with its credentials (nothing is sent to anyone),
    and says in one line each what is ok, what is wrong and what to do about it. The exit code is 0 if nothing is wrong,
    else 1.
    """
    from gateway import checks

    out = console()
    wrong = 0
    for step in checks.steps():
        with out.status(f"{step.name} …"):
            findings = step.run()
        for finding in findings:
            _show_finding(out, finding)
        wrong += sum(finding.mark is checks.Mark.WRONG for finding in findings)
    out.print("Nothing is wrong." if not wrong else f"{wrong} to put right.")
    ctx.exit(1 if wrong else 0)


def _settings_if_right() -> Settings | None:
    """Return the settings; where they are wrong, say so and return None: the list is still worth having."""
    from gateway.settings import read_settings

    try:
        return read_settings()
    except ConfigError as error:
        click.echo(f"gateway: {error}", err=True)
        return None


def _show_finding(out: Console, finding: Finding) -> None:
    out.print(f"{finding.mark.value:<6}", style=STYLES[finding.mark.value], end="")
    out.print(f"{finding.subject}: {finding.words}", soft_wrap=True)


def _show_carriers(rows: list[CarrierRow]) -> None:
    out = console()
    out.print(_carriers_table(rows))
    width = max(len(row.name) for row in rows)
    for row in rows:
        if row.detail:
            out.print(f"\n{row.name:<{width}}  {row.state.value}: {row.detail}", soft_wrap=True, end="")
    out.print("\n\nURLs to paste at the carriers: for texts and receipts, for calls, and as the fallback of both")
    for row in rows:
        out.print(f"{row.name:<{width}}  {row.webhook_url}", soft_wrap=True)


def _carriers_table(rows: list[CarrierRow]) -> Table:
    from rich.table import Table

    table = Table("carrier", "package", "state", "carries", "signed", box=None, pad_edge=False)
    for row in rows:
        signed = {True: "yes", False: "no", None: "by settings"}[row.signed]
        carries = " ".join(row.channels)
        package = f"{row.distribution} {row.version}"
        table.add_row(row.name, package, row.state.value, carries, signed, style=STYLES[row.state.value])
    for column in table.columns:
        column.overflow = "fold"
    return table


def _plain(row: CarrierRow) -> dict[str, Any]:
    return {**dataclasses.asdict(row), "state": row.state.value}
