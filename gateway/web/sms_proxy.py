"""The inherited API of *SMS Proxy*, exact to the word: `/tn`, `/session`, and `/` where Flowroute brings texts.

Numbers are written as digits without `+`, times as `YYYY-MM-DD HH:MM:SS` UTC. Source: github.com/flowroute/sms-proxy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import bottle

from gateway import sessions
from gateway.errors import (
    InvalidNumber,
    NoNumberFree,
    NumberExists,
    NumberInUse,
    NumberUnknown,
    SessionUnknown,
    StoreUnavailable,
)
from gateway.keys import Role
from gateway.numbers import digits, e164, region, typed
from gateway.records import Message, NumberState, Origin, PoolNumber, Session
from gateway.sessions import Opened
from gateway.store import Tx
from gateway.web import webhooks
from gateway.web.auth import KeyRequired
from gateway.web.bodies import read_object
from gateway.web.context import Context
from gateway.web.dialect import answer, span_ms, sweep, written
from gateway.web.errors import Failures, log, problem

FLOWROUTE = "flowroute"  #: whose language `/` speaks
LONGEST = 18  #: characters of a number
WAIT = 5.0  #: seconds that `POST /session` gives the carrier
MINUTE = 60_000

_TN = f"Required argument: 'value' (str, length <= {LONGEST})"
_PAIR = f"Required argument: 'participant_a' (str, length <= {LONGEST}), 'participant_b' (str, length <= {LONGEST})"
_SESSION = "Required argument: 'session_id' (str)"
_REFUSED = "An error occured when requesting against Flowroute's API."  # their spelling: clients may match it


def make_app(context: Context) -> bottle.Bottle:
    """Return the routes of *SMS Proxy*."""
    app = bottle.Bottle()
    app.install(Failures())
    keys = KeyRequired(context.settings.api_keys)
    admins = KeyRequired(context.settings.api_keys, Role.ADMIN)
    for path, method, handler in (
        ("/tn", "GET", list_numbers),
        ("/tn", "POST", add_number),
        ("/tn", "DELETE", remove_number),
        ("/session", "GET", list_sessions),
        ("/session", "POST", start_session),
        ("/session", "DELETE", end_session),
    ):
        app.route(path, method, partial(handler, context), apply=admins if handler is remove_number else keys)
    app.route("/", "POST", partial(inbound, context))
    return app


def inbound(context: Context) -> bottle.HTTPResponse:
    """Take a text or a receipt from Flowroute; the token comes as `?token=`."""
    if FLOWROUTE not in context.carriers:
        return problem(404, f"This is where {FLOWROUTE} brings texts, and it is not configured.")
    return webhooks.receive(context, FLOWROUTE, bottle.request.query.get("token", ""))


# --- /tn ------------------------------------------------------------------------------------------


def list_numbers(context: Context) -> bottle.HTTPResponse:
    """Answer with every number of the dialect's carrier, oldest first."""
    sweep(context)

    def work(tx: Tx) -> list[tuple[PoolNumber, str | None]]:
        numbers = tx.numbers_of(context.settings.tn_carrier)
        return [(one, one.session or (tx.session_on(one.number) if one.live else None)) for one in numbers]

    rows = context.store.read(work)
    return answer(
        {
            "virtual_tns": [{"value": digits(one.number), "session_id": session} for one, session in rows],
            "pool_size": len(rows),
            "available": sum(one.state is NumberState.ACTIVE and not one.live for one, _ in rows),
            "in_use": sum(one.live > 0 for one, _ in rows),
        }
    )


def add_number(context: Context) -> bottle.HTTPResponse:
    """Add a number to the pool."""
    number = _number(_argument(_body(), "value", _TN), "value")
    now, where = context.clock(), region(number)
    try:
        context.store.write(lambda tx: tx.add_number(number, context.settings.tn_carrier, where, now))
    except NumberExists:
        return _no("Virtual TN already exists", "duplicate virtual TN")
    return answer({"message": "Successfully added TN to pool", "value": digits(number)})


def remove_number(context: Context) -> bottle.HTTPResponse:
    """Remove a number from the pool, unless a live session uses it."""
    given = _argument(_body(), "value", _TN, longest=None)
    sweep(context)
    try:
        number = e164(given)
        context.store.write(lambda tx: tx.remove_number(number, context.settings.tn_carrier))
    except (InvalidNumber, NumberUnknown):
        words = "Virtual TN could not be deleted because it does not exist"
        return _no(words, "virtual TN not found", 404)
    except NumberInUse as error:
        words = f"There is an active ProxySession {error.session} using that VirtualTN."
        return answer({"message": f"Cannot delete the number. {words}", "status": "failed"}, 400)
    return answer(
        {"message": "Successfully removed TN from pool", "value": digits(number), "status": "succeeded"},
    )


# --- /session -------------------------------------------------------------------------------------


def list_sessions(context: Context) -> bottle.HTTPResponse:
    """Answer with the sessions in progress that live on one number of the dialect's carrier, oldest first."""
    now = context.clock()
    found = context.store.read(lambda tx: sessions.in_progress(tx, context.settings.tn_carrier, now))
    rows = [{"id": one.id, "date_created": written(one.created_at)} | _facts(one) for one in found]
    return answer({"total_sessions": len(rows), "sessions": rows})


