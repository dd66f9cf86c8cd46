"""The rows of a carrier's conformance tables. Dataclasses, not dicts: a misspelt name is a TypeError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.calls import CallRoute, CallStep, InboundCall, Recording
from gateway.carrier import Event
from gateway.errors import SendError
from gateway.messages import OutboundMessage, Submission, WebhookRequest, WebhookResponse

#: What a row sends or looks up unless it says otherwise.
MESSAGE = OutboundMessage(
    id="m-0001",
    sender="+12065550199",
    recipient="+12065550102",
    text="On my way, two minutes",
    receipt_url="https://gateway.example.com/webhooks/carrier",
)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the carrier's API answers a request of ours."""

    status: int = 200
    json: Any = None  #: the body, to be sent as JSON; None: `body` counts
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receives:
    """A webhook, as captured from the carrier and signed, and what it says."""

    id: str
    request: WebhookRequest
    events: Sequence[Event]  #: exactly these, in this order; () where it is of no interest here
    answer: WebhookResponse | None = None  #: exactly this acknowledgement; None: any 2xx
    #: False for a callback that a signing carrier does not sign: never a text or a call. `verify` may reject it, since
    #: the gateway takes receipts and call progress by its token alone
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Acknowledges:
    """The exact answer to a webhook that gave rise to `replies`: for carriers that are `inline`."""

    id: str
    events: Sequence[Event]
    replies: Sequence[OutboundMessage]
    answer: WebhookResponse


@dataclass(frozen=True, slots=True)
class Sends:
    """A message, what it becomes on the wire, what the carrier answers, and what we make of that."""

    id: str
    wire: Any  #: the decoded body: JSON as it is; a form, or the query of a GET, as {name: value, or list of values}
    answer: HttpAnswer
    outcome: (
        Submission | SendError | type[SendError]
    )  #: of an error: class, code, retry_after, number_only; or the class
    message: OutboundMessage = MESSAGE
    headers: Mapping[str, str] = field(default_factory=dict)  #: must be among those sent, with exactly these values


@dataclass(frozen=True, slots=True)
class Looks:
    """What the carrier's list of messages answers, and what `lookup` makes of it."""

    id: str
    answer: HttpAnswer | Sequence[HttpAnswer]  #: several: one for each request, the last for all that follow
    outcome: Submission | SendError | type[SendError] | None
    message: OutboundMessage = MESSAGE
    urls: Sequence[str] = ()  #: exactly these are asked for, in this order; (): not compared


@dataclass(frozen=True, slots=True)
class Answers:
    """A call, or a step of one, the route it takes, and the instructions the carrier is given."""

    id: str
    call: InboundCall | CallStep
    route: CallRoute
    body: Any  #: a str: exactly this; anything else: what the answer's JSON decodes to


@dataclass(frozen=True, slots=True)
class Fetches:
    """A recording, what the carrier's host answers, and what it sounds like."""

    id: str
    recording: Recording
    answer: HttpAnswer | Sequence[HttpAnswer]  #: several: one for each request, the last for all that follow
    outcome: bytes | SendError | type[SendError]
    urls: Sequence[str] = ()  #: exactly these are asked for, in this order; (): not compared


@dataclass(frozen=True, slots=True)
class Deletes:
    """A recording, what the carrier answers, and what comes of letting it forget it. `outcome` None: it is gone."""

    id: str
    recording: Recording
    answer: HttpAnswer | Sequence[HttpAnswer]
    outcome: SendError | type[SendError] | None = None
    urls: Sequence[str] = ()
