"""What would happen if somebody texted or called a mask now, and why. Reads only; touches no carrier."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from gateway.answers import NO_TEXTS, no_session_words
from gateway.carrier import Carrier
from gateway.messages import Channel
from gateway.records import Lease, Leg, PoolNumber
from gateway.settings import Settings
from gateway.store import Tx
from gateway.voice import pins, policy
from gateway.voice.policy import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Somebody whom a text or call would be for, and whether it would get there."""

    leg: Leg
    reached: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What would become of a text, or of a call."""

    outcome: str  #: relayed, connected, asked (for a PIN), answered (with words to the sender), refused, ignored
    why: str
    words: str = ""  #: what the sender would be told
    reaches: tuple[Reach, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would happen now to a text and to a call from one number to one mask."""

    mask: str
    sender: str = field(repr=False)
    carrier: str  #: whose number the mask is, "" where it is none of ours
    session: str  #: the session that the pair means, live or ended
    lease: str  #: live, expired, quarantined or none
    text: Fate
    call: Fate


def explain(
    tx: Tx, mask: str, sender: str, carriers: Mapping[str, Carrier], settings: Settings, now: int
) -> Explanation:
    """Return what would happen if `sender` texted or called `mask` (both E.164) at `now`."""
    number, lease = tx.number(mask), tx.find_lease(mask, sender, now)
    if lease is not None and number is not None and lease.session.legs[lease.position].carrier != number.carrier:
        lease = None  # a mask is spoken for by its own carrier only
    state = _state(lease, now)
    carrier = carriers.get(number.carrier) if number is not None else None
    return Explanation(
        mask=mask,
        sender=sender,
        carrier=number.carrier if number is not None else "",
        session=lease.session.id if lease is not None else "",
        lease=state,
        text=_text(tx, mask, number, carrier, carriers, sender, lease, state, settings),
        call=_call(tx, number, carrier, sender, lease, state, settings, now),
    )


def _state(lease: Lease | None, now: int) -> str:
    if lease is None:
        return "none"
    if not lease.live:
        return "quarantined"
    return "expired" if lease.session.is_over(now) else "live"


def _nobody_brings(number: PoolNumber, carrier: Carrier | None) -> str:
    """Return why its carrier would bring us nothing for a number of the pool, "" if it would."""
    return "" if carrier is not None else f"its carrier, {number.carrier}, is not configured"


def _text(
    tx: Tx,
    mask: str,
    number: PoolNumber | None,
    carrier: Carrier | None,
    carriers: Mapping[str, Carrier],
    sender: str,
    lease: Lease | None,
    state: str,
    settings: Settings,
) -> Fate:
    if number is None:
        return _told(tx, mask, sender, _stray(state), no_session_words(lease, settings))
    if missing := _nobody_brings(number, carrier):
        return Fate(outcome="ignored", why=missing)
    if lease is None or state != "live":
        return _told(tx, number.number, sender, _WHY[state], no_session_words(lease, settings))
    if not lease.session.texts:
        return _told(tx, number.number, sender, "the session is by phone only", NO_TEXTS)
    others = lease.session.others(lease.position)
    reaches = tuple(_reach(tx, leg, carriers) for leg in others)
    told = any(_refuses(tx, leg) for leg in others) and not tx.has_opted_out(sender, number.number)
    words = settings.unreachable_msg if told else ""  # once in a session
    if not any(reach.reached for reach in reaches):
        return Fate(outcome="refused", why="it reaches nobody", words=words, reaches=reaches)
    return Fate(outcome="relayed", why="the pair means a live session", words=words, reaches=reaches)


_WHY = {
    "none": "the pair means no session",
    "quarantined": "the session has ended; the pair is in quarantine, so that nobody else is taken for it",
    "expired": "the session is past its expiry",
}


def _stray(state: str) -> str:
    """Return why a carrier is answered so that brings what is for a number that is not, or not any more, ours."""
    return f"the number is not in the pool; should a carrier bring it all the same, {_WHY[state]}"


def _told(tx: Tx, mask: str, sender: str, why: str, words: str) -> Fate:
    if tx.number(sender) is not None:
        return Fate(outcome="ignored", why=f"{why}; and the sender is a number of our own, which is never answered")
    if tx.has_opted_out(sender, mask):
        return Fate(outcome="ignored", why=f"{why}; and the sender has opted out of texts, so is not answered")
    return Fate(outcome="answered", why=f"{why}; at most once an hour", words=words)


