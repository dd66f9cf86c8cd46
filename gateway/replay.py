"""Sending again, as it was, what came to nothing: singly, or all that a filter finds.

A replay waits for no carrier and asks nobody: so first of all it must not reach a person whom the text was not for.
Each goes out only if its pair (mask, recipient) means what it meant when the text was written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.errors import MessageUnknown, ReplayRefused
from gateway.records import Kind, Message, MessageState
from gateway.settings import Settings
from gateway.store import MessageFilter, Tx
from gateway.store.outbox import OPTED_OUT, READDRESSED

#: What came to nothing. An undelivered one was with its carrier, and a parked one may have been: these are for whoever
#: asks for them by name.
REPLAYABLE = frozenset({MessageState.FAILED, MessageState.PARKED, MessageState.EXPIRED, MessageState.UNDELIVERED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A message that a filter found and that must not be sent again."""

    message: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a replay by filter."""

    replayed: tuple[int, ...]  #: the new messages
    replaced: tuple[int, ...]  #: those whose place they take, in the same order
    refused: tuple[Refused, ...]
    after: tuple[int, int] | None  #: where to go on; None: that was all


def replay(tx: Tx, id: int, settings: Settings, now: int) -> Message:
    """Put a message at the end of its lane again, with a new validity, and return the new one.

    The unit must run alone. Raises `MessageUnknown`, or `ReplayRefused` with the reason.
    """
    one = tx.outbound(id)
    if one is None:
        raise MessageUnknown("there is no such message")
    if one.state not in REPLAYABLE:
        raise ReplayRefused(f"only what came to nothing can be sent again, and the message is {one.state.value}")
    return tx.message(_again(tx, one, settings, now))


def replay_all(
    tx: Tx,
    wanted: MessageFilter,
    states: Collection[MessageState],
    after: tuple[int, int],
    count: int,
    settings: Settings,
    now: int,
) -> Replayed:
    """Replay the first `count` messages behind `after` in one of `states` that a filter finds, oldest first.

    The unit must run alone.
    """
    found, on = tx.replayable(wanted, states, after, count)
    done: dict[int, int] = {}  # new by old
    refused: list[Refused] = []
    for one in found:
        try:
            done[one.id] = _again(tx, one, settings, now)
        except ReplayRefused as error:
            refused.append(Refused(message=one.id, why=str(error)))
    return Replayed(replayed=tuple(done.values()), replaced=tuple(done), refused=tuple(refused), after=on)


def _again(tx: Tx, one: Message, settings: Settings, now: int) -> int:
    number = tx.number(one.mask)
    if one.replayed_as is not None or one.reason == READDRESSED:
        raise ReplayRefused("another message took its place already")
    if number is None:
        raise ReplayRefused("its mask is not in the pool any more")
    if tx.has_opted_out(one.recipient, one.mask):
        raise ReplayRefused(OPTED_OUT)
    if why := _is_for_nobody(tx, one, now):
        raise ReplayRefused(why)
    return tx.replay(one, number.carrier, now=now, validity_ms=settings.validity_ms)


def _is_for_nobody(tx: Tx, one: Message, now: int) -> str:
    """Return why the pair does not mean any more what it meant when the message was written; "" if it does."""
    lease = tx.find_lease(one.mask, one.recipient, now)
    if not one.session:
        over = lease is None or not lease.live or lease.session.is_over(now)
        return "" if over else "its recipient has a session on the mask by now"
    if lease is None or lease.session.id != one.session:
        return "its recipient is not in its session any more: the pair (mask, recipient) means another, or none"
    if one.kind is Kind.END:  # the last words of a session that has ended
        return "" if lease.session.is_over(now) else "its session goes on, and it says goodbye"
    return "" if lease.live and not lease.session.is_over(now) else "its session has ended"
