"""How calls go on. Each step forward is one statement that has an effect once, whatever comes twice or out of order."""

from __future__ import annotations

from gateway.past import Call, CallLeg
from gateway.store.calls import CallUnit, call_in
from gateway.store.db import Statement

SWEEP = 50  #: calls taken as over in one unit of work at most
RINGING = 500  #: calls looked at together at most

#: Who is told late that a call was answered is told something of a call that has ended by then.
_ANSWERED = Statement(
    "UPDATE calls SET answered_by = :by, answered_at = CASE WHEN ended_at IS NULL THEN :now "
    "ELSE ended_at - 1000 * COALESCE(seconds, 0) END, "
    "state = CASE WHEN state = 'ended' THEN state ELSE 'answered' END, "
    "outcome = CASE WHEN state = 'ended' THEN 'completed' ELSE outcome END "
    "WHERE id = :id AND answered_at IS NULL AND missed_at IS NULL AND plan <> '' RETURNING id"
)
_ANSWERED_BY = Statement(
    "UPDATE calls SET answered_by = :by WHERE id = :id AND answered_by IS NULL AND answered_at IS NOT NULL RETURNING id"
)
_MISSED = Statement(
    "UPDATE calls SET missed_at = :now, outcome = :outcome, seconds = NULL "
    "WHERE id = :id AND missed_at IS NULL AND answered_at IS NULL AND plan <> '' RETURNING id"
)
#: The carrier's word for why may come behind the news that nobody answered.
_REFINE = Statement(
    "UPDATE calls SET outcome = :outcome WHERE id = :id AND missed_at IS NOT NULL AND outcome = 'no_answer'"
)
_AFTERWARDS = Statement(
    "UPDATE calls SET state = :state, give_up_at = :give_up_at WHERE id = :id AND state = 'ringing'"
)
_ENDED = Statement(
    "UPDATE calls SET state = 'ended', ended_at = :now, outcome = CASE WHEN answered_at IS NOT NULL THEN 'completed' "
    "WHEN outcome <> '' THEN outcome ELSE :outcome END, seconds = CASE WHEN answered_at IS NOT NULL THEN "
    "COALESCE(:seconds, (:now - answered_at) / 1000) WHEN missed_at IS NULL THEN :seconds END "
    "WHERE id = :id AND state <> 'ended' RETURNING outcome"
)
_GIVEN_UP = Statement(
    "UPDATE calls SET state = 'ended', ended_at = :now, outcome = CASE WHEN answered_at IS NOT NULL THEN 'completed' "
    "WHEN outcome <> '' THEN outcome ELSE 'unknown' END WHERE id IN (SELECT id FROM calls WHERE state <> 'ended' "
    "AND give_up_at <= :now ORDER BY give_up_at LIMIT :count) RETURNING id, session, carrier, mask, outcome"
)
#: Of the calls that go on (`calls_open`) those nobody has taken. Some stay so for hours, since nobody tells us more of
#: them: the newest come first.
_RINGING = Statement(
    "SELECT * FROM calls WHERE state <> 'ended' AND state = 'ringing' AND answered_at IS NULL AND missed_at IS NULL "
    "AND give_up_at > 0 ORDER BY give_up_at DESC LIMIT :count"
)
#: Nothing steps back: what has ended stays so, and what was told first stays told.
_LEG = Statement(
    "INSERT INTO call_legs (call, position, state, outcome, detail, answered_at, ended_at, seconds) "
    "VALUES (:call, :position, :state, :outcome, :detail, :answered_at, :ended_at, :seconds) "
    "ON CONFLICT (call, position) DO UPDATE SET state = CASE WHEN call_legs.state = 'ended' "
    "OR (call_legs.state = 'answered' AND excluded.state = 'ringing') THEN call_legs.state ELSE excluded.state END, "
    "outcome = CASE WHEN call_legs.outcome = '' THEN excluded.outcome ELSE call_legs.outcome END, "
    "detail = CASE WHEN call_legs.detail = '' THEN excluded.detail ELSE call_legs.detail END, "
    "answered_at = COALESCE(call_legs.answered_at, "
    "CASE WHEN call_legs.ended_at IS NULL THEN excluded.answered_at END), "
    "ended_at = COALESCE(call_legs.ended_at, excluded.ended_at), "
    "seconds = COALESCE(call_legs.seconds, excluded.seconds)"
)
_LEGS = Statement("SELECT * FROM call_legs WHERE call = :call ORDER BY position")
_TRIED = Statement("UPDATE calls SET pin_tries = :tries WHERE id = :id AND pin_tries < :tries RETURNING id")


