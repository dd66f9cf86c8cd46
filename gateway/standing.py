"""How a carrier stands: whether it can be reached, how fast it is sent to, what waits for it, what went wrong last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.carrier import Carrier
from gateway.messages import Rate
from gateway.records import MessageState
from gateway.store import Tx
from gateway.store.db import Row

_REFUSED = (f"message.{MessageState.FAILED.value}", f"message.{MessageState.PARKED.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong with a carrier, in its words or ours."""

    at: int  #: ms UTC
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a carrier stands."""

    name: str
    state: Literal["ready", "out", "idle"]  #: idle: none of its settings is there
    out: Failure | None  #: why it is out, and since when
    rate: Rate | None  #: None: it cannot tell, or is idle
    backlog: int  #: messages that wait or are being sent; `MOST_WAITING` stands for more
    last: Failure | None  #: the last time it went out, or a message was refused for good


def standing(tx: Tx, name: str, carrier: Carrier | None) -> Standing:
    """Return how a carrier stands, for all who send; one without settings is None."""
    out = carrier is not None and tx.circuit(name).is_open
    paused = tx.last_of_carrier(name, "carrier.paused")
    refused = [tx.last_of_carrier(name, kind) for kind in _REFUSED]
    return Standing(
        name=name,
        state="idle" if carrier is None else "out" if out else "ready",
        out=_failure(paused) if out else None,
        rate=_rate(carrier) if carrier is not None else None,
        backlog=tx.messages_waiting(name),
        last=_failure(max(filter(None, [paused, *refused]), key=lambda row: int(row["id"]), default=None)),
    )


def _failure(row: Row | None) -> Failure | None:
    return Failure(at=row["at"], what=row["detail"]) if row is not None else None


def _rate(carrier: Carrier) -> Rate | None:
    """Return how fast a carrier may be sent to; a plugin that fails here is not asked to explain itself."""
    try:
        rate = carrier.rate
    except Exception:
        return None
    return rate if isinstance(rate, Rate) else None
