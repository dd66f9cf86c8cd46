"""What outlives one request: `events tail` across restarts, pipes that close, and words that a shell completes."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from commands import ADMIN, FAILS, Cli, served
from demos import ANSI
from nursery import Forked
from program import environment, until

from gateway.cli.api import Api
from gateway.cli.events import _Tail
from gateway.clock import now_ms
from gateway.remote import Remote
from gateway.server import Gateway

TN = [f"+1206555{n:04}" for n in range(100, 110)]
ANN, BOB = "+12065550181", "+12065550182"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with served(tmp_path_factory.mktemp("gateway")) as one:
        Cli(one.url)("pool", "add", *TN, "--carrier", "flowroute")
        yield one


@pytest.fixture
def cli(running: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return Cli(running.url)


class Tail:
    """A process that follows the feed: what it has printed until now."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        Reader(process.stdout, self.lines)
        Reader(process.stderr, self.errors)

    def until(self, count: int) -> None:
        until(lambda: len(self.lines) >= count, f"it has printed {count} lines: {self.lines}, {self.errors}")


class Reader(Thread):
    """Takes the lines of a stream as they come."""

    def __init__(self, stream, found: list[str]) -> None:
        super().__init__(daemon=True)
        self._stream, self._found = stream, found
        self.start()

    def run(self) -> None:
        for line in self._stream:
            self._found.append(line)


@contextmanager
def tailing(cli: Cli, *words: str) -> Iterator[Tail]:
    """Follow the feed until the end of the block, which Ctrl-C is."""
    with cli.process("events", "tail", *words) as process:
        tail = Tail(process)
        try:
            yield tail
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert "Traceback" not in "".join(tail.errors)
        finally:
            process.kill()


def talk(cli: Cli) -> str:
    """Open a session and end it; return its id."""
    opened = cli.json("sessions", "open", "--participant", ANN, "--participant", BOB)
    cli("sessions", "end", opened["id"])
    return str(opened["id"])


# --- tail -----------------------------------------------------------------------------------------------


