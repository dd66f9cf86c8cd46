"""What requests to `/v1/sessions` come to. The table of its operations is in sessions.py."""

from __future__ import annotations

import json

from gateway import changes, opening
from gateway import sessions as core
from gateway.changes import Change, Lifetime, PersonChange
from gateway.errors import (
    NumberUnknown,
    PeopleRefused,
)
from gateway.messages import Channel
from gateway.opening import Opening, Person
from gateway.records import Session
from gateway.store import Tx
from gateway.store.session_lists import SessionFilter
from gateway.web.v1 import call_options, paging
from gateway.web.v1.channels import channel_names
from gateway.web.v1.manners import check_version, etag
from gateway.web.v1.message_models import Direction, written_id
from gateway.web.v1.operations import Answer, Call, Nothing
from gateway.web.v1.problems import CANNOT_REOPEN, Refusal, Wrong
from gateway.web.v1.session_models import (
    ChangeParticipant,
    ChangeSession,
    EndSession,
    ListSessions,
    OpenParticipant,
    OpenSession,
    ReopenSession,
    SendMessage,
    SentMessage,
    SentMessages,
    SessionPath,
)
from gateway.web.v1.session_models import Leg as ShownLeg
from gateway.web.v1.session_models import Session as Shown
from gateway.web.v1.session_models import SessionState as State
from gateway.web.v1.session_refusals import BY_PHONE, STRANGER, not_in, past, pointing, refuse, texts_unsaid

_NEEDS = {"text": Channel.SMS, "voice": Channel.VOICE}


# --- handlers ---------------------------------------------------------------------------------------


def list_sessions(tx: Tx, call: Call[Nothing, ListSessions, Nothing]) -> Answer:
    asked = call.query
    wanted = SessionFilter(
        state=asked.state.value if asked.state else "",
        external_id=asked.external_id or "",
        participant=asked.participant or "",
        mask=asked.mask or "",
    )
    (before,) = paging.after(call, int) or (paging.GREATEST,)
    found, on = tx.session_page(wanted, int(before), asked.limit)
    next = paging.write(call, None if on is None else (on,))
    return Answer(body=paging.Page[Shown](data=[shown(one) for one in found], next=next))


def open_session(tx: Tx, call: Call[Nothing, Nothing, OpenSession]) -> Answer:
    asked, context = call.body, call.context
    refuse([*past(asked.expires_at, call.now), *texts_unsaid(asked)])
    with pointing():
        opened = opening.open_session(tx, _opening(asked), context.carriers, context.settings, call.now)
    session = opened.session
    return _versioned(session, status=201, headers={"Location": f"/v1/sessions/{session.id}"})


def get_session(tx: Tx, call: Call[SessionPath, Nothing, Nothing]) -> Answer:
    return _versioned(tx.session(call.path.id))


def change_session(tx: Tx, call: Call[SessionPath, Nothing, ChangeSession]) -> Answer:
    session, context = tx.session(call.path.id), call.context
    check_version(call, session.version)
    core.refuse_over(session, call.now)
    refuse([*past(call.body.expires_at, call.now), *not_in(session, call.body)])
    with pointing(mask="number"):  # a mask is wished for when a session is opened only
        changed = changes.change(tx, session, _change(session, call.body), context.carriers, context.settings, call.now)
    return _versioned(changed)


def end_session(tx: Tx, call: Call[SessionPath, Nothing, EndSession]) -> Answer:
    session, asked = tx.session(call.path.id), call.body
    check_version(call, session.version)
    core.refuse_over(session, call.now)
    if asked.text and not session.texts:
        refuse([Wrong(pointer="/text", detail=BY_PHONE)])
    text = asked.text or "" if "text" in asked.model_fields_set else None
    core.end(tx, session, "ended", call.context.settings, call.now, end_text=text, note=asked.reason or "")
    return _versioned(tx.session(session.id))


def reopen_session(tx: Tx, call: Call[SessionPath, Nothing, ReopenSession]) -> Answer:
    session = tx.session(call.path.id)
    check_version(call, session.version)
    refuse(past(call.body.expires_at, call.now))
    try:
        again = opening.reopen(tx, session, call.body.expires_at, call.context.settings, call.now)
    except (NumberUnknown, PeopleRefused) as error:
        raise Refusal(CANNOT_REOPEN, f"Nothing was changed: {error}.") from None
    return _versioned(again)