def start_session(context: Context) -> bottle.HTTPResponse:
    """Open a session, and wait until the carrier has answered for the start texts."""
    body = _body()
    given = [(name, _argument(body, name, _PAIR)) for name in ("participant_a", "participant_b")]
    people = [_number(value, name) for name, value in given]
    window = _window(body.get("expiry_window"))
    if context.settings.tn_carrier not in context.carriers:
        return _not_configured(context.settings.tn_carrier)
    now = sweep(context)
    try:
        opened = context.store.write(lambda tx: _open(tx, context, people, window, now))
    except InvalidNumber as error:
        return _no(f"{error}", "invalidAPIUsage")
    except NoNumberFree:
        words = "Could not create a new session -- No virtual TNs available."
        return answer({"message": words, "status": "failed"}, 400)
    context.dispatcher.ring()
    refused = [text for text in _answered(context, opened) if text.state in sessions.REFUSED]
    return _refused(context, opened, refused[0]) if refused else _started(opened.session)


def _not_configured(carrier: str) -> bottle.HTTPResponse:
    words = f"The carrier {carrier} is not configured, so nobody could be told. `gateway carriers` says what to set."
    return answer({"message": f"Could not create a new session -- {words}", "status": "failed"}, 503)


def end_session(context: Context) -> bottle.HTTPResponse:
    """End a session in progress, and tell both."""
    id = _argument(_body(), "session_id", _SESSION, longest=None)
    now = context.clock()
    try:
        context.store.write(lambda tx: _end(tx, context, id, now))
    except SessionUnknown:
        words = f"ProxySession {id} could not be deleted because it does not exist"
        return _no(words, "ProxySession not found", 404)
    context.dispatcher.ring()
    return answer({"message": "Successfully ended the session.", "status": "succeeded", "session_id": id})


def _open(tx: Tx, context: Context, people: Sequence[str], window: int | None, now: int) -> Opened:
    return sessions.open_exclusive(
        tx,
        people,
        carrier=context.settings.tn_carrier,
        origin=Origin.SMS_PROXY,
        expires_at=now + window if window else None,
        settings=context.settings,
        now=now,
        start_text=context.settings.session_start_msg,
    )


def _end(tx: Tx, context: Context, id: str, now: int) -> None:
    """End a session that this API shows. Raises `SessionUnknown`."""
    if not re.fullmatch("[0-9a-f]{32}", id):
        raise SessionUnknown("no session has an id like that")
    session = tx.session(id)
    if session.is_over(now) or not sessions.is_plain(session, context.settings.tn_carrier):
        raise SessionUnknown("there is no such session in progress")
    sessions.end(tx, session, "ended", context.settings, now, end_text=context.settings.session_end_msg)


def _answered(context: Context, opened: Opened) -> list[Message]:
    """Return the start texts once the carrier has answered for them, or the time for that is over."""
    try:
        return context.dispatcher.wait_until_answered(opened.start_texts, WAIT)
    except StoreUnavailable as error:  # the session is on disk, and so are its texts: they go out
        words, id = "nobody could wait for the start texts of session %s: %s", opened.session.id
        log.error(words, id, error, extra={"session": id})
        return []


def _started(session: Session) -> bottle.HTTPResponse:
    told: dict[str, str | None] = {"message": "Created new session", "status": "succeeded", "session_id": session.id}
    return answer(told | _facts(session))


def _refused(context: Context, opened: Opened, text: Message) -> bottle.HTTPResponse:
    """End the session whose start text the carrier refused for good, and say so."""
    now = context.clock()
    context.store.write(lambda tx: sessions.refuse(tx, opened, context.settings, now))
    context.dispatcher.ring()
    body = {"message": _REFUSED, "strerr": text.reason or None, "reason": "InternalSMSDispatcherError"}
    return answer(body, 500)


def _facts(session: Session) -> dict[str, str | None]:
    first, second = session.legs
    return {
        "expiry_date": written(session.expires_at),
        "virtual_tn": digits(first.mask),
        "participant_a": digits(first.participant),
        "participant_b": digits(second.participant),
    }


# --- what is read ---------------------------------------------------------------------------------


def _body() -> dict[str, Any]:
    body = read_object()
    if body is None:
        raise _no("The body must be a JSON object.", "invalidAPIUsage")
    return body


def _argument(body: dict[str, Any], name: str, required: str, *, longest: int | None = LONGEST) -> str:
    """Return a string that must be there; a whole number will do. Else the answer is 400, `required`."""
    value = body.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or (longest is not None and len(value) > longest):
        raise _no(required, "invalidAPIUsage")
    return value


def _number(value: str, name: str) -> str:
    try:
        return typed(value)
    except InvalidNumber as error:
        raise _no(f"'{name}' is {error}", "invalidAPIUsage") from None


def _window(value: Any) -> int | None:
    """Return `expiry_window` in ms; None where the session shall not expire."""
    try:
        return None if value is None else span_ms(value, MINUTE, "minutes") or None
    except ValueError as error:
        raise _no(f"'expiry_window' {error}", "invalidAPIUsage") from None


def _no(message: str, reason: str, status: int = 400) -> bottle.HTTPResponse:
    return answer({"message": message, "reason": reason}, status)
