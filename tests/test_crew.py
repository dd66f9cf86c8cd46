"""Several processes that send through one account, and keep its pace together: always, and after an outage."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

import gateways
import pytest
from fleet import forked, ready
from ledger import Ledgers
from postgres import Server
from program import Program, until
from soak import Rounds
from town import Lane, meet

from gateway import pacing
from gateway.records import Outgoing
from gateway.retry import FAILURES
from gateway.store import Store, Tx
from gateway.testing.network import Network, Record

ACCOUNT, NUMBER = 40, 10  #: requests a second for the account, parts a second for a number
NUMBERS, EACH = 6, 6
TEXTS = ["a", "b" * 161, "c" * 40, "☃" * 71]  #: 1, 2, 1 and 2 parts


@dataclass
class Crew:
    """A gateway that takes webhooks, several that send through one Flowroute account, and their network."""

    store: Store
    network: Network
    door: Program
    dispatchers: list[Program]

    def reduce(self, count: int) -> None:
        """Leave so many that send, and stop the others."""
        leaving, self.dispatchers = self.dispatchers[count:], self.dispatchers[:count]
        for one in leaving:
            one.running.terminate()
        for one in leaving:
            assert one.running.wait(20) == 0

    def enqueue(self, masks: Sequence[str], people: Sequence[str]) -> int:
        """Put texts for people into the outbox, from each mask; return how many."""
        now = time.time_ns() // 1_000_000
        texts = [(mask, person, TEXTS[n % len(TEXTS)]) for mask in masks for n, person in enumerate(people)]
        for mask, person, text in texts:
            outgoing = Outgoing(carrier="flowroute", mask=mask, recipient=person, text=text)
            self.store.write(lambda tx, one=outgoing: tx.enqueue(one, now=now, validity_ms=3_600_000))
        return len(texts)

    def tried(self, since: int) -> list[dict]:
        """Return the messages first claimed since then, in the order in which they were."""
        sql = "SELECT mask, text, first_tried_at FROM outbox WHERE first_tried_at >= :since ORDER BY first_tried_at, id"
        return self.store.read(lambda tx: [dict(row) for row in tx.query(sql, since=since)])


@pytest.fixture(scope="module")
def crew(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    folder = tmp_path_factory.mktemp("crew")
    with ExitStack() as stack:
        url, network = stack.enter_context(postgres.schema()), stack.enter_context(gateways.network("flowroute"))
        given = {
            "GATEWAY_DATABASE_URL": url,
            "GATEWAY_PUBLIC_URL": "http://gw.example.com",
            "GATEWAY_INSECURE": "1",
            "GATEWAY_WEBHOOK_TOKEN": gateways.TOKEN,
            "FLOWROUTE_ACCESS_KEY": "access",
            "FLOWROUTE_SECRET_KEY": "secret",
            "FLOWROUTE_API_URL": f"{network.url}/v2.2",
            "FLOWROUTE_RATE": str(ACCOUNT),
            "FLOWROUTE_NUMBER_RATE": str(NUMBER),
            "LOG_LEVEL": "CRITICAL",
        }
        store = Store(url, readers=1)
        stack.callback(store.close)
        door = stack.enter_context(forked(folder, given, "serve", "--no-dispatch", name="door"))
        dispatchers = [stack.enter_context(forked(folder, given, "dispatch", name=f"sends{n}")) for n in range(4)]
        for one in dispatchers:
            ready(one, " dispatching")
        network.webhook_url = f"{ready(door).url}/webhooks/flowroute/{gateways.TOKEN}"
        yield Crew(store, network, door, dispatchers)


def assert_apart(times: Sequence[tuple[int, float]], rate: float) -> None:
    """Assert that what weighs so much leaves so much later than what left before: then no window holds too much."""
    for (earlier, weight), (later, _) in pairwise(times):
        assert later - earlier >= round(1000 * weight / rate) - 1e-6, (earlier, later, weight)


def assert_no_earlier(times: Sequence[tuple[int, float]], rate: float, begin: int) -> None:
    """Assert that each arrived no earlier than those before it, one after the other from `begin` on, allow."""
    free = float(begin)
    for at, weight in times:
        assert at >= int(free), (at, free)
        free += 1000 * weight / rate


# --- an outage --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lanes(crew: Crew) -> list[Lane]:
    return meet(crew.store, 4, carrier="flowroute")


def say(crew: Crew, lanes: Sequence[Lane], name: str, each: int) -> tuple[dict[Lane, list[str]], float]:
    """Bring texts by webhooks, which must be answered 200 at once; return them, and what a webhook took (median, s)."""
    said, took = defaultdict(list), []
    for n in range(each):
        for number, lane in enumerate(lanes):
            began = time.monotonic()
            delivery = crew.network.handset(lane.sender).text(lane.mask, f"{name}:{number}:{n}")
            took.append(time.monotonic() - began)
            assert delivery.status == 200
            said[lane].append(f"{name}:{number}:{n}")
    return said, statistics.median(took)


def rows(crew: Crew, texts: Sequence[str]) -> list[dict]:
    """Return what the outbox holds of texts."""
    found = crew.store.read(lambda tx: [dict(row) for row in tx.query("SELECT * FROM outbox")])
    return [row for row in found if row["text"] in set(texts)]


def counted(crew: Crew) -> int:
    """Return how many attempts what waits has used up; one that is under way is counted until it is settled."""
    sql = (
        "SELECT (SELECT SUM(attempts) FROM outbox WHERE state IN ('queued', 'sending', 'uncertain')) "
        "- (SELECT COUNT(*) FROM lanes WHERE owner <> '') AS n"
    )
    return int(crew.store.read(lambda tx: tx.query(sql))[0]["n"])


@pytest.mark.soak
def test_an_outage_leaves_webhooks_as_fast_costs_no_attempts_and_ends_in_no_herd(
    crew: Crew, lanes: list[Lane], rounds: Rounds, ledgers: Ledgers, request: pytest.FixtureRequest
) -> None:
    network = crew.network
    for number, _ in enumerate(rounds(seconds=0.5)):
        _, usual = say(crew, lanes, f"{number} usual", 4)
        until(lambda: not crew.store.read(Tx.lanes_waiting), "all is settled", 60)
        network.pause()
        request.addfinalizer(network.resume)
        said, meanwhile = say(crew, lanes, f"{number} out", 6)
        texts = [text for each in said.values() for text in each]
        until(lambda: crew.store.read(lambda tx: tx.circuit("flowroute")).is_open, "the outage is known")
        waiting = rows(crew, texts)
        assert {row["state"] for row in waiting} <= {"queued", "sending", "uncertain"}
        assert counted(crew) < FAILURES  # those that made it known
        before, begin = len(network.accepted()), time.time_ns() // 1_000_000
        network.resume()
        arrived = network.wait_for(before + len(texts), 60)[before:]
        # what was on its way at that moment, a try of each dispatcher at most, was claimed before
        late = arrived[len(crew.dispatchers) :]
        assert_no_earlier([(record.at, 1.0) for record in late], ACCOUNT, begin)
        assert_apart([(row["first_tried_at"], 1.0) for row in crew.tried(begin)], ACCOUNT)
        for lane, expected in said.items():
            assert [r.send.text for r in arrived if (r.send.sender, r.send.recipient) == lane_of(lane)] == expected
        until(lambda texts=texts: {row["state"] for row in rows(crew, texts)} == {"sent"}, "all is settled")
        assert sum(row["attempts"] for row in rows(crew, texts)) < len(texts) + FAILURES
        ledger = ledgers.reconcile(
            "outage for real, postgresql",
            sent=texts,
            acknowledged=texts,
            accepted=[record.send.text for record in arrived],
            note=f"a webhook took {1000 * meanwhile:.1f} ms during the last, {meanwhile / usual:.2f} of the usual",
        )
        assert (ledger.lost, ledger.doubled) == (0, 0)


def lane_of(lane: Lane) -> tuple[str, str]:
    """Return the numbers by which a carrier knows a lane."""
    return lane.mask, lane.recipient


# --- how fast -----------------------------------------------------------------------------------------------
# Last, for it stops those that send one after the other.


@pytest.mark.soak
@pytest.mark.parametrize("dispatchers", [4, 2, 1])
def test_the_network_is_never_sent_more_than_the_rate_however_many_send(
    crew: Crew, dispatchers: int, rounds: Rounds, ledgers: Ledgers
) -> None:
    crew.reduce(dispatchers)
    for number, _ in enumerate(rounds(seconds=0.5)):
        begin, before = time.time_ns() // 1_000_000, len(crew.network.accepted())
        masks = [f"+1206557{dispatchers}{number % 100:02}{n}" for n in range(NUMBERS)]
        people = [f"+12065550{n:03}" for n in range(EACH)]
        owed = [(mask, person) for mask in masks for person in people]
        count = crew.enqueue(masks, people)
        arrived = crew.network.wait_for(before + count, 60)[before:]
        tried = crew.tried(begin)
        assert len(tried) == count
        assert_apart([(row["first_tried_at"], 1.0) for row in tried], ACCOUNT)
        assert_no_earlier([(record.at, 1.0) for record in arrived], ACCOUNT, begin)
        for mask in masks:
            mine = [(row["first_tried_at"], parts(row["text"])) for row in tried if row["mask"] == mask]
            assert_apart(mine, NUMBER)
            mine = [(record.at, parts(record.send.text)) for record in arrived if record.send.sender == mask]
            assert_no_earlier(mine, NUMBER, begin)
        allowed = max(count / ACCOUNT, sum(parts(text) for text in TEXTS) * EACH / len(TEXTS) / NUMBER)
        lasted, busiest = (arrived[-1].at - begin) / 1000, most_in_a_second(arrived)
        ledger = ledgers.reconcile(
            f"paced, postgresql, {dispatchers} dispatchers",
            sent=owed,
            acknowledged=owed,
            accepted=[(record.send.sender, record.send.recipient) for record in arrived],
            note=f"{allowed / lasted:.2f} of the rate, {busiest} in the busiest second of {ACCOUNT} in the last round",
        )
        assert (ledger.lost, ledger.doubled) == (0, 0)
        in_time = [record for record in arrived if record.at - begin <= 3000 * allowed]
        assert len(in_time) >= count // 3


def parts(text: str) -> float:
    """Return the parts of a text as Flowroute counts them."""
    return float(pacing.parts(text, {"gsm7": (160, 140), "ucs2": (70, 70)}))


def most_in_a_second(records: Sequence[Record]) -> int:
    """Return how many arrived in the busiest second."""
    return max(sum(first.at <= record.at < first.at + 1000 for record in records) for first in records)
