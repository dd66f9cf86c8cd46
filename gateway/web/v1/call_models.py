"""What `/v1/calls` shows of a call."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import Field

from gateway.past import Call as Record
from gateway.past import CallLeg, RecordingKept
from gateway.store import Tx
from gateway.voice import hearing, policy, recordings
from gateway.web.v1.people import Participant, ParticipantNumber
from gateway.web.v1.types import E164, Output, Time

State = Literal["asked", "ringing", "answered", "message", "ended"]
LegOutcome = Literal["completed", "busy", "declined", "no_answer", "canceled", "failed", "unknown"]
Outcome = Literal["refused", "completed", "busy", "declined", "no_answer", "canceled", "failed", "unknown"]


class RungLeg(Output):
    """Somebody who was to be rung."""

    participant: ParticipantNumber
    name: str | None
    mask: E164 = Field(description="What they saw")
    state: Literal["ringing", "answered", "ended"] | None = Field(description="null: the carrier has told us nothing")
    outcome: LegOutcome | None = Field(
        description="`completed`: they took the call; `declined`: they declined, or answered and did not take it, as a "
        "mailbox does; null: not known yet"
    )
    detail: str | None = Field(description="The carrier's own word for the outcome")
    answered_at: Time | None
    ended_at: Time | None
    seconds: int | None


class Recording(Output):
    """A recording, or that there is none."""

    n: int = Field(description="Its place in the path, `/v1/calls/{id}/recordings/{n}`")
    kind: Literal["recording", "voicemail"] = Field(description="`recording`: of the conversation")
    state: Literal["ready", "absent", "deleting", "deleted", "kept"] = Field(
        description="`absent`: silence, or an error; `deleting`: not at the carrier yet; `kept`: not there, ever"
    )
    seconds: int | None
    at: Time
    expires_at: Time | None = Field(description="When it is deleted")


class CallRecord(Output):
    """A call that somebody made to one of our numbers."""

    id: int
    session: str | None
    participant: Participant = Field(description="Who called: E.164, or the carrier's own word for them")
    by_pin: bool = Field(description="Whether the caller was taken for a participant by a PIN")
    mask: str
    carrier: str
    state: State = Field(description="`asked`: for a PIN; `message`: nobody answered, and the caller may leave one")
    outcome: Outcome | None = Field(description="null: not known yet")
    reason: str = Field(
        description="Why it was refused: `no_session`, `anonymous`, `ended`, `no_calls`, `opted_out`, "
        "`callee_opted_out`, `other_carrier`, `forbidden_number`, `wrong_pin`, `pin_locked`"
    )
    legs: list[RungLeg]
    answered_by: ParticipantNumber | None
    started_at: Time
    answered_at: Time | None
    ended_at: Time | None
    seconds: int | None = Field(description="How long two people talked")
    recordings: list[Recording]
    carrier_ref: str | None


def shown(tx: Tx, one: Record, keep_ms: int, now: int) -> CallRecord:
    """Return a call as v1 shows it at `now` (ms UTC), where recordings are kept for `keep_ms` (0: for ever)."""
    plan = policy.read_plan(one.plan)
    people = plan.people if plan is not None else {}  # as they were: somebody else may have taken a place since
    by = people.get(-1 if one.answered_by is None else one.answered_by)
    kept = [(n, each) for n, each in enumerate(tx.recordings_of(one.id), 1) if not hearing.is_early(one, each)]
    return CallRecord(
        id=one.id,
        session=one.session or None,
        participant=one.caller,
        by_pin=plan is not None and plan.by_pin,
        mask=one.mask,
        carrier=one.carrier,
        state=cast(State, one.state),
        outcome=cast(Outcome, one.outcome) if one.outcome else None,
        reason=one.reason,
        legs=_legs(tx, one, plan) if plan is not None else [],
        answered_by=by[0] if by is not None else None,
        started_at=one.at,
        answered_at=one.answered_at,
        ended_at=one.ended_at,
        seconds=one.seconds,
        recordings=[_recording(one, n, each, keep_ms, now) for n, each in kept],
        carrier_ref=one.carrier_ref or None,
    )


def _legs(tx: Tx, call: Record, plan: policy.Plan) -> list[RungLeg]:
    names = {(leg.position, leg.participant): leg.name for leg in tx.session(call.session).legs}
    parts = {part.position: part for part in tx.call_legs(call.id)}
    rung = [(at, *plan.people[at]) for at in plan.callees if at in plan.people]
    return [_leg(call, person, names.get((at, person), ""), mask, parts.get(at)) for at, person, mask in rung]


def _leg(call: Record, participant: str, name: str, mask: str, part: CallLeg | None) -> RungLeg:
    return RungLeg(
        participant=participant,
        name=name or None,
        mask=mask,
        state=cast(Literal["ringing", "answered", "ended"], part.state) if part else None,
        outcome=cast(LegOutcome, policy.came_to(call, part) or None) if part else None,
        detail=part.detail or None if part else None,
        answered_at=part.answered_at if part else None,
        ended_at=part.ended_at if part else None,
        seconds=part.seconds if part else None,
    )


def _recording(call: Record, n: int, one: RecordingKept, keep: int, now: int) -> Recording:
    gone = not recordings.is_kept(call, one, keep, now)
    return Recording.model_validate(
        {
            "n": n,
            "kind": one.kind,
            "state": "deleting" if one.state == "ready" and gone else one.state,
            "seconds": one.seconds,
            "at": one.at,
            "expires_at": one.at + keep if keep and not gone else None,
        }
    )
