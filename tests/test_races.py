"""Two units of work beside each other on PostgreSQL: what each has read must not be spoilt before it writes.

In each test the first unit has done its work and not committed yet when the second comes: the moment that chance hits
once in a thousand times.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from invariants import broken, empty
from postgres import Server
from program import until
from scripted import Scripted, turn_with

from gateway import inbound, sessions
from gateway.carrier import Carrier
from gateway.desk import Ask, Desk
from gateway.errors import NoNumberFree, StoreError
from gateway.messages import DeliveryReceipt, DeliveryStatus, InboundMessage, Rate
from gateway.records import Leg, Message, MessageState, Origin, Outcome, Outgoing, Session
from gateway.settings import read_settings
from gateway.store import NEVER, Store, Tx

MASK, OTHER_MASK, THIRD_MASK = "+12065550199", "+12065550198", "+12065550197"
ANN, BOB, CARL, DAN, EVE, FAY = (f"+1206555010{i}" for i in range(1, 7))
SETTINGS = read_settings(GATEWAY_QUARANTINE="1h")
CARRIER = Scripted(name="sim")
LATE = 1 << 61

Work = Callable[[Tx], Any]


@pytest.fixture(scope="module")
def one_store(postgres: Server) -> Iterator[Store]:
    with postgres.schema() as url:
        store = Store(url)
        yield store
        store.close()


@pytest.fixture
def store(one_store: Store) -> Store:
    empty(one_store)
    one_store.write(lambda tx: tx.add_number(MASK, "sim", "US", 0))
    return one_store


@pytest.fixture
def race(store: Store, postgres: Server) -> Iterator[Callable[..., tuple[Future[Any], Future[Any]]]]:
    """Return what runs two units, both `shared`, or the second alone.

    The second comes when the first has done all but the COMMIT, or has come to the end of its method `within`; that
    goes on when the second waits for it, or has come to its end without.
    """
    with ThreadPoolExecutor(2) as threads:

        def run(first: Work, second: Work, *, shared: bool = True, within: str = "") -> tuple[Future[Any], Future[Any]]:
            worked, over = threading.Event(), threading.Event()
            pids: list[int] = []

            def meet(tx: Tx) -> None:
                tx.query("SELECT 1")  # which waits until the server has done all that was asked before
                worked.set()
                over.wait(20)

            def hold(tx: Tx) -> Any:
                pids.append(tx.query("SELECT pg_backend_pid() AS pid")[0]["pid"])
                if within:
                    setattr(tx, within, followed_by(lambda: meet(tx), getattr(tx, within)))
                    return first(tx)
                result = first(tx)
                meet(tx)
                return result

            def come(tx: Tx) -> Any:
                pids.append(0)
                return second(tx)

            one = threads.submit(store.write, hold, shared=True)
            assert worked.wait(20)
            other = threads.submit(store.write, come, shared=shared)
            try:
                until(lambda: other.done() or blocks(postgres, pids[0]), "the second unit waits, or is done")
            finally:
                over.set()
            for unit in (one, other):
                unit.exception(20)
            assert len(pids) == 2  # none had to be run again: no two wait for each other
            return one, other

        yield run


def followed_by(then: Callable[[], None], method: Callable[..., Any]) -> Callable[..., Any]:
    def both(*args: Any, **named: Any) -> Any:
        result = method(*args, **named)
        then()
        return result

    return both


def blocks(postgres: Server, pid: int) -> bool:
    return bool(postgres.execute(f"SELECT 1 FROM pg_stat_activity WHERE {pid} = ANY (pg_blocking_pids(pid))"))


# --- sessions ---------------------------------------------------------------------------------------


def session_of(*people: str, expires_at: int | None = None) -> Session:
    return Session(
        id=uuid.uuid4().hex,
        origin=Origin.V1,
        live=True,
        created_at=1,
        expires_at=expires_at,
        reason="",
        legs=tuple(Leg(participant=person, mask="", carrier="") for person in people),
    )


def opens(*people: str) -> Work:
    return lambda tx: tx.open_exclusive(session_of(*people), "sim", strict=False, now=1)


def text(ref: str, sender: str = ANN, said: str = "hi", now: int = 5) -> Work:
    event = InboundMessage(carrier_ref=ref, sender=sender, recipient=MASK, text=said)
    return lambda tx: inbound.message(tx, CARRIER, event, SETTINGS, now)


def open_until(store: Store, expires_at: int | None) -> Session:
    return store.write(
        lambda tx: tx.open_exclusive(session_of(ANN, BOB, expires_at=expires_at), "sim", strict=False, now=1)
    )


def test_opens_do_not_depend_on_running_alone(store: Store, race) -> None:
    """They do run alone. If they did not, a number would still be given once."""
    one, other = race(opens(ANN, BOB), opens(CARL, DAN))
    assert one.result().legs[0].mask == MASK
    with pytest.raises(NoNumberFree):
        other.result()
    assert broken(store, LATE) == []


def test_the_constraint_judges_where_everything_else_has_failed(store: Store, race) -> None:
    def wrongly(work: Work) -> Work:
        def with_no_look(tx: Tx) -> Session:
            tx._choose_exclusive = lambda *_: MASK
            tx.occupy = lambda *_: True
            return work(tx)

        return with_no_look

    _, other = race(wrongly(opens(ANN, BOB)), wrongly(opens(CARL, ANN)))
    with pytest.raises(StoreError, match="in use"):
        other.result()
    lease = store.read(lambda tx: tx.find_lease(MASK, ANN, 2))
    assert [leg.participant for leg in lease.session.others(lease.position)] == [BOB]


def test_two_releases_of_one_number_both_count(store: Store, race) -> None:
    store.write(lambda tx: tx.occupy(MASK, "some", 5))
    race(lambda tx: tx.release(MASK, "some", 2), lambda tx: tx.release(MASK, "some", 3))
    assert store.read(lambda tx: tx.number(MASK)).live == 0


def test_two_who_find_a_session_over_end_it_once(store: Store, race) -> None:
    open_until(store, 5)
    race(text("r1", ANN), text("r2", BOB))
    rows = store.read(lambda tx: tx.query("SELECT kind, recipient FROM outbox"))
    assert [(row["kind"], row["recipient"]) for row in rows] == [("notice", ANN), ("notice", BOB)]
    kinds = [event["kind"] for event in store.read(lambda tx: tx.events())]
    assert kinds.count("session.expired") == 1
    assert broken(store, LATE) == []


def test_who_looks_before_the_expiry_and_who_looks_after_do_not_cross(store: Store, race) -> None:
    open_until(store, 5)
    race(text("r1", now=4), text("r2", now=5))
    assert [row["kind"] for row in store.read(lambda tx: tx.query("SELECT kind FROM outbox"))] == ["relay", "notice"]
    assert broken(store, LATE) == []


# --- webhooks ---------------------------------------------------------------------------------------


def test_a_webhook_delivered_twice_at_once_is_relayed_once(store: Store, race) -> None:
    open_until(store, None)
    race(text("r1"), text("r1"))
    assert len(store.read(lambda tx: tx.query("SELECT id FROM outbox"))) == 1


def test_two_texts_at_once_are_in_the_order_in_which_they_were_taken(store: Store, race) -> None:
    open_until(store, None)
    race(text("r1", said="first"), text("r2", said="second"))
    rows = store.read(lambda tx: tx.query("SELECT text FROM outbox ORDER BY id"))
    assert [row["text"] for row in rows] == ["first", "second"]


def test_what_has_a_place_in_a_lane_is_not_overtaken(store: Store, race) -> None:
    """A message whose id is drawn, and not written yet, is before all that come."""

    def second(tx: Tx) -> int:
        put("second")(tx)
        return len(tx.query("SELECT id FROM outbox"))

    _, other = race(put("first"), second, within="_insert_message")
    assert other.result() == 2  # it waited for the first


def test_texts_to_several_masks_do_not_wait_for_each_other(store: Store, race) -> None:
    legs = [[(ANN, MASK), (BOB, OTHER_MASK), (CARL, THIRD_MASK)], [(DAN, MASK), (EVE, THIRD_MASK), (FAY, OTHER_MASK)]]
    for people in legs:
        session = session_of()
        among = tuple(Leg(participant=p, mask=m, carrier="sim", position=i) for i, (p, m) in enumerate(people))
        store.write(lambda tx, of=session, legs=among: tx.insert_session(of, legs))
    race(text("r1", ANN), text("r2", DAN), within="enqueue_soon")
    assert len(store.read(lambda tx: tx.query("SELECT id FROM outbox"))) == 4


def test_a_stranger_who_texts_twice_at_once_gets_one_notice(store: Store, race) -> None:
    race(text("r1"), text("r2"))
    assert len(store.read(lambda tx: tx.query("SELECT id FROM outbox"))) == 1


@pytest.mark.parametrize("final", [DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED])
def test_of_two_final_receipts_at_once_the_first_counts(store: Store, race, final: DeliveryStatus) -> None:
    [head] = taken_up(store, "x")
    settled(store, head, carrier_ref="c1")
    statuses = [final, *({DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED} - {final})]
    receipts = [DeliveryReceipt(carrier_ref="c1", status=status) for status in statuses]
    first, second = [lambda tx, one=one: tx.take_receipt("sim", one, 1) for one in receipts]
    race(first, second)
    assert store.read(lambda tx: tx.message(head.id)).state.value == final.value


def test_a_receipt_at_once_with_the_answer_to_its_own_send_is_not_lost(store: Store, race) -> None:
    [head] = taken_up(store, "x")
    receipt = DeliveryReceipt(carrier_ref="c1", status=DeliveryStatus.DELIVERED)
    sent = Outcome(message=head, state=MessageState.SENT, carrier_ref="c1")
    race(dispatches("me", sent), lambda tx: inbound.early_receipts(tx, CARRIER, [receipt], SETTINGS, 1), shared=False)
    assert store.read(lambda tx: tx.message(head.id)).state is MessageState.DELIVERED


# --- dispatchers ------------------------------------------------------------------------------------


def put(said: str, mask: str = MASK) -> Work:
    outgoing = Outgoing(carrier="sim", mask=mask, recipient=BOB, text=said)
    return lambda tx: tx.enqueue(outgoing, now=0, validity_ms=LATE)


def dispatches(owner: str, *outcomes: Outcome, room: int = 1, carrier: Carrier = CARRIER) -> Work:
    asks = {"sim": Ask(desk=Desk(carrier, 4), room=room)}
    return lambda tx: turn_with(tx, owner, outcomes, asks, 1)


def taken_up(store: Store, *texts: str) -> list[Message]:
    """Put texts into one lane, and claim its head."""
    for said in texts:
        store.write(put(said))
    return [message for message, _ in store.write(dispatches("me"))]


def settled(store: Store, message: Message, **more: Any) -> None:
    store.write(dispatches("me", Outcome(message=message, state=MessageState.SENT, **more), room=0), shared=True)


def test_two_dispatchers_at_once_take_up_different_masks_and_neither_waits(store: Store, race) -> None:
    store.write(put("x"))
    one, other = race(dispatches("me"), dispatches("you"))
    assert ([message.text for message, _ in one.result()], other.result()) == (["x"], [])
    assert broken(store, LATE) == []


def test_a_text_put_into_a_lane_that_is_emptied_at_once_is_found(store: Store, race) -> None:
    [head] = taken_up(store, "x")
    sent = Outcome(message=head, state=MessageState.SENT)
    _, other = race(put("y"), dispatches("me", sent))
    assert [message.text for message, _ in other.result()] == ["y"]
    assert broken(store, LATE) == []


def test_a_lane_that_is_emptied_at_once_with_a_text_put_into_it_is_there(store: Store, race) -> None:
    [head] = taken_up(store, "x")
    sent = Outcome(message=head, state=MessageState.SENT)
    race(dispatches("me", sent), put("y"))
    assert broken(store, LATE) == []
    assert [message.text for message, _ in store.write(dispatches("me"))] == ["y"]


def test_a_text_that_is_dropped_at_once_with_one_put_behind_it_leaves_that(store: Store, race) -> None:
    store.write(put("x"))
    store.write(lambda tx: tx.opt_out(BOB, MASK, 0))
    race(put("y"), dispatches("me"))
    assert broken(store, LATE) == []


def test_a_sender_that_lost_its_claim_settles_beside_the_one_that_has_it(store: Store, race) -> None:
    [stale] = taken_up(store, "x", "y")
    store.write(lambda tx: tx.take_over("me", NEVER, 0))
    [again] = [message for message, _ in store.write(dispatches("you"))]
    sent = [Outcome(message=one, state=MessageState.SENT, carrier_ref="c1") for one in (stale, again)]
    race(dispatches("me", sent[0], room=0), dispatches("you", sent[1], room=0))
    assert store.read(lambda tx: tx.message(stale.id)).state is MessageState.SENT
    assert [message.text for message, _ in store.write(dispatches("you"))] == ["y"]
    assert broken(store, LATE) == []


def test_an_account_s_pace_counts_what_both_dispatchers_take(store: Store, race) -> None:
    store.write(put("x"))
    store.write(put("y", OTHER_MASK))
    slow = Scripted(name="sim")
    slow.rate = Rate(per_number=None, per_account=1)  # type: ignore[misc]
    one, other = race(dispatches("me", carrier=slow), dispatches("you", carrier=slow))
    assert (len(one.result()), other.result()) == (1, [])


# --- alone ------------------------------------------------------------------------------------------


def test_a_unit_that_runs_alone_sees_what_those_before_it_wrote(store: Store) -> None:
    """Its snapshot is taken when it has the lock, not when it asked for it."""
    inside, go = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        inside.set()
        go.wait(20)
        opens(ANN, BOB)(tx)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(store.write, slow, shared=True)
        inside.wait(20)
        second = threads.submit(store.write, lambda tx: sessions.clear(tx, MASK, "sim", SETTINGS, 2))
        go.set()
        first.result(20)
        assert second.result(20) == 1
