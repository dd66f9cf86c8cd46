"""What crosses the border of the store: callbacks, and whom they are for. Times are ms UTC.

The `repr` of a callback leaves out its body, which may hold a text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gateway.retry import CLOSED, Circuit


class CallbackState(str, Enum):
    """What has become of a callback."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be told of one event, whoever is told."""

    event: int
    kind: str
    session: str  #: "" where it is of none
    body: str = field(repr=False)
    is_full: bool  #: the body shows participants' numbers
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """An event that one endpoint is owed, or was."""

    id: int
    endpoint: str
    event: int
    kind: str
    session: str
    webhook_id: str
    body: str = field(repr=False)
    is_full: bool  #: the body may show participants' numbers
    state: CallbackState
    attempts: int  #: that came to nothing, or to its delivery
    status: int  #: of the last answer; 0: there was none
    reason: str
    created_at: int
    updated_at: int
    expires_at: int
    replay_of: int | None
    replayed_as: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """How an endpoint stands, for all who send to it."""

    name: str
    key: str  #: stands in the ids of its callbacks, so that those of two gateways never look alike
    upto: int  #: the last event of the feed that it was given
    held_until: int = 0  #: it asked to be sent nothing before
    circuit: Circuit = CLOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a callback after an attempt."""

    callback: Callback
    state: CallbackState
    due_at: int  #: when its line is due again
    status: int
    reason: str
    counts: bool = True  #: as an attempt
