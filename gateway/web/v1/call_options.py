"""How the calls of a session go, as `/v1/sessions` is told it and answers it; and as the store keeps it."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.values import without_number
from gateway.web.v1.types import Duration, Input, Output, Spoken, within

_RING = "How long callees are rung, `5s` to `10m`; longer than 25s, and their own mailbox answers"
_LIMIT = "How long a call may last, `1m` to `24h`"
_WORDS = "Said to the caller before anybody is rung"
_WHISPER = "Said to the callee who answers, before the two are connected"
_ACCEPT = "Only a callee who presses 1 is connected, and never a mailbox. They are asked for it"
_RECORD = "Calls are recorded. Both are told"
_UNANSWERED = "Said to the caller if nobody answers"
_VOICEMAIL = "Then they may leave a message; a text with a link to it goes to who was called"
_MISSED = "A text tells who was called that they missed a call"


def _whole(value: int) -> int:
    if value % 1000:
        raise ValueError("is not a whole number of seconds")
    return value


Ring = Annotated[
    Duration,
    within("5s", "10m"),
    AfterValidator(_whole),
    WithJsonSchema({"type": "string", "pattern": "^(([5-9]|[1-9][0-9]|[1-5][0-9]{2}|600)s|([1-9]|10)m)$"}),
]
Limit = Annotated[
    Duration,
    within("1m", "24h"),
    AfterValidator(_whole),
    WithJsonSchema(
        {"type": "string", "pattern": "^([6-9][0-9]s|[1-9][0-9]{2,3}s|[1-9][0-9]{0,2}m|([1-9]|1[0-9]|2[0-4])h)$"}
    ),
]


#: What is said to somebody in a call. The schema says what `numbers.without_numbers` takes for a number.
Said = Annotated[
    Spoken,
    AfterValidator(without_number),
    Field(json_schema_extra={"not": {"pattern": r"[0-9]([\s().-]{0,2}[0-9]){6}"}}),
]


class CallOptions(Input):
    """How calls go. What is left out, or null, the settings `GATEWAY_CALL_…` decide."""

    ring: Ring | None = Field(None, description=_RING)
    limit: Limit | None = Field(None, description=_LIMIT)
    words: Said | None = Field(None, description=_WORDS)
    whisper: Said | None = Field(None, description=_WHISPER)
    accept: bool | None = Field(None, description=_ACCEPT)
    record: bool | None = Field(None, description=_RECORD)
    unanswered: Spoken | None = Field(None, description=_UNANSWERED)
    voicemail: bool | None = Field(None, description=_VOICEMAIL)
    missed_text: bool | None = Field(None, description=_MISSED)


class ShownCallOptions(Output):
    """How calls go. Where it is null, the settings `GATEWAY_CALL_…` decide."""

    ring: Duration | None = Field(description=_RING)
    limit: Duration | None = Field(description=_LIMIT)
    words: str | None = Field(description=_WORDS)
    whisper: str | None = Field(description=_WHISPER)
    accept: bool | None = Field(description=_ACCEPT)
    record: bool | None = Field(description=_RECORD)
    unanswered: str | None = Field(description=_UNANSWERED)
    voicemail: bool | None = Field(description=_VOICEMAIL)
    missed_text: bool | None = Field(description=_MISSED)


_SECONDS = {"ring": "ring_seconds", "limit": "limit_seconds"}
_STORED = {name: _SECONDS.get(name, name) for name in CallOptions.model_fields}


def written(asked: CallOptions, before: str = "") -> str:
    """Return options as the store keeps them, upon those from `before`; "" where the settings decide all."""
    kept = json.loads(before) if before else {}
    for name in asked.model_fields_set:
        value = getattr(asked, name)
        kept[_STORED[name]] = value // 1000 if name in _SECONDS and value is not None else value
    kept = {name: value for name, value in kept.items() if value is not None}
    return json.dumps(kept, ensure_ascii=False, sort_keys=True) if kept else ""


def shown(kept: str) -> ShownCallOptions:
    """Return the options that the store keeps."""
    of = json.loads(kept) if kept else {}
    values = {name: of.get(stored) for name, stored in _STORED.items()}
    values |= {name: 1000 * seconds for name in _SECONDS if (seconds := values[name]) is not None}
    return ShownCallOptions(**values)
