"""What follows from what a carrier tells us: one function each for a message, a receipt and a call.

Each runs inside one durable transaction. Only when that is on disk is the carrier answered, and then the rest is
the dispatcher's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway import masking, sessions
from gateway.carrier import Carrier
from gateway.keywords import Keyword, keyword
from gateway.messages import CallRoute, DeliveryReceipt, InboundCall, InboundMessage, OptOut
from gateway.numbers import is_e164
from gateway.records import Kind, Lease, Message, MessageState, Origin, Outgoing
from gateway.settings import Settings
from gateway.store import Tx

NOTICE_PAUSE_MS = 3_600_000  #: at most one system text an hour to a (mask, sender)

STOPPED = "You will get no more texts from us. Reply START to get them again."
STARTED = "You will get texts from us again. Reply STOP to end them."
HELP = "Texts to this number are passed on to the person you are in contact with. Reply STOP to get none."


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a message comes to, decided before anything is written."""

    outcome: str  #: relayed, ended, no_session, unknown_number, keyword
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
    # in order of the masks, whose locks are taken on the way: no two of these units wait for each other
    outgoing = sorted(_follow(tx, carrier, event, verdict, settings, now), key=lambda one: one.mask)
    replies = (_put(tx, carrier, one, settings, now, inbox) for one in outgoing)
    return tuple(reply for reply in replies if reply is not None)


def receipt(tx: Tx, carrier: Carrier, event: DeliveryReceipt, now: int) -> bool:
    """Take a carrier's word on what became of a message. Return False if it is not known yet."""
    return tx.take_receipt(carrier.name, event, now)


def early_receipts(tx: Tx, carrier: Carrier, events: Sequence[DeliveryReceipt], now: int) -> None:
    """Keep a carrier's words on messages that are not known yet; in a unit that runs alone."""
    for event in events:
        tx.keep_receipt(carrier.name, event, now)


def call(tx: Tx, carrier: Carrier, event: InboundCall, settings: Settings, now: int) -> CallRoute:
    """Return the route of a call: through to the other legs of the caller's session, or words that say why not."""
    return masking.route(_lease(tx, carrier, event.called, event.caller, settings, now), carrier.name)


def _judge(tx: Tx, carrier: Carrier, event: InboundMessage, settings: Settings, now: int) -> _Verdict:
    lease = _lease(tx, carrier, event.recipient, event.sender, settings, now)
    if is_e164(event.sender) and is_e164(event.recipient) and (word := _keyword(tx, event)) is not None:
        return _Verdict("keyword", lease, word)
    if lease is not None:
        return _Verdict("relayed" if lease.live else "ended", lease)
    ours = tx.number(event.recipient)
    known = ours is not None and ours.carrier == carrier.name
    return _Verdict("no_session" if known else "unknown_number")


def _lease(tx: Tx, carrier: Carrier, mask: str, person: str, settings: Settings, now: int) -> Lease | None:
    """Return the lease on the pair. A mask is spoken for by its own carrier only."""
    lease = sessions.find(tx, mask, person, settings, now)
    if lease is None or lease.session.legs[lease.position].carrier != carrier.name:
        return None
    return lease


def _keyword(tx: Tx, event: InboundMessage) -> Keyword | None:
    if event.media or len(event.text) > 32:  # the common case: no look-up for an ordinary text
        return None
    return keyword(event.text, opted_out=tx.has_opted_out(event.sender, event.recipient))


def _follow(
    tx: Tx, carrier: Carrier, event: InboundMessage, verdict: _Verdict, settings: Settings, now: int
) -> tuple[Outgoing, ...]:
    """Return what is to be sent."""
    if verdict.word is not None:
        return _answer_keyword(tx, carrier, event, verdict.word, settings, now)
    if verdict.lease is not None and verdict.lease.live:
        return masking.relay(event, verdict.lease)
    if verdict.outcome == "unknown_number":
        # events are logged, and what is not in the pool may be anybody's number
        tx.add_event("number.unknown", now, carrier=carrier.name, detail=f"not in the pool: …{event.recipient[-4:]}")
    return _notice(tx, carrier, event, verdict.lease, settings, now)


