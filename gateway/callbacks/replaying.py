"""Sending again what is dead: singly, or all that a filter finds. The id stays as it was, and so does the body."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.callbacks.records import Callback, CallbackState
from gateway.errors import ReplayRefused
from gateway.settings import Settings
from gateway.store import CallbackFilter, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a replay by filter."""

    replayed: tuple[int, ...]  #: the new callbacks
    refused: dict[int, str]  #: those that were not, and why
    after: int | None  #: where to go on; None: that was all


def replay(tx: Tx, one: Callback, settings: Settings, now: int) -> int:
    """Put a dead callback at the end of its line again, with a new validity; return the id of the new one.

    The unit must run alone. Raises `ReplayRefused` with the reason.
    """
    if one.state is not CallbackState.DEAD:
        raise ReplayRefused(f"only a dead callback can be sent again, and this one is {one.state.value}")
    if one.replayed_as is not None:
        raise ReplayRefused("another callback took its place already")
    if one.endpoint not in {endpoint.name for endpoint in settings.callback_endpoints}:
        raise ReplayRefused("its endpoint is not in GATEWAY_CALLBACK_URL any more")
    return tx.replay_callback(one, now + settings.callback_validity_ms, now)


def replay_all(tx: Tx, wanted: CallbackFilter, after: int, count: int, settings: Settings, now: int) -> Replayed:
    """Replay the first `count` dead callbacks behind the id `after` that a filter finds, oldest first.

    The unit must run alone.
    """
    found, on = tx.dead_callbacks(wanted, after, count)
    done: list[int] = []
    refused: dict[int, str] = {}
    for one in found:
        try:
            done.append(replay(tx, one, settings, now))
        except ReplayRefused as error:
            refused[one.id] = str(error)
    return Replayed(replayed=tuple(done), refused=refused, after=on)
