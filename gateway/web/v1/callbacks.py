"""`/v1/callbacks`: what each endpoint of `GATEWAY_CALLBACK_URL` is owed, what became of it, and sending it again."""

from __future__ import annotations

from typing import Any

from gateway.callbacks import replaying
from gateway.callbacks.records import Callback as Record
from gateway.callbacks.records import EndpointState
from gateway.errors import ReplayRefused
from gateway.keys import Role
from gateway.store import LOOK, CallbackFilter, Tx
from gateway.web.context import Context
from gateway.web.v1 import paging
from gateway.web.v1.callback_models import (
    Callback,
    CallbackDetail,
    CallbackEndpoint,
    CallbackEndpoints,
    CallbackNotReplayed,
    CallbackPath,
    CallbackReplays,
    ListCallbacks,
    ReplayCallbacks,
)
from gateway.web.v1.manners import reading, writing
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.paging import GREATEST, Page
from gateway.web.v1.problems import BAD_CURSOR, CALLBACK_NOT_REPLAYED, CALLBACK_UNKNOWN, Refusal


def list_callbacks(tx: Tx, call: Call[Nothing, ListCallbacks, Nothing]) -> Answer:
    asked = call.query
    wanted = CallbackFilter(
        endpoint=asked.endpoint or "", session=asked.session or "", kind=asked.kind or "", state=asked.state
    )
    (before,) = paging.after(call, int) or (GREATEST,)
    found, last = tx.callback_page(wanted, int(before), asked.limit)
    next = paging.write(call, None if last is None else (last,))
    return Answer(body=Page[Callback](data=[Callback(**_fields(one)) for one in found], next=next))


def get_callback(tx: Tx, call: Call[CallbackPath, Nothing, Nothing]) -> Answer:
    one = _known(tx, call.path.id)
    return Answer(body=CallbackDetail(**_fields(one), next_try=tx.next_try(one)))


def replay_callback(tx: Tx, call: Call[CallbackPath, Nothing, Nothing]) -> Answer:
    try:
        id = replaying.replay(tx, _known(tx, call.path.id), call.context.settings, call.now)
    except ReplayRefused as error:
        words = str(error)
        raise Refusal(CALLBACK_NOT_REPLAYED, f"{words[:1].upper()}{words[1:]}.") from None
    again = Callback(**_fields(_known(tx, id)))
    return Answer(status=201, body=again, headers={"Location": f"/v1/callbacks/{id}"})


def replay_callbacks(tx: Tx, call: Call[Nothing, Nothing, ReplayCallbacks]) -> Answer:
    asked = call.body
    wanted = CallbackFilter(
        endpoint=asked.endpoint or "",
        session=asked.session or "",
        kind=asked.kind or "",
        since=asked.since or 0,
        until=GREATEST if asked.until is None else asked.until,
    )
    done = replaying.replay_all(tx, wanted, int(asked.after or 0), asked.limit, call.context.settings, call.now)
    return Answer(
        body=CallbackReplays(
            replayed=len(done.replayed),
            callbacks=list(done.replayed),
            refused=[CallbackNotReplayed(callback=id, why=why) for id, why in done.refused.items()],
            next=None if done.after is None else str(done.after),
        )
    )


def list_endpoints(tx: Tx, call: Call[Nothing, Nothing, Nothing]) -> Answer:
    named = {endpoint.name for endpoint in call.context.settings.callback_endpoints}
    found = [_endpoint(tx, state, state.name in named, call.now) for state in tx.all_endpoints()]
    return Answer(body=CallbackEndpoints(data=found))


def _endpoint(tx: Tx, state: EndpointState, named: bool, now: int) -> CallbackEndpoint:
    out, held = state.circuit.is_open, state.held_until > now
    until = state.circuit.probe_at if out else state.held_until
    return CallbackEndpoint(
        name=state.name,
        state="gone" if not named else "out" if out else "held" if held else "ready",
        reason=state.circuit.why if named else "",
        next_try=until if named and (out or held) else None,
        backlog=tx.callbacks_waiting(state.name),
    )


def _known(tx: Tx, id: int) -> Record:
    one = tx.callback(id)
    if one is None:
        raise Refusal(CALLBACK_UNKNOWN, "There is no such callback.")
    return one


def _fields(one: Record) -> dict[str, Any]:
    return {
        "id": one.id,
        "endpoint": one.endpoint,
        "event": one.event,
        "kind": one.kind,
        "session": one.session or None,
        "webhook_id": one.webhook_id,
        "state": one.state,
        "attempts": one.attempts,
        "status": one.status or None,
        "reason": one.reason,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "expires_at": one.expires_at,
        "replay_of": one.replay_of,
        "replayed_as": one.replayed_as,
    }


def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
    """Return what can be done with callbacks."""
    return (
        Operation(
            method="GET",
            path="/v1/callbacks",
            id="list_callbacks",
            summary="List callbacks",
            description="Each event is POSTed to each endpoint of `GATEWAY_CALLBACK_URL`. The latest first. A page "
            f"looks at {LOOK:,} callbacks at most, whatever the filters leave of them: it may hold fewer than "
            "`limit`, or none, while `next` is not null.",
            role=Role.READER,
            query=ListCallbacks,
            answers={200: Page[Callback]},
            problems=(BAD_CURSOR,),
            handler=reading(list_callbacks),
        ),
        Operation(
            method="POST",
            path="/v1/callbacks/replay",
            id="replay_callbacks",
            summary="Send dead callbacks again",
            description="Oldest first, each at the end of its session's line, with the `webhook-id` and the body it "
            "had and a new validity.",
            role=Role.OPERATOR,
            body=ReplayCallbacks,
            answers={200: CallbackReplays},
            handler=writing(replay_callbacks),
        ),
        Operation(
            method="GET",
            path="/v1/callbacks/endpoints",
            id="list_callback_endpoints",
            summary="Say how the endpoints stand",
            role=Role.READER,
            answers={200: CallbackEndpoints},
            handler=reading(list_endpoints),
        ),
        Operation(
            method="GET",
            path="/v1/callbacks/{id}",
            id="get_callback",
            summary="Get a callback",
            role=Role.READER,
            params=CallbackPath,
            answers={200: CallbackDetail},
            problems=(CALLBACK_UNKNOWN,),
            handler=reading(get_callback),
        ),
        Operation(
            method="POST",
            path="/v1/callbacks/{id}/replay",
            id="replay_callback",
            summary="Send a dead callback again",
            description="A new one takes its place at the end of its session's line, with the same `webhook-id` and "
            "body and a new validity. Refused the second time, and where its endpoint is not in the settings any more.",
            role=Role.OPERATOR,
            params=CallbackPath,
            answers={201: Callback},
            problems=(CALLBACK_UNKNOWN, CALLBACK_NOT_REPLAYED),
            handler=writing(replay_callback),
        ),
    )
