"""The store is closed while threads use it: each finishes or is refused, and the process lives."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import StoreUnavailable
from gateway.store import Store, Tx, running

pytestmark = pytest.mark.both_databases

#: Threads read and write without a pause, through SQLAlchemy and through the driver, while the store is closed.
PROGRAM = """
import sys, threading
from gateway.errors import StoreUnavailable
from gateway.store import Store
from gateway.store.db import Statement

ROWS = "SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7"
MANY = f"SELECT a.n FROM ({ROWS}) a, ({ROWS}) b, ({ROWS}) c"
HOT = Statement(MANY)

def use(work, began):
    try:
        while True:
            work()
            began.set()
    except StoreUnavailable:
        pass

def once(url):
    store = Store(url)
    uses = [
        lambda: len(store.read(lambda tx: tx.query(MANY))) == 343 or wrong.append("read"),
        lambda: len(store.read(lambda tx: tx.run(HOT))) == 343 or wrong.append("run"),
        lambda: store.write(lambda tx: tx.write_something(), shared=True),
    ]
    pairs = [(work, threading.Event()) for work in uses * 2]
    threads = [threading.Thread(target=use, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for _, began in pairs:
        began.wait()
    store.close()
    for thread in threads:
        thread.join()

wrong = []
threading.excepthook = lambda args: wrong.append(repr(args.exc_value))
for _ in range(int(sys.argv[2])):
    once(sys.argv[1])
print(*wrong)
"""


def test_a_store_closed_under_those_who_use_it_ends_nobody(database_url: str) -> None:
    rounds = "25" if database_url.startswith("sqlite") else "10"
    done = subprocess.run([sys.executable, "-c", PROGRAM, database_url, rounds], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def read_on(store: Store) -> None:
    while True:
        store.read(lambda tx: tx.query("SELECT 1"))


def test_a_close_waits_for_a_read_and_lets_no_other_in(database_url: str) -> None:
    store = Store(database_url)
    began, go_on = threading.Event(), threading.Event()

    def read(tx: Tx) -> int:
        began.set()
        go_on.wait(10)
        return tx.query("SELECT 7 AS n")[0]["n"]

    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(store.read, read)
        assert began.wait(10)
        closing = pool.submit(store.close)
        with pytest.raises(StoreUnavailable, match="closed"):
            read_on(store)
        assert not closing.done()
        go_on.set()
        assert reading.result(10) == 7
        closing.result(10)


def test_a_read_that_takes_too_long_keeps_its_connection_and_closes_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running.Running.close, "__defaults__", (0.05,))
    store = Store(database_url)
    began, go_on = threading.Event(), threading.Event()

    def read(tx: Tx) -> int:
        began.set()
        go_on.wait(10)
        return tx.query("SELECT 7 AS n")[0]["n"]

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(store.read, read)
        assert began.wait(10)
        store.close()
        assert "while units of work still run: 1" in caplog.text
        go_on.set()
        assert reading.result(10) == 7
    with pytest.raises(StoreUnavailable, match="closed"):
        store.read(lambda tx: tx.query("SELECT 1"))
