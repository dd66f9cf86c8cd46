"""The dispatcher: every way a send can end, with a clock one can set. A turn is one look at the outbox."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable

import pytest
from invariants import broken
from scripted import Scripted

from gateway import inbound
from gateway.dispatcher import Dispatcher
from gateway.errors import (
    CarrierMisconfigured,
    PermanentSendError,
    RecipientOptedOut,
    RetryableSendError,
    StoreUnavailable,
    Throttled,
    UncertainSendError,
)
from gateway.messages import Channel, DeliveryReceipt, DeliveryStatus, InboundMessage, Rate, Submission, Weight
from gateway.records import Message, MessageState, Outgoing
from gateway.settings import read_settings
from gateway.store import NEVER, Store
from gateway.store.events import FREQUENT

pytestmark = pytest.mark.both_databases

MASK, OTHER = "+12065550199", "+12065550198"
BOB, CARL = "+12065550102", "+12065550103"


class Bench:
    """A dispatcher that turns when told to, its store, its clock and its carriers."""

    def __init__(self, store: Store, *carriers: Scripted, **settings: str) -> None:
        self.now = 1_000_000
        self.store = store
        self.settings = read_settings(**settings)
        self.dispatcher = Dispatcher(
            store,
            {carrier.name: carrier for carrier in carriers},
            self.settings,
            receipt_url=lambda name: f"http://gw.example.com/webhooks/{name}",
            clock=lambda: self.now,
            dice=lambda: 0.5,
        )

    def enqueue(self, text: str, to: str = BOB, mask: str = MASK, carrier: str = "scripted", **more) -> int:
        outgoing = Outgoing(carrier=carrier, mask=mask, recipient=to, text=text, **more)
        return self.store.write(lambda tx: tx.enqueue(outgoing, now=self.now, validity_ms=self.settings.validity_ms))

    def turn(self, after_ms: int = 0) -> None:
        """Let time pass, claim what is due, wait for the senders, settle."""
        self.now += after_ms
        self.dispatcher.turn()
        for desk in self.dispatcher._desks.values():
            desk.pool.submit(lambda: None).result()
            while len(desk.in_flight) > sum(1 for d, _ in list(self._answers()) if d is desk):
                pass
        self.dispatcher.turn()

    def settle_all(self) -> None:
        """Turn until nothing that is due now is left."""
        while self.dispatcher._busy() or self.dispatcher.turn() <= self.now:
            self.turn()

    def _answers(self):
        kept = []
        while not self.dispatcher._answers.empty():
            kept.append(self.dispatcher._answers.get())
        for one in kept:
            self.dispatcher._answers.put(one)
        return kept

    def message(self, id: int) -> Message:
        return self.store.read(lambda tx: tx.message(id))

    def events(self) -> list[str]:
        """Return the kinds of all events but those of every text that goes as it should."""
        rows = self.store.read(lambda tx: tx.events(count=1000))
        return [row["kind"] for row in rows if row["kind"] not in FREQUENT]


@pytest.fixture
def bench(store: Store):
    benches = []

    def make(*carriers: Scripted, **settings: str) -> Bench:
        benches.append(Bench(store, *carriers, **settings))
        return benches[-1]

    yield make
    for one in benches:
        one.dispatcher.stop()


Make = Callable[..., Bench]


def test_a_text_is_sent_with_everything_its_carrier_needs(bench: Make) -> None:
    carrier = Scripted()
    b = bench(carrier)
    id = b.enqueue(" hi \r\n“x” ", media=("http://x/1?a=b%3D",))
    b.settle_all()
    [sent] = carrier.sent
    assert (sent.id, sent.sender, sent.recipient) == (str(id), MASK, BOB)
    assert (sent.text, sent.media) == (" hi \r\n“x” ", ("http://x/1?a=b%3D",))
    assert sent.receipt_url == "http://gw.example.com/webhooks/scripted"
    message = b.message(id)
    assert (message.state, message.carrier_ref, message.attempts) == (MessageState.SENT, f"ref-{id}", 1)


def test_where_a_carrier_has_no_mms_the_links_stand_in_the_text(bench: Make) -> None:
    carrier = Scripted()
    carrier.channels = frozenset({Channel.SMS})  # type: ignore[misc]
    b = bench(carrier)
    b.enqueue("look", media=("http://x/1", "http://x/2"))
    b.settle_all()
    assert (carrier.sent[0].text, carrier.sent[0].media) == ("look\nhttp://x/1\nhttp://x/2", ())


def test_a_retryable_failure_is_tried_again_after_a_growing_delay(bench: Make) -> None:
    carrier = Scripted(RetryableSendError("503"), RetryableSendError("503"))
    b = bench(carrier)
    id = b.enqueue("x")
    b.settle_all()
    assert b.message(id).state is MessageState.QUEUED
    b.turn(999)
    assert len(carrier.sent) == 1  # half of 2 s, the dice say
    b.turn(1)
    assert len(carrier.sent) == 2
    b.turn(1999)
    assert len(carrier.sent) == 2
    b.turn(1)
    assert b.message(id).state is MessageState.SENT
    assert b.message(id).attempts == 3


def test_a_permanent_failure_is_final_and_the_next_text_goes_out(bench: Make) -> None:
    carrier = Scripted(PermanentSendError("no such number", code="21211"))
    b = bench(carrier)
    first, second = b.enqueue("a"), b.enqueue("b")
    b.settle_all()
    assert (b.message(first).state, b.message(first).reason, b.message(first).code) == (
        MessageState.FAILED,
        "no such number",
        "21211",
    )
    assert b.message(second).state is MessageState.SENT
    assert b.events() == ["message.failed"]


def test_who_blocked_the_number_is_remembered(bench: Make) -> None:
    b = bench(Scripted(RecipientOptedOut("blocked")))
    first, second, other = b.enqueue("a"), b.enqueue("b"), b.enqueue("c", mask=OTHER)
    b.settle_all()
    states = [b.message(id).state for id in (first, second, other)]
    assert sorted(s.value for s in states) == ["sent", "suppressed", "suppressed"] or states[2] is MessageState.SENT


def test_a_throttled_number_waits_as_long_as_the_carrier_asked(bench: Make) -> None:
    carrier = Scripted(Throttled("slow down", retry_after=7))
    b = bench(carrier)
    id = b.enqueue("a")
    b.settle_all()
    b.enqueue("to somebody else from the same number", to=CARL)
    free = b.enqueue("from another number", mask=OTHER)
    b.settle_all()
    assert b.message(free).state is MessageState.SENT
    assert len(carrier.sent) == 2
    b.turn(6_999)
    assert len(carrier.sent) == 2
    b.turn(1)
    b.settle_all()
    assert b.message(id).state is MessageState.SENT
    assert b.message(id).attempts == 1  # being throttled used up none


def test_three_numbers_throttled_at_once_hold_back_the_account(bench: Make) -> None:
    carrier = Scripted(*[Throttled("slow", retry_after=7)] * 3)
    carrier.rate = Rate(per_number=None, per_account=1000)
    b = bench(carrier)
    for i in range(3):
        b.enqueue("x", mask=f"+120655504{i:02}")
        b.settle_all()
        b.now += 1
    assert len(carrier.sent) == 3
    b.enqueue("y", mask=OTHER)
    b.settle_all()
    assert len(carrier.sent) == 3
    b.turn(7_000)
    b.settle_all()
    assert len(carrier.accepted) >= 1


def test_an_uncertain_send_is_looked_up_before_it_is_sent_again(bench: Make) -> None:
    carrier = Scripted(UncertainSendError("no answer"))
    carrier.on_lookup = lambda message: Submission(carrier_ref="known")
    b = bench(carrier)
    id = b.enqueue("x")
    b.settle_all()
    assert b.message(id).state is MessageState.UNCERTAIN
    b.turn(5_000)
    assert (b.message(id).state, b.message(id).carrier_ref) == (MessageState.SENT, "known")
    assert (len(carrier.sent), len(carrier.looked_up)) == (1, 1)


def test_what_the_carrier_does_not_have_is_sent_again(bench: Make) -> None:
    carrier = Scripted(UncertainSendError("no answer"))
    carrier.on_lookup = lambda message: None
    b = bench(carrier)
    id = b.enqueue("x")
    b.settle_all()
    b.turn(5_000)
    assert b.message(id).state is MessageState.SENT
    assert len(carrier.sent) == 2


def test_a_look_up_knows_which_equal_texts_are_spoken_for(bench: Make) -> None:
    carrier = Scripted(None, UncertainSendError("no answer"))
    carrier.on_lookup = lambda message: None
    b = bench(carrier)
    first = b.enqueue("same")
    second = b.enqueue("same")
    b.settle_all()
    b.turn(5_000)
    assert carrier.looked_up[0].taken_refs == {f"ref-{first}"}
    assert carrier.looked_up[0].first_tried_at is not None
    assert b.message(second).state is MessageState.SENT


def test_a_look_up_that_fails_leaves_the_message_uncertain(bench: Make) -> None:
    carrier = Scripted(UncertainSendError("no answer"))
    answers = [RetryableSendError("503"), Submission(carrier_ref="known")]
    carrier.on_lookup = lambda message: answers.pop(0)
    b = bench(carrier)
    id = b.enqueue("x")
    b.settle_all()
    b.turn(5_000)
    assert b.message(id).state is MessageState.UNCERTAIN
    b.turn(20_000)
    assert b.message(id).state is MessageState.SENT
    assert len(carrier.sent) == 1


def test_where_nobody_can_be_asked_a_text_is_sent_twice_rather_than_lost(bench: Make) -> None:
    carrier = Scripted(UncertainSendError("no answer"))
    b = bench(carrier)
    id = b.enqueue("x")
    b.settle_all()
    b.turn(5_000)
    assert b.message(id).state is MessageState.SENT
    assert len(carrier.sent) == 2


def test_or_waits_for_a_human_if_so_set(bench: Make) -> None:
    carrier = Scripted(UncertainSendError("no answer"))
    b = bench(carrier, GATEWAY_UNCERTAIN="hold")
    id, next_one = b.enqueue("x"), b.enqueue("y")
    b.settle_all()
    b.turn(5_000)
    b.settle_all()
    assert b.message(id).state is MessageState.PARKED
    assert b.message(next_one).state is MessageState.SENT
    assert b.events() == ["message.parked"]


def test_a_text_of_doubtful_fate_is_not_sent_after_its_validity(bench: Make) -> None:
    carrier = Scripted(UncertainSendError("no answer"))
    carrier.on_lookup = lambda message: None
    b = bench(carrier, GATEWAY_VALIDITY="1m")
    id = b.enqueue("x")
    b.settle_all()
    b.turn(60_000)
    assert b.message(id).state is MessageState.EXPIRED
    assert len(carrier.sent) == 1


def test_a_bug_in_a_plugin_parks_the_message_and_stops_nobody(bench: Make, caplog: pytest.LogCaptureFixture) -> None:
    carrier = Scripted(KeyError("+12065550102 said hello"))
    b = bench(carrier)
    first, second = b.enqueue("a"), b.enqueue("b")
    with caplog.at_level(logging.DEBUG):
        b.settle_all()
    assert b.message(first).state is MessageState.PARKED
    assert b.message(second).state is MessageState.SENT
    assert "KeyError" in caplog.text
    bug = next(record for record in caplog.records if hasattr(record, "bug")).bug
    assert "scripted.py" in "".join(traceback.format_tb(bug.__traceback__))  # which says where
    assert "5550102" not in caplog.text


def test_a_plugin_that_cannot_weigh_still_sends(bench: Make) -> None:
    carrier = Scripted()
    carrier.weigh = lambda message: 1 / 0  # type: ignore[method-assign]
    b = bench(carrier)
    id = b.enqueue("a")
    b.settle_all()
    assert b.message(id).state is MessageState.SENT


def test_an_outage_costs_no_attempts_and_ends_in_order(bench: Make) -> None:
    carrier = Scripted()
    carrier.on_send = lambda message: RetryableSendError("could not connect")
    b = bench(carrier)
    ids = [b.enqueue(f"{lane}:{n}", to=f"+120655503{lane:02}") for n in range(3) for lane in range(10)]
    for _ in range(300):  # five minutes
        b.turn(1_000)
    tries = len(carrier.sent)
    assert tries < 10 + 5 + 300 / 30 + 5  # the first burst, then one probe now and then
    assert "carrier.paused" in b.events()
    carrier.on_send = lambda message: None
    b.turn(30_000)
    b.settle_all()
    assert [b.message(id).state for id in ids] == [MessageState.SENT] * 30
    assert max(b.message(id).attempts for id in ids) <= 2
    for lane in range(10):
        assert [m.text for m in carrier.accepted if m.text.startswith(f"{lane}:")] == [f"{lane}:{n}" for n in range(3)]
    assert b.events()[-1] == "carrier.resumed"


def test_wrong_credentials_stop_everything_at_once_and_lose_nothing(bench: Make) -> None:
    carrier = Scripted(CarrierMisconfigured("HTTP 401"))
    b = bench(carrier)
    ids = [b.enqueue("x", to=f"+120655503{i:02}") for i in range(5)]
    b.dispatcher._desks["scripted"].senders = 1
    b.turn()
    b.turn(999)
    assert len(carrier.sent) == 1
    b.turn(1)
    b.settle_all()
    assert [b.message(id).state for id in ids] == [MessageState.SENT] * 5
    assert all(b.message(id).attempts == 1 for id in ids)


def test_a_number_that_is_not_ours_is_held_back_alone(bench: Make, caplog: pytest.LogCaptureFixture) -> None:
    carrier = Scripted()
    carrier.on_send = lambda m: CarrierMisconfigured("not yours", number_only=True) if m.sender == MASK else None
    b = bench(carrier)
    bad = b.enqueue("x")
    b.settle_all()
    good = [b.enqueue("y", mask=OTHER, to=f"+120655503{i:02}") for i in range(5)]
    b.settle_all()
    assert all(b.message(id).state is MessageState.SENT for id in good)
    assert b.message(bad).state is MessageState.QUEUED
    assert not b.dispatcher.is_out("scripted")
    carrier.on_send = lambda m: None
    b.turn(1_000)
    assert b.message(bad).state is MessageState.SENT


def test_one_carriers_outage_is_not_anothers(bench: Make) -> None:
    sick, well = Scripted(name="sick"), Scripted(name="well")
    sick.on_send = lambda m: RetryableSendError("503")
    b = bench(sick, well)
    for i in range(20):
        b.enqueue("x", carrier="sick", mask=OTHER, to=f"+120655503{i:02}")
    ids = [b.enqueue("y", carrier="well", to=f"+120655503{i:02}") for i in range(20)]
    b.settle_all()
    assert all(b.message(id).state is MessageState.SENT for id in ids)


def test_what_a_killed_process_was_sending_is_looked_up(bench: Make, store: Store) -> None:
    carrier = Scripted()
    carrier.on_lookup = lambda message: Submission(carrier_ref="from before")
    b = bench(carrier)
    id = b.enqueue("x")
    dead = b.dispatcher._owner.rsplit(":", 2)[0] + ":4194304:1"
    rate = Rate(per_number=None)
    desk = b.dispatcher._desks["scripted"]
    store.write(lambda tx: tx.claim("scripted", dead, rate=rate, weigh=desk.weigh, room=1, now=b.now))
    b.turn(1_000)  # the sweep finds that its process is gone
    b.turn(2_000)
    assert (b.message(id).state, b.message(id).carrier_ref) == (MessageState.SENT, "from before")
    assert carrier.sent == []


def test_stopping_waits_for_what_is_being_sent_and_takes_up_nothing_new(bench: Make) -> None:
    gate, began = threading.Event(), threading.Event()
    carrier = Scripted()

    def slow(message: object) -> None:
        began.set()
        gate.wait(10)

    carrier.on_send = slow
    b = bench(carrier)
    first, second = b.enqueue("a"), b.enqueue("b")
    b.dispatcher.start()
    assert began.wait(10)
    stopper = threading.Thread(target=b.dispatcher.stop)
    stopper.start()
    while b.dispatcher.alive:
        pass
    gate.set()
    stopper.join(10)
    assert b.message(first).state is MessageState.SENT
    assert b.message(second).state is MessageState.QUEUED


def test_a_ring_is_heard_at_once(bench: Make) -> None:
    carrier = Scripted()
    b = bench(carrier)
    b.dispatcher.start()
    for i in range(20):
        b.enqueue(str(i))
        b.dispatcher.ring()
    assert carrier.wait_for(20) == [str(i) for i in range(20)]


def test_whoever_waits_for_the_carriers_answer_is_told(bench: Make) -> None:
    carrier = Scripted(RetryableSendError("503"))
    b = bench(carrier)
    b.dispatcher.start()
    refused, sent = b.enqueue("a"), b.enqueue("b", to=CARL)
    b.dispatcher.ring()
    messages = b.dispatcher.wait_until_answered([refused, sent], timeout=10)
    assert {m.state for m in messages} == {MessageState.QUEUED, MessageState.SENT}


def test_a_dispatcher_outlives_a_database_that_does_not_answer(bench: Make, store: Store) -> None:
    carrier = Scripted()
    b = bench(carrier)
    b.dispatcher.start()
    store.write(lambda tx: tx.query("ALTER TABLE outbox RENAME TO hidden"))
    b.dispatcher.ring()
    b.now += 5_000
    store.write(lambda tx: tx.query("ALTER TABLE hidden RENAME TO outbox"))
    b.enqueue("x")
    b.dispatcher.ring()
    assert carrier.wait_for(1) == ["x"]
    assert b.dispatcher.alive


# --- what others found ----------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["where are you?", "HELP", "STOP"])
def test_a_text_that_comes_by_the_wrong_carrier_takes_no_waiting_text_with_it(bench: Make, words: str) -> None:
    """An answer through the carrier that does not own the mask would send all that waits on the mask through it."""
    right, wrong = Scripted(name="right"), Scripted(name="wrong")
    b = bench(right, wrong)
    b.store.write(lambda tx: tx.add_number(MASK, "right", "US", b.now))
    id = b.enqueue("said before", carrier="right")
    event = InboundMessage(carrier_ref="r1", sender=CARL, recipient=MASK, text=words)
    b.store.write(lambda tx: inbound.message(tx, wrong, event, b.settings, b.now))
    b.settle_all()
    assert [m.text for m in right.sent] == ["said before"]
    assert wrong.sent == []
    assert b.message(id).state is MessageState.SENT


def test_an_account_without_a_rate_is_held_back_all_the_same(bench: Make) -> None:
    carrier = Scripted(*[Throttled("slow", retry_after=7)] * 3)
    b = bench(carrier)
    for i in range(3):
        b.enqueue("x", mask=f"+120655504{i:02}")
        b.settle_all()
    b.enqueue("y", mask=OTHER)
    b.settle_all()
    b.turn(6_999)
    assert len(carrier.sent) == 3
    b.turn(1)
    b.settle_all()
    assert len(carrier.accepted) == 4


def test_while_a_probe_is_out_the_loop_sleeps(bench: Make) -> None:
    gate = threading.Event()
    carrier = Scripted(CarrierMisconfigured("HTTP 401"), lambda message: gate.wait(10) and None)
    b = bench(carrier)
    b.enqueue("x")
    b.turn()
    b.now += 1_000
    b.dispatcher.turn()  # the probe goes out, and does not come back
    assert b.dispatcher.turn() == NEVER
    gate.set()
    b.settle_all()
    assert len(carrier.accepted) == 1


def test_what_failed_before_the_carrier_went_out_is_due_when_it_is_back(bench: Make) -> None:
    carrier = Scripted(*[RetryableSendError("503")] * 7)
    b = bench(carrier, GATEWAY_RETRY_BASE="5m")
    ids = [b.enqueue("x", to=f"+120655503{i:02}") for i in range(6)]
    for _ in ids:  # one after the other: the first four wait for their own next attempt when the circuit opens
        b.dispatcher._desks["scripted"].senders = 1
        b.turn()
    assert b.dispatcher.is_out("scripted")
    for _ in range(3):
        b.turn(4_000)
    assert not b.dispatcher.is_out("scripted")
    b.settle_all()
    assert [b.message(id).state for id in ids] == [MessageState.SENT] * 6


def test_a_number_without_a_limit_does_not_keep_the_others_waiting(bench: Make) -> None:
    carrier = Scripted()
    b = bench(carrier)
    b.dispatcher._desks["scripted"].senders = 1
    for i in range(50):
        b.enqueue("busy", to=f"+120655503{i:02}")
    b.now += 1
    b.enqueue("calm", mask=OTHER)
    for _ in range(4):
        b.turn(1)
    assert "calm" in [message.text for message in carrier.sent]


class NoRate(Scripted):
    @property
    def rate(self) -> Rate:
        raise KeyError("rate")


class NoWeight(Scripted):
    def weigh(self, message: object) -> Weight:
        return None  # type: ignore[return-value]


class NotInline(Scripted):
    @property
    def inline(self) -> bool:
        raise KeyError("inline")


BROKEN = [
    (lambda: NoRate(name="sick"), MessageState.SENT),
    (lambda: NoWeight(name="sick"), MessageState.SENT),
    (lambda: NotInline(name="sick"), MessageState.PARKED),
    (lambda: Scripted(lambda message: (_ for _ in ()).throw(SystemExit(1)), name="sick"), MessageState.PARKED),
    (lambda: Scripted(PermanentSendError("\ud800\x00", code="\udfff"), name="sick"), MessageState.FAILED),
    (lambda: Scripted(PermanentSendError(None, code=21211), name="sick"), MessageState.FAILED),  # type: ignore[arg-type]
    (lambda: Scripted(Throttled("slow", retry_after=float("nan")), name="sick"), MessageState.QUEUED),
    (lambda: Scripted(Throttled("slow", retry_after=float("inf")), name="sick"), MessageState.QUEUED),
    (lambda: Scripted(Throttled("slow", retry_after=-5), name="sick"), MessageState.SENT),
]
BROKEN_IDS = "rate raises · weighs nothing · inline raises · exits · surrogates · no strings · NaN · for ever · past"


@pytest.mark.parametrize(("make", "state"), BROKEN, ids=BROKEN_IDS.split(" · "))
def test_whatever_a_plugin_does_the_other_carriers_texts_go_out(
    bench: Make, make: Callable[[], Scripted], state: MessageState
) -> None:
    sick, well = make(), Scripted(name="well")
    b = bench(sick, well)
    id = b.enqueue("x", carrier="sick", mask=OTHER)
    b.settle_all()
    fine = b.enqueue("y", carrier="well")
    b.settle_all()
    assert b.message(fine).state is MessageState.SENT
    assert b.message(id).state is state
    assert not b.dispatcher._busy()


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_rate_or_weight_nobody_can_keep_is_refused(limit: float) -> None:
    for make in (lambda: Rate(per_number=limit), lambda: Rate(per_account=limit), lambda: Weight(number=limit or -1)):
        with pytest.raises(ValueError, match="is"):
            make()


def test_a_look_up_that_only_finds_anothers_text_neither_spins_nor_blocks_for_ever(bench: Make) -> None:
    carrier = Scripted(None, UncertainSendError("no answer"))
    b = bench(carrier, GATEWAY_VALIDITY="1m")
    first = b.enqueue("same", to=CARL)
    b.settle_all()
    carrier.on_lookup = lambda message: Submission(carrier_ref=f"ref-{first}")
    second = b.enqueue("same")
    b.settle_all()
    for _ in range(59):
        b.turn(1_000)
    assert 5 < len(carrier.looked_up) < 15
    assert b.message(second).state is MessageState.UNCERTAIN
    b.turn(6_000)
    assert b.message(second).state is MessageState.EXPIRED
    third = b.enqueue("next")
    b.turn(6_000)
    assert b.message(third).state is MessageState.SENT


@pytest.mark.parametrize("rate", [None, 1.0], ids=["no pace", "paced"])
def test_a_clock_that_is_set_back_keeps_nobody_waiting(bench: Make, rate: float | None) -> None:
    carrier = Scripted(RetryableSendError("503"))
    carrier.rate = Rate(per_number=rate)
    b = bench(carrier)
    ids = [b.enqueue("x", to=f"+120655503{i:02}") for i in range(3)]
    b.turn()
    b.now -= 900_000
    for _ in range(4):
        b.turn(1_000)
    b.settle_all()
    assert [b.message(id).state for id in ids] == [MessageState.SENT] * 3


def test_a_probe_is_not_put_off_by_a_clock_that_is_set_back(bench: Make) -> None:
    carrier = Scripted(CarrierMisconfigured("HTTP 401"))
    b = bench(carrier)
    id = b.enqueue("x")
    b.turn()
    b.turn(-900_000)
    b.settle_all()
    assert b.message(id).state is MessageState.SENT


def test_the_turn_that_settles_takes_up_the_next(bench: Make) -> None:
    """With every sender busy and all their answers in at once, nobody else would ring."""
    carrier = Scripted()
    b = bench(carrier)
    desk = b.dispatcher._desks["scripted"]
    desk.senders = 2
    for i in range(4):
        b.enqueue("x", to=f"+120655503{i:02}")
    b.dispatcher.turn()
    carrier.wait_for(2)
    while len(b._answers()) < 2:
        pass
    b.dispatcher.turn()
    assert len(desk.in_flight) == 2
    assert len(carrier.wait_for(4)) == 4


def test_an_account_takes_no_more_at_once_than_its_rate_allows(bench: Make) -> None:
    """The account is asked after each text, not only after each number."""
    carrier = Scripted()
    carrier.rate = Rate(per_number=None, per_account=1)
    b = bench(carrier)
    for i in range(5):
        b.enqueue("x", to=f"+120655503{i:02}")
    b.settle_all()
    assert len(carrier.sent) == 1


def test_a_receipt_that_is_faster_than_the_answer_finds_a_text_whose_number_has_moved(bench: Make) -> None:
    old, new = Scripted(name="old"), Scripted(name="new")
    b = bench(old, new)
    id = b.enqueue("x", carrier="old")
    b.enqueue("y", to=CARL, carrier="new")  # the number is the new carrier's now
    receipt = DeliveryReceipt(carrier_ref=f"ref-{id}", status=DeliveryStatus.DELIVERED)
    b.store.write(lambda tx: tx.keep_receipt("new", receipt, b.now))
    b.settle_all()
    assert [m.text for m in old.sent] == []
    assert b.message(id).state is MessageState.DELIVERED


def test_no_number_of_ours_is_told_anything(bench: Make) -> None:
    """Two gateways, or two numbers of one, must not talk to each other for ever."""
    carrier = Scripted()
    b = bench(carrier)
    b.store.write(lambda tx: [tx.add_number(number, "scripted", "US", b.now) for number in (MASK, OTHER)])
    for ref, words in enumerate(("hello", "HELP", "STOP", "START")):
        event = InboundMessage(carrier_ref=f"r{ref}", sender=OTHER, recipient=MASK, text=words)
        b.store.write(lambda tx, event=event: inbound.message(tx, carrier, event, b.settings, b.now))
    b.settle_all()
    assert carrier.sent == []


def test_a_send_that_takes_a_minute_keeps_its_claim(bench: Make, store: Store) -> None:
    gate = threading.Event()
    carrier = Scripted(lambda message: gate.wait(10) and None)
    b = bench(carrier)
    id = b.enqueue("x")
    b.dispatcher.turn()
    for _ in range(12):
        b.now += 5_000
        b.dispatcher.turn()
        [lane] = store.read(lambda tx: tx.query("SELECT * FROM lanes"))
        assert lane["claimed_until"] >= b.now + 10_000  # another dispatcher on the same database finds it in good time
    assert b.message(id).state is MessageState.SENDING
    gate.set()
    b.settle_all()
    assert b.message(id).attempts == 1


def test_what_the_carrier_said_is_kept_until_the_database_takes_it(bench: Make, store: Store) -> None:
    carrier = Scripted()
    b = bench(carrier)
    id = b.enqueue("x")
    b.dispatcher.turn()
    carrier.wait_for(1)
    while not b._answers():
        pass
    store.write(lambda tx: tx.query("ALTER TABLE outbox RENAME TO hidden"))
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            b.dispatcher.turn()
    store.write(lambda tx: tx.query("ALTER TABLE hidden RENAME TO outbox"))
    b.settle_all()
    assert (b.message(id).state, b.message(id).carrier_ref) == (MessageState.SENT, f"ref-{id}")
    assert len(carrier.sent) == 1


def test_what_the_operator_wants_to_know_is_logged_by_id_without_numbers_of_people(
    bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    b = bench(Scripted(PermanentSendError("no such number", code="21211")))
    caplog.set_level(logging.INFO, "gateway")
    refused, old = b.enqueue("hello"), b.enqueue("late", to=CARL, mask=OTHER)
    b.store.write(lambda tx: tx.query("UPDATE outbox SET expires_at = 0 WHERE id = :id", id=old))
    b.store.write(lambda tx: tx.add_event("session.opened", b.now, session="s" * 32, mask=MASK, carrier="scripted"))
    b.settle_all()
    b.turn(1_000)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("INFO", f"session.opened: session {'s' * 32}, mask {MASK}, carrier scripted") in lines
    failed = f"message.failed: message out-{refused}, mask {MASK}, carrier scripted (no such number)"
    assert ("WARNING", failed) in lines
    expired = f"message.expired: message out-{old},"
    assert any(level == "WARNING" and words.startswith(expired) for level, words in lines)
    assert not any(word in caplog.text for word in (BOB, CARL, "hello", "late"))


# --- a commit whose answer is lost ----------------------------------------------------------------------


def lose_the_next_answer(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store keep the next turn, and the dispatcher hear nothing of it."""
    write = b.store.write

    def kept(*args, **more):
        monkeypatch.setattr(b.store, "write", write)
        write(*args, **more)
        raise StoreUnavailable("the connection was lost; whether the last transaction was kept is not known")

    monkeypatch.setattr(b.store, "write", kept)
    with pytest.raises(StoreUnavailable):
        b.dispatcher.turn()


