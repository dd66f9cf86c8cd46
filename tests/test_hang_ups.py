"""A call that rings for nobody any more is hung up; two who talk go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from program import until
from test_calls import (
    ANN,
    ANNS,
    BOB,
    BOBS,
    CARL,
    CHANGES,
    DAN,
    EVE,
    calls,
    end,
    events,
    last,
    open_,
    opts_out,
    ready,
    replaced,
    texts,
    with_pin,
)
from voices import Phone, Voice
from wsgi import Client, SettableClock

from gateway.carrier import Carrier
from gateway.errors import CarrierMisconfigured, RetryableSendError
from gateway.voice.hang_ups import HangUps

NOBODY = {name: change for name, change in CHANGES.items() if name != "the call ends"}


@pytest.fixture
def voice(carriers: dict[str, Carrier]) -> Voice:
    carriers["voice"] = made = Voice()
    return made


@pytest.fixture
def client(voice: Voice, serve: Callable[..., Client]) -> Client:
    return ready(serve(sending=False))


def sweep(client: Client) -> None:
    context = client.context
    HangUps(context.store, context.carriers, context.settings).sweep(context.clock())


@pytest.mark.both_databases
@pytest.mark.parametrize("change", NOBODY.values(), ids=NOBODY)
def test_a_call_that_rings_for_nobody_any_more_is_hung_up_and_nobody_is_told_that_they_missed_it(
    client: Client, voice: Voice, change: Callable[..., object]
) -> None:
    session = open_(client, ANN, BOB, CARL, calls={"missed_text": True, "voicemail": True})
    phone = Phone(client, ANN, ANNS)
    phone.tell("ringing", 1)
    sweep(client)
    assert (voice.hung_up, last(client)["state"]) == ([], "ringing")
    change(client, session, phone)
    before = texts(client)
    for _ in range(2):
        sweep(client)
    phone.tell("ended", 1, outcome="canceled")
    phone.tell("ended", outcome="canceled")
    assert (voice.hung_up, last(client)["state"], last(client)["outcome"]) == (["c-1"], "ended", "canceled")
    assert [kind for kind, _ in events(client)] == ["call.connected", "call.missed", "call.ended"]
    over = client("GET", f"/v1/sessions/{session['id']}").json()["state"] != "live"
    assert [to for to, _, _ in texts(client)[len(before) :]] == ([] if over else [BOB, CARL])


def test_a_session_that_expires_ends_what_rings(client: Client, voice: Voice, clock: SettableClock) -> None:
    open_(client, expires_at="2026-05-19T22:10:10Z")
    Phone(client, ANN, ANNS)
    sweep(client)
    assert voice.hung_up == []
    clock.tick(seconds=12)
    sweep(client)
    assert voice.hung_up == ["c-1"]


@pytest.mark.parametrize("taken", ["answered", "accepted", "connected"])
def test_two_who_talk_go_on(client: Client, voice: Voice, taken: str) -> None:
    session = open_(client, ANN, BOB, CARL, calls={"accept": taken == "accepted"})
    phone = Phone(client, ANN, ANNS)
    if taken == "accepted":
        phone.step("screened", 1, digits="1")
    else:
        phone.tell("answered", *([1] if taken == "answered" else []))
    end(client, session)
    sweep(client)
    assert (voice.hung_up, last(client)["state"]) == ([], "answered")


def test_a_call_put_through_by_a_pin_rings_from_then_on(client: Client, voice: Voice, clock: SettableClock) -> None:
    session = with_pin(client)
    phone = Phone(client, EVE, ANNS)
    clock.tick(minutes=3)  # who looks for it, and types it wrong first
    assert phone.step("pin", digits="2468")[0] == "Connect"
    end(client, session)
    sweep(client)
    assert voice.hung_up == ["c-1"]


def two_calls(client: Client) -> tuple[Phone, Phone]:
    """Let two people call, each in a session that ends while it rings."""
    made = []
    for ref, caller, callee in (("c-1", ANN, BOB), ("c-2", CARL, DAN)):
        session = open_(client, caller, callee)
        made.append((session, Phone(client, caller, ANNS, ref)))
    for session, _ in made:
        end(client, session)
    return made[0][1], made[1][1]


def test_a_call_that_is_taken_while_another_is_hung_up_goes_on(client: Client, voice: Voice) -> None:
    phones = {phone.ref: phone for phone in two_calls(client)}

    class Slow(Voice):
        def hang_up(self, carrier_ref: str) -> bool:
            """Take so long that the news of the other call is here before it is its turn."""
            [other] = [phone for ref, phone in phones.items() if ref != carrier_ref]
            other.tell("answered", 1)
            return super().hang_up(carrier_ref)

    slow, context = Slow(), client.context
    HangUps(context.store, {"voice": slow}, context.settings).sweep(context.clock())
    assert len(slow.hung_up) == 1
    assert sorted(one["state"] for one in calls(client)) == ["answered", "ended"]


def test_what_nobody_tells_of_for_hours_does_not_stand_before_what_rings(
    client: Client, voice: Voice, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.call_progress.RINGING", 2)
    open_(client, CARL, DAN)
    for ref in ("c-8", "c-9"):
        Phone(client, CARL, ANNS, ref)
    clock.tick(minutes=20)
    session = open_(client)
    Phone(client, ANN, ANNS)
    end(client, session)
    sweep(client)
    assert voice.hung_up == ["c-1"]


def test_as_long_as_somebody_may_take_the_call_it_rings(client: Client, voice: Voice) -> None:
    session = open_(client, ANN, BOB, CARL)
    Phone(client, ANN, ANNS)
    opts_out(client, BOB, BOBS)
    sweep(client)
    assert voice.hung_up == []
    replaced(client, session, CARL)
    sweep(client)
    assert voice.hung_up == ["c-1"]


def test_who_takes_a_place_is_told_nothing_of_calls_to_whom_was_there(client: Client) -> None:
    session = open_(client, ANN, BOB, CARL, calls={"missed_text": True, "voicemail": True})
    phone = Phone(client, ANN, ANNS)
    replaced(client, session, BOB, DAN)
    before = len(texts(client))
    phone.step("dialled")
    phone.report()
    assert [to for to, _, _ in texts(client)[before:]] == [CARL, CARL]


def test_what_a_carrier_cannot_do_now_it_is_asked_again_while_the_call_rings(
    client: Client, voice: Voice, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    session = open_(client)
    Phone(client, ANN, ANNS)
    end(client, session)
    voice.on_hang_up = [RetryableSendError(f"no, {ANN}"), CarrierMisconfigured("401"), ValueError("a fault"), False]
    for left in (3, 2, 1, 0):
        sweep(client)
        assert (len(voice.on_hang_up), last(client)["state"]) == (left, "ringing")
    assert "call 1 rings for nobody and could not be hung up: RetryableSendError" in caplog.text
    assert ANN not in caplog.text
    clock.tick(minutes=2)  # so long it does not ring: nobody has told us what became of it
    sweep(client)
    assert (voice.hung_up, last(client)["state"]) == ([], "ringing")


def test_a_carrier_that_cannot_hang_up_lets_it_ring(client: Client, voice: Voice) -> None:
    assert Carrier.hang_up(voice, "c-1") is False


def test_the_dispatcher_looks_by_itself(client: Client, voice: Voice) -> None:
    session = open_(client)
    Phone(client, ANN, ANNS)
    end(client, session)
    client.context.dispatcher.start()
    until(lambda: last(client)["state"] == "ended", "the call is hung up")
    client.context.dispatcher.stop()
    assert voice.hung_up == ["c-1"]
