"""A carrier's outage costs nobody anything: minutes of it, by the gateway's clock, and seconds of it for real."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

import pytest
from ledger import Ledgers
from minutes import Lane, Minutes, minutes

from gateway.dispatcher import Dispatcher
from gateway.retry import FAILURES
from gateway.store import Store
from gateway.testing.network import Fault, Network, Record

Go = Callable[[Network], None]


def refuse(network: Network) -> None:
    network.pause()


def unauthorized(network: Network) -> None:
    network.faults = lambda send: Fault.unauthorized()


def unavailable(network: Network) -> None:
    network.faults = lambda send: Fault.unavailable()


def back(network: Network) -> None:
    network.resume()
    network.faults = None


OUTAGES = [pytest.param(way, id=way.__name__) for way in (refuse, unauthorized, unavailable)]
RATE = 2  #: parts a second for each number


def in_order(said: Iterable[tuple[Lane, str]], arrived: Iterable[Record]) -> None:
    """Assert that each lane's texts arrived in the order in which they were said, from its mask, and each once."""
    expected, found = defaultdict(list), defaultdict(list)
    for lane, text in said:
        expected[lane.mask, lane.recipient].append(text)
    for record in arrived:
        found[record.send.sender, record.send.recipient].append(record.send.text)
    assert found == expected


def paced(arrived: Iterable[Record], rate: float) -> None:
    """Assert that no number sent faster than its rate. The network goes by the gateway's clock, so not by 1 ms."""
    last: dict[str, int] = {}
    for record in arrived:
        assert record.at - last.get(record.send.sender, 0) >= 1000 / rate
        last[record.send.sender] = record.at


#: way, dispatchers, database: each way with each, and every pair of ways with one and with several
MINUTES = [
    pytest.param(refuse, 1, "sqlite", id="refuse, 1, sqlite"),
    pytest.param(unauthorized, 1, "sqlite", id="unauthorized, 1, sqlite"),
    pytest.param(unavailable, 3, "sqlite", id="unavailable, 3, sqlite"),
    pytest.param(refuse, 3, "postgresql", id="refuse, 3, postgresql"),
    pytest.param(unauthorized, 3, "postgresql", id="unauthorized, 3, postgresql"),
]


@pytest.mark.parametrize(("way", "dispatchers", "database_url"), MINUTES, indirect=["database_url"])
def test_minutes_of_an_outage_cost_nothing_and_end_in_order_at_the_paced_rate(
    store: Store, way: Go, dispatchers: int, ledgers: Ledgers
) -> None:
    with minutes(store, {"simulator": {"rate": RATE}}, dispatchers) as m:
        network, lanes = m.networks["simulator"], m.meet("simulator", 3)
        assert [m.say(lane) for lane in lanes] == [200] * 6
        m.run(seconds=5)
        way(network)
        began, before = m.clock.now, len(network.ledger)
        assert m.say(lanes[0]) == 200  # one text alone, whose tries must not be all that the outage takes to be seen
        m.run(minutes=1)
        statuses = []
        for _ in range(12):  # four more minutes
            statuses += [m.say(lane) for lane in lanes]
            m.run(seconds=20)
        assert set(statuses) == {200}
        waiting = m.waiting()
        assert len(waiting) == 1 + 12 * 6
        assert sum(row["attempts"] for row in waiting) <= FAILURES - 1  # those that opened the circuit
        assert {row["state"] for row in waiting} <= {"queued", "uncertain"}
        assert len(network.ledger) - before < FAILURES + 5 + 5 * 60 / 30 + 5, "tries, however many send"
        ended = m.clock.now
        back(network)
        m.run(seconds=30 + 2 * 13 / RATE + 2)  # a probe, then 2 lanes of 12 texts a number
        assert m.waiting() == []
        in_order(m.said, network.accepted())
        paced(network.accepted(), RATE)
        assert max(row["attempts"] for row in m.client.outbox()) <= FAILURES
        assert {row["state"] for row in m.client.outbox()} == {"sent"}
        events = [event["kind"] for event in store.read(lambda tx: tx.events())]
        assert [kind for kind in events if kind.startswith("carrier.")] == ["carrier.paused", "carrier.resumed"]
        ledgers.reconcile(
            f"outage of minutes, {way.__name__}, {dispatchers} dispatchers, {store.facts.split()[0]}",
            sent=[text for _, text in m.said],
            acknowledged=[text for _, text in m.said],
            accepted=[record.send.text for record in network.accepted()],
            note=f"{(ended - began) // 60_000} min",
        )


@pytest.fixture
def life(store: Store) -> Iterator[Callable[..., Minutes]]:
    """Return a maker of a gateway with so many dispatchers, whose carriers have no limit but those given."""
    with ExitStack() as stack:

        def make(dispatchers: int = 1, **carriers: dict[str, object]) -> Minutes:
            return stack.enter_context(minutes(store, carriers or {"simulator": {}}, dispatchers))

        yield make


def out(m: Minutes) -> None:
    """Let every dispatcher find out that the carrier refuses credentials."""
    m.networks["simulator"].faults = lambda send: Fault.unauthorized()
    for n, dispatcher in enumerate(m.dispatchers):
        m.idle = set(range(len(m.dispatchers))) - {n}
        m.say(m.lanes[0])
        m.run(ms=1)
        assert dispatcher.is_out("simulator")
    m.idle = set()


