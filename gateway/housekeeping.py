"""What falls due without anybody asking: expiries, old notices, the claims of the dead; and the log of events."""

from __future__ import annotations

import ctypes
import logging

from gateway import sessions
from gateway.owner import is_gone
from gateway.settings import Settings
from gateway.store import NEVER, Row, Store

log = logging.getLogger(__name__)

#: The dispatcher says these at once, at a level of their own.
_LOGGED_ELSEWHERE = ("carrier.paused", "carrier.resumed")
FORGET_MS = 3_600_000  #: notices and unclaimed receipts older than this are dropped


def sweep(store: Store, settings: Settings, owner: str, now: int) -> None:
    """End sessions and messages whose time is over, and take over the claims of the dead."""
    while store.write(lambda tx: sessions.expire_due(tx, settings, now)):
        pass
    while store.write(lambda tx: tx.expire_messages(now)):
        pass
    while store.write(lambda tx: tx.forget_leases(now)):
        pass
    while store.write(lambda tx: tx.forget_answers(now)):
        pass
    store.write(lambda tx: tx.forget_notices(now - FORGET_MS))
    for holder in store.read(lambda tx: tx.owners()):
        by = NEVER if holder != owner and is_gone(holder) else now
        _take_over(store, holder, by, now + settings.retry_base_ms)


def _take_over(store: Store, owner: str, run_out_by: int, due_at: int) -> None:
    lanes = store.write(lambda tx: tx.take_over(owner, run_out_by, due_at))
    if lanes:
        log.warning("took over %d lanes of a sender that stopped: what it was sending is looked up first", lanes)


class EventLog:
    """Logs events as they come, beginning after the newest there is.

    From the table, so that only what really happened is logged, whichever process it happened in.
    """

    def __init__(self, store: Store, logged: ctypes.c_int64 | None = None) -> None:
        """Begin after the event `logged` names, and note there how far it came; without, after the newest there is."""
        self._store = store
        self._logged = newest_event(store) if logged is None else logged

    def flush(self) -> None:
        """Log what has come since the last time."""
        while events := self._store.read(lambda tx: tx.events(self._logged.value)):
            for event in events:
                if event["kind"] not in _LOGGED_ELSEWHERE:
                    log.log(_level(event["kind"]), "%s", _in_words(event))
            self._logged.value = int(events[-1]["id"])


def newest_event(store: Store) -> ctypes.c_int64:
    """Return the number of the newest event there is, where a log can begin."""
    return ctypes.c_int64(store.read(lambda tx: tx.last_event()))


def _level(kind: str) -> int:
    return logging.WARNING if kind.startswith(("message.", "number.")) else logging.INFO


def _in_words(event: Row) -> str:
    """Return an event as one line: its kind, and of message, session, mask, carrier and detail what it has."""
    parts = [f"{name} {event[name]}" for name in ("message", "session", "mask", "carrier") if event[name]]
    return f"{event['kind']}: {', '.join(parts)}" + (f" ({event['detail']})" if event["detail"] else "")
