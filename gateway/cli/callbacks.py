"""`gateway callbacks`: what the application is called back about, and sending dead ones again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from gateway.cli import completing, view
from gateway.cli.api import PAGE, Api, path
from gateway.cli.events import KINDS
from gateway.cli.frame import Exit
from gateway.cli.options import (
    json_document,
    json_lines,
    listed,
    one_by_one,
    past,
    refuse_backwards,
    remote,
    without_none,
)
from gateway.cli.refusals import named
from gateway.cli.replaying import MOST_COUNTED, ask, just_after
from gateway.cli.view import Column, field, when

STATES = ("waiting", "sending", "delivered", "dead")

_CALLBACKS = (
    field("id"),
    when("created_at", "at"),
    field("state"),
    field("kind"),
    field("session"),
    field("endpoint"),
    field("attempts"),
    field("status"),
    field("reason", cut=True),
)
_CALLBACK = (
    field("id"),
    field("state"),
    field("reason"),
    field("status"),
    field("kind"),
    field("event"),
    field("session"),
    field("endpoint"),
    field("webhook_id"),
    Column("attempts", lambda row: row["attempts"] or None),
    when("created_at", "created"),
    when("updated_at", "changed"),
    when("next_try", "next try"),
    when("expires_at", "worth delivering until"),
    field("replay_of"),
    field("replayed_as"),
)
_ENDPOINTS = (field("name"), field("state"), field("backlog"), when("next_try", "next try"), field("reason"))
_WHERE = named(
    endpoint="--endpoint", state="--state", session="--session", kind="--kind", since="--since", until="--until",
    id="CALLBACK",
)  # fmt: skip


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters that lists and replays have in common."""
    options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.option("--endpoint", metavar="NAME", help="To this endpoint.", shell_complete=completing.endpoints),
        click.option("--session", metavar="SESSION", help="Of this session.", shell_complete=completing.sessions),
        click.option("--kind", type=click.Choice(KINDS), metavar="KIND", help="Of events of this kind."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.group()
def callbacks() -> None:
    """Events that are POSTed to your application.

    An endpoint is one URL of GATEWAY_CALLBACK_URL, named by its host and a short hash.
    """


@callbacks.command("list")
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@_filters
@remote
@listed
def list_callbacks(api: Api, most: int | None, as_json: bool, **filters: str | None) -> None:
    """List callbacks, the latest first."""
    found = api.pages(path("callbacks"), filters, most, _WHERE)
    view.pages(found, _CALLBACKS, as_json=as_json, none="No callbacks.")


@callbacks.command()
@click.argument("callback", shell_complete=completing.callbacks)
@remote
@json_document
def show(api: Api, callback: str, as_json: bool) -> None:
    """Show one callback, and when it is tried next."""
    found = api.get(path("callbacks", callback), where=_WHERE)
    if as_json:
        view.document(found)
    else:
        view.fields(found, _CALLBACK)


@callbacks.command()
@remote
@json_document
def endpoints(api: Api, as_json: bool) -> None:
    """Say how each endpoint stands."""
    found = api.get(path("callbacks", "endpoints"))
    if as_json:
        view.document(found)
    elif found["data"]:
        view.table(found["data"], _ENDPOINTS)
    else:
        click.echo("No endpoints.", err=True)


@callbacks.command()
@click.argument("ids", nargs=-1, metavar="[CALLBACK...]", shell_complete=completing.dead_callbacks)
@click.option("--all", "everything", is_flag=True, help="All that are dead.")
@_filters
@click.option("--since", metavar="TIME", callback=past, help="Not before this time.")
@click.option("--until", metavar="TIME", callback=past, help="Before this time.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@remote
@json_lines
def replay(api: Api, ids: tuple[str, ...], everything: bool, yes: bool, as_json: bool, **filters: str | None) -> None:
    """Send dead callbacks again: by their ids, or all that the options find.

    It says how many it found and asks before it begins; where nobody can be asked, say --yes. TIME is
    `2026-11-22 14:30` (UTC), RFC 3339, or a duration before now, `2h`.
    """
    refuse_backwards(filters)
    chosen = without_none(**filters)
    if bool(ids) == bool(everything or chosen):
        raise click.UsageError("Say which: ids of callbacks, or options that find them, as --session or --all.")
    if ids:
        one_by_one(ids, lambda id: _tell(id, api.post(path("callbacks", id, "replay"), {}, _WHERE), as_json))
    else:
        _replay_found(api, chosen, sure=yes, as_json=as_json)


def _replay_found(api: Api, chosen: Mapping[str, str], *, sure: bool, as_json: bool) -> None:
    """Replay what a filter finds now; not what dies meanwhile, which may be the replays themselves."""
    created = _dead(api, chosen)
    if not created:
        click.echo("No dead callbacks.", err=True)
        return
    if not sure:
        ask(len(created), "callback")
    bounds = {**chosen, "until": min(filter(None, (chosen.get("until"), just_after(max(created)))))}
    refused, after = 0, None
    while True:
        done = api.post(path("callbacks", "replay"), {**bounds, "limit": PAGE, "after": after}, _WHERE)
        _tell_page(done, as_json)
        refused += len(done["refused"])
        after = done["next"]
        if after is None:
            break
    if refused:
        click.get_current_context().exit(Exit.NOT_ALL)


def _dead(api: Api, chosen: Mapping[str, str]) -> list[str]:
    """Return when each dead callback was made that a filter finds."""
    query = {name: value for name, value in chosen.items() if name not in ("since", "until")} | {"state": "dead"}
    found = api.pages(path("callbacks"), query, MOST_COUNTED, _WHERE)
    rows = (row["created_at"] for page in found for row in page.rows if row["replayed_as"] is None)
    return [at for at in rows if chosen.get("since", "") <= at < chosen.get("until", "~")]


def _tell(old: str, new: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        view.line({"callback": int(old), "replayed_as": new["id"]})
    else:
        click.echo(f"{old} is sent again, as {new['id']}")


def _tell_page(done: Mapping[str, Any], as_json: bool) -> None:
    for id in done["callbacks"]:
        if as_json:
            view.line({"replayed_as": id})
        else:
            click.echo(f"Sent again, as {id}")
    for one in done["refused"]:
        if as_json:
            view.line({"callback": one["callback"], "replayed_as": None, "why": one["why"]})
        else:
            click.echo(f"{one['callback']} is not sent again: {one['why']}")
