"""Recordings and voice messages: what follows from a report of one, who may listen, and how they are deleted.

The carrier keeps them. Whoever may listen is given them by us, with the carrier's credentials; nobody sees its URL.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Mapping
from functools import partial

from gateway.calls import Audio, CallOutcome, Recording, RecordingKind, RecordingReport, RecordingState
from gateway.carrier import Carrier
from gateway.errors import CarrierMisconfigured, PermanentSendError, RecordingUnknown, RetryableSendError, SendError
from gateway.logs import log_bug
from gateway.numbers import without_numbers
from gateway.past import Call, RecordingKept
from gateway.storable import storable
from gateway.store import Store, Tx
from gateway.voice import course, hearing, policy
from gateway.voice.course import Line
from gateway.voice.policy import Plan

log = logging.getLogger(__name__)

KEY_BYTES = 24  #: at random, of what stands in a link
DIGEST = "sha256:"  #: before the reference of a recording that its carrier has no id of
ATTEMPT_MS = 120_000  #: for how long whoever deletes one has it for himself
LONGEST_PAUSE_MS = 6 * 3_600_000


def report(tx: Tx, line: Line, event: RecordingReport, call: Call) -> None:
    """Take a carrier's word on a recording. Of a voice message those who were called are sent the link, once."""
    plan = policy.read_plan(call.plan)
    if plan is None or not _is_asked_for(plan, event.kind):
        return
    first = not any(_is_message(one) for one in tx.recordings_of(call.id))
    id = tx.note_recording(call.id, event, _ref(event), secrets.token_urlsafe(KEY_BYTES), line.now)
    if id is None:
        return
    if event.kind is RecordingKind.VOICEMAIL:
        course.missed(tx, line, call, plan, CallOutcome.NO_ANSWER.value)
        course.ended(tx, line, call, CallOutcome.NO_ANSWER.value)
    if event.state is not RecordingState.READY:
        return
    kept = tx.recording(id)
    hearing.judge(tx, call, kept, line.now)
    if event.kind is RecordingKind.VOICEMAIL and line.public_url and first:
        link = f"{line.public_url}/recordings/{kept.key}"
        course.text_callees(tx, line, call, plan, policy.joined(line.settings.call_voicemail_text, link))


def _is_asked_for(plan: Plan, kind: RecordingKind) -> bool:
    return plan.options.record if kind is RecordingKind.CALL else plan.options.voicemail


def _is_message(one: RecordingKept) -> bool:
    """Return whether it is a voice message, or was one."""
    return one.kind == RecordingKind.VOICEMAIL.value and one.state != RecordingState.ABSENT.value


def _ref(event: RecordingReport) -> str:
    """Return the carrier's id of a recording, else a digest of its URL: what is signed may stand in the query."""
    if event.recording_ref or not event.url:
        return event.recording_ref
    return DIGEST + hashlib.sha256(event.url.partition("?")[0].encode()).hexdigest()


# --- listening ----------------------------------------------------------------------------------


def is_kept(call: Call, one: RecordingKept, keep_ms: int, now: int) -> bool:
    """Return whether a recording may be listened to, where they are kept for `keep_ms` (0: for ever)."""
    in_time = not keep_ms or one.at + keep_ms > now
    return one.state == RecordingState.READY.value and in_time and not hearing.is_early(call, one)


def fetch(carriers: Mapping[str, Carrier], call: Call, one: RecordingKept) -> Audio:
    """Return what a recording sounds like, from the call's carrier.

    Raises `RecordingUnknown` where the carrier does not have it or will never give it to us, which is logged: nobody
    here deleted it. `SendError` where it cannot be asked now.
    """
    carrier = carriers.get(call.carrier)
    if carrier is None:
        raise RetryableSendError("the carrier is not configured")
    try:
        return carrier.fetch_recording(_named(call, one))
    except PermanentSendError as error:
        log.error("a recording of call %d cannot be had: %s", call.id, without_numbers(error.detail))
        raise RecordingUnknown("the carrier does not have it, or does not give it to us") from None
    except SendError:
        raise
    except Exception as error:
        log_bug(log, f"a recording of {call.carrier}", error, carrier=call.carrier)
        raise RetryableSendError("the carrier's plugin failed") from None


def _named(call: Call, one: RecordingKept) -> Recording:
    """Return a recording as its carrier knows it."""
    return Recording(
        carrier_ref=call.carrier_ref, recording_ref="" if one.ref.startswith(DIGEST) else one.ref, url=one.url
    )


# --- deleting -----------------------------------------------------------------------------------


def delete_due(
    store: Store, carriers: Mapping[str, Carrier], now: int, *, count: int = 1, only: int | None = None
) -> int:
    """Let carriers forget recordings that are to be deleted and due, up to `count`; return how many were tried.

    With `only`, that one. What a carrier cannot do now is tried again, later each time; what it refuses for good is
    given up. Raises `StoreUnavailable`.
    """
    due = store.write(
        lambda tx: [(one, tx.find_call(one.call)) for one in tx.take_deleting(count, now + ATTEMPT_MS, now, only)]
    )
    for one, call in due:
        try_again, refused = _delete(carriers.get(call.carrier), call, one)
        store.write(partial(_settle, call=call, one=one, try_again=try_again, refused=refused, now=now))
    return len(due)


def _delete(carrier: Carrier | None, call: Call, one: RecordingKept) -> tuple[bool, str]:
    """Ask a carrier to forget a recording; return whether to ask again, and the code with which it refuses for good."""
    if carrier is None:
        return True, ""
    try:
        carrier.delete_recording(_named(call, one))
    except PermanentSendError as error:
        return False, without_numbers(storable(str(error.code)))[:40] or type(error).__name__
    except (RetryableSendError, CarrierMisconfigured):
        return True, ""
    except Exception as error:
        log_bug(log, f"deleting a recording of {call.carrier}", error, carrier=call.carrier)
        return True, ""
    return False, ""


def _settle(tx: Tx, *, call: Call, one: RecordingKept, try_again: bool, refused: str, now: int) -> None:
    if try_again:
        tx.delete_again(one.id, now + min(LONGEST_PAUSE_MS, 60_000 << min(one.tries, 10)))
    elif tx.recording_gone(one.id, now, state="kept" if refused else "deleted"):
        kind = "recording.kept" if refused else "recording.deleted"
        hearing.add_event(tx, call, kind, f"{one.kind}: the carrier refuses ({refused})" if refused else one.kind, now)
