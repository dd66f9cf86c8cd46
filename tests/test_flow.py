"""The main job over real sockets: a carrier's webhook in, the other person's phone out, with each of the carriers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateways import TOKEN, api, carrier_for, gateway, network
from worlds import ANN, BOB, CARRIERS, MASK, NO_SESSION, World, world

from gateway.calls import Connect, Refuse
from gateway.messages import DeliveryStatus
from gateway.testing.network import Fault


@pytest.fixture(params=CARRIERS)
def w(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield world(stack, tmp_path, request.param)


def test_a_conversation(w: World) -> None:
    w.open()
    assert w.ann.text(MASK, "Hello Bob").status == 200
    assert w.bob.wait_for(2)[1].text == "Hello Bob"
    assert w.bob.text(MASK, "Hello Ann").status == 200
    assert w.ann.wait_for(2)[1].text == "Hello Ann"
    assert {text.sender for phone in (w.ann, w.bob) for text in phone.inbox} == {MASK}
    assert w.states() == ["sent"] * 4


@pytest.mark.parametrize(
    "text",
    [
        " leading and trailing ",
        "line\nbreak\n\n  indented",
        "tab\tand  two spaces",
        "\"straight\" 'single' “curly” ‘single’",
        "<b>&amp; fish & chips</b>",
        "Café at 5? ☃ €20 😀 👩‍👩‍👧",
        "العربية 日本語",
        "+12065550101 is my number",
        "%2B %20 + =",
        "x" * 1000,
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_a_text_arrives_as_it_was_written(w: World, text: str) -> None:
    w.open()
    w.ann.text(MASK, text)
    assert w.bob.wait_for(2)[1].text == text


def test_a_picture_arrives(w: World) -> None:
    w.open()
    url = "https://media.example.com/1490-pic.jpg?AWSAccessKeyId=E&Expires=1&Signature=abc%3D"
    w.ann.text(MASK, "look", media=(url,))
    assert w.bob.wait_for(2)[1].media == (url,)


def test_a_repeated_webhook_is_relayed_once(w: World) -> None:
    w.open()
    delivery = w.ann.text(MASK, "once", repeat=5)
    assert {answer.status for answer in delivery.answers} == {200}
    w.ann.text(MASK, "last")
    w.bob.wait_for(lambda inbox: inbox[-1].text == "last")
    assert [text.text for text in w.bob.inbox[1:]] == ["once", "last"]


def test_equal_texts_that_are_not_repeats_all_arrive(w: World) -> None:
    w.open()
    for _ in range(3):
        w.ann.text(MASK, "ok")
    assert [text.text for text in w.bob.wait_for(4)[1:]] == ["ok"] * 3


def test_many_texts_arrive_in_order(w: World) -> None:
    w.open()
    for i in range(30):
        w.ann.text(MASK, str(i))
    assert [text.text for text in w.bob.wait_for(31, timeout=20)[1:]] == [str(i) for i in range(30)]


def test_a_stranger_gets_the_no_session_words_once_and_nobody_gets_the_text(w: World) -> None:
    w.open()
    w.eve.text(MASK, "who is there")
    assert [text.text for text in w.eve.wait_for(1)] == [NO_SESSION]
    w.eve.text(MASK, "hello?")
    w.ann.text(MASK, "last")
    w.bob.wait_for(2)
    assert len(w.eve.inbox) == 1
    assert [text.text for text in w.bob.inbox[1:]] == ["last"]


def test_after_the_end_a_text_reaches_nobody(w: World) -> None:
    w.open()
    assert api(w.gateway, "DELETE", "/session", {"session_id": w.session})[0] == 200
    w.bob.wait_for(2)
    w.ann.text(MASK, "are you still there?")
    assert w.ann.wait_for(3)[-1].text == NO_SESSION
    assert len(w.bob.inbox) == 2


@pytest.mark.parametrize(
    "fault",
    [Fault.unavailable(), Fault.throttled(0.05), Fault.reset(), Fault.no_answer(), Fault.unauthorized()],
    ids=["503", "429", "reset", "taken without an answer", "401"],
)
def test_a_failing_carrier_delays_a_text_and_neither_loses_nor_doubles_it(w: World, fault: Fault) -> None:
    w.open()
    w.network.fail_next(1, fault)
    w.ann.text(MASK, "one")
    w.ann.text(MASK, "two")
    assert [text.text for text in w.bob.wait_for(3, timeout=20)[1:]] == ["one", "two"]


def test_a_text_refused_for_good_does_not_stop_the_next(w: World) -> None:
    w.open()
    w.network.fail_next(1, Fault.refused())
    w.ann.text(MASK, "bad")
    w.ann.text(MASK, "good")
    assert [text.text for text in w.bob.wait_for(2)[1:]] == ["good"]
    assert w.states() == ["failed", "sent", "sent", "sent"]


def test_an_outage_loses_nothing_and_keeps_the_order(w: World) -> None:
    w.open()
    w.network.pause()
    for i in range(10):
        assert w.ann.text(MASK, str(i)).status == 200
    w.network.resume()
    assert [text.text for text in w.bob.wait_for(11, timeout=30)[1:]] == [str(i) for i in range(10)]


def test_a_receipt_says_what_became_of_a_text(w: World) -> None:
    w.open()
    w.ann.text(MASK, "x")
    ref = w.bob.wait_for(2)[1].ref
    assert w.network.receipt(ref, DeliveryStatus.DELIVERED).status == 200
    assert w.states() == ["delivered", "sent", "sent"]
    assert w.state_of(ref) == ["delivered"]


def test_a_session_past_its_expiry_connects_nobody(w: World) -> None:
    body = {"participant_a": ANN, "participant_b": BOB, "expiry_window": 0.005}
    assert api(w.gateway, "POST", "/session", body)[0] == 200
    w.bob.wait_for(1)
    while api(w.gateway, "GET", "/tn")[1]["in_use"]:
        pass
    w.ann.text(MASK, "late")
    assert w.ann.wait_for(2)[-1].text == NO_SESSION
    assert len(w.bob.inbox) == 1


def test_a_carrier_whose_numbers_are_used_by_nobody_else_cannot_reach_them(tmp_path: Path) -> None:
    """A text that comes in by one carrier for a mask of another is no word of that mask's participants."""
    with ExitStack() as stack:
        ours, other = stack.enter_context(network("simulator")), stack.enter_context(network("flowroute"))
        carriers = {"simulator": carrier_for(ours, "simulator"), "flowroute": carrier_for(other, "flowroute")}
        running = stack.enter_context(gateway(tmp_path, carriers, GATEWAY_TN_CARRIER="simulator"))
        other.webhook_url = f"{running.url}/webhooks/flowroute/{TOKEN}"
        ours.webhook_url = f"{running.url}/webhooks/simulator"
        api(running, "POST", "/tn", {"value": MASK})
        api(running, "POST", "/session", {"participant_a": ANN, "participant_b": BOB})
        bob = ours.handset(BOB)
        bob.wait_for(1)
        assert other.handset(ANN).text(MASK, "not by this door").status == 200
        ours.handset(ANN).text(MASK, "by this one")
        assert bob.wait_for(2)[1].text == "by this one"
        assert other.accepted() == ()  # no answer either: the mask is not that carrier's to speak from