def test_what_one_dispatcher_found_costs_another_one_try(life: Callable[..., Minutes]) -> None:
    m = life(2)
    network, lanes = m.networks["simulator"], m.meet("simulator", 8)
    unavailable(network)
    m.idle = {1}
    for lane in lanes[:8]:
        m.say(lane)
    m.run(ms=10)
    assert m.dispatchers[0].is_out("simulator")
    before = len(network.ledger)
    m.idle = {0}
    for lane in lanes[8:]:
        m.say(lane)
    m.run(ms=10)
    assert m.dispatchers[1].is_out("simulator")
    assert len(network.ledger) - before == 1
    assert all(row["attempts"] == 0 for row in m.waiting() if (row["mask"]) in {lane.mask for lane in lanes[8:]})


def test_a_probe_of_a_dispatcher_that_died_is_sent_by_another(life: Callable[..., Minutes]) -> None:
    m = life(2)
    network, lanes = m.networks["simulator"], m.meet("simulator", 2)
    out(m)
    back(network)
    dead = m.dispatchers[0]
    dead._hand_out = lambda desk, message, taken: None  # type: ignore[method-assign]  # it took the probe and died
    m.clock.tick(seconds=1)
    dead.turn()
    m.idle = {0}
    m.say(lanes[2])
    m.run(seconds=29)
    assert network.accepted() == ()  # the probe may be on its way
    m.run(seconds=2)
    assert len(network.accepted()) >= 1
    assert not m.dispatchers[1].is_out("simulator")


def test_a_start_finds_at_once_that_the_carrier_is_back(life: Callable[..., Minutes], store: Store) -> None:
    """What was wrong may have been mended for this start: nobody wants to wait for the next probe."""
    m = life()
    m.meet("simulator", 1)
    out(m)
    m.run(minutes=3)  # the probes are half a minute apart
    back(m.networks["simulator"])
    again = Dispatcher(store, m.client.context.carriers, m.client.context.settings, clock=m.clock)
    m.dispatchers[:] = [again]
    m.run(ms=1)
    assert len(m.networks["simulator"].accepted()) == 1
    assert not again.is_out("simulator")
    again.stop()


def test_a_dispatcher_that_alone_cannot_reach_a_carrier_is_in_nobodys_way(life: Callable[..., Minutes]) -> None:
    m = life(2)
    network, lanes = m.networks["simulator"], m.meet("simulator", 4)
    cut_off = m.dispatchers[1]._desks["simulator"]
    usual = cut_off.carrier.settings
    cut_off.carrier.settings = usual.model_copy(update={"url": "http://127.0.0.1:9"})
    for _ in range(20):
        for lane in lanes:
            m.say(lane)
        m.dispatchers.reverse()  # neither has the first word each time
        m.run(seconds=5)
    in_order(m.said, network.accepted())
    assert cut_off.reach.is_alone
    assert m.paused() == 1
    attempts = sum(row["attempts"] for row in m.client.outbox())
    assert attempts < len(m.said) + FAILURES
    said_at = {row["text"]: row["created_at"] for row in m.client.outbox()}
    late = [record for record in network.accepted() if record.at > said_at[record.send.text]]
    assert len(late) < 2 * FAILURES  # those that it had taken, and failed with
    cut_off.carrier.settings = usual
    for _ in range(6):
        m.say(lanes[0])
        m.dispatchers.reverse()
        m.run(seconds=10)
    assert not cut_off.reach.is_out


# --- who else is held up ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, Fault.refused(), Fault.opted_out()], ids=["none", "refused", "opted out"])
def test_one_recipients_permanent_failure_holds_up_nobody_else(
    life: Callable[..., Minutes], fault: Fault | None, request: pytest.FixtureRequest
) -> None:
    m = life(1, simulator={"rate": RATE})
    network, lanes = m.networks["simulator"], m.meet("simulator", 3)
    gone = lanes[0].recipient
    network.faults = lambda send: fault if send.recipient == gone else None
    network.pause()
    for _ in range(10):
        for lane in lanes:
            m.say(lane)
    m.run(minutes=2)
    ended = m.clock.now
    network.resume()
    m.run(minutes=1)
    others = [(lane, text) for lane, text in m.said if lane.recipient != gone]
    paced(network.accepted(), RATE)
    texts = {text for _, text in others}  # and not the notice that texts do not reach the other person
    theirs = [record for record in network.accepted() if record.send.text in texts]
    in_order(others, theirs)
    lasted = theirs[-1].at - ended
    print(f"{request.node.callspec.id}: the others' {len(theirs)} texts had all left {lasted / 1000:g} s after the end")
    assert lasted <= 30_000 + 20 * 1000 / RATE  # a probe, and what two lanes of ten texts take on one number
    assert m.waiting() == []


def drained(m: Minutes, lanes: list[Lane]) -> int:
    """Bring six texts a lane and return how long after the first webhook the last one arrived (ms)."""
    began = m.clock.now
    for _ in range(6):
        for lane in lanes:
            assert m.say(lane) == 200
    m.run(minutes=1)
    return max(record.at for record in m.arrived(lanes[0].carrier, began)) - began


@pytest.mark.parametrize("way", OUTAGES)
def test_one_carriers_outage_does_not_slow_the_others_down(life: Callable[..., Minutes], way: Go) -> None:
    m = life(1, flowroute={}, signalwire={"rate": RATE})
    sick, well = m.meet("flowroute", 2), m.meet("signalwire", 2)
    usual = drained(m, well)
    way(m.networks["flowroute"])
    for _ in range(5):
        for lane in sick:
            assert m.say(lane) == 200
    m.run(seconds=10)
    assert m.dispatchers[0].is_out("flowroute")
    assert not m.dispatchers[0].is_out("signalwire")
    assert drained(m, well) == usual
    back(m.networks["flowroute"])
    m.run(minutes=1)
    for name in ("flowroute", "signalwire"):
        in_order([(lane, text) for lane, text in m.said if lane.carrier == name], m.networks[name].accepted())
