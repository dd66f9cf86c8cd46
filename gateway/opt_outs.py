"""Opt-outs that the application tells of: somebody called, or wrote elsewhere, that they want no texts."""

from __future__ import annotations

from gateway import unreachable
from gateway.errors import NumberUnknown, OptOutUnknown
from gateway.records import OptedOut
from gateway.settings import Settings
from gateway.store import Tx


def add(tx: Tx, participant: str, mask: str, settings: Settings, now: int) -> tuple[OptedOut, bool]:
    """Remember that a participant wants no texts from `mask` (both E.164), or ("") from any number of ours.

    The others of their sessions are told once that texts do not arrive. Return it, and whether it is news. Raises
    `NumberUnknown` for a mask that is not in the pool.
    """
    if mask and tx.number(mask) is None:
        raise NumberUnknown("the number is not in the pool")
    news = tx.opt_out(participant, mask, now, detail="by the API")
    if news:
        unreachable.tell(tx, participant, mask, settings, now)
    return tx.opted_out(participant, mask), news


def remove(tx: Tx, participant: str, mask: str, now: int) -> None:
    """Forget what `add` remembers, or a STOP (mask ""), or a block at a carrier. Raises `OptOutUnknown`.

    A carrier that blocks goes on doing so, and says so when it is sent the next text.
    """
    if not tx.forget_opt_out(participant, mask):
        raise OptOutUnknown("nobody has opted out like that")
    tx.add_event("opt_in", now, mask=mask, detail="by the API")
