"""How calls go on, as their carriers tell it: in any order, and more than once. What follows from it, follows once.

Carriers tell different things. That two people are connected follows from a callee's key press, from what becomes of
callees' parts, or from the caller's; that nobody answers, too; what is known first stays, unless it was a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway import sessions
from gateway.calls import CallOutcome, CallProgress, CallState
from gateway.carrier import Carrier
from gateway.messages import Channel
from gateway.past import Call, CallLeg
from gateway.records import Kind, Leg, Session
from gateway.settings import Settings
from gateway.store import Tx
from gateway.voice import hearing, policy
from gateway.voice.policy import UNANSWERED, Plan

CALL = "call-"  #: before the key of a call in the URLs that its carrier calls
MESSAGE_MS = 15 * 60_000  #: after which a call in which nobody answered is over, whatever nobody told us


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Where calls come in, and when."""

    carrier: Carrier
    settings: Settings
    now: int
    public_url: str = ""  #: what the carrier can call; "": nothing

    def callback(self, key: str) -> str:
        """Return the URL of a call, which nobody can guess."""
        return f"{self.public_url}/webhooks/{self.carrier.name}/{CALL}{key}" if self.public_url and key else ""


def progress(tx: Tx, line: Line, event: CallProgress, call: Call) -> None:
    """Take a carrier's word on how a call goes on."""
    plan = policy.read_plan(call.plan)
    if event.callee is None:
        _of_the_whole(tx, line, event, call, plan)
    elif plan is not None and event.callee in plan.callees:
        tx.note_leg(call.id, _leg(event, event.callee, line.now))
        _of_a_callee(tx, line, event, event.callee, call, plan)


def answered(tx: Tx, line: Line, call: Call, plan: Plan, by: int | None) -> None:
    """Two people are connected; `by` is the callee's position, None where that is not known."""
    who = by if by is not None or len(plan.callees) > 1 else plan.callees[0]
    if tx.call_answered(call.id, who, line.now):
        _event(tx, line, call, "call.answered")
    elif by is None or not tx.call_answered_by(call.id, by):
        return
    if plan.options.record:
        hearing.judge_again(tx, call, line.now)


def missed(tx: Tx, line: Line, call: Call, plan: Plan, outcome: str) -> None:
    """Nobody answers."""
    if not tx.call_missed(call.id, outcome, line.now):
        return
    _event(tx, line, call, "call.missed", outcome)
    if plan.options.record:
        tx.delete_unheard(call.id, line.now)
    tx.call_goes_on(call.id, "message" if plan.options.voicemail else "ringing", line.now + MESSAGE_MS)
    if plan.options.missed_text and not tx.session(call.session).is_over(line.now):
        text_callees(tx, line, call, plan, line.settings.call_missed_text)


def ended(tx: Tx, line: Line, call: Call, outcome: str, seconds: int | None = None) -> None:
    """The call is over. `outcome` counts where nothing better is known."""
    if came_to := tx.call_ended(call.id, outcome, seconds, line.now):
        _event(tx, line, call, "call.ended", came_to)


def hung_up(tx: Tx, line: Line, id: int) -> None:
    """Its carrier has hung up a call that rang for nobody any more, because we asked it to."""
    call = tx.find_call(id)
    if (plan := policy.read_plan(call.plan)) is not None:
        missed(tx, line, call, plan, CallOutcome.CANCELED.value)
        ended(tx, line, call, CallOutcome.CANCELED.value)


def text_callees(tx: Tx, line: Line, call: Call, plan: Plan, words: str) -> None:
    """Text those who were called, from the mask of each, if that is possible."""
    session = tx.session(call.session)
    if not session.texts or line.carrier.inline or Channel.SMS not in line.carrier.channels:
        return
    called = tuple(leg for leg in session.legs if leg.position in plan.callees and plan.is_of(leg))
    legs = tuple(leg for leg in called if _still_means(tx, leg, session, line))
    sessions.tell_legs(tx, session, legs, words, Kind.NOTICE, line.settings, line.now)


def _still_means(tx: Tx, leg: Leg, session: Session, line: Line) -> bool:
    """Return whether whoever is on a leg would take a text from its mask for one of this session."""
    lease = tx.find_lease(leg.mask, leg.participant, line.now)
    return lease is not None and lease.session.id == session.id


# --- the caller's part --------------------------------------------------------------------------


def _of_the_whole(tx: Tx, line: Line, event: CallProgress, call: Call, plan: Plan | None) -> None:
    if event.state is CallState.ANSWERED and plan is not None and plan.telling:
        answered(tx, line, call, plan, None)
    if event.state is not CallState.ENDED:
        return
    outcome = event.outcome or CallOutcome.UNKNOWN
    if plan is None:  # whoever hangs up instead of typing a PIN
        ended(tx, line, call, CallOutcome.CANCELED.value)
        return
    if outcome.value in UNANSWERED:
        missed(tx, line, call, plan, outcome.value)
    sure = outcome is not CallOutcome.COMPLETED or (plan.telling and not plan.speaks_after)
    ended(tx, line, call, (outcome if sure else CallOutcome.UNKNOWN).value, event.seconds)


# --- a callee's part ----------------------------------------------------------------------------


def _of_a_callee(tx: Tx, line: Line, event: CallProgress, callee: int, call: Call, plan: Plan) -> None:
    took_it = call.answered_by == callee
    talked = event.state is CallState.ANSWERED or event.outcome is CallOutcome.COMPLETED
    if talked and not plan.options.accept:  # else a mailbox may have picked up, and pressed nothing
        took_it = took_it or call.answered_by is None
        answered(tx, line, call, plan, callee)
    if event.state is not CallState.ENDED:
        return
    if took_it:
        ended(tx, line, call, CallOutcome.COMPLETED.value, event.seconds)
        return
    outcomes = {leg.position: leg.outcome for leg in tx.call_legs(call.id)}
    if all(outcomes.get(position) in UNANSWERED for position in plan.callees):
        _none_answered(tx, line, call, plan, policy.why_missed(set(outcomes.values())))


def _none_answered(tx: Tx, line: Line, call: Call, plan: Plan, outcome: str) -> None:
    missed(tx, line, call, plan, outcome)
    tx.refine_outcome(call.id, outcome)
    if outcome == CallOutcome.CANCELED.value:  # the caller has hung up
        ended(tx, line, call, outcome)


def _leg(event: CallProgress, callee: int, now: int) -> CallLeg:
    over = event.state is CallState.ENDED
    return CallLeg(
        position=callee,
        state=event.state.value,
        outcome=(event.outcome or CallOutcome.UNKNOWN).value if over else "",
        detail=event.detail if over else "",
        answered_at=now if event.state is CallState.ANSWERED else None,
        ended_at=now if over else None,
        seconds=event.seconds if over else None,
    )


def _event(tx: Tx, line: Line, call: Call, kind: str, detail: str = "") -> None:
    of = {"session": call.session, "mask": call.mask if call.session else "", "carrier": call.carrier}
    tx.add_event(kind, line.now, message=call.id, detail=detail, **of)
