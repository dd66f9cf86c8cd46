"""Hangs up calls that ring for nobody any more: whoever calls, or all who are called, left the session, or it is over.

Two who talk go on: they took the call while they could.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from gateway.beside import Beside
from gateway.carrier import Carrier
from gateway.errors import SendError
from gateway.logs import log_bug
from gateway.past import Call
from gateway.settings import Settings
from gateway.store import Store, Tx
from gateway.voice import course, policy, turns
from gateway.voice.course import Line
from gateway.voice.policy import Plan

log = logging.getLogger(__name__)

#: After ringing, for words and whispers. Of a call that rings for longer the carrier has not told us what it knows.
SLACK_MS = 60_000


class HangUps(Beside):
    """Looks from time to time which calls ring, and whether they still may."""

    name = "calls that ring"
    pause_ms = 2_000

    def __init__(self, store: Store, carriers: Mapping[str, Carrier], settings: Settings) -> None:
        super().__init__()
        self._store = store
        self._carriers = carriers
        self._settings = settings

    def sweep(self, now: int) -> None:
        """Hang up calls that ring for nobody. Raises `StoreUnavailable`.

        Each is looked at once more when it is its turn: a carrier may take seconds, and two talk meanwhile.
        """
        for found in self._store.read(lambda tx: [one for one in tx.ringing_calls() if _is_for_nobody(tx, one, now)]):
            if self._stopping:
                return
            call, still = self._store.read(partial(_look_again, id=found.id, now=now))
            carrier = self._carriers.get(call.carrier)
            if still and carrier is not None and _hangs_up(carrier, call):
                line = Line(carrier=carrier, settings=self._settings, now=now)
                self._store.write(partial(course.hung_up, line=line, id=call.id))


def _look_again(tx: Tx, id: int, now: int) -> tuple[Call, bool]:
    call = tx.find_call(id)
    return call, call.state == "ringing" and call.missed_at is None and _is_for_nobody(tx, call, now)


def _is_for_nobody(tx: Tx, call: Call, now: int) -> bool:
    """Return whether a call that rings does so for nobody."""
    plan = policy.read_plan(call.plan)
    if plan is None or now >= turns.routed_at(call, plan) + _longest_ms(plan):
        return False
    return not policy.still(plan, tx.session(call.session), tx.opted_out_legs(call.session), call, now)


def _longest_ms(plan: Plan) -> int:
    return plan.options.ring_seconds * 1000 * len(plan.callees) + SLACK_MS


def _hangs_up(carrier: Carrier, call: Call) -> bool:
    """Let a carrier hang up a call; return whether it has. What it cannot do now is tried again while it rings."""
    try:
        return carrier.hang_up(call.carrier_ref)
    except SendError as error:
        log.warning("call %d rings for nobody and could not be hung up: %s", call.id, type(error).__name__)
    except Exception as error:
        log_bug(log, f"hanging up a call of {call.carrier}", error, carrier=call.carrier)
    return False
