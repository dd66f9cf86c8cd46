"""Receipts never take a text a step back; and whatever a carrier says five times at once has happened once."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import gateways
import pytest
import town
from minutes import URL, Minutes, minutes
from program import until
from soak import Rounds
from wsgi import Answer

from gateway.messages import DeliveryReceipt, DeliveryStatus, Rate, Weight
from gateway.records import Message, MessageState, Outcome
from gateway.store import Store, Tx
from gateway.testing.network import Fault, Record

FINAL = (MessageState.DELIVERED, MessageState.UNDELIVERED)
SENT, DELIVERED, UNDELIVERED = DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED


@pytest.fixture
def m(store: Store) -> Iterator[Minutes]:
    """Return a gateway with two carriers, which a test gives its turns."""
    with minutes(store, {"simulator": {}, "flowroute": {}}, 1) as m:
        yield m


def report(m: Minutes, carrier: str, record: Record, *statuses: DeliveryStatus) -> list[Answer]:
    """Bring receipts about a text, all at once where there are several; return the answers."""
    path = f"/webhooks/{carrier}/{gateways.TOKEN}"
    together = threading.Barrier(len(statuses))

    def bring(status: DeliveryStatus) -> Answer:
        receipt = DeliveryReceipt(carrier_ref=record.ref, status=status)
        webhook = m.networks[carrier]._face.receipt(f"{URL}{path}", record, receipt)
        together.wait(10)
        return m.client("POST", path, body=webhook.body, headers=dict(webhook.headers))

    with ThreadPoolExecutor(len(statuses)) as threads:
        return list(threads.map(bring, statuses))


def sent(m: Minutes, carrier: str = "simulator") -> tuple[int, Record]:
    """Have a text sent; return its id and what the network holds of it."""
    assert m.say(m.meet(carrier, 1)[0]) == 200
    m.run(ms=1)
    return m.client.outbox()[-1]["id"], m.networks[carrier].accepted()[-1]


def state(m: Minutes, id: int) -> MessageState:
    return m.store.read(lambda tx: tx.message(id)).state


def kept(m: Minutes) -> int:
    return len(m.store.read(lambda tx: tx.query("SELECT * FROM early_receipts")))


# --- never a step back ------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.both_databases
def test_receipts_in_any_order_and_number_never_take_a_text_back(m: Minutes, rounds: Rounds) -> None:
    for chance in rounds(seconds=0.5):
        id, record = sent(m)
        seen = [state(m, id)]
        for _ in range(6):
            statuses = chance.choices([SENT, DELIVERED, UNDELIVERED], k=chance.randint(1, 3))
            assert {answer.status for answer in report(m, "simulator", record, *statuses)} == {200}
            seen.append(state(m, id))
        final = [each for each in seen if each in FINAL]
        assert seen == [MessageState.SENT] * (len(seen) - len(final)) + final
        assert len(set(final)) <= 1


@pytest.mark.both_databases
@pytest.mark.parametrize("carrier", ["simulator", "flowroute"])
def test_a_receipt_that_comes_five_times_at_once_counts_once(m: Minutes, carrier: str) -> None:
    id, record = sent(m, carrier)
    for _ in range(2):
        assert {answer.status for answer in report(m, carrier, record, *[DELIVERED] * 5)} == {200}
        assert state(m, id) is MessageState.DELIVERED
    assert kept(m) == 0


@pytest.mark.both_databases
def test_a_receipt_for_an_unknown_text_changes_nothing_and_is_forgotten_in_time(m: Minutes) -> None:
    id, record = sent(m)
    before = m.client.rows()
    assert {a.status for a in report(m, "simulator", replace(record, ref="nobody's"), *[DELIVERED] * 5)} == {200}
    assert state(m, id) is MessageState.SENT
    assert m.client.rows() == before
    assert kept(m) == 1
    m.run(minutes=61)
    assert kept(m) == 0


@pytest.mark.both_databases
def test_a_receipt_of_another_carrier_with_the_same_reference_is_anothers(m: Minutes) -> None:
    id, record = sent(m, "simulator")
    assert report(m, "flowroute", record, DELIVERED)[0].status == 200
    assert state(m, id) is MessageState.SENT
    report(m, "simulator", record, DELIVERED)
    assert state(m, id) is MessageState.DELIVERED


# --- before the send's own answer -------------------------------------------------------------------------


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        pytest.param([SENT, DELIVERED], MessageState.DELIVERED, id="in order"),
        pytest.param([DELIVERED, SENT], MessageState.DELIVERED, id="out of order"),
        pytest.param([UNDELIVERED], MessageState.UNDELIVERED, id="undelivered"),
        pytest.param([SENT], MessageState.SENT, id="only sent"),
    ],
)
def test_a_receipt_that_is_faster_than_the_answer_is_kept_for_it(
    m: Minutes, statuses: Sequence[DeliveryStatus], expected: MessageState
) -> None:
    answer, network = threading.Event(), m.networks["simulator"]
    network.fail_next(1, Fault.slow(answer))
    m.say(m.meet("simulator", 1)[0])
    m.dispatchers[0].turn()
    [record] = network.wait_for(1)
    for status in statuses:
        assert {each.status for each in report(m, "simulator", record, *[status] * 5)} == {200}
    assert m.client.outbox()[-1]["state"] == "sending"
    answer.set()
    m.run(ms=1)
    assert m.client.outbox()[-1]["state"] == expected.value
    assert kept(m) == 0


@pytest.mark.soak
@pytest.mark.both_databases
def test_a_receipt_that_comes_while_the_reference_is_being_stored_is_not_lost(m: Minutes, rounds: Rounds) -> None:
    """Neither of the two sees what the other has written and not committed."""
    lanes = m.meet("simulator", 20)
    record = sent(m)[1]
    for chance in rounds(seconds=1.5):
        ids = []
        for lane in lanes:
            m.say(lane)
        heads = m.store.write(
            lambda tx: tx.claim("simulator", "me", rate=Rate(per_number=None), weigh=_weigh, room=99, now=m.clock())
        )
        assert len(heads) == len(lanes)
        for head in heads:
            ids.append(head.id)
            race(m, record, head, chance)
        lost = [id for id in ids if state(m, id) is not MessageState.DELIVERED]
        assert lost == []
        assert kept(m) == 0


def race(m: Minutes, record: Record, head: Message, chance: random.Random) -> None:
    """Settle a text as the dispatcher does, and bring the receipt for it at the same time."""
    ready, ref = threading.Barrier(2), f"ref-{head.id}"
    outcome = Outcome(message=head, state=MessageState.SENT, carrier_ref=ref, due_at=m.clock())
    waits = [chance.randrange(400), chance.randrange(400)]

    def settle(tx: Tx) -> None:
        tx.lock_paces([head.mask], ())
        tx.settle(outcome, "me", m.clock())

    def store_reference() -> None:
        ready.wait(10)
        spin(waits[0])
        m.store.write(settle, shared=True)

    with ThreadPoolExecutor(1) as thread:
        storing = thread.submit(store_reference)
        ready.wait(10)
        spin(waits[1])
        [answer] = report(m, "simulator", replace(record, ref=ref), DELIVERED)
        storing.result()
    assert answer.status == 200


def spin(turns: int) -> None:
    """Let a moment pass: not one that is slept, for the two would wake together."""
    for _ in range(turns * 5):
        pass


def _weigh(message: Message) -> Weight:
    return Weight()


# --- repeats are harmless ---------------------------------------------------------------------------------

CARRIERS = [
    pytest.param("flowroute", {}, id="flowroute"),
    pytest.param("signalwire", {}, id="signalwire"),
    pytest.param("signalwire", {"api_token": None}, id="signalwire, replies in the answer"),
]


@pytest.mark.both_databases
@pytest.mark.parametrize(("carrier", "given"), CARRIERS)
def test_each_webhook_five_times_at_once_does_what_it_does_once(
    tmp_path: Path, database_url: str, carrier: str, given: dict[str, object]
) -> None:
    (tmp_path / "once").mkdir()
    once = live(tmp_path, f"sqlite:///{tmp_path}/once/gateway.db", carrier, given, repeat=1)
    assert live(tmp_path, database_url, carrier, given, repeat=5) == once
    assert len(once["outbox"]) >= 5


def live(folder: Path, database_url: str, carrier: str, given: dict[str, object], *, repeat: int) -> dict[str, object]:
    """Play an hour of a gateway, each webhook so many times at once, and return what came of it."""
    with ExitStack() as stack:
        network = stack.enter_context(gateways.network(carrier))
        network.repeat = repeat
        plugin = gateways.carrier_for(network, carrier, **given)
        calm = {"GATEWAY_DATABASE_URL": database_url, "GATEWAY_POOL_LOW": "0"}  # the pool is looked at now and then
        running = stack.enter_context(gateways.gateway(folder, {carrier: plugin}, **calm))
        network.webhook_url = f"{running.url}/webhooks/{carrier}/{gateways.TOKEN}"
        lanes = town.meet(running.store, 2, carrier=carrier)
        texts = [(lane, f"hello {n}") for n, lane in enumerate(lanes)]
        stranger = town.Lane("+12065559999", lanes[0].mask, "")
        for lane, text in [*texts, (stranger, "anybody there?"), (lanes[0], "STOP"), (lanes[1], "still there?")]:
            delivery = network.handset(lane.sender).text(lane.mask, text)
            assert [answer.status for answer in delivery.answers] == [200] * repeat
            assert len({answer.body for answer in delivery.answers}) == 1, "the same replies again"
            gateways_settled(running.store)  # or the STOP may come before what it would hold back is sent
        if not given:
            for record in network.accepted():
                with ThreadPoolExecutor(repeat) as threads:
                    reported = list(threads.map(lambda _, r=record: network.receipt(r.ref, DELIVERED), range(repeat)))
                assert {delivery.status for delivery in reported} == {200}
        return came_of(running.store) | {
            "accepted": Counter((r.send.sender, r.send.recipient, r.send.text) for r in network.accepted())
        }


def gateways_settled(store: Store) -> None:
    """Wait until nothing waits to be sent."""
    sql = "SELECT id FROM outbox WHERE state IN ('queued', 'sending', 'uncertain')"
    until(lambda: not store.read(lambda tx: tx.query(sql)), "all is sent")


def came_of(store: Store) -> dict[str, object]:
    """Return what stands in the tables that webhooks write to."""
    sql = {
        "outbox": "SELECT mask, recipient, text, kind, state FROM outbox ORDER BY mask, recipient, id",
        "inbox": "SELECT mask, sender, outcome FROM inbox ORDER BY id",
        "events": "SELECT kind, mask FROM events ORDER BY kind, mask",
        "notices": "SELECT mask, participant FROM notices ORDER BY mask, participant",
        "opt_outs": "SELECT mask, participant FROM opt_outs ORDER BY mask, participant",
        "early_receipts": "SELECT carrier_ref FROM early_receipts",
    }
    return {name: store.read(lambda tx, one=one: [dict(row) for row in tx.query(one)]) for name, one in sql.items()}
