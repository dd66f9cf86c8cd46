"""`gateway pool`: our numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import click

from gateway.cli import completing, view
from gateway.cli.api import Api, path
from gateway.cli.frame import Exit
from gateway.cli.importing import import_file
from gateway.cli.options import json_document, json_lines, listed, one_by_one, remote, without_none
from gateway.cli.refusals import named
from gateway.cli.view import Column, field, when

STATES = ("active", "draining", "disabled")
CHANNELS = ("text", "voice")

_NUMBERS = (
    field("number"),
    field("carrier"),
    field("region"),
    field("state"),
    field("live"),
    Column("alone on it", lambda row: row["session"]),
    field("label", cut=True),
)
_NUMBER = (*_NUMBERS, when("created_at", "added"))
_HOLDERS = (
    field("participant"),
    field("name"),
    field("state"),
    field("session"),
    when("ended_at", "ended"),
    when("until", "until"),
)
_FIGURES = (
    field("carrier"),
    field("region"),
    field("channel"),
    Column("active", lambda row: row["numbers"]["active"]),
    Column("draining", lambda row: row["numbers"]["draining"]),
    Column("disabled", lambda row: row["numbers"]["disabled"]),
    Column("live", lambda row: row["leases"]["live"]),
    Column("quarantined", lambda row: row["leases"]["quarantined"]),
    field("most_conversations"),
    field("numbers_needed"),
    field("headroom"),
)
_WHERE = named(
    number="NUMBER", numbers="NUMBER", carrier="--carrier", region="--region", label="--label", state="--state"
)


@click.group()
def pool() -> None:
    """The numbers that serve as masks.

    Each is owned by one carrier and is active, draining (it gets no new sessions) or disabled. Before a number is
    removed, drain it and wait until nobody is on it.
    """


@pool.command("list")
@click.option("--carrier", metavar="NAME", help="Only this carrier's.", shell_complete=completing.carriers)
@click.option("--region", metavar="COUNTRY", help="Only this country's, as `US`.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--label", help="Only those with exactly this label; '' for those without.")
@click.option("--in-use/--free", default=None, help="Only those that a live session is on, or those none is on.")
@remote
@listed
def list_numbers(api: Api, in_use: bool | None, most: int | None, as_json: bool, **filters: Any) -> None:
    """List the numbers of the pool, by number."""
    query = {**filters, "in_use": None if in_use is None else str(in_use).lower()}
    found = api.pages(path("pool"), query, most, _WHERE)
    view.pages(found, _NUMBERS, as_json=as_json, none="No numbers.")


@pool.command()
@click.argument("number", shell_complete=completing.numbers)
@click.option("--holders", is_flag=True, help="List who is on it instead, live and in quarantine.")
@remote
@json_document
def show(api: Api, number: str, holders: bool, as_json: bool) -> None:
    """Show one number, or who is on it.

    With --json the holders are an object a line.
    """
    if holders:
        found = api.pages(path("masks", number), {}, None, _WHERE)
        view.pages(found, _HOLDERS, as_json=as_json, none="Nobody is on it.")
        return
    one = api.get(path("pool", number), where=_WHERE)
    if as_json:
        view.document(one)
    else:
        view.fields(one, _NUMBER)


@pool.command()
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...")
@click.option("--carrier", required=True, metavar="NAME", help="Whose they are.", shell_complete=completing.carriers)
@click.option("--region", metavar="COUNTRY", help="The country they are used for. [default: what the number says]")
@click.option("--label", help="Your own words.")
@remote
@json_document
def add(api: Api, numbers: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Add numbers to the pool, all of them or none.

    Write + and the country code. For more than a few there is `gateway pool import`.
    """
    if len(numbers) > 500:
        raise click.UsageError("That are more than 500 numbers: put them into a file for `gateway pool import`.")
    body = {"numbers": [{"number": number, **without_none(**given)} for number in numbers]}
    added = api.post(path("pool", "import"), body, _argument)
    if as_json:
        view.document(added)
    else:
        click.echo("\n".join(f"Added {number}" for number in added["added"]))


def _argument(place: Sequence[str]) -> str:
    """Return what of `add` a place in its request came from."""
    if len(place) < 3 or not place[1].isdigit():
        return _WHERE(place)
    return f"NUMBER {int(place[1]) + 1}" if place[2] == "number" else _WHERE(place[2:])


