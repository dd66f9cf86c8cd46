"""How participants and metadata stand on a command line. What is wrong is said without repeating it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from gateway.cli.frame import Misused

WISHES = ("name", "mask", "carrier", "country")
_WISH = re.compile(r",\s*([A-Za-z_]+)\s*=")


def participants(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> list[dict[str, str]]:
    """Return participants as the API takes them, of `NUMBER,name=Driver,mask=+1…`. A name may hold commas."""
    return [_participant(value, place) for place, value in enumerate(values, 1)]


def _participant(value: str, place: int) -> dict[str, str]:
    number, *pairs = _WISH.split(value)
    found = {"number": number.strip()}
    for wish, words in zip(pairs[::2], pairs[1::2], strict=True):
        if wish not in WISHES:
            raise Misused(f"the {_nth(place)} one wishes for {wish}: there are {', '.join(WISHES)}")
        if wish in found:
            raise Misused(f"the {_nth(place)} one has its {wish} twice")
        found[wish] = words.strip()
    if not found["number"] or "=" in number:
        raise Misused(f"the {_nth(place)} one does not begin with a number")
    return found


def metadata(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str] | None:
    """Return what the application keeps with a session, of `KEY=VALUE`, None for nothing."""
    found: dict[str, str] = {}
    for place, value in enumerate(values, 1):
        key, equals, words = value.partition("=")
        if not equals or not key or key in found:
            raise Misused(f"the {_nth(place)} one is not KEY=VALUE, with a key of its own")
        found[key] = words
    return found or None


def _nth(place: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(place, f"{place}th")
