"""How calls go: pure functions from a lease, what its session and the settings say, and a turn of the call, to routes.

Everything here is about two promises: nobody's real number is shown, and nobody is connected who should not be. Who is
rung sees the mask of their own leg.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace

from gateway.calls import AskPin, Callee, CallOutcome, Connect, Refuse, Screen, TakeMessage
from gateway.numbers import is_e164, is_never_rung
from gateway.past import Call, CallLeg
from gateway.records import Lease, Leg, Origin, Session
from gateway.settings import Settings

MASK_API_RING = 30  #: seconds; what clients of the inherited API know
MOST_DIGITS = 15  #: of a PIN

#: How a callee's part ends that was no conversation.
UNANSWERED = frozenset({"busy", "declined", "no_answer", "canceled", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """How the calls of a session go."""

    ring_seconds: int
    limit_seconds: int
    words: str = field(repr=False)  #: to the caller, before anybody is rung
    whisper: str = field(repr=False)  #: to the callee who answers
    accept: bool  #: only a callee who presses 1 is connected
    record: bool
    unanswered: str = field(repr=False)  #: to the caller, if nobody answers
    voicemail: bool  #: then they may leave a message
    missed_text: bool  #: a text tells the callees that they missed a call


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a call is routed: all that its later turns need."""

    position: int  #: of the caller's leg
    callees: tuple[int, ...]  #: the positions of those who are rung
    #: By position, the participant and the mask of each leg at that time: somebody else may be there later.
    people: Mapping[int, tuple[str, str]] = field(default_factory=dict, repr=False)
    options: CallOptions  #: with all that is said: asking for the key, and that the call is recorded
    by_pin: bool = False
    skipped: tuple[str, ...] = ()  #: why others are not rung

    def write(self) -> str:
        """Return it as JSON."""
        said = {name: getattr(self.options, name) for name in _OPTIONS}  # `asdict` copies for as long as the rest takes
        return json.dumps({name: getattr(self, name) for name in _PLAN} | {"options": said})

    def is_of(self, leg: Leg) -> bool:
        """Return whether a leg is still whose it was when the call came in."""
        return self.people.get(leg.position) == (leg.participant, leg.mask)

    @property
    def telling(self) -> bool:
        """Whether that the caller's part is answered says that somebody took the call.

        It does not where the caller hears us before, nor where a mailbox may answer that presses nothing.
        """
        return not (self.by_pin or self.options.words or self.options.accept)

    @property
    def speaks_after(self) -> bool:
        """Whether the caller hears us if nobody answers."""
        return self.options.voicemail or bool(self.options.unanswered)


_OPTIONS = tuple(one.name for one in fields(CallOptions))
_PLAN = tuple(one.name for one in fields(Plan) if one.name != "options")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a call is not put through, and what the caller is told."""

    reason: str
    words: str = field(repr=False)


def read_plan(written: str) -> Plan | None:
    """Return the plan in `Plan.write`'s JSON, None for ""."""
    if not written:
        return None
    of = json.loads(written)
    of |= {name: tuple(of[name]) for name in ("callees", "skipped")}
    of["people"] = {int(position): tuple(one) for position, one in of.get("people", {}).items()}
    return Plan(**of | {"options": CallOptions(**of["options"])})


def options(session: Session, settings: Settings) -> CallOptions:
    """Return how the calls of a session go: as it says itself, else as the settings do."""
    inherited = session.origin is Origin.MASK_API and "call_ring_ms" not in settings.model_fields_set
    given = CallOptions(
        ring_seconds=MASK_API_RING if inherited else _seconds(settings.call_ring_ms),
        limit_seconds=_seconds(settings.call_limit_ms),
        words=settings.call_words,
        whisper=settings.call_whisper,
        accept=settings.call_accept,
        record=settings.call_record,
        unanswered=settings.call_unanswered_msg,
        voicemail=settings.call_voicemail,
        missed_text=settings.call_missed,
    )
    return replace(given, **json.loads(session.call_options)) if session.call_options else given


def plan(
    lease: Lease | None,
    caller: str,
    carrier: str,
    opted_out: Collection[int],
    settings: Settings,
    *,
    by_pin: bool = False,
) -> Plan | Refusal:
    """Return how a call at `carrier` is routed: to all others of the session at once, or why it is not.

    `opted_out` are the positions of those who want nothing from their masks. A callee whose mask is another carrier's
    cannot be rung from here without showing a number that is not theirs to see.
    """
    if refusal := _refusal(lease, caller, opted_out, settings):
        return refusal
    assert lease is not None
    why = {leg: why_not(leg, carrier, opted_out) for leg in lease.session.others(lease.position)}
    callees = tuple(leg.position for leg, reason in why.items() if not reason)
    if not callees:
        return _nobody(set(why.values()), settings)
    return Plan(
        position=lease.position,
        callees=callees,
        people=_people(lease.session),
        options=_spoken(options(lease.session, settings), settings),
        by_pin=by_pin,
        skipped=tuple(reason for reason in why.values() if reason),
    )


def _refusal(lease: Lease | None, caller: str, opted_out: Collection[int], settings: Settings) -> Refusal | None:
    """Return why a caller is connected with nobody, None if that is up to who is called."""
    if lease is None and is_e164(caller):
        return Refusal(reason="no_session", words=settings.call_unknown_msg)
    if lease is None:
        return Refusal(reason="anonymous", words=settings.call_anonymous_msg)
    if not lease.live:
        return Refusal(reason="ended", words=settings.call_ended_msg)
    if not lease.session.calls:
        return Refusal(reason="no_calls", words=settings.call_texts_only_msg)
    if lease.position in opted_out:
        return Refusal(reason="opted_out", words=settings.call_opted_out_msg)
    return None


