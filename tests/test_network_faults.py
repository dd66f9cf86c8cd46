"""What can go wrong on the simulated network: faults, outages; and receipts and calls, over real sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from faces.standin import StandIn
from gateway_simulator import Simulator, SimulatorSettings

from gateway import (
    Callee,
    CallOutcome,
    CallProgress,
    CallState,
    CarrierMisconfigured,
    CarrierSession,
    Connect,
    DeliveryReceipt,
    DeliveryStatus,
    InboundCall,
    OutboundMessage,
    PermanentSendError,
    RecipientOptedOut,
    Refuse,
    RetryableSendError,
    SendError,
    Throttled,
    UncertainSendError,
)
from gateway.testing.network import Answer, Fate, Fault, Network, Send, by_chance

KEY = "made-up-key"
ALICE, BOB, MASK = "+12065550101", "+12065550102", "+12065550199"
NOW = 1_767_323_045_678


def carrier(url: str, key: str = KEY) -> Simulator:
    return Simulator(SimulatorSettings(url=url, key=key), CarrierSession())


def message(text: str = "On my way", **kwargs: Any) -> OutboundMessage:
    return OutboundMessage(**{"id": text, "sender": MASK, "recipient": BOB, "text": text, **kwargs})


@pytest.fixture
def gateway() -> Iterator[StandIn]:
    gateway = StandIn(carrier("http://unused.invalid"))
    yield gateway
    gateway.close()


@pytest.fixture
def network(gateway: StandIn) -> Iterator[Network]:
    with Network(KEY, webhook_url=gateway.url, clock=lambda: NOW) as network:
        yield network


@pytest.fixture
def simulator(network: Network) -> Simulator:
    return carrier(network.url)


@pytest.mark.parametrize(
    ("fault", "error", "fate", "status"),
    [
        pytest.param(Fault.unavailable(), RetryableSendError, Fate.REFUSED, 503, id="unavailable"),
        pytest.param(Fault.status(500), RetryableSendError, Fate.REFUSED, 500, id="broken"),
        pytest.param(Fault.status(599), RetryableSendError, Fate.REFUSED, 599, id="a status without a name"),
        pytest.param(Fault.throttled(7), Throttled, Fate.REFUSED, 429, id="throttled"),
        pytest.param(Fault.unauthorized(), CarrierMisconfigured, Fate.REFUSED, 401, id="unauthorized"),
        pytest.param(Fault.refused(), PermanentSendError, Fate.REFUSED, 400, id="refused"),
        pytest.param(Fault.opted_out(), RecipientOptedOut, Fate.REFUSED, 400, id="opted out"),
        pytest.param(Fault.reset(), UncertainSendError, Fate.DROPPED, 0, id="reset"),
        pytest.param(Fault.no_answer(), UncertainSendError, Fate.ACCEPTED, 0, id="no answer"),
    ],
)
def test_a_planned_fault_meets_so_many_sends(
    network: Network, simulator: Simulator, fault: Fault, error: type[SendError], fate: Fate, status: int
) -> None:
    network.fail_next(2, fault)
    for _ in range(2):
        with pytest.raises(SendError) as raised:
            simulator.send(message())
        assert type(raised.value) is error
        assert getattr(raised.value, "retry_after", 7.0) == 7.0
    simulator.send(message("after"))
    first, second, last = network.ledger
    assert (first.fate, first.status, second.status) == (fate, status, status)
    assert first.send
    assert first.send.text == "On my way"
    assert (last.fate, last.status) == (Fate.ACCEPTED, 202)
    taken = 2 if fate is Fate.ACCEPTED else 0
    assert len(network.handset(BOB).inbox) == taken + 1


def test_a_reset_is_a_reset(network: Network) -> None:
    network.fail_next(1, Fault.reset())
    with socket.create_connection(("127.0.0.1", urlsplit(network.url).port), timeout=5) as client:
        body = json.dumps({"id": "1", "from": MASK, "to": BOB, "text": "x"})
        head = f"POST /messages HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall((head + body).encode())
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_slow_answer_comes_once_the_event_is_set(network: Network, simulator: Simulator) -> None:
    ready = threading.Event()
    network.fail_next(1, Fault.slow(ready))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(simulator.send, message())
        network.wait_for(1)  # taken
        assert not sending.done()
        ready.set()
        assert sending.result(5).carrier_ref == network.accepted()[0].ref


def test_a_slow_answer_does_not_outlast_the_network(gateway: StandIn) -> None:
    with Network(KEY) as network, ThreadPoolExecutor(1) as pool:
        network.faults = lambda send: Fault.slow(3600)
        sending = pool.submit(carrier(network.url).send, message())
        network.wait_for(1)
        network.stop()
        assert sending.exception(5) is None or isinstance(sending.exception(), UncertainSendError)


def test_faults_can_be_chosen_by_what_is_sent(network: Network, simulator: Simulator) -> None:
    network.faults = lambda send: Fault.refused() if send.recipient == ALICE else None
    with pytest.raises(PermanentSendError):
        simulator.send(message(recipient=ALICE))
    simulator.send(message(recipient=BOB))


def test_faults_by_chance_depend_on_seed_text_and_try_alone() -> None:
    shares = {Fault.unavailable(): 0.3, Fault.no_answer(): 0.2}
    sends = [Send(sender=MASK, recipient=BOB, text=f"{number}") for number in range(1000)]
    forwards, backwards, other = by_chance(1, shares), by_chance(1, shares), by_chance(2, shares)
    first = [forwards(send) for send in sends]
    assert first == [backwards(send) for send in reversed(sends)][::-1]
    assert first != [other(send) for send in sends]
    assert first != [forwards(send) for send in sends], "the second try has a chance of its own"
    assert 200 < first.count(Fault.unavailable()) < 400
    assert 100 < first.count(Fault.no_answer()) < 300
    assert first.count(None) > 400


def test_a_lookup_can_fail(network: Network, simulator: Simulator) -> None:
    simulator.send(message())
    network.fail_lookups(1, Fault.unavailable())
    with pytest.raises(RetryableSendError):
        simulator.lookup(message())
    assert simulator.lookup(message())


def test_an_outage_refuses_connections_and_ends_on_the_same_port(network: Network, simulator: Simulator) -> None:
    simulator.send(message("before"))  # over a connection that is kept, and cut
    url = network.url
    network.pause()
    seen = []
    for _ in range(2):
        with pytest.raises(RetryableSendError) as raised:
            simulator.send(message("meanwhile"))
        seen.append(type(raised.value))
    assert seen[-1] is RetryableSendError, "refused: it never left"
    network.resume()
    assert network.url == url
    simulator.send(message("after"))
    assert [text.text for text in network.handset(BOB).inbox] == ["before", "after"]
    network.resume()  # once more is harmless


def test_nobody_is_given_the_port_of_a_network_out_of_service(network: Network) -> None:
    port = urlsplit(network.url).port
    network.pause()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    network.resume()


# --- receipts and calls ---------------------------------------------------------------------------


def test_receipts_follow_a_text_where_they_are_wanted(network: Network, simulator: Simulator, gateway: StandIn) -> None:
    network.receipts = True
    submission = simulator.send(message("with", receipt_url=gateway.url))
    simulator.send(message("without"))
    network.stop()  # waits for those under way
    words = [(event.carrier_ref, event.status) for event in gateway.events if isinstance(event, DeliveryReceipt)]
    ref = submission.carrier_ref
    assert words == [(ref, DeliveryStatus.SENT), (ref, DeliveryStatus.DELIVERED)]


def test_a_receipt_can_be_posted_to_order(network: Network, simulator: Simulator, gateway: StandIn) -> None:
    ref = simulator.send(message()).carrier_ref
    assert network.receipt(ref, DeliveryStatus.UNDELIVERED, code="9", detail="no", opted_out=True).status == 200
    undelivered = DeliveryStatus.UNDELIVERED
    assert gateway.events == [
        DeliveryReceipt(carrier_ref=ref, status=undelivered, code="9", detail="no", opted_out=True)
    ]
    with pytest.raises(KeyError):
        network.receipt("unknown", DeliveryStatus.SENT)


def test_a_call_rings_whom_the_gateway_connects(network: Network, gateway: StandIn) -> None:
    gateway.route = Connect(callees=(Callee(number=BOB, caller_id=MASK),), ring_seconds=25, limit_seconds=60)
    call = network.handset(ALICE).call(MASK)
    assert call.route == gateway.route
    (ring,) = network.handset(BOB).rings
    assert (ring.caller_id, ring.ref, ring.at) == (MASK, call.delivery.ref, NOW)
    assert network.progress(ring.ref, CallState.ENDED, outcome=CallOutcome.COMPLETED, seconds=7).status == 200
    assert gateway.events == [
        InboundCall(carrier_ref=ring.ref, caller=ALICE, called=MASK),
        CallProgress(carrier_ref=ring.ref, state=CallState.ENDED, outcome=CallOutcome.COMPLETED, seconds=7),
    ]


def test_a_refused_call_rings_nobody(network: Network, gateway: StandIn) -> None:
    assert network.handset(ALICE).call(MASK).route == Refuse(words="Nobody is here.")
    assert network.handset(BOB).rings == ()


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"connect": {}}', '{"hangup": false, "say": "x"}'])
def test_an_answer_to_a_call_that_means_nothing_is_an_error(network: Network, body: str) -> None:
    with pytest.raises(ValueError, match="simulator's language"):
        network._face.route(Answer(status=200, body=body))
