"""`/v1/events`: what happened, in an order in which nothing can be passed over."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway.feed import EventFilter
from gateway.keys import Role
from gateway.kinds import KINDS, is_of_call, is_of_message, written_id
from gateway.store import LOOK, Row
from gateway.web.context import Context
from gateway.web.v1.message_models import WrittenId
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.types import E164, Duration, Input, Output, SessionId, Time, Whole

LATEST = "latest"
LONGEST_MS = 30_000
_LAST = -1  #: stands for `latest`


def _position(value: Any) -> int:
    if value == LATEST:
        return _LAST
    if isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value):
        return int(value)
    raise ValueError("is neither `next` of a page nor `latest`")


def _kinds(value: Any) -> frozenset[str]:
    names = frozenset(value.split(",")) if isinstance(value, str) else frozenset({""})
    if not names <= KINDS:
        raise ValueError("names a kind that there is not, or none")
    return names


def _short(value: int) -> int:
    if value > LONGEST_MS:
        raise ValueError("is longer than 30s")
    return value


_POSITION_SCHEMA = {"type": "string", "pattern": f"^([0-9]{{1,18}}|{LATEST})$", "examples": ["0"]}
Position = Annotated[int, BeforeValidator(_position), WithJsonSchema(_POSITION_SCHEMA)]
_ONE = "|".join(re.escape(kind) for kind in sorted(KINDS))
Kinds = Annotated[
    frozenset[str],
    BeforeValidator(_kinds),
    WithJsonSchema({"type": "string", "pattern": f"^({_ONE})(,({_ONE}))*$", "examples": ["message.failed"]}),
]

#: As short as may be: `Duration` knows of longer ones.
Wait = Annotated[
    Duration,
    AfterValidator(_short),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]{1,4}ms|([0-9]|[12][0-9]|30)s)$", "examples": ["1s"]}),
]


class ReadEvents(Input):
    after: Position | None = Field(
        None,
        description=f"`next` of the page before; left out: from the oldest; `{LATEST}`: only what comes from now on",
    )
    since: Time | None = Field(None, description="Where `after` is left out: begin with the first event from this time")
    limit: Whole = Field(50, ge=1, le=200, description="The most events of one page")
    wait: Wait | None = Field(
        None,
        description="Where there is none, wait for one, up to `30s`. With many waiting already, the answer is "
        "none at once",
    )
    kind: Kinds | None = Field(None, description="Of these kinds, comma-separated")
    session: SessionId | None = None


class Event(Output):
    """Something that happened. It names no participant and holds no text."""

    id: int
    at: Time
    kind: str
    session: str | None
    masks: list[E164]
    carrier: str | None
    message: WrittenId | None
    call: int | None
    detail: str


class Events(Output):
    """A page of the feed, oldest first."""

    data: list[Event]
    next: str = Field(description="Send it as `after` for what comes next. There is always one")


def list_events(call: Call[Nothing, ReadEvents, Nothing]) -> Answer:
    asked, feed = call.query, call.context.dispatcher.feed
    wanted = EventFilter(kinds=asked.kind or frozenset(), session=asked.session or "")
    after = feed.complete() if asked.after == _LAST else asked.after
    if after is None:
        after = 0 if asked.since is None else feed.before(asked.since)
    page = feed.read(wanted, after, asked.limit, (asked.wait or 0) / 1000)
    return Answer(body=Events(data=[shown(row) for row in page.events], next=str(page.last)))


def shown(row: Row) -> Event:
    """Return an event as v1 shows it."""
    kind, about = row["kind"], row["message"]
    return Event(
        id=row["id"],
        at=row["at"],
        kind=kind,
        session=row["session"] or None,
        masks=[mask for mask in row["mask"].split(", ") if mask],
        carrier=row["carrier"] or None,
        message=written_id(kind, about) if about is not None and is_of_message(kind) else None,
        call=about if is_of_call(kind) else None,
        detail=row["detail"],
    )


def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
    """Return what can be done with events."""
    return (
        Operation(
            method="GET",
            path="/v1/events",
            id="list_events",
            summary="Read the feed of events",
            description="Append-only, oldest first. Begin with no `after`, then send `next` of each answer: no event "
            f"is passed over and none comes twice. A page looks at {LOOK:,} events at most, whatever the filters leave "
            f"of them; it may be empty while there are more, so go on until you have what you want. Events are kept "
            "for `GATEWAY_KEEP`. Kinds: " + ", ".join(f"`{kind}`" for kind in sorted(KINDS)) + ".",
            role=Role.READER,
            query=ReadEvents,
            answers={200: Events},
            handler=list_events,
        ),
    )
