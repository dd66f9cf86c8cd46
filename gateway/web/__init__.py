"""The HTTP side. The only folder that imports bottle.

`make_app` mounts, each a file of its own: webhooks, the two inherited APIs (`sms_proxy`, `mask_api`), and `ops`.
"""

from __future__ import annotations

import bottle

from gateway.web import mask_api, ops, sms_proxy, webhooks
from gateway.web.context import Context
from gateway.web.errors import not_routed

__all__ = ["Context", "make_app"]


def make_app(context: Context) -> bottle.Bottle:
    """Return the WSGI application of a running gateway."""
    app = bottle.Bottle()
    app.default_error_handler = not_routed
    for module in (webhooks, sms_proxy, mask_api, ops):
        app.merge(module.make_app(context))
    return app
