"""A stand-in for the gateway, for tests of the network: an HTTP server with a real carrier and nothing behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from gateway import (
    CallRoute,
    CallStep,
    Carrier,
    Event,
    InboundCall,
    OutboundMessage,
    Refuse,
    WebhookRejected,
    WebhookRequest,
)
from gateway.testing.network import Answer, Request
from gateway.testing.network.sockets import Listener


class StandIn:
    """Verifies and parses what comes, keeps the events, and answers as its attributes say."""

    def __init__(self, carrier: Carrier, path: str = "/webhooks/carrier?token=t") -> None:
        self.events: list[Event] = []
        self.answer: Answer | None = None  #: to texts and receipts; None: the carrier's acknowledgement
        self.route: CallRoute = Refuse(words="Nobody is here.")
        self.next: Callable[[CallStep], CallRoute] = lambda step: Refuse()
        self.replies: Sequence[OutboundMessage] = ()
        self._carrier = carrier
        self._lock = threading.Lock()
        self._listener = Listener("127.0.0.1", 0, self._serve)
        self.open()
        self.url = f"http://127.0.0.1:{self._listener.port}{path}"

    def open(self) -> None:
        """Listen, on the same port if it has before."""
        self._listener.open()

    def close(self) -> None:
        """Refuse connections."""
        self._listener.close()

    def _serve(self, request: Request) -> Answer:
        query = f"?{request.query}" if request.query else ""
        url = f"http://127.0.0.1:{self._listener.port}{request.path}{query}"
        webhook = WebhookRequest(url=url, headers=request.headers, body=request.body)
        try:
            self._carrier.verify(webhook)
        except WebhookRejected:
            return Answer(status=403)
        events = self._carrier.parse(webhook)
        with self._lock:
            self.events += events
        if events and isinstance(events[0], InboundCall):
            said = self._carrier.answer_call(events[0], self.route)
        elif events and isinstance(events[0], CallStep):
            said = self._carrier.answer_call(events[0], self.next(events[0]))
        elif self.answer:
            return self.answer
        else:
            said = self._carrier.acknowledge(events, self.replies)
        return Answer(status=said.status, body=said.body, content_type=said.content_type)