def _notice(
    tx: Tx, carrier: Carrier, event: InboundMessage, ended: Lease | None, settings: Settings, now: int
) -> tuple[Outgoing, ...]:
    """Return the words to somebody without a session, unless they might start a conversation of machines."""
    if not is_e164(event.sender) or not is_e164(event.recipient) or not _may_speak(tx, carrier, event):
        return ()
    if not tx.may_notify(event.recipient, event.sender, now, NOTICE_PAUSE_MS):
        return ()
    # the inherited services know no other words for a conversation that is over
    over = ended is not None and ended.session.origin is Origin.V1
    words = settings.session_end_msg if over else settings.no_session_msg
    return (_system(carrier, event, words, Kind.NOTICE, settings),)


def _answer_keyword(
    tx: Tx, carrier: Carrier, event: InboundMessage, word: Keyword, settings: Settings, now: int
) -> tuple[Outgoing, ...]:
    """Do what the word asks; answer where the carrier does not, and never twice for the same change."""
    before = tx.has_opted_out(event.sender, event.recipient)
    if word is Keyword.STOP:
        tx.opt_out(event.sender, "", now)
        tx.add_event("opt_out", now, mask=_ours(tx, event), carrier=carrier.name)
    elif word is Keyword.START:
        tx.opt_in(event.sender)
        tx.add_event("opt_in", now, mask=_ours(tx, event), carrier=carrier.name)
    answer = {Keyword.STOP: STOPPED, Keyword.START: STARTED, Keyword.HELP: HELP}[word]
    changed = before is (word is Keyword.START)
    silent = carrier.opt_out is OptOut.CARRIER or not changed
    if (word is not Keyword.HELP and silent) or not _may_speak(tx, carrier, event):
        return ()
    return (_system(carrier, event, answer, Kind.KEYWORD, settings),)


def _may_speak(tx: Tx, carrier: Carrier, event: InboundMessage) -> bool:
    """Return whether the sender may be answered: no number of ours, from none that is another carrier's.

    A mask's waiting texts go out through the carrier that last had one put in: an answer through the wrong one would
    take them all with it.
    """
    mask = tx.number(event.recipient)
    return tx.number(event.sender) is None and (mask is None or mask.carrier == carrier.name)


def _ours(tx: Tx, event: InboundMessage) -> str:
    """Return the mask a text was for, "" where it is none of ours: that may be anybody's number."""
    return event.recipient if tx.number(event.recipient) is not None else ""


def _system(carrier: Carrier, event: InboundMessage, words: str, kind: Kind, settings: Settings) -> Outgoing:
    return Outgoing(
        carrier=carrier.name,
        mask=event.recipient,
        recipient=event.sender,
        text=masking.system_text(settings.org_name, words),
        kind=kind,
    )


def _put(tx: Tx, carrier: Carrier, outgoing: Outgoing, settings: Settings, now: int, inbox: int) -> Message | None:
    """Put a message into the outbox, or return it if it must travel inside the answer to this webhook."""
    if not carrier.inline:
        tx.enqueue(outgoing, now=now, validity_ms=settings.validity_ms, inbox=inbox)
        return None
    if outgoing.kind is not Kind.KEYWORD and tx.has_opted_out(outgoing.recipient, outgoing.mask):
        reason = "the recipient opted out"
        tx.record_unsent(outgoing, MessageState.SUPPRESSED, reason, now=now, inbox=inbox)
        return None
    if outgoing.carrier != carrier.name:
        tx.enqueue(outgoing, now=now, validity_ms=settings.validity_ms, inbox=inbox)
        return None
    return tx.record_inline(outgoing, now=now, inbox=inbox)
