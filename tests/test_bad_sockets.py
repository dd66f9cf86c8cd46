"""What is no HTTP, or half of it, on the gateway's own socket: answered or closed, and the next request is served."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from bad_input import KEY, MASKS, World, opened
from gateways import TOKEN

from gateway.web.bodies import LIMIT

HOST = b"Host: gw.example.com\r\n"
AUTH = b"Authorization: Bearer " + KEY.encode() + b"\r\n"
GOOD = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
WEBHOOK = b"POST /webhooks/flowroute/" + TOKEN.encode() + b" HTTP/1.1\r\n" + HOST
TEXT = json.dumps({"to": MASKS["flowroute"], "from": "+12065550101", "body": "hello", "id": "by-socket"}).encode()


#: What waitress (3.0) does not expect itself: it says so and closes the connection, which is all there is to do.
WAITRESS_OWN = ("Exceeds the limit (4300 digits) for integer string conversion", "Invalid IPv6 URL")


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened(tmp_path_factory.mktemp("bad-sockets")) as world:
        statuses(talk(world, GOOD))  # every thread there will be has been started
        yield world


@pytest.fixture(autouse=True)
def felt(w: World, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Afterwards a request is served, no connection is left, no thread gone or new, and nothing broke."""
    threads = threading.active_count()
    with w.unfelt():
        yield
        assert statuses(talk(w, GOOD)) == [200]
    waited = threading.Event()
    while w.gateway.http.connections:
        waited.wait(0.005)
    assert threading.active_count() <= threads
    said = [one for phase in ("setup", "call", "teardown") for one in caplog.get_records(phase)]
    errors = [one.getMessage() for one in said if one.levelname in ("ERROR", "CRITICAL")]
    assert not [words for words in errors if not any(known in words for known in WAITRESS_OWN)]


def connect(w: World) -> socket.socket:
    host, port = w.gateway.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def talk(w: World, sent: bytes, *, half_close: bool = True) -> bytes:
    """Send bytes and return what comes until the gateway closes; it is told that no more will follow."""
    with connect(w) as line:
        try:
            line.sendall(sent)
            if half_close:
                line.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: line.recv(65_536), b""))
        except TimeoutError:
            raise
        except OSError:  # it has heard enough, and hung up
            return b""


def statuses(answers: bytes) -> list[int]:
    """Return the statuses of all answers that came."""
    return [int(part.split(b" ", 1)[0]) for part in answers.split(b"HTTP/1.")[1:] for part in [part[2:]]]


