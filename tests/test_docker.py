"""What the image promises, read from the Dockerfile; and its commands, run here."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gateway.cli import main
from gateway.settings import read_settings, settings_table

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
Instructions = list[tuple[str, str]]


def stages() -> dict[str, Instructions]:
    """Return the instructions of each stage of the Dockerfile, in order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, Instructions] = {}
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            current = found.setdefault(rest.rpartition(" ")[2], [])
        current.append((word, rest.strip()))
    return found


def last(stage: str, word: str) -> str:
    return [rest for name, rest in stages()[stage] if name == word][-1]


def variables(stage: str) -> dict[str, str]:
    settings = [rest for word, rest in stages()[stage] if word == "ENV"]
    return dict(pair.split("=", 1) for rest in settings for pair in shlex.split(rest))


# --- the server ---------------------------------------------------------------------------------


def test_the_server_is_what_is_built_unless_said_otherwise() -> None:
    assert [*stages()][-1] == "server"
    assert last("server", "FROM").startswith("python:3.12-slim ")


def test_the_server_does_not_run_as_root() -> None:
    words = [word for word, _ in stages()["server"]]
    assert last("server", "USER").isdecimal()
    assert int(last("server", "USER")) > 0
    assert "RUN" not in words[words.index("USER") :]


def test_the_server_runs_a_command_that_exists() -> None:
    program, command = json.loads(last("server", "CMD"))
    assert program == "gateway"
    assert command in main.commands


def test_the_server_listens_outside_the_container_and_keeps_its_database_in_the_volume(monkeypatch) -> None:
    for row in settings_table():
        monkeypatch.delenv(row.variable, raising=False)
    ours = {name: value for name, value in variables("server").items() if name.startswith("GATEWAY_")}
    settings = read_settings(**ours)
    assert (settings.listen_host, settings.listen_port) == ("0.0.0.0", int(last("server", "EXPOSE")))
    assert settings.database_url.startswith(f"sqlite:///{last('server', 'VOLUME')}/")
    assert last("server", "WORKDIR") == last("server", "VOLUME")


def test_the_build_installs_the_gateway_and_every_plugin() -> None:
    assert last("build", "RUN").endswith("pip install '.[postgres]' ./plugins/*")
    installed = last("build", "RUN").split()[3]
    assert ("COPY", f"--from=build {installed} {installed}") in stages()["server"]
    assert variables("server")["PATH"].startswith(f"{installed}/bin:")


@pytest.fixture(params=[200, 503])
def health(request: pytest.FixtureRequest) -> Iterator[tuple[int, int, list[str]]]:
    """Serve /healthz with a status; give the status, the port and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(request.param)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield request.param, server.server_port, asked
        server.shutdown()
        thread.join()


def test_the_health_check_asks_the_server_and_believes_it(health: tuple[int, int, list[str]]) -> None:
    status, port, asked = health
    command = json.loads(last("server", "HEALTHCHECK").partition(" CMD ")[2])
    assert command[0] == "python"
    proxied = {"GATEWAY_LISTEN": f"0.0.0.0:{port}", "http_proxy": "http://127.0.0.1:9", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, *command[1:]], env=proxied, capture_output=True, timeout=30, check=False)
    assert (done.returncode == 0) is (status == 200)
    assert asked == ["/healthz"]


# --- the tests ----------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder like the image's /src, with one test in it."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "image").write_bytes((ROOT / ".ci" / "image").read_bytes())
    (tmp_path / "gateway").mkdir()  # one file to measure: ours are not what is tested here
    (tmp_path / "gateway" / "pacing.py").touch()
    (tmp_path / "test_one.py").write_text(
        "import os, gateway.pacing\ndef test_one():\n    assert not os.environ.get('RED')\n"
    )
    return tmp_path


def in_image(source: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run what the image of the target `test` runs, with `args` after `docker run <image>`."""
    *program, script = json.loads(last("test", "ENTRYPOINT"))
    assert script.startswith(f"{last('source', 'WORKDIR')}/")
    here = str(source / Path(script).relative_to(last("source", "WORKDIR")))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # plugins that are only installed cost half a second a run
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_cov.plugin"}
    env = {**os.environ, **plugins, **environment, "PATH": path}
    return subprocess.run([*program, here, *args], env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("args", [(), ("test",), ("test", "-q")], ids=["nothing", "test", "test with arguments"])
def test_the_command_test_runs_the_suite(args: tuple[str, ...], source: Path) -> None:
    green = in_image(source, *args)
    assert green.returncode == 0, green.stderr
    assert "1 passed" in green.stdout
    assert in_image(source, *args, RED="1").returncode == 1


def test_the_command_coverage_writes_its_report_into_the_mounted_folder(source: Path) -> None:
    (source / "htmlcov").mkdir()
    done = in_image(source, "coverage")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pacing" in (source / "htmlcov" / "index.html").read_text(encoding="utf-8")
    assert in_image(source, "coverage", RED="1").returncode == 1


def test_any_other_command_is_run_as_it_is(source: Path) -> None:
    assert in_image(source, "echo", "hello").stdout == "hello\n"


def test_the_image_of_the_tests_can_run_all_of_them() -> None:
    assert json.loads(last("test", "CMD")) == ["test"]
    install = last("test", "RUN")
    assert "'.[dev]'" in install
    assert "./plugins/* ./examples/echo-carrier" in install


# --- what goes in -------------------------------------------------------------------------------


def patterns(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line.strip("/").removeprefix("**/") for line in lines if line and not line.startswith("#")}


def test_what_git_ignores_does_not_go_into_the_image() -> None:
    assert patterns(".gitignore") - patterns(".dockerignore") == set()
    assert ".git" in patterns(".dockerignore")
