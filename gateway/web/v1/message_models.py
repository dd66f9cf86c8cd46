"""The models of `/v1/messages`: what is read and what is answered."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from gateway.records import Kind, MessageState
from gateway.web.v1.paging import Paging
from gateway.web.v1.people import Participant
from gateway.web.v1.types import Input, Name, Number, Output, SessionId, Time

MOST = 200  #: messages replayed in one request
_ID = re.compile("(in|out)-([1-9][0-9]{0,17})")
_PLACE = r"^[0-9]{1,18}\.[0-9]{1,18}$"

#: What became of a text that came in, as the inbox has it.
Outcome = Literal["relayed", "ended", "no_texts", "no_session", "unknown_number", "keyword"]
Cause = Literal["enqueued", "attempt", "receipt", "expiry", "opt_out", "cancel", "readdress", "take_over", "replay"]


class Direction(str, Enum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class State(str, Enum):
    """What has become of a message; of one that came in, `received`."""

    RECEIVED = "received"
    QUEUED = "queued"
    SENDING = "sending"
    UNCERTAIN = "uncertain"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    BLOCKED = "blocked"
    PARKED = "parked"


class Replayable(str, Enum):
    """What came to nothing, and can be sent again."""

    FAILED = "failed"
    PARKED = "parked"
    EXPIRED = "expired"
    UNDELIVERED = "undelivered"

    @property
    def state(self) -> MessageState:
        """The same, as the store has it."""
        return MessageState(self.value)


def _message_id(value: Any) -> tuple[Direction, int]:
    found = _ID.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("is not the id of a message, such as out-1 or in-1")
    return (Direction.INBOUND if found[1] == "in" else Direction.OUTBOUND), int(found[2])


def written_id(direction: Direction, id: int) -> str:
    """Return the id of a message as v1 writes it: `in-` and its place in the inbox, `out-` and that in the outbox."""
    return f"{'in' if direction is Direction.INBOUND else 'out'}-{id}"


def written_out(id: int | None) -> str | None:
    """Return the id of a message of the outbox as v1 writes it."""
    return None if id is None else written_id(Direction.OUTBOUND, id)


_ID_SCHEMA = {"type": "string", "pattern": "^(in|out)-[1-9][0-9]{0,17}$", "examples": ["out-1"]}
MessageId = Annotated[tuple[Direction, int], BeforeValidator(_message_id), WithJsonSchema(_ID_SCHEMA)]
WrittenId = Annotated[str, WithJsonSchema(_ID_SCHEMA)]


def _whole(value: Any) -> Any:
    """Return a whole number as one, also where JSON has it as `51.0`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole)]


class MessagePath(Input):
    id: MessageId


class SessionMessagesPath(Input):
    id: SessionId


# --- what is read -----------------------------------------------------------------------------------


class ListSessionMessages(Paging):
    direction: Direction | None = None
    state: State | None = None
    participant: Number | None = Field(None, description="Who wrote it, or whom it is for")
    since: Time | None = Field(None, description="Not before this time")
    until: Time | None = Field(None, description="Before this time")


class ListMessages(ListSessionMessages):
    session: SessionId | None = None
    mask: Number | None = None
    carrier: Name | None = None


def _some(states: list[Replayable]) -> list[Replayable]:
    if not states:
        raise ValueError("names no state")
    return states


class ReplayMessages(Input):
    """Which messages to send again."""

    states: Annotated[list[Replayable], AfterValidator(_some)] = Field(
        [Replayable.FAILED, Replayable.PARKED],
        min_length=1,
        max_length=4,
        description="`expired` ones never reached a carrier; `parked` and `undelivered` ones may have been read",
    )
    session: SessionId | None = None
    participant: Number | None = Field(None, description="Whom they are for")
    mask: Number | None = None
    carrier: Name | None = Field(None, description="Through which they were to go")
    since: Time | None = None
    until: Time | None = None
    limit: Count = Field(100, ge=1, le=MOST, description="The most messages looked at in one request")
    after: Annotated[str, StringConstraints(pattern=_PLACE)] | None = Field(
        None, description="`next` of the answer before"
    )


# --- what is answered -------------------------------------------------------------------------------


class Message(Output):
    """A text that came in or went out. Of one that came in no words are kept: what it gave rise to holds them."""

    id: WrittenId
    direction: Direction
    state: State
    kind: Kind | None = Field(description="Why it is sent; null: it came in")
    outcome: Outcome | None = Field(description="What it came to; null: it went out")
    session: str | None
    participant: Participant = Field(
        description="Whom it is for, or who wrote it: E.164, or the carrier's own word for them"
    )
    mask: str
    carrier: str
    text: str | None = Field(description="null: it came in")
    media: list[str]
    reason: str
    code: str = Field(description="The carrier's own")
    attempts: int
    carrier_ref: str | None
    created_at: Time
    updated_at: Time
    expires_at: Time | None = Field(description="Until when it is worth sending")
    caused_by: WrittenId | None = Field(description="The message that gave rise to it")
    replay_of: WrittenId | None = Field(description="The message it takes the place of")
    replayed_as: WrittenId | None = Field(description="The message that took its place")


class Change(Output):
    """What became of a message at one time."""

    at: Time
    cause: Cause | Literal["received"]
    state: str = Field(description="What it came to; of a receipt, what the carrier said")
    reason: str
    code: str
    attempt: int | None = Field(description="The number of the attempt")


class MessageDetail(Message):
    """A message with its whole history."""

    history: list[Change]
    gave_rise_to: list[WrittenId] = Field(description="The messages that went out because of it")


class NotReplayed(Output):
    message: WrittenId
    why: str


class Replays(Output):
    """What came of a replay by filter."""

    replayed: int
    messages: list[WrittenId] = Field(description="The new messages, in the order in which they go out")
    replaced: list[WrittenId] = Field(description="The messages whose place they take, in the same order")
    refused: list[NotReplayed] = Field(description="Messages that must not be sent again")
    next: str | None = Field(description="Send it as `after` to go on; null: that was all")
