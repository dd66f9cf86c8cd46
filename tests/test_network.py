"""The simulated carrier network, over real sockets, with the carrier `simulator` on the other side."""

from __future__ import annotations

import http.client
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
    CarrierMisconfigured,
    CarrierSession,
    InboundMessage,
    OutboundMessage,
    Submission,
)
from gateway.testing.network import Answer, Fate, Network, Send

KEY = "made-up-key"
ALICE, BOB, MASK = "+12065550101", "+12065550102", "+12065550199"
NOW = 1_767_323_045_678
PICTURE = "https://media.example.com/a.jpg?signature=a%2Fb"


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


# --- texts from people ----------------------------------------------------------------------------


def test_a_persons_text_reaches_the_gateway_signed(network: Network, gateway: StandIn) -> None:
    delivery = network.handset(ALICE).text(MASK, " Is it “free”? 👋\n", [PICTURE])
    assert (delivery.status, delivery.body) == (200, "")
    (event,) = gateway.events
    assert isinstance(event, InboundMessage)
    assert (event.sender, event.recipient, event.text) == (ALICE, MASK, " Is it “free”? 👋\n")
    assert (event.carrier_ref, event.media) == (delivery.ref, (PICTURE,))
    assert event.sent_at
    assert event.sent_at.timestamp() * 1000 == NOW


def test_a_text_can_be_posted_again_and_several_times_at_once(network: Network, gateway: StandIn) -> None:
    first = network.handset(ALICE).text(MASK, "hello", repeat=5)
    again = network.handset(ALICE).text(MASK, "hello", ref=first.ref)
    assert [answer.status for answer in (*first.answers, *again.answers)] == [200] * 6
    assert len(gateway.events) == 6
    assert len({event.carrier_ref for event in gateway.events}) == 1


def test_the_gateways_answer_is_returned_whatever_it_is(network: Network, gateway: StandIn) -> None:
    gateway.answer = Answer(status=503, body="later")
    delivery = network.handset(ALICE).text(MASK, "hello")
    assert (delivery.status, delivery.body) == (503, "later")


def test_no_gateway_is_status_0_and_a_restarted_one_is_found(network: Network, gateway: StandIn) -> None:
    assert network.handset(ALICE).text(MASK, "before").status == 200
    gateway.close()
    assert network.handset(ALICE).text(MASK, "meanwhile").status == 0
    gateway.open()
    assert network.handset(ALICE).text(MASK, "after").status == 200


def test_a_kept_connection_the_gateway_has_closed_is_not_used(network: Network, gateway: StandIn) -> None:
    assert network.handset(ALICE).text(MASK, "before").status == 200
    gateway.close()
    gateway.open()
    assert network.handset(ALICE).text(MASK, "after").status == 200


def test_without_a_webhook_url_nobody_can_text() -> None:
    with Network(KEY) as network, pytest.raises(RuntimeError, match="webhook_url"):
        network.handset(ALICE).text(MASK, "hello")


# --- texts to people ------------------------------------------------------------------------------


def test_a_send_reaches_the_handset_and_the_ledger(network: Network, simulator: Simulator) -> None:
    submission = simulator.send(message(" “Yes” 👋\n", media=(PICTURE,), receipt_url="http://x.invalid/"))
    (text,) = network.handset(BOB).wait_for(1)
    assert (text.sender, text.text, text.media, text.at) == (MASK, " “Yes” 👋\n", (PICTURE,), NOW)
    (record,) = network.ledger
    assert (record.fate, record.status, record.at) == (Fate.ACCEPTED, 202, NOW)
    assert record.ref == text.ref == submission.carrier_ref
    words = " “Yes” 👋\n"
    assert record.send == Send(
        id=words, sender=MASK, recipient=BOB, text=words, media=(PICTURE,), receipt_url="http://x.invalid/"
    )
    assert network.accepted() == (record,)
    assert network.handset(ALICE).inbox == ()


def test_inbox_and_ledger_have_the_order_of_the_sends(network: Network, simulator: Simulator) -> None:
    for number in range(20):
        simulator.send(message(f"{number}"))
    assert [text.text for text in network.handset(BOB).inbox] == [f"{number}" for number in range(20)]
    assert [record.seq for record in network.ledger] == list(range(1, 21))
    assert [record.seq for record in network.ledger.after(18)] == [19, 20]


