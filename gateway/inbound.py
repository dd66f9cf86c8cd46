"""What follows from what a carrier tells us: one function each for a message and a receipt. Calls: voice/turns.py.

Each runs inside one durable transaction. Only when that is on disk is the carrier answered, and then the rest is
the dispatcher's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway import answers, masking, sessions, unreachable
from gateway.calls import CallProgress, CallStep, RecordingReport
from gateway.carrier import Carrier, Event
from gateway.keywords import Keyword, keyword
from gateway.messages import DeliveryReceipt, InboundMessage
from gateway.numbers import is_e164
from gateway.records import Lease, Message, Outgoing
from gateway.settings import Settings
from gateway.store import Tx


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a message comes to, decided before anything is written."""

    outcome: str  #: relayed, ended, no_texts, no_session, unknown_number, keyword
    lease: Lease | None = None
    word: Keyword | None = None


def message(tx: Tx, carrier: Carrier, event: InboundMessage, settings: Settings, now: int) -> tuple[Message, ...]:
    """Take a text: relay it, or answer it. A repeat changes nothing.

    Return the messages that must travel inside the answer to the webhook: none unless the carrier is `inline`.
    """
    verdict = _judge(tx, carrier, event, settings, now)
    inbox = tx.remember(
        carrier=carrier.name,
        ref=event.carrier_ref,
        mask=event.recipient,
        sender=event.sender,
        session=verdict.lease.session.id if verdict.lease else "",
        outcome=verdict.outcome,
        now=now,
    )
    if inbox is None:
        return tuple(tx.inline_replies(carrier.name, event.carrier_ref)) if carrier.inline else ()
    _tell(tx, carrier, event, verdict, now, inbox)
    outgoing = _follow(tx, carrier, event, verdict, settings, now)
    outgoing = _without_suppressed(tx, outgoing, verdict, settings, now, inbox)
    # in order of the masks, whose locks are taken on the way: no two of these units wait for each other
    ordered = sorted(outgoing, key=lambda one: one.mask)
    replies = (_put(tx, carrier, one, settings, now, inbox) for one in ordered)
    return tuple(reply for reply in replies if reply is not None)


def runs_alone(event: Event, settings: Settings) -> bool:
    """Return whether what follows from an event may concern more than one pair: then its unit of work runs alone.

    It takes more locks than one that passes a text on, and in another order.
    """
    if isinstance(event, InboundMessage):
        return not event.media and keyword(event.text, settings.keywords, lambda: False) is not None
    if isinstance(event, (CallStep, CallProgress, RecordingReport)):
        return True  # what is known of a call is read first, and texts to several people may follow
    return isinstance(event, DeliveryReceipt) and event.opted_out


def receipt(tx: Tx, carrier: Carrier, event: DeliveryReceipt, settings: Settings, now: int) -> bool:
    """Take a carrier's word on what became of a message. Return False if it is not known yet.

    If it says that the recipient has blocked the mask, the others of the session are told that texts do not arrive.
    """
    known = tx.take_receipt(carrier.name, event, now)
    if known and event.opted_out:
        mask, recipient = tx.pair_of(carrier.name, event.carrier_ref)
        unreachable.tell(tx, recipient, mask, settings, now)
    return known


def early_receipts(tx: Tx, carrier: Carrier, events: Sequence[DeliveryReceipt], settings: Settings, now: int) -> None:
    """Keep a carrier's words on messages that are not known yet; in a unit that runs alone."""
    for event in events:
        if not receipt(tx, carrier, event, settings, now):
            tx.keep_receipt(carrier.name, event, now)


def _tell(tx: Tx, carrier: Carrier, event: InboundMessage, verdict: _Verdict, now: int, inbox: int) -> None:
    """Append the event that a text came in. It names the mask only where it is sure to be ours."""
    ours = verdict.lease is not None or verdict.outcome == "no_session"
    of = {"session": verdict.lease.session.id if verdict.lease else "", "mask": event.recipient if ours else ""}
    tx.add_event("message.received", now, carrier=carrier.name, message=inbox, detail=verdict.outcome, **of)


def _judge(tx: Tx, carrier: Carrier, event: InboundMessage, settings: Settings, now: int) -> _Verdict:
    lease = lease_of(tx, carrier, event.recipient, event.sender, settings, now)
    if is_e164(event.sender) and is_e164(event.recipient) and (word := _keyword(tx, event, settings)) is not None:
        return _Verdict("keyword", lease, word)
    if lease is not None:
        return _Verdict(_outcome(lease), lease)
    ours = tx.number(event.recipient)
    known = ours is not None and ours.carrier == carrier.name
    return _Verdict("no_session" if known else "unknown_number")


def _outcome(lease: Lease) -> str:
    if not lease.live:
        return "ended"
    return "relayed" if lease.session.texts else "no_texts"


def lease_of(tx: Tx, carrier: Carrier, mask: str, person: str, settings: Settings, now: int) -> Lease | None:
    """Return the lease on the pair. A mask is spoken for by its own carrier only."""
    lease = sessions.find(tx, mask, person, settings, now)
    if lease is None or lease.session.legs[lease.position].carrier != carrier.name:
        return None
    return lease


def _keyword(tx: Tx, event: InboundMessage, settings: Settings) -> Keyword | None:
    if event.media:
        return None
    return keyword(event.text, settings.keywords, lambda: tx.has_opted_out(event.sender, event.recipient))


def _follow(
    tx: Tx, carrier: Carrier, event: InboundMessage, verdict: _Verdict, settings: Settings, now: int
) -> tuple[Outgoing, ...]:
    """Return what is to be sent."""
    if verdict.word is not None:
        return answers.obey(tx, carrier, event, verdict.word, settings, now)
    if verdict.outcome == "no_texts":
        return answers.no_texts(tx, carrier, event, settings, now)
    if verdict.lease is not None and verdict.lease.live:
        tx.touch_session(verdict.lease.session, now)
        return masking.relay(event, verdict.lease)
    if verdict.outcome == "unknown_number":
        # events are logged, and what is not in the pool may be anybody's number
        tx.add_event("number.unknown", now, carrier=carrier.name, detail=f"not in the pool: …{event.recipient[-4:]}")
    return answers.no_session(tx, carrier, event, verdict.lease, settings, now)


def _without_suppressed(
    tx: Tx, outgoing: tuple[Outgoing, ...], verdict: _Verdict, settings: Settings, now: int, inbox: int
) -> tuple[Outgoing, ...]:
    """Write down what must not be sent, since its recipient opted out; return the rest.

    Whoever wrote what is not relayed is told, once, that it does not arrive.
    """
    if verdict.outcome == "relayed" and verdict.lease is not None and not verdict.lease.refusing:
        return outgoing  # to people of the session, of whom none has
    rest = tuple(one for one in outgoing if tx.suppressed(one, now=now, inbox=inbox) is None)
    if len(rest) == len(outgoing) or verdict.lease is None or not verdict.lease.live:
        return rest
    session = verdict.lease.session
    return rest + unreachable.to(tx, session, (session.legs[verdict.lease.position],), settings, now)


def _put(tx: Tx, carrier: Carrier, outgoing: Outgoing, settings: Settings, now: int, inbox: int) -> Message | None:
    """Put a message into the outbox, or return it if it must travel inside the answer to this webhook."""
    if not carrier.inline or outgoing.carrier != carrier.name:
        tx.enqueue_soon(outgoing, now=now, validity_ms=settings.validity_ms, inbox=inbox)
        return None
    return tx.record_inline(outgoing, now=now, inbox=inbox)
