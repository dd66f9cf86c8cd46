"""`gateway opt-outs` and `gateway status`."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli import completing, view
from gateway.cli.api import Api, path
from gateway.cli.options import json_document, listed, remote, without_none
from gateway.cli.refusals import named
from gateway.cli.view import Column, Row, field, moment, when

_OPT_OUTS = (
    field("participant"),
    Column("from", lambda row: row["mask"] or "any number"),
    when("created_at", "since"),
)
_CARRIERS = (
    field("name", "carrier"),
    field("state"),
    field("backlog"),
    Column("per number", lambda row: _pace(row, "per_number")),
    Column("per account", lambda row: _pace(row, "per_account")),
    field("channels", "carries"),
    Column("out since (UTC)", lambda row: moment(row["out"] and row["out"]["at"])),
    Column(
        "last error (UTC)",
        lambda row: row["last_error"] and f"{moment(row['last_error']['at'])} {row['last_error']['what']}",
    ),
)
_WHERE = named(number="NUMBER", participant="NUMBER", mask="--mask")


def _pace(row: Row, name: str) -> str:
    rate = row["pace"] and row["pace"][name]
    return f"{rate:g}/s" if rate else ""


@click.command()
@remote
@json_document
def status(api: Api, as_json: bool) -> None:
    """Say how the carriers of a running gateway stand.

    Whether each is ready, out (texts wait, one probes it from time to time) or idle (nothing of it is set); how many
    texts wait for it; how many parts of texts a second it takes, nothing where it takes as many as come; since when it
    is out, and what went wrong last.
    """
    found = api.get(path("carriers"))
    if as_json:
        view.document(found)
    elif found["data"]:
        view.table(found["data"], _CARRIERS)
    else:
        click.echo("No carriers.", err=True)


@click.group("opt-outs")
def opt_outs() -> None:
    """People who want no texts.

    Those who wrote STOP, those whom a carrier blocks, those whom you add.
    """


@opt_outs.command("list")
@click.option("--participant", metavar="NUMBER", help="Only those of this person.")
@remote
@listed
def list_opt_outs(api: Api, most: int | None, as_json: bool, **filters: Any) -> None:
    """List who wants no texts."""
    found = api.pages(path("opt-outs"), filters, most, named(participant="--participant"))
    view.pages(found, _OPT_OUTS, as_json=as_json, none="Nobody.")


@opt_outs.command()
@click.argument("number")
@click.option("--mask", metavar="NUMBER", help="From this number of the pool alone.", shell_complete=completing.numbers)
@remote
@json_document
def add(api: Api, number: str, mask: str | None, as_json: bool) -> None:
    """Take note that somebody wants no texts.

    What waits for them is not sent. The others of their sessions are told, once, that texts do not arrive.
    """
    added = api.post(path("opt-outs"), without_none(participant=number, mask=mask), _WHERE)
    if as_json:
        view.document(added)
    else:
        view.table([added], _OPT_OUTS)


@opt_outs.command()
@click.argument("number")
@click.option("--mask", metavar="NUMBER", help="The one from this number.", shell_complete=completing.numbers)
@remote
@json_document
def remove(api: Api, number: str, mask: str | None, as_json: bool) -> None:
    """Take note that somebody wants texts again.

    Have their word for it. A block that a carrier keeps stays there.
    """
    api.delete(path("opt-outs", number), {"mask": mask}, _WHERE)
    if as_json:
        view.document({"removed": number, "mask": mask})
    else:
        click.echo("Removed.")