def _refuses(tx: Tx, leg: Leg) -> bool:
    return tx.has_opted_out(leg.participant, leg.mask)


def _reach(tx: Tx, leg: Leg, carriers: Mapping[str, Carrier]) -> Reach:
    if _refuses(tx, leg):
        return Reach(leg=leg, reached=False, why="has opted out of texts from this mask, or from all")
    if leg.carrier not in carriers:
        return Reach(leg=leg, reached=False, why=f"the carrier of the mask, {leg.carrier}, is not configured")
    return Reach(leg=leg, reached=True, why="is another leg of the session")


def _call(
    tx: Tx,
    number: PoolNumber | None,
    carrier: Carrier | None,
    sender: str,
    lease: Lease | None,
    state: str,
    settings: Settings,
    now: int,
) -> Fate:
    if number is None:
        told = policy.plan(lease, sender, "", (), settings)
        assert isinstance(told, policy.Refusal)  # nobody is live on it
        return Fate(outcome="refused", why=_stray(state), words=told.words)
    if missing := _nobody_brings(number, carrier):
        return Fate(outcome="ignored", why=missing)
    assert carrier is not None
    if Channel.VOICE not in carrier.channels:
        return Fate(outcome="ignored", why=f"the carrier of the mask, {number.carrier}, carries no calls")
    if lease is None and tx.asks_pin(number.number, number.carrier):
        return _asked(tx, number.number, sender, settings, now)
    over = lease is not None and state == "expired"
    meant = replace(lease, live=False) if lease is not None and over else lease
    opted_out = lease.refusing if lease is not None else frozenset()
    plan = policy.plan(meant, sender, number.carrier, opted_out, settings)
    reaches = _rung(meant, plan, number.carrier, opted_out)
    if isinstance(plan, Plan):
        return Fate(outcome="connected", why=_IN_WORDS["live"], words=plan.options.words, reaches=reaches)
    why = _IN_WORDS["expired" if over else plan.reason]
    return Fate(outcome="refused", why=why, words=plan.words, reaches=reaches)


def _asked(tx: Tx, mask: str, sender: str, settings: Settings, now: int) -> Fate:
    if pins.is_locked(tx, mask, sender, now):
        return Fate(outcome="refused", why=_IN_WORDS["pin_locked"], words=settings.call_pin_locked_msg)
    return Fate(outcome="asked", why=_IN_WORDS["asked"], words=settings.call_pin_msg)


def _rung(
    lease: Lease | None, plan: Plan | policy.Refusal, carrier: str, opted_out: Collection[int]
) -> tuple[Reach, ...]:
    """Return of each other leg of a live session that carries calls whether it rings."""
    if lease is None or not lease.live or not lease.session.calls:
        return ()
    rung = plan.callees if isinstance(plan, Plan) else ()
    return tuple(
        Reach(leg=leg, reached=leg.position in rung, why=_why_silent(leg, rung, carrier, opted_out))
        for leg in lease.session.others(lease.position)
    )


def _why_silent(leg: Leg, rung: Collection[int], carrier: str, opted_out: Collection[int]) -> str:
    if leg.position in rung:
        return "rings"
    return _SILENT.get(policy.why_not(leg, carrier, opted_out), "the call is refused")


_SILENT = {
    "other_carrier": "the mask is another carrier's",
    "callee_opted_out": "has opted out of this mask, or of all",
    "forbidden_number": "is an emergency, premium, satellite, personal or short number, which is never rung",
}
_IN_WORDS = {
    "live": "the pair means a live session",
    "asked": "the pair means no session, and somebody on the mask has a PIN",
    "no_session": "the pair means no session",
    "anonymous": "the caller shows no number",
    "ended": "the session has ended",
    "expired": "the session is past its expiry",
    "no_calls": "the session is by text only",
    "opted_out": "the caller has opted out",
    "callee_opted_out": "nobody is left to be rung: they have opted out",
    "other_carrier": "the others' masks are another carrier's",
    "forbidden_number": "the others' numbers are never rung",
    "pin_locked": "there were too many wrong PINs of late",
}
