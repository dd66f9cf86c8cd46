"""How participants, metadata and how calls go stand on a command line. What is wrong is said without repeating it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import click

from gateway.cli.frame import Misused

WISHES = ("name", "mask", "carrier", "country", "pin")
CHANGES = ("number", "name", "pin")
_WISH = re.compile(r",\s*([A-Za-z_]+)\s*=")


def participants(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> list[dict[str, str]]:
    """Return participants as the API takes them, of `NUMBER,name=Driver,mask=+1…`. A name may hold commas."""
    found = [_person(value, place, WISHES) for place, value in enumerate(values, 1)]
    return [{"number": number, **wishes} for number, wishes in found]


def changed(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> list[dict[str, str | None]] | None:
    """Return what is to be changed of participants, of `NUMBER,number=+1…,name=Driver`; None for nothing.

    An empty PIN is none from now on.
    """
    found = [_person(value, place, CHANGES) for place, value in enumerate(values, 1)]
    if not all(changes for _, changes in found):
        raise Misused(f"say what to change of each: {' or '.join(f'{name}=…' for name in CHANGES)}")
    return [{"participant": number, **_without_pin(changes)} for number, changes in found] or None


def _without_pin(changes: dict[str, str]) -> dict[str, str | None]:
    return {name: None if (name, words) == ("pin", "") else words for name, words in changes.items()}


def _person(value: str, place: int, fields: Sequence[str]) -> tuple[str, dict[str, str]]:
    number, *pairs = _WISH.split(value)
    found: dict[str, str] = {}
    for name, words in zip(pairs[::2], pairs[1::2], strict=True):
        if name not in fields:
            raise Misused(f"the {_nth(place)} one wishes for {name}: there are {', '.join(fields)}")
        if name in found:
            raise Misused(f"the {_nth(place)} one has its {name} twice")
        found[name] = words.strip()
    if not number.strip() or "=" in number:
        raise Misused(f"the {_nth(place)} one does not begin with a number")
    return number.strip(), found


def metadata(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str] | None:
    """Return what the application keeps with a session, of `KEY=VALUE`; {} for '', None where nothing was given."""
    if [*values] == [""]:
        return {}
    found: dict[str, str] = {}
    for place, value in enumerate(values, 1):
        key, equals, words = value.partition("=")
        if not equals or not key or key in found:
            raise Misused(f"the {_nth(place)} one is not KEY=VALUE, with a key of its own")
        found[key] = words
    return found or None


def call_options(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """Return how calls go, of a JSON object; {} for '', None where nothing was given."""
    if not value:
        return None if value is None else {}
    try:
        found = json.loads(value, parse_constant=_no_number)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found:
        raise Misused('is not a JSON object that says something, such as {"record": true}')
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _nth(place: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(place, f"{place}th")
