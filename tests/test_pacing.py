"""Pace is counted in parts, as each carrier counts them; a 429 holds back its number, several of them the account."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import gateways
import pytest
from minutes import Lane, Minutes, minutes
from program import until
from scripted import Scripted

from gateway import pacing
from gateway.desk import Ask, Desk, turn
from gateway.messages import OutboundMessage, Rate, Weight
from gateway.records import Outcome, Outgoing
from gateway.retry import Attempt
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


# --- pace -------------------------------------------------------------------------------------------------


def burst(times: Sequence[int], rate: float) -> float:
    """Return how many more left, in whatever time it was the most, than `rate` a second; `times` in ms."""
    most, found = -math.inf, -math.inf
    for n, at in enumerate(times):
        most = max(most, rate * at / 1000 - n)
        found = max(found, most + n + 1 - rate * at / 1000)
    return found


def allowed(rate: float) -> float:
    """Return how many may leave at once: the first of all, or as many as in 20 ms."""
    return max(1, rate * 0.02) + 0.01  # a time is rounded to a µs


def leave(rate: float, looks: Iterable[int], weight: float = 1) -> list[int]:
    """Return when texts leave, of which there are always more, where somebody looks at these times (ms)."""
    times, free_us = [], 0
    for now in looks:
        while free_us <= now * 1000:
            free_us = pacing.after(free_us, now * 1000, weight, rate)
            times.append(now)
    return times


RATES = [0.5, 1, 4, 5, 49, 50, 51, 75, 100, 333, 500, 1000, 20_000]


@pytest.mark.parametrize("every", [1, 3, 10, 19, 64, 250], ids="looked at every {} ms".format)
@pytest.mark.parametrize("rate", RATES, ids="{} a second".format)
def test_a_pace_is_kept_over_any_time_and_reached_by_who_looks_often_enough(rate: float, every: int) -> None:
    times = leave(rate, range(0, 4000, every))
    assert burst(times, rate) <= allowed(rate)
    if rate > 50 and every <= 20 - 1000 / rate:
        assert len(times) >= rate * 4 * 0.99


@pytest.mark.parametrize("rate", RATES, ids="{} a second".format)
def test_a_pause_gives_no_more_than_20_ms_worth_at_once(rate: float) -> None:
    hour = 3_600_000
    times = leave(rate, [0, hour, hour + 1, hour + 2, hour + 7, 2 * hour])
    assert burst(times, rate) <= allowed(rate)
    assert times.count(hour) == max(1, int(rate * 0.02))


@pytest.mark.parametrize("rate", [4, 5, 50], ids="{} a second".format)
def test_at_up_to_50_a_second_no_two_leave_within_the_time_of_one_however_late_somebody_looks(rate: int) -> None:
    times = leave(rate, [0, 1, 199, 200, 201, 390, 401, 409, 410, 3_000, 3_001, 3_020, 3_200, 9_999, 10_000])
    assert min(then - first for first, then in pairwise(times)) >= 1000 / rate


def test_a_text_that_takes_a_second_has_it_for_itself_at_any_rate() -> None:
    """Flowroute takes a picture message a second, whatever it takes of others."""
    hour = 3_600_000
    assert leave(500, [0, hour, hour + 982, hour + 999, hour + 1000, hour + 1999], weight=500) == [0, hour, hour + 1000]
    assert leave(100, [0, hour, hour + 29, hour + 30], weight=3) == [0, hour, hour + 30]


class Ticking:
    """A clock that is later each time it is read, from whatever thread."""

    def __init__(self, ms: int) -> None:
        self._ms, self._now, self._lock = ms, 1_000_000, threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            self._now += self._ms
            return self._now


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("rate", [5, 400], ids="{} a second".format)
def test_two_dispatchers_together_keep_the_pace_of_their_account(store: Store, rate: int) -> None:
    people, clock, looks = 300, Ticking(4), 60
    store.write(lambda tx: [_enqueue(tx, n) for n in range(people)])

    def look(owner: str) -> None:
        carrier = Scripted(name="sim")
        carrier.rate = Rate(per_number=None, per_account=rate)  # type: ignore[misc]
        desk = Desk(carrier, people)
        for _ in range(looks):
            asks = {"sim": Ask(desk=desk, room=people)}
            store.write(lambda tx, asks=asks: turn(tx, owner, (), asks, _never_judged, clock), shared=True)
        desk.pool.shutdown()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(look, ["one", "another"]))
    tried = "SELECT first_tried_at AS at FROM outbox WHERE first_tried_at IS NOT NULL ORDER BY first_tried_at"
    times = [row["at"] for row in store.read(lambda tx: tx.query(tried))]
    assert burst(times, rate) <= allowed(rate)
    assert len(times) >= rate * (times[-1] - times[0]) / 1000
    assert times[-1] > 1_000_000 + 4 * looks  # nobody was kept from it


def _enqueue(tx: Tx, n: int) -> int:
    to = Outgoing(carrier="sim", mask=f"+1206556{n % 7:04}", recipient=f"+1206555{n:04}", text="x")
    return tx.enqueue(to, now=0, validity_ms=1 << 40)


def _never_judged(one: Attempt, carrier_is_out: bool, now: int) -> Outcome:
    raise AssertionError("nothing came back")


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
