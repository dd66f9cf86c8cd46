"""What follows from a call, and from each turn of it at which its carrier asks how it goes on.

Each runs inside one durable transaction. A repeat changes nothing, and is answered alike.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import replace

from gateway import inbound
from gateway.calls import Bridge, CallOutcome, CallRoute, CallStep, Connect, InboundCall, Refuse, Step
from gateway.past import Call
from gateway.records import Lease
from gateway.store import NewCall, Routed, Tx
from gateway.voice import course, pins, policy
from gateway.voice.course import Line
from gateway.voice.policy import Plan, Refusal

KEY_BYTES = 24  #: at random, of what stands in URLs
ASK_MS = 10 * 60_000  #: for how long somebody may be typing a PIN
SLACK_MS = 10 * 60_000  #: after which a call that must have ended has, though nobody told us


def call(tx: Tx, line: Line, event: InboundCall) -> CallRoute:
    """Return the route of a call: through to the others of the caller's session, a question for a PIN, or words."""
    lease = inbound.lease_of(tx, line.carrier, event.called, event.caller, line.settings, line.now)
    asks = lease is None and tx.asks_pin(event.called, line.carrier.name)
    verdict = _ask_or_not(tx, line, event) if asks else _plan(tx, line, lease, event.caller)
    new = NewCall(
        carrier=line.carrier.name,
        ref=event.carrier_ref,
        key=secrets.token_urlsafe(KEY_BYTES),
        mask=event.called,
        caller=event.caller,
    )
    session = lease.session.id if lease else ""
    id = tx.add_call(new, _routed(verdict, lease, event.caller, line.now), line.now)
    if id is None:
        known = tx.call_by_ref(line.carrier.name, event.carrier_ref)
        same = known is not None and (known.mask, known.caller) == (event.called, event.caller)
        return _again(tx, line, known, verdict) if known is not None and same else Refuse()
    _tell(tx, line, id, event.called if lease else "", session, verdict)
    return _route(line, new.key, lease, verdict)


def step(tx: Tx, line: Line, event: CallStep, call: Call, attempt: int | None) -> CallRoute:
    """Return how a call goes on. `attempt`: the how manieth PIN it is, where the URL says so."""
    if event.step is Step.PIN:
        return _typed(tx, line, event, call, attempt)
    plan = policy.read_plan(call.plan)
    if plan is None:
        return Refuse()
    if event.step is Step.SCREEN:
        return _screen(tx, line, event, call, plan)
    if event.step is Step.SCREENED:
        return _screened(tx, line, event, call, plan)
    if event.step is Step.DIALLED:
        return _dialled(tx, line, event, call, plan)
    course.missed(tx, line, call, plan, CallOutcome.NO_ANSWER.value)
    course.ended(tx, line, call, CallOutcome.NO_ANSWER.value)
    return Refuse(words=line.settings.call_goodbye_msg)


# --- the first turn -----------------------------------------------------------------------------


def _plan(tx: Tx, line: Line, lease: Lease | None, caller: str, *, by_pin: bool = False) -> Plan | Refusal:
    opted_out = lease.refusing if lease is not None and lease.live else frozenset()
    plan = policy.plan(lease, caller, line.carrier.name, opted_out, line.settings, by_pin=by_pin)
    if isinstance(plan, Plan) and lease is not None:
        tx.touch_session(lease.session, line.now)
    return plan


def _ask_or_not(tx: Tx, line: Line, event: InboundCall) -> Refusal | None:
    """Return None to ask for a PIN, or why not."""
    if pins.is_locked(tx, event.called, event.caller, line.now):
        return Refusal(reason="pin_locked", words=line.settings.call_pin_locked_msg)
    return None


def _routed(verdict: Plan | Refusal | None, lease: Lease | None, caller: str, now: int) -> Routed:
    if verdict is None:
        return Routed(state="asked", give_up_at=now + ASK_MS)
    session = lease.session.id if lease else ""
    people = _concerned(verdict, lease) - {caller}
    if isinstance(verdict, Refusal):
        return Routed(state="ended", session=session, reason=verdict.reason, people=people)
    give_up_at = now + _longest_ms(verdict)
    return Routed(state="ringing", session=session, plan=verdict.write(), give_up_at=give_up_at, people=people)


def _concerned(verdict: Plan | Refusal, lease: Lease | None) -> frozenset[str]:
    """Return for whom the caller was taken, and who is to be rung."""
    if lease is None:
        return frozenset()
    rung = verdict.callees if isinstance(verdict, Plan) else ()
    return frozenset(lease.session.legs[at].participant for at in (lease.position, *rung))


def routed_at(call: Call, plan: Plan) -> int:
    """Return when a call that rings was put through (ms UTC): if a PIN was asked for, minutes after it came in."""
    return call.give_up_at - _longest_ms(plan)


def _longest_ms(plan: Plan) -> int:
    return (plan.options.ring_seconds + plan.options.limit_seconds) * 1000 + SLACK_MS


def _tell(tx: Tx, line: Line, id: int, mask: str, session: str, verdict: Plan | Refusal | None) -> None:
    """Append the event. It names the mask only where it is sure to be ours."""
    if verdict is None:
        return
    refused = isinstance(verdict, Refusal)
    detail = verdict.reason if isinstance(verdict, Refusal) else _skipped(verdict)
    kind = "call.refused" if refused else "call.connected"
    tx.add_event(kind, line.now, message=id, session=session, mask=mask, carrier=line.carrier.name, detail=detail)


