"""For whoever runs the gateway: is the process up, can it do its work."""

from __future__ import annotations

import bottle

from gateway.errors import StoreUnavailable
from gateway.store import Tx
from gateway.web.context import Context
from gateway.web.errors import Failures


def make_app(context: Context) -> bottle.Bottle:
    """Return `/healthz` and `/readyz`. Both are open: they tell nothing."""
    app = bottle.Bottle()
    app.install(Failures())

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Answer as long as the process does."""
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> bottle.HTTPResponse | dict[str, str]:
        """Answer 200 while the database can be written to and our own dispatcher, if any, is at work, else 503."""
        missing = [name for name, fine in _parts(context).items() if not fine]
        if missing:
            bottle.response.status = 503
            return {"status": "not ready", "missing": ", ".join(missing)}
        return {"status": "ready"}

    return app


def _parts(context: Context) -> dict[str, bool]:
    return {"database": _writable(context), "dispatcher": context.dispatcher.alive}


def _writable(context: Context) -> bool:
    try:
        context.store.write(Tx.write_something, shared=True)
    except StoreUnavailable:
        return False
    return True
