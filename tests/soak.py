"""How long a fault-injection test runs, and its chances: seconds in the suite, its share of the minutes in a soak.

    @pytest.mark.soak                       # or soak(weight=2): twice the share of others
    def test_a_lane_is_in_order_under_faults(rounds: Rounds) -> None:
        for chance in rounds(seconds=2):    # at least once; no round begins after that
            faults = chance.choices(FAULTS, k=20)

`pytest --soak=10` runs the tests marked `soak` and nothing else, and gives each its share of ten minutes in all.
`chance` is a `random.Random`. Its seed is printed; `TEST_SEED=that` makes it the seed of the first round of every test.
"""

from __future__ import annotations

import os
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

#: Takes `seconds`, as long as it may last in the suite; yields the chances of one round after the other.
Rounds: TypeAlias = Callable[..., Iterator[random.Random]]

SPENT_ON_TESTS = 0.9  #: of a soak: the rest is for starts, and for rounds that were under way when the time was up


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--soak` and `--seed`."""
    seed = int(os.environ.get("TEST_SEED") or secrets.randbelow(10**9))
    group = parser.getgroup("faults")
    group.addoption("--soak", type=float, default=0, metavar="MINUTES", help="run the tests marked soak, for so long")
    group.addoption("--seed", type=int, default=seed, help="of the first round of each random test; or TEST_SEED=...")


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to repeat this run."""
    return f"chances: TEST_SEED={config.getoption('seed')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests marked soak, if this is one."""
    if config.getoption("soak"):
        others = [item for item in items if not item.get_closest_marker("soak")]
        items[:] = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=others)


def weight(item: pytest.Item) -> float:
    """Return how large a share of a soak a test is given, against the others."""
    marker = item.get_closest_marker("soak")
    return float(marker.kwargs.get("weight", 1)) if marker else 0


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return a folder; on disk for a test marked `soak`: where a commit takes its time, faults find it half done."""
    if not weight(request.node):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="maskgate-soak-") as folder:
        yield Path(folder)


@pytest.fixture
def soak_seconds(request: pytest.FixtureRequest) -> Callable[[float], float]:
    """Return how long the test may run, where `rounds` does not fit: the seconds it names, or its share of a soak."""
    minutes, weights = request.config.getoption("soak"), sum(weight(item) for item in request.session.items)

    def seconds(short: float) -> float:
        return minutes * 60 * SPENT_ON_TESTS * weight(request.node) / weights if minutes else short

    return seconds


@pytest.fixture
def rounds(request: pytest.FixtureRequest, soak_seconds: Callable[[float], float]) -> Rounds:
    """Return rounds, each with chances of its own."""

    def play(*, seconds: float) -> Iterator[random.Random]:
        end, seed = time.monotonic() + soak_seconds(seconds), request.config.getoption("seed")
        while True:
            print(f"TEST_SEED={seed}")
            yield random.Random(seed)
            seed += 1
            if time.monotonic() >= end:
                return

    return play


@pytest.fixture
def chance(rounds: Rounds) -> random.Random:
    """Return the chances of a test that has one round."""
    return next(rounds(seconds=0))
