"""Errors of the HTTP side: problem documents (RFC 9457), and the one place where our failures become statuses."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import bottle

from gateway.errors import StoreUnavailable
from gateway.logs import log_bug

log = logging.getLogger(__name__)


def problem(
    status: int, detail: str, headers: dict[str, str] | None = None, *, type: str = "about:blank", **members: Any
) -> bottle.HTTPResponse:
    """Return a problem document: what is wrong and what to do, in `detail`; `members` are part of it or replace it."""
    document = {"type": type, "title": HTTPStatus(status).phrase, "status": status, "detail": detail} | members
    return bottle.HTTPResponse(
        json.dumps(document), status, {"Content-Type": "application/problem+json"} | (headers or {})
    )


class Failures:
    """A Bottle plugin: our own failures become 503 or 500 without a word of what was being done."""

    name = "failures"
    api = 2

    def apply(self, callback: Any, route: bottle.Route) -> Any:
        """Return `callback` with its failures answered."""

        def answered(*args: Any, **kwargs: Any) -> Any:
            try:
                return callback(*args, **kwargs)
            except bottle.HTTPResponse:
                raise
            except StoreUnavailable as error:
                log.error("answered 503: %s", error)
                return problem(503, "The gateway cannot reach its database. Try again.", {"Retry-After": "1"})
            except Exception as error:
                log_bug(log, str(route.rule), error)
                return problem(500, "The gateway failed. What happened is in its log.")

        return answered


class _Unsaid:
    """Takes what Bottle writes of errors outside the handlers: the path, a token in it, and the error's own words."""

    def write(self, words: str) -> None:
        """Log that something broke, and where."""
        log_bug(log, "what answers a request", sys.exc_info()[1])

    def flush(self) -> None:
        """Do nothing."""


def unsaid(app: Callable[..., Any]) -> Callable[..., Any]:
    """Return a WSGI application whose own words go nowhere, for a server that would print them."""

    nowhere = _Unsaid()

    def answered(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.errors"] = nowhere
        return app(environ, start_response)

    return answered


def not_routed(error: bottle.HTTPError) -> str:
    """Answer what no handler answered: unknown paths, wrong methods, what Bottle itself refuses."""
    status = error.status_code
    words = {404: "There is nothing here.", 405: "This method is not for this path."}.get(
        status, "The request cannot be read." if status < 500 else "The gateway failed."
    )
    answer = problem(status, words)
    bottle.response.content_type = answer.content_type
    return str(answer.body)
