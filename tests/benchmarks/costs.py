"""What a relayed text and a settled send cost the store: CPU of this process, many in one transaction, alternating."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks.sides import Side
from scripted import Scripted

from gateway import inbound
from gateway.carrier import Carrier
from gateway.clock import now_ms
from gateway.dispatcher import Dispatcher
from gateway.messages import DeliveryReceipt, DeliveryStatus, InboundMessage

BATCH = 200
Measured = dict[str, list[float]]


def costs(small: Side, large: Side, rounds: int = 12) -> dict[str, tuple[float, float]]:
    """Return what each step costs on both sides, in µs."""
    times: dict[Side, Measured] = {small: {}, large: {}}
    for round in range(rounds + 1):
        for side in (small, large) if round % 2 else (large, small):
            for name, us in _round(side).items():
                times[side].setdefault(name, []).extend([us] if round else [])
    return {name: (median(times[small][name]), median(times[large][name])) for name in times[small]}


def _round(side: Side) -> dict[str, float]:
    pairs = side.landmarks["pairs"]
    texts = [
        InboundMessage(carrier_ref=f"mdr2-{uuid4().hex}", sender=person, recipient=mask, text="On my way, ten minutes")
        for mask, person in random.sample(pairs, min(BATCH, len(pairs)))
    ]
    carrier, now = side.carriers["flowroute"], now_ms()
    refs: list[str] = []
    sending = Scripted(name="flowroute")
    sending.on_send = lambda message: refs.append(f"ref-{message.id}")
    dispatcher = Dispatcher(side.store, {"flowroute": sending}, side.settings)
    before = side.rows("SELECT MAX(id) AS n FROM outbox")[0]["n"]
    relayed = _cpu(lambda: _relay(side, carrier, texts, now)) / len(texts)
    queued = "SELECT COUNT(*) AS n FROM outbox WHERE id > :before AND state = 'queued'"  # but for opt-outs
    count = side.rows(queued, before=before)[0]["n"]
    settled = _settle(dispatcher, count) / count
    receipts = [DeliveryReceipt(carrier_ref=ref, status=DeliveryStatus.DELIVERED) for ref in refs]
    received = _cpu(lambda: _receive(side, carrier, receipts, now)) / max(1, len(receipts))
    dispatcher.stop()
    return {
        "a text relayed: remembered, its lease found, enqueued": relayed,
        "a send claimed and settled, by a carrier that does nothing": settled,
        "a receipt taken: delivered": received,
    }


def _relay(side: Side, carrier: Carrier, texts: list[InboundMessage], now: int) -> None:
    side.store.write(lambda tx: [inbound.message(tx, carrier, one, side.settings, now) for one in texts])


def _receive(side: Side, carrier: Carrier, receipts: list[DeliveryReceipt], now: int) -> None:
    side.store.write(lambda tx: [inbound.receipt(tx, carrier, one, side.settings, now) for one in receipts])


def _settle(dispatcher: Dispatcher, count: int) -> float:
    """Turn until all was sent and settled, and return the CPU (µs) that took."""
    sent: Any = dispatcher._desks["flowroute"].carrier

    def work() -> None:
        while len(sent.accepted) < count or dispatcher._busy():
            dispatcher.turn()
            time.sleep(0.001)

    return _cpu(work)


def _cpu(work: Callable[[], None]) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return 1e6 * (time.process_time() - began)
    finally:
        gc.enable()
