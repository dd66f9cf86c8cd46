"""A request, read and judged in one place: path, query, headers and body against the models of its operation."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import bottle
from pydantic import BaseModel, ValidationError

from gateway.web.bodies import read_header, read_object
from gateway.web.context import Context
from gateway.web.v1.operations import Call, Operation
from gateway.web.v1.problems import INVALID, MEDIA_TYPE, UNREADABLE, Refusal, Wrong
from gateway.web.v1.types import Grounds
from gateway.web.v1.words import in_words

M = TypeVar("M", bound=BaseModel)

KEY_PATTERN = "^[!-~]{1,255}$"

_NUL = "holds a NUL character"


IDEMPOTENCY_KEY = "Idempotency-Key"
IF_MATCH = "If-Match"


def read_call(
    context: Context, operation: Operation[Any, Any, Any], params: Mapping[str, str], caller: str
) -> Call[Any, Any, Any]:
    """Return the request as a call of `operation`. Raises `Refusal`, which names everything that is wrong with it."""
    body = _body(operation)
    query, wrong = _query()
    grounds = Grounds(default_region=context.settings.default_region, carriers=context.carriers)
    read = (
        judged(operation.params, dict(params), grounds, wrong, "parameter"),
        judged(operation.query, query, grounds, wrong, "parameter"),
        judged(operation.body, body, grounds, wrong, "pointer"),
    )
    key = _key(wrong) if operation.takes_key else ""
    if wrong:
        raise Refusal(INVALID, "Nothing was changed. `errors` says what is wrong.", errors=wrong)
    target = str(bottle.request.path)
    return Call(
        context=context,
        now=context.clock(),
        caller=caller,
        path=read[0],
        query=read[1],
        body=read[2],
        target=target,
        fingerprint=_fingerprint(operation.method, target, query, body),
        idempotency_key=key,
        if_match=read_header(IF_MATCH) if IF_MATCH in bottle.request.headers else None,
    )


def _body(operation: Operation[Any, Any, Any]) -> dict[str, Any]:
    """Return the body as an object; none at all is an empty one, and so its missing fields are named.

    It is read where none is taken, too: what somebody wished for there must not be passed over in silence.
    """
    if not operation.reads_body:
        return {}
    if bottle.request.content_length <= 0 and not bottle.request.chunked:  # -1: it is not said
        return {}
    kind = read_header("Content-Type").partition(";")[0].strip().lower()
    if kind != "application/json" and not re.fullmatch(r"application/[\w.-]+\+json", kind):
        # a page of another origin may send forms and plain text unasked, JSON only if CORS allows it
        raise Refusal(MEDIA_TYPE, "Send JSON, and the header Content-Type: application/json.")
    body = read_object()
    if body is None:
        raise Refusal(UNREADABLE, "The body must be a JSON object.")
    return body


def _query() -> tuple[dict[str, str], list[Wrong]]:
    """Return the fields of the query, and those that stand there twice as wrong."""
    raw = bottle.request.environ.get("QUERY_STRING", "")
    try:
        pairs = parse_qsl(raw.encode("latin-1").decode("utf-8"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Refusal(UNREADABLE, "The query is not UTF-8.") from None
    names = [name for name, _ in pairs]
    twice = [Wrong(parameter=name, detail="is given twice") for name in dict.fromkeys(names) if names.count(name) > 1]
    return dict(pairs), twice


def _key(wrong: list[Wrong]) -> str:
    """Return the Idempotency-Key, "" where there is none; an empty one is wrong."""
    if IDEMPOTENCY_KEY not in bottle.request.headers:
        return ""
    key = read_header(IDEMPOTENCY_KEY)
    if not re.fullmatch(KEY_PATTERN, key):
        wrong.append(Wrong(parameter=IDEMPOTENCY_KEY, detail="is not 1 to 255 characters of ASCII without blanks"))
    return key


def judged(model: type[M], given: dict[str, Any], grounds: Grounds, wrong: list[Wrong], named_by: str) -> M | None:
    """Return what was given as `model`, or None with what is wrong about it added to `wrong`."""
    found = [_wrong(named_by, place, _NUL) for place in _places_of_nul(given)]
    try:
        if not found and named_by == "pointer":  # JSON has types of its own: "5" is no number there
            return model.model_validate_json(json.dumps(given), strict=True, context=grounds)
        if not found:
            return model.model_validate(given, context=grounds)
    except ValidationError as error:
        found = [
            _wrong(named_by, one["loc"], in_words(one, named_by))
            for one in error.errors(include_url=False, include_input=False)
        ]
    wrong.extend(found)
    return None


def _wrong(named_by: str, place: tuple[int | str, ...], detail: str) -> Wrong:
    if named_by == "parameter":
        return Wrong(parameter=str(place[0]) if place else "", detail=detail)
    return Wrong(pointer="".join(f"/{_escaped(str(part))}" for part in place), detail=detail)


def _escaped(part: str) -> str:
    """Return a step of a JSON Pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


def _places_of_nul(value: Any) -> list[tuple[int | str, ...]]:
    """Return where strings hold NUL, which no database takes. Keys are named by their object's place.

    However deep they stand: a body may be nested deeper than Python calls.
    """
    found: list[tuple[int | str, ...]] = []
    left: list[tuple[tuple[int | str, ...], Any]] = [((), value)]
    while left:
        place, one = left.pop()
        inside: list[tuple[int | str, Any]] = []
        if isinstance(one, dict):
            inside = list(one.items())
        elif isinstance(one, list):
            inside = list(enumerate(one))
        if "\x00" in one if isinstance(one, str) else any("\x00" in str(step) for step, _ in inside):
            found.append(place)
        left += [((*place, step), each) for step, each in reversed(inside)]
    return found


def _fingerprint(method: str, target: str, query: dict[str, str], body: dict[str, Any]) -> str:
    """Return what tells this request from another: of the words of people nothing can be read from it."""
    said = json.dumps([method, target, query, body], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
