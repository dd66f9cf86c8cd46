"""How a run is spread over processes: whole files, those that take long first; a test that measures runs alone.

    @pytest.mark.alone                  # it compares times or counts CPU: no other test runs beside it
    def test_webhooks_stay_fast_while_a_carrier_is_out() -> None: ...

Files stay whole because a module's fixtures, an environment built by pip above all, would be made once in each process.
"""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from memory import room

GARBAGE = 10_000  #: objects more than before, until somebody looks for garbage; Python's own 700 are a sixth of the CPU
SPARE = 1  #: processes more than cores: a test waits about as long as it computes


def pytest_configure(config: pytest.Config) -> None:
    """Let all processes have one seed of hashes, or a set in a test's name gives it another name in each.

    Put the folders of tests into memory: thousands of databases that wait for a disk at each commit double a run.
    Tests marked `soak` have theirs on disk: see `soak.tmp_path`.
    """
    os.environ.setdefault("PYTHONHASHSEED", str(config.getoption("seed") % (1 << 32)))
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", room())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return how many processes `-n auto` means: none for a file or a test that was named, nor in a soak."""
    if config.getoption("soak") or not any(Path(arg).is_dir() for arg in config.args):
        return 0
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return len(os.sched_getaffinity(0)) + SPARE if hasattr(os, "sched_getaffinity") else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while thousands of tests are collected, and never again among what was collected.

    It is kept to the end: looking through it is a third of what collecting takes, and a third of a second each time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE)
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first, so that no process is left with one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("soak")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test marked `alone` while no other process runs one."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    folder = Path(item.config.getoption("basetemp")).parent
    with turn(folder, alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until everybody else is out, if `alone`, or until nobody is alone; locks are files in `folder`."""
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    with (folder / "door").open("w") as door, (folder / "room").open("w") as room:
        fcntl.flock(door, kind)  # whoever wants to be alone keeps newcomers out while it waits
        fcntl.flock(room, kind)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
