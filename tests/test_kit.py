"""The conformance kit bites: each fault is planted in a correct carrier, and the test that must see it goes red.

The kit is the one thing whose own faults nobody would notice. The carrier is `kit/gateway_acme.py`, its author's test
file `kit/acme_conformance.py`; both are copied into a folder of their own, installed there, and run in this process.
The faults are in `kit/faults.txt`, those planted in our Flowroute plugin in `kit/flowroute_faults.txt`.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from gateway.testing import CarrierConformance, Sends
from gateway.testing.wire import NEVER_LEFT, NO_ANSWER

pytestmark = pytest.mark.slow

KIT = Path(__file__).parent / "kit"
PLUGIN = Path(__file__).parent.parent / "plugins" / "flowroute"
CARRIER = "gateway_acme.py"
TESTS = "test_acme.py"


@dataclass(frozen=True)
class Edit:
    """Wherever `old` stands in `file`, write `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Fault:
    """Edits that make a correct carrier, or its author's tables, wrong, and the test of the kit that must notice."""

    id: str
    caught_by: str
    edits: tuple[Edit, ...]


def read_faults(text: str) -> list[Fault]:
    """Read faults: a line `id: caught_by`, then lines to take out (`-`) and to put in (`+`), `in FILE` for another."""
    return [_fault(paragraph) for paragraph in re.split(r"\n\n+", text.strip()) if not paragraph.startswith("#")]


def _fault(paragraph: str) -> Fault:
    head, *lines = paragraph.splitlines()
    name, _, caught_by = head.partition(": ")
    parts = re.split(r"^in (.+)\n", "\n".join(lines), flags=re.MULTILINE)
    named = list(zip(parts[1::2], parts[2::2], strict=True))
    return Fault(name, caught_by, tuple(_edit(file, body) for file, body in [(CARRIER, parts[0]), *named] if body))


def _edit(file: str, body: str) -> Edit:
    old, new = ("\n".join(line[1:] for line in body.splitlines() if line[0] == sign) for sign in "-+")
    return Edit(file, old, new)


@dataclass(frozen=True)
class Author:
    """A correct plugin: its distribution, its entry point, and its files as {where to: where from}."""

    distribution: str
    entry_point: str
    files: Mapping[str, Path]


Installer = Callable[[Author], Path]

ACME = Author("acme", "acme = gateway_acme", {CARRIER: KIT / CARRIER, TESTS: KIT / "acme_conformance.py"})
FLOWROUTE = Author(
    "maskgate_flowroute",
    "flowroute = gateway_flowroute",
    {str(path.relative_to(PLUGIN)): path for path in PLUGIN.glob("gateway_flowroute/*.py")}
    | {TESTS: PLUGIN / "tests" / "test_conformance.py"}
    | {f"payloads/{path.name}": path for path in (PLUGIN / "tests" / "payloads").iterdir()},
)


@pytest.fixture
def install(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Installer:
    """Return what puts an author's plugin into a folder of its own, before all others on the path."""

    def install(author: Author) -> Path:
        folder = pytester.path
        info = folder / f"{author.distribution}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {author.distribution}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[maskgate]\n{author.entry_point}\n")
        for target, source in author.files.items():
            (folder / target).parent.mkdir(exist_ok=True)
            (folder / target).write_bytes(source.read_bytes())
        monkeypatch.syspath_prepend(folder)
        for name in [name for name in sys.modules if name.startswith(("gateway_acme", "gateway_flowroute"))]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they cost a second a run
        return folder

    return install


class Named:
    """Leaves other tests out before their rows are made, of which `-k` would throw hundreds away, for each fault."""

    def __init__(self, expression: str) -> None:
        self.words = expression.split(" or ")

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(self, name: str) -> list[pytest.Item] | None:
        other = name.startswith("test") and not any(word in name for word in self.words)
        return [] if other else None


def failures(pytester: pytest.Pytester, *options: str, plugins: Sequence[object] = ()) -> list[str]:
    """Run the author's tests and return those that failed; at least one must have run."""
    always = ("-p", "no:cacheprovider", "-W", "error", "--import-mode=importlib")
    run = pytester.inline_run(*always, *options, TESTS, plugins=plugins)
    passed, _, failed = run.listoutcomes()
    assert passed or failed, "no test ran"
    return [report.nodeid for report in failed]


def plant(folder: Path, fault: Fault) -> None:
    for edit in fault.edits:
        path = folder / edit.file
        text = path.read_text("utf-8")
        assert edit.old in text, f"cannot be planted any more: {edit.old!r} is not in {edit.file}"
        path.write_text(text.replace(edit.old, edit.new), "utf-8")


@pytest.mark.parametrize("author", [ACME, FLOWROUTE], ids=lambda author: author.distribution)
def test_a_correct_carrier_passes(pytester: pytest.Pytester, install: Installer, author: Author) -> None:
    install(author)
    assert failures(pytester) == []


@pytest.mark.parametrize(
    ("author", "fault"),
    [
        pytest.param(author, fault, id=f"{author.distribution}-{fault.id}")
        for author, faults in ((ACME, "faults.txt"), (FLOWROUTE, "flowroute_faults.txt"))
        for fault in read_faults((KIT / faults).read_text("utf-8"))
    ],
)
def test_a_planted_fault_is_caught(pytester: pytest.Pytester, install: Installer, author: Author, fault: Fault) -> None:
    plant(install(author), fault)
    caught = failures(pytester, "-x", "-k", fault.caught_by, plugins=[Named(fault.caught_by)])
    assert caught, f"{fault.id} was not caught by {fault.caught_by}"


def test_the_base_class_is_not_collected_by_itself() -> None:
    assert not CarrierConformance.__name__.startswith("Test")


def test_a_misspelt_row_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="outcom"):
        Sends("accepted", wire={}, outcom=None)  # type: ignore[call-arg]


# --- the failures the kit plays are those of real connections ----------------------------------


def close(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def break_off(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nhalf")
    connection.close()


def say_nothing(connection: socket.socket) -> None:
    connection.settimeout(10)
    connection.recv(1)  # returns when the client gives up
    connection.close()


def real_failure(behave: Callable[[socket.socket], None]) -> Exception:
    """Return what `requests` raises when a server takes a request and then behaves like this."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            behave(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(requests.RequestException) as raised, requests.Session() as session:
            session.post(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=(3, 0.2))
        thread.join()
    return raised.value


def shape(error: Exception) -> list[type]:
    """Return the types that tell one failure from another: of an error, of what it holds, and of its reason."""
    inner = error.args[0]
    reason = getattr(inner, "reason", None) or (inner.args[1] if len(inner.args) > 1 else None)
    return [type(error), type(inner), *([type(reason)] if isinstance(reason, Exception) else [])]


@pytest.mark.parametrize(
    ("failure", "behave"),
    [
        ("read timeout", say_nothing),
        ("connection reset", reset),
        ("connection closed", close),
        ("answer broken off", break_off),
    ],
)
def test_a_failure_after_the_request_is_as_real_ones_are(failure: str, behave: Callable[[socket.socket], None]) -> None:
    assert shape(real_failure(behave))[:2] == shape(NO_ANSWER[failure])[:2]


def test_a_refused_connection_is_as_real_ones_are() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(requests.RequestException) as raised, requests.Session() as session:
        session.post(f"http://127.0.0.1:{port}/", timeout=3)
    assert shape(raised.value) == shape(NEVER_LEFT["connection refused"])
