"""What requests to `/v1/sessions` come to. The table of its operations is in sessions.py."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gateway import changes, opening
from gateway import sessions as core
from gateway.changes import Change, Lifetime, PersonChange
from gateway.errors import (
    GatewayError,
    NoNumberFree,
    NumberUnknown,
    PairTaken,
    PeopleRefused,
    PinTaken,
    StoreError,
    WishRefused,
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
from gateway.web.v1.problems import CANNOT_REOPEN, INVALID, WISH_REFUSED, Refusal, Wrong, refusal_for
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
    _refuse([*_past(asked.expires_at, call.now), *_texts_unsaid(asked)])
    with _pointing():
        opened = opening.open_session(tx, _opening(asked), context.carriers, context.settings, call.now)
    session = opened.session
    return _versioned(session, status=201, headers={"Location": f"/v1/sessions/{session.id}"})


def get_session(tx: Tx, call: Call[SessionPath, Nothing, Nothing]) -> Answer:
    return _versioned(tx.session(call.path.id))


def change_session(tx: Tx, call: Call[SessionPath, Nothing, ChangeSession]) -> Answer:
    session, context = tx.session(call.path.id), call.context
    check_version(call, session.version)
    core.refuse_over(session, call.now)
    _refuse([*_past(call.body.expires_at, call.now), *_not_in(session, call.body)])
    with _pointing():
        changed = changes.change(tx, session, _change(session, call.body), context.carriers, context.settings, call.now)
    return _versioned(changed)


def end_session(tx: Tx, call: Call[SessionPath, Nothing, EndSession]) -> Answer:
    session, asked = tx.session(call.path.id), call.body
    check_version(call, session.version)
    core.refuse_over(session, call.now)
    if asked.text and not session.texts:
        _refuse([Wrong(pointer="/text", detail=_BY_PHONE)])
    text = asked.text or "" if "text" in asked.model_fields_set else None
    core.end(tx, session, "ended", call.context.settings, call.now, end_text=text, note=asked.reason)
    return _versioned(tx.session(session.id))


def reopen_session(tx: Tx, call: Call[SessionPath, Nothing, ReopenSession]) -> Answer:
    session = tx.session(call.path.id)
    check_version(call, session.version)
    _refuse(_past(call.body.expires_at, call.now))
    try:
        again = opening.reopen(tx, session, call.body.expires_at, call.context.settings, call.now)
    except (NumberUnknown, PeopleRefused) as error:
        raise Refusal(CANNOT_REOPEN, f"Nothing was changed: {error}.") from None
    return _versioned(again)


def send_message(tx: Tx, call: Call[SessionPath, Nothing, SendMessage]) -> Answer:
    session, asked = tx.session(call.path.id), call.body
    legs = tuple(leg for leg in session.legs if asked.to in (None, leg.participant))
    if not legs:
        _refuse([Wrong(pointer="/to", detail=_STRANGER)])
    ids = core.say(tx, session, legs, asked.text, call.context.settings, call.now)
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
        metadata=_written(asked.metadata),
        start_text=asked.start_text or "",
        end_text=asked.end_text or "",
        call_options=call_options.written(asked.calls),
    )


def _person(asked: OpenParticipant) -> Person:
    return Person(
        number=asked.number,
        name=asked.name,
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


# --- what is refused --------------------------------------------------------------------------------

_STRANGER = "takes no part in this session"
_BY_PHONE = "cannot be sent in a session by phone only"


def _refuse(wrong: Sequence[Wrong]) -> None:
    if wrong:
        raise Refusal(INVALID, "Nothing was changed. `errors` says what is wrong.", errors=wrong)


def _past(expires_at: int | None, now: int) -> list[Wrong]:
    wrong = expires_at is not None and expires_at <= now
    return [Wrong(pointer="/expires_at", detail="is not in the future")] if wrong else []


def _texts_unsaid(asked: OpenSession) -> list[Wrong]:
    """Return what is wrong with texts to people in a session by phone only."""
    if "text" in (asked.channels or ["text"]):
        return []
    texts = {"start_text": asked.start_text, "end_text": asked.end_text}
    return [Wrong(pointer=f"/{name}", detail=_BY_PHONE) for name, text in texts.items() if text]


def _not_in(session: Session, asked: ChangeSession) -> list[Wrong]:
    people = [one.participant for one in asked.participants]
    there = {leg.participant for leg in session.legs}
    wrong = {place: _STRANGER for place, person in enumerate(people) if person not in there}
    wrong |= {place: "is named twice" for place, person in enumerate(people) if person in people[:place]}
    return [Wrong(pointer=f"/participants/{place}/participant", detail=why) for place, why in sorted(wrong.items())]


@contextmanager
def _pointing() -> Iterator[None]:
    """Let errors of the block about one of `/participants`, or a wish of theirs, name its field."""
    try:
        yield
    except (PeopleRefused, NoNumberFree, NumberUnknown, PairTaken, PinTaken, WishRefused) as error:
        # a mask that is none is no address that is not there: it is a wish that cannot be met
        refusal = refusal_for(
            error, type=WISH_REFUSED if isinstance(error, NumberUnknown) else None, errors=_fields(error)
        )
        assert refusal is not None
        raise refusal from None


def _fields(error: GatewayError) -> list[Wrong]:
    """Return the fields that an error is about, none where it is about the session as a whole."""
    if isinstance(error, PeopleRefused):
        found = sorted(error.wrong.items())
        return [Wrong(pointer=f"/participants/{place}/number", detail=why) for place, why in found]
    assert isinstance(error, StoreError)
    field = _wish(error)
    if error.position is not None:
        pointer = "/".join(filter(None, [f"/participants/{error.position}", field]))
        return [Wrong(pointer=pointer, detail=str(error))]
    return [Wrong(pointer=f"/{field}" if field == "channels" else "/participants", detail=str(error))] if field else []


def _wish(error: StoreError) -> str:
    """Return which field of a participant, or of the session, an error is about; "" for a participant as a whole."""
    if isinstance(error, WishRefused):
        return error.wish
    if isinstance(error, PinTaken):
        return "pin"
    return "" if isinstance(error, NoNumberFree) else "mask"


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
