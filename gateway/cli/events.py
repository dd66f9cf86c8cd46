"""`gateway events`: what happens, as it happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from gateway.cli import completing, view
from gateway.cli.api import PAGE, Api, path
from gateway.cli.frame import Exit, tell
from gateway.cli.options import json_lines, past, remote
from gateway.cli.refusals import Unavailable, named
from gateway.cli.view import moment, words

KINDS = (
    "call.answered", "call.connected", "call.ended", "call.missed", "call.refused", "carrier.paused", "carrier.resumed",
    "message.delivered", "message.expired", "message.failed", "message.parked", "message.received",
    "message.replayed", "message.sent", "message.suppressed", "message.undelivered", "number.unknown", "opt_in",
    "opt_out", "pool.low", "recording.deleted", "recording.kept", "recording.ready", "session.changed", "session.ended",
    "session.expired", "session.extended", "session.opened", "session.participant_replaced", "session.refused",
    "session.reopened",
)  # fmt: skip
WAIT = 25  #: seconds that one request waits for an event
PAUSE = 1.0  #: seconds before the next request, where the gateway did not wait, or was not there
_WIDE = max(map(len, KINDS))
_PATH = path("events")
_WHERE = named(after="--since", since="--since", kind="--kind", session="--session")


@click.group()
def events() -> None:
    """What happens, as it happens.

    Sessions opened and ended, messages sent and failed, carriers out and back.
    """


@events.command()
@click.option("--since", metavar="ID|TIME", help="Begin behind the event with this id, or at this time.")
@click.option("--from-start", is_flag=True, help="Begin with the oldest event there is.")
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(KINDS), metavar="KIND", help="Only of this kind; also twice."
)
@click.option("--session", metavar="SESSION", help="Only of this session.", shell_complete=completing.sessions)
@click.option("--no-follow", is_flag=True, help="End with the newest there is by now.")
@remote
@json_lines
def tail(
    api: Api,
    since: str | None,
    from_start: bool,
    kinds: tuple[str, ...],
    session: str | None,
    no_follow: bool,
    as_json: bool,
) -> None:
    """Print events as they happen, from now on, until Ctrl-C ends it.

    Nothing is passed over and nothing comes twice, also when the gateway is restarted meanwhile: that is said once, and
    it goes on where it was. TIME is `2026-11-22 14:30` (UTC), RFC 3339, or a duration before now, `2h`.

    A kind is a word as `message.failed`; an unknown one is answered with all there are.
    """
    if since is not None and from_start:
        raise click.UsageError("--since and --from-start are not for the same tail.")
    query = {"kind": ",".join(kinds) or None, "session": session, "limit": PAGE}
    try:
        for event in _Tail(api, query).events(_start(since, from_start, no_follow), follow=not no_follow):
            if as_json:
                view.line(event)
            else:
                click.echo(_in_words(event))
    except KeyboardInterrupt:
        click.get_current_context().exit(Exit.DONE)


def _start(since: str | None, from_start: bool, no_follow: bool) -> dict[str, Any]:
    """Return where the first page begins. Without following, `now` would be nothing: it is all there is."""
    if since is None:
        return {"after": "0" if from_start or no_follow else "latest"}
    if since.isdecimal():
        return {"after": since}
    context = click.get_current_context()
    return {"since": past(context, context.command.params[0], since)}


class _Tail:
    """A feed that is followed, whatever becomes of the gateway meanwhile."""

    def __init__(self, api: Api, query: dict[str, Any]) -> None:
        self._api = api
        self._query = query
        self._lost = False

    def events(self, start: dict[str, Any], *, follow: bool) -> Iterator[dict[str, Any]]:
        """Yield events, for ever, or those there are by now: others keep coming, and a filter may hide each of them.

        Raises `Unavailable` only before the first answer.
        """
        end = None if follow else int(self._api.get(_PATH, {"after": "latest", "limit": 1})["next"])
        page = self._api.get(_PATH, {**self._query, **start}, where=_WHERE)
        while True:
            yield from (one for one in page["data"] if end is None or one["id"] <= end)
            place = page["next"]
            if end is None:
                page = self._next(place)
            elif int(place) < end:
                page = self._api.get(_PATH, {**self._query, "after": place})
            else:
                return

    def _next(self, place: str) -> dict[str, Any]:
        """Return the next page, as soon as it can be had."""
        began = time.monotonic()
        query = {**self._query, "after": place, "wait": f"{WAIT}s"}
        while True:
            try:
                page = self._api.get(_PATH, query, wait=WAIT, patient=False)
            except Unavailable as error:
                self._say(lost=True, words=f"{error}. Trying until it answers")
                time.sleep(PAUSE)
                continue
            self._say(lost=False, words="it answers again")
            if not page["data"] and page["next"] == place and time.monotonic() - began < WAIT / 2:
                time.sleep(PAUSE)  # too many wait already, or it is about to stop
            return page

    def _say(self, *, lost: bool, words: str) -> None:
        if lost is not self._lost:
            self._lost = lost
            tell(words)


def _in_words(event: dict[str, Any]) -> str:
    """Return an event as a line: when, its id, its kind, and of the rest what it has."""
    about = [f"call {event['call']}"] if event["call"] is not None else []
    about += [event["message"]] if event["message"] else []
    about += [f"session {event['session']}"] if event["session"] else []
    about += [f"on {words(event['masks'])}"] if event["masks"] else []
    about += [f"at {event['carrier']}"] if event["carrier"] else []
    detail = f": {event['detail']}" if event["detail"] else ""
    return words(
        f"{moment(event['at'])}  {event['id']:>6}  {event['kind']:<{_WIDE}}  {', '.join(about)}{detail}"
    ).rstrip()
