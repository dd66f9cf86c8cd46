"""What all who send know of a carrier account: whether it is out, and which of its numbers are throttled."""

from __future__ import annotations

from gateway.retry import CLOSED, Circuit
from gateway.store.claims import ClaimUnit
from gateway.store.db import Row, Statement

_CIRCUIT = Statement("SELECT failures, probes, probe_at, why FROM circuits WHERE carrier = :carrier")
_LOCK_CIRCUIT = Statement(
    "INSERT INTO circuits (carrier, failures, probes, probe_at, why) VALUES (:carrier, 0, 0, NULL, '') "
    "ON CONFLICT (carrier) DO UPDATE SET failures = circuits.failures RETURNING failures, probes, probe_at, why"
)


class CircuitUnit(ClaimUnit):
    """What a unit of work can do with a carrier's circuit: its row is there while anything is wrong."""

    def circuit(self, carrier: str) -> Circuit:
        """Return a carrier's circuit, which is closed where nothing is known."""
        rows = self.run(_CIRCUIT, carrier=carrier)
        return _circuit(rows[0]) if rows else CLOSED

    def lock_circuit(self, carrier: str) -> Circuit:
        """Return a carrier's circuit, which nobody else changes until the end. To be followed by `set_circuit`."""
        return _circuit(self.run(_LOCK_CIRCUIT, carrier=carrier)[0])

    def set_circuit(self, carrier: str, circuit: Circuit) -> None:
        """Write down a circuit that is locked."""
        if circuit == CLOSED:
            self.query("DELETE FROM circuits WHERE carrier = :carrier", carrier=carrier)
            return
        self.query(
            "UPDATE circuits SET failures = :failures, probes = :probes, probe_at = :probe_at, why = :why "
            "WHERE carrier = :carrier",
            carrier=carrier,
            failures=circuit.failures,
            probes=circuit.probes,
            probe_at=circuit.probe_at,
            why=circuit.why,
        )

    def take_probe(self, carrier: str, now: int, until: int) -> bool:
        """Return whether the caller may send the probe that is due; then the next one is due at `until` (ms)."""
        rows = self.query(
            "UPDATE circuits SET probe_at = :until WHERE carrier = :carrier AND probe_at <= :now RETURNING carrier",
            carrier=carrier,
            now=now,
            until=until,
        )
        return bool(rows)

    def probe_soon(self, carrier: str, at: int) -> None:
        """Let the next probe of a carrier that is out be due at `at` (ms), unless it is due before."""
        self.query(
            "UPDATE circuits SET probe_at = :at WHERE carrier = :carrier AND probe_at > :at", carrier=carrier, at=at
        )

    def throttled(self, mask: str, carrier: str, until: int, now: int) -> int:
        """Remember that a carrier throttles a mask until then (ms); return how many of its masks it throttles now.

        The caller holds the row of the account's pace (`lock_paces`).
        """
        self.query("DELETE FROM throttles WHERE carrier = :carrier AND until <= :now", carrier=carrier, now=now)
        self.query(
            "INSERT INTO throttles (mask, carrier, until) VALUES (:mask, :carrier, :until) "
            "ON CONFLICT (mask) DO UPDATE SET carrier = excluded.carrier, until = excluded.until",
            mask=mask,
            carrier=carrier,
            until=until,
        )
        rows = self.query("SELECT COUNT(*) AS n FROM throttles WHERE carrier = :carrier", carrier=carrier)
        return int(rows[0]["n"])

    def set_back(self, now: int) -> None:
        """Make due what waits for a later time: see `ClaimUnit`. Nothing is throttled any more."""
        super().set_back(now)
        self.query("UPDATE circuits SET probe_at = :now WHERE probe_at > :now", now=now)
        self.query("DELETE FROM throttles")


def _circuit(row: Row) -> Circuit:
    return Circuit(failures=row["failures"], probes=row["probes"], probe_at=row["probe_at"], why=row["why"])
