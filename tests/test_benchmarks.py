"""What carries the benchmarks; that they run is seen in CI, which runs the short form of all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from benchmarks import usage
from benchmarks.load import best
from benchmarks.report import BEGIN, END, PAGE, Aim, Figure, Section, machine, write
from benchmarks.stage import load, run

FOUND = [Section("ack --rounds 1", "texts", [Figure("a text", "2,310/s", 0.4512, 0.4, 98.6, "≥ 0.4 × bare: met")])]


def test_what_is_written_into_a_page_takes_the_place_of_what_was_and_leaves_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# By hand\n\n{BEGIN}\n| old |\n{END}\n\nMore by hand.\n")
    write(FOUND, ["2 cores"], page)
    text = page.read_text()
    assert text.startswith(f"# By hand\n\n{BEGIN}\n- 2 cores\n\n| ")
    assert text.endswith(f"{END}\n\nMore by hand.\n")
    assert "| **`ack --rounds 1`** texts |" in text
    assert "| a text | 2,310/s | 0.45 | 0.40 | 99 | ≥ 0.4 × bare: met |" in text
    assert "old" not in text
    write(FOUND, ["2 cores"], page)
    assert page.read_text() == text


def test_a_page_without_a_place_for_it_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# By hand\n{BEGIN}\n")
    with pytest.raises(SystemExit, match="no generated part"):
        write(FOUND, [], page)
    assert page.read_text() == f"# By hand\n{BEGIN}\n"


def test_the_page_has_a_place_for_what_is_measured() -> None:
    assert PAGE.read_text().count(BEGIN) == PAGE.read_text().count(END) == 1


@pytest.mark.parametrize(
    ("aim", "value", "words"),
    [
        (Aim(0.4, "× bare"), 0.4, "≥ 0.4 × bare: met"),
        (Aim(0.4, "× bare"), 0.39, "≥ 0.4 × bare: missed"),
        (Aim(25, "ms", at_most=True), 25.0, "≤ 25 ms: met"),
        (Aim(25, "ms", at_most=True), 25.1, "≤ 25 ms: missed"),
    ],
    ids=["at least, just so", "at least, not quite", "at most, just so", "at most, not quite"],
)
def test_an_aim_says_whether_it_is_met(aim: Aim, value: float, words: str) -> None:
    assert aim.on(value) == words


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_what_a_process_uses_includes_its_children() -> None:
    work = "held = b'x' * 30_000_000; sum(range(5_000_000)); print('done', flush=True); input()"
    shell = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, work]  # which waits for its child, and does nothing
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert len(usage.family(running.pid)) == 2
        assert usage.cpu_s(running.pid) > 0.03
        assert usage.peak_mb(running.pid) > 30
        running.communicate(b"\n")


# --- load ---------------------------------------------------------------------------------------------


class Counting(ThreadingHTTPServer):
    """A server on a port of its own that writes down what it is asked, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.connections = 0
        super().__init__(("127.0.0.1", 0), Answering)
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    """Answers 200, and 404 what is said to be `lost`."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body leave together
    server: Counting

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(said)
        assert (self.path, self.headers["X-Word"]) == ("/texts", "☃ wörd".encode().decode("latin-1"))
        self.send_response(404 if said.startswith("lost") else 200)
        self.send_header("Content-Length", "2")
        if self.headers["Connection"] == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def servers() -> Iterator[list[Counting]]:
    made = [Counting(), Counting()]
    yield made
    for one in made:
        one.shutdown()
        one.server_close()


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    """Return the bodies of a file of requests."""
    words = [f"text {number}\r\n\r\n☃" for number in range(40)]
    words[7] = "lost"
    lines = [json.dumps({"path": "/texts", "headers": {"X-Word": "☃ wörd"}, "body": one}) for one in words]
    (tmp_path / "requests").write_text("\n".join(lines) + "\n")
    return words


NEEDS_WRK = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


@pytest.mark.parametrize("client", ["asyncio", pytest.param("wrk", marks=NEEDS_WRK)])
@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "kept"])
def test_each_request_is_sent_once_and_in_order(
    client: str, fresh: bool, servers: list[Counting], texts: list[str], tmp_path: Path
) -> None:
    options = ["--client", client, "--connections", "1", "--skip", "5", "--seconds", "20", *["--fresh"][:fresh]]
    done = load(tmp_path / "requests", [servers[0].url], *options)
    assert servers[0].asked == texts[5:]
    assert done["statuses"] == {"200": 34, "404": 1}
    assert (done["sent"], done["answered"], done["broken"]) == (35, 35, 0)
    assert 0 < done["p50_ms"] <= done["p99_ms"] < 1000 * done["seconds"] < 20_000
    assert done["per_second"] == pytest.approx(35 / done["seconds"])
    assert servers[0].connections >= 35 if fresh else servers[0].connections <= 2  # wrk looks whether there is a server


@pytest.mark.parametrize("client", ["asyncio", pytest.param("wrk", marks=NEEDS_WRK)])
def test_every_place_has_its_share_of_the_load_and_none_of_another_s(
    client: str, servers: list[Counting], texts: list[str], tmp_path: Path
) -> None:
    options = ["--client", client, "--connections", "2", "--seconds", "20"]
    done = load(tmp_path / "requests", [one.url for one in servers], *options)
    assert sorted(servers[0].asked + servers[1].asked) == sorted(texts)
    assert (done["sent"], done["answered"]) == (40, 40)
    assert all(one.asked for one in servers)


@NEEDS_WRK
def test_both_clients_of_one_server_come_to_much_the_same(tmp_path: Path) -> None:
    lines = [json.dumps({"path": "/webhooks/x", "headers": {}, "body": f"{number}"}) for number in range(12_000)]
    (tmp_path / "requests").write_text("\n".join(lines) + "\n")
    with run("bare.py") as bare:
        found = {
            client: [load(tmp_path / "requests", bare.urls, "--client", client, "--seconds", "0.3") for _ in range(2)]
            for client in ("wrk", "asyncio")
        }
    rates = {client: max(one["per_second"] for one in all_of_it) for client, all_of_it in found.items()}
    assert all(set(one["statuses"]) == {"200"} for all_of_it in found.values() for one in all_of_it)
    assert 0.2 < rates["wrk"] / rates["asyncio"] < 5  # one that counted something else would be far off


def test_without_wrk_the_load_is_made_all_the_same(
    servers: list[Counting], texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (best(), "asyncio client" in " ".join(machine())) == ("asyncio", True)
    assert load(tmp_path / "requests", [servers[0].url], "--connections", "1")["answered"] == 40
