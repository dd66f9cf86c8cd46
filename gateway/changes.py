"""What can be changed of a session in progress: how long it lives, how its calls go, its metadata, who takes part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway import opening, sessions
from gateway.carrier import Carrier
from gateway.errors import PeopleRefused, StoreError, WishRefused
from gateway.records import Session
from gateway.settings import Settings
from gateway.store import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """How long a session lives."""

    ttl_ms: int | None  #: so long after the last text or call, None: however long that is
    deadline: int | None  #: until then (ms UTC) whatever happens, None: no such time


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonChange:
    """What is to be changed of a participant; None: it stays."""

    position: int  #: of their leg
    number: str | None = field(default=None, repr=False)  #: E.164
    name: str | None = field(default=None, repr=False)
    pin: str | None = field(default=None, repr=False)  #: "": none from now on


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be changed of a session; None: it stays."""

    lifetime: Lifetime | None = None  #: it counts as use of the session: the time to live begins anew
    metadata: str | None = field(default=None, repr=False)  #: JSON
    call_options: str | None = field(default=None, repr=False)  #: JSON
    people: tuple[PersonChange, ...] = ()


def change(
    tx: Tx, session: Session, asked: Change, carriers: Mapping[str, Carrier], settings: Settings, now: int
) -> Session:
    """Change a session and return it as it is then.

    Raises `SessionOver`; `PeopleRefused`, `NoNumberFree`, `PairTaken`, `PinTaken` or `WishRefused` about one of
    `asked.people`, by its place there.
    """
    sessions.refuse_over(session, now)
    _change_itself(tx, session, asked, now)
    changed = tx.session(session.id)
    for place, person in enumerate(asked.people):
        try:
            changed = _with_person(tx, changed, person, carriers, settings, now)
        except PeopleRefused as error:
            raise PeopleRefused({place: str(error)}) from None
        except StoreError as error:
            error.position = place
            raise
    if asked.lifetime is None and changed == session:
        return session
    tx.raise_version(session.id)
    _tell(tx, session, changed, asked, now)
    return tx.session(session.id)


def _tell(tx: Tx, before: Session, after: Session, asked: Change, now: int) -> None:
    """Append the events of a change, but for that of another number, which is there already."""
    if asked.lifetime is not None:
        tx.add_event("session.extended", now, session=after.id)
    if _kept(before) != _kept(after):
        tx.add_event("session.changed", now, session=after.id)


def _kept(session: Session) -> tuple[object, ...]:
    """Return what a change of is told as `session.changed`."""
    people = [(leg.name, leg.pin) for leg in session.legs]
    return session.metadata, session.call_options, people


def _change_itself(tx: Tx, session: Session, asked: Change, now: int) -> None:
    wanted = replace(
        session,
        metadata=session.metadata if asked.metadata is None else asked.metadata,
        call_options=session.call_options if asked.call_options is None else asked.call_options,
    )
    if asked.lifetime is not None:
        life = asked.lifetime
        expires_at = opening.expiry(life.ttl_ms, life.deadline, now)
        wanted = replace(wanted, expires_at=expires_at, ttl_ms=life.ttl_ms, deadline=life.deadline)
    if asked.lifetime is not None or wanted != session:
        tx.change_session(wanted)


def _with_person(
    tx: Tx, session: Session, asked: PersonChange, carriers: Mapping[str, Carrier], settings: Settings, now: int
) -> Session:
    leg = session.legs[asked.position]
    if asked.number not in (None, leg.participant):
        assert asked.number is not None
        session = opening.replace_participant(tx, session, asked.position, asked.number, carriers, settings, now)
    if asked.name not in (None, leg.name):
        assert asked.name is not None
        tx.name_participant(session.id, asked.position, asked.name)
        session = tx.session(session.id)
    if asked.pin not in (None, leg.pin):
        assert asked.pin is not None
        _refuse_pin_of_another(session, asked.position, asked.pin)
        tx.set_pin(session.id, asked.position, asked.pin)
        session = tx.session(session.id)
    return session


def _refuse_pin_of_another(session: Session, position: int, pin: str) -> None:
    if pin and any(other.pin == pin for other in session.others(position)):
        raise WishRefused(opening.SAME_PIN, "pin")
