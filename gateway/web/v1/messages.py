"""`/v1/messages`: what came in and what went out, what became of it, and sending again what came to nothing."""

from __future__ import annotations

from typing import Any

from gateway import replay
from gateway.errors import MessageUnknown, ReplayRefused
from gateway.keys import Role
from gateway.past import Change as ChangeRecord
from gateway.past import Received
from gateway.records import Message as Record
from gateway.records import MessageState
from gateway.store import LOOK, MessageFilter, Tx
from gateway.store.message_lists import FIRST_PAGE, RECEIVED
from gateway.web.context import Context
from gateway.web.v1 import paging
from gateway.web.v1.manners import reading, writing
from gateway.web.v1.message_models import (
    Change,
    Direction,
    ListMessages,
    ListSessionMessages,
    Message,
    MessageDetail,
    MessagePath,
    NotReplayed,
    ReplayMessages,
    Replays,
    SessionMessagesPath,
    State,
    written_id,
    written_out,
)
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.paging import Page
from gateway.web.v1.problems import BAD_CURSOR, MESSAGE_UNKNOWN, NOT_REPLAYED, SESSION_UNKNOWN

_ABOUT_PAGES = (
    "The latest first, what came in and what went out in one order. By session, participant, mask, time, or a state "
    f"that means it came to nothing, an index leads to each; of other filters a page looks at {LOOK:,} messages at "
    "most: it may hold fewer than `limit`, or none, while `next` is not null. Of what came in no words are kept."
)

# --- handlers ---------------------------------------------------------------------------------------


def list_messages(tx: Tx, call: Call[Nothing, ListMessages, Nothing]) -> Answer:
    asked = call.query
    return _page(tx, call, _filter(asked, asked.session or "", asked.mask or "", asked.carrier or ""))


def list_session_messages(tx: Tx, call: Call[SessionMessagesPath, ListSessionMessages, Nothing]) -> Answer:
    tx.session(call.path.id)
    return _page(tx, call, _filter(call.query, call.path.id))


def get_message(tx: Tx, call: Call[MessagePath, Nothing, Nothing]) -> Answer:
    direction, id = call.path.id
    if direction is Direction.INBOUND and (came := tx.inbound(id)) is not None:
        return Answer(body=_inbound_detail(tx, came))
    if direction is Direction.OUTBOUND and (sent := tx.outbound(id)) is not None:
        return Answer(body=_outbound_detail(tx, sent))
    raise MessageUnknown("there is no such message")


def replay_message(tx: Tx, call: Call[MessagePath, Nothing, Nothing]) -> Answer:
    direction, id = call.path.id
    if direction is Direction.INBOUND and tx.inbound(id) is not None:
        raise ReplayRefused("what came in cannot be sent again: what it gave rise to can")
    if direction is Direction.INBOUND:
        raise MessageUnknown("there is no such message")
    again = shown(replay.replay(tx, id, call.context.settings, call.now))
    return Answer(status=201, body=again, headers={"Location": f"/v1/messages/{again.id}"})


def replay_messages(tx: Tx, call: Call[Nothing, Nothing, ReplayMessages]) -> Answer:
    asked = call.body
    wanted = MessageFilter(
        direction="outbound",
        session=asked.session or "",
        participant=asked.participant or "",
        mask=asked.mask or "",
        carrier=asked.carrier or "",
        **_span(asked.since, asked.until),
    )
    at, _, id = (asked.after or "0.0").partition(".")
    states = [one.state for one in asked.states]
    done = replay.replay_all(tx, wanted, states, (int(at), int(id)), asked.limit, call.context.settings, call.now)
    return Answer(
        body=Replays(
            replayed=len(done.replayed),
            messages=[written_id(Direction.OUTBOUND, one) for one in done.replayed],
            replaced=[written_id(Direction.OUTBOUND, one) for one in done.replaced],
            refused=[
                NotReplayed(message=written_id(Direction.OUTBOUND, one.message), why=one.why) for one in done.refused
            ],
            next=".".join(map(str, done.after)) if done.after else None,
        )
    )


# --- from requests to filters, from records to models -------------------------------------------------


def _span(since: int | None, until: int | None) -> dict[str, Any]:
    return {"since": since or 0} | ({} if until is None else {"until": until})


def _filter(asked: ListSessionMessages, session: str, mask: str = "", carrier: str = "") -> MessageFilter:
    return MessageFilter(
        direction=asked.direction.value if asked.direction else "",
        state=asked.state.value if asked.state else "",
        participant=asked.participant or "",
        **_span(asked.since, asked.until),
        session=session,
        mask=mask,
        carrier=carrier,
    )


def _page(tx: Tx, call: Call[Any, Any, Any], wanted: MessageFilter) -> Answer:
    before = paging.after(call, int, int, int) or FIRST_PAGE
    at, kind, id = (int(part) for part in before)
    found, on = tx.message_page(wanted, (at, kind, id), call.query.limit)
    return Answer(body=Page[Message](data=[shown(one) for one in found], next=paging.write(call, on)))


