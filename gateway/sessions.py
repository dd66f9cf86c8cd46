"""Sessions: open, find, extend, end, expire. What the APIs call; the store keeps them, and its constraint judges."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.errors import PeopleRefused, SessionOver, WishRefused
from gateway.masking import system_text, to_each
from gateway.records import Kind, Lease, Leg, MessageState, Origin, Outgoing, Session
from gateway.settings import Settings
from gateway.store import Tx

SAME_PERSON = "the participants of a session must be different people"
EXPIRED = "expired"  #: an expired session stays on the list of its mask until that is deleted
OUR_OWN = "a participant cannot be one of the pool's own numbers"

#: A text in one of these states was refused for good, by its carrier or its recipient.
REFUSED = frozenset({MessageState.FAILED, MessageState.SUPPRESSED})
#: A text in one of these states has not left us, and will not.
_UNSENT = REFUSED | {MessageState.EXPIRED, MessageState.BLOCKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session just opened, and the ids of the start texts that are on their way."""

    session: Session
    start_texts: tuple[int, ...] = ()


def open_exclusive(
    tx: Tx,
    people: Sequence[str],
    *,
    carrier: str,
    origin: Origin,
    expires_at: int | None,
    settings: Settings,
    now: int,
    start_text: str = "",
) -> Opened:
    """Open a session whose participants (E.164) share one free number of `carrier`, which nobody else is on.

    With `start_text`, it is sent to each. `expires_at` is ms UTC or None. Raises `InvalidNumber` for
    participants that cannot talk to each other, `NoNumberFree`.
    """
    refuse_people(tx, people)
    expire_due(tx, settings, now)
    wanted = Session(
        id=uuid.uuid4().hex,
        origin=origin,
        live=True,
        created_at=now,
        expires_at=expires_at,
        reason="",
        legs=tuple(Leg(participant=person, mask="", carrier="") for person in people),
    )
    session = tx.open_exclusive(wanted, carrier, strict=settings.quarantine_strict, now=now)
    tx.add_event("session.opened", now, session=session.id, mask=session.legs[0].mask, carrier=carrier)
    return Opened(session=session, start_texts=tell(tx, session, start_text, Kind.START, settings, now))


def refuse_people(tx: Tx, people: Sequence[str]) -> None:
    """Raise `PeopleRefused` for people (E.164) who cannot talk to each other."""
    wrong = {place: SAME_PERSON for place, person in enumerate(people) if person in people[:place]}
    wrong |= {place: OUR_OWN for place, person in enumerate(people) if tx.number(person)}
    if wrong:
        raise PeopleRefused(wrong)


def end(
    tx: Tx, session: Session, reason: str, settings: Settings, now: int, *, end_text: str | None = None, note: str = ""
) -> bool:
    """End a session and tell each participant `end_text`; None: the session's own. Return False if it had ended before.

    `reason` is ours (`ended`, `expired`, `refused`), `note` the application's own.
    """
    ended = tx.end_session(session.id, reason, now, settings.quarantine_ms, unlisted=reason != EXPIRED, note=note)
    if ended:
        tx.add_event(f"session.{reason}", now, session=session.id)
        tell(tx, session, session.end_text if end_text is None else end_text, Kind.END, settings, now)
    return ended


def extend(tx: Tx, session: str, expires_at: int | None, now: int) -> bool:
    """Put the expiry of a live session off, or nearer (ms UTC; None: never). Return False if it is over."""
    extended = tx.extend_session(session, expires_at, now)
    if extended:
        tx.add_event("session.extended", now, session=session)
    return extended


def refuse(tx: Tx, opened: Opened, settings: Settings, now: int) -> bool:
    """End a session whose start texts did not all get through. Return False if somebody else ended it before.

    A start text that has not left us is taken back; to whoever got one, or may have, goes the end text.
    """
    if not end(tx, opened.session, "refused", settings, now):
        return False
    kept = (tx.message(id) for id in opened.start_texts if not tx.cancel(id, "its session was refused", now))
    reached = {text.recipient for text in kept if text.state not in _UNSENT}
    legs = tuple(leg for leg in opened.session.legs if leg.participant in reached)
    tell_legs(tx, opened.session, legs, settings.session_end_msg, Kind.END, settings, now)
    return True