def test_a_tail_goes_on_across_a_restart_without_a_gap_or_a_repeat(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        cli, listen = Cli(first.url), first.url.removeprefix("http://")
        cli("pool", "add", *TN, "--carrier", "flowroute")
        ids = [talk(cli)]
        with tailing(cli, "--from-start", "--json") as tail:
            tail.until(2)
            first.stop()
            until(lambda: tail.errors, "it says that the gateway is away")
            with served(tmp_path, GATEWAY_LISTEN=listen):
                ids += [talk(cli), talk(cli)]
                tail.until(6)
                ids.append(talk(cli))
                tail.until(8)
    events = [json.loads(line) for line in tail.lines]
    assert [one["session"] for one in events] == [id for id in ids for _ in range(2)]
    away, back = tail.errors[::2], tail.errors[1::2]  # once each time it is away: on a busy machine that may be twice
    assert len(away) == len(back) <= 2, tail.errors
    assert all("Trying until it answers" in line for line in away), tail.errors
    assert set(back) == {"gateway: it answers again\n"}


def test_a_tail_begins_now_unless_told_otherwise_and_prints_what_is_wanted(cli: Cli) -> None:
    before = talk(cli)
    with tailing(cli, "--kind", "session.ended", "--kind", "session.opened") as tail:
        # whether it has begun nobody can see but by an event: there may be some before that one
        until(lambda: talk(cli) and tail.lines, "it has begun")
        after = talk(cli)
        until(
            lambda: any(f"session.ended                 session {after}" in line for line in tail.lines), "it is there"
        )
    assert before not in "".join(tail.lines)
    assert ANN not in "".join(tail.lines)


def test_a_tail_need_not_follow(cli: Cli) -> None:
    ids = [talk(cli) for _ in range(2)]
    everything = cli.lines("events", "tail", "--no-follow")
    assert [one["session"] for one in everything][-4:] == [id for id in ids for _ in range(2)]
    one = everything[-3]
    assert cli.lines("events", "tail", "--no-follow", "--since", str(one["id"])) == everything[-2:]
    assert cli.lines("events", "tail", "--no-follow", "--since", one["at"])[-3:] == everything[-3:]
    assert cli.lines("events", "tail", "--no-follow", "--since", "2h", "--session", ids[0]) == everything[-4:-2]
    assert cli.lines("events", "tail", "--no-follow", "--kind", "carrier.paused") == []
    shown = cli("events", "tail", "--no-follow").stdout.splitlines()
    assert len(shown) == len(everything)
    assert shown[-1].split()[2:6] == [str(everything[-1]["id"]), "session.ended", "session", ids[1]]


def test_a_tail_that_does_not_follow_ends_though_other_events_keep_coming(running: Gateway) -> None:
    class Busy(Api):
        """Before each request something happens that is not asked for, and something that is."""

        asked = 0

        def get(self, *words: Any, **more: Any) -> dict[str, Any]:
            self.asked += 1
            assert self.asked < 20
            for kind in ("pool.low", "number.unknown", "pool.low"):
                running.store.write(lambda tx, kind=kind: tx.add_event(kind, now_ms()))
            return super().get(*words, **more)

    api = Busy(Remote(url=running.url, key=ADMIN))
    tail = _Tail(api, {"kind": "number.unknown", "limit": 200})
    found = list(tail.events({"after": "latest"}, follow=False)) + list(tail.events({"after": "0"}, follow=False))
    assert [one["kind"] for one in found] == ["number.unknown"] * 3  # what had come when the second one began


def test_a_tail_of_a_gateway_that_is_not_there_ends(tmp_path: Path) -> None:
    assert "cannot connect" in Cli("http://127.0.0.1:1")("events", "tail", code=5).stderr


# --- pipes and terminals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["pool", "list", "--all"], ["events", "tail", "--from-start"]], ids=" ".join)
def test_a_reader_that_has_had_enough_ends_it_without_a_word(cli: Cli, words: list[str]) -> None:
    for _ in range(3):
        talk(cli)
    read, write = os.pipe()
    os.close(read)
    with cli.process(*words, stdout=write) as process:
        os.close(write)
        _, errors = process.communicate(timeout=30)
    assert errors == ""
    assert process.returncode == 141


def test_what_is_piped_is_neither_folded_nor_cut(cli: Cli) -> None:
    opened = cli.json("sessions", "open", "--participant", f"{ANN},name=Driver", "--participant", BOB)
    text = "A long text, " * 40
    cli("messages", "send", opened["id"], text, "--to", BOB)
    [line] = cli("messages", "list", "--session", opened["id"]).stdout.splitlines()[1:]
    assert line.endswith(text.strip())
    assert not line.endswith(" ")
    cli("sessions", "end", opened["id"])


def on_a_terminal(cli: Cli, *words: str, keys: str = "") -> tuple[str, int]:
    """Run a command on a terminal, type `keys`, and return what was shown and its exit code."""
    keyboard, theirs = pty.openpty()
    env = environment(cli.variables) | {"COLUMNS": "80"}
    files = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with Forked(["gateway", *words], cwd=Path.cwd(), env=env, **files) as process:
        os.close(theirs)
        os.write(keyboard, keys.encode())
        shown = b""
        while True:
            try:
                shown += os.read(keyboard, 1 << 16)
            except OSError:  # Linux: nobody holds the other side any more
                break
        code = process.wait(30)
    os.close(keyboard)
    return shown.decode(), code


@pytest.mark.parametrize(("keys", "code", "sent"), [("n\n", 1, 0), ("y\n", 0, 1)], ids=["no", "yes"])
def test_a_replay_by_filter_asks_on_a_terminal(cli: Cli, running: Gateway, keys: str, code: int, sent: int) -> None:
    opened = cli.json("sessions", "open", "--participant", ANN, "--participant", BOB)
    cli("messages", "send", opened["id"], FAILS, "--to", BOB)
    listed = ["messages", "list", "--session", opened["id"]]
    until(lambda: cli.lines(*listed, "--state", "failed"), "it failed")
    shown, ended = on_a_terminal(cli, "messages", "replay", "--session", opened["id"], keys=keys)
    assert "Send 1 message again? [y/N]" in shown
    assert ended == code
    assert len(cli.lines(*listed)) == 1 + sent
    cli("sessions", "end", opened["id"])


def test_on_a_terminal_nothing_that_people_wrote_steers_it(cli: Cli) -> None:
    opened = cli.json("sessions", "open", "--participant", f"{ANN},name=Driver", "--participant", BOB)
    cli("messages", "send", opened["id"], "\x1b[2J\x07wiped\r\n", "--to", BOB)
    shown, _ = on_a_terminal(cli, "messages", "list", "--session", opened["id"])
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown
    cli("sessions", "end", opened["id"])


def test_on_a_terminal_words_are_shortened_and_nothing_else(cli: Cli) -> None:
    opened = cli.json("sessions", "open", "--participant", f"{ANN},name=Driver", "--participant", BOB)
    [sent] = cli.json("messages", "send", opened["id"], "A text that is longer than there is room for", "--to", BOB)[
        "data"
    ]
    shown, _ = on_a_terminal(cli, "messages", "list", "--session", opened["id"])
    line = ANSI.sub("", shown).splitlines()[1]
    assert "A text that is long…" in line
    assert all(f" {word} " in line for word in (sent["mask"], BOB, "flowroute", opened["id"]))
    listed, _ = on_a_terminal(cli, "sessions", "list", "--limit", "1")
    assert f"{ANN} (Driver) on {opened['legs'][0]['mask']}, {BOB} on {sent['mask']} " in ANSI.sub("", listed)
    cli("sessions", "end", opened["id"])


# --- completion -------------------------------------------------------------------------------------------


def completed(cli: Cli, line: str, **variables: str) -> list[str]:
    """Return what is offered at the end of a line."""
    asked = {"_GATEWAY_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    result = cli(**asked, **variables)
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


def test_commands_options_and_choices_are_completed(cli: Cli) -> None:
    assert "pool" in completed(cli, "gateway p")
    assert completed(cli, "gateway pool dr") == ["drain"]
    assert completed(cli, "gateway pool list --lim") == ["--limit"]
    assert completed(cli, "gateway pool list --state d") == ["draining", "disabled"]
    assert completed(cli, "gateway events tail --kind carrier.") == ["carrier.paused", "carrier.resumed"]


def test_numbers_sessions_and_carriers_are_completed_by_the_gateway(cli: Cli) -> None:
    opened = cli.json("sessions", "open", "--participant", ANN, "--participant", BOB)
    assert completed(cli, "gateway pool show +1206555010") == TN
    assert completed(cli, f"gateway sessions end {opened['id'][:8]}") == [opened["id"]]
    assert completed(cli, "gateway pool list --carrier f") == ["flowroute"]
    cli("sessions", "end", opened["id"])


def test_a_gateway_that_cannot_say_completes_nothing(cli: Cli) -> None:
    for url in ("http://127.0.0.1:1", "nonsense"):
        assert completed(cli, "gateway pool show +1206", GATEWAY_URL=url) == []
    assert completed(cli, "gateway pool show +1206", GATEWAY_API_KEY="wrong") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one_it_can_read(cli: Cli, shell: str) -> None:
    script = cli("completion", shell).stdout
    assert "_GATEWAY_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=20)
    assert ADMIN not in script
