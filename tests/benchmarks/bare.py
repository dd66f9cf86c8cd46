"""What all is compared with: bare Bottle on waitress, answering a constant, with as many threads as the gateway."""

from __future__ import annotations

import logging
import sys

import bottle
from waitress.server import create_server

logging.disable()
app = bottle.Bottle()


@app.post("/webhooks/<name>")
@app.post("/webhooks/<name>/<token>")
def constant(name: str, token: str = "") -> str:
    """Answer what the gateway answers, without having done anything."""
    bottle.request.body.read()
    return "ok"


server = create_server(app, host="127.0.0.1", port=0, threads=16, asyncore_use_poll=True)
sys.stdout.write(f"bare ready on http://127.0.0.1:{server.effective_port}\n")
sys.stdout.flush()
server.run()
