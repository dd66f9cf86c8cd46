"""Participants as v1 shows them: whole in answers, masked where callbacks must not show who somebody is."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainSerializer, SerializationInfo, WithJsonSchema

from gateway.numbers import HIDDEN, masked
from gateway.web.v1.types import E164_PATTERN

MASKED_PATTERN = rf"^\+[1-9][0-9]{{0,2}}{HIDDEN}([0-9]{{2}})?$"  #: of E.164, see `gateway.numbers.masked`
#: What a participant's number is serialized with where it must not be seen, as `context`.
MASKED = "masked"


def _seen(who: str, info: SerializationInfo) -> str:
    return masked(who) if info.context == MASKED else who


OF_SOMEBODY = PlainSerializer(_seen, return_type=str)

#: Who takes part, as they are answered: E.164, or the carrier's own word for them. Whatever is somebody's is one of
#: these, so that no callback shows it whole which must not.
Participant = Annotated[str, OF_SOMEBODY, WithJsonSchema({"type": "string", "examples": ["+12065550100"]})]

#: The same where it is E.164 in any case.
ParticipantNumber = Annotated[
    str,
    OF_SOMEBODY,
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"{E164_PATTERN}|{MASKED_PATTERN}",
            "examples": ["+12065550100"],
            "description": "E.164; in callbacks masked, unless `GATEWAY_CALLBACK_NUMBERS` is `full`",
        }
    ),
]
