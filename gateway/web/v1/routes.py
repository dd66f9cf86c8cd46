"""From the table of operations to routes: method, key, request, handler, answer, in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import bottle

from gateway.errors import GatewayError
from gateway.web.auth import admitted
from gateway.web.context import Context
from gateway.web.errors import Failures, problem
from gateway.web.streams import Stream
from gateway.web.v1.manners import Cors
from gateway.web.v1.operations import Answer, Operation
from gateway.web.v1.problems import Refusal, refusal_for
from gateway.web.v1.reading import read_call

Operations = Sequence[Operation[Any, Any, Any]]

#: Bottle looks at routes of this name before those of a request's own method, whatever that is: so it mounts a whole
#: application. One route for each path, then, and `_dispatch` looks at the method.
EVERY_METHOD = "PROXY"


def make_routes(context: Context, operations: Operations) -> bottle.Bottle:
    """Return an application that answers the operations, and everything else below `/v1` with a problem."""
    app = bottle.Bottle()
    app.install(Cors(context.settings.cors_origins))
    app.install(Failures())
    for path, by_method in _by_path(operations).items():
        rule = path.replace("{", "<").replace("}", ">")
        app.route(rule, EVERY_METHOD, partial(_dispatch, context, by_method))
    app.route("/v1/<rest:path>", EVERY_METHOD, _nothing)
    return app


def _by_path(operations: Operations) -> dict[str, dict[str, Operation[Any, Any, Any]]]:
    paths: dict[str, dict[str, Operation[Any, Any, Any]]] = {}
    for one in sorted(operations, key=lambda one: "{" in one.path):
        paths.setdefault(one.path, {})[one.method] = one
    return paths


def _nothing(rest: str) -> bottle.HTTPResponse:
    return problem(404, "There is nothing here. GET /v1/docs says what there is.")


def _dispatch(
    context: Context, by_method: Mapping[str, Operation[Any, Any, Any]], **params: str
) -> bottle.HTTPResponse:
    """Answer a request to one path."""
    method = bottle.request.method
    allow = {"Allow": ", ".join(sorted({*by_method, "OPTIONS", *(["HEAD"] if "GET" in by_method else [])}))}
    if method == "OPTIONS":
        return bottle.HTTPResponse("", 204, allow)
    operation = by_method.get("GET" if method == "HEAD" else method)
    if operation is None:
        return problem(405, f"This path takes {allow['Allow']}.", allow)
    return _answered(context, operation, params)


def _answered(context: Context, operation: Operation[Any, Any, Any], params: Mapping[str, str]) -> bottle.HTTPResponse:
    key = admitted(context.settings.api_keys, operation.role) if operation.role else None
    try:
        return _written(operation, operation.handler(read_call(context, operation, params, key.caller if key else "")))
    except Refusal as refusal:
        return refusal.document()
    except GatewayError as error:
        if refused := refusal_for(error):
            return refused.document()
        raise


def _written(operation: Operation[Any, Any, Any], answer: Answer) -> bottle.HTTPResponse:
    if isinstance(answer.body, Stream):
        return bottle.HTTPResponse(answer.body, answer.status, {**answer.body.headers, **answer.headers})
    headers = {"Cache-Control": "no-store", **answer.headers}
    if answer.status != 204:
        headers["Content-Type"] = operation.media_type
    return bottle.HTTPResponse(answer.text, answer.status, headers)
