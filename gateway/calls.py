"""Calls as they cross borders: what carriers tell of them, and what they are told. Frozen, keyword-only.

A call is routed once, when it comes in. Some carriers then ask again at each turn of it (`CallStep`), others are told
all of it at once: a `Connect` holds whatever either needs. The `repr` of each leaves out what must not be logged:
numbers, words, digits, and URLs, by which a call is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from gateway.errors import WebhookMalformed
from gateway.numbers import without_numbers
from gateway.storable import check_length, mend

LONGEST_URL = 8192  #: characters, of a recording's

# --- what carriers tell -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundCall:
    """A person called one of our numbers and waits."""

    carrier_ref: str
    caller: str = field(repr=False)  #: E.164; else the carrier's own word (`anonymous`, a SIP address, "")
    called: str = field(repr=False)  #: our number, the mask
    form: str = ""  #: the plugin's own note of the language `answer_call` must speak

    def __post_init__(self) -> None:
        mend(self, "carrier_ref", "caller", "called", "form")
        check_length(self, "carrier_ref", "caller", "called")


class Step(str, Enum):
    """At which turn of a call the carrier asks what comes next; also the word for it in the URL it calls."""

    PIN = "pin"  #: the caller has typed, or has not: after `AskPin`
    SCREEN = "screen"  #: a callee has answered, and is not connected yet: after a `Connect` with `screens`
    SCREENED = "screened"  #: that callee has typed, or has not: after a `Screen` with `accept`
    DIALLED = "dialled"  #: ringing, or the conversation, is over, and the caller is still there: after `Connect`
    RECORDED = "recorded"  #: the caller has left a message, or has not: after `TakeMessage`


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStep:
    """A carrier asks how a call goes on, at the URL that the route before named.

    One that was told everything at once tells in the same way how it went, and does not mind the answer: `SCREENED`
    where a callee was asked to press 1, `DIALLED` once the ringing or the conversation is over.
    """

    carrier_ref: str  #: of the call that came in, or of the callee's; the URL says which call it belongs to
    step: Step
    callee: int | None = None  #: at `SCREEN` and `SCREENED`: the `position` of the callee it is about
    digits: str = field(default="", repr=False)  #: what was typed, without the key that ends it
    #: At `DIALLED`: two people were connected. False where the carrier says so of a callee who did not press 1 as well:
    #: that one did has been told by `SCREENED`.
    connected: bool = False
    #: At `DIALLED`, where the carrier cannot ring all callees of the route at once: the positions of those it has rung.
    #: Unless `connected`, the answer is the same `Connect` with the others, as long as there are some. (): all of them.
    rung: tuple[int, ...] = ()
    form: str = ""  #: as in `InboundCall`

    def __post_init__(self) -> None:
        mend(self, "carrier_ref", "digits", "form")
        check_length(self, "carrier_ref", "digits")


class CallState(Enum):
    """How far a call, or one callee's part of it, has come."""

    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class CallOutcome(Enum):
    """How a call, or one callee's part of it, ended."""

    COMPLETED = "completed"  #: somebody answered, and hung up later
    BUSY = "busy"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"
    CANCELED = "canceled"  #: the caller hung up first, or somebody else answered
    FAILED = "failed"
    UNKNOWN = "unknown"  #: a word we have no meaning for: kept in `detail`


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProgress:
    """A carrier's word on how a call goes on. Nothing is to be answered. May come twice, and in any order."""

    carrier_ref: str
    state: CallState
    outcome: CallOutcome | None = None  #: where it has ended
    callee: int | None = None  #: the `position` of the callee whose part it is about; None: the whole call
    seconds: int | None = None  #: how long it lasted
    detail: str = ""  #: the carrier's own word for the outcome

    def __post_init__(self) -> None:
        mend(self, "carrier_ref", "detail")
        object.__setattr__(self, "detail", without_numbers(self.detail))
        check_length(self, "carrier_ref", "detail")


class RecordingKind(Enum):
    """Why something was recorded; also the word for it in the URL the carrier calls."""

    CALL = "recording"  #: the conversation
    VOICEMAIL = "voicemail"


