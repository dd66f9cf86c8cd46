"""The conformance kit bites: each fault is planted in a correct carrier, and the test that must see it goes red.

The kit is the one thing whose own faults nobody would notice. The carrier is `kit/gateway_acme.py`, its author's test
file `kit/acme_conformance.py`; both are copied into a folder of their own, installed there, and run in this process.
The faults are in `kit/faults.txt`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.testing import CarrierConformance, Sends

pytest_plugins = ["pytester"]

KIT = Path(__file__).parent / "kit"
CARRIER = "gateway_acme.py"
TESTS = "test_acme.py"
DIST = "acme-1.0.dist-info"


@dataclass(frozen=True)
class Edit:
    """Wherever `old` stands in `file`, write `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Fault:
    """Edits that make a correct carrier, or its author's tables, wrong, and the test of the kit that must notice."""

    id: str
    caught_by: str
    edits: tuple[Edit, ...]


def read_faults(text: str) -> list[Fault]:
    """Read faults: a line `id: caught_by`, then lines to take out (`-`) and to put in (`+`), `in FILE` for another."""
    return [_fault(paragraph) for paragraph in re.split(r"\n\n+", text.strip()) if not paragraph.startswith("#")]


def _fault(paragraph: str) -> Fault:
    head, *lines = paragraph.splitlines()
    name, _, caught_by = head.partition(": ")
    parts = re.split(r"^in (.+)\n", "\n".join(lines), flags=re.MULTILINE)
    named = list(zip(parts[1::2], parts[2::2], strict=True))
    return Fault(name, caught_by, tuple(_edit(file, body) for file, body in [(CARRIER, parts[0]), *named] if body))


def _edit(file: str, body: str) -> Edit:
    old, new = ("\n".join(line[1:] for line in body.splitlines() if line[0] == sign) for sign in "-+")
    return Edit(file, old, new)


FAULTS = read_faults((KIT / "faults.txt").read_text("utf-8"))


@pytest.fixture
def author(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an author: a correct carrier, installed, and its tests."""
    folder = pytester.path
    (folder / DIST).mkdir()
    for path, text in {
        CARRIER: (KIT / CARRIER).read_text("utf-8"),
        TESTS: (KIT / "acme_conformance.py").read_text("utf-8"),
        f"{DIST}/METADATA": "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n",
        f"{DIST}/entry_points.txt": "[maskgate]\nacme = gateway_acme\n",
    }.items():
        (folder / path).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they cost a second a run
    return folder


def failures(pytester: pytest.Pytester, *options: str) -> list[str]:
    """Run the author's tests and return those that failed; at least one must have run."""
    run = pytester.inline_run("-p", "no:cacheprovider", "-W", "error", "--import-mode=importlib", *options, TESTS)
    passed, _, failed = run.listoutcomes()
    assert passed or failed, "no test ran"
    return [report.nodeid for report in failed]


def plant(folder: Path, fault: Fault) -> None:
    for edit in fault.edits:
        path = folder / edit.file
        text = path.read_text("utf-8")
        assert edit.old in text, f"cannot be planted any more: {edit.old!r} is not in {edit.file}"
        path.write_text(text.replace(edit.old, edit.new), "utf-8")


def test_a_correct_carrier_passes(pytester: pytest.Pytester, author: Path) -> None:
    assert failures(pytester) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_planted_fault_is_caught(pytester: pytest.Pytester, author: Path, fault: Fault) -> None:
    plant(author, fault)
    assert failures(pytester, "-x", "-k", fault.caught_by), f"{fault.id} was not caught by {fault.caught_by}"


def test_the_base_class_is_not_collected_by_itself() -> None:
    assert not CarrierConformance.__name__.startswith("Test")


def test_a_misspelt_row_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="outcom"):
        Sends("accepted", wire={}, outcom=None)  # type: ignore[call-arg]
