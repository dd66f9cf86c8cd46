"""Who is told that texts do not reach the other person: neutrally, never why or who, and once in a session.

Whether somebody was told is a row of the store, unique for the leg, so that two who look at once tell nobody twice.
Whoever has opted out is told nothing. What may concern several sessions runs in a unit of work that is alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.masking import system_text, to_each
from gateway.records import Kind, Lease, Leg, Message, Outgoing, Session
from gateway.settings import Settings
from gateway.store import Tx

MOST_SESSIONS = 200  #: whose people are told at once; those of any further session are told when they write


def by(tx: Tx, participant: str, mask: str, settings: Settings, now: int) -> tuple[Outgoing, ...]:
    """Return the notices to the others in the live sessions of a participant who gets no texts from `mask` any more.

    With mask "": from any number.
    """
    leases = [lease for lease in _leases(tx, participant, mask, now) if not lease.session.is_over(now)]
    return tuple(
        one for lease in leases for one in to(tx, lease.session, lease.session.others(lease.position), settings, now)
    )


def to(tx: Tx, session: Session, legs: Iterable[Leg], settings: Settings, now: int) -> tuple[Outgoing, ...]:
    """Return the notices to those of `legs` who were not told before, each from their own mask."""
    chosen = tuple(
        leg
        for leg in legs
        if not tx.has_opted_out(leg.participant, leg.mask) and tx.may_tell(session.id, leg.position, now)
    )
    return to_each(chosen, system_text(settings.org_name, settings.unreachable_msg), Kind.NOTICE, session.id)


def tell_of(tx: Tx, blocked: Iterable[Message], settings: Settings, now: int) -> None:
    """Tell the others in the sessions of those who turned out, by such a message, to have blocked its mask."""
    for message in blocked:
        tell(tx, message.recipient, message.mask, settings, now)


def tell(tx: Tx, participant: str, mask: str, settings: Settings, now: int) -> None:
    """Put the notices of `by` into the outbox."""
    for notice in by(tx, participant, mask, settings, now):
        tx.enqueue(notice, now=now, validity_ms=settings.validity_ms)


def _leases(tx: Tx, participant: str, mask: str, now: int) -> list[Lease]:
    if not mask:
        return tx.live_leases(participant, MOST_SESSIONS, now)
    lease = tx.find_lease(mask, participant, now)
    return [lease] if lease is not None else []
