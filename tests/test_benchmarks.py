"""What carries the benchmarks; that they run is seen in CI, which runs the short form of all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import usage
from benchmarks.report import BEGIN, END, PAGE, Aim, Figure, Section, write

FOUND = [Section("ack --rounds 1", "texts", [Figure("a text", "2,310/s", 0.4512, 0.4, 98.6, "≥ 0.4 × bare: met")])]


def test_what_is_written_into_a_page_takes_the_place_of_what_was_and_leaves_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# By hand\n\n{BEGIN}\n| old |\n{END}\n\nMore by hand.\n")
    write(FOUND, ["2 cores"], page)
    text = page.read_text()
    assert text.startswith(f"# By hand\n\n{BEGIN}\n- 2 cores\n\n| ")
    assert text.endswith(f"{END}\n\nMore by hand.\n")
    assert "| **`ack --rounds 1`** texts |" in text
    assert "| a text | 2,310/s | 0.45 | 0.40 | 99 | ≥ 0.4 × bare: met |" in text
    assert "old" not in text
    write(FOUND, ["2 cores"], page)
    assert page.read_text() == text


def test_a_page_without_a_place_for_it_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# By hand\n{BEGIN}\n")
    with pytest.raises(SystemExit, match="no generated part"):
        write(FOUND, [], page)
    assert page.read_text() == f"# By hand\n{BEGIN}\n"


def test_the_page_has_a_place_for_what_is_measured() -> None:
    assert PAGE.read_text().count(BEGIN) == PAGE.read_text().count(END) == 1


@pytest.mark.parametrize(
    ("aim", "value", "words"),
    [
        (Aim(0.4, "× bare"), 0.4, "≥ 0.4 × bare: met"),
        (Aim(0.4, "× bare"), 0.39, "≥ 0.4 × bare: missed"),
        (Aim(25, "ms", at_most=True), 25.0, "≤ 25 ms: met"),
        (Aim(25, "ms", at_most=True), 25.1, "≤ 25 ms: missed"),
    ],
    ids=["at least, just so", "at least, not quite", "at most, just so", "at most, not quite"],
)
def test_an_aim_says_whether_it_is_met(aim: Aim, value: float, words: str) -> None:
    assert aim.on(value) == words


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_what_a_process_uses_includes_its_children() -> None:
    work = "held = b'x' * 30_000_000; sum(range(5_000_000)); print('done', flush=True); input()"
    shell = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, work]  # which waits for its child, and does nothing
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert len(usage.family(running.pid)) == 2
        assert usage.cpu_s(running.pid) > 0.03
        assert usage.peak_mb(running.pid) > 30
        running.communicate(b"\n")
