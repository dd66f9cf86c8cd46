"""`/v1/calls`: who called which mask, and what came of it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.keys import Role
from gateway.past import Call as Record
from gateway.store import LOOK, CallFilter, Tx
from gateway.web.context import Context
from gateway.web.v1 import paging
from gateway.web.v1.manners import reading
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.paging import GREATEST, Page, Paging
from gateway.web.v1.problems import BAD_CURSOR, CALL_UNKNOWN, Refusal
from gateway.web.v1.types import Input, Name, Number, Output, SessionId, Time

Outcome = Literal["connected", "refused"]


def _id(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch("[1-9][0-9]{0,17}", value):
        return int(value)
    raise ValueError("is not the id of a call")


CallId = Annotated[
    int,
    BeforeValidator(_id),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999_999, "examples": [1]}),
]


class CallPath(Input):
    id: CallId


class ListCalls(Paging):
    session: SessionId | None = None
    participant: Number | None = Field(None, description="Who called")
    mask: Number | None = None
    carrier: Name | None = None
    outcome: Outcome | None = None


class CallRecord(Output):
    """A call that somebody made to one of our numbers."""

    id: int
    session: str | None
    participant: str = Field(description="Who called: E.164, or the carrier's own word for them")
    mask: str
    carrier: str
    outcome: Outcome = Field(description="`connected`: the others of the session were to be rung")
    reason: str = Field(description="Why it was refused: `no_session`, `ended`, `no_calls`, `other_carrier`")
    carrier_ref: str | None
    at: Time


def list_calls(tx: Tx, call: Call[Nothing, ListCalls, Nothing]) -> Answer:
    asked = call.query
    wanted = CallFilter(
        session=asked.session or "",
        participant=asked.participant or "",
        mask=asked.mask or "",
        carrier=asked.carrier or "",
        outcome=asked.outcome or "",
    )
    (before,) = paging.after(call, int) or (GREATEST,)
    found, last = tx.call_page(wanted, int(before), asked.limit)
    next = paging.write(call, None if last is None else (last,))
    return Answer(body=Page[CallRecord](data=[shown(one) for one in found], next=next))


def get_call(tx: Tx, call: Call[CallPath, Nothing, Nothing]) -> Answer:
    found = tx.call(call.path.id)
    if found is None:
        raise Refusal(CALL_UNKNOWN, "There is no such call.")
    return Answer(body=shown(found))


def shown(one: Record) -> CallRecord:
    """Return a call as v1 shows it."""
    outcome: Outcome = "connected" if one.outcome == "connected" else "refused"
    return CallRecord(
        id=one.id,
        session=one.session or None,
        participant=one.caller,
        mask=one.mask,
        carrier=one.carrier,
        outcome=outcome,
        reason=one.reason,
        carrier_ref=one.carrier_ref or None,
        at=one.at,
    )


def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
    """Return what can be done with the record of calls."""
    return (
        Operation(
            method="GET",
            path="/v1/calls",
            id="list_calls",
            summary="List calls",
            description=f"The latest first. A page looks at {LOOK:,} calls at most, whatever the filters leave of "
            "them: it may hold fewer than `limit`, or none, while `next` is not null.",
            role=Role.READER,
            query=ListCalls,
            answers={200: Page[CallRecord]},
            problems=(BAD_CURSOR,),
            handler=reading(list_calls),
        ),
        Operation(
            method="GET",
            path="/v1/calls/{id}",
            id="get_call",
            summary="Get a call",
            role=Role.READER,
            params=CallPath,
            answers={200: CallRecord},
            problems=(CALL_UNKNOWN,),
            handler=reading(get_call),
        ),
    )
