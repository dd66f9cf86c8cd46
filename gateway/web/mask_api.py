"""The inherited *Caller ID Masking API*, exact to the word: `/api/rest/…`, and where SignalWire brings texts and calls.

Numbers are written as E.164, times as `YYYY-MM-DD HH:MM:SS` UTC. What has no data to show is plain text.
Source: github.com/shane-signalwire/callerid_mask_api.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import bottle

from gateway import sessions
from gateway.errors import InvalidNumber, NoNumberFree, NumberExists, NumberInUse, NumberUnknown
from gateway.keys import Role
from gateway.numbers import e164, region, typed
from gateway.records import Origin, Session
from gateway.store import Tx
from gateway.web import webhooks
from gateway.web.auth import KeyRequired
from gateway.web.bodies import read_object
from gateway.web.context import Context
from gateway.web.dialect import answer, span_ms, sweep, written
from gateway.web.errors import Failures, problem

SIGNALWIRE = "signalwire"  #: whose language `/texts/route` and `/calls/route` speak
SECOND = 1000
LIFE_MS = 24 * 3_600_000  #: of a mask, unless its `expires_in` says otherwise

_NONE_FREE = "There are no usable numbers in the pool.  Please add numbers, or remove unused masks."


def make_app(context: Context) -> bottle.Bottle:
    """Return the routes of the *Caller ID Masking API*."""
    app = bottle.Bottle()
    app.install(Failures())
    keys = KeyRequired(context.settings.api_keys)
    admins = KeyRequired(context.settings.api_keys, Role.ADMIN)
    for path, method, handler in (
        ("/api/rest/numberPool", "GET", list_numbers),
        ("/api/rest/numberPool", "POST", add_numbers),
        ("/api/rest/numberPool/<number>", "DELETE", remove_number),
        ("/api/rest/numberMask", "POST", bind_mask),
        ("/api/rest/numberMask/<number>", "GET", show_mask),
        ("/api/rest/numberMask/<number>", "DELETE", clear_mask),
    ):
        app.route(path, method, partial(handler, context), apply=admins if handler is remove_number else keys)
    for path in ("/texts/route", "/calls/route"):
        app.route(path, ["GET", "POST"], partial(inbound, context))
    return app


def inbound(context: Context) -> bottle.HTTPResponse:
    """Take a text, a call or a receipt from SignalWire; the token comes as `?token=`."""
    if SIGNALWIRE not in context.carriers:
        return problem(404, f"This is where {SIGNALWIRE} brings texts and calls, and it is not configured.")
    return webhooks.receive(context, SIGNALWIRE, bottle.request.query.get("token", ""))


# --- numberPool -----------------------------------------------------------------------------------


def list_numbers(context: Context) -> bottle.HTTPResponse:
    """Answer with every number of the dialect's carrier, oldest first."""
    sweep(context)
    numbers = context.store.read(lambda tx: tx.numbers_of(context.settings.mask_carrier))
    return answer([{"phone_number": one.number, "in_use": int(one.live > 0)} for one in numbers])


def add_numbers(context: Context) -> bottle.HTTPResponse:
    """Add numbers to the pool, all of them or, where one is none, nothing. Those already there are skipped."""
    given = _param(_body(), "phone_numbers")
    listed = given.replace(" ", "").split(",") if isinstance(given, str) else [given]
    numbers = {number: region(number) for number in map(_number, listed)}
    now = context.clock()

    def work(tx: Tx) -> None:
        for number, where in numbers.items():
            with suppress(NumberExists):
                tx.add_number(number, context.settings.mask_carrier, where, now)

    context.store.write(work)
    return _text("OK")


def remove_number(context: Context, number: str) -> bottle.HTTPResponse:
    """Remove a number from the pool, unless a live mask uses it."""
    sweep(context)
    try:
        mask = e164(number)
        context.store.write(lambda tx: tx.remove_number(mask, context.settings.mask_carrier))
    except NumberInUse:
        return _text(f"{mask} is in use by a live mask. Remove the mask before the number.", 400)
    except (InvalidNumber, NumberUnknown):
        pass
    return _text("OK")


# --- numberMask -----------------------------------------------------------------------------------


def bind_mask(context: Context) -> bottle.HTTPResponse:
    """Open a session between a client and a contractor, and answer with its mask."""
    body = _body()
    contractor, client = _param(body, "contractor_number"), _param(body, "client_number")
    contractor, client = _number(contractor), _number(client)
    life = _life(body.get("expires_in"))
    now = sweep(context)
    try:
        session = context.store.write(lambda tx: _open(tx, context, (client, contractor), life, now))
    except InvalidNumber as error:
        return _text(str(error), 400)
    except NoNumberFree:
        return _text(_NONE_FREE, 400)
    return answer(_record(session))


def show_mask(context: Context, number: str) -> bottle.HTTPResponse:
    """Answer with the records on a mask that nobody deleted, expired ones too, oldest first."""
    carrier = context.settings.mask_carrier
    try:
        mask = e164(number)
    except InvalidNumber:
        return answer([])
    found = context.store.read(lambda tx: tx.listed_on(mask, carrier))
    return answer([_record(session) for session in found if sessions.is_plain(session, carrier)])


def clear_mask(context: Context, number: str) -> bottle.HTTPResponse:
    """End every session on a mask, and list none of them any more."""
    carrier = context.settings.mask_carrier
    now = sweep(context)
    with suppress(InvalidNumber):
        mask = e164(number)
        context.store.write(lambda tx: sessions.clear(tx, mask, carrier, context.settings, now))
    return _text("OK")


def _open(tx: Tx, context: Context, people: Sequence[str], life: int, now: int) -> Session:
    opened = sessions.open_exclusive(
        tx,
        people,
        carrier=context.settings.mask_carrier,
        origin=Origin.MASK_API,
        expires_at=now + life if life else None,
        settings=context.settings,
        now=now,
    )
    return opened.session


def _record(session: Session) -> dict[str, Any]:
    client, contractor = session.legs
    return {
        "client_number": client.participant,
        "contractor_number": contractor.participant,
        "mask_number": client.mask,
        "created_at": written(session.created_at),
        "expires_at": written(session.expires_at),
        "deleted": 0,
    }


# --- what is read ---------------------------------------------------------------------------------


def _body() -> dict[str, Any]:
    body = read_object()
    if body is None:
        raise _text("The body must be a JSON object.", 400)
    return body


def _param(body: dict[str, Any], name: str) -> Any:
    """Return what must be there: null, 0 and what is empty count as missing, as they always did."""
    value = body.get(name)
    if not value:
        raise _text(f"Required param {name} missing", 400)
    return value


def _number(value: Any) -> str:
    try:
        return typed(value)
    except InvalidNumber:
        given = value if isinstance(value, str) else json.dumps(value)
        raise _text(f"{given[:64]} is not a valid E.164 formatted phone number", 400) from None


def _life(value: Any) -> int:
    """Return `expires_in` in ms: 24 h where it is absent, 0 where the mask shall not expire."""
    try:
        return LIFE_MS if value is None else span_ms(value, SECOND, "seconds")
    except ValueError as error:
        raise _text(f"expires_in {error}", 400) from None


def _text(words: str, status: int = 200) -> bottle.HTTPResponse:
    return bottle.HTTPResponse(words, status, {"Content-Type": "text/plain; charset=utf-8"})
