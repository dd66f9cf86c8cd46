"""`/v1/carriers`: how the carriers stand."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gateway import standing
from gateway.keys import Role
from gateway.standing import Failure as Record
from gateway.store import Tx
from gateway.store.claims import MOST_WAITING
from gateway.web.context import Context
from gateway.web.v1.channels import channels_of
from gateway.web.v1.manners import reading
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.problems import CARRIER_UNKNOWN, Refusal
from gateway.web.v1.types import ChannelName, Input, Name, Output, Time


class CarrierPath(Input):
    name: Name


class Failure(Output):
    """What went wrong."""

    at: Time
    what: str


class Pace(Output):
    """How fast a carrier is sent to, in parts of texts per second; null: as fast as it takes them."""

    per_number: float | None
    per_account: float | None


class Carrier(Output):
    """How a carrier stands."""

    name: str
    state: Literal["ready", "out", "idle"] = Field(
        description="`out`: it cannot be reached, or refuses our account; a text probes it from time to time, the "
        "others wait. `idle`: it is installed, and none of its settings is there"
    )
    out: Failure | None = Field(description="Since when it is out, and why")
    channels: list[ChannelName]
    pace: Pace | None = Field(description="null: it cannot tell")
    needs: str | None = Field(description="What to set in order to use it, where it is idle")
    backlog: int = Field(description=f"Texts that wait or are being sent; {MOST_WAITING:,} stands for more")
    last_error: Failure | None = Field(
        description="When it went out last, or refused a text for good, whichever is later"
    )


class Carriers(Output):
    """All carriers, by name."""

    data: list[Carrier]


# --- handlers ---------------------------------------------------------------------------------------


def list_carriers(tx: Tx, call: Call[Nothing, Nothing, Nothing]) -> Answer:
    names = sorted({*call.context.carriers, *call.context.installed})
    return Answer(body=Carriers(data=[_carrier(tx, call.context, name) for name in names]))


def get_carrier(tx: Tx, call: Call[CarrierPath, Nothing, Nothing]) -> Answer:
    name = call.path.name
    if name not in call.context.carriers and name not in call.context.installed:
        raise Refusal(CARRIER_UNKNOWN, "No carrier of this name is installed.")
    return Answer(body=_carrier(tx, call.context, name))


def _carrier(tx: Tx, context: Context, name: str) -> Carrier:
    carrier = context.carriers.get(name)
    found = standing.standing(tx, name, carrier)
    rate = found.rate
    return Carrier(
        name=name,
        state=found.state,
        out=_failure(found.out),
        channels=channels_of(carrier) if carrier else [],
        pace=Pace(per_number=rate.per_number, per_account=rate.per_account) if rate else None,
        needs=None if carrier else context.installed[name],
        backlog=found.backlog,
        last_error=_failure(found.last),
    )


def _failure(record: Record | None) -> Failure | None:
    return Failure(at=record.at, what=record.what) if record else None


# --- the table --------------------------------------------------------------------------------------


def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
    """Return what can be asked of carriers."""
    return (
        Operation(
            method="GET",
            path="/v1/carriers",
            id="list_carriers",
            summary="Say how the carriers stand",
            role=Role.READER,
            answers={200: Carriers},
            handler=reading(list_carriers),
        ),
        Operation(
            method="GET",
            path="/v1/carriers/{name}",
            id="get_carrier",
            summary="Say how a carrier stands",
            role=Role.READER,
            params=CarrierPath,
            answers={200: Carrier},
            problems=(CARRIER_UNKNOWN,),
            handler=reading(get_carrier),
        ),
    )
