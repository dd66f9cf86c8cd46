"""Lanes: in order, one at a time, paced; claimed by one sender, taken over from a dead one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.messages import DeliveryReceipt, DeliveryStatus, Rate, Weight
from gateway.records import Kind, Message, MessageState, Outcome, Outgoing
from gateway.store import NEVER, Store, Tx

pytestmark = pytest.mark.both_databases

MASK, OTHER_MASK = "+12065550199", "+12065550198"
ANN, BOB = "+12065550101", "+12065550102"
FREE = Rate(per_number=None)
HOUR = 3_600_000


def enqueue(store: Store, text: str, to: str = BOB, mask: str = MASK, now: int = 0, **more) -> int:
    outgoing = Outgoing(carrier="sim", mask=mask, recipient=to, text=text, **more)
    return store.write(lambda tx: tx.enqueue(outgoing, now=now, validity_ms=4 * HOUR))


def claim(
    store: Store, now: int = 0, room: int = 64, rate: Rate = FREE, owner: str = "me", weigh=None
) -> list[Message]:
    return store.write(
        lambda tx: tx.claim("sim", owner, rate=rate, weigh=weigh or (lambda m: Weight()), room=room, now=now)
    )


def settle(store: Store, message: Message, state=MessageState.SENT, now: int = 0, owner: str = "me", **more) -> None:
    outcome = Outcome(message=message, state=state, **more)
    store.write(lambda tx: tx.settle(outcome, owner, now))


def state(store: Store, id: int) -> MessageState:
    return store.read(lambda tx: tx.message(id)).state


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def test_a_lane_gives_its_messages_in_order_one_at_a_time(store: Store) -> None:
    for text in "abc":
        enqueue(store, text)
    sent = []
    for _ in range(3):
        [head] = claim(store)
        assert claim(store) == []
        sent.append(head.text)
        settle(store, head)
    assert sent == ["a", "b", "c"]
    assert claim(store) == []
    assert store.read(lambda tx: tx.query("SELECT * FROM lanes")) == []


def test_lanes_do_not_wait_for_each_other(store: Store) -> None:
    enqueue(store, "to Bob")
    enqueue(store, "to Ann", to=ANN)
    enqueue(store, "to Bob by another mask", mask=OTHER_MASK)
    assert sorted(texts(claim(store))) == ["to Ann", "to Bob", "to Bob by another mask"]


def test_a_message_that_must_be_tried_again_keeps_its_place(store: Store) -> None:
    enqueue(store, "first")
    enqueue(store, "second")
    [head] = claim(store)
    settle(store, head, MessageState.QUEUED, due_at=500)
    assert claim(store, now=499) == []
    [again] = claim(store, now=500)
    assert (again.text, again.attempts) == ("first", 1)


def test_a_refused_message_makes_room_for_the_next(store: Store) -> None:
    enqueue(store, "first")
    enqueue(store, "second")
    [head] = claim(store)
    settle(store, head, MessageState.FAILED, reason="no such number")
    assert texts(claim(store)) == ["second"]


def test_an_attempt_that_does_not_count_is_not_counted(store: Store) -> None:
    enqueue(store, "x")
    settle(store, claim(store)[0], MessageState.QUEUED, due_at=1, counts=False)
    assert claim(store, now=1)[0].attempts == 0


def test_a_number_sends_no_faster_than_its_rate(store: Store) -> None:
    for i in range(5):
        enqueue(store, str(i), to=f"+120655503{i:02}")
    rate, sent = Rate(per_number=1), []
    for now in range(0, 5000, 100):
        for message in claim(store, now=now, rate=rate):
            sent.append((now, message.text))
            settle(store, message, now=now)
    assert [at for at, _ in sent] == [0, 1000, 2000, 3000, 4000]
    assert [text for _, text in sent] == ["0", "1", "2", "3", "4"]


def test_a_message_of_three_parts_takes_three_times_as_long(store: Store) -> None:
    enqueue(store, "long", to=ANN)
    enqueue(store, "next", to=BOB)
    rate = Rate(per_number=1)
    weigh = lambda message: Weight(number=3 if message.text == "long" else 1)  # noqa: E731
    claim(store, rate=rate, weigh=weigh)
    assert claim(store, now=2999, rate=rate, weigh=weigh) == []
    assert texts(claim(store, now=3000, rate=rate, weigh=weigh)) == ["next"]


def test_an_account_sends_no_faster_than_its_rate_over_all_its_numbers(store: Store) -> None:
    for i in range(4):
        enqueue(store, str(i), mask=f"+120655504{i:02}")
    rate = Rate(per_number=None, per_account=5)
    times = [now for now in range(0, 1000, 50) for m in claim(store, now=now, rate=rate) if settle(store, m) is None]
    assert times == [0, 200, 400, 600]


@pytest.mark.parametrize(
    "rate", [Rate(per_number=None, per_account=200), Rate(per_number=200)], ids=["account", "number"]
)
def test_a_fast_pace_is_reached_and_kept_by_who_claims_now_and_then(store: Store, rate: Rate) -> None:
    masks = 30 if rate.per_account else 1
    store.write(lambda tx: [_put(tx, i % masks, i) for i in range(250)])
    counts = [len(claim(store, now=now, rate=rate)) for now in range(10_000, 11_000, 15)]
    assert counts[0] == 4  # 20 ms worth, after whatever pause
    assert set(counts[1:]) == {3}  # and then what fell due since
    assert len(claim(store, now=15_000, rate=rate)) == 4


def test_an_account_that_was_held_back_begins_with_one(store: Store) -> None:
    store.write(lambda tx: [_put(tx, i, i) for i in range(30)])
    rate = Rate(per_account=200)
    assert len(claim(store, now=6_000, rate=rate)) == 4
    store.write(lambda tx: tx.hold_back_account("sim", 7_000))
    counts = [len(claim(store, now=now, rate=rate)) for now in (6_999, 7_000, 7_001, 7_005, 7_015)]
    assert counts == [0, 1, 0, 1, 2]


def test_a_clock_that_is_set_gives_an_account_no_credit(store: Store) -> None:
    store.write(lambda tx: [_put(tx, i, i) for i in range(40)])
    rate = Rate(per_number=None, per_account=200)
    assert len(claim(store, now=HOUR, rate=rate)) == 4
    store.write(lambda tx: tx.set_back(1_000))
    assert [len(claim(store, now=now, rate=rate)) for now in (1_000, 1_001, 1_005)] == [1, 0, 1]
    assert [len(claim(store, now=now, rate=rate)) for now in (HOUR, HOUR + 1, HOUR + 10)] == [4, 0, 2]


def _put(tx: Tx, mask: int, recipient: int) -> int:
    to = Outgoing(carrier="sim", mask=f"+1206555{mask:04}", recipient=f"+1206556{recipient:04}", text="x")
    return tx.enqueue(to, now=0, validity_ms=4 * HOUR)


def test_one_busy_number_does_not_starve_the_others(store: Store) -> None:
    for i in range(200):
        enqueue(store, "busy", to=f"+1206556{i:04}")
    enqueue(store, "calm", mask=OTHER_MASK)
    assert sorted(texts(claim(store, room=2, rate=Rate(per_number=1)))) == ["busy", "calm"]


def test_the_next_look_is_when_something_is_due(store: Store) -> None:
    assert store.read(lambda tx: tx.next_due("sim")) == NEVER
    enqueue(store, "a", now=10)
    assert store.read(lambda tx: tx.next_due("sim")) == 10
    [head] = claim(store, now=10, rate=Rate(per_number=2))
    assert store.read(lambda tx: tx.next_due("sim")) == NEVER  # the lane is taken, nothing else is there
    settle(store, head, MessageState.QUEUED, due_at=100, now=20)
    assert store.read(lambda tx: tx.next_due("sim")) in (100, 510)
    claim(store, now=100, rate=Rate(per_number=2))
    assert store.read(lambda tx: tx.next_due("sim")) == 510  # half a second after the last


def test_the_next_look_after_a_claim_is_when_another_lane_is_due(store: Store) -> None:
    enqueue(store, "tried", to=ANN)
    settle(store, claim(store)[0], MessageState.QUEUED, due_at=500)
    enqueue(store, "new", to=BOB)
    assert texts(claim(store)) == ["new"]
    assert store.read(lambda tx: tx.next_due("sim")) == 500
    assert texts(claim(store, now=500)) == ["tried"]


def test_a_lane_whose_text_was_taken_back_goes(store: Store) -> None:
    id = enqueue(store, "taken back")
    enqueue(store, "stays", to=ANN)
    assert store.write(lambda tx: tx.cancel(id, "the wish of its sender", 0))
    assert texts(claim(store)) == ["stays"]
    assert [row["recipient"] for row in store.read(lambda tx: tx.query("SELECT recipient FROM lanes"))] == [ANN]


def test_a_number_held_back_waits_and_the_others_do_not(store: Store) -> None:
    enqueue(store, "held")
    enqueue(store, "free", mask=OTHER_MASK)
    store.write(lambda tx: tx.hold_back(MASK, 7000))
    assert texts(claim(store, now=6999)) == ["free"]
    assert texts(claim(store, now=7000)) == ["held"]


def test_an_account_held_back_waits(store: Store) -> None:
    enqueue(store, "x")
    rate = Rate(per_account=100)
    store.write(lambda tx: tx.hold_back_account("sim", 7000))
    assert claim(store, now=6999, rate=rate) == []
    assert store.read(lambda tx: tx.next_due("sim")) == 7000
    assert texts(claim(store, now=7000, rate=rate)) == ["x"]


def test_many_senders_never_claim_the_same_lane(store: Store) -> None:
    for i in range(30):
        for n in range(10):
            enqueue(store, f"{i}:{n}", to=f"+120655503{i:02}")
    seen: list[str] = []
    lock = threading.Lock()

    def sender(name: str) -> None:
        while heads := claim(store, room=3, owner=name):
            with lock:
                seen.extend(texts(heads))
            for head in heads:
                settle(store, head, owner=name)

    with ThreadPoolExecutor(6) as threads:
        for future in [threads.submit(sender, f"s{i}") for i in range(6)]:
            future.result()
    while heads := claim(store):  # a sender stops when all lanes are taken by the others
        seen.extend(texts(heads))
        for head in heads:
            settle(store, head)
    assert len(seen) == len(set(seen)) == 300
    for i in range(30):
        assert [text for text in seen if text.startswith(f"{i}:")] == [f"{i}:{n}" for n in range(10)]


def test_a_message_past_its_validity_is_not_sent(store: Store) -> None:
    old = enqueue(store, "old")
    enqueue(store, "new", now=HOUR)
    assert texts(claim(store, now=4 * HOUR)) == ["new"]
    assert state(store, old) is MessageState.EXPIRED


def test_a_nights_backlog_is_settled_in_pieces(store: Store) -> None:
    for lane in range(40):
        for n in range(30):
            enqueue(store, f"{lane}:{n}", to=f"+120655503{lane:02}")
    enqueue(store, "fresh", now=HOUR)
    rounds = []
    while not (heads := claim(store, now=4 * HOUR, room=1)):
        assert store.read(lambda tx: tx.next_due("sim")) <= 4 * HOUR  # and goes on at once
        rounds.append(
            store.read(lambda tx: tx.query("SELECT COUNT(*) AS n FROM outbox WHERE state = 'expired'"))[0]["n"]
        )
    assert texts(heads) == ["fresh"]
    assert rounds == [201, 402, 603, 804, 1005]


def test_the_sweep_expires_what_waits_and_says_so(store: Store) -> None:
    old = enqueue(store, "old")
    assert store.write(lambda tx: tx.expire_messages(4 * HOUR)) == 1
    assert state(store, old) is MessageState.EXPIRED
    assert [event["kind"] for event in store.read(lambda tx: tx.events())] == ["message.expired"]
    assert store.read(lambda tx: tx.query("SELECT * FROM lanes")) == []


def test_the_sweep_leaves_a_message_that_is_being_sent(store: Store) -> None:
    enqueue(store, "x")
    [head] = claim(store)
    assert store.write(lambda tx: tx.expire_messages(5 * HOUR)) == 0
    settle(store, head)
    assert state(store, head.id) is MessageState.SENT


def test_who_opted_out_gets_nothing_but_the_answer_to_a_keyword(store: Store) -> None:
    store.write(lambda tx: tx.opt_out(BOB, "", 0))
    relayed = enqueue(store, "hello")
    enqueue(store, "you are out", kind=Kind.KEYWORD)
    enqueue(store, "to Ann", to=ANN)
    assert sorted(texts(claim(store))) == ["to Ann", "you are out"]
    assert state(store, relayed) is MessageState.SUPPRESSED


def test_a_block_of_the_carrier_counts_for_its_mask_only(store: Store) -> None:
    enqueue(store, "x")
    settle(store, claim(store)[0], MessageState.SUPPRESSED, opted_out=True)
    blocked = enqueue(store, "again")
    enqueue(store, "by another mask", mask=OTHER_MASK)
    assert texts(claim(store)) == ["by another mask"]
    assert state(store, blocked) is MessageState.SUPPRESSED


def test_what_a_dead_sender_had_in_hand_is_uncertain(store: Store) -> None:
    enqueue(store, "first")
    enqueue(store, "second")
    claim(store, owner="dead")
    assert store.write(lambda tx: tx.take_over("dead", run_out_by=19_999, due_at=30)) == 0
    assert store.write(lambda tx: tx.take_over("dead", run_out_by=NEVER, due_at=30)) == 1
    assert claim(store, now=29) == []
    [head] = claim(store, now=30)
    assert (head.text, head.state) == ("first", MessageState.UNCERTAIN)
    settle(store, head, carrier_ref="r1")
    assert texts(claim(store, now=30)) == ["second"]


def test_a_claim_that_is_renewed_does_not_run_out(store: Store) -> None:
    enqueue(store, "x")
    heads = claim(store)
    store.write(lambda tx: tx.renew("me", heads, 10_000))
    assert store.write(lambda tx: tx.take_over("me", run_out_by=29_999, due_at=0)) == 0
    assert store.write(lambda tx: tx.take_over("me", run_out_by=30_000, due_at=0)) == 1


def test_a_sender_that_lost_its_claim_changes_nothing_but_that_it_was_sent(store: Store) -> None:
    id = enqueue(store, "x")
    [head] = claim(store, owner="slow")
    store.write(lambda tx: tx.take_over("slow", NEVER, 0))
    [again] = claim(store, owner="new")
    settle(store, head, MessageState.FAILED, owner="slow")
    assert state(store, id) is MessageState.UNCERTAIN
    settle(store, head, MessageState.SENT, owner="slow", carrier_ref="r1")
    assert state(store, id) is MessageState.SENT
    settle(store, again, MessageState.QUEUED, owner="new", due_at=5)  # its own word comes too late
    assert state(store, id) is MessageState.SENT
    assert claim(store, now=10) == []


def test_a_late_answer_frees_no_lane_that_its_sender_holds_for_another_message(store: Store) -> None:
    """A sender that stood still for a while has two attempts at one message under way; their answers come in turn."""
    enqueue(store, "x")
    enqueue(store, "y")
    [first] = claim(store)
    store.write(lambda tx: tx.take_over("me", NEVER, 0))
    [second] = claim(store)
    settle(store, second)
    [y] = claim(store)
    settle(store, first)
    assert claim(store) == []  # y is at the carrier
    settle(store, y, MessageState.QUEUED)
    assert texts(claim(store)) == ["y"]


def test_a_late_answer_that_it_was_sent_counts_though_it_is_to_be_tried_again(store: Store) -> None:
    id = enqueue(store, "x")
    [head] = claim(store, owner="slow")
    store.write(lambda tx: tx.take_over("slow", NEVER, 0))
    [again] = claim(store, owner="new")
    settle(store, again, MessageState.QUEUED, owner="new", due_at=5)
    settle(store, head, MessageState.FAILED, owner="slow")
    assert state(store, id) is MessageState.QUEUED
    settle(store, head, MessageState.SENT, owner="slow", carrier_ref="r1")
    assert state(store, id) is MessageState.SENT
    assert claim(store, now=10) == []


def test_a_reference_found_by_look_up_is_never_another_messages(store: Store) -> None:
    enqueue(store, "same words")
    settle(store, claim(store)[0], carrier_ref="r1")
    second = enqueue(store, "same words")
    [head] = claim(store)
    assert store.read(lambda tx: tx.taken_refs(head)) == frozenset({"r1"})
    settle(store, head, carrier_ref="r1", found=True)
    assert state(store, second) is MessageState.UNCERTAIN


RECEIPTS = [
    ("in order", [DeliveryStatus.SENT, DeliveryStatus.DELIVERED], MessageState.DELIVERED),
    ("out of order", [DeliveryStatus.DELIVERED, DeliveryStatus.SENT], MessageState.DELIVERED),
    ("final twice", [DeliveryStatus.UNDELIVERED, DeliveryStatus.DELIVERED], MessageState.UNDELIVERED),
    ("no meaning", [DeliveryStatus.UNKNOWN], MessageState.SENT),
    ("repeated", [DeliveryStatus.DELIVERED] * 3, MessageState.DELIVERED),
]


@pytest.mark.parametrize(("receipts", "expected"), [r[1:] for r in RECEIPTS], ids=[r[0] for r in RECEIPTS])
@pytest.mark.parametrize("early", [False, True], ids=["after the answer", "before the answer"])
def test_receipts_never_take_a_message_backwards(store: Store, receipts, expected, early: bool) -> None:
    id = enqueue(store, "x")
    [head] = claim(store)
    if not early:
        settle(store, head, carrier_ref="r1")
    for status in receipts:
        receipt = DeliveryReceipt(carrier_ref="r1", status=status)
        store.write(lambda tx, r=receipt: tx.keep_receipt("sim", r, 5))
    if early:
        settle(store, head, carrier_ref="r1")
        if expected is MessageState.UNDELIVERED:  # of two final words that came early the better one counts
            expected = MessageState.DELIVERED
    assert state(store, id) is expected


def test_a_receipt_for_nobody_changes_nothing_and_is_forgotten(store: Store) -> None:
    receipt = DeliveryReceipt(carrier_ref="nobody", status=DeliveryStatus.DELIVERED)
    assert store.write(lambda tx: tx.take_receipt("sim", receipt, 5)) is False
    store.write(lambda tx: tx.keep_receipt("sim", receipt, 5))
    store.write(lambda tx: tx.forget_notices(5))
    assert store.read(lambda tx: tx.query("SELECT * FROM early_receipts")) == []


def test_a_receipt_of_another_carrier_with_the_same_reference_is_not_ours(store: Store) -> None:
    id = enqueue(store, "x")
    settle(store, claim(store)[0], carrier_ref="r1")
    store.write(
        lambda tx: tx.take_receipt("other", DeliveryReceipt(carrier_ref="r1", status=DeliveryStatus.DELIVERED), 5)
    )
    assert state(store, id) is MessageState.SENT


def test_a_receipt_that_says_blocked_opts_the_pair_out(store: Store) -> None:
    enqueue(store, "x")
    settle(store, claim(store)[0], carrier_ref="r1")
    receipt = DeliveryReceipt(carrier_ref="r1", status=DeliveryStatus.UNDELIVERED, opted_out=True)
    store.write(lambda tx: tx.take_receipt("sim", receipt, 5))
    assert store.read(lambda tx: tx.has_opted_out(BOB, MASK))
    assert not store.read(lambda tx: tx.has_opted_out(BOB, OTHER_MASK))


def test_a_repeat_is_known_by_carrier_and_reference(store: Store) -> None:
    def remember(carrier: str, ref: str):
        return store.write(
            lambda tx: tx.remember(carrier=carrier, ref=ref, mask=MASK, sender=ANN, session="", outcome="x", now=0)
        )

    assert remember("sim", "1") is not None
    assert remember("sim", "1") is None
    assert remember("other", "1") is not None
    assert remember("sim", "") is not None
    assert remember("sim", "") is not None


def test_a_notice_goes_out_once_an_hour(store: Store) -> None:
    may = lambda now, who=ANN: store.write(lambda tx: tx.may_notify(MASK, who, now, HOUR))  # noqa: E731
    assert [may(0), may(1), may(HOUR - 1), may(HOUR), may(HOUR + 1), may(HOUR + 1, BOB)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


def test_a_number_that_moved_to_another_carrier_takes_its_waiting_texts_along(store: Store) -> None:
    enqueue(store, "old")
    moved = Outgoing(carrier="new", mask=MASK, recipient=BOB, text="new")
    store.write(lambda tx: tx.enqueue(moved, now=0, validity_ms=HOUR))
    assert claim(store) == []
    heads = store.write(lambda tx: tx.claim("new", "me", rate=FREE, weigh=lambda m: Weight(), room=9, now=0))
    assert texts(heads) == ["old"]


def test_what_waits_goes_along_at_once_when_a_number_moves(store: Store) -> None:
    store.write(lambda tx: tx.add_number(MASK, "sim", "US", 0))
    enqueue(store, "old")
    store.write(lambda tx: tx.remove_number(MASK, "sim"))
    store.write(lambda tx: tx.add_number(MASK, "new", "US", 0))
    assert claim(store) == []
    heads = store.write(lambda tx: tx.claim("new", "me", rate=FREE, weigh=lambda m: Weight(), room=9, now=0))
    assert texts(heads) == ["old"]
