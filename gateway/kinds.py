"""The kinds of events, and what they are about."""

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


def is_of_call(kind: str) -> bool:
    """Return whether events of a kind are about a call."""
    return kind.startswith(("call.", "recording."))


def is_of_message(kind: str) -> bool:
    """Return whether events of a kind are about a message."""
    return kind.startswith("message.")


def written_id(kind: str, id: int) -> str:
    """Return the id of the message that an event of this kind is about, as the API has it: `in-3`, `out-16`."""
    return f"in-{id}" if kind == "message.received" else f"out-{id}"
