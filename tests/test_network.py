"""The simulated carrier network, over real sockets, with the carrier `simulator` on the other side."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from gateway_simulator import Simulator, SimulatorSettings

from gateway import (
    Callee,
    CallProgress,
    CallState,
    CarrierMisconfigured,
    CarrierSession,
    Connect,
    DeliveryReceipt,
    DeliveryStatus,
    Event,
    InboundCall,
    InboundMessage,
    OutboundMessage,
    PermanentSendError,
    RecipientOptedOut,
    Refuse,
    RetryableSendError,
    SendError,
    Submission,
    Throttled,
    UncertainSendError,
    WebhookRequest,
)
from gateway.testing.network import Answer, Fate, Fault, Network, Request, Send, by_chance
from gateway.testing.network.sockets import Listener

KEY = "made-up-key"
ALICE, BOB, MASK = "+12065550101", "+12065550102", "+12065550199"
NOW = 1_767_323_045_678
PICTURE = "https://media.example.com/a.jpg?signature=a%2Fb"


class Gateway:
    """The other side: an HTTP server that verifies and parses what comes with the real plugin."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answer = Answer(status=200, body="ok")
        self.route: Connect | Refuse = Refuse(words="Nobody is here.")
        self._lock = threading.Lock()
        self._listener = Listener("127.0.0.1", 0, self._serve)
        self._listener.open()
        self.url = f"http://127.0.0.1:{self._listener.port}/webhooks/simulator?token=t"
        self.carrier = carrier("http://unused.invalid")

    def close(self) -> None:
        self._listener.close()

    def _serve(self, request: Request) -> Answer:
        webhook = WebhookRequest(url=self.url, headers=request.headers, body=request.body)
        self.carrier.verify(webhook)
        (event,) = self.carrier.parse(webhook)
        with self._lock:
            self.events.append(event)
        if isinstance(event, InboundCall):
            return Answer(status=200, body=self.carrier.answer_call(event, self.route).body)
        return self.answer


def carrier(url: str, key: str = KEY) -> Simulator:
    return Simulator(SimulatorSettings(url=url, key=key), CarrierSession())


def message(text: str = "On my way", **kwargs: Any) -> OutboundMessage:
    return OutboundMessage(**{"id": text, "sender": MASK, "recipient": BOB, "text": text, **kwargs})


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.close()


@pytest.fixture
def network(gateway: Gateway) -> Iterator[Network]:
    with Network(KEY, webhook_url=gateway.url, clock=lambda: NOW) as network:
        yield network


@pytest.fixture
def simulator(network: Network) -> Simulator:
    return carrier(network.url)


# --- texts from people ----------------------------------------------------------------------------


def test_a_persons_text_reaches_the_gateway_signed(network: Network, gateway: Gateway) -> None:
    delivery = network.handset(ALICE).text(MASK, " Is it “free”? 👋\n", [PICTURE])
    assert (delivery.status, delivery.body) == (200, "ok")
    (event,) = gateway.events
    assert isinstance(event, InboundMessage)
    assert (event.sender, event.recipient, event.text) == (ALICE, MASK, " Is it “free”? 👋\n")
    assert (event.carrier_ref, event.media) == (delivery.ref, (PICTURE,))
    assert event.sent_at
    assert event.sent_at.timestamp() * 1000 == NOW


def test_a_text_can_be_posted_again_and_several_times_at_once(network: Network, gateway: Gateway) -> None:
    first = network.handset(ALICE).text(MASK, "hello", repeat=5)
    again = network.handset(ALICE).text(MASK, "hello", ref=first.ref)
    assert [answer.status for answer in (*first.answers, *again.answers)] == [200] * 6
    assert len(gateway.events) == 6
    assert len({event.carrier_ref for event in gateway.events}) == 1


def test_the_gateways_answer_is_returned_whatever_it_is(network: Network, gateway: Gateway) -> None:
    gateway.answer = Answer(status=503, body="later")
    delivery = network.handset(ALICE).text(MASK, "hello")
    assert (delivery.status, delivery.body) == (503, "later")