def test_a_text_sent_again_is_doubled(network: Network, simulator: Simulator) -> None:
    simulator.send(message("once"))
    simulator.send(message("twice"))
    simulator.send(message("twice"))
    assert [record.fate for record in network.accepted()] == [Fate.ACCEPTED, Fate.ACCEPTED, Fate.DOUBLED]
    assert [record.send and record.send.text for record in network.ledger.doubled()] == ["twice"]


def test_waiting_ends_when_the_condition_holds_or_time_is_up(network: Network, simulator: Simulator) -> None:
    bob = network.handset(BOB)
    with ThreadPoolExecutor(1) as pool:
        waited = pool.submit(bob.wait_for, lambda inbox: any(text.text == "2" for text in inbox))
        for number in range(3):
            simulator.send(message(f"{number}"))
        assert "2" in [text.text for text in waited.result()]
    assert len(network.wait_for(3)) == 3
    with pytest.raises(TimeoutError, match=r"waited 0\.01 s for 4, 3 came"):
        bob.wait_for(4, timeout=0.01)


def test_128_clients_at_once_are_all_served_once(network: Network) -> None:
    together = threading.Barrier(128)

    def send(number: int) -> Submission:
        together.wait()
        return carrier(network.url).send(message(f"{number}"))

    with ThreadPoolExecutor(128) as pool:
        refs = {submission.carrier_ref for submission in pool.map(send, range(128))}
    assert refs == {record.ref for record in network.accepted()}
    assert len(refs) == 128


# --- what the gateway may ask ---------------------------------------------------------------------


def test_a_lookup_finds_what_was_taken_and_nothing_else(network: Network, simulator: Simulator) -> None:
    submission = simulator.send(message("taken"))
    assert simulator.lookup(message("taken")) == submission
    assert simulator.lookup(message("never sent")) is None
    assert simulator.lookup(message("taken", recipient=ALICE)) is None
    assert [record.fate for record in network.ledger] == [Fate.ACCEPTED, *[Fate.ANSWERED] * 3]


def test_the_key_is_checked(network: Network) -> None:
    stranger = carrier(network.url, key="another-key")
    for ask in (stranger.check, lambda: stranger.send(message()), lambda: stranger.lookup(message())):
        with pytest.raises(CarrierMisconfigured):
            ask()
    assert {(record.fate, record.status) for record in network.ledger} == {(Fate.REFUSED, 401)}
    assert network.handset(BOB).inbox == ()


def test_the_credentials_can_be_proved(simulator: Simulator) -> None:
    assert simulator.check()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "/messages", b"{", 400, id="no JSON"),
        pytest.param("POST", "/messages", b"[]", 400, id="no object"),
        pytest.param("POST", "/messages", b'{"from": "x", "to": "y"}', 400, id="no numbers"),
        pytest.param("DELETE", "/messages", b"", 404, id="unknown method"),
        pytest.param("GET", "/ledger", b"", 404, id="no control unless asked for"),
        pytest.param("PATCH", "/messages", b"", 501, id="a method nobody knows"),
    ],
)
def test_what_it_cannot_read_is_refused(network: Network, method: str, path: str, body: bytes, status: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(network.url).netloc, timeout=5)
    connection.request(method, path, body=body, headers={"Authorization": f"Bearer {KEY}"})
    assert connection.getresponse().status == status
    connection.close()
    assert network.accepted() == ()


@pytest.mark.parametrize(
    "header", ["Content-Length: 1048577", "Content-Length: -1", "Content-Length: x", "Transfer-Encoding: chunked"]
)
def test_a_body_whose_end_it_cannot_tell_is_refused(network: Network, header: str) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(network.url).port), timeout=5) as client:
        client.sendall(f"POST /messages HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n{header}\r\n\r\n".encode())
        assert b"Content-Length, at most" in client.recv(1000)


def test_a_connection_is_kept(network: Network) -> None:
    connection = http.client.HTTPConnection(urlsplit(network.url).netloc, timeout=5)
    sockets = set()
    for _ in range(3):
        connection.request("GET", "/account", headers={"Authorization": f"Bearer {KEY}"})
        assert connection.getresponse().read() == b"{}"
        sockets.add(connection.sock)
    assert len(sockets) == 1
    assert None not in sockets
    connection.close()