def shown(one: Record | Received) -> Message:
    """Return a message as v1 shows it."""
    return Message(**_fields(one))


def _fields(one: Record | Received) -> dict[str, Any]:
    return _outbound(one) if isinstance(one, Record) else _inbound(one)


def _outbound(one: Record) -> dict[str, Any]:
    return {
        "id": written_id(Direction.OUTBOUND, one.id),
        "direction": Direction.OUTBOUND,
        "state": State(one.state.value),
        "kind": one.kind,
        "outcome": None,
        "session": one.session or None,
        "participant": one.recipient,
        "mask": one.mask,
        "carrier": one.carrier,
        "text": one.text,
        "media": list(one.media),
        "reason": one.reason,
        "code": one.code,
        "attempts": one.attempts,
        "carrier_ref": one.carrier_ref or None,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "expires_at": one.expires_at,
        "caused_by": None if one.inbox is None else written_id(Direction.INBOUND, one.inbox),
        "replay_of": written_out(one.replay_of),
        "replayed_as": written_out(one.replayed_as),
    }


def _inbound(one: Received) -> dict[str, Any]:
    nothing = dict.fromkeys(("kind", "text", "expires_at", "caused_by", "replay_of", "replayed_as"))
    return nothing | {
        "id": written_id(Direction.INBOUND, one.id),
        "direction": Direction.INBOUND,
        "state": State.RECEIVED,
        "outcome": one.outcome,
        "session": one.session or None,
        "participant": one.sender,
        "mask": one.mask,
        "carrier": one.carrier,
        "media": [],
        "reason": "",
        "code": "",
        "attempts": 0,
        "carrier_ref": one.carrier_ref or None,
        "created_at": one.received_at,
        "updated_at": one.received_at,
    }


def _outbound_detail(tx: Tx, one: Record) -> MessageDetail:
    history = [_first(one), *(_change(change) for change in tx.history(one.id))]
    return MessageDetail(**_outbound(one), history=history, gave_rise_to=[])


def _inbound_detail(tx: Tx, one: Received) -> MessageDetail:
    change = Change(at=one.received_at, cause="received", state=RECEIVED, reason=one.outcome, code="", attempt=None)
    caused = [written_id(Direction.OUTBOUND, id) for id in tx.caused_by(one)]
    return MessageDetail(**_inbound(one), history=[change], gave_rise_to=caused)


def _first(one: Record) -> Change:
    """Return how a message began. One that was never to be queued has no validity."""
    begun = MessageState.QUEUED if one.expires_at > one.created_at else one.state
    reason = "" if begun is MessageState.QUEUED else one.reason
    return Change(at=one.created_at, cause="enqueued", state=begun.value, reason=reason, code="", attempt=None)


def _change(one: ChangeRecord) -> Change:
    said: dict[str, Any] = {"cause": one.cause, "state": one.state, "reason": one.reason, "code": one.code}
    return Change(at=one.at, attempt=one.attempt or None, **said)


# --- the table --------------------------------------------------------------------------------------


def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
    """Return what can be done with messages."""
    return (
        Operation(
            method="GET",
            path="/v1/messages",
            id="list_messages",
            summary="List messages",
            description=_ABOUT_PAGES,
            role=Role.READER,
            query=ListMessages,
            answers={200: Page[Message]},
            problems=(BAD_CURSOR,),
            handler=reading(list_messages),
        ),
        Operation(
            method="POST",
            path="/v1/messages/replay",
            id="replay_messages",
            summary="Send again what came to nothing",
            description="Oldest first, each at the end of its lane, as it was, with a new validity. Refused one by one "
            "is what must not be sent again: its recipient is not in its session any more, or has opted out.",
            role=Role.OPERATOR,
            body=ReplayMessages,
            answers={200: Replays},
            handler=writing(replay_messages),
        ),
        Operation(
            method="GET",
            path="/v1/messages/{id}",
            id="get_message",
            summary="Get a message with its whole history",
            role=Role.READER,
            params=MessagePath,
            answers={200: MessageDetail},
            problems=(MESSAGE_UNKNOWN,),
            handler=reading(get_message),
        ),
        Operation(
            method="POST",
            path="/v1/messages/{id}/replay",
            id="replay_message",
            summary="Send a message again that came to nothing",
            description="A new message takes its place at the end of its lane, as it was, with a new validity. Refused "
            "if its recipient is not in its session any more, or has opted out; and the second time.",
            role=Role.OPERATOR,
            params=MessagePath,
            answers={201: Message},
            problems=(MESSAGE_UNKNOWN, NOT_REPLAYED),
            handler=writing(replay_message),
        ),
        Operation(
            method="GET",
            path="/v1/sessions/{id}/messages",
            id="list_session_messages",
            summary="List the messages of a session",
            description=_ABOUT_PAGES,
            role=Role.READER,
            params=SessionMessagesPath,
            query=ListSessionMessages,
            answers={200: Page[Message]},
            problems=(BAD_CURSOR, SESSION_UNKNOWN),
            handler=reading(list_session_messages),
        ),
    )
