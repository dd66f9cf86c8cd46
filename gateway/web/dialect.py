"""What the two inherited APIs have in common: how they write times, take spans of time, and answer in JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import bottle

from gateway import sessions
from gateway.clock import moment
from gateway.values import LONGEST_MS
from gateway.web.context import Context


def answer(value: Any, status: int = 200) -> bottle.HTTPResponse:
    """Return an answer in JSON. Bottle itself writes objects only, no lists."""
    return bottle.HTTPResponse(json.dumps(value), status, {"Content-Type": "application/json"})


def written(ms: int | None) -> str | None:
    """Return a time in ms UTC as the inherited APIs write it, `2026-05-19 22:19:58`; None for None."""
    return None if ms is None else f"{moment(ms):%Y-%m-%d %H:%M:%S}"


def span_ms(value: Any, unit_ms: int, units: str) -> int:
    """Return a span of time, a JSON number of `units` of `unit_ms` each, in ms: 0 for 0, else at least 1.

    Raises `ValueError` in words that follow the argument's name.
    """
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value * unit_ms <= LONGEST_MS
    if not fits:
        raise ValueError(f"must be a number of {units}, 0 or more, and no more than a century")
    milliseconds: int = math.ceil(value * unit_ms)
    return milliseconds


def sweep(context: Context) -> int:
    """End every session past its expiry, so that none is counted, and return the time that was taken for now."""
    now = context.clock()
    while context.store.write(lambda tx: sessions.expire_due(tx, context.settings, now)):
        pass
    return now