def send_message(tx: Tx, call: Call[SessionPath, Nothing, SendMessage]) -> Answer:
    session, asked = tx.session(call.path.id), call.body
    legs = tuple(leg for leg in session.legs if asked.to in (None, leg.participant))
    if not legs:
        refuse([Wrong(pointer="/to", detail=STRANGER)])
    ids = core.say(tx, session, legs, asked.text, call.context.carriers, call.context.settings, call.now)
    data = [
        SentMessage(
            id=written_id(Direction.OUTBOUND, m.id),
            participant=m.recipient,
            mask=m.mask,
            carrier=m.carrier,
            state=m.state,
        )
        for m in map(tx.message, ids)
    ]
    return Answer(status=201, body=SentMessages(data=data))


# --- from models to what the core takes -------------------------------------------------------------


def _opening(asked: OpenSession) -> Opening:
    channels = asked.channels or ["text", "voice"]
    return Opening(
        people=tuple(_person(one) for one in asked.participants),
        texts="text" in channels,
        calls="voice" in channels,
        needs=frozenset(_NEEDS[channel] for channel in asked.channels or ["text"]),
        exclusive=asked.exclusive,
        ttl_ms=asked.ttl,
        deadline=asked.expires_at,
        external_id=asked.external_id or "",
        metadata=_written(asked.metadata or {}),
        start_text=asked.start_text or "",
        end_text=asked.end_text or "",
        call_options=call_options.written(asked.calls) if asked.calls else "",
    )


def _person(asked: OpenParticipant) -> Person:
    return Person(
        number=asked.number,
        name=asked.name or "",
        mask=asked.mask or "",
        country=asked.country or "",
        carrier=asked.carrier or "",
        pin=asked.pin or "",
    )


def _change(session: Session, asked: ChangeSession) -> Change:
    sent = asked.model_fields_set
    lifetime = Lifetime(
        ttl_ms=asked.ttl if "ttl" in sent else session.ttl_ms,
        deadline=asked.expires_at if "expires_at" in sent else session.deadline,
    )
    places = {leg.participant: leg.position for leg in session.legs}
    return Change(
        lifetime=lifetime if sent & {"ttl", "expires_at"} else None,
        metadata=_written(asked.metadata or {}) if "metadata" in sent else None,
        call_options=_calls(session, asked) if "calls" in sent else None,
        people=tuple(_person_change(places[one.participant], one) for one in asked.participants),
    )


def _person_change(position: int, asked: ChangeParticipant) -> PersonChange:
    pin = asked.pin or "" if "pin" in asked.model_fields_set else None
    return PersonChange(position=position, number=asked.number, name=asked.name, pin=pin)


def _calls(session: Session, asked: ChangeSession) -> str:
    return call_options.written(asked.calls, session.call_options) if asked.calls is not None else ""


def _written(metadata: dict[str, object]) -> str:
    return json.dumps(metadata, ensure_ascii=False) if metadata else ""


# --- from records to models -------------------------------------------------------------------------


def _versioned(session: Session, *, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status=status, body=shown(session), headers=(headers or {}) | {"ETag": etag(session.version)})


def shown(session: Session) -> Shown:
    """Return a session as v1 shows it."""
    return Shown(
        id=session.id,
        state=State.LIVE if session.live else State.ENDED,
        legs=[
            ShownLeg(
                participant=leg.participant,
                name=leg.name or None,
                mask=leg.mask,
                carrier=leg.carrier,
                has_pin=bool(leg.pin),
            )
            for leg in session.legs
        ],
        channels=channel_names(texts=session.texts, calls=session.calls),
        exclusive=session.exclusive,
        calls=call_options.shown(session.call_options),
        external_id=session.external_id or None,
        metadata=json.loads(session.metadata) if session.metadata else {},
        ttl=session.ttl_ms,
        latest_expiry=session.deadline,
        expires_at=session.expires_at,
        end_text=session.end_text or None,
        origin=session.origin,
        created_at=session.created_at,
        ended_at=session.ended_at,
        reason=session.reason or None,
        note=session.note or None,
        version=session.version,
    )
