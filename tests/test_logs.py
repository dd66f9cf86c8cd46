"""LOG_LEVEL is for the gateway and its plugins; nobody gets to log what we hide; and a record is one record."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from gateways import gateway
from program import serving

from gateway.errors import ConfigError
from gateway.logs import FIELDS, FORMAT, JSON, PLAIN, spoken
from gateway.web import make_app

SPEAK = """
import logging, sys
from gateway.logs import configure
configure(int(sys.argv[1]), ["gateway_acme"])
ours, libraries = ("gateway.dispatcher", "gateway_acme.calls"), ("sqlalchemy.engine", "urllib3.pool")
for name in (*ours, *libraries):
    for level in (10, 20, 30, 40, 50):
        logging.getLogger(name).log(level, "said")
"""

#: Whatever can come to a log, with a person's number and text in it wherever one can be put.
TELL = """
import gc, logging, sys, threading, warnings
from gateway.logs import configure, log_bug
configure(logging.DEBUG, ["gateway_acme"], sys.argv[1])
ann, words, token = "+1 206-555-0141", "zebra under the bridge", "a-token-nobody-sees"
ours, acme, waitress = (logging.getLogger(n) for n in ("gateway.desk", "gateway_acme.calls", "waitress"))

def fail(*args):
    try:
        {words: ann}[token]
    except KeyError:
        raise RuntimeError(f"{ann} said {words}", token)

def failed():
    try:
        fail()
    except RuntimeError as error:
        return error

class Gone:
    def __del__(self):
        raise ValueError(ann, words)

class Bad:
    def __repr__(self):
        raise ValueError(ann, words)

ours.info("message %d waits at the café", 5, extra={"message_id": 5, "mask": "+12065550199", "unknown": ann})
log_bug(ours, "carrier acme on message 5", failed(), carrier="acme", state="parked")
acme.info("call c-1 from %s", ann, extra={"detail": f"to {ann}"})
acme.error("two\\nlines\\r\\x1b[31m")
acme.error("an argument that is none: %s", Bad())
acme.error("%d", words)
try:
    fail()
except RuntimeError:
    acme.exception("it broke")
    waitress.exception("Exception while serving /webhooks/acme/%s" % token)
waitress.warning("of %s and %s", words, ann)
warnings.warn(f"{words} {ann}", UserWarning)
gone = Gone(); del gone; gc.collect()
thread = threading.Thread(target=fail, name="sender"); thread.start(); thread.join()
ended = threading.Thread(target=sys.exit, name="ended"); ended.start(); ended.join()
fail()
"""
PRIVATE = ("555-0141", "5550141", "zebra", "a-token")
SAID = [
    ("INFO", "gateway.desk", "message 5 waits at the café"),
    ("ERROR", "gateway.desk", "carrier acme on message 5 broke: RuntimeError"),
    ("INFO", "gateway_acme.calls", "call c-1 from •••"),
    ("ERROR", "gateway_acme.calls", "two\nlines\r\x1b[31m"),
    ("ERROR", "gateway_acme.calls", "<string>.<module>, line N, cannot be logged: ValueError"),
    ("ERROR", "gateway_acme.calls", "<string>.<module>, line N, cannot be logged: TypeError"),
    ("ERROR", "gateway_acme.calls", "it broke"),
    ("ERROR", "waitress", "<string>.<module>, line N"),
    ("WARNING", "waitress", "<string>.<module>, line N"),
    ("WARNING", "gateway.logs", "a UserWarning comes from <string>, line N"),
    ("ERROR", "gateway.logs", "what was being thrown away broke: ValueError"),
    ("ERROR", "gateway.logs", "the thread sender broke: RuntimeError"),
    ("ERROR", "gateway.logs", "the program broke: RuntimeError"),
]


def run(code: str, *args: str, **variables: str) -> str:
    """Return what a program prints to standard error, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args], env=os.environ | variables, capture_output=True, timeout=60, check=False
    )
    return re.sub(r"(<string>.{1,20} line) \d+", r"\1 N", done.stderr.decode())


def spoken_at(level: int) -> list[tuple[str, str]]:
    """Return (level, logger) of every line that is logged at `level`, in a process of its own."""
    return [(line.split()[2], line.split()[3]) for line in run(SPEAK, str(level)).splitlines()]


LIBRARY = [("WARNING", "sqlalchemy.engine"), ("ERROR", "sqlalchemy.engine"), ("CRITICAL", "sqlalchemy.engine")]
LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


