"""Every lane in order, every text once: whatever goes wrong between gateway and carrier, however many send."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from invariants import broken
from ledger import Ledgers
from soak import Rounds
from town import Town, assert_in_order, town

from gateway.store import Store

PAIRS = 8
FAULTS = ("unavailable", "throttled", "reset", "no_answer", "slow")

Trouble = Callable[[Town], None]


def nothing(t: Town) -> None:
    """Let everything be."""


def an_outage(t: Town) -> None:
    """Let the carrier refuse connections for a moment."""
    t.net.ask("POST", "/pause", {"seconds": 0.5})


def a_death(t: Town) -> None:
    """Kill one of those that send, and start another in its place."""
    t.kill(0)
    t.add(1)


#: How many take webhooks, how many send beside them (0: those that take webhooks do), on what, what happens besides.
FLEETS = [
    pytest.param(1, 0, "sqlite", nothing, id="one process, sqlite"),
    pytest.param(2, 0, "postgresql", an_outage, id="two processes and an outage, postgresql"),
    pytest.param(1, 4, "postgresql", a_death, id="four dispatchers and a death, postgresql"),
]


def mix(chance: random.Random) -> dict[str, object]:
    """Return faults for a quarter of all sends, more of this one or of that."""
    weights = [chance.random() for _ in FAULTS]
    shares = {fault: round(0.25 * weight / sum(weights), 3) for fault, weight in zip(FAULTS, weights, strict=True)}
    return {"mix": shares, "seed": chance.randrange(10**9), "seconds": 0.05}


@pytest.mark.soak(weight=2)
@pytest.mark.parametrize(("serve", "dispatch", "database_url", "trouble"), FLEETS, indirect=["database_url"])
def test_every_lane_is_in_order_and_every_text_arrives_once(
    tmp_path: Path,
    database_url: str,
    serve: int,
    dispatch: int,
    trouble: Trouble,
    rounds: Rounds,
    ledgers: Ledgers,
    request: pytest.FixtureRequest,
) -> None:
    with town(tmp_path, database_url, serve=serve, dispatch=dispatch, pairs=PAIRS) as t:
        for number, chance in enumerate(rounds(seconds=1)):
            before = len(t.net.records())
            t.net.ask("POST", "/faults", mix(chance))
            talk = t.talk(f"{number}", 12, middle=lambda: trouble(t))
            records = t.arrived(talk, before)
            fates = [record["fate"] for record in t.net.records(before)]
            ledger = ledgers.reconcile(
                f"order under faults, {request.node.callspec.id}",
                sent=talk.texts,
                acknowledged=talk.texts,
                accepted=[record["text"] for record in records],
                note=f"{fates.count('refused')} refused, {fates.count('dropped')} dropped in the last round",
            )
            assert (ledger.lost, ledger.doubled) == (0, 0)
            assert_in_order(talk, records)
    store = Store(database_url)
    assert broken(store, 1 << 61) == []
    store.close()
