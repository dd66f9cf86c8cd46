"""`gateway explain`: what would happen if somebody texted or called a mask now, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gateway.cli import completing, view
from gateway.cli.api import Api, path
from gateway.cli.options import json_document, remote
from gateway.cli.refusals import named
from gateway.cli.view import field

_PAIR = (field("mask"), field("sender", "from"), field("carrier"), field("session"), field("lease"))
_REACHES = (
    field("participant"),
    field("name"),
    field("mask", "from mask"),
    field("carrier"),
    field("reached"),
    field("why"),
)
_WHERE = named(number="MASK", **{"from": "--from"})


@click.command()
@click.argument("mask", shell_complete=completing.numbers)
@click.option("--from", "sender", metavar="NUMBER", required=True, help="Who would text or call.")
@click.option("--only", type=click.Choice(("text", "call")), help="Tell of one of the two.")
@remote
@json_document
def explain(api: Api, mask: str, sender: str, only: str | None, as_json: bool) -> None:
    """Say what a text or call would come to.

    What would happen if somebody texted or called a mask now, and why. Nothing is sent, and no carrier is asked. The
    session is the one that the pair of mask and sender means; a text and a call are told of apart, with everybody whom
    each would be for.
    """
    found = api.get(path("masks", mask, "explain"), {"from": sender}, where=_WHERE)
    if as_json:
        view.document(found if only is None else {name: found[name] for name in found if name in _kept(only)})
        return
    view.fields(found, _PAIR)
    for what in ("text", "call"):
        if only in (None, what):
            _show(what, found[what])


def _kept(only: str) -> set[str]:
    return {"mask", "sender", "carrier", "session", "lease", only}


def _show(what: str, fate: Mapping[str, Any]) -> None:
    click.echo(f"\nA {what} would be {fate['outcome']}: {view.words(fate['why'])}")
    if fate["words"]:
        click.echo(f"Its sender would be told: {view.words(fate['words'])}")
    if fate["reaches"]:
        view.table(fate["reaches"], _REACHES)
