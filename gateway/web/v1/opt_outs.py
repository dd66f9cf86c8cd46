"""`/v1/opt-outs`: who wants no texts, from one of our numbers or from any."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gateway import opt_outs
from gateway.errors import NumberUnknown
from gateway.keys import Role
from gateway.records import OptedOut
from gateway.store import Tx
from gateway.web.context import Context
from gateway.web.v1 import paging
from gateway.web.v1.manners import reading, writing
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.paging import Page, Paging
from gateway.web.v1.people import ParticipantNumber
from gateway.web.v1.problems import BAD_CURSOR, NUMBER_UNKNOWN, OPT_OUT_UNKNOWN, Refusal, Wrong
from gateway.web.v1.types import E164, Input, Number, Output, Time


class OptOutPath(Input):
    number: Number = Field(description="The participant")


class ListOptOuts(Paging):
    participant: Number | None = None


class AddOptOut(Input):
    """Somebody who wants no texts."""

    participant: Number
    mask: Number | None = Field(None, description="From this number of the pool; left out: from any")


class WhichOptOut(Input):
    mask: Number | None = Field(None, description="The one from this number; left out: the one from any")


class OptOut(Output):
    """Somebody who wants no texts."""

    participant: ParticipantNumber
    mask: E164 | None = Field(description="From this number of ours; null: from any")
    created_at: Time


# --- handlers ---------------------------------------------------------------------------------------


def list_opt_outs(tx: Tx, call: Call[Nothing, ListOptOuts, Nothing]) -> Answer:
    limit = call.query.limit
    participant, mask = paging.after(call, str, str) or ("", "")
    rows = tx.opted_out_page(call.query.participant or "", (str(participant), str(mask)), limit + 1)
    page = rows[:limit]
    last = (page[-1].participant, page[-1].mask) if len(rows) > limit else None
    return Answer(body=Page[OptOut](data=[shown(row) for row in page], next=paging.write(call, last)))


def add_opt_out(tx: Tx, call: Call[Nothing, Nothing, AddOptOut]) -> Answer:
    asked = call.body
    try:
        row, news = opt_outs.add(tx, asked.participant, asked.mask or "", call.context.settings, call.now)
    except NumberUnknown as error:
        wrong = [Wrong(pointer="/mask", detail=str(error))]
        raise Refusal(NUMBER_UNKNOWN, "Nothing was changed.", errors=wrong) from None
    return Answer(status=201 if news else 200, body=shown(row))


def remove_opt_out(tx: Tx, call: Call[OptOutPath, WhichOptOut, Nothing]) -> Answer:
    opt_outs.remove(tx, call.path.number, call.query.mask or "", call.now)
    return Answer(status=204)


def shown(row: OptedOut) -> OptOut:
    """Return an opt-out as v1 shows it."""
    return OptOut(participant=row.participant, mask=row.mask or None, created_at=row.created_at)


# --- the table --------------------------------------------------------------------------------------


def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
    """Return what can be done with opt-outs."""
    return (
        Operation(
            method="GET",
            path="/v1/opt-outs",
            id="list_opt_outs",
            summary="List who wants no texts",
            description="By participant. Those who wrote STOP, those a carrier says have blocked a number, and those "
            "who were added here.",
            role=Role.READER,
            query=ListOptOuts,
            answers={200: Page[OptOut]},
            problems=(BAD_CURSOR,),
            handler=reading(list_opt_outs),
        ),
        Operation(
            method="POST",
            path="/v1/opt-outs",
            id="add_opt_out",
            summary="Take note that somebody wants no texts",
            description="201 if that is news, else 200. What waits for them is not sent; the others of their sessions "
            "are told, once, that texts do not arrive.",
            role=Role.OPERATOR,
            body=AddOptOut,
            answers={201: OptOut, 200: OptOut},
            problems=(NUMBER_UNKNOWN,),
            handler=writing(add_opt_out),
        ),
        Operation(
            method="DELETE",
            path="/v1/opt-outs/{number}",
            id="remove_opt_out",
            summary="Take note that somebody wants texts again",
            description="Have their word for it. A block that a carrier keeps stays there: it says so again when it "
            "is sent the next text.",
            role=Role.OPERATOR,
            params=OptOutPath,
            query=WhichOptOut,
            answers={204: None},
            problems=(OPT_OUT_UNKNOWN,),
            handler=writing(remove_opt_out),
        ),
    )
