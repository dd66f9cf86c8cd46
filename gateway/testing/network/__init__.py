"""A simulated carrier network: a real HTTP server that owns handsets, takes sends and posts signed webhooks.

    with Network(key="secret", webhook_url="http://127.0.0.1:8000/webhooks/simulator") as network:
        alice, bob = network.handset("+12065550101"), network.handset("+12065550102")
        alice.text("+12065550199", "Where are you?")
        bob.wait_for(1)

The gateway's side is the carrier `simulator`: `SIMULATOR_URL` is `network.url`, `SIMULATOR_KEY` the key. With another
`face` the same network speaks like another carrier. Runs on its own too: `python -m gateway.testing.network`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TypeVar

from gateway.calls import CallOutcome, CallProgress, CallState, InboundCall
from gateway.messages import DeliveryReceipt, DeliveryStatus, InboundMessage
from gateway.testing.network.control import Control
from gateway.testing.network.face import Face
from gateway.testing.network.faults import Fault, Faults, by_chance, no_faults
from gateway.testing.network.handset import Call, Caller, Delivery, Handset, Ring, Takes, Text
from gateway.testing.network.intake import Intake
from gateway.testing.network.ledger import Fate, Ledger, Moment, Record
from gateway.testing.network.poster import Poster
from gateway.testing.network.simulator import SimulatorFace
from gateway.testing.network.sockets import Listener
from gateway.testing.network.sounds import Recordings, words_of
from gateway.testing.network.voice import Exchange
from gateway.testing.network.wire import (
    Answer,
    Drop,
    Lookup,
    Ping,
    Refusal,
    Refused,
    Request,
    Send,
    Sound,
    Webhook,
)

__all__ = [
    "Answer",
    "Call",
    "Caller",
    "Delivery",
    "Face",
    "Fate",
    "Fault",
    "Faults",
    "Handset",
    "Ledger",
    "Lookup",
    "Moment",
    "Network",
    "Ping",
    "Record",
    "Refusal",
    "Refused",
    "Request",
    "Ring",
    "Send",
    "SimulatorFace",
    "Sound",
    "Takes",
    "Text",
    "Webhook",
    "by_chance",
    "words_of",
]

WEBHOOK_TIMEOUT = 15.0  #: seconds; longer than any carrier waits, so that a slow gateway is seen as slow
T = TypeVar("T")
NOTHING = Caller()


def now() -> int:
    """Return the time in ms UTC."""
    return time.time_ns() // 1_000_000


class Network:
    """One carrier: its numbers' sends come in, its subscribers' texts and calls go out as webhooks.

    `key`: of the simulator's face; ignored with another `face`. `port` 0 picks one, kept from then on.
    `webhook_url`: where the gateway takes webhooks, as it is signed; may be set later. `clock`: ms UTC.
    With `control`, the network is also steered over HTTP (see `gateway.testing.network.control`).
    """

    def __init__(
        self,
        key: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        webhook_url: str | None = None,
        clock: Callable[[], int] = now,
        *,
        face: Face | None = None,
        receipts: bool = False,
        control: bool = False,
    ) -> None:
        if not key and not face:
            raise ValueError("a network needs a key or a face")
        self.webhook_url = webhook_url
        self.receipts = receipts  #: whether each text taken is reported as sent, then as delivered
        self.repeat = 1  #: how many times each text and call is posted to the gateway, at once
        self._host = host
        self._clock = clock
        self._face = face or SimulatorFace(key)
        self._changed = threading.Condition()
        self._ledger = Ledger(self._changed)
        self.recordings = Recordings()  #: of calls and of messages, until the gateway has them forgotten
        self._intake = Intake(self._face, self._ledger, clock, self._taken, self.recordings)
        self._handsets: dict[str, Handset] = {}
        self._exchange = Exchange(self, self._face, clock)
        self._poster = Poster(WEBHOOK_TIMEOUT)
        self._background = ThreadPoolExecutor(4, thread_name_prefix="receipts")
        self._control = Control(self, key) if control else None
        self._listener = Listener(host, port, self._serve)

    # --- running ---------------------------------------------------------------------------------

    def start(self) -> Network:
        """Listen, and return self. Raises `OSError` if the port is taken."""
        self._listener.open()
        return self

    def stop(self) -> None:
        """Stop for good: refuse connections, cut those there are, drop receipts not posted yet."""
        self._intake.stop()
        self._listener.close()
        self._background.shutdown(cancel_futures=True)
        self._poster.close()

    def pause(self) -> None:
        """Go out of service: connections are refused, those there are are cut. Ledger and handsets stay."""
        self._listener.close(hold=True)

    def resume(self) -> None:
        """Come back on the same port."""
        self._listener.open()

    def __enter__(self) -> Network:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http://{self._host}:{self._listener.port}"

    # --- faults ----------------------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """What is asked for each send that no planned fault meets. Set it; `by_chance` makes one."""
        return self._intake.script.faults

    @faults.setter
    def faults(self, faults: Faults | None) -> None:
        self._intake.script.faults = faults or no_faults

    def fail_next(self, count: int, fault: Fault) -> None:
        """Let the next `count` sends, after those planned before, meet `fault`."""
        self._intake.script.plan_sends(count, fault)

    def fail_lookups(self, count: int, fault: Fault) -> None:
        """Let the next `count` lookups, after those planned before, meet `fault`."""
        self._intake.script.plan_lookups(count, fault)

    # --- what happened ---------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """Every request the network took, with its fate."""
        return self._ledger

    def accepted(self) -> tuple[Record, ...]:
        """Return the texts that were taken, doubled ones included, in order."""
        return self._ledger.accepted()

    def wait_for(self, wanted: int | Callable[[tuple[Record, ...]], bool], timeout: float = 5.0) -> tuple[Record, ...]:
        """Wait until `wanted` texts were taken, or until `wanted(accepted)`. Raises `TimeoutError`."""
        return self.wait(self._ledger.taken, wanted, timeout)

    def wait(self, things: Sequence[T], wanted: int | Callable[[tuple[T, ...]], bool], timeout: float) -> tuple[T, ...]:
        """Wait until a list of ours is so long, or until `wanted` holds of it; return it. Raises `TimeoutError`."""

        def holds() -> bool:
            return len(things) >= wanted if isinstance(wanted, int) else wanted(tuple(things))

        with self._changed:
            if not self._changed.wait_for(holds, timeout):
                waited_for = wanted if isinstance(wanted, int) else "a condition"
                raise TimeoutError(f"waited {timeout:g} s for {waited_for}, {len(things)} came")
            return tuple(things)

    # --- people ----------------------------------------------------------------------------------

    def handset(self, number: str) -> Handset:
        """Return the phone with this number (E.164), the same one each time."""
        with self._changed:
            handset = self._handsets.get(number)
            if handset is None:
                handset = self._handsets[number] = Handset(number, self, self._changed)
            return handset

    def deliver_text(
        self,
        sender: str,
        recipient: str,
        text: str,
        media: tuple[str, ...] = (),
        *,
        ref: str | None = None,
        repeat: int | None = None,
    ) -> Delivery:
        """Post a person's text to the gateway; see `Handset.text`. A sender may be no number (`55512`, `ACME`)."""
        ref = ref or self._face.new_ref()
        sent_at = datetime.fromtimestamp(self._clock() / 1000, timezone.utc)
        message = InboundMessage(
            carrier_ref=ref, sender=sender, recipient=recipient, text=text, media=media, sent_at=sent_at
        )
        delivery = self.post(ref, self._face.message(self._webhook(), message), repeat)
        for reply in self._face.replies(message, delivery.answers[0]) if delivery.status == 200 else ():
            self._intake.accept("reply in an answer", reply, 0)
        return delivery

    def deliver_call(
        self,
        caller: str,
        called: str,
        does: Caller = NOTHING,
        *,
        ref: str | None = None,
        repeat: int | None = None,
    ) -> Call:
        """Post a person's call to the gateway and play it to the end; see `Handset.call`."""
        call = InboundCall(carrier_ref=ref or self._face.new_ref(), caller=caller, called=called)
        return self._exchange.place(call, self._webhook(), does, repeat)

    # --- the carrier's word ----------------------------------------------------------------------

    def receipt(
        self, ref: str, status: DeliveryStatus, *, code: str = "", detail: str = "", opted_out: bool = False
    ) -> Delivery:
        """Report what became of the text the network calls `ref`. Raises `KeyError` if there is none.

        Goes to the URL the send named, else to `webhook_url`.
        """
        record = self._ledger.find(ref)
        if record is None or record.send is None:
            raise KeyError(ref)
        receipt = DeliveryReceipt(carrier_ref=ref, status=status, code=code, detail=detail, opted_out=opted_out)
        url = record.send.receipt_url or self._webhook()
        return self.post(ref, self._face.receipt(url, record, receipt), 1)

    def progress(
        self, ref: str, state: CallState, *, outcome: CallOutcome | None = None, seconds: int | None = None
    ) -> Delivery:
        """Report how the call `ref` goes on. Raises `KeyError` if there is none."""
        progress = CallProgress(carrier_ref=ref, state=state, outcome=outcome, seconds=seconds)
        return self.post(ref, self._face.progress(self._webhook(), self._exchange.calls[ref], progress), 1)

    def _serve(self, request: Request) -> Answer | Drop:
        if self._control and self._control.owns(request):
            return self._control.answer(request)
        return self._intake.serve(request)

    def _taken(self, record: Record, send: Send) -> None:
        """Hand a text that was taken to its phone; called with the ledger held, so that both have one order."""
        text = Text(sender=send.sender, text=send.text, media=send.media, at=record.at, ref=record.ref)
        self.handset(send.recipient).receive(text)
        if self.receipts and send.receipt_url:
            self._background.submit(self._report, record)

    def _report(self, record: Record) -> None:
        for status in (DeliveryStatus.SENT, DeliveryStatus.DELIVERED):
            self.receipt(record.ref, status)

    # --- webhooks out ----------------------------------------------------------------------------

    def _webhook(self) -> str:
        if not self.webhook_url:
            raise RuntimeError("set the network's webhook_url first")
        return self.webhook_url

    def post(self, ref: str, webhook: Webhook, repeat: int | None = None) -> Delivery:
        """Post a webhook about `ref` to the gateway, `repeat` times at once, else as the network is set."""
        return Delivery(ref=ref, answers=self._poster.post_together(webhook, repeat or self.repeat))
