"""What stands in bodies and queries of v1: numbers, carriers, times, durations, lines of text, as pydantic types.

A validator that must know the gateway's settings finds them in pydantic's validation context, as `Grounds`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

from gateway import values
from gateway.carrier import Carrier
from gateway.clock import moment
from gateway.numbers import is_region, regions, understood

CARRIER_FORMAT = "carrier"  #: stands in a schema until openapi.py puts the names of the configured ones there
E164_PATTERN = r"^\+(1[0-9]{10}|[2-9][0-9]{6,14})$"
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
#: From a second to a century, whatever the unit.
_TTL_PATTERN = (
    "^([1-9][0-9]{3,11}ms|[1-9][0-9]{0,8}s|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|"
    "([1-9][0-9]{0,3}|[12][0-9]{4}|3[0-5][0-9]{3}|36[0-4][0-9]{2}|36500)d)$"
)
MOST_METADATA = 4096  #: bytes
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a request is judged by, beside its own words."""

    default_region: str  #: of numbers without `+`; "": they are refused
    carriers: Mapping[str, Carrier]  #: the configured ones


class Input(BaseModel):
    """The base of whatever is read: unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Output(BaseModel):
    """The base of whatever is answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _number(value: Any, info: ValidationInfo[Grounds]) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a string")
    if info.mode == "python" and value.startswith(" "):  # what a query makes of a `+`
        value = f"+{value[1:]}"
    return understood(value, info.context.default_region)


def _configured(name: str, info: ValidationInfo[Grounds]) -> str:
    if name not in info.context.carriers:
        raise ValueError("is not the name of a configured carrier; `gateway carriers` lists them")
    return name


def _flag(value: Any) -> bool:
    if value not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return bool(value == "true")


def _whole(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch("-?[0-9]{1,9}", value):
        return int(value)
    raise ValueError("is not a whole number")


def _row_id(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch("[1-9][0-9]{0,17}", value):
        return int(value)
    raise ValueError("is not an id: a whole number from 1")


def _country(code: str) -> str:
    if not is_region(code):
        raise ValueError("is not an ISO country of two capitals that has phone numbers")
    return code


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except ValueError:
        raise ValueError("holds a number that is too great") from None
    if size > MOST_METADATA:
        raise ValueError(f"is longer than {MOST_METADATA} bytes of JSON")
    return value


def within(least: str, most: str) -> AfterValidator:
    """Return a check of durations."""

    def check(value: int) -> int:
        if not values.duration(least) <= value <= values.duration(most):
            raise ValueError(f"is not from {least} to {most}")
        return value

    return AfterValidator(check)


def _ttl(value: int) -> int:
    if value < 1000:
        raise ValueError("is shorter than 1s")
    return value


def _different(names: list[Any]) -> list[Any]:
    if len(set(names)) < len(names):
        raise ValueError("names one twice")
    return names


def time_ms(value: Any) -> int:
    """Return a time of RFC 3339 as ms UTC, one that `written_time` can write.

    Raises `ValueError`, whose words never hold the value.
    """
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        if not found:
            raise ValueError
        offset = "+00:00" if found[3] in "Zz" else found[3]
        read = datetime.fromisoformat(f"{found[1].upper()}.{(found[2] or '0')[:6]:0<6}{offset}")
        return (read.astimezone(timezone.utc) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise ValueError("is not a time of RFC 3339, such as 2026-01-02T03:04:05.678Z") from None


def _time(value: Any, info: ValidationInfo[Grounds]) -> int:
    return value if isinstance(value, int) and info.mode == "python" else time_ms(value)  # ours, to be answered


def _duration(value: Any, info: ValidationInfo[Grounds]) -> int:
    if isinstance(value, int) and info.mode == "python":
        return value
    if not isinstance(value, str):
        raise ValueError("is not a duration such as 15m: a whole number with ms, s, m, h or d after it")
    return values.duration(value)


def written_time(ms: int) -> str:
    """Return a time in ms UTC as v1 writes it, `2026-01-02T03:04:05.678Z`."""
    return f"{moment(ms // 1000 * 1000).replace(tzinfo=None).isoformat()}.{ms % 1000:03}Z"


def written_duration(ms: int) -> str:
    """Return a duration in ms as v1 writes it, in the greatest unit that divides it: `15m`."""
    return next(f"{ms // size}{unit}" for unit, size in _UNITS if ms % size == 0)


#: A phone number in any usual notation; E.164 once it is read.
Number = Annotated[
    str,
    BeforeValidator(_number),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": E164_PATTERN,
            "examples": ["+12065550100"],
            "description": "A phone number as E.164. Other usual notations with a country code are understood, "
            "`+1 (206) 555-0100`; without one only if `GATEWAY_DEFAULT_REGION` is set.",
        }
    ),
]

#: One of our numbers, as it is answered.
E164 = Annotated[str, WithJsonSchema({"type": "string", "pattern": E164_PATTERN, "examples": ["+12065550100"]})]

#: What a number carries.
ChannelName = Literal["text", "voice"]

#: What a session carries: one or both.
Channels = Annotated[
    list[ChannelName],
    AfterValidator(_different),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "enum": ["text", "voice"]},
            "minItems": 1,
            "maxItems": 2,
            "uniqueItems": True,
        }
    ),
]

#: Yes or no in a query.
Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]

#: A whole number in a query.
Whole = Annotated[int, BeforeValidator(_whole)]

#: The name of a carrier, as it is asked for or answered.
Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$", "maxLength": 64, "examples": ["flowroute"]}),
]

#: The name of a carrier that must be configured.
CarrierName = Annotated[str, AfterValidator(_configured), WithJsonSchema({"type": "string", "format": CARRIER_FORMAT})]

#: A line for people: no control characters.
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=100)]

#: What somebody is called before their texts in a group.
PersonName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=50)]

#: What is said in a call.
Spoken = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f\ufffe\uffff]*$", max_length=500)]

#: What somebody types to be taken for a participant.
Pin = Annotated[str, StringConstraints(pattern="^[0-9]{4,15}$")]

#: What the application calls a session.
ExternalId = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=255)]

#: An id in a path that is a whole number: of a call, of a callback.
RowId = Annotated[
    int,
    BeforeValidator(_row_id),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999_999, "examples": [1]}),
]

#: The id of a session.
SessionId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]

#: A text to be sent. Not nothing but blanks, which carriers refuse.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*[^\s\x00][^\x00]*$", max_length=1600)]

#: What the application keeps with a session.
Metadata = Annotated[
    dict[str, Any],
    AfterValidator(_bounded),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": True,
            "description": f"Whatever you want to find again, {MOST_METADATA:,} bytes of JSON at most",
        }
    ),
]

#: An ISO country.
Region = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema({"type": "string", "enum": list(regions()), "description": "An ISO country", "examples": ["US"]}),
]

#: A time: ms UTC inside, RFC 3339 with ms outside.
Time = Annotated[
    int,
    BeforeValidator(_time),
    PlainSerializer(written_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-02T03:04:05.678Z"]}),
]

#: A duration: ms inside, `15m` outside.
Duration = Annotated[
    int,
    BeforeValidator(_duration),
    PlainSerializer(written_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,13}(ms|s|m|h|d)$", "examples": ["15m"]}),
]

#: How long a session lives after it was used: a duration of a second or more.
Ttl = Annotated[
    Duration,
    AfterValidator(_ttl),
    WithJsonSchema({"type": "string", "pattern": _TTL_PATTERN, "examples": ["24h"]}),
]
