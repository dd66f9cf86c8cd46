"""Which recordings of calls hold a conversation: those may be listened to, and what is recorded of nobody's is deleted.

A carrier may record from when a callee's telephone answers: until they take the call they were told nothing, and it may
be a mailbox. Some ring one after the other and record each; whose answering began a recording, a report of it may say.
Reports come before or after the news of who took the call: what is judged waits until both are known.
"""

from __future__ import annotations

from gateway.calls import RecordingKind, RecordingState
from gateway.past import Call, RecordingKept
from gateway.store import Tx
from gateway.voice import policy


def is_early(call: Call, one: RecordingKept) -> bool:
    """Return whether it is not known that a recording of a call holds a conversation: not yet, or it holds none."""
    return _is_of_call(one) and (call.answered_at is None or _is_in_doubt(call, one) or _is_nobodys(call, one))


def judge(tx: Tx, call: Call, one: RecordingKept, now: int) -> None:
    """Tell that a recording is ready, let it be deleted if it is of nobody's conversation, or wait for who took it."""
    if _is_of_call(one) and (call.missed_at is not None or (_is_nobodys(call, one) and _was_asked(call))):
        tx.delete_recording(one.id, now)
    elif not is_early(call, one):
        add_event(tx, call, "recording.ready", one.kind, now)


def judge_again(tx: Tx, before: Call, now: int) -> None:
    """Judge the recordings that waited: more is known of the call than in `before`."""
    call = tx.find_call(before.id)
    for one in tx.recordings_of(call.id):
        if is_early(before, one):
            judge(tx, call, one, now)


def add_event(tx: Tx, call: Call, kind: str, detail: str, now: int) -> None:
    """Append an event about a recording of a call."""
    tx.add_event(kind, now, message=call.id, session=call.session, mask=call.mask, carrier=call.carrier, detail=detail)


def _is_of_call(one: RecordingKept) -> bool:
    return (one.kind, one.state) == (RecordingKind.CALL.value, RecordingState.READY.value)


def _is_in_doubt(call: Call, one: RecordingKept) -> bool:
    """Return whether two people were connected, and it is not known if the callee is one of those in a recording."""
    if call.answered_by is not None or not one.callees:
        return False
    plan = policy.read_plan(call.plan)
    return plan is None or not set(plan.callees) <= set(one.callees)


def _is_nobodys(call: Call, one: RecordingKept) -> bool:
    """Return whether somebody took a call of whom a recording is not."""
    return bool(one.callees) and call.answered_by is not None and call.answered_by not in one.callees


def _was_asked(call: Call) -> bool:
    """Return whether whoever took the call pressed 1, so that it is certain who did.

    Else, whoever hung up in the middle of a whisper may pass for them, where news is late: then a recording of another
    is kept from everybody, but not deleted for good before its time.
    """
    plan = policy.read_plan(call.plan)
    return plan is not None and plan.options.accept
