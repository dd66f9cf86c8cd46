"""What the demo stands on: a gateway and a simulated carrier on loopback, with settings of the demo's own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import getproxies_environment, proxy_bypass

from gateway.carrier import Carrier
from gateway.client import CarrierSession
from gateway.errors import ConfigError, GatewayError, SendError
from gateway.numbers import digits
from gateway.server import Gateway
from gateway.settings import Settings, read_settings, settings_table
from gateway.store import Store
from gateway.testing.network import Handset, Moment, Network
from gateway.web.webhooks import webhook_url

SIMULATOR = "simulator"
PATIENCE = 5.0  #: seconds for a text that must come; on loopback it takes a few ms

# numbers that are kept for fiction
ANN, BOB, STRANGER = "+12065550101", "+12065550102", "+12065550103"
MASK, SPARE = "+12065550199", "+12065550198"


class DemoFailed(GatewayError):
    """The demo did not show what it is there to show. It says so and exits 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """What a phone shows of one text or call."""

    sent: bool  #: by the phone's owner
    number: str  #: E.164, of whoever the phone takes to be at the other end
    words: str


class Phone:
    """One person's phone on the simulated network."""

    def __init__(self, name: str, handset: Handset) -> None:
        self.name = name
        self.handset = handset
        self.number = handset.number  #: E.164, the real one
        self._texts = 0  #: how many of them were shown
        self._moments = 0

    def text(self, mask: str, words: str) -> Bubble:
        """Text the mask. Raises `DemoFailed` if the gateway does not take it."""
        delivery = self.handset.text(mask, words)
        if delivery.status != 200:
            raise DemoFailed(f"The gateway answered {self.name}'s text with HTTP {delivery.status}.")
        return Bubble(sent=True, number=mask, words=words)

    def call(self, mask: str, message: str = "") -> Bubble:
        """Call the mask and say `message` after a tone, if there is one. Raises `DemoFailed` if it is not taken."""
        delivery = self.handset.call(mask, message=message).delivery
        if delivery.status != 200:
            raise DemoFailed(f"The gateway answered {self.name}'s call with HTTP {delivery.status}.")
        lines = [line for one in self._latest() if (line := _line(one))]
        return Bubble(sent=True, number=mask, words="\n".join(["(calls)", *lines]))

    def news(self) -> list[Bubble]:
        """Return what came in since this was asked last."""
        texts = self.handset.inbox[self._texts :]
        self._texts += len(texts)
        moments = self._latest()
        return [
            *(Bubble(sent=False, number=each.sender, words="\n".join((each.text, *each.media))) for each in texts),
            *(_rung(call, moments) for call in dict.fromkeys(each.ref for each in moments)),
        ]

    def _latest(self) -> list[Moment]:
        """Return what happened in calls since this was asked last."""
        moments = self.handset.moments[self._moments :]
        self._moments += len(moments)
        return list(moments)

    def next_news(self) -> list[Bubble]:
        """Wait for a text and return what came in. Raises `DemoFailed` if none comes."""
        with contextlib.suppress(TimeoutError):
            self.handset.wait_for(self._texts + 1, PATIENCE)
            return self.news()
        raise DemoFailed(f"{self.name}'s phone waited {PATIENCE:g} s for a text that did not come.")

    def ring(self) -> list[Bubble]:
        """Return the call that came in; it rings before its caller hears anything. Raises `DemoFailed` if none did."""
        if not any(moment.what == "rings" for moment in self.handset.moments[self._moments :]):
            raise DemoFailed(f"{self.name}'s phone did not ring.")
        return self.news()

    def heard_from(self) -> list[str]:
        """Return the number that each text and call came from, as the phone shows it."""
        texts, rings = self.handset.inbox, self.handset.rings
        return [*(each.sender for each in texts), *(each.caller_id for each in rings)]

    def saw(self, number: str) -> bool:
        """Return whether this phone ever showed a number: as who texts or calls, or in a text."""
        said = [part for each in self.handset.inbox for part in (each.text, *each.media)]
        called = [moment.words for moment in self.handset.moments]
        return any(_is_in(number, part) for part in (*self.heard_from(), *said, *called))


def _rung(call: str, moments: list[Moment]) -> Bubble:
    """Return what a phone shows of a call that came in."""
    own = [moment for moment in moments if moment.ref == call]
    shown = next((moment.words for moment in own if moment.what == "rings"), "")
    return Bubble(sent=False, number=shown, words="\n".join(line for each in own if (line := _line(each))))


def _line(moment: Moment) -> str:
    """Return something of a call in a line; "" where it goes without saying."""
    if moment.what in ("hears", "says"):
        return f"({moment.what}: {moment.words})"
    if moment.what == "types":
        return f"(presses {moment.words or 'nothing'})"
    return "" if moment.what == "hangs up" else f"({moment.what})"


