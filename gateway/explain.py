"""What would happen if somebody texted or called a mask now, and why. Reads only; touches no carrier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway import masking
from gateway.answers import NO_TEXTS
from gateway.calls import Connect
from gateway.carrier import Carrier
from gateway.messages import Channel
from gateway.records import Lease, Leg, PoolNumber
from gateway.settings import Settings
from gateway.store import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Somebody whom a text or call would be for, and whether it would get there."""

    leg: Leg
    reached: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What would become of a text, or of a call."""

    outcome: str  #: relayed, connected, answered (with words to the sender), refused, ignored
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
        text=_text(tx, number, carrier, carriers, sender, lease, state, settings),
        call=_call(number, carrier, lease, state),
    )


def _state(lease: Lease | None, now: int) -> str:
    if lease is None:
        return "none"
    if not lease.live:
        return "quarantined"
    return "expired" if lease.session.is_over(now) else "live"


def _nobody_brings(number: PoolNumber | None, carrier: Carrier | None) -> str:
    """Return why no carrier would bring us anything for the number, "" if one would."""
    if number is None:
        return "the number is not in the pool"
    return "" if carrier is not None else f"its carrier, {number.carrier}, is not configured"


def _text(
    tx: Tx,
    number: PoolNumber | None,
    carrier: Carrier | None,
    carriers: Mapping[str, Carrier],
    sender: str,
    lease: Lease | None,
    state: str,
    settings: Settings,
) -> Fate:
    if missing := _nobody_brings(number, carrier):
        return Fate(outcome="ignored", why=missing)
    if lease is None or state != "live":
        return _told(tx, sender, state, settings.no_session_msg)
    if not lease.session.texts:
        return Fate(outcome="answered", why="the session is by phone only", words=NO_TEXTS)
    reaches = tuple(_reach(tx, leg, carriers) for leg in lease.session.others(lease.position))
    if not any(reach.reached for reach in reaches):
        return Fate(outcome="refused", why="it reaches nobody", words=settings.unreachable_msg, reaches=reaches)
    return Fate(outcome="relayed", why="the pair means a live session", reaches=reaches)


def _told(tx: Tx, sender: str, state: str, words: str) -> Fate:
    why = {
        "none": "the pair means no session",
        "quarantined": "the session has ended; the pair is in quarantine, so that nobody else is taken for it",
        "expired": "the session is past its expiry",
    }[state]
    if tx.number(sender) is not None:
        return Fate(outcome="ignored", why=f"{why}; and the sender is a number of our own, which is never answered")
    return Fate(outcome="answered", why=f"{why}; at most once an hour", words=words)


def _reach(tx: Tx, leg: Leg, carriers: Mapping[str, Carrier]) -> Reach:
    if tx.has_opted_out(leg.participant, leg.mask):
        return Reach(leg=leg, reached=False, why="has opted out of texts from this mask, or from all")
    if leg.carrier not in carriers:
        return Reach(leg=leg, reached=False, why=f"the carrier of the mask, {leg.carrier}, is not configured")
    return Reach(leg=leg, reached=True, why="is another leg of the session")


def _call(number: PoolNumber | None, carrier: Carrier | None, lease: Lease | None, state: str) -> Fate:
    if missing := _nobody_brings(number, carrier):
        return Fate(outcome="ignored", why=missing)
    assert number is not None
    assert carrier is not None
    if Channel.VOICE not in carrier.channels:
        return Fate(outcome="ignored", why=f"the carrier of the mask, {number.carrier}, carries no calls")
    over = lease is not None and state == "expired"
    route = masking.route(None if over else lease, number.carrier)
    if not isinstance(route, Connect):
        return Fate(outcome="refused", why=_why_refused(lease, state), words=route.words)
    rung = {callee.number for callee in route.callees}
    assert lease is not None
    others = lease.session.others(lease.position)
    reaches = tuple(
        Reach(leg=leg, reached=leg.participant in rung, why="rings" if leg.participant in rung else "another carrier's")
        for leg in others
    )
    return Fate(outcome="connected", why="the pair means a live session", reaches=reaches)


def _why_refused(lease: Lease | None, state: str) -> str:
    if lease is None or state != "live":
        return {"none": "the pair means no session", "quarantined": "the session has ended"}.get(
            state, "the session is past its expiry"
        )
    return "the others' masks are another carrier's" if lease.session.calls else "the session is by text only"
