"""`gateway calls`: who called which mask, and what came of it."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli import completing, view
from gateway.cli.api import Api, path
from gateway.cli.options import json_document, listed, remote
from gateway.cli.refusals import named
from gateway.cli.view import Column, Row, field, when

STATES = ("asked", "ringing", "answered", "message", "ended")
OUTCOMES = ("refused", "completed", "busy", "declined", "no_answer", "canceled", "failed", "unknown")
_CALLS = (
    field("id"),
    when("started_at", "at"),
    field("state"),
    field("outcome"),
    field("seconds"),
    field("participant"),
    field("mask"),
    field("carrier"),
    field("session"),
    Column("recordings", lambda row: _heard(row)),
    field("reason"),
)
_CALL = (
    field("id"),
    field("state"),
    field("outcome"),
    field("reason"),
    field("participant"),
    Column("by PIN", lambda row: row["by_pin"] or None),
    field("mask"),
    field("carrier"),
    field("carrier_ref"),
    field("session"),
    when("started_at", "at"),
    when("answered_at", "answered"),
    field("answered_by"),
    when("ended_at", "ended"),
    field("seconds"),
)
_LEGS = (
    field("participant", "rung"),
    field("name"),
    field("mask", "from mask"),
    field("state"),
    field("outcome"),
    when("answered_at", "answered"),
    when("ended_at", "ended"),
    field("seconds"),
    field("detail"),
)
_RECORDINGS = (
    field("n", "recording"),
    field("kind"),
    field("state"),
    field("seconds"),
    when("at", "at"),
    when("expires_at", "expires"),
)
_WHERE = named(
    id="CALL",
    session="--session",
    participant="--participant",
    mask="--mask",
    carrier="--carrier",
    state="--state",
    outcome="--outcome",
)


def _heard(call: Row) -> list[str]:
    """Return of which kinds there are recordings of a call that can be listened to."""
    return [one["kind"] for one in call["recordings"] if one["state"] == "ready"]


@click.group()
def calls() -> None:
    """Calls to the numbers of the pool."""


@calls.command("list")
@click.option("--session", metavar="SESSION", help="Of this session.", shell_complete=completing.sessions)
@click.option("--participant", metavar="NUMBER", help="Who called, was rung, or whose PIN was used.")
@click.option("--mask", metavar="NUMBER", help="To this mask.", shell_complete=completing.numbers)
@click.option("--carrier", metavar="NAME", help="Of this carrier.", shell_complete=completing.carriers)
@click.option("--state", type=click.Choice(STATES), help="That have come so far.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Of this outcome.")
@remote
@listed
def list_calls(api: Api, most: int | None, as_json: bool, **filters: Any) -> None:
    """List calls, the latest first."""
    view.pages(api.pages(path("calls"), filters, most, _WHERE), _CALLS, as_json=as_json, none="No calls.")


@calls.command()
@click.argument("call", shell_complete=completing.calls)
@remote
@json_document
def show(api: Api, call: str, as_json: bool) -> None:
    """Show one call: who was rung, and what was recorded."""
    found = api.get(path("calls", call), where=_WHERE)
    if as_json:
        view.document(found)
        return
    view.fields(found, _CALL)
    for rows, columns in ((found["legs"], _LEGS), (found["recordings"], _RECORDINGS)):
        if rows:
            click.echo()
            view.table(rows, columns)
