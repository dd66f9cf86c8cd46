"""The HTTP server on real sockets: answers in one piece, nobody woken in vain, nobody forgotten."""

from __future__ import annotations

import gc
import os
import random
import resource
import socket
import struct
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from program import until
from waitress.wasyncore import dispatcher

import gateway.http as door
from gateway.http import HttpServer, watch
from gateway.http.channel import Channel
from gateway.http.watch import Watch

App = Callable[[dict[str, Any], Any], Iterable[Any]]
NEVER = 60.0  #: seconds: later than anybody here gives up
LENGTH = 400_000  #: of a long answer: more than a connection holds that nobody reads
ENDLESS = 40_000_000  #: of one that is more than waitress keeps, so that a thread waits
RESET = struct.pack("ii", 1, 0)


def answer(body: Iterable[bytes], *headers: tuple[str, str], status: str = "200 OK") -> App:
    """Return an application that always answers the same."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, list(headers))
        return body

    return app


def sized(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer `/<n>` with n bytes after what was posted."""
    body = environ["wsgi.input"].read() + b"x" * int(environ["PATH_INFO"][1:] or 2)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def serving(app: App, *, threads: int = 2) -> Iterator[HttpServer]:
    listener = socket.create_server(("127.0.0.1", 0))
    http = HttpServer(app, listener, threads=threads, body_limit=100_000)
    http.start()
    try:
        yield http
    finally:
        http.stop()


def connect(http: HttpServer, *, room: int = 0) -> socket.socket:
    """Return a connection that is given up after ten seconds; it holds about so many bytes unread."""
    line = socket.socket()
    line.settimeout(10)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if room:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    line.connect(("127.0.0.1", int(http._server.effective_port)))
    return line


