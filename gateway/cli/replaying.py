"""What `gateway messages replay` does: it finds, asks, and says what became of each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from gateway.cli import view
from gateway.cli.api import PAGE, Api, path
from gateway.cli.frame import Exit
from gateway.cli.options import one_by_one
from gateway.cli.refusals import Where

STATES = ("failed", "parked", "expired", "undelivered")
UNLESS_SAID = ("failed", "parked")
MOST_COUNTED = 10_000  #: messages; more are not counted before the question is asked


def by_id(api: Api, ids: Sequence[str], where: Where, *, as_json: bool) -> None:
    """Replay messages one by one. What is refused of one is told, and the others go on."""

    def do(id: str) -> None:
        _tell(id, api.post(path("messages", id, "replay"), {}, where)["id"], as_json)

    one_by_one(ids, do)


def by_filter(
    api: Api, states: Sequence[str], chosen: Mapping[str, str], where: Where, *, sure: bool, as_json: bool
) -> None:
    """Replay all that a filter finds now; not what fails meanwhile, which may be the replays themselves."""
    count, newest = _found(api, states, chosen, where)
    if not count:
        click.echo("No messages.", err=True)
        return
    if not sure:
        ask(count, "message")
    refused = 0
    after: str | None = None
    bounds = {**chosen, "until": min(filter(None, (chosen.get("until"), just_after(newest))))}
    while True:
        done = api.post(
            path("messages", "replay"), {**bounds, "states": [*states], "limit": PAGE, "after": after}, where
        )
        for old, new in zip(done["replaced"], done["messages"], strict=True):
            _tell(old, new, as_json)
        for one in done["refused"]:
            _tell_refused(one, as_json)
        refused += len(done["refused"])
        after = done["next"]
        if after is None:
            break
    if refused:
        click.get_current_context().exit(Exit.NOT_ALL)


def _found(api: Api, states: Sequence[str], chosen: Mapping[str, str], where: Where) -> tuple[int, str]:
    """Return how many messages there are to be replayed, and when the latest of them was created."""
    count, newest = 0, ""
    for state in states:
        query = {**chosen, "state": state, "direction": "outbound"}
        for page in api.pages(path("messages"), query, MOST_COUNTED, where):
            rows = [row for row in page.rows if row["replayed_as"] is None]
            count += len(rows)
            newest = max(newest, *(row["created_at"] for row in rows), newest)
    return count, newest


def just_after(time: str) -> str:
    """Return the first time behind one of the API."""
    at = datetime.fromisoformat(time.replace("Z", "+00:00")) + timedelta(milliseconds=1)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ask(count: int, what: str) -> None:
    """Ask whether so many messages or callbacks shall be sent again; a no ends the command."""
    many = f"{count:,} or more {what}s" if count >= MOST_COUNTED else f"{count:,} {what}{'s' if count > 1 else ''}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{many} would be sent again, and there is nobody to ask: say --yes.")
    click.confirm(f"Send {many} again?", abort=True, err=True)


def _tell(old: str, new: str, as_json: bool) -> None:
    if as_json:
        view.line({"message": old, "replayed_as": new})
    else:
        click.echo(f"{old} is sent again, as {new}")


def _tell_refused(one: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        view.line({"message": one["message"], "replayed_as": None, "why": one["why"]})
    else:
        click.echo(f"{one['message']} is not sent again: {one['why']}")
