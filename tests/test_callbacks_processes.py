"""Callbacks of real processes: one that is killed loses none, and two send none twice at a time or out of order."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import gateways
from fleet import forked, ready
from postgres import Server
from program import Program, until
from receivers import SECRET, Got, Receiver, Reply, receiving

from gateway.clock import now_ms
from gateway.store import Store

S = "0123456789abcdef0123456789abcd"  #: and two digits: a session
SESSIONS, EACH = 8, 10


def variables(receiver: Receiver, database_url: str) -> dict[str, str]:
    return {
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_PUBLIC_URL": "http://gw.example.com",
        "GATEWAY_INSECURE": "1",
        "GATEWAY_WEBHOOK_TOKEN": gateways.TOKEN,
        "GATEWAY_CALLBACK_URL": receiver.url,
        "GATEWAY_CALLBACK_SECRET": SECRET,
        "GATEWAY_RETRY_BASE": "20ms",
        "FLOWROUTE_ACCESS_KEY": "access",
        "FLOWROUTE_SECRET_KEY": "secret",
    }


def happen(store: Store) -> int:
    """Let something happen in each session, several times; return how often."""
    for _ in range(EACH):
        for n in range(SESSIONS):
            store.write(lambda tx, n=n: tx.add_event("session.changed", now_ms(), session=f"{S}{n:02}"), shared=True)
    return SESSIONS * EACH


def first(taken: list[Got]) -> dict[str, list[int]]:
    """Return the events of each session, as they came first."""
    found: dict[str, list[int]] = {}
    for got in taken:
        events = found.setdefault(got.session, [])
        events += [got.event] if got.event not in events else []
    return found


def told(store: Store, receiver: Receiver) -> None:
    """Fail unless each event came, those of each session in order, with the same id and body each time."""
    wanted: dict[str, list[int]] = {}
    for row in store.read(lambda tx: tx.events(count=1000)):
        wanted.setdefault(row["session"], []).append(row["id"])
    assert first(receiver.taken) == wanted
    assert len({(got.id, got.body) for got in receiver.got}) == len({got.event for got in receiver.got})


def kill(program: Program) -> None:
    program.running.send_signal(signal.SIGKILL)
    program.running.wait(10)


def test_a_gateway_that_is_killed_while_it_calls_back_loses_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    with receiving(lambda got: Reply(after=0.03)) as receiver, closing(Store(url)) as store:
        given = variables(receiver, url)
        with forked(tmp_path, given, "serve", name="first") as program:
            assert "callbacks: 1 endpoint (127.0.0.1-" in ready(program).output
            count = happen(store)
            until(lambda: len(receiver.got) > 10, "it calls back")
            kill(program)
        so_far = len(receiver.got)
        with forked(tmp_path, given, "serve", name="second") as program:
            until(lambda: len(receiver.got) > so_far + 10, "it goes on")
            kill(program)
        with forked(tmp_path, given, "serve", name="third"):
            until(lambda: len({got.event for got in receiver.taken}) == count, "all are taken")
        told(store, receiver)


def test_two_that_send_keep_the_order_and_when_one_is_killed_the_other_goes_on(
    postgres: Server, tmp_path: Path
) -> None:
    with postgres.schema() as url, receiving(lambda got: Reply(after=0.01)) as receiver, closing(Store(url)) as store:
        given = variables(receiver, url)
        with (
            forked(tmp_path, given, "dispatch", name="one") as one,
            forked(tmp_path, given, "dispatch", name="two") as two,
        ):
            ready(one, " dispatching")
            ready(two, " dispatching")
            count = happen(store)
            receiver.wait(count)
            until(lambda: not store.read(lambda tx: tx.query("SELECT * FROM callback_lines")), "all is settled")
            assert {*receiver.at_once.values()} == {1}
            assert len(receiver.got) == count
            senders = store.read(lambda tx: tx.query("SELECT * FROM callbacks WHERE attempts <> 1"))
            assert senders == []
            receiver.answer = lambda got: Reply(after=0.1)
            count += happen(store)
            until(lambda: len(receiver.got) > count - SESSIONS * EACH + 20, "both call back")
            kill(one)
            until(lambda: len({got.event for got in receiver.taken}) == count, "all are taken", 15)
        told(store, receiver)