def framed(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return WEBHOOK + b"Content-Type: application/json\r\n" + lines + b"\r\n" + body


BROKEN = {
    "nothing": b"",
    "a blank line": b"\r\n\r\n",
    "NULs": b"\x00" * 1000,
    "noise": bytes(range(256)) * 8,
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a line without end": b"GET /" + b"a" * 400_000,
    "half of a request line": b"GET /tn",
    "no version": b"GET /tn\r\n\r\n",
    "HTTP/0.9": b"GET /webhooks/flowroute HTTP/0.9\r\n\r\n",
    "HTTP/9.9": b"GET /webhooks/flowroute HTTP/9.9\r\n\r\n",
    "no method": b" /tn HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method of noise": b"G\x00T /tn HTTP/1.1\r\n" + HOST + b"\r\n",
    "no path": b"GET  HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path of noise": b"GET /\xff\x00\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": b"GET /tn#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path in brackets": b"GET //[::/tn HTTP/1.1\r\n" + HOST + b"\r\n",
    "an absolute URL": b"GET http://elsewhere.example.net/tn HTTP/1.1\r\n" + HOST + b"\r\n",
    "an absolute URL that is none": b"GET http://[::/tn HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT elsewhere.example.net:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "half of the headers": b"GET /tn HTTP/1.1\r\nHost: gw",
    "a header without a colon": b"GET /tn HTTP/1.1\r\nHost gw\r\n\r\n",
    "a header without a name": b"GET /tn HTTP/1.1\r\n: x\r\n\r\n",
    "a header with a blank in its name": b"GET /tn HTTP/1.1\r\nHost : x\r\n\r\n",
    "NUL in a header": b"GET /tn HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "a bare carriage return": b"GET /tn HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n",
    "bare line feeds": b"GET /tn HTTP/1.1\nHost: x\n\n",
    "a folded header": b"GET /tn HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "two hosts": b"GET /tn HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "no host": b"GET /tn HTTP/1.1\r\n\r\n",
    "no UTF-8 in a header": b"GET /tn HTTP/1.1\r\n" + HOST + b"Authorization: Bearer \xff\r\n\r\n",
    "headers of 300 kB": b"GET /tn HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 300_000 + b"\r\n\r\n",
    "50,000 headers": b"GET /tn HTTP/1.1\r\n" + HOST + b"X: x\r\n" * 50_000 + b"\r\n",
    "Content-Length: -1": framed(TEXT, b"Content-Length: -1"),
    "Content-Length: +5": framed(TEXT, b"Content-Length: +5"),
    "Content-Length: ten": framed(TEXT, b"Content-Length: ten"),
    "Content-Length: 1_0": framed(TEXT, b"Content-Length: 1_0"),
    "Content-Length: 0x10": framed(TEXT, b"Content-Length: 0x10"),
    "a Content-Length of 40 digits": framed(TEXT, b"Content-Length: " + b"9" * 40),
    "a Content-Length of 5000 digits": framed(TEXT, b"Content-Length: " + b"9" * 5000),
    "two Content-Lengths": framed(TEXT, b"Content-Length: 5", b"Content-Length: %d" % len(TEXT)),
    "a Content-Length too long": framed(TEXT, b"Content-Length: %d" % (len(TEXT) + 1)),
    "a Content-Length too short": framed(TEXT, b"Content-Length: %d" % (len(TEXT) - 1)),
    "no Content-Length": framed(TEXT),
    "a body too long by its header": framed(b"", b"Content-Length: %d" % (LIMIT + 2), b"Expect: 100-continue"),
    "a body too long": framed(b"x" * (LIMIT + 2), b"Content-Length: %d" % (LIMIT + 2)),
    "chunked and a Content-Length": framed(TEXT, b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(TEXT)),
    "chunked, no chunk": framed(b"", b"Transfer-Encoding: chunked"),
    "chunked, not ended": framed(b"%x\r\n%b\r\n" % (len(TEXT), TEXT), b"Transfer-Encoding: chunked"),
    "chunked, a size of noise": framed(b"zz\r\n" + TEXT, b"Transfer-Encoding: chunked"),
    "chunked, a negative size": framed(b"-5\r\nhello\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "chunked, an absurd size": framed(b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "chunked, a size that lies": framed(b"3\r\nhello\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "chunked, too long": framed(b"10000\r\n" + b"x" * 65_536 + b"\r\n", b"Transfer-Encoding: chunked")
    + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 4 + b"0\r\n\r\n",
    "gzip": framed(TEXT, b"Transfer-Encoding: gzip", b"Content-Length: %d" % len(TEXT)),
    "chunked twice": framed(TEXT, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked, hidden": framed(TEXT, b"Transfer-Encoding: xchunked", b"Content-Length: %d" % len(TEXT)),
}  # fmt: skip

#: What a server says itself of what is no HTTP, beside what the documents name.
BY_THE_SERVER = {100, 400, 401, 403, 404, 405, 413, 431, 501}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_http_is_refused_or_closed(w: World, sent: bytes) -> None:
    assert set(statuses(talk(w, sent))) <= BY_THE_SERVER


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_http_and_then_cut_off_is_forgotten(w: World, sent: bytes) -> None:
    with connect(w) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        with suppress(ConnectionError):
            line.sendall(sent[: max(1, len(sent) - 3)])


def test_a_text_that_says_expect_or_comes_in_chunks_is_read_as_any_other(w: World) -> None:
    wrong = TEXT.replace(b'"to"', b'"t0"')
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, wrong[i : i + 1]) for i in range(len(wrong))) + b"0\r\n\r\n"
    assert statuses(talk(w, framed(chunks, b"Transfer-Encoding: chunked"))) == [400]
    length = b"Content-Length: %d" % len(wrong)
    assert statuses(talk(w, framed(wrong, length, b"Expect: 100-continue", b"Connection: close"))) == [100, 400]


def test_requests_on_one_connection_are_answered_in_their_order(w: World) -> None:
    rejected = framed(b"{}", b"Content-Length: 2").replace(TOKEN.encode(), b"wrong")
    missing = b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n"
    unread = framed(b"[]", b"Content-Length: 2")
    assert statuses(talk(w, GOOD + rejected + missing + unread + GOOD)) == [200, 403, 404, 400, 200]
    assert statuses(talk(w, GOOD * 200)) == [200] * 200
    assert statuses(talk(w, GOOD + b"\x00\x00\r\n\r\n" + GOOD))[:2] == [200, 400]


def test_who_waits_in_the_middle_of_a_request_keeps_nobody_else_waiting(w: World) -> None:
    """Many more than there are threads: a request takes one only once it is whole."""
    parts = [b"G", b"GET /tn HTTP/1.1\r\nHost:", framed(TEXT[:9], b"Content-Length: 100"), b""]
    lines = [connect(w) for _ in range(40)]
    try:
        for number, line in enumerate(lines):
            line.sendall(parts[number % len(parts)])
        for _ in range(20):
            assert statuses(talk(w, GOOD)) == [200]
        lines[0].sendall(GOOD[1:])  # the slowest is answered too, once it has said all
        assert lines[0].recv(12) == b"HTTP/1.1 200"
    finally:
        for line in lines:
            line.close()


def test_who_does_not_read_its_answers_keeps_nobody_else_waiting(w: World) -> None:
    ask = b"GET /session HTTP/1.1\r\n" + HOST + AUTH + b"\r\n"
    lines = [connect(w) for _ in range(16)]
    try:
        for line in lines:
            line.sendall(ask * 20)
        for _ in range(20):
            assert statuses(talk(w, GOOD)) == [200]
    finally:
        for line in lines:
            line.close()


def test_who_hangs_up_before_the_answer_is_served_for_nothing(w: World) -> None:
    for _ in range(50):
        with connect(w) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.sendall(b"GET /tn HTTP/1.1\r\n" + HOST + AUTH + b"\r\n")
