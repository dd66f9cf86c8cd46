"""Problem documents (RFC 9457) of v1: every type there is, and the one place where our errors become one.

`type` is `/v1/docs/problems#<slug>`, where it is explained; what plain HTTP says already (401, 404, 405 …) is
`about:blank`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bottle
from pydantic import BaseModel, ConfigDict

from gateway.errors import (
    CallUnknown,
    ExternalIdTaken,
    GatewayError,
    InvalidNumber,
    MessageUnknown,
    NoNumberFree,
    NumberExists,
    NumberInUse,
    NumberUnknown,
    OptOutUnknown,
    PairTaken,
    PinTaken,
    RecordingUnknown,
    ReplayRefused,
    SessionLive,
    SessionOver,
    SessionUnknown,
    WishRefused,
)
from gateway.web.errors import problem

MOST = 100  #: wrong fields that are named in one answer
WHERE = "/v1/docs/problems"


class Wrong(BaseModel):
    """One thing that is wrong with a request. `detail` never holds the value."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    pointer: str | None = None  #: JSON Pointer into the body
    parameter: str | None = None  #: or the name of a path or query parameter, or of a header
    detail: str


class ProblemDocument(BaseModel):
    """What is wrong, and what to do. Further members belong to the type."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: str
    title: str
    status: int
    detail: str
    errors: list[Wrong] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemType:
    """A kind of problem, as `/v1/docs/problems` explains it."""

    slug: str
    status: int
    title: str
    meaning: str  #: a sentence or two: what it is, what to do

    @property
    def uri(self) -> str:
        """Return what stands in `type`."""
        return f"{WHERE}#{self.slug}"


def _type(slug: str, status: int, title: str, meaning: str) -> ProblemType:
    return ProblemType(slug=slug, status=status, title=title, meaning=meaning)


INVALID = _type(
    "invalid",
    422,
    "Something in the request is wrong",
    "`errors` names every wrong field: those of the body by `pointer` (JSON Pointer), those of path, query and headers "
    "by `parameter`. Nothing was changed.",
)
UNREADABLE = _type(
    "unreadable", 400, "The request cannot be read", "The body must be one JSON object in UTF-8, the query be UTF-8."
)
MEDIA_TYPE = _type("media-type", 415, "The body is no JSON", "Send the header `Content-Type: application/json`.")
BAD_CURSOR = _type(
    "cursor",
    400,
    "The cursor is not one of this list",
    "Send `next` as it was answered, with the same filters; or leave it out to begin again.",
)
KEY_REUSED = _type(
    "idempotency-key-reused",
    422,
    "The Idempotency-Key belongs to another request",
    "A key stands for one request. Choose a new one for each; only repeats of the same request bear the same.",
)
CHANGED = _type(
    "changed",
    412,
    "It was changed meanwhile",
    "`If-Match` names another version than the one there is: get it again, and decide again.",
)
NUMBER_UNKNOWN = _type("number-unknown", 404, "The number is not in the pool", "See `GET /v1/pool`.")
NUMBER_EXISTS = _type(
    "number-exists", 409, "The number is in the pool already", "Nothing was added. A number never changes its carrier."
)
NUMBER_IN_USE = _type(
    "number-in-use",
    409,
    "A live session holds the number",
    "`session` is one of them. Set the number to `draining`: it gets no new ones. Remove it when they have ended.",
)
NO_NUMBER_FREE = _type(
    "no-number-free",
    409,
    "No number of the pool can carry the session",
    "Add numbers, or end sessions. `GET /v1/pool/figures` says what is missing. Where one participant found none, "
    "`errors` says which: on every number that would do they have a conversation already, or they refuse its texts.",
)
WISH_REFUSED = _type(
    "wish-refused",
    422,
    "Nothing here can do what is wished for",
    "No configured carrier or number has what the request asks of it. `errors` says which wish it is.",
)
PAIR_TAKEN = _type(
    "pair-taken",
    409,
    "The mask means another session to a participant",
    "`session` is that one: live, or ended and in quarantine. End it, wait until its quarantine is over, or choose "
    "another mask.",
)
PIN_TAKEN = _type(
    "pin-taken",
    409,
    "Somebody else on the mask has this PIN",
    "Choose another PIN, or leave the mask to be chosen.",
)
EXTERNAL_ID_TAKEN = _type(
    "external-id-taken",
    409,
    "A live session has this external id",
    "`session` is that one. Use it, or end it first.",
)
SESSION_OVER = _type(
    "session-over", 409, "The session has ended", "Nothing was changed. `POST /v1/sessions/{id}/reopen` lets it go on."
)
SESSION_LIVE = _type("session-live", 409, "The session has not ended", "There is nothing to re-open.")
CANNOT_REOPEN = _type(
    "cannot-reopen",
    409,
    "The session cannot go on as it was",
    "One of its masks takes no sessions any more, or one of its participants is a number of the pool by now: "
    "open a new one.",
)
OPT_OUT_UNKNOWN = _type(
    "opt-out-unknown", 404, "There is no such opt-out", "See `GET /v1/opt-outs`: one of all numbers bears no mask."
)
CARRIER_UNKNOWN = _type("carrier-unknown", 404, "There is no such carrier", "See `GET /v1/carriers`.")
SESSION_UNKNOWN = _type("session-unknown", 404, "There is no such session", "See `GET /v1/sessions`.")
MESSAGE_UNKNOWN = _type(
    "message-unknown", 404, "There is no such message", "See `GET /v1/messages`. Old ones go after `GATEWAY_KEEP`."
)
NOT_REPLAYED = _type(
    "not-replayed",
    409,
    "The message must not be sent again",
    "`detail` says why: it did not come to nothing, it was sent again already, its recipient is not in its session any "
    "more, or they have opted out.",
)
CALLBACK_UNKNOWN = _type(
    "callback-unknown", 404, "There is no such callback", "See `GET /v1/callbacks`. Old ones go after `GATEWAY_KEEP`."
)
CALLBACK_NOT_REPLAYED = _type(
    "callback-not-replayed",
    409,
    "The callback cannot be sent again",
    "`detail` says why: it is not dead, it was sent again already, or its endpoint is not in `GATEWAY_CALLBACK_URL` "
    "any more.",
)
CALL_UNKNOWN = _type("call-unknown", 404, "There is no such call", "See `GET /v1/calls`.")
RECORDING_UNKNOWN = _type(
    "recording-unknown",
    404,
    "There is no such recording",
    "See `GET /v1/calls/{id}`: there was none, or it was deleted. They are kept for `GATEWAY_KEEP_RECORDINGS`.",
)
CARRIER_OUT = _type(
    "carrier-out", 503, "The carrier cannot be asked now", "It keeps what is asked for. Try again a little later."
)

#: What the core raises, as what it is answered. A subclass comes before its base.
OF_ERRORS: Mapping[type[GatewayError], ProblemType] = {
    InvalidNumber: INVALID,
    NumberUnknown: NUMBER_UNKNOWN,
    NumberExists: NUMBER_EXISTS,
    NumberInUse: NUMBER_IN_USE,
    NoNumberFree: NO_NUMBER_FREE,
    WishRefused: WISH_REFUSED,
    PairTaken: PAIR_TAKEN,
    PinTaken: PIN_TAKEN,
    ExternalIdTaken: EXTERNAL_ID_TAKEN,
    SessionOver: SESSION_OVER,
    SessionLive: SESSION_LIVE,
    SessionUnknown: SESSION_UNKNOWN,
    OptOutUnknown: OPT_OUT_UNKNOWN,
    MessageUnknown: MESSAGE_UNKNOWN,
    CallUnknown: CALL_UNKNOWN,
    RecordingUnknown: RECORDING_UNKNOWN,
    ReplayRefused: NOT_REPLAYED,
}


def every_type() -> list[ProblemType]:
    """Return every type of this module, in the order they are written down."""
    return [value for value in globals().values() if isinstance(value, ProblemType)]


class Refusal(Exception):
    """A request is answered with a problem. Raised in a unit of work, it leaves nothing written."""

    def __init__(self, type: ProblemType, detail: str, *, errors: Sequence[Wrong] = (), **members: Any) -> None:
        """`detail` and `errors` never hold a value of the request; `members` become further members."""
        super().__init__(detail)
        self.type = type
        self.detail = detail
        self.errors = errors
        self.members = members

    def document(self) -> bottle.HTTPResponse:
        """Return the answer."""
        members: dict[str, Any] = {"title": self.type.title} | self.members
        detail = self.detail
        if self.errors:
            members["errors"] = [wrong.model_dump(exclude_none=True) for wrong in self.errors[:MOST]]
        if len(self.errors) > MOST:
            detail += f" The first {MOST} of {len(self.errors)} are named."
        return problem(self.type.status, detail, type=self.type.uri, **members)


def refusal_for(
    error: GatewayError, *, type: ProblemType | None = None, errors: Sequence[Wrong] = ()
) -> Refusal | None:
    """Return what an error of the core is answered with, None where it is no answer but a failure of ours.

    `type` stands for the error's own where it means something else here.
    """
    found = type or next((one for kind, one in OF_ERRORS.items() if isinstance(error, kind)), None)
    if found is None:
        return None
    members: dict[str, Any] = {}
    if isinstance(error, (NumberInUse, PairTaken, ExternalIdTaken)):
        members["session"] = error.session
    words = str(error)
    return Refusal(found, f"{words[:1].upper()}{words[1:]}.", errors=errors, **members)
