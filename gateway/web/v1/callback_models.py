"""The models of `/v1/callbacks`: what is read and what is answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from gateway.callbacks.records import CallbackState
from gateway.kinds import KINDS
from gateway.store.callback_lists import MOST_WAITING
from gateway.web.v1.message_models import Count
from gateway.web.v1.paging import Paging
from gateway.web.v1.types import Input, Output, RowId, SessionId, Time

MOST = 200  #: callbacks replayed in one request


def _kind(value: str) -> str:
    if value not in KINDS:
        raise ValueError("is no kind of event")
    return value


EndpointName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,300}$")]
KindName = Annotated[
    str,
    AfterValidator(_kind),
    WithJsonSchema({"type": "string", "enum": sorted(KINDS), "examples": ["message.failed"]}),
]


class CallbackPath(Input):
    id: RowId


class ListCallbacks(Paging):
    endpoint: EndpointName | None = None
    state: CallbackState | None = None
    session: SessionId | None = None
    kind: KindName | None = Field(None, description="Of its event")


class ReplayCallbacks(Input):
    """Which dead callbacks to send again."""

    endpoint: EndpointName | None = None
    session: SessionId | None = None
    kind: KindName | None = Field(None, description="Of its event")
    since: Time | None = Field(None, description="Made at this time or later")
    until: Time | None = Field(None, description="Made before this time")
    limit: Count = Field(100, ge=1, le=MOST, description="The most callbacks looked at in one request")
    after: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] | None = Field(
        None, description="`next` of the answer before"
    )


class Callback(Output):
    """An event that one endpoint is owed, or was. What was sent is not shown."""

    id: int
    endpoint: str = Field(description="Its host and a short hash; never what else is in its URL")
    event: int
    kind: str = Field(description="Of the event")
    session: str | None
    webhook_id: str = Field(description="The header `webhook-id`: the same however often it is sent")
    state: CallbackState = Field(description="`dead`: nothing more is tried")
    attempts: int = Field(description="Those while the endpoint was out are not counted")
    status: int | None = Field(description="Of the last answer; null: there was none")
    reason: str = Field(description="Why the last attempt came to nothing")
    created_at: Time
    updated_at: Time
    expires_at: Time = Field(description="Until when it is worth delivering")
    replay_of: int | None = Field(description="The callback it takes the place of")
    replayed_as: int | None = Field(description="The callback that took its place")


class CallbackEndpoint(Output):
    """How an endpoint of `GATEWAY_CALLBACK_URL` stands."""

    name: str = Field(description="Its host and a short hash; never what else is in its URL")
    state: Literal["ready", "out", "held", "gone"] = Field(
        description="`out`: it does not answer, or with 5xx; one callback probes it from time to time, the others "
        "wait. `held`: it asked for a pause. `gone`: it is not in the settings any more"
    )
    reason: str = Field(description="Why it is out")
    next_try: Time | None = Field(description="Until when it is left alone, where it is out or held")
    backlog: int = Field(description=f"Callbacks that wait or are being sent; {MOST_WAITING:,} stands for more")


class CallbackEndpoints(Output):
    """All endpoints, by name."""

    data: list[CallbackEndpoint]


class CallbackDetail(Callback):
    """A callback, and when it is tried next."""

    next_try: Time | None = Field(
        description="Not before this time; null: others of its session come first, it is being sent, or nothing more "
        "is tried"
    )


class CallbackNotReplayed(Output):
    callback: int
    why: str


class CallbackReplays(Output):
    """What came of a replay by filter."""

    replayed: int
    callbacks: list[int] = Field(description="The new callbacks, in the order in which they go out")
    refused: list[CallbackNotReplayed] = Field(description="Callbacks that cannot be sent again")
    next: str | None = Field(description="Send it as `after` to go on; null: that was all")
