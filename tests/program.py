"""The real program for a test: `gateway serve` as a process, beside networks and a carrier that is full of faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nursery import Forked

#: A carrier that breaks in every way a plugin can, with as much of the message in its errors as it has.
ROGUE = """
import json
import logging
import threading
import warnings

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
    channels = frozenset({gateway.Channel.SMS, gateway.Channel.VOICE})
    signed = False
    asked = 0

    @property
    def rate(self):
        Rogue.asked += 1
        if Rogue.asked == 1:
            raise RuntimeError(self.settings.key.get_secret_value())
        return gateway.Rate(per_number=None)

    def check(self):
        raise RuntimeError(self.settings.key.get_secret_value())

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
            logging.getLogger(event["logger"]).warning("a text from %s: %s", event["from"], event["text"])
            return ()
        if "grumble" in event["text"]:
            return self.grumble(event["from"], event["text"])
        if "call" in event:
            return [gateway.InboundCall(carrier_ref=event["ref"], caller=event["from"], called=event["to"])]
        if "receipt" in event:
            return [gateway.DeliveryReceipt(
                carrier_ref=event["ref"], status=gateway.DeliveryStatus.UNDELIVERED, detail="not to " + event["from"]
            )]
        return [gateway.InboundMessage(
            carrier_ref=event["ref"], sender=event["from"], recipient=event["to"], text=event["text"]
        )]

    def grumble(self, person, text):
        def fail():
            raise RuntimeError(person, text)

        log.info("a text from %s", person, extra={"detail": "to " + person})
        log.error("%d", text)
        try:
            fail()
        except RuntimeError:
            log.exception("a text from %s cannot be read", person)
        warnings.warn(f"{person} writes {text}", UserWarning)
        thread = threading.Thread(target=fail, name="grumbler")
        thread.start()
        thread.join()
        return ()

    def answer_call(self, call, route):
        raise ValueError(call.caller, route)

    def lookup(self, message):
        raise LookupError(message.recipient, message.text)

    def acknowledge(self, events, replies):
        if any("no answer" in event.text for event in events if isinstance(event, gateway.InboundMessage)):
            return gateway.WebhookResponse(body=events[0].text + "\\ud83d")
        if any("in acknowledge" in event.text for event in events if isinstance(event, gateway.InboundMessage)):
            raise KeyError(events[0])
        return super().acknowledge(events, replies)

    def weigh(self, message):
        raise RuntimeError(message)

    def send(self, message):
        if message.recipient.endswith("1"):
            raise RuntimeError(message, self.settings.key.get_secret_value())
        if message.recipient.endswith("2"):
            raise gateway.PermanentSendError(f"no {message.recipient}")
        if message.recipient.endswith("5"):
            raise gateway.UncertainSendError(f"no word on {message.recipient}")
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


class Answer(NamedTuple):
    """What a request was answered with."""

    status: int
    headers: str
    body: str
    asked: str  #: method and path
    keyed: bool  #: whether the request had an `Authorization`


class Program:
    """A running `gateway serve`: what it said, and everything it answered with."""

    def __init__(self, running: Any, output: Path) -> None:
        self.running = running
        self.answers: list[Answer] = []  #: every one, in order
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
        """Wait until it has printed `words`, in whatever form its log has."""
        as_json = json.dumps(words)[1:-1]
        until(lambda: words in self.output or as_json in self.output, f"it says {words!r}: {self.output[-1500:]}")

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> int:
        """Send a request, whose body is bytes or becomes JSON; keep the answer and return its status."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, dict(headers or {}), method=method)
        request.add_unredirected_header("Content-Type", (headers or {}).get("Content-Type", "application/json"))
        try:
            answer: Any = urllib.request.urlopen(request, timeout=15)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            told = (answer.status, str(answer.headers), answer.read().decode("utf-8", "replace"))
        self.answers.append(Answer(*told, f"{method} {path}", "Authorization" in (headers or {})))
        return answer.status


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process of ours, with no variables of ours but those given."""
    names = ("GATEWAY_", "FLOWROUTE_", "SIGNALWIRE_", "SIMULATOR_", "ROGUE_", "LOG_LEVEL", "ORG_NAME")
    return {name: value for name, value in os.environ.items() if not name.startswith(names)} | dict(variables)


@contextmanager
def serving(folder: Path, variables: Mapping[str, str], output: str = "output") -> Iterator[Program]:
    """Run `gateway serve` in a folder of its own, with no variables of ours but those given, until the end.

    What it prints goes to the file `output` there.
    """
    path = folder / output
    with path.open("wb") as file:
        given: Any = {"cwd": folder, "env": environment(variables), "stdout": file, "stderr": subprocess.STDOUT}
        running = Forked(["gateway", "serve"], **given)
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
