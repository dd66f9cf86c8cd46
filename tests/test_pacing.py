"""Pace is counted in parts, as each carrier counts them; a 429 holds back its number, several of them the account."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import gateways
import pytest
from minutes import Lane, Minutes, minutes
from program import until

from gateway import pacing
from gateway.messages import OutboundMessage, Weight
from gateway.store import Store, Tx
from gateway.testing.network import Fault, Network

# --- parts ----------------------------------------------------------------------------------------------

ESCAPES = "{}[]~\\^|€\f"
FAMILY = "👨\u200d👩\u200d👧"  # 8 units of UTF-16

#: text, its parts as everybody else counts them (160/153, 70/67), and as Flowroute does (160/140, 70/70)
PARTS = [
    pytest.param("", 1, 1, id="nothing"),
    pytest.param("a" * 160, 1, 1, id="160"),
    pytest.param("a" * 161, 2, 2, id="161"),
    pytest.param("a" * 280, 2, 2, id="280"),
    pytest.param("a" * 281, 2, 3, id="281"),
    pytest.param("a" * 306, 2, 3, id="306"),
    pytest.param("a" * 307, 3, 3, id="307"),
    pytest.param("☃" * 70, 1, 1, id="70"),
    pytest.param("☃" * 71, 2, 2, id="71"),
    pytest.param("☃" * 134, 2, 2, id="134"),
    pytest.param("☃" * 135, 3, 2, id="135"),
    pytest.param("☃" * 141, 3, 3, id="141"),
    pytest.param(ESCAPES * 8, 1, 1, id="80 escapes"),
    pytest.param(ESCAPES * 8 + "{", 2, 2, id="81 escapes"),
    pytest.param("{" * 140, 2, 2, id="140 escapes"),
    pytest.param("{" * 141, 2, 3, id="141 escapes"),
    pytest.param("{" * 152, 2, 3, id="152 escapes: 76 in a part of 153"),
    pytest.param("{" * 153, 3, 3, id="153 escapes"),
    pytest.param("a" * 158 + "€", 1, 1, id="an escape that fits"),
    pytest.param("a" * 159 + "€", 2, 2, id="an escape that does not"),
    pytest.param("a" * 152 + "€" + "a" * 151, 2, 3, id="an escape over the border of 153"),
    pytest.param("a" * 152 + "€" + "a" * 152, 3, 3, id="an escape over the border of 153, and one more"),
    pytest.param("a" * 139 + "€" + "a" * 138, 2, 2, id="an escape over the border of 140"),
    pytest.param("a" * 139 + "€" + "a" * 139, 2, 3, id="an escape over the border of 140, and one more"),
    pytest.param("😀" * 35, 1, 1, id="35 emoji"),
    pytest.param("😀" * 36, 2, 2, id="36 emoji"),
    pytest.param("😀" * 66, 2, 2, id="66 emoji: 33 in a part of 67"),
    pytest.param("😀" * 67, 3, 2, id="67 emoji"),
    pytest.param("😀" * 70, 3, 2, id="70 emoji: 35 in a part of 70"),
    pytest.param("😀" * 71, 3, 3, id="71 emoji"),
    pytest.param("☃" * 66 + "😀" + "☃" * 65, 2, 2, id="a surrogate pair over the border of 67"),
    pytest.param("☃" * 66 + "😀" + "☃" * 66, 3, 2, id="a surrogate pair over the border of 67, and one more"),
    pytest.param("☃" * 69 + "😀" + "☃" * 68, 3, 2, id="a surrogate pair over the border of 70"),
    pytest.param("☃" * 69 + "😀" + "☃" * 69, 3, 3, id="a surrogate pair over the border of 70, and one more"),
    pytest.param(FAMILY * 8, 1, 1, id="families"),
    pytest.param(FAMILY * 9, 2, 2, id="one family more"),
    pytest.param("a" * 69 + "’", 1, 1, id="a typographic quote"),
    pytest.param("a" * 70 + "’", 2, 2, id="a typographic quote halves what fits"),
    pytest.param("a" * 70 + "`", 2, 2, id="so does a back-tick"),
    pytest.param("à" * 160, 1, 1, id="some accents cost nothing"),
    pytest.param("á" * 71, 2, 2, id="others do"),
    pytest.param("line\r\n" * 26, 1, 1, id="line breaks"),
]


@pytest.mark.parametrize(("text", "standard", "flowroute"), PARTS)
def test_a_text_weighs_its_parts(text: str, standard: int, flowroute: int) -> None:
    message = OutboundMessage(id="1", sender="+12065550199", recipient="+12065550101", text=text)
    nowhere = Network("key", port=9)
    nowhere._listener._address = ("127.0.0.1", 9)
    assert pacing.parts(text) == standard
    weights = {name: gateways.carrier_for(nowhere, name).weigh(message) for name in ("signalwire", "flowroute")}
    assert weights["signalwire"] == Weight(number=standard, account=standard)
    assert weights["flowroute"] == Weight(number=flowroute, account=1)


# --- 429 --------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
@pytest.mark.parametrize("throttled", [1, 2, 3])
def test_a_429_holds_back_its_number_and_three_at_a_time_the_account_whoever_sent(store: Store, throttled: int) -> None:
    with minutes(store, {"simulator": {}}, 4) as m:
        network, everyone = m.networks["simulator"], m.meet("simulator", 5)
        lanes, back = everyone[::2], everyone[1]
        for n, lane in enumerate(lanes[:throttled]):  # each by another dispatcher
            network.fail_next(1, Fault.throttled(7))
            turn_of(m, n, lane)
            m.clock.tick(ms=100)
        assert network.accepted() == ()
        turn_of(m, 3, lanes[4])
        assert len(network.accepted()) == (1 if throttled < 3 else 0)
        turn_of(m, 0, back)  # to somebody else, from the number that was refused
        assert len(network.accepted()) == (1 if throttled < 3 else 0)
        m.run(seconds=8)
        assert m.waiting() == []
        held = [record for record in network.accepted() if record.send.sender == lanes[0].mask]
        assert min(record.at for record in held) - network.ledger.after(0)[0].at >= 7_000
        assert {row["attempts"] for row in m.client.outbox()} == {1}


def test_numbers_throttled_one_after_the_other_are_no_crowd(store: Store) -> None:
    with minutes(store, {"simulator": {}}, 1) as m:
        network, lanes = m.networks["simulator"], m.meet("simulator", 5)[::2]
        for lane in lanes[:4]:
            network.fail_next(1, Fault.throttled(7))
            turn_of(m, 0, lane)
            m.run(seconds=4)  # two are throttled at a time, and no three
        turn_of(m, 0, lanes[4])
        assert network.accepted()[-1].send.sender == lanes[4].mask


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_waited_for_the_accounts_lock_goes_by_the_time_at_which_it_came(store: Store) -> None:
    """By the time before, what just fell due would look long due, and go out in a burst."""
    locked, release = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        tx.lock_paces((), {"flowroute"})
        locked.set()
        release.wait(20)

    with minutes(store, {"flowroute": {}}, 1) as m, ThreadPoolExecutor(2) as threads:
        m.say(m.meet("flowroute", 1)[0])
        holding = threads.submit(store.write, hold, shared=True)
        assert locked.wait(20)
        turning = threads.submit(m.dispatchers[0].turn)
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%paces%'"
        until(lambda: store.read(lambda tx: tx.query(waits)), "the dispatcher waits")
        m.clock.tick(ms=700)
        release.set()
        holding.result()
        turning.result()
        m.run(ms=1)
        assert m.client.outbox()[0]["first_tried_at"] >= m.clock.now - 1


def turn_of(m: Minutes, dispatcher: int, lane: Lane) -> None:
    """Bring a text, and let one dispatcher alone look after it."""
    m.idle = set(range(len(m.dispatchers))) - {dispatcher}
    m.say(lane)
    m.run(ms=1)
    m.idle = set()
