"""A face is how a carrier speaks HTTP: the same network can speak like any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from uuid import uuid4

from gateway.calls import CallProgress, CallRoute, CallStep, InboundCall, RecordingReport
from gateway.messages import DeliveryReceipt, InboundMessage
from gateway.testing.network.ledger import Record
from gateway.testing.network.wire import Answer, Lookup, Ping, Refusal, Request, Send, Sound, Webhook


class Face(ABC):
    """Reads what the gateway asks, renders what the carrier answers, and renders and signs its webhooks.

    It keeps no state but its keys, and is used from many threads.
    """

    accepted_status: int = 202  #: of the answer to a send that was taken

    def new_ref(self) -> str:
        """Return a reference for a text or call, as the carrier makes them."""
        return str(uuid4())

    @abstractmethod
    def read(self, request: Request) -> Send | Lookup | Ping | Sound:
        """Return what `request` asks for. Raises `Refused` where the credentials or the request are wrong."""

    @abstractmethod
    def accept(self, record: Record) -> Answer:
        """Return the answer to a send that was taken."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> Answer:
        """Return the answer to a request that is not taken, with the carrier's own error code."""

    @abstractmethod
    def list(self, asked: Lookup, records: Sequence[Record]) -> Answer:
        """Return the answer to a lookup."""

    def pong(self) -> Answer:
        """Return the answer to a ping."""
        return Answer(status=200, body="{}")

    @abstractmethod
    def message(self, url: str, message: InboundMessage) -> Webhook:
        """Return the webhook for a person's text."""

    def replies(self, message: InboundMessage, answer: Answer) -> Sequence[Send]:
        """Return the texts that travel in the gateway's answer to a text, where the carrier takes them from there."""
        return ()

    @abstractmethod
    def receipt(self, url: str, record: Record, receipt: DeliveryReceipt) -> Webhook:
        """Return the webhook that says what became of a text."""

    def call(self, url: str, call: InboundCall) -> Webhook:
        """Return the webhook for a person's call."""
        raise NotImplementedError("this carrier has no voice")

    def progress(self, url: str, call: InboundCall, progress: CallProgress) -> Webhook:
        """Return the webhook that says how a call goes on."""
        raise NotImplementedError("this carrier has no voice")

    def step(self, url: str, step: CallStep) -> Webhook:
        """Return the webhook that asks how a call goes on."""
        raise NotImplementedError("this carrier does not ask")

    def report(self, url: str, report: RecordingReport) -> Webhook:
        """Return the webhook that tells of a recording."""
        raise NotImplementedError("this carrier records nothing")

    def route(self, answer: Answer) -> CallRoute:
        """Return what the gateway's answer to a call means. Raises `ValueError` where it means nothing."""
        raise NotImplementedError("this carrier has no voice")
