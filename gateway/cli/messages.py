"""`gateway messages`: texts that came in and went out, and sending again what came to nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from gateway.cli import completing, replaying, view
from gateway.cli.api import Api, path
from gateway.cli.options import json_document, json_lines, listed, past, refuse_backwards, remote, without_none
from gateway.cli.refusals import named
from gateway.cli.view import Column, field, when

STATES = (
    "received", "queued", "sending", "uncertain", "sent", "delivered", "undelivered", "failed", "expired", "suppressed",
    "blocked", "parked",
)  # fmt: skip
DIRECTIONS = ("inbound", "outbound")

_MESSAGES = (
    field("id"),
    when("created_at", "at"),
    field("state"),
    field("participant"),
    field("mask"),
    field("carrier"),
    field("session"),
    Column("text or reason", lambda row: row["text"] if row["text"] is not None else row["outcome"], cut=True),
)
_MESSAGE = (
    field("id"),
    field("state"),
    field("reason"),
    field("code", "the carrier's code"),
    field("outcome"),
    field("kind"),
    field("session"),
    Column("participant", lambda row: row["participant"]),
    field("mask"),
    field("carrier"),
    field("carrier_ref", "the carrier's id"),
    field("text"),
    field("media"),
    Column("attempts", lambda row: row["attempts"] or None),
    when("created_at", "created"),
    when("expires_at", "worth sending until"),
    field("caused_by"),
    field("gave_rise_to"),
    field("replay_of"),
    field("replayed_as"),
)
_HISTORY = (when("at", "at"), field("cause"), field("attempt"), field("state"), field("code"), field("reason"))
_SENT = (field("id"), field("participant"), field("mask"), field("carrier"), field("state"))
_WHERE = named(
    direction="--direction", state="--state", states="--state", session="--session", participant="--participant",
    mask="--mask", carrier="--carrier", since="--since", until="--until", id="MESSAGE", text="TEXT", to="--to",
)  # fmt: skip


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters that lists and replays have in common."""
    options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.option("--session", metavar="SESSION", help="Of this session.", shell_complete=completing.sessions),
        click.option("--participant", metavar="NUMBER", help="Of this person."),
        click.option("--mask", metavar="NUMBER", help="Of this mask.", shell_complete=completing.numbers),
        click.option("--carrier", metavar="NAME", help="Of this carrier.", shell_complete=completing.carriers),
        click.option("--since", metavar="TIME", callback=past, help="Not before this time."),
        click.option("--until", metavar="TIME", callback=past, help="Before this time."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.group()
def messages() -> None:
    """Texts that came in and went out, and what became of them.

    TIME is `2026-11-22 14:30` (UTC), RFC 3339, or a duration before now, `2h`.
    """


@messages.command("list")
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@click.option("--direction", type=click.Choice(DIRECTIONS), help="That came in, or went out.")
@_filters
@remote
@listed
def list_messages(api: Api, most: int | None, as_json: bool, **filters: Any) -> None:
    """List messages, the latest first.

    Of what came in no words are kept: what went out because of it holds them. TIME is `2026-11-22 14:30` (UTC),
    RFC 3339, or a duration before now, `2h`.
    """
    refuse_backwards(filters)
    found = api.pages(path("messages"), filters, most, _WHERE)
    view.pages(found, _MESSAGES, as_json=as_json, none="No messages.")


@messages.command()
@click.argument("message", shell_complete=completing.messages)
@remote
@json_document
def show(api: Api, message: str, as_json: bool) -> None:
    """Show one message with its whole history: attempts, receipts, reasons."""
    found = api.get(path("messages", message), where=_WHERE)
    if as_json:
        view.document(found)
        return
    view.fields(found, _MESSAGE)
    click.echo()
    view.table(found["history"], _HISTORY)


@messages.command()
@click.argument("session", shell_complete=completing.live_sessions)
@click.argument("text")
@click.option("--to", metavar="NUMBER", help="To this participant alone.")
@remote
@json_document
def send(api: Api, session: str, text: str, to: str | None, as_json: bool) -> None:
    """Send a text of yours into a session, to everybody from their own mask.

    TEXT is sent as it is; - reads it from standard input.
    """
    words = sys.stdin.read().removesuffix("\n") if text == "-" else text
    sent = api.post(path("sessions", session, "messages"), without_none(text=words, to=to), _WHERE)
    if as_json:
        view.document(sent)
    else:
        view.table(sent["data"], _SENT)


@messages.command()
@click.argument("ids", nargs=-1, metavar="[MESSAGE...]", shell_complete=completing.failed_messages)
@click.option(
    "--state", "states", multiple=True, type=click.Choice(replaying.STATES), help="In this state; also twice."
)
@_filters
@click.option("--yes", is_flag=True, help="Ask nothing.")
@remote
@json_lines
def replay(
    api: Api, ids: tuple[str, ...], states: tuple[str, ...], yes: bool, as_json: bool, **filters: str | None
) -> None:
    """Send again what came to nothing: messages by their ids, or all that the options find.

    \b
        gateway messages replay out-12 out-15
        gateway messages replay --state failed --since 2h

    Without a --state, the options find those that failed or were parked. Expired ones never reached a carrier;
    undelivered ones may have been read. It says how many it found and asks before it begins; where nobody can be asked,
    say --yes. Each message goes to the end of its lane. What must not be sent again, because its recipient is not in
    its session any more or wants no texts, is named with the reason, and the exit code is 1.
    """
    refuse_backwards(filters)
    chosen = without_none(**filters)
    if bool(ids) == bool(states or chosen):
        raise click.UsageError("Say which: ids of messages, or options that find them, as --state failed.")
    if ids:
        replaying.by_id(api, ids, _WHERE, as_json=as_json)
    else:
        replaying.by_filter(api, states or replaying.UNLESS_SAID, chosen, _WHERE, sure=yes, as_json=as_json)
