"""The harness of the fault-injection tests: ledgers are printed whatever happens, a soak is bounded, chances repeat."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SUITE = """
import pytest

@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_passes(ledgers, rounds, database):
    for _, chance in zip(range(2), rounds(seconds=60)):
        note = str(chance.random())
        ledgers.reconcile(f"kill, {database}", sent="abcd", acknowledged="abc", accepted="abc", note=note)

@pytest.mark.soak(weight=2)
def test_fails(ledgers, soak_seconds):
    note = f"{soak_seconds(3):g} s"
    ledger = ledgers.reconcile("outage", sent="abcd", acknowledged="abcd", accepted="aabbb", note=note)
    assert (ledger.lost, ledger.doubled) == (0, 0)

def test_of_something_else(): pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("TEST_SEED", raising=False)
    pytester.makeconftest('pytest_plugins = ["ledger", "soak"]')
    pytester.makeini("[pytest]\nmarkers = soak")
    pytester.makepyfile(SUITE)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # plugins that are only installed cost a second a run
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return pytester


def rows(result: pytest.RunResult) -> dict[str, list[str]]:
    table = result.outlines[next(i for i, line in enumerate(result.outlines) if re.search("= ledgers =", line)) + 2 :]
    return {
        line.partition("  ")[0]: line.partition("  ")[2].split() for line in table if line.startswith(("kill", "out"))
    }


def test_the_ledgers_are_printed_whether_a_test_passed_or_not(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, failed=1)
    found = rows(result)
    assert found["outage"] == ["1", "4", "4", "5", "3", "2", "3", "s"]  # rounds, then what Ledger says, then its note
    assert found["kill, sqlite"][:-1] == found["kill, postgresql"][:-1] == ["2", "8", "6", "6", "0", "0"]


def test_a_soak_runs_what_is_marked_and_shares_its_minutes_by_weight(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--soak=10")
    result.assert_outcomes(passed=2, failed=1, deselected=1)
    assert rows(result)["outage"][-2:] == ["270", "s"]  # half of nine minutes


def test_a_seed_repeats_a_run(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = rows(suite.runpytest_inprocess("--seed=7"))["kill, sqlite"][-1]
    monkeypatch.setenv("TEST_SEED", "7")
    assert rows(suite.runpytest_inprocess())["kill, sqlite"][-1] == drawn
    monkeypatch.setenv("TEST_SEED", "8")
    assert rows(suite.runpytest_inprocess())["kill, sqlite"][-1] != drawn
