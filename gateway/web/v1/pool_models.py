"""The models of `/v1/pool`: what is read and what is answered."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from gateway.records import NumberState
from gateway.web.v1.paging import Paging
from gateway.web.v1.types import E164, CarrierName, ChannelName, Flag, Input, Line, Name, Number, Output, Region, Time

MOST = 500  #: numbers in one request


class Existing(str, Enum):
    """What to do about numbers that are in the pool already."""

    REFUSE = "refuse"
    SKIP = "skip"


class NumberPath(Input):
    number: Number


class AddNumber(Input):
    """A number of ours to put into the pool."""

    number: Number
    carrier: CarrierName = Field(description="Whose number it is")
    region: Region | None = Field(None, description="The country it is used for; left out: what the number says")
    label: Line = Field("", description="Your own words")


class ImportNumbers(Input):
    """Numbers of ours to put into the pool, all of them or none."""

    numbers: list[AddNumber] = Field(min_length=1, max_length=MOST)
    existing: Existing = Field(
        Existing.REFUSE,
        description="Numbers that are in the pool already, as the same carrier's: `refuse` the request, or `skip` them",
    )
    dry_run: bool = Field(False, description="Add nothing: say what would be added, and what is wrong")


class Imported(Output):
    """What became of the numbers of an import, in their order."""

    added: list[E164]
    existing: list[E164] = Field(description="Were in the pool already and stay as they are")


class ChangeNumber(Input):
    """What is left out, or null, stays as it is."""

    state: NumberState | None = Field(
        None, description="`draining`: no new sessions; `disabled`: not to be used. Live sessions go on"
    )
    region: Region | None = None
    label: Line | None = None


class PoolNumber(Output):
    """A number of the pool."""

    number: E164
    carrier: str
    region: str | None = Field(description="An ISO country, null where none is known")
    state: NumberState
    label: str
    in_use: bool = Field(description="Whether a live session is on it")
    live: int = Field(description="Live leases: pairs of this number and a participant")
    session: str | None = Field(description="The live session that has the number to itself")
    created_at: Time
    version: int = Field(description="What the ETag says: it goes up with each change of state, region or label")


class ListNumbers(Paging):
    carrier: Name | None = None
    region: Region | None = None
    state: NumberState | None = None
    label: Line | None = Field(None, description="Exactly this one; empty: those without")
    in_use: Flag | None = Field(None, description="Whether a live session is on it")


class ReadFigures(Input):
    carrier: Name | None = None
    region: Region | None = None
    channel: ChannelName | None = None


class NumberCounts(Output):
    active: int
    draining: int
    disabled: int


class LeaseCounts(Output):
    live: int
    quarantined: int


class ChannelFigures(Output):
    """How much of the numbers of one carrier in one country is in use. A number that carries both channels counts in
    the row of each, and so do its leases."""

    carrier: str
    region: str | None
    channel: ChannelName | None = Field(description="null: the carrier is not configured, its numbers carry nothing")
    numbers: NumberCounts
    leases: LeaseCounts
    most_conversations: int = Field(description="The most live conversations that one participant has at once")
    numbers_needed: int = Field(
        description="The numbers it takes for that: those that a session has to itself, and for whoever has the most "
        "conversations on shared numbers one each"
    )
    headroom: int = Field(
        description="How many more conversations anybody can have at once, whoever has the most included: active "
        "numbers that no session has to itself, less the most conversations one participant has on such"
    )


class Figures(Output):
    """The figures of the pool."""

    as_of: Time = Field(description="When it was counted: what takes long is kept for twenty times as long")
    data: list[ChannelFigures]
