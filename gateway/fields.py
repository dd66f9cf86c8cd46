"""How a variable of the environment becomes a field of `Settings`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BeforeValidator, Field


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One variable, for docs and messages."""

    variable: str
    default: str  #: as it would be written in the environment; "": unset
    description: str
    example: str


def read_by(read: Callable[[str], Any]) -> BeforeValidator:
    """Return `read` as a validator of whatever was given, without the white space around it."""
    return BeforeValidator(lambda value: read(str(value).strip()))


def setting(variable: str, default: str, description: str, *, example: str = "", show: bool = True) -> Any:
    """Return a field read from `variable`. `default` is what one would write into the environment; "": unset."""
    return Field(
        default=default, validation_alias=variable, description=description, examples=[example or default], repr=show
    )
