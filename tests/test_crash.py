"""Crash safety: what was answered 200 is relayed, once and in order, whoever is killed and when.

SIGKILL leaves what the system has in its caches: whether `synchronous=FULL` and `fsync` are on cannot be seen by it
(that they are is in the facts of the store, which `test_sqlite.py` and `test_postgres.py` read). It takes what
PostgreSQL has in memory: a commit that does not wait for the log is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from crashes import LANES, Scene
from ledger import Ledgers
from postgres import Server
from program import until
from soak import Rounds

KILLS = 2  #: in a round: one at any moment, one when an answer has just been given


def kill_in_turn(here: Scene, rounds: Rounds, seconds: float) -> int:
    """Kill the gateways one after the other while texts come in; return how many times."""
    kills = 0
    with here.under_load():
        for chance in rounds(seconds=seconds):
            for n in range(KILLS):
                here.wait_for_a_moment(chance, 0.6, at_an_answer=n > 0)
                gateway = here.gateways[kills % len(here.gateways)]
                gateway.kill()
                gateway.start()
                kills += 1
        here.wait_for(200, LANES)
    return kills


@pytest.mark.soak
@pytest.mark.both_databases
@pytest.mark.parametrize("lookup", [True, False], ids=["asked", "not asked"])
def test_kill_9_loses_nothing(
    scene: Callable[..., Scene], database_url: str, lookup: bool, rounds: Rounds, ledgers: Ledgers
) -> None:
    """A carrier that can be asked doubles nothing; with any other, at most what was in flight is doubled."""
    here = scene(database_url, SIMULATOR_LOOKUP=str(int(lookup)))
    kills = kill_in_turn(here, rounds, seconds=0)
    name = f"kill -9, {database_url.partition(':')[0]}, {'asked' if lookup else 'not asked'}"
    ledger = here.settle(ledgers, name)
    assert ledger.lost == 0
    assert ledger.doubled <= (0 if lookup else kills * LANES)


@pytest.mark.soak
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_kill_9_of_one_of_two_loses_nothing(
    scene: Callable[..., Scene], database_url: str, rounds: Rounds, ledgers: Ledgers
) -> None:
    """Two on one database: the other one goes on, and takes over what the dead one was sending."""
    here = scene(database_url, gateways=2)
    kill_in_turn(here, rounds, seconds=0)
    ledger = here.settle(ledgers, "kill -9, one of two, postgresql")
    assert (ledger.lost, ledger.doubled) == (0, 0)


@pytest.fixture
def own_server() -> Iterator[Server]:
    """Return a server that may be killed, and that writes to the disk what it says it has."""
    server = Server(uuid4().hex[:8], fsync=True)
    yield server
    server.stop()


def transactions(server: Server) -> set[str]:
    """Return in what state the connections of gateways are."""
    rows = server.execute("SELECT state FROM pg_stat_activity WHERE application_name = 'maskgate'")
    return {str(state) for (state,) in rows}


@pytest.mark.soak
def test_a_database_server_that_is_killed_is_missed_while_it_is_down_and_no_longer(
    scene: Callable[..., Scene], own_server: Server, rounds: Rounds, ledgers: Ledgers
) -> None:
    here = scene(own_server.url())
    first = here.gateways[0].running.pid
    with here.under_load():
        for chance in rounds(seconds=0):
            for n in range(KILLS):
                here.wait_for_a_moment(chance, 0.5, at_an_answer=n > 0)
                own_server.kill()
                here.wait_for(503, 3)
                own_server.start()
                here.wait_for(200, LANES)
    until(lambda: transactions(own_server) == {"idle"}, "no connection is in a transaction")
    assert here.gateways[0].running.pid == first
    assert here.posters.answers[0] == 0  # every request was answered
    ledger = here.settle(ledgers, "server killed, postgresql")
    assert (ledger.lost, ledger.doubled) == (0, 0)