def asking(path: str = "/", *headers: str, method: str = "GET", version: str = "1.1", body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: h", *length, *headers, "", ""]).encode() + body


def heard(line: socket.socket) -> bytes:
    """Return all that comes until the server closes."""
    return b"".join(iter(lambda: line.recv(65_536), b""))


def one(words: Any) -> bytes:
    """Return the body of the next answer, which says how long it is."""
    length = 0
    while (head := words.readline()) != b"\r\n":
        assert head, "closed before the answer was whole"
        if head.lower().startswith(b"content-length:"):
            length = int(head.split(b":")[1])
    return bytes(words.read(length))


def serves(http: HttpServer) -> bool:
    with connect(http) as line:
        line.sendall(asking("/", "Connection: close"))
        return b" 200 OK" in heard(line)


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[tuple[Any, ...]]:
    """Return what a method is called with from now on. It does what it did."""
    calls: list[tuple[Any, ...]] = []
    does = getattr(owner, name)

    def counts(*given: Any, **named: Any) -> Any:
        calls.append(given)
        return does(*given, **named)

    monkeypatch.setattr(owner, name, counts)
    return calls


def closers(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how many connections each thread closes from now on."""
    closing: Counter[str] = Counter()
    close = Channel.handle_close
    monkeypatch.setattr(
        Channel, "handle_close", lambda it: (closing.update([threading.current_thread().name]), close(it))[1]
    )
    return closing


def turns_of(turns: list[Any], seconds: float = 0.15) -> int:
    """Return how many turns there are in a while."""
    before = len(turns)
    threading.Event().wait(seconds)
    return len(turns) - before


PIECES = ("Content-Length", "4")
FRAMED = {
    "a list": (answer([b"body"]), asking(), b"\r\n\r\nbody", False),
    "pieces, the first empty": (
        lambda e, s: (s("200 OK", [PIECES]), iter([b"", b"body"]))[1],
        asking(),
        b"body",
        False,
    ),
    "an empty body": (answer([], ("Content-Length", "0")), asking(), b"\r\n\r\n", False),
    "HEAD": (answer([], PIECES), asking(method="HEAD"), b"\r\n\r\n", False),
    "204": (answer([], status="204 No Content"), asking(), b"\r\n\r\n", True),
    "304": (answer([b""], status="304 Not Modified"), asking(), b"\r\n\r\n", True),
    "HTTP/1.0": (answer([b"body"]), asking(version="1.0"), b"body", True),
    "HTTP/1.0, kept": (answer([b"body"]), asking("/", "Connection: keep-alive", version="1.0"), b"body", False),
    "closed when asked": (answer([b"body"]), asking("/", "Connection: close"), b"body", True),
}


@pytest.mark.parametrize(("app", "asked", "end", "closes"), FRAMED.values(), ids=FRAMED)
def test_an_answer_is_one_send(
    app: App, asked: bytes, end: bytes, closes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends = counted(monkeypatch, Channel, "send")
    with serving(app) as http, connect(http) as line:
        line.sendall(asked)
        if not closes:
            line.shutdown(socket.SHUT_WR)
        said = heard(line)
    assert said.startswith(b"HTTP/1.")
    assert said.endswith(end)
    assert [data for _, data in sends] == [said]


def test_answers_on_a_kept_connection_wake_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(sized) as http, connect(http) as line, line.makefile("rb") as words:
        pulls = counted(monkeypatch, http._server, "pull_trigger")
        for _ in range(50):
            line.sendall(asking("/5"))
            assert one(words) == b"xxxxx"
            until(lambda: not http._busy(), "it is seen to be answered")  # or the next one would come before
        line.sendall(asking("/5") * 20)
        for _ in range(20):
            assert one(words) == b"xxxxx"
        assert not pulls


def test_pieces_that_come_slowly_leave_as_they_come() -> None:
    gates = [threading.Event() for _ in range(3)]

    def slow(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "6")])
        yield b""
        for gate in gates:
            yield b"ab"
            assert gate.wait(10)

    with serving(slow) as http, connect(http) as line:
        line.sendall(asking())
        assert line.recv(1000).endswith(b"\r\n\r\nab")
        for gate in gates[:2]:
            gate.set()
            assert line.recv(1000) == b"ab"
        gates[2].set()


def test_an_answer_of_unknown_length_comes_in_chunks() -> None:
    with serving(lambda e, s: (s("200 OK", []), iter([b"ab", b"c"]))[1]) as http, connect(http) as line:
        line.sendall(asking())
        assert heard(line).endswith(b"\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")


def test_a_file_is_sent_whole(tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"f" * LENGTH)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))

    with serving(app) as http, connect(http) as line, line.makefile("rb") as words:
        line.sendall(asking() * 2)
        assert [one(words), one(words)] == [b"f" * LENGTH] * 2


def test_who_waits_for_100_is_told_when_its_turn_comes() -> None:
    with serving(sized) as http, connect(http) as line, line.makefile("rb") as words:
        line.sendall(asking("/9") + asking("/0", "Expect: 100-continue", "Content-Length: 4", method="POST"))
        assert one(words) == b"x" * 9
        assert words.readline() + words.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"body")
        assert one(words) == b"body"


def test_whoever_sends_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    free: list[tuple[str, bool]] = []
    send = Channel.send

    def noted(channel: Channel, data: bytes, do_close: bool = True) -> int:
        def look() -> None:
            got = channel.outbuf_lock.acquire(blocking=False)
            free.append((sender, got))
            if got:
                channel.outbuf_lock.release()

        sender = threading.current_thread().name
        other = threading.Thread(target=look)
        other.start()
        other.join()
        return int(send(channel, data, do_close))

    monkeypatch.setattr(Channel, "send", noted)
    with serving(sized) as http, connect(http) as line, line.makefile("rb") as words:
        line.sendall(asking("/30000000"))  # more than sockets hold
        answered = lambda: free and not any(one.requests for one in http._server.active_channels.values())  # noqa: E731
        until(answered, "the thread that answers has done its part")
        assert len(one(words)) == 30_000_000
    assert {name.partition("-")[0] for name, _ in free} == {"http"}
    assert "http" in {name for name, _ in free}  # what is left over, the thread that watches sends
    assert not [name for name, got in free if got]


# --- what breaks ------------------------------------------------------------------------------------------------------


def raises(after: list[bytes], error: BaseException, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Length", "9")])
    yield from after
    raise error


BROKEN = {
    "before its first piece": (partial(raises, [], ValueError()), b"HTTP/1.1 500"),
    "after an empty piece": (partial(raises, [b""], ValueError()), b"HTTP/1.1 500"),
    "after its first piece": (partial(raises, [b"abc"], ValueError()), b"HTTP/1.1 200"),
    "by what is no bytes": (answer(["text"]), b"HTTP/1.1 500"),  # type: ignore[list-item]
    "by no bytes in chunks": (lambda e, s: (s("200 OK", []), iter(["text"]))[1], b"HTTP/1.1 500"),
    "without a head": (lambda e, s: [b"body"], b"HTTP/1.1 500"),
    "by leaving": (partial(raises, [], SystemExit()), b""),
    "by leaving after a piece": (partial(raises, [b"abc"], SystemExit()), b"HTTP/1.1 200"),
}


@pytest.mark.parametrize(("broken", "said"), BROKEN.values(), ids=BROKEN)
def test_an_application_that_fails_costs_no_thread_and_no_connection(broken: App, said: bytes) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return (sized if environ["PATH_INFO"] == "/" else broken)(environ, start_response)

    with serving(app) as http:
        for _ in range(4):
            with connect(http) as line:
                line.sendall(asking("/broken"))
                assert heard(line)[:12] == said
        until(lambda: not http.connections, "they are closed")
        assert http.threads == 2
        assert serves(http)


# --- who waits for what -----------------------------------------------------------------------------------------------


@pytest.fixture
def unlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked what it waits for but when something happened."""
    monkeypatch.setattr(watch, "LOOK_S", NEVER)


class Peer:
    """Somebody who asks in an odd way; `ask` returns once it has all it is owed."""

    def __init__(self, http: HttpServer, dice: random.Random) -> None:
        self._http, self._dice = http, dice
        self._sizes = [dice.choice((0, 1, 500, LENGTH)) for _ in range(dice.randint(1, 5))]
        self._owed = [b"%d" % size + b"x" * size for size in self._sizes]

    def ask(self) -> None:
        way = self._dice.choice((self._answered, self._answered, self._half_closed, self._slow, self._gone))
        with connect(self._http, room=self._dice.choice((0, 4096))) as line:
            way(line)

    def _say(self, line: socket.socket) -> None:
        bodies = [b"%d" % size for size in self._sizes]
        expect = [["Expect: 100-continue"] if self._dice.random() < 0.1 else [] for _ in self._sizes]
        asked = (
            asking(f"/{s}", *e, method="POST", body=b) for s, e, b in zip(self._sizes, expect, bodies, strict=True)
        )
        words = b"".join(asked)
        cuts = sorted(self._dice.randrange(len(words)) for _ in range(self._dice.randint(0, 4)))
        for begin, end in zip([0, *cuts], [*cuts, len(words)], strict=True):
            line.sendall(words[begin:end])
            threading.Event().wait(self._dice.choice((0, 0, 0.001)))

    def _check(self, said: bytes) -> None:
        for body in self._owed:
            said = said.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
            head, _, rest = said.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert rest[: len(body)] == body
            said = rest[len(body) :]
        assert not said

    def _answered(self, line: socket.socket) -> None:
        self._say(line)
        with line.makefile("rb") as words:
            for body in self._owed:
                first = words.peek(25)
                while first.startswith(b"HTTP/1.1 100"):
                    words.read(25)
                    first = words.peek(25)
                assert one(words) == body

    def _half_closed(self, line: socket.socket) -> None:
        self._say(line)
        line.shutdown(socket.SHUT_WR)
        self._check(heard(line))

    def _slow(self, line: socket.socket) -> None:
        self._say(line)
        line.shutdown(socket.SHUT_WR)
        said = b"".join(line.recv(700) for _ in range(20))
        self._check(said + heard(line))

    def _gone(self, line: socket.socket) -> None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with suppress(ConnectionError):
            self._say(line)
            if self._dice.random() < 0.5:
                line.recv(100)


@pytest.mark.usefixtures("unlooked")
def test_nobody_is_forgotten_however_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = counted(monkeypatch, Watch, "turn")
    closing = closers(monkeypatch)
    dice = random.Random(7)
    with serving(sized, threads=4) as http, ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(Peer(http, random.Random(dice.random())).ask) for _ in range(400)]
        try:
            for each in asked:
                each.result(60)
        finally:
            pool.shutdown(cancel_futures=True)
        until(lambda: not http.connections, "they are closed")
        assert turns_of(turns) <= 2
        assert set(closing) == {"http"}
        assert len(http._watch) == 2  # where it listens, and what wakes it
        assert len(http._watch._selector.get_map()) == 2
        assert serves(http)


@pytest.mark.usefixtures("unlooked")
@pytest.mark.parametrize("then", ["says more", "says no more", "hangs up", "is cut off"])
def test_who_does_something_while_its_request_is_answered_makes_nobody_spin(
    then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, gate, under_way = counted(monkeypatch, Watch, "turn"), threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        under_way.set()
        assert gate.wait(10)
        return sized(environ, start_response)

    with serving(slow) as http, connect(http) as line:
        line.sendall(asking("/7"))
        assert under_way.wait(10)
        if then == "says more":
            line.sendall(asking("/8"))
        elif then == "says no more":
            line.shutdown(socket.SHUT_WR)
        else:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET if then == "is cut off" else bytes(8))
            line.close()
        assert turns_of(turns) <= 4
        gate.set()
        if then.startswith("says"):
            with line.makefile("rb") as words:
                assert one(words) == b"x" * 7
                if then == "says more":
                    assert one(words) == b"x" * 8
                    line.close()
        until(lambda: not http.connections, "it is closed")
        assert turns_of(turns) <= 2


def test_who_is_told_100_but_is_gone_is_closed_by_the_thread_that_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, under_way, closing = threading.Event(), threading.Event(), closers(monkeypatch)

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        under_way.set()
        assert gate.wait(10)
        return sized(environ, start_response)

    with serving(slow, threads=1) as http:
        for _ in range(20):
            gate.clear()
            under_way.clear()
            with connect(http) as line:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                line.sendall(asking() + asking("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
                assert under_way.wait(10)
            gate.set()
            until(lambda: not http.connections, "it is closed")
    assert set(closing) == {"http"}


class Scripted(dispatcher):
    """A connection that does what a test says when it is asked or read from."""

    def __init__(self, given: Watch, line: socket.socket) -> None:
        self.waits = lambda: True
        self.does = lambda: None
        self.given = 0
        super().__init__(line, given)

    def readable(self) -> bool:
        return self.waits()

    def writable(self) -> bool:
        return False

    def handle_read(self) -> None:
        self.given += 1
        self.does()


@pytest.fixture
def pairs() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """Return a maker of connections, here and there."""
    with ExitStack() as open_:
        yield lambda: tuple(open_.enter_context(end) for end in socket.socketpair())  # type: ignore[return-value]


@pytest.mark.usefixtures("unlooked")
def test_an_answer_that_ends_while_its_connection_is_parked_is_noticed(pairs: Any) -> None:
    here, there = pairs()
    kept = Watch()
    line = Scripted(kept, here)
    there.sendall(b"x")
    said = iter([True, False])  # its request is under way when it is asked, and answered when it is asked again
    line.waits = lambda: next(said, True)
    line.does = lambda: here.recv(1)
    kept.turn()
    assert line.given == 0
    assert not kept.is_parked(line)
    kept.turn()
    assert line.given == 1
    kept.close()


def test_what_came_for_a_closed_connection_is_not_given_to_the_next_with_its_number(
    pairs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.01)
    kept = Watch()
    ends = [pairs(), pairs()]
    lines = [Scripted(kept, here) for here, _ in ends]
    new: list[Scripted] = []

    def replace(closed: Scripted) -> None:
        number = closed.socket.fileno()
        closed.close()
        here, there = pairs()
        assert number in (here.fileno(), there.fileno())
        new.append(Scripted(kept, here if here.fileno() == number else there))

    for line, other in zip(lines, reversed(lines), strict=True):
        line.does = partial(replace, other)
        kept.look_at(line)
    for _, there in ends:
        there.sendall(b"x")
    kept.turn()
    assert [line.given for line in (*lines, *new)] in ([1, 0, 0], [0, 1, 0])
    kept.close()


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unlooked")
def test_the_limit_of_connections_is_left_again(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = counted(monkeypatch, Watch, "turn")
    with serving(sized) as http, ExitStack() as open_:
        http._server.adj.connection_limit = 7  # with where it listens, and what wakes it
        lines = [open_.enter_context(connect(http)) for _ in range(9)]
        for line in lines:
            line.sendall(asking("/3"))
        for line in lines[:5]:
            assert line.recv(12) == b"HTTP/1.1 200"
        assert turns_of(turns) <= 2
        assert http.connections == 5
        for line in lines[:4]:
            line.close()
        for line in lines[5:]:
            assert line.recv(12) == b"HTTP/1.1 200"


def test_there_are_never_more_connections_than_half_of_the_files_there_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    try:
        with serving(sized) as http:
            assert http._server.adj.connection_limit == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_system_that_has_no_connection_to_give_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door, "REST", 0.3)
    monkeypatch.setattr(watch, "LOOK_S", 0.1)
    listener = socket.create_server(("127.0.0.1", 0))
    http = HttpServer(sized, listener, threads=1, body_limit=100)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connect(http) as line:
        line.sendall(asking("/3"))
        os.close(lowest := os.dup(0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            http.start()
            until(lambda: caplog.messages, "it has none")
            turns = counted(monkeypatch, Watch, "turn")
            assert turns_of(turns) <= 6
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert line.recv(12) == b"HTTP/1.1 200"
    http.stop()
    assert set(caplog.messages) == {"cannot take a connection: Too many open files"}


IDLE = {
    "says nothing": b"",
    "says half": b"GET / HTTP/1.1\r\nHost:",
    "has its answer": asking("/3"),
    "does not read it": asking(f"/{4 * LENGTH}") * 3,
    "does not read one that is longer than may wait": asking(f"/{ENDLESS}"),
}


@pytest.mark.parametrize("said", IDLE.values(), ids=IDLE)
def test_who_is_idle_is_hung_up_on_and_keeps_no_thread(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.05)

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        (body,) = sized(environ, start_response)
        return iter([body[: len(body) // 2], body[len(body) // 2 :]])

    with serving(app, threads=1) as http:
        http._server.adj.channel_timeout, http._server.adj.cleanup_interval = 0.3, 0.1
        http._server.next_channel_cleanup = 0
        with connect(http, room=4096) as line:
            line.sendall(said)
            until(lambda: http.connections, "it is connected")
            until(lambda: not http.connections, "it is closed")
            assert serves(http)


def test_nothing_is_left_of_connections_that_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: weakref.WeakSet[Channel] = weakref.WeakSet()
    opened = Channel.add_channel
    monkeypatch.setattr(Channel, "add_channel", lambda it, map: (made.add(it), opened(it, map))[1])
    gc.disable()
    try:
        with serving(sized) as http:
            for number in range(60):
                with connect(http) as line, line.makefile("rb") as words:
                    line.sendall(asking("/7" if number % 2 else f"/{LENGTH}", *["Connection: close"][number % 3 :]))
                    one(words)
            until(lambda: not http.connections, "they are closed")
            until(lambda: not made, "they are forgotten")
    finally:
        gc.enable()


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unlooked")
def test_a_stop_finishes_what_is_under_way_and_says_that_it_was_the_last() -> None:
    gate, under_way = threading.Event(), threading.Semaphore(0)

    def slow(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", str(LENGTH + 3))])
        begun = environ["PATH_INFO"] == "/begun"
        if begun:
            yield b"abc"
        under_way.release()
        assert gate.wait(10)
        yield b"x" * LENGTH + (b"" if begun else b"abc")

    with (
        serving(slow) as http,
        connect(http) as begun,
        connect(http) as line,
        connect(http),
        ThreadPoolExecutor() as pool,
    ):
        begun.sendall(asking("/begun"))
        line.sendall(asking() * 2)
        for _ in range(2):
            assert under_way.acquire(timeout=10)
        stopping = pool.submit(http.stop)
        until(lambda: not http._server.accepting, "it takes nobody new")
        gate.set()
        said = heard(line)
        assert said.count(b"HTTP/1.1 200") == 1
        assert b"\r\nConnection: close\r\n" in said
        assert said.endswith(b"xabc")
        assert len(heard(begun)) > LENGTH
        stopping.result(10)
        assert http.threads == 0
        http.stop()


@pytest.mark.usefixtures("unlooked")
def test_a_stop_ends_with_the_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, turns = threading.Event(), counted(monkeypatch, Watch, "turn")

    def slow(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        yield b"abc"
        assert gate.wait(10)
        yield b"d"

    with serving(slow) as http, connect(http) as line, ThreadPoolExecutor() as pool:
        line.sendall(asking())
        assert line.recv(1000).endswith(b"abc")
        stopping = pool.submit(http.stop)
        until(lambda: not http._server.accepting, "it takes nobody new")
        assert turns_of(turns) <= 2  # by now it waits for the answer
        gate.set()
        assert heard(line) == b"d"
        stopping.result(10)


@pytest.mark.usefixtures("unlooked")
def test_who_asks_without_end_does_not_hold_up_a_stop() -> None:
    def go_on(http: HttpServer) -> None:
        with suppress(OSError, AssertionError), connect(http) as line, line.makefile("rb") as words:
            while True:
                line.sendall(asking("/3") * 3)
                for _ in range(3):
                    one(words)

    with serving(sized) as http, ThreadPoolExecutor(5) as pool:
        asking_on = [pool.submit(go_on, http) for _ in range(4)]
        until(lambda: http.connections == 4, "all ask")
        pool.submit(http.stop).result(3)
        for each in asking_on:
            each.result(10)


def test_who_does_not_read_holds_up_a_stop_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FINISH", 0.2)
    with serving(sized) as http, connect(http, room=4096) as line:
        line.sendall(asking(f"/{ENDLESS}") * 2)
        until(lambda: any(channel.total_outbufs_len for channel in http._channels()), "it does not read")
        with ThreadPoolExecutor() as pool:
            pool.submit(http.stop).result(4)  # a thread that waits is given five seconds
        assert http.threads == 0
        assert http.connections == 0


def test_a_stop_before_the_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    http = HttpServer(sized, socket.create_server(("127.0.0.1", 0)), threads=3, body_limit=100)
    with suppress(OSError), connect(http) as waiting:
        http.stop()
        http.stop()
        assert heard(waiting) == b""
    assert http.threads == 0
    assert not http._watch


def test_a_thread_that_outlives_the_stop_writes_to_no_file_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FINISH", 0.0)
    gate, under_way = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        under_way.set()
        assert gate.wait(10)
        return sized(environ, start_response)

    with serving(slow, threads=1) as http, connect(http) as line:
        ends = http._threads.shutdown
        monkeypatch.setattr(http._threads, "shutdown", partial(ends, timeout=0.05))
        line.sendall(asking())
        assert under_way.wait(10)
        http.stop()
        assert http.threads == 1
        http._server.pull_trigger()  # as it may: it has seen its connection open, and not yet closed
        gate.set()
        until(lambda: not http.threads, "it ends")
        http._server.trigger.close()
