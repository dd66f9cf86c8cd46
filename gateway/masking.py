"""Who reads whom: pure functions from what happened, and the session it happened in, to messages. Calls: voice/.

Everything here is about one promise: nobody but the other legs of the sender's session gets the text, each from
the mask of *their* leg, and nobody's real number is in it.
"""

from __future__ import annotations

from gateway.messages import InboundMessage
from gateway.records import Kind, Lease, Leg, Outgoing


def relay(event: InboundMessage, lease: Lease) -> tuple[Outgoing, ...]:
    """Return the texts that go to the other legs: unchanged, each from the mask of the leg it goes to.

    In a group, whose is whose is told by the sender's name before the text, where they have one.
    """
    if not event.text and not event.media:
        return ()
    text = _signed(event.text, lease)
    return tuple(
        Outgoing(
            carrier=leg.carrier,
            mask=leg.mask,
            recipient=leg.participant,
            text=text,
            media=event.media,
            session=lease.session.id,
        )
        for leg in lease.session.others(lease.position)
    )


def _signed(text: str, lease: Lease) -> str:
    name = lease.session.legs[lease.position].name
    if not name or len(lease.session.legs) < 3:
        return text
    return f"{name}: {text}" if text else f"{name}:"


def system_text(org: str, words: str) -> str:
    """Return words of our own as a text: `[ORG]: words`."""
    return f"[{org.upper()}]: {words}"


def to_each(legs: tuple[Leg, ...], text: str, kind: Kind, session: str) -> tuple[Outgoing, ...]:
    """Return a text of ours to each of `legs`, from the mask of each."""
    return tuple(
        Outgoing(carrier=leg.carrier, mask=leg.mask, recipient=leg.participant, text=text, kind=kind, session=session)
        for leg in legs
    )