class RecordingState(Enum):
    """What became of a recording."""

    READY = "ready"  #: it can be fetched
    ABSENT = "absent"  #: there is none: silence, or an error


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingReport:
    """A carrier's word on a recording of a call. May come twice."""

    carrier_ref: str  #: of the call
    kind: RecordingKind
    state: RecordingState
    recording_ref: str = ""  #: the carrier's id of it; "" where it gives none: then its URL is
    url: str = field(default="", repr=False)  #: where the carrier keeps it: never shown to anybody
    seconds: int | None = None
    #: Of a `CALL` that is recorded from when a telephone answers: the positions of those one of whom did. Unless
    #: one of them took the call it holds no conversation, but what a callee heard, or a mailbox said, before that, and
    #: is deleted. (): the carrier does not say, or records nobody before they take the call.
    callees: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        mend(self, "carrier_ref", "recording_ref", "url")
        check_length(self, "carrier_ref", "recording_ref")
        if len(self.url) > LONGEST_URL:
            raise WebhookMalformed(f"url has {len(self.url)} characters")


# --- what carriers are told ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """Somebody to ring. `caller_id` is always the mask of the callee's own leg, never a participant's number."""

    number: str = field(repr=False)
    caller_id: str
    position: int = 0  #: which leg it is: the carrier says it again in `CallProgress`


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Say `words` (none: say nothing), then hang up."""

    words: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeMessage:
    """Say `words`, beep, and record what the caller has to say; # or silence ends it."""

    words: str = field(repr=False)
    limit_seconds: int = 120
    goodbye: str = field(default="", repr=False)  #: said after it
    callback: str = field(default="", repr=False)  #: as in `Connect`


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Say `words`, then ring all callees at once; the first who answers (or accepts) is connected."""

    callees: tuple[Callee, ...]
    ring_seconds: int = 25
    limit_seconds: int = 14_400  #: the longest the conversation may last
    words: str = field(default="", repr=False)  #: to the caller, before anybody is rung
    whisper: str = field(default="", repr=False)  #: to the callee who answers, before the two hear each other
    accept: bool = False  #: only a callee who presses 1 is connected: `whisper` asks for it. No mailbox does
    record: bool = False  #: from when the two are connected; who is recorded is told in `words` and `whisper`
    unanswered: TakeMessage | Refuse = Refuse()  #: what follows if nobody is connected
    #: Where the carrier tells how the call goes on, and asks for its next step: `callback_url` adds what it is about.
    #: "": nowhere. Then there is no screen, nothing is recorded and no message is taken.
    callback: str = field(default="", repr=False)

    @property
    def screens(self) -> bool:
        """Whether the callee who answers hears something before the two are connected."""
        return self.accept or bool(self.whisper)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPin:
    """Say `words` and let the caller type up to `most_digits`, ended by #: then comes `Step.PIN`."""

    words: str = field(repr=False)
    most_digits: int = 15
    callback: str = field(default="", repr=False)  #: as in `Connect`


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """To a callee who has answered: say `words`; with `accept`, let them press one key. The answer to `Step.SCREEN`.

    Without `accept` the two are then connected.
    """

    words: str = field(repr=False)
    accept: bool = False
    callback: str = field(default="", repr=False)  #: as in `Connect`


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """To a callee who pressed 1: connect the two now. The answer to `Step.SCREENED`, or else a `Refuse` is."""


#: What a carrier is told to do with a call. To an `InboundCall` it is one of the first four.
CallRoute = Connect | Refuse | AskPin | TakeMessage | Screen | Bridge


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording that a carrier keeps, as it was told in a `RecordingReport`."""

    carrier_ref: str  #: of the call
    recording_ref: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """What a recording sounds like, as it comes in. Whoever has taken it calls `close`, whatever happens."""

    chunks: Iterator[bytes] = field(repr=False)
    close: Callable[[], None] = field(repr=False)
    content_type: str = "audio/wav"
    size: int | None = None  #: bytes, where the carrier says


def callback_url(callback: str, step: Step | RecordingKind | None = None, callee: int | None = None) -> str:
    """Return the URL a carrier is to call: for a step, about a recording, or (neither) with progress.

    `callback` is a route's; `parse` finds `step` and `callee` in the query again, as words.
    """
    words = [f"step={step.value}"] if step else []
    words += [f"callee={callee}"] if callee is not None else []
    return f"{callback}{'&' if '?' in callback else '?'}{'&'.join(words)}" if words else callback
