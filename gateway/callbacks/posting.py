"""One attempt to deliver a callback: one POST, whose answer is its status and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import gateway
from gateway.callbacks import signing
from gateway.callbacks.endpoints import Endpoint
from gateway.callbacks.records import Callback
from gateway.callbacks.verdicts import Attempt
from gateway.client import CarrierSession, Response, retry_after
from gateway.errors import CarrierMisconfigured, SendError

SMALL = 16_384  #: bytes of an answer that are read so that its connection can be used again


def post(
    http: CarrierSession, endpoint: Endpoint, keys: Sequence[bytes], one: Callback, *, is_probe: bool, now: int
) -> Attempt:
    """Send a callback, signed at `now` (ms), and return what came of it. Waits 15 s for an answer, all of it."""
    body = one.body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"maskgate/{gateway.__version__}",
        **signing.headers(keys, one.webhook_id, now, body),
    }
    try:
        answer = http.post(endpoint.url, data=body, headers=headers, check=False, stream=True)
    except CarrierMisconfigured:
        return Attempt(callback=one, is_probe=is_probe, status=0, reason="the URL cannot be put into a request")
    except SendError as error:
        return Attempt(callback=one, is_probe=is_probe, status=0, reason=error.detail)
    with closing(answer):
        _let_go_on(answer)
        return _judged(one, answer, is_probe)


def _judged(one: Callback, answer: Response, is_probe: bool) -> Attempt:
    status = answer.status_code
    fine = 200 <= status < 300
    asked = None if fine or "Retry-After" not in answer.headers else round(1000 * retry_after(answer))
    reason = "" if fine else f"HTTP {status}"
    return Attempt(callback=one, is_probe=is_probe, status=status, reason=reason, retry_after_ms=asked)


def _let_go_on(answer: Response) -> None:
    """Read a short answer to its end, for the sake of its connection. What it says is nobody's business here."""
    length = answer.headers.get("Content-Length", "")
    try:
        if length.isdecimal() and int(length) <= SMALL:
            answer.raw.read(SMALL, decode_content=False)
    except Exception:  # noqa: S110 - it has answered, and the connection is closed in any case
        pass
