"""`/recordings/<key>`: where the link in a text leads that brings a voice message. Whoever knows it may listen."""

from __future__ import annotations

import logging
import re
from functools import partial

import bottle

from gateway.errors import RecordingUnknown, SendError
from gateway.past import Call, RecordingKept
from gateway.store import Tx
from gateway.voice import recordings
from gateway.web.context import Context
from gateway.web.errors import Failures
from gateway.web.streams import open_stream

log = logging.getLogger(__name__)

_KEY = re.compile("[A-Za-z0-9_-]{32}")
_NOT_FOUND = "There is no recording here. Please look at the link again: it may have been cut short."
_GONE = "This recording was deleted."
_NOT_HAD = "This recording cannot be played: the telephone company does not have it, or does not give it to us."
_LATER = "The recording cannot be played at the moment. Please try again in a few minutes."


def make_app(context: Context) -> bottle.Bottle:
    """Return the route of the links."""
    app = bottle.Bottle()
    app.install(Failures())
    app.route("/recordings/<key>", ["GET", "HEAD"], partial(_play, context))
    return app


def _play(context: Context, key: str) -> bottle.HTTPResponse:
    found = context.store.read(lambda tx: _find(tx, key)) if _KEY.fullmatch(key) else None
    if found is None:
        return _words(404, _NOT_FOUND)
    call, one = found
    if not recordings.is_kept(call, one, context.settings.keep_recordings_ms, context.clock()):
        return _words(410, _GONE)
    try:
        stream = open_stream(context, call, one)
    except RecordingUnknown:
        return _words(410, _NOT_HAD)
    except SendError as error:
        log.warning("a recording of call %d cannot be fetched: %s", call.id, type(error).__name__)
        return _words(503, _LATER)
    return bottle.HTTPResponse(stream, 200, stream.headers | {"X-Robots-Tag": "noindex"})


def _find(tx: Tx, key: str) -> tuple[Call, RecordingKept] | None:
    one = tx.recording_by_key(key)
    return (tx.find_call(one.call), one) if one is not None else None


def _words(status: int, words: str) -> bottle.HTTPResponse:
    headers = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
    return bottle.HTTPResponse(f"{words}\n", status, headers | ({"Retry-After": "60"} if status == 503 else {}))
