"""What can be changed of a session that is in progress: how long it lives, its metadata, who takes part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway import opening, sessions
from gateway.carrier import Carrier
from gateway.errors import PeopleRefused, StoreError
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be changed of a session; None: it stays."""

    lifetime: Lifetime | None = None  #: it counts as use of the session: the time to live begins anew
    metadata: str | None = field(default=None, repr=False)  #: JSON
    people: tuple[PersonChange, ...] = ()


def change(
    tx: Tx, session: Session, asked: Change, carriers: Mapping[str, Carrier], settings: Settings, now: int
) -> Session:
    """Change a session and return it as it is then.

    Raises `SessionOver`; `PeopleRefused` or `NoNumberFree` about one of `asked.people`, by its place there.
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
    return changed


def _change_itself(tx: Tx, session: Session, asked: Change, now: int) -> None:
    metadata = session.metadata if asked.metadata is None else asked.metadata
    if asked.lifetime is None and metadata == session.metadata:
        return
    life = asked.lifetime or Lifetime(ttl_ms=session.ttl_ms, deadline=session.deadline)
    expires_at = opening.expiry(life.ttl_ms, life.deadline, now) if asked.lifetime else session.expires_at
    tx.change_session(session.id, expires_at=expires_at, ttl_ms=life.ttl_ms, deadline=life.deadline, metadata=metadata)


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
    return session
