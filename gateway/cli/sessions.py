"""`gateway sessions`: conversations of two or more people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gateway.cli import completing, view
from gateway.cli.api import Api, path
from gateway.cli.options import (
    ahead,
    ahead_or_never,
    json_document,
    json_lines,
    listed,
    one_by_one,
    remote,
    without_none,
)
from gateway.cli.people import call_options, changed, metadata, participants
from gateway.cli.refusals import named
from gateway.cli.view import Column, field, moment, when

_SESSIONS = (
    field("id"),
    field("state"),
    Column("participants and their masks", lambda row: [_leg(leg) for leg in row["legs"]]),
    field("external_id"),
    when("created_at", "opened"),
    Column("expires (UTC)", lambda row: moment(row["expires_at"]) or "never"),
)
_SESSION = (
    field("id"),
    field("state"),
    field("external_id"),
    field("channels"),
    Column("calls", lambda row: {name: value for name, value in row["calls"].items() if value is not None}),
    Column("exclusive", lambda row: row["exclusive"] or None),
    when("created_at", "opened"),
    Column("expires (UTC)", lambda row: moment(row["expires_at"]) or ("" if row["ended_at"] else "never")),
    field("ttl"),
    when("ended_at", "ended"),
    field("reason"),
    field("note"),
    field("end_text"),
    field("metadata"),
)
_LEGS = (field("participant"), field("name"), field("mask"), field("carrier"))
_PIN = Column("PIN", lambda row: row["has_pin"])
_CALLS = "How calls go, as the API has it: '{\"record\": true}'"


def _leg(leg: view.Row) -> str:
    name = f" ({leg['name']})" if leg["name"] else ""
    return f"{leg['participant']}{name} on {leg['mask']}"


@click.group()
def sessions() -> None:
    """Conversations of two or more people.

    Everybody texts or calls a mask, a number of the pool, and so reaches the others of their session.
    """


def _show(session: dict[str, Any], as_json: bool) -> None:
    if as_json:
        view.document(session)
        return
    view.fields(session, _SESSION)
    click.echo()
    some = any(leg["has_pin"] for leg in session["legs"])
    view.table(session["legs"], (*_LEGS, _PIN) if some else _LEGS)


@sessions.command("open")
@click.option(
    "--participant",
    "people",
    multiple=True,
    required=True,
    metavar="NUMBER[,name=…][,mask=…][,carrier=…][,country=…][,pin=…]",
    callback=participants,
    help="Somebody who takes part; say it for each of them.",
)
@click.option("--channels", metavar="text,voice", help="What it must carry. [default: text; calls where they can]")
@click.option("--ttl", metavar="DURATION", help="It expires so long after the last text or call, as `24h`.")
@click.option("--expires-at", metavar="TIME", callback=ahead, help="It expires then at the latest.")
@click.option("--external-id", metavar="ID", help="Your own name for it, unique among the live ones.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", callback=metadata, help="What you keep with it.")
@click.option("--calls", metavar="JSON", callback=call_options, help=f"{_CALLS}.")
@click.option("--exclusive", is_flag=True, default=None, help="All share one mask, and nobody else is on it.")
@click.option("--start-text", metavar="TEXT", help="What everybody is told now.")
@click.option("--end-text", metavar="TEXT", help="What everybody is told when it ends or expires.")
@remote
@json_document
def open_(api: Api, people: list[dict[str, str]], channels: str | None, as_json: bool, **given: Any) -> None:
    """Open a session, and print who is on which mask.

    A participant is a number, and what is wished for them: the name that stands before their texts where more than two
    take part, one mask of the pool and no other, a carrier, a country, a PIN with which they may call from another
    telephone.

    \b
        gateway sessions open --participant "+12065550101,name=Driver" \\
          --participant "+12065550102,carrier=flowroute" --ttl 24h

    TIME is `2026-11-22 14:30` (UTC), RFC 3339, or a duration from now on, `2h`. With neither --ttl nor --expires-at it
    lives until it is ended.
    """
    wanted = None if channels is None else [channel.strip() for channel in channels.split(",")]
    body = without_none(participants=people, channels=wanted, **given)
    _show(api.post(path("sessions"), body, _where), as_json)


_OPTIONS = named(
    channels="--channels", ttl="--ttl", expires_at="--expires-at", external_id="--external-id", metadata="--metadata",
    calls="--calls", exclusive="--exclusive", start_text="--start-text", end_text="--end-text",
    participants="--participant", participant="--participant", mask="--mask", state="--state", id="SESSION",
    reason="--reason", text="--text",
)  # fmt: skip


def _where(place: Sequence[str]) -> str:
    """Return what on the command line a place in a request came from: of a participant, which and what."""
    if place[:1] == ("channels",):
        return _OPTIONS(place[:1])
    if len(place) < 2 or place[0] != "participants" or not place[1].isdigit():
        return _OPTIONS(place)
    return ", ".join([f"--participant {int(place[1]) + 1}", *place[2:]])


@sessions.command("list")
@click.option("--state", type=click.Choice(("live", "ended")), help="Only those in this state.")
@click.option("--participant", metavar="NUMBER", help="Only those of this person.")
@click.option("--mask", metavar="NUMBER", help="Only those on this mask.", shell_complete=completing.numbers)
@click.option("--external-id", metavar="ID", help="Only those of this name of yours.")
@remote
@listed
def list_sessions(api: Api, most: int | None, as_json: bool, **filters: Any) -> None:
    """List sessions, the latest first."""
    found = api.pages(path("sessions"), filters, most, _where)
    view.pages(found, _SESSIONS, as_json=as_json, none="No sessions.")


@sessions.command()
@click.argument("session", shell_complete=completing.sessions)
@remote
@json_document
def show(api: Api, session: str, as_json: bool) -> None:
    """Show one session, with its legs."""
    _show(api.get(path("sessions", session), where=_where), as_json)


@sessions.command()
@click.argument("session", shell_complete=completing.live_sessions)
@click.option("--ttl", metavar="DURATION", help="It expires so long after the last text or call; '' for never by that.")
@click.option(
    "--expires-at", metavar="TIME", callback=ahead_or_never, help="It expires then at the latest; '' for no such time."
)
@click.option(
    "--metadata",
    multiple=True,
    metavar="KEY=VALUE",
    callback=metadata,
    help="What you keep with it, in the place of what was there; '' for nothing.",
)
@click.option(
    "--participant",
    "people",
    multiple=True,
    metavar="NUMBER[,number=…][,name=…][,pin=…]",
    callback=changed,
    help="Who it is now, and the number, name or PIN to go on with, 'pin=' for none; also twice.",
)
@click.option(
    "--calls", metavar="JSON", callback=call_options, help=f"{_CALLS}; what it leaves out stays; '' for the settings'."
)
@remote
@json_document
def change(api: Api, session: str, people: list[dict[str, str | None]] | None, as_json: bool, **given: Any) -> None:
    """Change a live session: all that is said, or nothing.

    What waits to be sent to a participant's old number goes to the new one.

    \b
        gateway sessions change SESSION --ttl 24h
        gateway sessions change SESSION --participant "+12065550101,number=+12065550109"

    TIME is `2026-11-22 14:30` (UTC), RFC 3339, or a duration from now on, `2h`.
    """
    body = {name: value or None for name, value in without_none(**given).items()} | without_none(participants=people)
    if not body:
        raise click.UsageError("Say what to change: --ttl, --expires-at, --metadata, --calls or --participant.")
    _show(api.patch(path("sessions", session), body, _where), as_json)


@sessions.command()
@click.argument("session_ids", nargs=-1, required=True, metavar="SESSION...", shell_complete=completing.live_sessions)
@click.option("--reason", metavar="WORDS", help="Why, for you to read.")
@click.option("--text", metavar="TEXT", help="What everybody is told, in the place of its own end text.")
@click.option("--silent", is_flag=True, help="Tell nobody.")
@remote
@json_lines
def end(api: Api, session_ids: tuple[str, ...], text: str | None, silent: bool, as_json: bool, **given: Any) -> None:
    """End sessions.

    From then on late texts reach nobody.
    """
    if silent and text is not None:
        raise click.UsageError("--text and --silent are not for the same session.")
    body = without_none(text=text, **given) | ({"text": None} if silent else {})

    def do(session: str) -> None:
        ended = api.post(path("sessions", session, "end"), body, _where)
        if as_json:
            view.line(ended)
        else:
            click.echo(f"Ended {ended['id']}")

    one_by_one(session_ids, do)


@sessions.command()
@click.argument("session", shell_complete=completing.sessions)
@click.option("--expires-at", metavar="TIME", callback=ahead, help="It expires then at the latest. [default: never]")
@remote
@json_document
def reopen(api: Api, session: str, expires_at: str | None, as_json: bool) -> None:
    """Let an ended session go on, with the same people on the same masks.

    TIME is `2026-11-22 14:30` (UTC), RFC 3339, or a duration from now on, `2h`.
    """
    _show(api.post(path("sessions", session, "reopen"), without_none(expires_at=expires_at), _where), as_json)
