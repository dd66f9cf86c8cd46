"""Open a session as our own API asks for one: two or more people, each with a mask of their own unless it is exclusive.

Wishes that cannot be met are refused before anything is written; what nobody wished for is chosen by design 6.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway import sessions
from gateway.carrier import Carrier
from gateway.errors import ExternalIdTaken, NoNumberFree, PeopleRefused, SessionLive, WishRefused
from gateway.messages import Channel
from gateway.numbers import area, is_never_rung, region
from gateway.records import Kind, Origin, Session, Wish
from gateway.sessions import Opened
from gateway.settings import Settings
from gateway.store import Tx

MOST_PEOPLE = 20  #: in one session: each text goes out once for each of the others
NEVER_RUNG = (
    "an emergency, premium, satellite, personal or short number is never called: leave voice out of the channels"
)
SAME_PIN = "another participant of the session has this PIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is to take part, and what is wished for their leg."""

    number: str = field(repr=False)  #: E.164
    name: str = field(default="", repr=False)  #: stands before their texts in a group
    pin: str = field(
        default="", repr=False
    )  #: 4 to 15 digits, typed by whoever calls from elsewhere; "": there is none
    mask: str = ""  #: E.164; "": any that will do
    country: str = ""  #: ISO, of the mask
    carrier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A session that is asked for. Times are ms UTC."""

    people: tuple[Person, ...]
    texts: bool = True
    calls: bool = True
    needs: frozenset[Channel] = frozenset({Channel.SMS})  #: what every leg's carrier must have
    exclusive: bool = False
    ttl_ms: int | None = None  #: from the last text or call on
    deadline: int | None = None
    external_id: str = ""
    metadata: str = field(default="", repr=False)  #: JSON
    start_text: str = field(default="", repr=False)
    end_text: str = field(default="", repr=False)
    call_options: str = field(
        default="", repr=False
    )  #: JSON, as `voice.policy.CallOptions`: what the settings do not decide


def open_session(tx: Tx, asked: Opening, carriers: Mapping[str, Carrier], settings: Settings, now: int) -> Opened:
    """Open a session, and tell everybody the start text if there is one.

    Raises `PeopleRefused` for people who cannot talk to each other, `WishRefused` for what no configured carrier or
    number can do, `ExternalIdTaken`, `PairTaken`, `PinTaken`, `NumberUnknown`, `NoNumberFree`: then nothing was opened.
    """
    sessions.refuse_people(tx, [person.number for person in asked.people])
    _refuse_pins(asked)
    if asked.calls:
        refuse_never_rung([person.number for person in asked.people])
    sessions.expire_due(tx, settings, now)
    _refuse_taken(tx, asked.external_id, settings, now)
    asked = _with_carriers_of_masks(tx, asked)
    session = _allocate(tx, asked, capable(asked, carriers), settings, now)
    masks, names = {leg.mask for leg in session.legs}, {leg.carrier for leg in session.legs}
    carrier = min(names) if len(names) == 1 else ""
    tx.add_event("session.opened", now, session=session.id, mask=", ".join(sorted(masks)), carrier=carrier)
    return Opened(session=session, start_texts=sessions.tell(tx, session, asked.start_text, Kind.START, settings, now))


def refuse_never_rung(people: Sequence[str]) -> None:
    """Raise `PeopleRefused` for people (E.164) who must not be called."""
    if wrong := {place: NEVER_RUNG for place, person in enumerate(people) if is_never_rung(person)}:
        raise PeopleRefused(wrong)


def _refuse_pins(asked: Opening) -> None:
    """Raise `WishRefused` for a PIN that two of them have: their masks may be one."""
    pins = [person.pin for person in asked.people]
    for place, pin in enumerate(pins):
        if pin and pin in pins[:place]:
            raise WishRefused(SAME_PIN, "pin", place)


def _refuse_taken(tx: Tx, external_id: str, settings: Settings, now: int) -> None:
    """Raise `ExternalIdTaken` if a session in progress bears an external id. One past its expiry is ended."""
    taken = tx.live_with_external_id(external_id) if external_id else ""
    if not taken:
        return
    there = tx.session(taken)
    if not there.is_over(now):
        raise ExternalIdTaken(taken)
    sessions.end(tx, there, sessions.EXPIRED, settings, now)


def _with_carriers_of_masks(tx: Tx, asked: Opening) -> Opening:
    """Return the request with the carrier of each mask that is wished for. Raises `NumberUnknown`, `WishRefused`."""
    people = []
    for place, person in enumerate(asked.people):
        found = tx.number(person.mask) if person.mask else None
        if person.carrier and found is not None and found.carrier != person.carrier:
            raise WishRefused(f"the mask is no number of {person.carrier}", "mask", place)
        people.append(replace(person, carrier=found.carrier) if found is not None else person)
    return replace(asked, people=tuple(people))


def capable(asked: Opening, carriers: Mapping[str, Carrier]) -> list[str]:
    """Return the configured carriers that can carry all that a session must carry. Raises `WishRefused`."""
    fit = [name for name, carrier in carriers.items() if asked.needs <= carrier.channels]
    if not fit:
        words = " and ".join(sorted(channel.value for channel in asked.needs))
        raise WishRefused(f"no configured carrier has {words}", "channels")
    for place, person in enumerate(asked.people):
        if person.carrier and person.carrier not in fit:
            words = f"the carrier {person.carrier} is not configured, or cannot carry this session"
            raise WishRefused(words, "mask" if person.mask else "carrier", place)
    return fit


def _allocate(tx: Tx, asked: Opening, fit: Sequence[str], settings: Settings, now: int) -> Session:
    """Open it on the first choice of carriers that has numbers for everybody."""
    refusal = NoNumberFree("no number of the pool is free for these participants")
    for carriers in _choices(asked, fit):
        wishes = [_wish(person, carriers) for person in asked.people]
        allocate = tx.open_alone if asked.exclusive else tx.open_shared
        try:
            return allocate(_blank(asked, now), wishes, strict=settings.quarantine_strict, now=now)
        except NoNumberFree as error:
            refusal = error
    raise refusal


def _choices(asked: Opening, fit: Sequence[str]) -> list[list[str]]:
    """Return which carriers may serve the legs: where they must be of one carrier, each by itself.

    A call can be connected only at the carrier it came in by.
    """
    if Channel.VOICE not in asked.needs and not asked.exclusive:
        return [list(fit)]
    named = sorted({person.carrier for person in asked.people if person.carrier})
    if len(named) > 1:
        what = "one mask for all" if asked.exclusive else "calls"
        words = f"a session with {what} stays at one carrier, and more are wished for: {', '.join(named)}"
        raise WishRefused(words, "carrier")
    return [named] if named else [[name] for name in fit]


def _wish(person: Person, carriers: Sequence[str]) -> Wish:
    return Wish(
        participant=person.number,
        name=person.name,
        pin=person.pin,
        carriers=(person.carrier,) if person.carrier else tuple(carriers),
        mask=person.mask,
        country=person.country,
        home=region(person.number),
        area=area(person.number),
    )


def _blank(asked: Opening, now: int) -> Session:
    """Return the session that is asked for, without its legs."""
    return Session(
        id=uuid.uuid4().hex,
        origin=Origin.V1,
        live=True,
        created_at=now,
        expires_at=expiry(asked.ttl_ms, asked.deadline, now),
        reason="",
        legs=(),
        exclusive=asked.exclusive,
        texts=asked.texts,
        calls=asked.calls,
        ttl_ms=asked.ttl_ms,
        deadline=asked.deadline,
        external_id=asked.external_id,
        metadata=asked.metadata,
        end_text=asked.end_text,
        call_options=asked.call_options,
    )


def expiry(ttl_ms: int | None, deadline: int | None, now: int) -> int | None:
    """Return when a session expires that was used now (ms UTC), None for never."""
    ends = [end for end in (now + ttl_ms if ttl_ms is not None else None, deadline) if end is not None]
    return min(ends, default=None)


def reopen(tx: Tx, session: Session, deadline: int | None, settings: Settings, now: int) -> Session:
    """Let an ended session of our own API go on, on the masks it had, until `deadline` (ms UTC; None: no fixed end).

    Raises `SessionLive`, `PairTaken` with the session that stands in the way, `PinTaken`, `NumberUnknown` for a mask
    that takes no sessions any more, `ExternalIdTaken`, `PeopleRefused`.
    """
    if session.live and not session.is_over(now):
        raise SessionLive("the session has not ended")
    sessions.end(tx, session, sessions.EXPIRED, settings, now, end_text="")
    _refuse_taken(tx, session.external_id, settings, now)
    sessions.refuse_people(tx, [leg.participant for leg in session.legs])
    again = tx.reopen_session(session, expiry(session.ttl_ms, deadline, now), deadline, now)
    tx.add_event("session.reopened", now, session=session.id)
    return again


def replace_participant(
    tx: Tx, session: Session, position: int, number: str, carriers: Mapping[str, Carrier], settings: Settings, now: int
) -> Session:
    """Let somebody take part from another number (E.164) from now on.

    Raises `PeopleRefused`, `NoNumberFree`, `PairTaken` with the session that the number means on the mask.
    """
    others = [leg.participant for leg in session.others(position)]
    sessions.refuse_people(tx, [*others, number])
    if session.calls:
        refuse_never_rung([number])
    at = session.legs[position].carrier
    # a session with calls stays where it is
    wanted = [at] if session.exclusive or session.calls else [name for name in carriers if name != at] + [at]
    changed = tx.replace_participant(
        session,
        position,
        _wish(Person(number=number, name=session.legs[position].name, pin=session.legs[position].pin), wanted),
        settings.quarantine_ms,
        strict=settings.quarantine_strict,
        now=now,
    )
    old = session.legs[position]
    tx.readdress(session.id, old.mask, old.participant, changed.legs[position], now)
    tx.add_event("session.participant_replaced", now, session=session.id, mask=changed.legs[position].mask)
    return changed
