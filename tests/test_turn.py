"""Who waits to write is next, and a process that hangs or dies holds up nobody for long."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import until

from gateway.store.turn import NEXT, TURN, Turn

#: Another process: says when it has its turn, gives it back when it is told to.
OTHER = """
import sys
from gateway.store.turn import Turn
turn = Turn(sys.argv[1], patience=30)
for line in sys.stdin:
    with turn.taken():
        print("mine", flush=True)
        sys.stdin.readline()
    print("given back", flush=True)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", OTHER, str(tmp_path / "db")]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        yield process
        process.kill()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def is_held(turn: Turn, place: int) -> bool:
    """Return whether another process holds a place."""
    if turn._lock(place):
        turn._release(place)
        return False
    return True


def test_who_waits_is_next_before_who_has_just_had_its_turn(other: subprocess.Popen[str], tmp_path: Path) -> None:
    ours, probe = Turn(str(tmp_path / "db"), patience=0.05), Turn(str(tmp_path / "db"), patience=0)
    with ours.taken():
        tell(other)
        until(lambda: is_held(probe, NEXT), "the other waits")
    with ours.taken():  # so it had its turn, or is about to: we were put behind it, until our patience ended
        assert hear(other) == "mine"
        assert is_held(probe, TURN)
    tell(other)
    assert hear(other) == "given back"
    ours.close()
    probe.close()


def test_a_process_that_dies_with_the_turn_leaves_it_to_the_next(other: subprocess.Popen[str], tmp_path: Path) -> None:
    ours = Turn(str(tmp_path / "db"), patience=20)
    tell(other)
    assert hear(other) == "mine"
    assert is_held(ours, TURN)
    other.kill()
    other.wait()
    with ours.taken():
        pass
    assert not is_held(ours, TURN)
    ours.close()


def test_where_no_file_can_be_made_nobody_waits(tmp_path: Path) -> None:
    turn = Turn(str(tmp_path / "missing" / "db"), patience=20)
    with turn.taken():
        pass
    turn.close()
