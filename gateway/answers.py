"""What the gateway itself answers to whoever texts a mask: STOP, START and HELP, and that there is no session."""

from __future__ import annotations

from gateway import unreachable
from gateway.carrier import Carrier
from gateway.keywords import Keyword, plain
from gateway.masking import system_text
from gateway.messages import InboundMessage, OptOut
from gateway.numbers import is_e164, is_toll_free
from gateway.records import Kind, Lease, Origin, Outgoing
from gateway.settings import Settings
from gateway.store import Tx

NOTICE_PAUSE_MS = 3_600_000  #: at most one text an hour to a (mask, sender) that there is no session
NO_TEXTS = "This conversation is by phone only: texts are not passed on. Please call this number."
HELP_PAUSE_MS = 60_000  #: at most one answer to HELP a minute to a (mask, sender)

#: What the network of toll-free numbers in North America obeys and confirms, whoever the carrier is (`carriers.md` 8).
TOLL_FREE_WORDS = frozenset({"stop", "start", "unstop"})


def no_session(
    tx: Tx, carrier: Carrier, event: InboundMessage, ended: Lease | None, settings: Settings, now: int
) -> tuple[Outgoing, ...]:
    """Return the words to somebody without a session, unless they might start a conversation of machines."""
    return _notice(tx, carrier, event, no_session_words(ended, settings), settings, now)


def no_session_words(ended: Lease | None, settings: Settings) -> str:
    """Return what somebody without a session is told; `ended`: their lease, where there was one."""
    # the inherited services know no other words for a conversation that is over
    over = ended is not None and ended.session.origin is Origin.V1
    return settings.session_end_msg if over else settings.no_session_msg


def no_texts(tx: Tx, carrier: Carrier, event: InboundMessage, settings: Settings, now: int) -> tuple[Outgoing, ...]:
    """Return the words to somebody who texts in a conversation that is by phone only."""
    return _notice(tx, carrier, event, NO_TEXTS, settings, now)


def _notice(
    tx: Tx, carrier: Carrier, event: InboundMessage, words: str, settings: Settings, now: int
) -> tuple[Outgoing, ...]:
    if not is_e164(event.sender) or not is_e164(event.recipient) or not _may_speak(tx, carrier, event):
        return ()
    if not tx.may_notify(event.recipient, event.sender, now, NOTICE_PAUSE_MS):
        return ()
    return (_system(carrier, event, words, Kind.NOTICE, settings),)


def obey(
    tx: Tx, carrier: Carrier, event: InboundMessage, word: Keyword, settings: Settings, now: int
) -> tuple[Outgoing, ...]:
    """Do what a keyword asks, and return the texts that follow from it."""
    if word is Keyword.STOP:
        return _stop(tx, carrier, event, settings, now)
    if word is Keyword.START:
        return _start(tx, carrier, event, settings, now)
    return _help(tx, carrier, event, settings, now)


def _stop(tx: Tx, carrier: Carrier, event: InboundMessage, settings: Settings, now: int) -> tuple[Outgoing, ...]:
    """Opt the sender out of all texts; confirm it once, and tell the others of their sessions."""
    elsewhere = _obeyed_elsewhere(carrier, event, Keyword.STOP)
    if elsewhere:
        tx.opt_out(event.sender, event.recipient, now, carrier=carrier.name)  # stays until it is taken back there
    if not tx.opt_out(event.sender, "", now, texted=event.recipient, carrier=carrier.name):
        return ()
    others = unreachable.by(tx, event.sender, "", settings, now)
    if elsewhere or not _may_speak(tx, carrier, event):
        return others
    return (_system(carrier, event, settings.stop_msg, Kind.KEYWORD, settings), *others)


def _start(tx: Tx, carrier: Carrier, event: InboundMessage, settings: Settings, now: int) -> tuple[Outgoing, ...]:
    """Take the sender's opt-out back, and that from this mask; confirm it if there was one."""
    if not tx.opt_in(event.sender, event.recipient):
        return ()
    tx.add_event("opt_in", now, mask=_ours(tx, event), carrier=carrier.name)
    if _obeyed_elsewhere(carrier, event, Keyword.START) or not _may_speak(tx, carrier, event):
        return ()
    return (_system(carrier, event, settings.start_msg, Kind.KEYWORD, settings),)


def _help(tx: Tx, carrier: Carrier, event: InboundMessage, settings: Settings, now: int) -> tuple[Outgoing, ...]:
    """Answer HELP, also to who has opted out, but not as fast as a machine may ask."""
    if _obeyed_elsewhere(carrier, event, Keyword.HELP) or not _may_speak(tx, carrier, event):
        return ()
    if not tx.may_help(event.recipient, event.sender, now, HELP_PAUSE_MS):
        return ()
    return (_system(carrier, event, settings.help_msg, Kind.KEYWORD, settings),)


def _obeyed_elsewhere(carrier: Carrier, event: InboundMessage, word: Keyword) -> bool:
    """Return whether the carrier, or the network behind it, obeys this text by itself and answers it."""
    said = plain(event.text)
    if is_toll_free(event.recipient) and said in TOLL_FREE_WORDS:
        return True
    if carrier.opt_out is OptOut.GATEWAY:
        return False
    return word is not Keyword.HELP if carrier.opt_out_words is None else said in carrier.opt_out_words


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
        text=system_text(settings.org_name, words),
        kind=kind,
    )
