"""The ledger of a fault-injection test: what was sent, what was answered, what the carrier holds. Printed at the end.

    def test_a_gateway_that_is_killed_loses_nothing(ledgers: Ledgers, rounds: Rounds) -> None:
        for chance in rounds(seconds=3):               # seconds in the suite, minutes in the soak: see soak.py
            ...                                        # chance is a random.Random with a printed seed
            ledger = ledgers.reconcile("kill -9, sqlite", sent=texts, acknowledged=answered_200, accepted=at_carrier)
            assert (ledger.lost, ledger.doubled) == (0, 0)

Entries of one name add up to one row of the table, which the run prints whether the test passed or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import asdict, dataclass, fields, replace

import pytest


@dataclass(frozen=True)
class Ledger:
    """One entry, in texts. `doubled`: accepted once too often; `lost`: acknowledged and never accepted."""

    name: str  #: fault and database, such as `kill -9, sqlite`
    sent: int
    acknowledged: int
    accepted: int
    doubled: int
    lost: int
    note: str = ""

    def __add__(self, other: Ledger) -> Ledger:
        """Return the sum, with the last note."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in AMOUNTS}
        return replace(self, **sums, note=other.note or self.note)


AMOUNTS = [field.name for field in fields(Ledger) if field.name not in ("name", "note")]


class Ledgers:
    """Takes down the entries of one test."""

    def __init__(self, keep: Callable[[str, object], None]) -> None:
        self._keep = keep

    def record(self, ledger: Ledger) -> Ledger:
        """Put an entry into the table, and return it."""
        self._keep("ledger", asdict(ledger))
        return ledger

    def reconcile(
        self,
        name: str,
        *,
        sent: Iterable[Hashable],
        acknowledged: Iterable[Hashable],
        accepted: Iterable[Hashable],
        note: str = "",
    ) -> Ledger:
        """Compare what was acknowledged with what the carrier accepted; record the entry and return it.

        Each takes whatever tells one text from another, the text itself best; `acknowledged` names a text once, however
        often its webhook was repeated; `accepted` is every one the carrier took, as often as it took it.
        """
        held, owed = Counter(accepted), set(acknowledged)
        return self.record(
            Ledger(
                name=name,
                sent=len(set(sent)),
                acknowledged=len(owed),
                accepted=held.total(),
                doubled=held.total() - len(held),
                lost=len(owed - set(held)),
                note=note,
            )
        )


@pytest.fixture
def ledgers(record_property: Callable[[str, object], None]) -> Ledgers:
    """Return where a test records its ledger; it travels with the test's report, from another process too."""
    return Ledgers(record_property)


# --- the table ----------------------------------------------------------------------------------


class Table:
    """Gathers the entries of all tests and prints them at the end of the run."""

    def __init__(self) -> None:
        self._rows: dict[str, Ledger] = {}
        self._rounds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test recorded, once it is torn down."""
        if report.when == "teardown":
            for key, value in report.user_properties:
                if key == "ledger":
                    self._add(Ledger(**value))  # type: ignore[arg-type]

    def _add(self, ledger: Ledger) -> None:
        self._rows[ledger.name] = self._rows[ledger.name] + ledger if ledger.name in self._rows else ledger
        self._rounds[ledger.name] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print one row for each name."""
        if not self._rows:
            return
        terminalreporter.section("ledgers")
        wide = max(len(name) for name in self._rows)
        terminalreporter.write_line("  ".join([" " * wide, "rounds", *(f"{name:>12}" for name in AMOUNTS)]))
        for name in sorted(self._rows):
            ledger = self._rows[name]
            amounts = [f"{getattr(ledger, amount):>12,}" for amount in AMOUNTS]
            row = "  ".join([name.ljust(wide), f"{self._rounds[name]:>6}", *amounts, ledger.note])
            terminalreporter.write_line(row.rstrip(), red=bool(ledger.lost))


def pytest_configure(config: pytest.Config) -> None:
    """Keep one table for the run."""
    config.pluginmanager.register(Table(), "ledger-table")
