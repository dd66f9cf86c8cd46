"""Minutes of a gateway's life in a moment: real stores, plugins and sockets; a clock that goes from event to event.

Dispatchers turn by hand, several on one database where a test wants several. What they send arrives at simulated
networks that go by the same clock, so a network's ledger tells to the millisecond when a text was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count

import gateways
from program import until
from wsgi import Client, SettableClock

from gateway import sessions
from gateway.carrier import Carrier
from gateway.dispatcher import Dispatcher
from gateway.messages import InboundMessage
from gateway.records import Origin
from gateway.settings import read_settings
from gateway.store import Store
from gateway.testing.network import Network, Record
from gateway.web import Context

URL = "http://gw.example.com"


@dataclass(frozen=True)
class Lane:
    """The way from one person to another, through a mask of a carrier."""

    carrier: str
    sender: str
    mask: str
    recipient: str


@dataclass
class Minutes:
    """A gateway, its carriers' networks, and the people who text."""

    store: Store
    clock: SettableClock
    networks: Mapping[str, Network]
    dispatchers: list[Dispatcher]
    client: Client
    lanes: list[Lane] = field(default_factory=list)
    said: list[tuple[Lane, str]] = field(default_factory=list)  #: every text whose webhook was answered 200, in order
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    idle: set[int] = field(default_factory=set)  #: the dispatchers that are not given their turn: dead, for the others

    def meet(self, carrier: str, pairs: int) -> list[Lane]:
        """Open so many sessions on numbers of a carrier, each of two new people; return the lanes, there and back."""
        lanes = [lane for _ in range(pairs) for lane in self._meet(carrier)]
        self.lanes += lanes
        return lanes

    def _meet(self, carrier: str) -> list[Lane]:
        n = next(self.numbers)
        one, other, mask = f"+1206555{2 * n:04}", f"+1206555{2 * n + 1:04}", f"+1206556{n:04}"
        now, settings = self.clock(), self.client.context.settings
        self.store.write(lambda tx: tx.add_number(mask, carrier, "US", now))
        self.store.write(
            lambda tx: sessions.open_exclusive(
                tx, [one, other], carrier=carrier, origin=Origin.V1, expires_at=None, settings=settings, now=now
            )
        )
        return [Lane(carrier, one, mask, other), Lane(carrier, other, mask, one)]

    def say(self, lane: Lane, text: str = "") -> int:
        """Bring a text by its carrier's webhook, and return the status of the answer."""
        n = next(self.numbers)
        said = InboundMessage(carrier_ref=f"ref-{n}", sender=lane.sender, recipient=lane.mask, text=text or f"text {n}")
        webhook = self.networks[lane.carrier]._face.message(f"{URL}/webhooks/{lane.carrier}/{gateways.TOKEN}", said)
        path = f"/webhooks/{lane.carrier}/{gateways.TOKEN}"
        status = self.client("POST", path, body=webhook.body, headers=dict(webhook.headers)).status
        if status == 200:
            self.said.append((lane, said.text))
        return status

    def run(self, *, ms: int = 0, seconds: float = 0, minutes: float = 0) -> None:
        """Let time pass, from one thing that is due to the next."""
        end = self.clock.now + round(ms + 1000 * (seconds + 60 * minutes))
        while True:
            wake_at = min(one.turn() for n, one in enumerate(self.dispatchers) if n not in self.idle)
            if any(dispatcher._busy() for dispatcher in self.dispatchers):
                self._await_answers()
            elif self.clock.now >= end:
                return
            else:
                self.clock.now = min(max(wake_at, self.clock.now + 1), end)

    def _await_answers(self) -> None:
        for one in self.dispatchers:
            until(
                lambda one=one: sum(len(desk.in_flight) for desk in one._desks.values()) == one._answers.qsize(),
                "answers",
            )

    def waiting(self) -> list[dict]:
        """Return what is not sent yet."""
        return [row for row in self.client.outbox() if row["state"] in ("queued", "sending", "uncertain")]

    def paused(self) -> int:
        """Return how often a carrier was found to be out."""
        events = self.store.read(lambda tx: tx.query("SELECT * FROM events WHERE kind = 'carrier.paused'"))
        return len(events)

    def arrived(self, carrier: str, since: int = 0) -> list[Record]:
        """Return the texts a network took, in order."""
        return [record for record in self.networks[carrier].accepted() if record.at >= since]


@contextmanager
def minutes(
    store: Store, carriers: Mapping[str, Mapping[str, object]], dispatchers: int, **variables: str
) -> Iterator[Minutes]:
    """Set all of it up: each carrier by its name, with settings of its plugin; so many dispatchers."""
    clock = SettableClock()
    settings = read_settings(GATEWAY_WEBHOOK_TOKEN=gateways.TOKEN, **variables)
    with ExitStack() as stack:
        networks = {name: stack.enter_context(gateways.network(name, clock=clock)) for name in carriers}
        crew = []
        for number in range(dispatchers):
            plugins: dict[str, Carrier] = {
                name: gateways.carrier_for(networks[name], name, **given) for name, given in carriers.items()
            }
            crew.append(Dispatcher(store, plugins, settings, clock=clock, dice=lambda: 0.5))
            stack.callback(crew[-1].stop)
            if number:  # of another host, so that nobody takes it for itself, nor for dead
                crew[-1]._owner = f"elsewhere{number}:1:1"
        context = Context(
            settings=settings, store=store, carriers=plugins, dispatcher=crew[0], public_url=URL, clock=clock
        )
        yield Minutes(store, clock, networks, crew, Client(context))