def test_no_gateway_is_status_0_and_a_restarted_one_is_found(network: Network, gateway: Gateway) -> None:
    assert network.handset(ALICE).text(MASK, "before").status == 200
    gateway.close()
    assert network.handset(ALICE).text(MASK, "meanwhile").status == 0
    gateway._listener.open()
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
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


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


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "fate", "status"),
    [
        pytest.param(Fault.unavailable(), RetryableSendError, Fate.REFUSED, 503, id="unavailable"),
        pytest.param(Fault.status(500), RetryableSendError, Fate.REFUSED, 500, id="broken"),
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


def test_a_slow_answer_does_not_outlast_the_network(gateway: Gateway) -> None:
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


def test_receipts_follow_a_text_where_they_are_wanted(network: Network, simulator: Simulator, gateway: Gateway) -> None:
    network.receipts = True
    submission = simulator.send(message("with", receipt_url=gateway.url))
    simulator.send(message("without"))
    network.stop()  # waits for those under way
    words = [(event.carrier_ref, event.status) for event in gateway.events if isinstance(event, DeliveryReceipt)]
    ref = submission.carrier_ref
    assert words == [(ref, DeliveryStatus.SENT), (ref, DeliveryStatus.DELIVERED)]


def test_a_receipt_can_be_posted_to_order(network: Network, simulator: Simulator, gateway: Gateway) -> None:
    ref = simulator.send(message()).carrier_ref
    assert network.receipt(ref, DeliveryStatus.UNDELIVERED, code="9", detail="no", opted_out=True).status == 200
    undelivered = DeliveryStatus.UNDELIVERED
    assert gateway.events == [
        DeliveryReceipt(carrier_ref=ref, status=undelivered, code="9", detail="no", opted_out=True)
    ]
    with pytest.raises(KeyError):
        network.receipt("unknown", DeliveryStatus.SENT)


def test_a_call_rings_whom_the_gateway_connects(network: Network, gateway: Gateway) -> None:
    gateway.route = Connect(callees=(Callee(number=BOB, caller_id=MASK),), ring_seconds=25, limit_seconds=60)
    call = network.handset(ALICE).call(MASK)
    assert call.route == gateway.route
    (ring,) = network.handset(BOB).rings
    assert (ring.caller_id, ring.ref, ring.at) == (MASK, call.delivery.ref, NOW)
    assert network.progress(ring.ref, CallState.ENDED, outcome="completed", seconds=7).status == 200
    assert gateway.events == [
        InboundCall(carrier_ref=ring.ref, caller=ALICE, called=MASK),
        CallProgress(carrier_ref=ring.ref, state=CallState.ENDED, outcome="completed", seconds=7),
    ]


def test_a_refused_call_rings_nobody(network: Network, gateway: Gateway) -> None:
    assert network.handset(ALICE).call(MASK).route == Refuse(words="Nobody is here.")
    assert network.handset(BOB).rings == ()


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"connect": {}}', '{"hangup": false, "say": "x"}'])
def test_an_answer_to_a_call_that_means_nothing_is_an_error(network: Network, body: str) -> None:
    with pytest.raises(ValueError, match="simulator's language"):
        network._face.route(Answer(status=200, body=body))


# --- in a process of its own ----------------------------------------------------------------------


