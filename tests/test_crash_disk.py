"""A disk that is full: texts are refused and not half taken, and all goes on by itself when there is room."""

from __future__ import annotations

import resource
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from crashes import LANES, SOON, Scene, ask
from ledger import Ledgers
from program import until
from soak import Rounds

ONCE = frozenset(range(0, LANES, 2))  #: lanes whose texts do not come again, as of a carrier that does not repeat
ROOM_TO_LOG = 1 << 16  #: bytes
LINES = 30  #: that may be logged on one time without room, however many requests come meanwhile


class Disk(ABC):
    """Where a database is, and what can be done to its room."""

    name: str
    folder: Path  #: as the gateway sees it
    prefix: tuple[str, ...] = ()  #: in front of the gateway's command

    @abstractmethod
    def fill(self, pid: int) -> None:
        """Leave no room to the process."""

    @abstractmethod
    def make_room(self, pid: int) -> None:
        """Give it back."""

    @abstractmethod
    def bring(self, folder: Path) -> None:
        """Copy the database, which nobody uses, into a folder."""


class Limit(Disk):
    """No file of the process may be written to but at its beginning: SQLite meets it as a disk that fails to write."""

    name = "files have a limit"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, pid: int) -> None:
        logged = max(file.stat().st_size for file in self.folder.parent.glob("*.log"))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (logged + ROOM_TO_LOG, resource.RLIM_INFINITY))

    def make_room(self, pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def bring(self, folder: Path) -> None:
        for file in self.folder.glob("gateway.db*"):
            shutil.copy(file, folder)


class Small(Disk):
    """A file system with room for the WAL and little more, in a name space that others see through a process in it."""

    name = "small file system"

    def __init__(self, folder: Path, holder: int) -> None:
        self.folder = folder
        self.prefix = ("nsenter", f"--target={holder}", "--user", "--mount", "--preserve-credentials")
        self._outside = Path(f"/proc/{holder}/root{folder}")

    def fill(self, pid: int) -> None:
        with (self._outside / "filler").open("wb", buffering=0) as filler:
            for size in (1 << 16, 1 << 10, 1):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def make_room(self, pid: int) -> None:
        (self._outside / "filler").unlink()

    def bring(self, folder: Path) -> None:
        for file in self._outside.glob("gateway.db*"):
            shutil.copy(file, folder)


@pytest.fixture(params=["limit", "file system"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Return a disk for the gateway's database."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limit":
        yield Limit(folder)
        return
    script = 'mount -t tmpfs -o size=12m tmpfs "$1" && echo mounted && read end'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(folder)]
    try:
        holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except FileNotFoundError:
        pytest.skip("a file system of its own needs unshare; the other disk is enough")
    with holder:
        said = holder.stdout.readline()
        if said != "mounted\n":
            pytest.skip(f"no file system of its own can be mounted here ({said.strip()}); the other disk is enough")
        yield Small(folder, holder.pid)


def readiness(here: Scene) -> int:
    """Return what the gateway answers who asks whether it can work."""
    try:
        ask("http://{}:{}".format(*here.gateways[0].place), "GET", "/readyz")
    except HTTPError as error:
        with error:
            return error.code
    return 200


@pytest.mark.soak
def test_a_full_disk_refuses_texts_and_is_forgotten_when_there_is_room(
    scene: Callable[..., Scene], disk: Disk, tmp_path: Path, rounds: Rounds, ledgers: Ledgers
) -> None:
    here = scene(f"sqlite:///{disk.folder}/gateway.db", slow=0.1, prefix=disk.prefix, once=ONCE)
    [gateway] = here.gateways
    pid = gateway.running.pid
    with here.under_load():
        for chance in rounds(seconds=0):
            here.wait_for(200, chance.randrange(LANES, 2 * LANES))
            said = len(gateway.lines)
            disk.fill(pid)
            here.wait_for(503, 100)
            until(lambda: readiness(here) == 503, "it says that it is not ready")
            disk.make_room(pid)
            here.wait_for(200, LANES)
            until(lambda: readiness(here) == 200, "it says that it is ready")
            assert len(gateway.lines) - said < LINES
    assert here.posters.answers[0] == 0  # every request was answered
    until(lambda: here.posters.acknowledged <= {one["text"] for one in here.book.taken()}, "all of it is there", SOON)
    gateway.stop()
    copy = tmp_path / "copy"
    copy.mkdir()
    disk.bring(copy)
    here.database_url = f"sqlite:///{copy}/gateway.db"
    here.judge_tables()
    ledger = here.reconcile(ledgers, f"disk full, {disk.name}")  # what was refused is not in it
    assert here.posters.refused
    assert (ledger.lost, ledger.doubled) == (0, 0)
