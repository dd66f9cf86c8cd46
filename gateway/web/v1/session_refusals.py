"""What is refused of requests to `/v1/sessions`, and the fields that are named for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
from gateway.records import Session
from gateway.web.v1.problems import INVALID, WISH_REFUSED, Refusal, Wrong, refusal_for
from gateway.web.v1.session_models import ChangeSession, OpenSession

STRANGER = "takes no part in this session"
BY_PHONE = "cannot be sent in a session by phone only"


def refuse(wrong: Sequence[Wrong]) -> None:
    """Raise the `Refusal` that names these fields, if there are any."""
    if wrong:
        raise Refusal(INVALID, "Nothing was changed. `errors` says what is wrong.", errors=wrong)


def past(expires_at: int | None, now: int) -> list[Wrong]:
    """Return what is wrong with an expiry (ms UTC)."""
    wrong = expires_at is not None and expires_at <= now
    return [Wrong(pointer="/expires_at", detail="is not in the future")] if wrong else []


def texts_unsaid(asked: OpenSession) -> list[Wrong]:
    """Return what is wrong with texts to people in a session by phone only."""
    if "text" in (asked.channels or ["text"]):
        return []
    texts = {"start_text": asked.start_text, "end_text": asked.end_text}
    return [Wrong(pointer=f"/{name}", detail=BY_PHONE) for name, text in texts.items() if text]


def not_in(session: Session, asked: ChangeSession) -> list[Wrong]:
    """Return which of the participants to change are none of the session's, or named twice."""
    people = [one.participant for one in asked.participants]
    there = {leg.participant for leg in session.legs}
    wrong = {place: STRANGER for place, person in enumerate(people) if person not in there}
    wrong |= {place: "is named twice" for place, person in enumerate(people) if person in people[:place]}
    return [Wrong(pointer=f"/participants/{place}/participant", detail=why) for place, why in sorted(wrong.items())]


@contextmanager
def pointing(*, mask: str = "mask") -> Iterator[None]:
    """Let errors of the block about one of `/participants`, or a wish of theirs, name its field.

    `mask` is the field that decided on which mask they are.
    """
    try:
        yield
    except (PeopleRefused, NoNumberFree, NumberUnknown, PairTaken, PinTaken, WishRefused) as error:
        # a mask that is none is no address that is not there: it is a wish that cannot be met
        refusal = refusal_for(
            error, type=WISH_REFUSED if isinstance(error, NumberUnknown) else None, errors=_fields(error, mask)
        )
        assert refusal is not None
        raise refusal from None


def _fields(error: GatewayError, mask: str) -> list[Wrong]:
    """Return the fields that an error is about, none where it is about the session as a whole."""
    if isinstance(error, PeopleRefused):
        found = sorted(error.wrong.items())
        return [Wrong(pointer=f"/participants/{place}/number", detail=why) for place, why in found]
    assert isinstance(error, StoreError)
    field = _wish(error, mask)
    if error.position is not None:
        pointer = "/".join(filter(None, [f"/participants/{error.position}", field]))
        return [Wrong(pointer=pointer, detail=str(error))]
    return [Wrong(pointer=f"/{field}" if field == "channels" else "/participants", detail=str(error))] if field else []


def _wish(error: StoreError, mask: str) -> str:
    """Return which field of a participant, or of the session, an error is about; "" for a participant as a whole."""
    if isinstance(error, WishRefused):
        return error.wish
    if isinstance(error, PinTaken):
        return "pin"
    return "" if isinstance(error, NoNumberFree) else mask
