"""Our own API, below `/v1`. The table of operations; operations.py says how a resource is added."""

from __future__ import annotations

import json
from typing import Any

import bottle

from gateway.web.context import Context
from gateway.web.v1 import callbacks, calls, carriers, docs, events, masks, messages, openapi, opt_outs, pool, sessions
from gateway.web.v1.late import Late
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.payloads import Payload
from gateway.web.v1.routes import make_routes

Table = tuple[Operation[Any, Any, Any], ...]

#: One for each resource, in the order of the docs.
RESOURCES = (pool, sessions, masks, messages, calls, opt_outs, carriers, events, callbacks)


def make_app(context: Context) -> bottle.Bottle:
    """Return the routes of v1."""
    return make_routes(context, table(context))


def table(context: Context) -> Table:
    """Return every operation there is, those that describe the others too.

    They are described when somebody first asks: that takes longer than all else of a start.
    """
    resources: Table = tuple(one for resource in RESOURCES for one in resource.operations(context))

    def described() -> str:
        every = (*resources, _describing(document))
        return json.dumps(openapi.document(every, context.carriers, Payload))

    document = Late(described)
    return (*resources, _describing(document), *docs.operations(document))


def _describing(document: Late) -> Operation[Any, Any, Any]:
    """Return the operation that answers with the document, which describes that one as well."""

    def show_openapi(call: Call[Nothing, Nothing, Nothing]) -> Answer:
        return Answer(body=document.text)

    return Operation(
        method="GET",
        path="/v1/openapi.json",
        id="show_openapi",
        summary="Describe this API as OpenAPI 3.1",
        role=None,
        answers={200: None},
        handler=show_openapi,
    )
