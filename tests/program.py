"""The real program for a test: `gateway serve` as a process, beside networks and a carrier that is full of faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: A carrier that breaks in every way a plugin can, with as much of the message in its errors as it has.
ROGUE = """
import json
import logging

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

import gateway

log = logging.getLogger(__name__)


class Settings(gateway.CarrierSettings):
    model_config = SettingsConfigDict(env_prefix="ROGUE_")
    key: SecretStr


class Rogue(gateway.Carrier):
    name = "rogue"
    Settings = Settings
    channels = frozenset({gateway.Channel.SMS})
    signed = False

    def verify(self, request):
        if b"in verify" in request.body:
            raise RuntimeError(request.body)
        if b"rejected" in request.body:
            raise gateway.WebhookRejected(f"not from {json.loads(request.body)['from']}")

    def parse(self, request):
        if b"in parse" in request.body:
            raise ValueError(request)
        event = json.loads(request.body)
        if "malformed" in event["text"]:
            raise gateway.WebhookMalformed(f"from is {event['from']}")
        if "leak" in event["text"]:
            log.debug("a text from %s: %s", event["from"], event["text"])
            return ()
        return [gateway.InboundMessage(
            carrier_ref=event["ref"], sender=event["from"], recipient=event["to"], text=event["text"]
        )]

    def acknowledge(self, events, replies):
        if any("in acknowledge" in event.text for event in events):
            raise KeyError(events[0])
        return super().acknowledge(events, replies)

    def weigh(self, message):
        raise RuntimeError(message)

    def send(self, message):
        if message.recipient.endswith("1"):
            raise RuntimeError(message, self.settings.key.get_secret_value())
        if message.recipient.endswith("2"):
            raise gateway.PermanentSendError(f"no {message.recipient}")
        if message.recipient.endswith("3"):
            raise gateway.CarrierMisconfigured(f"{message.sender} may not text {message.recipient}", number_only=True)
        raise gateway.CarrierMisconfigured(f"not to {message.recipient}, thanks")


@gateway.hookimpl
def register_carriers(register):
    register(Rogue)
"""


def install(site: Path, name: str, source: str) -> None:
    """Install a plugin into a folder, as pip would leave it."""
    info = site / f"maskgate_{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"gateway_{name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: maskgate-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[maskgate]\n{name} = gateway_{name}\n")


def until(holds: Callable[[], Any], what: str, seconds: float = 20) -> None:
    """Wait until a condition holds. Raises `TimeoutError`."""
    pause, end = threading.Event(), time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s until {what}")
        pause.wait(0.01)


class Program:
    """A running `gateway serve`: what it said, and everything it answered with."""

    def __init__(self, running: subprocess.Popen[bytes], output: Path) -> None:
        self.running = running
        self.answers: list[tuple[int, str, str]] = []  #: status, headers and body of every answer
        self.folder = output.parent  #: where it runs
        self._output = output

    @property
    def output(self) -> str:
        """Everything it printed until now, on both streams."""
        return self._output.read_text("utf-8", "replace")

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.output.partition(" ready on ")[2].split()[0].rstrip('"}')  # which is how a line of JSON ends

    def says(self, words: str) -> None:
        """Wait until it has printed `words`."""
        until(lambda: words in self.output, f"it says {words!r}: {self.output[-1500:]}")

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> int:
        """Send a request, whose body is bytes or becomes JSON; keep the answer and return its status."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, dict(headers or {}), method=method)
        request.add_unredirected_header("Content-Type", (headers or {}).get("Content-Type", "application/json"))
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                self.answers.append((answer.status, str(answer.headers), answer.read().decode("utf-8", "replace")))
        except urllib.error.HTTPError as error:
            with error:
                self.answers.append((error.code, str(error.headers), error.read().decode("utf-8", "replace")))
        return self.answers[-1][0]


@contextmanager
def serving(folder: Path, variables: Mapping[str, str]) -> Iterator[Program]:
    """Run `gateway serve` in a folder of its own, with no variables of ours but those given, until the end."""
    names = ("GATEWAY_", "FLOWROUTE_", "SIGNALWIRE_", "SIMULATOR_", "LOG_LEVEL", "ORG_NAME")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)} | dict(variables)
    path = folder / "output"
    with path.open("wb") as output:
        command = [sys.executable, "-m", "gateway", "serve"]
        running = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        program = Program(running, path)
        until(lambda: " ready on " in program.output or running.poll() is not None, "it is ready")
        assert running.poll() is None, program.output
        yield program
        running.send_signal(signal.SIGTERM)
        running.wait(30)
    finally:
        running.kill()
        running.wait(30)
