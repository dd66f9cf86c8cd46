"""How v1 behaves whatever it is about: repeats by Idempotency-Key, versions by ETag, other origins by CORS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import bottle

from gateway.store import Tx
from gateway.web.bodies import read_header
from gateway.web.v1.operations import Answer, B, Call, P, Q, Unit
from gateway.web.v1.problems import CHANGED, KEY_REUSED, Refusal

REPLAYED = "Idempotency-Replayed"
PREFLIGHT_S = 600  #: for how long a browser may remember what it was told about an origin


# --- units of work ----------------------------------------------------------------------------------


def reading(unit: Unit[P, Q, B]) -> Callable[[Call[P, Q, B]], Answer]:
    """Return a handler that runs a unit of work which only reads."""
    return lambda call: call.context.store.read(lambda tx: unit(tx, call))


def writing(
    unit: Unit[P, Q, B], *, unless: Callable[[Call[P, Q, B]], bool] = lambda call: False
) -> Callable[[Call[P, Q, B]], Answer]:
    """Return a handler that runs a unit of work which writes, once for each Idempotency-Key.

    A call of which `unless` holds only reads: it holds nobody up, and of its answer nothing is kept.
    """

    def handle(call: Call[P, Q, B]) -> Answer:
        if unless(call):
            return call.context.store.read(lambda tx: unit(tx, call))
        answer = call.context.store.write(lambda tx: once(tx, call, unit))
        call.context.dispatcher.ring()
        return answer

    return handle


def once(tx: Tx, call: Call[P, Q, B], unit: Unit[P, Q, B]) -> Answer:
    """Run a unit of work, or return what was answered when the same request came before. Raises `Refusal`.

    The answer is kept in the transaction of what it tells of, so no crash comes between the two; and as units that
    write are alone, a repeat that comes while the first is under way waits for it. A request that was refused changed
    nothing, so nothing is kept of it.
    """
    if not call.idempotency_key:
        return unit(tx, call)
    kept = tx.kept_answer(call.caller, call.idempotency_key, call.now)
    if kept is None:
        answer = unit(tx, call)
        headers = json.dumps(dict(answer.headers))
        tx.keep_answer(
            call.caller, call.idempotency_key, call.fingerprint, answer.status, headers, answer.text, call.now
        )
        return answer
    if kept["fingerprint"] != call.fingerprint:
        raise Refusal(KEY_REUSED, "This Idempotency-Key was sent with another request. Nothing was changed.")
    return Answer(status=kept["status"], body=kept["body"], headers=json.loads(kept["headers"]) | {REPLAYED: "true"})


# --- versions ---------------------------------------------------------------------------------------


def etag(version: int) -> str:
    """Return the ETag of a row's version."""
    return f'"{version}"'


def check_version(call: Call[Any, Any, Any], version: int) -> None:
    """Raise `Refusal` (412) if the request is about another version than this one, by `If-Match`."""
    if call.if_match is None:
        return
    wanted = [one.strip() for one in call.if_match.split(",")]
    if "*" not in wanted and etag(version) not in wanted:
        raise Refusal(CHANGED, f"The version is {etag(version)} by now. Nothing was changed.")


# --- other origins ----------------------------------------------------------------------------------


class Cors:
    """A Bottle plugin: pages of `origins` may read the answers. Without any, no header says so, and browsers refuse."""

    name = "cors"
    api = 2

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = origins

    def apply(self, callback: Any, route: bottle.Route) -> Any:
        """Return `callback` with the headers of CORS on whatever it answers or raises."""
        if not self._origins:
            return callback

        def allowed(*args: Any, **kwargs: Any) -> bottle.HTTPResponse:
            try:
                answer = callback(*args, **kwargs)
            except bottle.HTTPResponse as raised:
                answer = raised
            for name, value in self._headers(answer.headers.get("Allow", "")).items():
                answer.set_header(name, value)
            return answer

        return allowed

    def _headers(self, methods: str) -> dict[str, str]:
        origin = read_header("Origin")
        headers = {"Vary": "Origin"}
        if origin and ("*" in self._origins or origin in self._origins):
            headers["Access-Control-Allow-Origin"] = "*" if "*" in self._origins else origin
            headers["Access-Control-Expose-Headers"] = f"ETag, Location, {REPLAYED}"
            if bottle.request.method == "OPTIONS" and read_header("Access-Control-Request-Method"):
                headers["Access-Control-Allow-Methods"] = methods
                headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key, If-Match"
                headers["Access-Control-Max-Age"] = str(PREFLIGHT_S)
        return headers
