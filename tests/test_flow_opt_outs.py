"""STOP, START, HELP and blocks at the carrier over real sockets, with each of the carriers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateways import api
from program import until
from worlds import ANN, BOB, CARRIERS, EVE, MASK, World, world

from gateway.messages import DeliveryStatus
from gateway.testing.network import Fault
from gateway.testing.network.wire import Send

SECOND = "+12065550198"
ORG = "[YOUR ORG NAME]: "
OUT = f"{ORG}You will get no more texts from us. Reply START to get them again."
IN = f"{ORG}You will get texts from us again. Reply STOP to end them."
UNREACHABLE = f"{ORG}Texts cannot reach the other person at the moment."
SUPPRESSED = "the recipient opted out"


@pytest.fixture(params=CARRIERS)
def w(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield world(stack, tmp_path, request.param)


def confirmed_by_us(w: World) -> bool:
    return "flowroute" not in w.gateway.carriers


def unsent(w: World) -> list[tuple[str, str]]:
    """Return text and reason of what was suppressed."""
    rows = w.gateway.store.read(lambda tx: tx.query("SELECT text, reason FROM outbox WHERE state = 'suppressed'"))
    return [(row["text"], row["reason"]) for row in rows]


def said(phone) -> list[str]:
    """Return what a phone got after the start text."""
    return [text.text for text in phone.inbox[1:]]


def through(w: World) -> None:
    """Wait until whatever was put into the outbox before is out: a text of Bob's comes behind it."""
    w.bob.text(MASK, "mark")
    w.ann.wait_for(lambda inbox: inbox[-1].text == "mark")


def test_stop_holds_for_everything_and_start_takes_it_back(w: World) -> None:
    w.open()
    assert w.bob.text(MASK, "“Stop!”").status == 200
    w.ann.wait_for(2)
    w.ann.text(MASK, "are you there?")
    assert unsent(w) == [("are you there?", SUPPRESSED)]
    w.bob.text(MASK, "stop")
    w.bob.text(MASK, "Unstop")
    w.ann.text(MASK, "welcome back")
    w.bob.wait_for(lambda inbox: inbox[-1].text == "welcome back")
    assert said(w.ann) == [UNREACHABLE]
    assert {text.sender for text in w.ann.inbox} == {MASK}
    assert said(w.bob) == ([OUT, IN] if confirmed_by_us(w) else []) + ["welcome back"]
    assert {record.send.text for record in w.network.accepted() if record.send}.isdisjoint({"stop", "“Stop!”"})


def test_a_stop_that_is_delivered_five_times_is_one(w: World) -> None:
    w.open()
    w.bob.text(MASK, "STOP", repeat=5)
    through(w)
    until(lambda: "queued" not in w.states(), "all is sent")
    assert said(w.ann) == [UNREACHABLE, "mark"]
    assert said(w.bob) == ([OUT] if confirmed_by_us(w) else [])


def test_a_word_the_carrier_does_not_know_is_confirmed_by_us_whoever_it_is(w: World) -> None:
    w.open()
    w.bob.text(MASK, "Unsubscribe.")
    assert w.bob.wait_for(2)[1].text == OUT
    w.bob.text(MASK, "start")
    assert w.bob.wait_for(3)[2].text == IN


def test_help_is_answered_without_a_session_and_after_stop(w: World) -> None:
    w.eve.text(MASK, "STOP")
    for _ in range(3):
        w.eve.text(MASK, "help?")
    answer = w.eve.wait_for(lambda inbox: "Help: support@yourorg.com" in inbox[-1].text if inbox else False)[-1].text
    w.eve.text(MASK, "Unstop")
    w.eve.text(MASK, "hello?")
    w.eve.wait_for(lambda inbox: "not found" in inbox[-1].text)
    assert [text.text for text in w.eve.inbox].count(answer) == 1


def test_stop_is_honoured_on_every_number_of_every_carrier(tmp_path: Path) -> None:
    with ExitStack() as stack:
        w = world(stack, tmp_path, "simulator")
        assert api(w.gateway, "POST", "/tn", {"value": SECOND})[0] == 200
        masks = set()
        for other in (ANN, EVE):
            status, answer = api(w.gateway, "POST", "/session", {"participant_a": BOB, "participant_b": other})
            assert status == 200
            masks.add("+" + answer["virtual_tn"])
        assert masks == {MASK, SECOND}
        w.bob.wait_for(2)
        w.bob.text(MASK, "STOP")
        for phone in (w.ann, w.eve):
            phone.wait_for(2)
            phone.text(phone.inbox[0].sender, f"hello from {phone.inbox[0].sender[-1]}")
        assert [text for text, _ in sorted(unsent(w))] == ["hello from 8", "hello from 9"]
        assert [said(w.ann), said(w.eve)] == [[UNREACHABLE], [UNREACHABLE]]


# --- blocks at the carrier ------------------------------------------------------------------------


def blocks(sender: str, recipient: str):
    """Return a carrier that refuses whatever goes from one number to one handset."""
    return lambda send: Fault.opted_out() if (send.sender, send.recipient) == (sender, recipient) else None


def test_a_block_learnt_by_sending_is_kept_told_once_and_avoided_ever_after(w: World) -> None:
    w.open()
    asked: list[Send] = []
    refuse = blocks(MASK, BOB)
    w.network.faults = lambda send: (asked.append(send), refuse(send))[1]
    w.ann.text(MASK, "one")
    w.ann.wait_for(2)
    for words in ("two", "three"):
        w.ann.text(MASK, words)
    through(w)
    assert said(w.ann) == [UNREACHABLE, "mark"]
    assert said(w.bob) == []
    assert [send.text for send in asked if send.recipient == BOB] == ["one"]  # and it is not tried again
    assert [text for text, _ in unsent(w)] == ["one", "two", "three"]
    avoided(w)


