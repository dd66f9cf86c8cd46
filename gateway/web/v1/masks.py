"""`/v1/masks`: who is on a number of ours, and what would happen if somebody texted or called it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gateway import explain
from gateway.errors import NumberUnknown
from gateway.explain import Fate as Told
from gateway.explain import Reach as Reached
from gateway.keys import Role
from gateway.records import Holder as Record
from gateway.records import NumberState
from gateway.store import Tx
from gateway.web.context import Context
from gateway.web.v1 import paging
from gateway.web.v1.manners import reading
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.paging import Paging
from gateway.web.v1.people import ParticipantNumber
from gateway.web.v1.problems import BAD_CURSOR, NUMBER_UNKNOWN
from gateway.web.v1.types import E164, Input, Number, Output, SessionId, Time


class MaskPath(Input):
    number: Number


class AskFrom(Input):
    sender: Number = Field(alias="from", description="Who would text or call, as E.164; `+` is written %2B in a query")


class Holder(Output):
    """Somebody who is on a mask: whoever texts or calls it from this number is taken to mean this session."""

    participant: ParticipantNumber
    name: str | None
    session: SessionId
    state: Literal["live", "quarantined"]
    ended_at: Time | None = Field(description="Since when the pair is in quarantine")
    until: Time | None = Field(description="Until when")


class Mask(Output):
    """A number of ours and a page of those who are on it, by their numbers."""

    number: E164
    carrier: str | None = Field(description="Whose number it is; null: it has left the pool")
    state: NumberState | None
    data: list[Holder]
    next: str | None = Field(description="Send it as `cursor` for the next page; null: this is the last one")


class Reach(Output):
    """Somebody for whom a text or call would be."""

    participant: ParticipantNumber
    name: str | None
    mask: E164 = Field(description="From which they would get it")
    carrier: str
    reached: bool
    why: str


class Fate(Output):
    """What would become of a text, or of a call."""

    outcome: Literal["relayed", "connected", "asked", "answered", "refused", "ignored"] = Field(
        description="`asked`: for a PIN; who types somebody's is taken for them"
    )
    why: str
    words: str | None = Field(description="What whoever texts or calls would be told")
    reaches: list[Reach]


class Explanation(Output):
    """What would happen now."""

    mask: E164
    sender: ParticipantNumber
    carrier: str | None = Field(description="Whose number the mask is; null: it is none of ours")
    session: SessionId | None = Field(description="What the pair of mask and sender means")
    lease: Literal["live", "expired", "quarantined", "none"]
    text: Fate
    call: Fate


# --- handlers ---------------------------------------------------------------------------------------


def show_mask(tx: Tx, call: Call[MaskPath, Paging, Nothing]) -> Answer:
    number, limit = tx.number(call.path.number), call.query.limit
    (after,) = paging.after(call, str) or ("",)
    rows = tx.holders_page(call.path.number, str(after), limit + 1, call.now)
    if number is None and not rows and not after:
        raise NumberUnknown("the number is not in the pool")
    last = (rows[limit - 1].participant,) if len(rows) > limit else None
    return Answer(
        body=Mask(
            number=call.path.number,
            carrier=number.carrier if number else None,
            state=number.state if number else None,
            data=[_holder(row) for row in rows[:limit]],
            next=paging.write(call, last),
        )
    )


def explain_mask(tx: Tx, call: Call[MaskPath, AskFrom, Nothing]) -> Answer:
    context = call.context
    told = explain.explain(tx, call.path.number, call.query.sender, context.carriers, context.settings, call.now)
    return Answer(
        body=Explanation.model_validate(
            {
                "mask": told.mask,
                "sender": told.sender,
                "carrier": told.carrier or None,
                "session": told.session or None,
                "lease": told.lease,
                "text": _fate(told.text),
                "call": _fate(told.call),
            }
        )
    )


def _holder(row: Record) -> Holder:
    return Holder(
        participant=row.participant,
        name=row.name or None,
        session=row.session,
        state="live" if row.live else "quarantined",
        ended_at=row.ended_at,
        until=row.until,
    )


def _fate(told: Told) -> dict[str, Any]:
    reaches = [_reach(one) for one in told.reaches]
    return {"outcome": told.outcome, "why": told.why, "words": told.words or None, "reaches": reaches}


def _reach(one: Reached) -> dict[str, Any]:
    leg = {"participant": one.leg.participant, "mask": one.leg.mask, "carrier": one.leg.carrier}
    return leg | {"name": one.leg.name or None, "reached": one.reached, "why": one.why}


# --- the table --------------------------------------------------------------------------------------


def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
    """Return what can be asked of a mask."""
    return (
        Operation(
            method="GET",
            path="/v1/masks/{number}",
            id="show_mask",
            summary="Say who is on a mask",
            description="Live, and in quarantine after their session ended.",
            role=Role.READER,
            params=MaskPath,
            query=Paging,
            answers={200: Mask},
            problems=(NUMBER_UNKNOWN, BAD_CURSOR),
            handler=reading(show_mask),
        ),
        Operation(
            method="GET",
            path="/v1/masks/{number}/explain",
            id="explain_mask",
            summary="Say what would happen if somebody texted or called a mask now, and why",
            description="Nothing is sent, and no carrier asked.",
            role=Role.READER,
            params=MaskPath,
            query=AskFrom,
            answers={200: Explanation},
            handler=reading(explain_mask),
        ),
    )
