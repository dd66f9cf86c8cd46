"""The tests can run beside each other: what takes long comes first, and a test that measures is alone."""

from __future__ import annotations

import fcntl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from parallel import turn
from program import until

SUITE = """
import os, pytest
@pytest.mark.parametrize("letters", [frozenset("abcdefghij"), frozenset("klmnopqrst")], ids=str)
def test_where(letters):
    with open(os.environ["SEEN"], "a") as seen:
        print(os.getpid(), __name__, flush=True, file=seen)
"""


def test_whoever_is_alone_waits_for_those_who_came_before_and_keeps_out_those_who_come_after(tmp_path: Path) -> None:
    leave, entered = threading.Event(), []

    def enter(name: str, *, alone: bool) -> None:
        with turn(tmp_path, alone=alone):
            entered.append(name)
            assert leave.wait(10)
            entered.append(f"{name} leaves")

    with ThreadPoolExecutor(4) as threads:
        first = [threads.submit(enter, name, alone=False) for name in ("one", "two")]
        until(lambda: len(entered) == 2, "two are in")
        alone = threads.submit(enter, "alone", alone=True)
        until(lambda: _kept_out(tmp_path), "it waits")
        late = threads.submit(enter, "late", alone=False)
        leave.set()
        for one in (*first, alone, late):
            one.result(10)
    assert set(entered[2:4]) == {"one leaves", "two leaves"}
    assert entered[4:] == ["alone", "alone leaves", "late", "late leaves"]


def _kept_out(folder: Path) -> bool:
    """Return whether a newcomer would wait at the door."""
    with (folder / "door").open("w") as door:
        try:
            fcntl.flock(door, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize(
    ("named", "processes"),
    [((), 2), (("tests",), 2), (("tests/test_one.py",), 1), (("tests/test_one.py::test_where",), 1)],
    ids=["nothing", "a folder", "a file", "a test"],
)
def test_a_run_is_spread_by_files_unless_one_is_named(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...], processes: int
) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.setenv("SEEN", str(pytester.path / "seen"))
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "2")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "xdist.plugin")
    tests = pytester.mkdir("tests")
    (tests / "conftest.py").write_text('pytest_plugins = ["parallel", "soak"]')
    for name in ("one", "two", "three"):
        (tests / f"test_{name}.py").write_text(SUITE)
    pytester.makeini("[pytest]\ntestpaths = tests\naddopts = -n auto --dist loadfile\nmarkers = soak")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *named)
    seen = (pytester.path / "seen").read_text().splitlines()
    assert result.ret == 0
    assert ("2 workers" in result.stdout.str()) is (processes == 2)
    assert len({line.split()[0] for line in seen}) == processes
    assert len(set(seen)) == len({line.split()[1] for line in seen})  # no file was parted


def test_files_with_slow_tests_come_first(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    pytester.makeconftest('pytest_plugins = ["parallel", "soak"]')
    pytester.makeini("[pytest]\nmarkers =\n slow\n soak")
    slow = "import pytest\ndef test_fast(): pass\n@pytest.mark.{}\ndef test_slow(): pass"
    pytester.makepyfile(test_a="def test_a(): pass", test_b=slow.format("slow"), test_c=slow.format("soak"))
    collected = pytester.runpytest_inprocess("--collect-only", "-q").outlines
    assert [line.partition("::")[0] for line in collected if "::" in line] == [
        *["test_b.py"] * 2, *["test_c.py"] * 2, "test_a.py",
    ]  # fmt: skip