def test_a_block_learnt_from_a_receipt_is_kept_told_once_and_avoided_ever_after(w: World) -> None:
    w.open()
    w.ann.text(MASK, "one")
    ref = w.bob.wait_for(2)[1].ref
    for _ in range(2):
        assert w.network.receipt(ref, DeliveryStatus.UNDELIVERED, opted_out=True).status == 200
    w.ann.wait_for(2)
    w.ann.text(MASK, "two")
    through(w)
    assert said(w.ann) == [UNREACHABLE, "mark"]
    assert said(w.bob) == ["one"]
    assert w.state_of(ref) == ["undelivered"]
    assert unsent(w) == [("two", SUPPRESSED)]
    avoided(w)


def avoided(w: World) -> None:
    """Assert that Bob gets this mask no more, others do, and another mask reaches him."""
    pair = {"participant_a": ANN, "participant_b": BOB}
    assert api(w.gateway, "DELETE", "/session", {"session_id": w.session})[0] == 200
    status, answer = api(w.gateway, "POST", "/session", pair)
    assert (status, answer["message"]) == (400, "Could not create a new session -- No virtual TNs available.")
    assert api(w.gateway, "POST", "/api/rest/numberMask", {"client_number": ANN, "contractor_number": BOB})[0] == 400
    assert api(w.gateway, "POST", "/tn", {"value": SECOND})[0] == 200
    for _ in range(5):
        status, answer = api(w.gateway, "POST", "/session", pair)
        assert (status, answer["virtual_tn"]) == (200, SECOND[1:])
        session = answer["session_id"]
        before = len(w.bob.inbox)
        w.ann.text(SECOND, "by the other number")
        w.bob.wait_for(lambda inbox, n=before: len(inbox) > n and inbox[-1].text == "by the other number")
        assert api(w.gateway, "DELETE", "/session", {"session_id": session})[0] == 200
    status, answer = api(w.gateway, "POST", "/session", {"participant_a": ANN, "participant_b": EVE})
    assert status == 200
    assert w.gateway.store.read(lambda tx: tx.masks_refused_by([ANN, BOB, EVE])) == {MASK}


def test_a_start_to_another_mask_leaves_the_carriers_block_and_unstop_to_this_one_lifts_it(tmp_path: Path) -> None:
    """As Flowroute has it: it blocks (number, handset), and only UNSTOP to that number unblocks."""
    with ExitStack() as stack:
        w = world(stack, tmp_path, "flowroute")
        w.open()
        w.bob.text(MASK, "STOP")
        w.ann.wait_for(2)
        assert api(w.gateway, "POST", "/tn", {"value": SECOND})[0] == 200
        w.bob.text(SECOND, "START")
        w.bob.wait_for(2)
        w.ann.text(MASK, "not yet")
        assert unsent(w) == [("not yet", SUPPRESSED)]
        w.bob.text(MASK, "UNSTOP")
        w.ann.text(MASK, "now")
        w.bob.wait_for(lambda inbox: inbox[-1].text == "now")
        assert said(w.bob) == [IN, "now"]
        assert said(w.ann) == [UNREACHABLE]


# --- inside the answer, and in other words --------------------------------------------------------


def test_without_a_token_all_of_it_travels_inside_signalwires_answers(tmp_path: Path) -> None:
    with ExitStack() as stack:
        w = world(stack, tmp_path, "signalwire", settings={"api_token": None})
        bound = {"client_number": ANN, "contractor_number": BOB}
        assert api(w.gateway, "POST", "/api/rest/numberMask", bound)[0] == 200
        for _ in range(2):
            delivery = w.bob.text(MASK, "STOP", ref="11111111-1111-4111-8111-111111111111")
            assert delivery.body.count("<Message") == 2
        assert w.ann.text(MASK, "hello").body.count("<Message") == 0  # she was told
        assert w.bob.text(MASK, "help").body.count("<Message") == 1
        assert w.bob.text(MASK, "start").body.count("<Message") == 1
        w.ann.text(MASK, "hello again")
        assert [text.text for text in w.ann.inbox] == [UNREACHABLE] * 2  # the repeat, too
        assert [text.text for text in w.bob.inbox][-2:] == [IN, "hello again"]
        assert unsent(w) == [("hello", SUPPRESSED)]


def test_words_and_answers_are_the_operators(tmp_path: Path) -> None:
    variables = {
        "ORG_NAME": "Taxi",
        "GATEWAY_STOP_WORDS": "STOP,СТОП",
        "GATEWAY_START_WORDS": "СТАРТ",
        "GATEWAY_HELP_WORDS": "ПОМОЩЬ",
        "GATEWAY_STOP_MSG": "Больше не пишем.",
        "GATEWAY_START_MSG": "Снова пишем.",
        "GATEWAY_HELP_MSG": "Пишите на help@example.com.",
        "GATEWAY_UNREACHABLE_MSG": "Сообщения пока не доходят.",
    }
    with ExitStack() as stack:
        w = world(stack, tmp_path, "simulator", variables=variables)
        w.open()
        for words in ("Помощь?", "стоп!", "старт", "help", "cancel"):
            w.bob.text(MASK, words)
        w.ann.wait_for(4)
        w.bob.wait_for(4)
        assert said(w.ann) == ["[TAXI]: Сообщения пока не доходят.", "help", "cancel"]
        assert said(w.bob) == [f"[TAXI]: {variables[f'GATEWAY_{name}_MSG']}" for name in ("HELP", "STOP", "START")]