@pytest.mark.parametrize("level", [10, 20, 40], ids=["DEBUG", "INFO", "ERROR"])
def test_the_level_is_ours_and_libraries_are_kept_quiet(level: int) -> None:
    wanted = LEVELS[level // 10 - 1 :]
    ours = [(word, name) for name in ("gateway.dispatcher", "gateway_acme.calls") for word in wanted]
    libraries = [said for said in LIBRARY if level < 40 or said[0] != "WARNING"]
    assert spoken_at(level) == [*ours, *libraries]


@pytest.fixture(scope="module", params=[{}, {"PYTHONIOENCODING": "ascii"}], ids=["UTF-8", "ASCII"])
def records(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Return every record of a program in which everything breaks, as the JSON lines that were printed."""
    return [json.loads(line) for line in run(TELL, JSON, **request.param).splitlines()]


def test_each_record_is_one_json_object_without_a_word_of_an_error_or_of_a_library(
    records: list[dict[str, Any]],
) -> None:
    assert [(one["level"], one["logger"], one["message"]) for one in records] == SAID
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"]) for one in records)
    assert not [word for word in PRIVATE if word in json.dumps(records)]


def test_what_a_record_is_about_stands_in_fields_and_a_traceback_in_one_of_them(records: list[dict[str, Any]]) -> None:
    first, bug, call = ({n: v for n, v in one.items() if n in FIELDS} for one in records[:3])
    assert first == {"message_id": 5, "mask": "+12065550199"}
    assert bug == {"carrier": "acme", "state": "parked"}
    assert call == {"detail": "to •••"}
    broken = [one for one in records if "error" in one]
    assert {one["error"] for one in broken} == {"RuntimeError", "ValueError"}
    assert all("line " in one["traceback"] for one in broken)
    assert "KeyError, which led to" in broken[0]["traceback"]


def test_in_plain_words_a_record_is_one_line_and_a_traceback_below_it() -> None:
    printed = run(TELL, PLAIN)
    lines = [line for line in printed.splitlines() if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", line)]
    said = [(level, name, re.sub(r"[\r\n\x1b]", lambda c: repr(c[0])[1:-1], words)) for level, name, words in SAID]
    assert [tuple(line.split(" ", 4)[2:]) for line in lines] == said
    assert printed.splitlines()[-1] == "RuntimeError"
    assert not [word for word in PRIVATE if word in printed]


def test_the_search_for_private_words_would_find_them() -> None:
    printed = run(TELL.replace("import gc", "import gateway.logs, gc\ngateway.logs.OURS = 'waitress'\nimport gc"), JSON)
    assert [word for word in PRIVATE if word in printed] == ["555-0141", "zebra", "a-token"]


def test_what_logs_in_its_own_way_keeps_its_handlers_and_hooks() -> None:
    code = f"import logging, sys; logging.basicConfig(format={FORMAT!r}); sys.excepthook = print; {SPEAK}"
    code += "print(sys.excepthook is print, *map(type, logging.getLogger().handlers), file=sys.stderr)"
    assert run(code, "20").splitlines()[-1] == "True <class 'logging.StreamHandler'>"


@pytest.mark.parametrize(
    ("words", "level"), [("listens on http://127.0.0.1:8000", "INFO"), ("warning: a key can be guessed", "WARNING")]
)
def test_what_serve_says_is_plain_words_or_a_line_of_the_log(words: str, level: str) -> None:
    assert spoken(words, PLAIN) == words
    line = json.loads(spoken(words, JSON))
    assert (line["level"], line["logger"], line["message"]) == (level, "gateway.server", words)


def test_with_json_every_line_of_serve_is_an_object_from_the_first_to_the_last(tmp_path: Path) -> None:
    with serving(tmp_path, {"GATEWAY_LOG": "json", "GATEWAY_LISTEN": "127.0.0.1:0", "LOG_LEVEL": "DEBUG"}) as program:
        assert program.ask("GET", "/healthz") == 200
        program.running.send_signal(signal.SIGTERM)
        program.running.wait(30)
        said = [json.loads(line)["message"] for line in program.output.splitlines()]
    assert said[0].startswith("maskgate ")
    assert said[-1].startswith("stopping")


@pytest.mark.parametrize(
    "variables",
    [
        {"GATEWAY_LOG": "json", "GATEWAY_DATABASE_URL": "sqlite:////nowhere/gateway.db"},
        {"GATEWAY_LOG": " JSON", "LOG_LEVEL": "loud"},
    ],
    ids=["a database that is not there", "another setting that is wrong"],
)
def test_with_json_what_ends_the_start_is_a_line_too(tmp_path: Path, variables: dict[str, str]) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | variables
    command = [sys.executable, "-m", "gateway", "serve"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, done.stdout) == (2, "")
    assert [(line["level"], line["logger"]) for line in lines] == [("CRITICAL", "gateway.cli")]
    assert lines[0]["message"].startswith(next(name for name in variables if name != "GATEWAY_LOG"))


def test_what_bottle_says_of_a_request_it_cannot_answer_goes_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with gateway(tmp_path, {}) as running:
        said = {app: unanswered(app) for app in (make_app(running.context), running.http._server.application)}
    assert "a-token-nobody-sees" in (words := [*said.values()])[0]
    assert words[1] == ""
    assert "what answers a request broke: LookupError" in caplog.messages


def unanswered(app: Callable[..., Any]) -> str:
    """Ask an application for what it cannot answer, and return what it says of that."""
    answers: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        answers.append(status)
        if len(answers) == 1:
            raise LookupError("a-token-nobody-sees")

    said = io.StringIO()
    environ: dict[str, Any] = {"PATH_INFO": "/a-token-nobody-sees", "REMOTE_ADDR": "127.0.0.1", "wsgi.errors": said}
    setup_testing_defaults(environ)
    assert list(app(environ, start_response))
    assert [status[:3] for status in answers] == ["404", "500"]
    return said.getvalue()


@pytest.mark.parametrize("wrong", ["xml", "jsonl", "1"])
def test_another_form_is_refused_in_words(settings: Callable[..., Any], wrong: str) -> None:
    with pytest.raises(ConfigError, match="GATEWAY_LOG: is neither plain nor json"):
        settings(GATEWAY_LOG=wrong)