class CallProgressUnit(CallUnit):
    """What a unit of work can do with how a call goes on."""

    def call_answered(self, id: int, by: int | None, now: int) -> bool:
        """Write down that two people are connected (`by`: the callee's position); return whether that is news."""
        return bool(self.run(_ANSWERED, id=id, by=by, now=now))

    def call_answered_by(self, id: int, by: int) -> bool:
        """Write down who took a call that somebody did; return whether that is news."""
        return bool(self.run(_ANSWERED_BY, id=id, by=by))

    def call_missed(self, id: int, outcome: str, now: int) -> bool:
        """Write down that nobody answers, and how that came; return whether that is news."""
        return bool(self.run(_MISSED, id=id, outcome=outcome, now=now))

    def refine_outcome(self, id: int, outcome: str) -> None:
        """Say more exactly why nobody answered."""
        self.run(_REFINE, id=id, outcome=outcome)

    def call_goes_on(self, id: int, state: str, give_up_at: int) -> None:
        """Write down what a call that nobody answers is waiting for, and until when."""
        self.run(_AFTERWARDS, id=id, state=state, give_up_at=give_up_at)

    def call_ended(self, id: int, outcome: str, seconds: int | None, now: int) -> str:
        """Write down that a call is over; return what it came to, or "" if that is no news.

        `outcome` counts where nothing better is known, `seconds` unless nobody answered.
        """
        rows = self.run(_ENDED, id=id, outcome=outcome, seconds=seconds, now=now)
        return str(rows[0]["outcome"]) if rows else ""

    def give_up_calls(self, now: int) -> int:
        """Take as over the calls of which nobody has told us the end, a bounded number, and return how many."""
        rows = self.run(_GIVEN_UP, now=now, count=SWEEP)
        for row in rows:
            of = {"session": row["session"], "carrier": row["carrier"], "mask": row["mask"] if row["session"] else ""}
            self.add_event("call.ended", now, message=row["id"], detail=row["outcome"], **of)
        return len(rows)

    def ringing_calls(self) -> list[Call]:
        """Return the newest calls that ring, a bounded number, as far as anybody has told us."""
        return [call_in(row) for row in self.run(_RINGING, count=RINGING)]

    def note_leg(self, call: int, leg: CallLeg) -> None:
        """Write down how far a callee's part of a call has come."""
        self.run(
            _LEG,
            call=call,
            position=leg.position,
            state=leg.state,
            outcome=leg.outcome,
            detail=leg.detail,
            answered_at=leg.answered_at,
            ended_at=leg.ended_at,
            seconds=leg.seconds,
        )

    def call_legs(self, call: int) -> list[CallLeg]:
        """Return what is known of the callees' parts of a call, by position."""
        return [
            CallLeg(
                position=row["position"],
                state=row["state"],
                outcome=row["outcome"],
                detail=row["detail"],
                answered_at=row["answered_at"],
                ended_at=row["ended_at"],
                seconds=row["seconds"],
            )
            for row in self.run(_LEGS, call=call)
        ]

    def count_pin(self, id: int, tries: int) -> bool:
        """Write down that so many PINs of a call were wrong; return whether that is news."""
        return bool(self.run(_TRIED, id=id, tries=tries))