@pytest.mark.parametrize("cxml", [False, True], ids=["SWML", "cXML"])
def test_a_call_is_put_through_behind_the_mask(tmp_path: Path, cxml: bool) -> None:
    with ExitStack() as stack:
        w = world(stack, tmp_path, "signalwire", cxml_calls=cxml)
        w.open()
        route = w.ann.call(MASK).route
        assert isinstance(route, Connect)
        assert [(c.number, c.caller_id) for c in route.callees] == [(BOB, MASK)]
        assert [ring.caller_id for ring in w.bob.rings] == [MASK]
        refused = w.eve.call(MASK).route
        assert isinstance(refused, Refuse)
        assert refused.words


def test_without_a_token_signalwires_replies_travel_in_the_answer(tmp_path: Path) -> None:
    with ExitStack() as stack:
        w = world(stack, tmp_path, "signalwire", settings={"api_token": None})
        status, _ = api(w.gateway, "POST", "/session", {"participant_a": ANN, "participant_b": BOB})
        assert status == 500  # nothing can be sent unasked: no start text, so no session
        bound = {"client_number": ANN, "contractor_number": BOB}
        assert api(w.gateway, "POST", "/api/rest/numberMask", bound)[0] == 200  # and the pool's only number is free
        w.network.webhook_url = f"{w.gateway.url}/texts/route?token={TOKEN}"
        for _ in range(2):  # the second is a repeat: the first answer may have been lost
            delivery = w.ann.text(MASK, " Fish & <chips>\n", ref="11111111-1111-4111-8111-111111111111")
            assert "<Message" in delivery.body
        assert [text.text for text in w.bob.inbox[:1]] == [" Fish & <chips>\n"]
        w.eve.text(MASK, "hello?")
        assert [text.text for text in w.eve.inbox] == [NO_SESSION]
        assert w.states() == ["failed", "failed", "sent", "sent"]


def test_the_inherited_urls_take_the_token_as_a_parameter(tmp_path: Path) -> None:
    with ExitStack() as stack:
        w = world(stack, tmp_path, "flowroute")
        w.open()
        w.network.webhook_url = f"{w.gateway.url}/?token={TOKEN}"
        assert w.ann.text(MASK, "by the old door").status == 200
        assert w.bob.wait_for(2)[1].text == "by the old door"
        w.network.webhook_url = f"{w.gateway.url}/"
        assert w.ann.text(MASK, "without the token").status == 403
        w.network.webhook_url = f"{w.gateway.url}/?token=wrong"
        assert w.ann.text(MASK, "with a wrong one").status == 403
        assert len(w.bob.inbox) == 2


@pytest.mark.parametrize("text", ["hello", "STOP"])
def test_a_number_that_is_not_in_the_pool_is_answered_and_not_written_down(w: World, text: str) -> None:
    """It may be anybody's, and events are logged."""
    assert w.ann.text(BOB, text).status == 200
    events = w.gateway.store.read(lambda tx: tx.events())
    assert {"number.unknown", "opt_out"} & {event["kind"] for event in events}
    assert BOB[1:] not in str([dict(event) for event in events])
