"""HTTP for carriers: failures come out in our terms. The only user of requests.

What a failure means (`carriers.md` 0, consequence 2): until the request has left, nothing was sent and it can be
tried again; once it has left and no answer came, the carrier may have acted on it.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import requests.adapters
import urllib3
import urllib3.connection

from gateway.bounded import BoundedAnswer
from gateway.errors import (
    CarrierMisconfigured,
    PermanentSendError,
    RetryableSendError,
    Throttled,
    UncertainSendError,
)
from gateway.messages import OutboundMessage
from gateway.numbers import without_numbers
from gateway.storable import storable

Response = requests.Response

PIECE = 64 * 1024  #: bytes of a download at a time
TIMEOUT = (3.05, 15.0)  #: seconds to connect, and between bytes of the answer: requests has none by default
#: What requests refuses to build a request from: nothing has left.
_UNCALLABLE = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
)
MAX_RETRY_AFTER = 3600.0  #: seconds; a carrier that asks for more is asked again after this


class CarrierSession:
    """HTTP to one carrier, from many threads. One request a call: never a retry, never a redirect.

    Each thread has a connection pool of its own. Proxies and CA bundle are read from the environment once for each
    host: reading them for each request costs a third of the CPU of a send. With `proxies` false none is used,
    whatever the environment says: for what runs on this machine. With `bounded` the time for an answer is for all of
    it, its body too, not between its bytes: for who need not be trusted to come to an end.
    """

    def __init__(self, *, proxies: bool = True, bounded: bool = False) -> None:
        self._local = threading.local()
        self._proxies = proxies
        self._bounded = bounded
        self._environments: dict[str, dict[str, Any]] = {}  # by scheme and host

    def get(self, url: str, **kwargs: Any) -> Response:
        """Send a GET. See `request`."""
        return self.request("GET", url, **kwargs)

    def post(self, url: str, **kwargs: Any) -> Response:
        """Send a POST. See `request`."""
        return self.request("POST", url, **kwargs)

    def request(self, method: str, url: str, *, check: bool = True, **kwargs: Any) -> Response:
        """Send one request and return its answer, which is 2xx unless `check` is false.

        Takes what `requests.Session.request` takes. Raises the `SendError` that fits: see
        `raise_for_status` for answers; no connection is `RetryableSendError`, no answer, or one that cannot be read,
        `UncertainSendError`, a URL nobody can call `CarrierMisconfigured`.
        """
        kwargs.setdefault("timeout", TIMEOUT)
        later = kwargs.pop("stream", False)
        if kwargs.get("verify") is None:  # which would look at no certificate
            kwargs.pop("verify", None)
        try:
            response = self._session().request(method, url, **self._environment(url) | kwargs, stream=True)
            if not later:
                _read(response)
        except _UNCALLABLE as error:
            if isinstance(_cause(error), urllib3.exceptions.InvalidHeader):  # of the answer
                raise UncertainSendError("the answer cannot be read") from None
            raise CarrierMisconfigured("the carrier's URL or credentials cannot be put into a request") from None
        except requests.exceptions.InvalidJSONError:
            raise PermanentSendError("the message cannot be written as JSON") from None
        except requests.RequestException as error:
            raise _in_our_terms(error) from None
        if check:
            raise_for_status(response)
        return response

    def download(self, url: str, **kwargs: Any) -> tuple[Response, Iterator[bytes]]:
        """Send a GET and return its answer, whatever its status, and its body as it comes in, in pieces.

        For what may be large: nothing of the body is read before the first piece is asked for. Whoever has the answer
        calls its `close`. Takes and raises what `request` does; a body that breaks off raises `RetryableSendError`.
        """
        response = self.request("GET", url, check=False, stream=True, **kwargs)
        return response, _pieces(response)

    def _environment(self, url: str) -> dict[str, Any]:
        """Return what the environment says about requests to the host of `url`: `proxies` and `verify`."""
        host = url[: url.find("/", url.find("//") + 2)]
        known = self._environments.get(host)
        if known is None:
            try:
                said = requests.Session().merge_environment_settings(url, {}, None, None, None)
            except ValueError:
                raise requests.exceptions.InvalidURL from None
            proxies = dict(said["proxies"]) if self._proxies else {}
            known = self._environments[host] = {"proxies": proxies, "verify": said["verify"]}
        return known

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session()
            session.trust_env = False
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # they are nobody's, and none is kept
            if self._bounded:
                session.mount("https://", _Bounded())
                session.mount("http://", _Bounded())
        return session


class _Session(requests.Session):
    """One that follows no redirect, nor reads where it leads: requests fails at what is no URL, whoever follows it.

    It keeps no cookies either, and what is asked of it is whole but for its headers: to merge it with what a session
    knows is a sixth of the CPU of a send.
    """

    def get_redirect_target(self, resp: Response) -> None:
        return None

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        headers: dict[str, Any] = {**self.headers, **(request.headers or {})}
        for unwanted in [name.lower() for name, value in headers.items() if value is None]:
            headers = {name: value for name, value in headers.items() if name.lower() != unwanted}
        prepared = requests.PreparedRequest()
        prepared.prepare(
            method=request.method,
            url=request.url,
            headers=headers,
            files=request.files,
            data=request.data,
            params=request.params,
            auth=request.auth,
            cookies=request.cookies,
            hooks=request.hooks,
            json=request.json,
        )
        return prepared

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        return {"proxies": proxies or {}, "stream": stream, "verify": verify, "cert": cert}


class _HTTP(urllib3.connection.HTTPConnection):
    response_class = BoundedAnswer


class _HTTPS(urllib3.connection.HTTPSConnection):
    response_class = BoundedAnswer


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class _Bounded(requests.adapters.HTTPAdapter):
    """Connections whose answers are bounded."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager


def _read(response: Response) -> None:
    """Read an answer's body. Raises what requests does, and `UncertainSendError` where it is none."""
    try:
        _ = response.content
    except ValueError:  # the length of a chunk, for one
        raise UncertainSendError("the answer cannot be read") from None


def _pieces(response: Response) -> Iterator[bytes]:
    left = size_of(response)
    try:
        for piece in response.iter_content(PIECE):
            left = None if left is None else left - len(piece)
            yield piece
    except (requests.RequestException, ValueError):
        raise RetryableSendError("the answer broke off") from None
    finally:
        response.close()
    if left:  # an older urllib3 does not mind
        raise RetryableSendError("the answer broke off")


def raise_for_status(response: Response, detail: str = "", code: str = "") -> None:
    """Raise what an HTTP status means everywhere; return on 2xx.

    401 and 403 `CarrierMisconfigured` · 408, 425 and 5xx `RetryableSendError` · 429 `Throttled` with the answer's
    `Retry-After` (seconds or a date) · everything else `PermanentSendError`. A plugin that knows more
    passes `check=False`, raises its own first and calls this last; `detail` and `code` are the carrier's.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    words = f"HTTP {status}" + (f": {detail}" if detail else "")
    code = code or str(status)
    if status in (401, 403):
        raise CarrierMisconfigured(words, code=code)
    if status == 429:
        raise Throttled(words, retry_after=retry_after(response), code=code)
    if status in (408, 425) or status >= 500:
        raise RetryableSendError(words, code=code)
    raise PermanentSendError(words, code=code)


def size_of(response: Response) -> int | None:
    """Return how many bytes a body has, where the answer says so and it comes as it is; else None."""
    length = response.headers.get("Content-Length", "")
    known = length.isascii() and length.isdigit() and len(length) < 16 and "Content-Encoding" not in response.headers
    return int(length) if known else None


def showable(words: object, message: OutboundMessage) -> str:
    """Return a carrier's words about `message` fit for an error: no phone numbers, at most 200 characters.

    Carriers quote what they refuse. Words that repeat twelve characters of the text or of a media URL, or all of a
    shorter text, are dropped whole; so is what is no string.
    """
    if not isinstance(words, str):
        return ""
    quoted = any(_repeats(words, private) for private in (message.text, *message.media))
    return "" if quoted else storable(without_numbers(words))[:200]


def _repeats(words: str, private: str) -> bool:
    return any(private[start : start + 12] in words for start in range(max(1, len(private) - 11))) if private else False


def retry_after(response: Response, default: float = 1.0) -> float:
    """Return the seconds an answer asks us to wait: `Retry-After` as seconds or as a date, within 0 to an hour."""
    value = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError):
            return default
        at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
        seconds = (at - datetime.now(timezone.utc)).total_seconds()
    if seconds != seconds:  # NaN
        return default
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _cause(error: requests.RequestException) -> object:
    return error.args[0] if error.args else None


def _in_our_terms(error: requests.RequestException) -> RetryableSendError:
    """Tell a request that never left (try again) from one that may have arrived (uncertain)."""
    if isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)):
        return RetryableSendError("could not connect")
    cause = _cause(error)
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)):
        return RetryableSendError("could not connect")
    # of TLS errors only this one surely comes before the request leaves
    if any(isinstance(arg, ssl.SSLCertVerificationError) for arg in (reason, *getattr(reason, "args", ()))):
        return RetryableSendError("the certificate is not valid")
    return UncertainSendError("no answer")
