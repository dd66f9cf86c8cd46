"""`/v1/calls`: who called which mask, how that went, and what was recorded of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gateway.errors import RecordingUnknown, SendError
from gateway.keys import Role
from gateway.past import Call as Record
from gateway.past import RecordingKept
from gateway.store import LOOK, CallFilter, Tx
from gateway.voice import recordings
from gateway.web.context import Context
from gateway.web.streams import open_stream
from gateway.web.v1 import paging
from gateway.web.v1.call_models import CallRecord, Outcome, State, shown
from gateway.web.v1.manners import reading
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.paging import GREATEST, Page, Paging
from gateway.web.v1.problems import BAD_CURSOR, CALL_UNKNOWN, CARRIER_OUT, RECORDING_UNKNOWN, Refusal
from gateway.web.v1.types import Input, Name, Number, RowId, SessionId


class CallPath(Input):
    id: RowId


class RecordingPath(CallPath):
    n: RowId


class ListCalls(Paging):
    session: SessionId | None = None
    participant: Number | None = Field(None, description="Who called, was rung, or whose PIN was used")
    mask: Number | None = None
    carrier: Name | None = None
    state: State | None = None
    outcome: Outcome | None = None


def list_calls(tx: Tx, call: Call[Nothing, ListCalls, Nothing]) -> Answer:
    asked = call.query
    wanted = CallFilter(
        session=asked.session or "",
        participant=asked.participant or "",
        mask=asked.mask or "",
        carrier=asked.carrier or "",
        state=asked.state or "",
        outcome=asked.outcome or "",
    )
    (before,) = paging.after(call, int) or (GREATEST,)
    found, last = tx.call_page(wanted, int(before), asked.limit)
    next = paging.write(call, None if last is None else (last,))
    return Answer(body=Page[CallRecord](data=[_shown(tx, one, call) for one in found], next=next))


def get_call(tx: Tx, call: Call[CallPath, Nothing, Nothing]) -> Answer:
    return Answer(body=_shown(tx, tx.find_call(call.path.id), call))


def _shown(tx: Tx, one: Record, call: Call[Any, Any, Any]) -> CallRecord:
    return shown(tx, one, call.context.settings.keep_recordings_ms, call.now)


def play_recording(call: Call[RecordingPath, Nothing, Nothing]) -> Answer:
    record, one = call.context.store.read(lambda tx: _find(tx, call))
    if not recordings.is_kept(record, one, call.context.settings.keep_recordings_ms, call.now):
        raise RecordingUnknown("there is nothing to be heard, or not any more")
    try:
        return Answer(body=open_stream(call.context, record, one))
    except SendError:
        detail = "The recording cannot be fetched at the moment."
        raise Refusal(CARRIER_OUT, detail) from None


def delete_recording(call: Call[RecordingPath, Nothing, Nothing]) -> Answer:
    store = call.context.store
    id = store.write(lambda tx: _to_delete(tx, call))
    recordings.delete_due(store, call.context.carriers, call.now, only=id)
    done = store.read(lambda tx: tx.recording(id)).state != "deleting"
    return Answer(status=204 if done else 202)


def _to_delete(tx: Tx, call: Call[RecordingPath, Nothing, Nothing]) -> int:
    _, one = _find(tx, call)
    if not tx.delete_recording(one.id, call.now) and one.state != "deleting":
        raise RecordingUnknown("there is nothing to be deleted, or not any more")
    return one.id


def _find(tx: Tx, call: Call[RecordingPath, Nothing, Nothing]) -> tuple[Record, RecordingKept]:
    record = tx.find_call(call.path.id)
    found = tx.recordings_of(record.id)
    if len(found) < call.path.n:
        raise RecordingUnknown("there is no such recording")
    return record, found[call.path.n - 1]


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
        Operation(
            method="GET",
            path="/v1/calls/{id}/recordings/{n}",
            id="play_recording",
            summary="Listen to a recording",
            description="Streamed from the carrier. `n` is what the call says of it.",
            role=Role.READER,
            params=RecordingPath,
            answers={200: None},
            problems=(CALL_UNKNOWN, RECORDING_UNKNOWN, CARRIER_OUT),
            handler=play_recording,
            media_type="audio/*",
        ),
        Operation(
            method="DELETE",
            path="/v1/calls/{id}/recordings/{n}",
            id="delete_recording",
            summary="Delete a recording, here and at the carrier",
            description="Nobody is given it from then on. 202: the carrier has not deleted it yet, and is asked again "
            "until it has; the event `recording.deleted` tells.",
            role=Role.OPERATOR,
            params=RecordingPath,
            answers={204: None, 202: None},
            problems=(CALL_UNKNOWN, RECORDING_UNKNOWN),
            handler=delete_recording,
        ),
    )