@pool.command("set")
@click.argument("number", shell_complete=completing.numbers)
@click.option("--state", type=click.Choice(STATES), help="Live sessions go on in each of them.")
@click.option("--region", metavar="COUNTRY", help="The country it is used for, as `US`.")
@click.option("--label", help="Your own words; '' for none.")
@remote
@json_document
def set_(api: Api, number: str, as_json: bool, **given: Any) -> None:
    """Change a number's state, region or label."""
    body = without_none(**given)
    if not body:
        raise click.UsageError("Say what to change: --state, --region or --label.")
    changed = api.patch(path("pool", number), body, _WHERE)
    if as_json:
        view.document(changed)
    else:
        view.fields(changed, _NUMBER)


@pool.command()
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...", shell_complete=completing.numbers)
@remote
@json_lines
def drain(api: Api, numbers: tuple[str, ...], as_json: bool) -> None:
    """Give numbers no new sessions; those on them go on.

    `gateway pool set NUMBER --state active` takes that back.
    """

    def do(number: str) -> None:
        changed = api.patch(path("pool", number), {"state": "draining"}, _WHERE)
        if as_json:
            view.line(changed)
        else:
            click.echo(f"{changed['number']} is draining, {changed['live']} live on it")

    one_by_one(numbers, do)


@pool.command()
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...", shell_complete=completing.numbers)
@remote
@json_lines
def remove(api: Api, numbers: tuple[str, ...], as_json: bool) -> None:
    """Take numbers out of the pool.

    Refused while a live session is on one: drain it first. It takes a key with the role admin.
    """

    def do(number: str) -> None:
        api.delete(path("pool", number), where=_WHERE)
        if as_json:
            view.line({"removed": number})
        else:
            click.echo(f"Removed {number}")

    one_by_one(numbers, do)


@pool.command()
@click.option("--carrier", metavar="NAME", help="Only this carrier's.", shell_complete=completing.carriers)
@click.option("--region", metavar="COUNTRY", help="Only this country's.")
@click.option("--channel", type=click.Choice(CHANNELS), help="Only those that carry this.")
@remote
@json_document
def figures(api: Api, as_json: bool, **filters: Any) -> None:
    """Say how much of the pool is in use, for each carrier, country and channel.

    Numbers by their state; leases (pairs of a number and a participant), live and in quarantine; the most
    conversations that one participant has at once, the numbers it takes for that, and the headroom: how many more
    conversations anybody can have at once.
    """
    found = api.get(path("pool", "figures"), filters, where=_WHERE)
    if as_json:
        view.document(found)
    elif found["data"]:
        view.table(found["data"], _FIGURES)
    else:
        click.echo("No numbers.", err=True)


@pool.command("import")
@click.argument("file", type=click.File("rb"), metavar="FILE")
@click.option("--carrier", metavar="NAME", help="Whose numbers they are, where the file does not say.")
@click.option("--region", metavar="COUNTRY", help="Their country, where the file does not say.")
@click.option("--label", help="Their label, where the file does not say.")
@click.option("--skip-bad", is_flag=True, help="Import what can be, and name the lines that cannot.")
@click.option("--dry-run", is_flag=True, help="Look through the file, and add nothing.")
@remote
@json_document
def import_(api: Api, file: IO[bytes], skip_bad: bool, dry_run: bool, as_json: bool, **defaults: Any) -> None:
    """Add the numbers of a CSV file, - for standard input, to the pool.

    The first line names the columns: number, and as you like carrier, region and label, in any order, separated by
    commas, semicolons or tabs. The whole file is looked through first, and if a line is wrong it is named and nothing
    is added, unless you say --skip-bad. Numbers that are in the pool already stay as they are: an import that was
    interrupted is run again, and carries on.

    The exit code is 0 if all numbers are in the pool, and 1 if a line was refused.
    """
    report = import_file(api, file, without_none(**defaults), skip_bad=skip_bad, dry_run=dry_run)
    if as_json:
        view.document(report.as_json())
    else:
        for line in report.lines():
            click.echo(line)
    click.get_current_context().exit(Exit.NOT_ALL if report.refused else Exit.DONE)