def _skipped(plan: Plan) -> str:
    return f"not rung: {', '.join(sorted(plan.skipped))}" if plan.skipped else ""


def _route(line: Line, key: str, lease: Lease | None, verdict: Plan | Refusal | None) -> CallRoute:
    if verdict is None:
        return policy.ask_pin(1, line.settings, line.callback(key))
    if isinstance(verdict, Refusal):
        return Refuse(words=verdict.words)
    assert lease is not None
    return policy.connect(verdict, lease.session, line.settings, line.callback(key))


def _again(tx: Tx, line: Line, call: Call, verdict: Plan | Refusal | None) -> CallRoute:
    """Return what was answered when a call came before."""
    if plan := policy.read_plan(call.plan):
        return _connect(tx, line, call, plan) or Refuse()
    if call.state == "asked":
        return policy.ask_pin(call.pin_tries + 1, line.settings, line.callback(call.key))
    return Refuse(words=verdict.words) if isinstance(verdict, Refusal) else Refuse()


# --- PINs ---------------------------------------------------------------------------------------


def _typed(tx: Tx, line: Line, event: CallStep, call: Call, attempt: int | None) -> CallRoute:
    """Take what a caller typed for a PIN, or did not."""
    if call.state != "asked":
        return _again(tx, line, call, Refusal(reason="", words=line.settings.call_pin_locked_msg))
    if attempt is not None and attempt <= call.pin_tries:  # it was counted
        return _again(tx, line, call, None)
    locked = pins.is_locked(tx, call.mask, call.caller, line.now)
    lease = pins.meant(tx, line.carrier, call.mask, event.digits, line.settings, line.now)
    if lease is not None and not locked:
        verdict = _plan(tx, line, lease, call.caller, by_pin=True)
        return _settle(tx, line, call, lease, verdict)
    return _wrong(tx, line, call, locked, pins.is_pin(event.digits))


def _wrong(tx: Tx, line: Line, call: Call, locked: bool, counts: bool) -> CallRoute:
    """Ask once more, a few times. `counts`: in later calls, too."""
    tries = call.pin_tries + 1
    tx.count_pin(call.id, tries)
    too_many = counts and pins.count_wrong(tx, call.mask, call.caller, line.now)
    if locked or too_many or tries >= pins.TRIES:
        return _settle(tx, line, call, None, Refusal(reason="wrong_pin", words=line.settings.call_pin_locked_msg))
    return policy.ask_pin(tries + 1, line.settings, line.callback(call.key))


def _settle(tx: Tx, line: Line, call: Call, lease: Lease | None, verdict: Plan | Refusal) -> CallRoute:
    """Route a call whose caller was asked."""
    session = lease.session.id if lease else ""
    tx.route_call(call.id, _routed(verdict, lease, call.caller, line.now), line.now)
    _tell(tx, line, call.id, call.mask, session, verdict)
    return _route(line, call.key, lease, verdict)


# --- callees ------------------------------------------------------------------------------------


def _still(tx: Tx, line: Line, call: Call, plan: Plan) -> tuple[int, ...]:
    """Return the positions of those with whom the caller may still be connected: much happens while it rings."""
    return policy.still(plan, tx.session(call.session), tx.opted_out_legs(call.session), call, line.now)


def _connect(tx: Tx, line: Line, call: Call, plan: Plan, rung: Collection[int] = ()) -> Connect | None:
    """Return the route to those who may still be rung and have not been, None if there is nobody."""
    left = tuple(at for at in _still(tx, line, call, plan) if at not in rung)
    if not left:
        return None
    now = replace(plan, callees=left)
    return policy.connect(now, tx.session(call.session), line.settings, line.callback(call.key))


def _is_too_late(call: Call, callee: int | None) -> bool:
    """Return whether a callee's telephone answers when another one's has, or the caller is not there any more."""
    if policy.is_over(call):
        return True
    return None not in (call.answered_by, callee) and call.answered_by != callee


def _screen(tx: Tx, line: Line, event: CallStep, call: Call, plan: Plan) -> CallRoute:
    if _is_too_late(call, event.callee) or event.callee not in _still(tx, line, call, plan):
        return Refuse()
    return policy.screen(plan, line.callback(call.key))


def _screened(tx: Tx, line: Line, event: CallStep, call: Call, plan: Plan) -> CallRoute:
    """Take what a callee pressed. Whoever presses 1 first is connected; some carriers only tell of it, later."""
    if plan.options.accept and event.digits != "1":
        return Refuse()
    over = policy.is_over(call)  # then it is only written down
    if event.callee not in (plan.callees if over else _still(tx, line, call, plan)):
        return Refuse()
    course.answered(tx, line, call, plan, event.callee)
    return Refuse() if _is_too_late(call, event.callee) else Bridge()


def _dialled(tx: Tx, line: Line, event: CallStep, call: Call, plan: Plan) -> CallRoute:
    """Ringing, or the conversation, is over; or it is the next ones' turn to be rung."""
    if event.connected:
        course.answered(tx, line, call, plan, None)
    if event.connected or call.answered_at is not None:
        course.ended(tx, line, call, CallOutcome.COMPLETED.value)
        return Refuse()
    if event.rung and (route := _connect(tx, line, call, plan, event.rung)):
        return route
    outcomes = {leg.outcome for leg in tx.call_legs(call.id)}
    course.missed(tx, line, call, plan, policy.why_missed(outcomes))
    if not plan.options.voicemail:
        course.ended(tx, line, call, CallOutcome.NO_ANSWER.value)
    return policy.unanswered(plan, line.settings, line.callback(call.key))