def why_not(leg: Leg, carrier: str, opted_out: Collection[int]) -> str:
    """Return why a leg is not rung, "" if it is."""
    if leg.carrier != carrier:
        return "other_carrier"
    if leg.position in opted_out:
        return "callee_opted_out"
    return "forbidden_number" if is_never_rung(leg.participant) else ""


def _nobody(reasons: Collection[str], settings: Settings) -> Refusal:
    for reason in ("callee_opted_out", "other_carrier"):
        if reason in reasons:
            return Refusal(reason=reason, words=settings.call_unreachable_msg)
    return Refusal(reason="forbidden_number", words=settings.call_forbidden_msg)


def _spoken(given: CallOptions, settings: Settings) -> CallOptions:
    """Return options with all that is said. Nobody is recorded untold."""
    record = given.record and bool(settings.call_record_msg.strip())
    told = settings.call_record_msg if record else ""
    ask = settings.call_accept_msg if given.accept else ""
    return replace(given, record=record, words=joined(given.words, told), whisper=joined(given.whisper, told, ask))


def joined(*words: str) -> str:
    """Return what is said one after the other."""
    return " ".join(part for part in map(str.strip, words) if part)


# --- later turns ------------------------------------------------------------------------------------


def still(of: Plan, session: Session, opted_out: Collection[int], call: Call, now: int) -> tuple[int, ...]:
    """Return the positions of those with whom the caller may be connected at a later turn of a call, at `now` (ms UTC).

    Nobody if the call is over, or nobody answers; if the session has ended or carries no calls any more; or if the
    caller has opted out (`opted_out` are positions) or was replaced. Else whoever of the plan has and was not.
    """
    if is_over(call) or session.is_over(now) or not session.calls:
        return ()
    people = _people(session)
    there = {at for at, one in of.people.items() if people.get(at) == one and at not in opted_out}
    return tuple(at for at in of.callees if at in there) if of.position in there else ()


def is_over(call: Call) -> bool:
    """Return whether nobody is to be connected in a call any more."""
    return call.state == "ended" or call.missed_at is not None


def _people(session: Session) -> dict[int, tuple[str, str]]:
    return {leg.position: (leg.participant, leg.mask) for leg in session.legs}


# --- routes -----------------------------------------------------------------------------------------


def connect(of: Plan, session: Session, settings: Settings, callback: str, *, rung: Collection[int] = ()) -> Connect:
    """Return the route to those who are to be rung, and have not been: `rung` are the positions of those who have."""
    legs = [leg for leg in session.legs if leg.position in of.callees and leg.position not in rung]
    return Connect(
        callees=tuple(Callee(number=leg.participant, caller_id=leg.mask, position=leg.position) for leg in legs),
        ring_seconds=of.options.ring_seconds,
        limit_seconds=of.options.limit_seconds,
        words=of.options.words,
        whisper=of.options.whisper,
        accept=of.options.accept,
        record=of.options.record,
        unanswered=unanswered(of, settings, callback),
        callback=callback,
    )


def unanswered(of: Plan, settings: Settings, callback: str) -> TakeMessage | Refuse:
    """Return what follows if nobody answers."""
    if not of.options.voicemail:
        return Refuse(words=of.options.unanswered)
    return TakeMessage(
        words=joined(of.options.unanswered, settings.call_voicemail_msg),
        limit_seconds=_seconds(settings.call_voicemail_ms),
        goodbye=settings.call_goodbye_msg,
        callback=callback,
    )


def screen(of: Plan, callback: str) -> Screen:
    """Return what a callee who has answered hears."""
    return Screen(words=of.options.whisper, accept=of.options.accept, callback=callback)


def ask_pin(attempt: int, settings: Settings, callback: str) -> AskPin:
    """Return the question for a PIN. The URL of the answer says the how manieth it is: so a repeat is known as one."""
    words = settings.call_pin_msg if attempt == 1 else settings.call_pin_wrong_msg
    return AskPin(words=words, most_digits=MOST_DIGITS, callback=callback and f"{callback}?try={attempt}")


def why_missed(outcomes: Collection[str]) -> str:
    """Return how a call came to nothing, from how the parts of its callees did."""
    known = set(outcomes) & UNANSWERED
    return known.pop() if len(known) == 1 else CallOutcome.NO_ANSWER.value


def came_to(call: Call, part: CallLeg) -> str:
    """Return what a callee's part of a call came to, "" while it is not known.

    Carriers call it completed where a telephone answered. That was a conversation only of whoever took the call.
    """
    took_it = call.answered_by == part.position or (call.answered_at is not None and call.answered_by is None)
    if part.outcome != CallOutcome.COMPLETED.value or took_it:
        return part.outcome
    if call.answered_at is not None:
        early = part.ended_at is not None and part.ended_at <= call.answered_at
        return CallOutcome.DECLINED.value if early else CallOutcome.CANCELED.value  # the others are rung no more
    if call.outcome in ("", CallOutcome.CANCELED.value, CallOutcome.UNKNOWN.value):
        return call.outcome
    return CallOutcome.DECLINED.value


def _seconds(ms: int) -> int:
    return max(1, ms // 1000)
