"""The frame of v1: what an operation is. Routes, checks, OpenAPI and the docs page are made from these alone.

How a resource is added, in a file of its own beside this one:

    class Ask(Input):                                # types.py: unknown fields are refused by name
        participant: Number                          # any usual notation comes in, E.164 goes on
        until: Time | None = None                    # RFC 3339 outside, ms UTC inside

    class Record(Output):
        id: str
        created_at: Time

    def open_it(tx: Tx, call: Call[Nothing, Nothing, Ask]) -> Answer:
        \"\"\"A unit of work, like all of them: it may run twice, and has no effect but on `tx`.\"\"\"
        made = things.open(tx, call.body.participant, call.now)    # the domain is elsewhere; its errors, see below
        return Answer(status=201, body=Record(...), headers={"Location": f"/v1/things/{made.id}"})

    def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
        return (
            Operation(
                method="POST", path="/v1/things", id="open_thing", summary="Open a thing", role=Role.OPERATOR,
                body=Ask, answers={201: Record}, problems=(NO_NUMBER_FREE,), handler=writing(open_it),
            ),
            ...
        )

and the file goes into `RESOURCES` of `__init__.py`. Then

- a request is read and judged before the handler is called: path, query, headers and body, every wrong field named at
  once (reading.py); what is left for the handler to refuse, it raises as `Refusal(TYPE, detail, errors=…)`;
- an error of the core (`gateway.errors`) that is listed in `problems.OF_ERRORS` becomes its problem by itself: a new
  one needs a `ProblemType` there, and nothing in the handler;
- `writing(unit)` runs the unit in one `store.write`, together with what is kept for its `Idempotency-Key` if it is a
  POST; the dispatcher is rung afterwards. `reading(unit)` is one `store.read`. A handler that needs neither is a
  function of the `Call` alone;
- a list takes a query that extends `Paging` and answers `Page[Record]` (paging.py);
- what can be changed answers `etag(version)` as the header `ETag`, and whatever changes it calls `check_version`
  (manners.py);
- HEAD, OPTIONS, 405 with `Allow`, CORS, keys and roles are seen to for every path (routes.py, manners.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from gateway.keys import Role
from gateway.store import Tx
from gateway.web.context import Context
from gateway.web.streams import Stream
from gateway.web.v1.problems import ProblemType
from gateway.web.v1.types import Input

P = TypeVar("P", bound=BaseModel)  #: what the path holds
Q = TypeVar("Q", bound=BaseModel)  #: what the query holds
B = TypeVar("B", bound=BaseModel)  #: what the body holds


class Nothing(Input):
    """A path, query or body without fields."""


_NOTHING = cast(Any, Nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[P, Q, B]):
    """A request that may be answered: who asks what, read and judged."""

    context: Context
    now: int  #: ms UTC
    caller: str  #: whose key it is, see `ApiKey.caller`; "" where none is needed
    path: P
    query: Q
    body: B
    target: str  #: the path as it was asked for
    fingerprint: str  #: of method, path, query and body
    idempotency_key: str = ""
    if_match: str | None = None  #: None: whatever the version is


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered: a model, text that is written already (`str`), or what comes piece by piece."""

    body: BaseModel | str | Stream | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the body as it is sent."""
        if isinstance(self.body, BaseModel):
            return json.dumps(self.body.model_dump(mode="json"))
        assert not isinstance(self.body, Stream)
        return self.body or ""


#: What `reading` and `writing` make a handler of.
Unit = Callable[[Tx, Call[P, Q, B]], Answer]


@dataclass(frozen=True, kw_only=True)
class Operation(Generic[P, Q, B]):
    """One method on one path."""

    method: str  #: GET, POST, PATCH or DELETE
    path: str  #: as OpenAPI writes it, `/v1/pool/{number}`
    id: str
    summary: str  #: one line
    role: Role | None  #: the least that may; None: everybody, without a key
    handler: Callable[[Call[P, Q, B]], Answer]
    answers: Mapping[int, type[BaseModel] | None]  #: by status, the good ones; None: no body, or not JSON
    description: str = ""
    params: type[P] = _NOTHING  #: one field for each name in `path`
    query: type[Q] = _NOTHING
    body: type[B] = _NOTHING
    problems: tuple[ProblemType, ...] = ()  #: beside those that every operation may answer with
    versioned: bool = False  #: answers with an ETag; where it changes what is there, it takes If-Match
    media_type: str = "application/json"  #: of the good answers

    @property
    def tag(self) -> str:
        """Return the resource: the first word of the path behind `/v1`."""
        return self.path.split("/")[2].removesuffix(".json")

    @property
    def reads_body(self) -> bool:
        """Return whether a body is read: on GET it means nothing (RFC 9110, 9.3.1), elsewhere it may ask for more."""
        return self.method != "GET"

    @property
    def takes_version(self) -> bool:
        """Return whether it takes an `If-Match`: it changes the one thing of its path, which has a version."""
        return self.versioned and self.method != "GET" and self.params is not Nothing

    @property
    def takes_key(self) -> bool:
        """Return whether it takes an `Idempotency-Key`."""
        return self.method == "POST"
