"""The network with the faces of Flowroute and SignalWire, the real plugins on the other side, over real sockets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import pytest
from faces.flowroute import FlowrouteFace
from faces.signalwire import SignalWireFace
from faces.standin import StandIn
from gateway_flowroute import Flowroute
from gateway_signalwire import SignalWire

from gateway import (
    Callee,
    CallOutcome,
    CallProgress,
    CallState,
    Carrier,
    CarrierMisconfigured,
    CarrierSession,
    Connect,
    DeliveryReceipt,
    DeliveryStatus,
    InboundCall,
    InboundMessage,
    OutboundMessage,
    PermanentSendError,
    RecipientOptedOut,
    Refuse,
    RetryableSendError,
    SendError,
    Throttled,
    UncertainSendError,
)
from gateway.testing.network import Fate, Fault, Network

ALICE, BOB, MASK = "+12065550101", "+12065550102", "+12065550199"
PROJECT, TOKEN, SIGNING = "00000000-0000-4000-8000-000000000001", "made-up-token", "PSK_made_up"
BEGIN = 1_767_323_045
PICTURE = "https://media.example.com/a.jpg?signature=a%2Fb"
TEXT = " Is it 'free' & <ok>? 👋\n\nÅ"


@dataclass(frozen=True)
class Line:
    """A network, the carrier that speaks to it, and the stand-in it posts to."""

    network: Network
    carrier: Carrier
    gateway: StandIn


def flowroute(url: str, **settings: Any) -> Carrier:
    settings = {"access_key": "made-up-access", "secret_key": "made-up-secret", "api_url": f"{url}/v2.2", **settings}
    return Flowroute(Flowroute.Settings(**settings), CarrierSession())


def signalwire(url: str, **settings: Any) -> Carrier:
    settings = {"project_id": PROJECT, "api_token": TOKEN, "signing_key": SIGNING, "api_url": url, **settings}
    return SignalWire(SignalWire.Settings(**settings), CarrierSession())


FACES = {
    "flowroute": (FlowrouteFace("made-up-access", "made-up-secret"), flowroute),
    "flowroute flat": (FlowrouteFace("made-up-access", "made-up-secret", flat=True), flowroute),
    "signalwire": (SignalWireFace(PROJECT, TOKEN, SIGNING), signalwire),
    "signalwire cxml": (SignalWireFace(PROJECT, TOKEN, SIGNING, cxml_calls=True), signalwire),
}


@contextmanager
def connected(face: str, **settings: Any) -> Iterator[Line]:
    speaks, build = FACES[face]
    seconds = itertools.count(BEGIN + 1)  # each text in a second of its own: dates on the wire are no finer
    with Network(face=speaks, clock=lambda: next(seconds) * 1000) as network:
        carrier = build(network.url, **settings)
        gateway = StandIn(carrier)
        network.webhook_url = gateway.url
        yield Line(network=network, carrier=carrier, gateway=gateway)
        gateway.close()


@pytest.fixture(params=FACES)
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    with connected(request.param) as line:
        yield line


@pytest.fixture(params=["signalwire", "signalwire cxml"])
def calls(request: pytest.FixtureRequest) -> Iterator[Line]:
    with connected(request.param) as line:
        yield line


def message(**changes: Any) -> OutboundMessage:
    tried = datetime.fromtimestamp(BEGIN, timezone.utc)
    return replace(OutboundMessage(id="m1", sender=MASK, recipient=BOB, text=TEXT, first_tried_at=tried), **changes)


def test_a_persons_text_is_understood(line: Line) -> None:
    delivery = line.network.handset(ALICE).text(MASK, TEXT)
    assert delivery.status == 200
    (event,) = line.gateway.events
    assert isinstance(event, InboundMessage)
    assert (event.carrier_ref, event.sender, event.recipient, event.text) == (delivery.ref, ALICE, MASK, TEXT)


@pytest.mark.parametrize("face", ["flowroute", "signalwire"])
def test_a_persons_picture_is_understood(face: str) -> None:
    with connected(face) as line:
        line.network.handset(ALICE).text(MASK, "", [PICTURE, f"{PICTURE}2"])
        (event,) = line.gateway.events
        assert isinstance(event, InboundMessage)
        assert (event.text, event.media) == ("", (PICTURE, f"{PICTURE}2"))


def test_a_send_is_understood(line: Line) -> None:
    submission = line.carrier.send(message(media=(PICTURE,), receipt_url="http://x.invalid/"))
    (record,) = line.network.accepted()
    assert record.ref == submission.carrier_ref
    assert record.send
    assert (record.send.sender, record.send.recipient, record.send.text) == (MASK, BOB, TEXT)
    assert (record.send.media, record.send.receipt_url) == ((PICTURE,), "http://x.invalid/")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault.unavailable(), RetryableSendError, id="unavailable"),
        pytest.param(Fault.throttled(7), Throttled, id="throttled"),
        pytest.param(Fault.unauthorized(), CarrierMisconfigured, id="unauthorized"),
        pytest.param(Fault.refused(), PermanentSendError, id="refused"),
        pytest.param(Fault.opted_out(), RecipientOptedOut, id="opted out"),
        pytest.param(Fault.reset(), UncertainSendError, id="reset"),
        pytest.param(Fault.no_answer(), UncertainSendError, id="no answer"),
    ],
)
def test_a_fault_is_understood(line: Line, fault: Fault, error: type[SendError]) -> None:
    line.network.fail_next(1, fault)
    with pytest.raises(SendError) as raised:
        line.carrier.send(message())
    assert type(raised.value) is error
    assert getattr(raised.value, "retry_after", 7.0) == 7.0


def test_a_lookup_finds_the_oldest_that_is_not_taken(line: Line) -> None:
    assert line.carrier.lookup(message()) is None
    first, second = line.carrier.send(message()), line.carrier.send(message())
    line.carrier.send(message(recipient=ALICE))
    line.carrier.send(message(text="other words"))
    assert line.carrier.lookup(message()) == first
    assert line.carrier.lookup(message(taken_refs=frozenset({first.carrier_ref}))) == second
    taken = frozenset({first.carrier_ref, second.carrier_ref})
    assert line.carrier.lookup(message(taken_refs=taken)) is None
    assert {record.fate for record in line.network.ledger} == {Fate.ACCEPTED, Fate.ANSWERED}


@pytest.mark.parametrize(
    ("face", "wrong"), [("flowroute", {"secret_key": "other-secret"}), ("signalwire", {"api_token": "other-token"})]
)
def test_wrong_credentials_are_refused(face: str, wrong: dict[str, str]) -> None:
    with connected(face, **wrong) as line:
        with pytest.raises(CarrierMisconfigured):
            line.carrier.send(message())
        assert [record.status for record in line.network.ledger] == [401]


def test_credentials_are_proved(line: Line) -> None:
    assert line.carrier.check()


@pytest.mark.parametrize("status", [DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED])
def test_a_receipt_is_understood(line: Line, status: DeliveryStatus) -> None:
    ref = line.carrier.send(message(receipt_url=line.gateway.url)).carrier_ref
    assert line.network.receipt(ref, status).status == 200
    (event,) = line.gateway.events
    assert isinstance(event, DeliveryReceipt)
    assert (event.carrier_ref, event.status, event.opted_out) == (ref, status, False)


def test_flowroute_may_refuse_typographic_quotes() -> None:
    face = FlowrouteFace("made-up-access", "made-up-secret", refuses_quotes=True)
    with Network(face=face) as network:
        flowroute(network.url).send(message(text="“It’s here”"))
        (text,) = network.handset(BOB).inbox
    assert text.text == '"It\'s here"'


def test_signalwire_sends_the_replies_in_an_answer() -> None:
    with connected("signalwire", api_token=None) as line:
        line.gateway.replies = [message(media=(PICTURE,))]
        line.network.handset(ALICE).text(MASK, "hello")
        (text,) = line.network.handset(BOB).wait_for(1)
        assert (text.sender, text.text, text.media) == (MASK, TEXT, (PICTURE,))
        assert len(line.network.accepted()) == 1


def test_signalwires_signature_is_checked() -> None:
    with connected("signalwire", signing_key="PSK_another") as line:
        assert line.network.handset(ALICE).text(MASK, "hello").status == 403
        assert line.network.handset(ALICE).call(MASK).delivery.status == 403
        assert line.gateway.events == []


def test_a_call_is_connected_as_the_mask(calls: Line) -> None:
    calls.gateway.route = Connect(callees=(Callee(number=BOB, caller_id=MASK),), ring_seconds=25, limit_seconds=60)
    call = calls.network.handset(ALICE).call(MASK)
    assert call.route == calls.gateway.route
    assert [ring.caller_id for ring in calls.network.handset(BOB).rings] == [MASK]
    (event,) = calls.gateway.events
    assert isinstance(event, InboundCall)
    assert (event.carrier_ref, event.caller, event.called) == (call.delivery.ref, ALICE, MASK)


def test_a_call_is_refused_in_words(calls: Line) -> None:
    assert calls.network.handset(ALICE).call(MASK).route == Refuse(words="Nobody is here.")


def test_call_progress_is_understood() -> None:
    with connected("signalwire cxml") as line:
        ref = line.network.handset(ALICE).call(MASK).delivery.ref
        line.network.progress(ref, CallState.ENDED, outcome=CallOutcome.COMPLETED, seconds=7)
        completed = {"outcome": CallOutcome.COMPLETED, "detail": "completed"}
        ended = CallProgress(carrier_ref=ref, state=CallState.ENDED, seconds=7, **completed)
        assert line.gateway.events[1:] == [ended]