@pytest.mark.parametrize("uncertain", ["resend", "hold"])
def test_what_was_claimed_by_a_turn_nobody_heard_of_is_sent_by_the_next(
    bench: Make, monkeypatch: pytest.MonkeyPatch, uncertain: str
) -> None:
    """Nobody had it in hand: it is not uncertain, and need not wait until the claim runs out."""
    carrier = Scripted()
    b = bench(carrier, GATEWAY_UNCERTAIN=uncertain)
    id = b.enqueue("hi")
    lose_the_next_answer(b, monkeypatch)
    assert (b.message(id).state, b.message(id).attempts) == (MessageState.SENDING, 1)
    b.settle_all()
    assert [sent.text for sent in carrier.sent] == ["hi"]
    assert carrier.looked_up == []
    assert (b.message(id).state, b.message(id).attempts) == (MessageState.SENT, 1)
    assert broken(b.store, b.now) == []


def test_what_was_settled_by_a_turn_nobody_heard_of_is_settled_once(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn settled one text and claimed the next of its lane; a third is with its carrier all the while."""
    carrier, go = Scripted(), threading.Event()
    b = bench(carrier)
    first, second, third = b.enqueue("one"), b.enqueue("two"), b.enqueue("three", to=CARL)
    carrier.on_send = lambda message: (go.wait(10) and None) if message.text == "three" else None
    b.dispatcher.turn()
    carrier.wait_for(1)
    while b.dispatcher._answers.empty():
        pass
    lose_the_next_answer(b, monkeypatch)
    assert [b.message(id).state.value for id in (first, second, third)] == ["sent", "sending", "sending"]
    assert b.dispatcher.turn() >= b.now
    carrier.wait_for(2)
    go.set()
    b.settle_all()
    assert sorted(sent.text for sent in carrier.sent) == ["one", "three", "two"]
    assert [b.message(id).attempts for id in (first, second, third)] == [1, 1, 1]
    assert broken(b.store, b.now) == []


def test_a_dispatcher_whose_stop_did_not_wait_for_a_send_ends_all_the_same(bench: Make) -> None:
    gate, began = threading.Event(), threading.Event()

    def slow(message) -> None:
        began.set()
        gate.wait(10)

    carrier = Scripted()
    carrier.on_send = slow
    b = bench(carrier)
    b.enqueue("one")
    b.dispatcher.start()
    assert began.wait(10)
    b.dispatcher.stop(timeout=0.01)
    b.dispatcher._thread.join(5)
    assert not b.dispatcher._thread.is_alive()
    gate.set()
