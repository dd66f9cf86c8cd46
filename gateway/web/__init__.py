"""The HTTP side. The only folder that imports bottle.

`make_app` mounts, each a file of its own: webhooks, links to recordings, the two inherited APIs (`sms_proxy`,
`mask_api`), `ops`, and the folder `v1`, our own API.
"""

from __future__ import annotations

import bottle

from gateway.web import links, mask_api, ops, sms_proxy, v1, webhooks
from gateway.web.context import Context
from gateway.web.errors import not_routed, problem, unsaid

__all__ = ["Context", "make_app", "unsaid"]


def make_app(context: Context) -> bottle.Bottle:
    """Return the WSGI application of a running gateway."""
    app = bottle.Bottle()
    app.default_error_handler = not_routed
    for module in (webhooks, links, sms_proxy, mask_api, ops, v1):
        app.merge(module.make_app(context))
    app.add_hook("before_request", _refuse_unreadable_path)
    return app


def _refuse_unreadable_path() -> None:
    """Answer 404 where the path is no UTF-8: Bottle drops what it cannot read, and would route what is left."""
    try:
        bottle.request.environ["bottle.raw_path"].encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise problem(404, "There is nothing here.") from None
