"""Is a webhook signed by SignalWire? Pure; raises nothing, whatever the request holds.

Two schemes (`carriers.md` 4.1; signalwire.com/docs/swml/guides/webhook-security and
signalwire.com/docs/compatibility-api/guides/webhooks, "webhook security"). Forms are signed with the base64
HMAC-SHA1 of the URL and the sorted fields, JSON with the hex HMAC of the URL and the body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from urllib.parse import parse_qsl

from gateway import WebhookRequest

_SHA256 = "x-signalwire-sha256-signature"
_SHA1 = ("x-signalwire-signature", "x-twilio-signature")  # the second is an alias on the cXML surface
_PORTS = {"https": ":443", "http": ":80"}

#: What is signed after the URL, and how the result is written.
_Ending = tuple[bytes, Callable[[bytes], bytes]]


def is_signed(request: WebhookRequest, keys: Sequence[bytes]) -> bool:
    """Return whether one of `keys` signed `request`.

    Where there is a SHA-256 signature it alone counts: whoever can forge a SHA-1 gains nothing by sending both.
    """
    if _SHA256 in request.headers:
        return _matches(request.headers[_SHA256], request, keys, "sha256")
    given = next((request.headers[name] for name in _SHA1 if request.headers.get(name)), "")
    return bool(given) and _matches(given, request, keys, "sha1")


def _matches(given: str, request: WebhookRequest, keys: Sequence[bytes], algorithm: str) -> bool:
    signature = given.strip().encode("utf-8", "replace")  # as bytes: compare_digest refuses text beyond ASCII
    return any(hmac.compare_digest(signature, made) for made in _signatures(request, keys, algorithm))


def _signatures(request: WebhookRequest, keys: Sequence[bytes], algorithm: str) -> Iterator[bytes]:
    """Yield every signature that would be right, the likeliest first: most requests need no other."""
    for ending, write in _endings(request):
        for url in url_variants(request.url):
            for key in keys:
                yield write(hmac.digest(key, url.encode("utf-8", "replace") + ending, algorithm))


def _endings(request: WebhookRequest) -> Iterator[_Ending]:
    """Yield what may be signed after the URL, of a known content type its own scheme alone."""
    if "json" not in request.content_type:
        yield _sorted_fields(request), base64.b64encode
    if "form" not in request.content_type:
        yield request.body, _hex
    if _body_is_in_url(request):
        yield b"", base64.b64encode


def _sorted_fields(request: WebhookRequest) -> bytes:
    """Return the form's names and values, decoded, blank ones too, in order of name; equal names as they came."""
    pairs = sorted(request.pairs(), key=itemgetter(0))
    return "".join(name + value for name, value in pairs).encode("utf-8", "replace")


def _hex(digest: bytes) -> bytes:
    return digest.hex().encode("ascii")


def _body_is_in_url(request: WebhookRequest) -> bool:
    """Return whether the URL, which is signed, holds the body's hash: JSON on the cXML surface."""
    if "?" not in request.url:
        return False
    query = request.url.partition("#")[0].partition("?")[2]
    given = dict(parse_qsl(query)).get("bodySHA256", "").encode("utf-8", "replace")
    return hmac.compare_digest(given, _hex(hashlib.sha256(request.body).digest()))


def url_variants(url: str) -> list[str]:
    """Return how SignalWire may have written `url` when it signed: as it is, then otherwise.

    Without the fragment (it holds time limits, `#ot=2000`); with and without the default port; with
    credentials (`user:password@`) for messages, without for calls.
    """
    scheme, separator, rest = url.partition("#")[0].partition("://")
    end = min((rest.find(mark) for mark in "/?" if mark in rest), default=len(rest))
    credentials, at, host = rest[:end].rpartition("@")
    users = [credentials + at, ""] if at else [""]
    hosts = [host, _other_port(host, _PORTS.get(scheme.lower(), ""))]
    return [f"{scheme}{separator}{user}{name}{rest[end:]}" for name in hosts if name for user in users]


def _other_port(host: str, port: str) -> str:
    """Return `host` with its default port if it had none, without if it had it; "" where it has another."""
    if not port:
        return ""
    if host.endswith(port):
        return host.removesuffix(port)
    has_port = ":" in host.rpartition("]")[2]
    return "" if has_port else host + port
