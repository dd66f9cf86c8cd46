"""Who hears whom: pure functions from what happened, and the session it happened in, to messages and routes.

Everything here is about one promise: nobody but the other legs of the sender's session gets the text, each from
the mask of *their* leg, and nobody's real number is in it.
"""

from __future__ import annotations

from gateway.calls import Callee, CallRoute, Connect, Refuse
from gateway.messages import InboundMessage
from gateway.records import Kind, Lease, Leg, Outgoing

RING_SECONDS = 30
NOBODY_HERE = "There is nobody to connect you with on this number. Goodbye."
NO_CALLS = "This conversation is by text only. Please send a text. Goodbye."
CONVERSATION_OVER = "This conversation has ended. Goodbye."


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


def route(lease: Lease | None, carrier: str) -> CallRoute:
    """Return what follows from a call at `carrier`: ring the other legs, or words that say why not.

    A callee whose mask is another carrier's cannot be rung from here without showing a number that is
    not theirs to see: refused.
    """
    if lease is None:
        return Refuse(words=NOBODY_HERE)
    if not lease.live:
        return Refuse(words=CONVERSATION_OVER)
    if not lease.session.calls:
        return Refuse(words=NO_CALLS)
    callees = tuple(
        Callee(number=leg.participant, caller_id=leg.mask)
        for leg in lease.session.others(lease.position)
        if leg.carrier == carrier
    )
    return Connect(callees=callees, ring_seconds=RING_SECONDS) if callees else Refuse(words=NOBODY_HERE)


def system_text(org: str, words: str) -> str:
    """Return words of our own as a text: `[ORG]: words`."""
    return f"[{org.upper()}]: {words}"


def to_each(legs: tuple[Leg, ...], text: str, kind: Kind, session: str) -> tuple[Outgoing, ...]:
    """Return a text of ours to each of `legs`, from the mask of each."""
    return tuple(
        Outgoing(carrier=leg.carrier, mask=leg.mask, recipient=leg.participant, text=text, kind=kind, session=session)
        for leg in legs
    )
