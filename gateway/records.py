"""What the store hands out: frozen, so that a record read is a record kept. Times are ms UTC.

The `repr` of each leaves out participants and texts, which must not be logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class NumberState(str, Enum):
    """What a number of ours may be used for."""

    ACTIVE = "active"
    DRAINING = "draining"  #: no new sessions
    DISABLED = "disabled"


class Origin(str, Enum):
    """Which API opened a session: the inherited ones have words of their own for some answers."""

    SMS_PROXY = "sms_proxy"
    MASK_API = "mask_api"
    V1 = "v1"


class MessageState(str, Enum):
    """What has become of an outbound message."""

    QUEUED = "queued"
    SENDING = "sending"
    UNCERTAIN = "uncertain"  #: the carrier may have it: to be looked up
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"  #: refused for good
    EXPIRED = "expired"  #: not accepted within its validity
    SUPPRESSED = "suppressed"  #: the recipient opted out
    BLOCKED = "blocked"  #: by a filter
    PARKED = "parked"  #: waits for a human


#: Inline replies are `sent` the moment the answer is; this reason tells them apart.
INLINE = "inside the answer"


class Kind(str, Enum):
    """Why a message is sent."""

    RELAY = "relay"  #: a participant's own words
    START = "start"
    END = "end"
    NOTICE = "notice"  #: to somebody without a live session, or whose texts do not reach the other person
    APPLICATION = "application"  #: what the application itself has to say in a session
    KEYWORD = "keyword"  #: the answer to STOP, START or HELP: sent even to those who opted out


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolNumber:
    """One of our numbers."""

    number: str
    carrier: str
    state: NumberState
    region: str  #: ISO country, "" where unknown
    live: int  #: live leases on it
    session: str | None  #: the live session that has it to itself
    created_at: int
    label: str = ""  #: an operator's own words
    version: int = 1  #: goes up with each change of state, region or label

    @property
    def is_open(self) -> bool:
        """Whether one more session may share it."""
        return self.state is NumberState.ACTIVE and self.session is None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFilter:
    """Which numbers of the pool are wanted; None: all the same."""

    carrier: str | None = None
    region: str | None = None
    state: NumberState | None = None
    label: str | None = None
    in_use: bool | None = None  #: whether a live session is on it


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFigures:
    """How much of the numbers of one carrier in one country is in use."""

    carrier: str
    region: str  #: "" where unknown
    active: int  #: numbers
    draining: int
    disabled: int
    exclusive: int  #: numbers that one session has to itself
    shareable: int  #: active numbers that no session has to itself
    live: int  #: leases
    quarantined: int
    most: int  #: live leases of one participant, of whoever has the most
    most_shared: int  #: the same, of those on numbers that no session has to itself

    @property
    def headroom(self) -> int:
        """How many more conversations anybody can have at once, also who has the most."""
        return max(0, self.shareable - self.most_shared)

    @property
    def needed(self) -> int:
        """How many numbers it takes to carry what is carried now."""
        return self.exclusive + self.most_shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """*This* participant reaches the others of the session by texting or calling *this* mask."""

    participant: str = field(repr=False)
    mask: str
    carrier: str  #: whose number the mask is
    position: int = 0
    name: str = field(default="", repr=False)  #: what the others see before a text in a group
    pin: str = field(default="", repr=False)  #: who types it on another telephone is taken for this participant


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation."""

    id: str  #: 32 hex digits
    origin: Origin
    live: bool
    created_at: int
    expires_at: int | None
    reason: str  #: why it ended: `ended`, `expired`, `refused`
    legs: tuple[Leg, ...]
    seq: int = 0  #: its place in the order in which sessions were opened
    ended_at: int | None = None
    exclusive: bool = True  #: nobody else is on its mask
    texts: bool = True  #: it carries texts
    calls: bool = True  #: it carries calls
    ttl_ms: int | None = None  #: it expires so long after the last text or call,
    deadline: int | None = None  #: and at this time (ms UTC) whatever happens
    external_id: str = ""  #: the application's own name for it, unique among the live ones
    metadata: str = field(default="", repr=False)  #: the application's own JSON
    end_text: str = field(default="", repr=False)  #: what everybody is told when it ends
    call_options: str = field(
        default="", repr=False
    )  #: how its calls go, as JSON, where the settings are not to decide
    note: str = field(default="", repr=False)  #: why it was ended, in the application's own words
    version: int = 1

    def is_over(self, now: int) -> bool:
        """Return whether it has ended, or is past its expiry and only nobody has noticed yet."""
        return not self.live or (self.expires_at is not None and self.expires_at <= now)

    def others(self, position: int) -> tuple[Leg, ...]:
        """Return the legs that whoever is on the leg at `position` reaches."""
        return tuple(leg for leg in self.legs if leg.position != position)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What mask a leg is to get."""

    participant: str = field(repr=False)
    name: str = field(default="", repr=False)
    pin: str = field(default="", repr=False)  #: nobody else on the mask has it
    carriers: tuple[str, ...]  #: whose numbers will do
    mask: str = ""  #: this one and no other
    country: str = ""  #: a number of this ISO country and of no other
    home: str = ""  #: the participant's own country,
    area: str = ""  #: and area, which are preferred


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The row that holds the pair (mask, participant)."""

    session: Session
    position: int  #: of the participant's leg
    live: bool  #: else quarantined
    refusing: frozenset[int]  #: the positions of those in the session who want nothing from their masks


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Somebody who is on a mask: one lease, without the rest of its session."""

    participant: str = field(repr=False)
    name: str = field(repr=False)
    session: str
    live: bool  #: else quarantined,
    ended_at: int | None  #: since then
    until: int | None  #: and until then


@dataclass(frozen=True, slots=True, kw_only=True)
class OptedOut:
    """Somebody who wants no texts."""

    participant: str = field(repr=False)
    mask: str  #: from this number of ours; "": from any
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to be put into the outbox."""

    carrier: str
    mask: str
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    media: tuple[str, ...] = field(default=(), repr=False)
    kind: Kind = Kind.RELAY
    session: str = ""

    @property
    def place(self) -> dict[str, str]:
        """Where it belongs, as events say it."""
        return {"session": self.session, "mask": self.mask, "carrier": self.carrier}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message in the outbox."""

    id: int
    carrier: str
    mask: str
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    media: tuple[str, ...] = field(repr=False)
    kind: Kind
    session: str
    state: MessageState
    reason: str
    code: str
    attempts: int
    created_at: int
    expires_at: int
    first_tried_at: int | None
    carrier_ref: str
    updated_at: int = 0
    inbox: int | None = None  #: what it was caused by
    replay_of: int | None = None  #: the message it takes the place of
    replayed_as: int | None = None  #: the one that takes its place

    @property
    def place(self) -> dict[str, str]:
        """Where it belongs, as events say it."""
        return {"session": self.session, "mask": self.mask, "carrier": self.carrier}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one attempt to send: the dispatcher's word to the store."""

    message: Message
    state: MessageState
    reason: str = ""
    code: str = ""
    carrier_ref: str = ""
    due_at: int = 0  #: when to try again, for `queued` and `uncertain`
    counts: bool = True  #: False: the attempt is not counted (throttled, or the carrier was out)
    opted_out: bool = False  #: the recipient blocked this mask
    found: bool = False  #: the reference came from a look-up: it must not be another message's
