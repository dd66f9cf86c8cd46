"""What falls due without anybody asking: expiries, old notices, the claims of the dead."""

from __future__ import annotations

import logging

from gateway import sessions
from gateway.owner import is_gone
from gateway.settings import Settings
from gateway.store import NEVER, Store

log = logging.getLogger(__name__)

FORGET_MS = 3_600_000  #: notices, unclaimed receipts and wrong PINs older than this are dropped


def sweep(store: Store, settings: Settings, owner: str, now: int) -> None:
    """End sessions, messages and calls whose time is over, and take over the claims of the dead."""
    while store.write(lambda tx: sessions.expire_due(tx, settings, now)):
        pass
    while store.write(lambda tx: tx.expire_messages(now)):
        pass
    while store.write(lambda tx: tx.forget_leases(now)):
        pass
    while store.write(lambda tx: tx.forget_answers(now)):
        pass
    while store.write(lambda tx: tx.give_up_calls(now)):
        pass
    store.write(lambda tx: tx.forget_notices(now - FORGET_MS))
    store.write(lambda tx: tx.forget_pin_tries(now - FORGET_MS))
    for holder in store.read(lambda tx: tx.owners()):
        by = NEVER if holder != owner and is_gone(holder) else now
        _take_over(store, holder, by, now + settings.retry_base_ms, now)


def _take_over(store: Store, owner: str, run_out_by: int, due_at: int, now: int) -> None:
    lanes = store.write(lambda tx: tx.take_over(owner, run_out_by, due_at, now))
    if lanes:
        log.warning("took over %d lanes of a sender that stopped: what it was sending is looked up first", lanes)