class Remote:
    """A network in a process of its own, steered over HTTP."""

    def __init__(self, webhook: str) -> None:
        command = [sys.executable, "-m", "gateway.testing.network", "--key", KEY, "--webhook", webhook]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    def ask(self, method: str, path: str, value: object = None, key: str = KEY) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            body = None if value is None else json.dumps(value)
            connection.request(method, path, body=body, headers={"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/ledger")[0] == 200
        except OSError:
            return False


@pytest.fixture
def remote(gateway: Gateway) -> Iterator[Remote]:
    remote = Remote(gateway.url)
    yield remote
    remote.process.terminate()
    assert remote.process.wait(10) == 0
    assert remote.process.stdout
    remote.process.stdout.close()


def test_it_runs_on_its_own_and_is_steered_over_http(remote: Remote, gateway: Gateway) -> None:
    status, said = remote.ask("POST", f"/handsets/{ALICE}/text", {"to": MASK, "text": "hello", "repeat": 2})
    assert (status, said["status"], len(said["answers"])) == (200, 200, 2)
    assert [event.carrier_ref for event in gateway.events] == [said["ref"]] * 2
    client = carrier(remote.url)
    remote.ask("POST", "/faults", {"fault": "unavailable", "count": 1})
    with pytest.raises(RetryableSendError):
        client.send(message())
    client.send(message())
    inbox = remote.ask("GET", f"/handsets/{BOB}/inbox?wait=1&timeout=5")[1]["inbox"]
    assert [(text["from"], text["text"]) for text in inbox] == [(MASK, "On my way")]
    records = remote.ask("GET", "/ledger")[1]["records"]
    assert [(record["fate"], record["status"]) for record in records] == [("refused", 503), ("accepted", 202)]
    assert remote.ask("GET", "/ledger?after=1")[1]["records"] == records[1:]


def test_a_remote_call_says_what_became_of_it(remote: Remote, gateway: Gateway) -> None:
    gateway.route = Connect(callees=(Callee(number=BOB, caller_id=MASK),))
    said = remote.ask("POST", f"/handsets/{ALICE}/call", {"to": MASK})[1]
    assert said["route"] == {"connect": [{"number": BOB, "caller_id": MASK}]}
    gateway.route = Refuse(words="No.")
    assert remote.ask("POST", f"/handsets/{ALICE}/call", {"to": MASK})[1]["route"] == {"refuse": "No."}


def test_faults_stay_until_they_are_changed(remote: Remote) -> None:
    client = carrier(remote.url)
    remote.ask("POST", "/faults", {"fault": "refused"})
    for _ in range(3):
        with pytest.raises(PermanentSendError):
            client.send(message())
    remote.ask("POST", "/faults", {"fault": None})
    client.send(message())


def test_an_outage_to_order_ends_by_itself(remote: Remote) -> None:
    assert remote.ask("POST", "/pause", {"seconds": 0.1})[0] == 202
    seen = [remote.answers()]
    while seen != [True, False, True]:  # it goes, and comes back
        answers = remote.answers()
        seen += [answers] if answers is not seen[-1] else []


@pytest.mark.parametrize(
    ("method", "path", "value", "status"),
    [
        pytest.param("POST", "/faults", {"fault": "no such"}, 400, id="unknown fault"),
        pytest.param("POST", "/handsets/alice/text", {}, 400, id="no number"),
        pytest.param("POST", f"/handsets/{ALICE}/text", {"to": MASK}, 400, id="no text"),
        pytest.param("GET", f"/handsets/{BOB}/inbox?wait=1&timeout=0.01", None, 504, id="nothing came"),
        pytest.param("GET", "/ledger?after=x", None, 400, id="no such page"),
        pytest.param("PUT", "/ledger", {}, 404, id="unknown"),
    ],
)
def test_control_refuses_in_words(gateway: Gateway, method: str, path: str, value: object, status: int) -> None:
    with Network(KEY, webhook_url=gateway.url, control=True) as network:
        answer = network._serve(_request(method, path, value))
        assert isinstance(answer, Answer)
        assert answer.status == status
        assert "error" in json.loads(answer.body)
        stranger = network._serve(_request(method, path, value, key="other"))
        assert isinstance(stranger, Answer)
        assert stranger.status == 401


def _request(method: str, path: str, value: object, key: str = KEY) -> Request:
    path, _, query = path.partition("?")
    headers = {"authorization": f"Bearer {key}"}
    return Request(method=method, path=path, query=query, headers=headers, body=json.dumps(value).encode())


def test_it_needs_none_of_the_test_tools() -> None:
    code = """
import sys
import gateway.testing.network.__main__
wrong = {"pytest", "responses", "bottle"} & set(sys.modules)
sys.exit(f"imports {wrong}" if wrong else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
