"""HTTP for carriers: every failure in our terms, and the environment's proxies as the environment means them."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import requests.adapters
import urllib3

from gateway.client import CarrierSession, _in_our_terms, retry_after, size_of
from gateway.errors import (
    CarrierMisconfigured,
    PermanentSendError,
    RetryableSendError,
    SendError,
    Throttled,
    UncertainSendError,
)


class Answering(BaseHTTPRequestHandler):
    """Answers with the status in the path; `/slow` and `/cut` as they say."""

    protocol_version = "HTTP/1.1"
    paths: list[str]

    def do_GET(self) -> None:
        self.server.paths.append(self.path)  # type: ignore[attr-defined]
        status = int(self.path.rpartition("/")[2])
        self.send_response(status)
        for name, value in self.server.extra.items():  # type: ignore[attr-defined]
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def server(how: type[BaseHTTPRequestHandler] = Answering, **extra: str) -> Iterator[ThreadingHTTPServer]:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), how)
    listening.paths, listening.extra = [], extra  # type: ignore[attr-defined]
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield listening
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def url(listening: ThreadingHTTPServer, path: object) -> str:
    return f"http://127.0.0.1:{listening.server_port}/{path}"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, PermanentSendError),
        (401, CarrierMisconfigured),
        (403, CarrierMisconfigured),
        (404, PermanentSendError),
        (408, RetryableSendError),
        (422, PermanentSendError),
        (425, RetryableSendError),
        (429, Throttled),
        (302, PermanentSendError),  # followed, it would carry credentials elsewhere
        (500, RetryableSendError),
        (503, RetryableSendError),
    ],
)
def test_a_status_is_its_error(status: int, error: type[SendError]) -> None:
    with server(Location="http://127.0.0.1:9/") as listening:
        with pytest.raises(error) as caught:
            CarrierSession().get(url(listening, status))
        assert type(caught.value) is error
        assert caught.value.code == str(status)
        assert len(listening.paths) == 1  # type: ignore[attr-defined]


def test_a_refused_connection_has_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(RetryableSendError) as caught:
        CarrierSession().get(f"http://127.0.0.1:{port}/")
    assert not isinstance(caught.value, UncertainSendError)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answer one request with these bytes, then close."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            connection.recv(65536)
            with suppress(OSError):  # whoever asked may have gone
                connection.sendall(answer)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal"], ids=["none", "half"])
def test_an_answer_that_breaks_off_leaves_it_uncertain(answer: bytes) -> None:
    with answering(answer) as where, pytest.raises(UncertainSendError):
        CarrierSession().post(where, data=b"x")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNREADABLE = {
    "a chunk of -5 bytes": CHUNKED + b"-5\r\nabc\r\n0\r\n\r\n",
    "a chunk of zz bytes": CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
    "a chunk of no length": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3, 5\r\n\r\nhello",
    "no gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "no HTTP": b"SSH-2.0-x\r\n\r\n",
}


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_answer_that_cannot_be_read_leaves_it_uncertain(answer: bytes, bounded: bool) -> None:
    session = CarrierSession(proxies=False, bounded=bounded)
    with answering(answer) as where, pytest.raises(UncertainSendError):
        session.post(where, data=b"x")
    with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as where:
        assert session.post(where, data=b"x").status_code == 204


@pytest.mark.parametrize("location", [b"https://[", b"https://\xff\xfe", b"http://x:99999999/", b"nope:nope", b""])
def test_where_a_redirect_leads_is_not_even_read(location: bytes) -> None:
    answer = b"HTTP/1.1 307 Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location
    with answering(answer) as where, pytest.raises(PermanentSendError) as caught:
        CarrierSession(proxies=False).post(where, data=b"x")
    assert caught.value.code == "307"
    with answering(answer) as where:
        assert CarrierSession(proxies=False).download(where)[0].status_code == 307


def test_no_answer_in_time_leaves_it_uncertain() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UncertainSendError):
        CarrierSession().get(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=(3, 0.05))


@pytest.mark.parametrize("bad", ["nonsense", "foo://x/", "http://", "http://[::/"])
def test_a_url_nobody_can_call_is_a_matter_of_settings(bad: str) -> None:
    with pytest.raises(CarrierMisconfigured):
        CarrierSession().get(bad)


def test_credentials_that_fit_no_header_are_a_matter_of_settings() -> None:
    with pytest.raises(CarrierMisconfigured) as caught:
        CarrierSession().get("http://127.0.0.1:9/", headers={"Authorization": "Bearer s3cret\nx"})
    assert "s3cret" not in str(caught.value)


def test_a_tls_error_is_certain_only_where_the_certificate_is_refused() -> None:
    refused = requests.exceptions.SSLError(
        urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.SSLError(ssl.SSLCertVerificationError(1, "x")))  # type: ignore[arg-type]
    )
    broken = requests.exceptions.SSLError(
        urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.SSLError(ssl.SSLEOFError(8, "x")))  # type: ignore[arg-type]
    )
    assert type(_in_our_terms(refused)) is RetryableSendError
    assert type(_in_our_terms(broken)) is UncertainSendError


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("0.5", 0.5), ("-3", 0), ("999999", 3600), ("", 1), ("soon", 1), ("nan", 1), ("inf", 3600),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Wed, 21 Oct 2999 07:28:00 GMT", 3600)],
)  # fmt: skip
def test_retry_after_is_understood(header: str, seconds: float) -> None:
    response = requests.Response()
    response.headers["Retry-After"] = header
    assert retry_after(response) == seconds


@pytest.mark.parametrize(("no_proxy", "by_proxy"), [("", True), ("127.0.0.1", False)])
def test_a_proxy_is_used_but_for_hosts_that_are_excepted(
    no_proxy: str, by_proxy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server() as proxy, server() as carrier:
        monkeypatch.setenv("http_proxy", url(proxy, ""))
        monkeypatch.setenv("no_proxy", no_proxy)
        session = CarrierSession()
        for _ in range(2):
            assert session.get(url(carrier, 200)).status_code == 200
        assert bool(proxy.paths) is by_proxy  # type: ignore[attr-defined]
        assert bool(carrier.paths) is not by_proxy  # type: ignore[attr-defined]
        CarrierSession(proxies=False).get(url(carrier, 200))
        assert carrier.paths  # type: ignore[attr-defined]


def test_threads_do_not_share_connections() -> None:
    made: list[object] = []
    session = CarrierSession()
    get: Callable[[], None] = lambda: made.append(session._session())  # noqa: E731
    threads = [threading.Thread(target=get) for _ in range(3)]
    for thread in threads:
        thread.start()
        thread.join()
    assert len({id(one) for one in made}) == 3
    assert all(not one.trust_env for one in made)  # type: ignore[attr-defined]


class Baking(BaseHTTPRequestHandler):
    """Sets a cookie with each answer, whose body are the cookies it got."""

    def do_GET(self) -> None:
        body = self.headers.get("Cookie", "none").encode()
        self.send_response(200)
        self.send_header("Set-Cookie", "one=1")
        self.send_header("Content-Length", f"{len(body)}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_cookies_are_neither_kept_nor_sent_back() -> None:
    session = CarrierSession()
    with server(Baking) as listening:
        url = f"http://127.0.0.1:{listening.server_port}/"
        assert [session.get(url).text for _ in range(2)] == ["none", "none"]
        assert not session._session().cookies


class Showing(BaseHTTPRequestHandler):
    """Answers with the headers it got."""

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", f"{len(body)}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"headers": {"accept": "text/plain"}}, {"accept": "text/plain"}),
        ({"headers": {"accept": None, "X-One": "1"}}, {"accept": None, "x-one": "1"}),
        ({"cookies": {"one": "1"}}, {"cookie": "one=1"}),
        ({"auth": ("user", "word")}, {"authorization": "Basic dXNlcjp3b3Jk"}),
    ],
    ids=["in its place", "left out", "cookies", "auth"],
)
def test_what_a_plugin_asks_for_is_sent_as_requests_would(asked: dict[str, Any], sent: dict[str, str | None]) -> None:
    heard: list[int] = []
    hooks = {"response": lambda answer, **_: heard.append(answer.status_code)}
    with server(Showing) as listening:
        shown = CarrierSession(proxies=False).get(url(listening, ""), hooks=hooks, **asked).json()
    assert ({name: shown.get(name) for name in sent}, heard) == (sent, [200])


class Noting(requests.adapters.BaseAdapter):
    """Notes what certificates are looked at, where the request would leave."""

    def __init__(self) -> None:
        super().__init__()
        self.verified: list[object] = []

    def send(self, request: requests.PreparedRequest, *args: Any, verify: object = None, **kwargs: Any) -> Any:
        self.verified.append(verify)
        raise requests.ConnectionError

    def close(self) -> None:
        """Nothing is open."""


def test_a_certificate_is_looked_at_unless_a_plugin_says_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is what a setting that nobody has set is: no reason to believe whoever answers."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/all.pem")
    session, noting = CarrierSession(proxies=False), Noting()
    session._session().mount("https://", noting)
    for asked in ({}, {"verify": None}, {"verify": "/ca.pem"}, {"verify": False}):
        with pytest.raises(UncertainSendError):
            session.get("https://carrier.example/", **asked)
    assert noting.verified == ["/all.pem", "/all.pem", "/ca.pem", False]


# --- downloads ----------------------------------------------------------------------------------


def test_a_download_is_read_as_it_comes_in_and_may_be_left() -> None:
    body = bytes(range(256)) * 1000
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as where:
        response, pieces = CarrierSession(proxies=False).download(where)
        assert size_of(response) == len(body)
        assert b"".join(pieces) == body
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + body) as where:
        response, pieces = CarrierSession(proxies=False).download(where)
        assert next(pieces)
        response.close()


def test_a_download_that_breaks_off_can_be_tried_again() -> None:
    for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", UNREADABLE["a chunk of -5 bytes"]):
        with answering(answer) as where:
            _, pieces = CarrierSession(proxies=False).download(where)
            with pytest.raises(RetryableSendError):
                list(pieces)


def test_a_download_s_redirect_is_returned_wherever_it_leads() -> None:
    with answering(b"HTTP/1.1 302 Found\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n") as where:
        assert CarrierSession(proxies=False).download(where)[0].status_code == 302


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({"Content-Length": "7"}, 7),
        ({}, None),
        ({"Content-Length": "-1"}, None),
        ({"Content-Length": "x"}, None),
        ({"Content-Length": "7", "Content-Encoding": "gzip"}, None),
    ],
)
def test_a_size_is_known_where_the_body_comes_as_it_is(headers: dict[str, str], size: int | None) -> None:
    response = requests.Response()
    response.headers.update(headers)
    assert size_of(response) == size


# --- an answer that never ends ------------------------------------------------------------------------

HEAD, LONG_HEAD = b"HTTP/1.1 200 OK\r\n", b"X-Padding: " + b"x" * 5000
SLOW = {
    "headers": HEAD + LONG_HEAD,
    "body": HEAD + b"Content-Length: 9000\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "status line": b"",
}


@contextmanager
def dripping(at_once: bytes) -> Iterator[str]:
    """Answer with some bytes at once, and then a byte each 20 ms, for 3 s."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)
    enough = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(at_once)
            with suppress(OSError):
                for _ in range(150):
                    if enough.wait(0.02):
                        break
                    connection.sendall(b"1")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        enough.set()
        thread.join()
        listener.close()


@pytest.mark.parametrize("at_once", SLOW.values(), ids=SLOW.keys())
def test_the_time_for_an_answer_is_for_all_of_it_however_it_drips(at_once: bytes) -> None:
    with dripping(at_once) as url:
        began = time.monotonic()
        with pytest.raises(UncertainSendError):
            CarrierSession(bounded=True).get(url, timeout=(1, 0.2))
        assert time.monotonic() - began < 1.5


def test_what_is_read_of_an_answer_later_has_no_more_time() -> None:
    with dripping(SLOW["body"]) as url:
        began = time.monotonic()
        answer = CarrierSession(bounded=True).get(url, timeout=(1, 0.2), stream=True)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            answer.raw.read(9000)
        assert time.monotonic() - began < 1.5
