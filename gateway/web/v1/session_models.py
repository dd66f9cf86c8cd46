"""The models of `/v1/sessions`: what is read and what is answered."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import Field

from gateway.opening import MOST_PEOPLE
from gateway.records import MessageState, Origin
from gateway.web.v1.call_options import CallOptions, ShownCallOptions
from gateway.web.v1.message_models import WrittenId
from gateway.web.v1.paging import Paging
from gateway.web.v1.people import ParticipantNumber
from gateway.web.v1.types import (
    E164,
    CarrierName,
    ChannelName,
    Channels,
    Duration,
    ExternalId,
    Input,
    Line,
    Metadata,
    Number,
    Output,
    PersonName,
    Pin,
    Region,
    SessionId,
    Text,
    Time,
    Ttl,
)

_TTL = "It expires so long after the last text or call"
_LATEST = "It expires then at the latest. Must be in the future"
_START = "Sent to everybody when it opens, after `[ORG_NAME]: `; left out: nobody is told"
_END = "Sent to everybody when it ends or expires, after `[ORG_NAME]: `; left out: nobody is told"
_PIN = (
    "4 to 15 digits. Who calls the mask from a number that is nobody's there, and types them, is taken for this "
    "participant in that call. Never answered; somebody else on the mask cannot have the same"
)
_NAME = "Stands before their texts where more than two take part, `Driver: …`"


class SessionState(str, Enum):
    LIVE = "live"
    ENDED = "ended"


class SessionPath(Input):
    id: SessionId


# --- what is read -----------------------------------------------------------------------------------


class OpenParticipant(Input):
    """Somebody who is to take part, and what is wished for their mask."""

    number: Number
    name: PersonName | None = Field(None, description=_NAME)
    mask: Number | None = Field(None, description="This number of the pool and no other")
    country: Region | None = Field(None, description="A mask of this country and no other")
    carrier: CarrierName | None = Field(None, description="A mask of this carrier and no other")
    pin: Pin | None = Field(None, description=_PIN)


class OpenSession(Input):
    """A session to open. Everybody gets a mask of their own, on which nobody else reaches them."""

    participants: list[OpenParticipant] = Field(min_length=2, max_length=MOST_PEOPLE)
    channels: Channels | None = Field(
        None,
        min_length=1,
        description="What it must carry, and what it is open for. Left out: texts it must carry; calls go through "
        "where the carriers can. With `voice`, all masks are of one carrier",
    )
    ttl: Ttl | None = Field(None, description=_TTL)
    expires_at: Time | None = Field(None, description=f"{_LATEST}. With neither, it lives until it is ended")
    external_id: ExternalId | None = Field(None, description="Your own name for it, unique among the live ones")
    metadata: Metadata | None = None
    calls: CallOptions | None = Field(None, description="How calls go")
    exclusive: bool = Field(False, description="All share one mask, and nobody else is on it while it lives")
    start_text: Text | None = Field(None, description=_START)
    end_text: Text | None = Field(None, description=_END)


class ChangeParticipant(Input):
    """What is to be changed of a participant. What is left out stays as it is; a number or name that is null, too."""

    participant: Number = Field(description="Who it is now")
    number: Number | None = Field(
        None, description="The number from which they go on; what waits to be sent to the old one goes there too"
    )
    name: PersonName | None = None
    pin: Pin | None = Field(None, description=f"{_PIN}; null: none from now on")


class ChangeSession(Input):
    """What is to be changed of a session. What is left out stays as it is."""

    ttl: Ttl | None = Field(None, description=f"{_TTL}, or after this change; null: it does not matter how long ago")
    expires_at: Time | None = Field(None, description=f"{_LATEST}; null: there is no such time. `ttl` begins anew")
    metadata: Metadata | None = Field(None, description="Put in the place of what was there; null: nothing")
    calls: CallOptions | None = Field(
        None,
        description="How calls go from now on. What is left out stays; what is null, the settings decide; null: all",
    )
    participants: list[ChangeParticipant] = Field(default=[], max_length=MOST_PEOPLE)


class EndSession(Input):
    """How a session is ended; nothing of it must be given."""

    reason: Line | None = Field(None, description="Why, in your own words, for you to read")
    text: Text | None = Field(
        None,
        description="Sent to everybody, after `[ORG_NAME]: `. Left out: the session's own `end_text`, if it has one; "
        "null: nobody is told",
    )


class ReopenSession(Input):
    expires_at: Time | None = Field(
        None, description=f"{_LATEST}. Left out: there is no such time; a `ttl` it has begins anew"
    )


class SendMessage(Input):
    """A text from the application to people in a session."""

    text: Text = Field(description="Sent as it is, with nothing before it, to each from their own mask")
    to: Number | None = Field(None, description="One participant; left out: all of them")


class ListSessions(Paging):
    state: SessionState | None = None
    participant: Number | None = None
    mask: Number | None = None
    external_id: ExternalId | None = None


# --- what is answered -------------------------------------------------------------------------------


class Leg(Output):
    """This participant reaches the others by texting or calling this mask."""

    participant: ParticipantNumber
    name: str | None
    mask: E164
    carrier: str = Field(description="Whose number the mask is")
    has_pin: bool = Field(description="Whether a PIN may stand for their number")


class Session(Output):
    """A conversation of two or more people."""

    id: SessionId
    state: SessionState
    legs: list[Leg]
    channels: list[ChannelName] = Field(description="What it is open for")
    exclusive: bool = Field(description="Whether nobody else is on its mask")
    calls: ShownCallOptions = Field(description="How calls go; null: as the settings say")
    external_id: str | None
    metadata: dict[str, Any]
    ttl: Duration | None = Field(description=_TTL)
    latest_expiry: Time | None = Field(description="When it expires at the latest: `expires_at` as it was asked for")
    expires_at: Time | None = Field(description="When it expires if it is not used before then; null: never")
    end_text: str | None = Field(description="What everybody is told when it ends")
    origin: Origin = Field(description="The API by which it was opened")
    created_at: Time
    ended_at: Time | None
    reason: str | None = Field(
        description="Why it ended: `ended` by request, `expired`, or `refused`: a start text of `POST /session` was"
    )
    note: str | None = Field(description="Why it was ended, in the words of whoever ended it")
    version: int = Field(description="What the ETag says. That an expiry is put off by use makes no new one")


class SentMessage(Output):
    """A text on its way to a participant."""

    id: WrittenId
    participant: ParticipantNumber
    mask: E164
    carrier: str
    state: MessageState = Field(description="`suppressed`: they want no texts, and it is not sent")


class SentMessages(Output):
    data: list[SentMessage]
