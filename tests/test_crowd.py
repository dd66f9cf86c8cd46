"""No text to a wrong person, none twice, none out of order: whatever threads and processes do, all at once."""

from __future__ import annotations

import crowd
import pytest
from crowd import Diary
from invariants import empty
from soak import Rounds

from gateway.store import Store


def seeds(chance) -> list[int]:
    return [chance.randrange(1 << 32) for _ in range(8)]


def judged(store: Store, diary: Diary) -> None:
    assert crowd.judge(store, diary) == []
    assert len(diary.opened) > 20
    assert len(diary.said) > 150
    assert len(diary.claimed) > 100
    if "PostgreSQL" in store.facts:  # SQLite runs those of a group again where one of them finds no number free
        assert diary.repeated == []  # no two of them ever wait for each other


@pytest.mark.soak
@pytest.mark.both_databases
def test_eight_threads_cross_no_two_conversations(store: Store, rounds: Rounds) -> None:
    for chance in rounds(seconds=0):
        empty(store)
        crowd.gather(store)
        diary = crowd.threads(store, seeds(chance), steps=150)
        judged(store, diary)


@pytest.mark.soak
@pytest.mark.both_databases
def test_threads_of_two_processes_cross_no_two_conversations(store: Store, database_url: str, rounds: Rounds) -> None:
    for chance in rounds(seconds=0):
        empty(store)
        crowd.gather(store)
        diary = crowd.processes(database_url, seeds(chance), steps=100, count=2)
        judged(store, diary)