def _is_in(number: str, words: str) -> bool:
    """Return whether the last ten digits of a number are in `words`, however they are spaced."""
    return number[-10:] in "".join(filter(str.isdigit, words))


class Api:
    """The gateway's API as any client sees it: over HTTP."""

    def __init__(self, url: str, http: CarrierSession) -> None:
        self.url = url
        self._http = http

    def __call__(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """Send a request and return the JSON object it is answered with. Raises `DemoFailed` for a refusal."""
        try:
            response = self._http.request(method, self.url + path, check=False, json=body)
        except SendError as error:
            raise DemoFailed(f"{method} {path} got no answer: {error.detail}.") from None
        if response.status_code != 200:
            raise DemoFailed(f"{method} {path} was answered HTTP {response.status_code}: {response.text}")
        answer: dict[str, Any] = response.json()
        return answer

    def curl(self, method: str, path: str, body: dict[str, str] | None = None) -> str:
        """Return the same request as a line for a shell."""
        words = ["curl", *_no_proxy()]
        words += ["-X", method] if method == "DELETE" else []  # curl tells GET and POST by -d
        words.append(self.url + path)
        words += ["-d", json.dumps(body)] if body else []
        return shlex.join(words)

    def command(self, *words: str) -> str:
        """Return a command that talks to this gateway as a line for a shell, called as the demo was."""
        ours = sys.argv[0] if os.path.basename(sys.argv[0]) == "gateway" else "gateway"
        return f"GATEWAY_URL={self.url} {shlex.join([ours, *words])}"


def _no_proxy() -> list[str]:
    """Return what keeps curl from asking a proxy for this machine, where the environment names one."""
    proxies = getproxies_environment()
    asked = ("http" in proxies or "all" in proxies) and not proxy_bypass("127.0.0.1")
    return ["--noproxy", "*"] if asked else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A gateway that runs, its carrier's network, and two phones."""

    network: Network
    api: Api
    ann: Phone
    bob: Phone
    store: Store

    def settle(self) -> None:
        """Wait until the gateway owes nobody a text, so that one which should not arrive has had its chance."""
        deadline = time.monotonic() + PATIENCE
        while self.store.read(lambda tx: tx.query("SELECT mask FROM lanes LIMIT 1")) and time.monotonic() < deadline:
            time.sleep(0.01)

    @property
    def phones(self) -> tuple[Phone, Phone]:
        """Ann's and Bob's, as they stand on the screen."""
        return self.ann, self.bob

    def session_of(self, phone: Phone) -> dict[str, Any] | None:
        """Return the newest session of a phone's owner, as `GET /session` shows it; None if there is none."""
        person = digits(phone.number)
        sessions: list[dict[str, Any]] = self.api("GET", "/session")["sessions"]
        return next((one for one in sessions[::-1] if person in (one["participant_a"], one["participant_b"])), None)


@contextlib.contextmanager
def set_up(carrier: type[Carrier]) -> Iterator[Stage]:
    """Run a gateway on SQLite in a temporary folder, beside a network for `carrier`; both end, and the folder goes.

    The environment has no say. Raises `ConfigError` where there is no folder to be had.
    """
    key = secrets.token_urlsafe()
    http = CarrierSession(proxies=False)
    with contextlib.ExitStack() as down:
        folder = down.enter_context(_folder())
        network = down.enter_context(Network(key))
        gateway = Gateway(_settings(folder), {SIMULATOR: carrier(_carrier_settings(carrier, network.url, key), http)})
        down.callback(gateway.stop)
        gateway.start()
        network.webhook_url = webhook_url(gateway.context, SIMULATOR)
        ann, bob = Phone("Ann", network.handset(ANN)), Phone("Bob", network.handset(BOB))
        yield Stage(network=network, api=Api(gateway.url, http), ann=ann, bob=bob, store=gateway.store)


def _folder() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="maskgate-demo-")
    except OSError as error:
        raise ConfigError(f"No temporary folder can be made ({error.strerror}): set TMPDIR to one that can.") from None


def _settings(folder: str) -> Settings:
    """Return the gateway's settings: the defaults, whatever the environment says, but for the demo's own."""
    ours = {
        "ORG_NAME": "Demo",
        "NO_SESSION_MSG": "An active session was not found.",
        "GATEWAY_LISTEN": "127.0.0.1:0",
        "GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "GATEWAY_TN_CARRIER": SIMULATOR,
        "GATEWAY_MASK_CARRIER": SIMULATOR,
    }
    return read_settings(**{row.variable: row.default for row in settings_table()} | ours)


def _carrier_settings(carrier: type[Carrier], url: str, key: str) -> Any:
    """Return the carrier's settings: its defaults, whatever the environment says, with the network's URL and key."""
    fields = carrier.Settings.model_fields
    given: dict[str, Any] = {name: field.get_default() for name, field in fields.items() if not field.is_required()}
    return carrier.Settings(**given | {"url": url, "key": key})