def clear(tx: Tx, mask: str, carrier: str, settings: Settings, now: int) -> int:
    """End every session on a mask of `carrier`, list none of those that were on it any more, and return how many ended.

    Nobody is told, but for the end text of a session that has one.
    """
    live = tx.live_on(mask, carrier)
    for session in live:
        end(tx, session, "ended", settings, now)
    tx.unlist(mask, carrier)
    return len(live)


def is_plain(session: Session, carrier: str) -> bool:
    """Return whether two people share one number of `carrier`: the only form of a session the inherited APIs know."""
    return len(session.legs) == 2 and all(
        (leg.mask, leg.carrier) == (session.legs[0].mask, carrier) for leg in session.legs
    )


def in_progress(tx: Tx, carrier: str, now: int) -> list[Session]:
    """Return the sessions in progress of two people who share one number of `carrier`, oldest first."""
    return [session for session in tx.sessions_of(carrier, now) if is_plain(session, carrier)]


def tell(tx: Tx, session: Session, text: str, kind: Kind, settings: Settings, now: int) -> tuple[int, ...]:
    """Queue a system text to every participant and return the messages' ids; nothing if `text` is blank."""
    return tell_legs(tx, session, session.legs, text, kind, settings, now)


def tell_legs(
    tx: Tx, session: Session, legs: tuple[Leg, ...], text: str, kind: Kind, settings: Settings, now: int
) -> tuple[int, ...]:
    """Queue a system text to some participants and return the messages' ids; nothing if `text` is blank."""
    if not text:
        return ()
    return _put(tx, to_each(legs, system_text(settings.org_name, text), kind, session.id), settings, now)


def _put(tx: Tx, outgoing: Sequence[Outgoing], settings: Settings, now: int) -> tuple[int, ...]:
    return tuple(
        tx.suppressed(one, now=now) or tx.enqueue(one, now=now, validity_ms=settings.validity_ms) for one in outgoing
    )


def say(
    tx: Tx,
    session: Session,
    legs: tuple[Leg, ...],
    text: str,
    carriers: Collection[str],
    settings: Settings,
    now: int,
) -> tuple[int, ...]:
    """Queue the application's own words to `legs` of a session, as they are; return the messages' ids.

    It counts as use of the session. `carriers`: those configured. Raises `SessionOver`, `WishRefused` where the session
    is by phone only, or the carrier of one of `legs` is not configured: what nobody sends must not be taken.
    """
    refuse_over(session, now)
    if not session.texts:
        raise WishRefused("the session is by phone only", "channels")
    for leg in legs:
        if leg.carrier not in carriers:
            raise WishRefused(f"the carrier of the mask, {leg.carrier}, is not configured", "carrier")
    tx.touch_session(session, now)
    return _put(tx, to_each(legs, text, Kind.APPLICATION, session.id), settings, now)


def refuse_over(session: Session, now: int) -> None:
    """Raise `SessionOver` unless a session is in progress."""
    if session.is_over(now):
        raise SessionOver("the session has ended")


def find(tx: Tx, mask: str, participant: str, settings: Settings, now: int) -> Lease | None:
    """Return the lease that says whom `participant` reaches by `mask`: live, quarantined, or none.

    A live one whose session is past its expiry is ended on the way.
    """
    lease = tx.find_lease(mask, participant, now)
    if lease is None or not lease.live or not lease.session.is_over(now):
        return lease
    end(tx, lease.session, EXPIRED, settings, now)
    return tx.find_lease(mask, participant, now)


def expire_due(tx: Tx, settings: Settings, now: int) -> int:
    """End the sessions past their expiry, a bounded number at a time, and return how many."""
    due = tx.due_sessions(now)
    for session in due:
        end(tx, session, EXPIRED, settings, now)
    return len(due)
