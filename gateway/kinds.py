"""The kinds of events."""

from __future__ import annotations

#: Every kind of event there is.
KINDS = frozenset(
    {
        "session.opened",
        "session.reopened",
        "session.changed",
        "session.extended",
        "session.participant_replaced",
        "session.ended",
        "session.expired",
        "session.refused",
        "message.received",
        "message.sent",
        "message.delivered",
        "message.undelivered",
        "message.failed",
        "message.expired",
        "message.suppressed",
        "message.parked",
        "message.replayed",
        "call.connected",
        "call.refused",
        "call.answered",
        "call.ended",
        "call.missed",
        "recording.ready",
        "recording.deleted",
        "recording.kept",
        "opt_out",
        "opt_in",
        "pool.low",
        "carrier.paused",
        "carrier.resumed",
        "number.unknown",
    }
)
