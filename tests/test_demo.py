"""`gateway demo` as a stranger runs it: a real process, in a pipe and on a terminal."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from demos import RUN, Place, Terminal, run_line

import gateway.plugins
from gateway.cli import main
from gateway.demo.ending import heard, held

pytestmark = pytest.mark.slow

MASK = "+1 206 555 0199"

#: What an operator's machine may hold: what is set there is wrong here, or must not be used.
OPERATOR = {
    "GATEWAY_API_KEYS": "one-long-random-word",
    "GATEWAY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "GATEWAY_LISTEN": "8000",
    "gateway_public_url": "https://mask.example.com",
    "GATEWAY_QUARANTINE_STRICT": "1",
    "GATEWAY_RETRY_BASE": "soon",
    "GATEWAY_TN_CARRIER": "flowroute",
    "GATEWAY_WEBHOOK_TOKEN": "word",
    "GATEWAY_WORKER": "3",
    "FLOWROUTE_ACCESS_KEY": "12345678",
    "FLOWROUTE_SECRET_KEY": "a-key-that-looks-real",
    "FLOWROUTE_API_URL": "http://127.0.0.1:1",
    "SIGNALWIRE_SPACE": "example.signalwire.com",
    "SIMULATOR_KEY": "somebody-else-s",
    "SIMULATOR_LOOKUP": "perhaps",
    "SIMULATOR_RATE": "fast",
    "SIMULATOR_URL": "ftp://127.0.0.1",
    "LOG_LEVEL": "loud",
    "ORG_NAME": "Acme",
    "SESSION_START_MSG": "Acme says hello.",
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Place]:
    place = Place(tmp_path_factory.mktemp("demo"))
    return place.start(), place


def frames(output: str) -> list[tuple[str, str]]:
    """Return what stands on Ann's phone and on Bob's, line by line."""
    lines = re.findall(r"^[│╭](.*?)[│╮]  [│╭](.*?)[│╮]$", output, re.MULTILINE)
    assert len(lines) > 10
    return [(left.strip("─ "), right.strip("─ ")) for left, right in lines]


def digits(text: str) -> str:
    return re.sub(r"\D", "", text)


# --- in a pipe ----------------------------------------------------------------------------------


def test_without_a_terminal_it_plays_and_exits_0(played) -> None:
    done, _ = played
    assert (done.returncode, done.stderr) == (0, "")
    assert "Ann never saw +1 206 555 0102. Bob never saw +1 206 555 0101.\n" in done.stdout
    assert "\x1b" not in done.stdout


def test_each_phone_shows_its_own_number_and_the_mask_alone(played) -> None:
    ann, bob = ("\n".join(side) for side in zip(*frames(played[0].stdout), strict=True))
    for phone, own, other in ((ann, "0101", "0102"), (bob, "0102", "0101")):
        assert f"1206555{own}" in digits(phone)
        assert f"555{other}" not in digits(phone)
        assert f"from {MASK}" in phone


def test_a_text_of_one_is_on_the_phone_of_the_other_and_a_late_one_is_not(played) -> None:
    rows = frames(played[0].stdout)
    assert ("Five minutes. Look for a grey", "Five minutes. Look for a grey") in rows
    assert rows[rows.index(("(rings)", "(calls)")) :][:3] == [
        ("(rings)", "(calls)"),
        ("(answers)", "(talks)"),
        ("(talks)", ""),
    ]
    assert [left for left, right in rows if right == "One more thing ..."] == [""]


def test_a_stranger_gets_the_no_session_words(played) -> None:
    assert 'and gets the answer: "[DEMO]: An active session was not found."\n' in played[0].stdout


def test_nothing_is_left_behind(played) -> None:
    assert played[1].leftovers() == []


def test_what_is_set_on_an_operator_s_machine_makes_no_difference(played, place: Place) -> None:
    (place.work / ".env").write_bytes(b"GATEWAY_API_KEYS=from-a-file\nFLOWROUTE_SECRET_KEY=\xff\xfe\n")
    done = place.play(**OPERATOR)
    assert (done.returncode, done.stderr) == (0, "")
    assert alike(done.stdout) == alike(played[0].stdout)


def alike(output: str) -> str:
    """Return output without what differs from one run to the next: ports and ids."""
    return re.sub(r"[0-9a-f]{32}", "ID", re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", output))


def test_a_proxy_of_the_environment_is_asked_neither_by_the_demo_nor_by_its_curl_lines(place: Place) -> None:
    done = place.play(http_proxy="http://127.0.0.1:1", ALL_PROXY="http://127.0.0.1:1")
    assert done.returncode == 0
    lines = re.findall(r"^\$ (curl .*)$", done.stdout, re.MULTILINE)
    assert lines
    assert all(line.startswith("curl --noproxy '*' ") for line in lines)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_where_the_terminal_has_no_unicode_the_phones_are_drawn_in_ascii(place: Place, encoding: str) -> None:
    done = place.play(PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "+- Ann's phone, +1 206 555 0101 -" in done.stdout


def test_without_the_simulated_carrier_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.plugins, "entry_points", lambda group: [])
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 2
    assert "pip install ./plugins/simulator" in result.stderr
    assert "Traceback" not in result.output


# --- planted faults -----------------------------------------------------------------------------

FAULTS = {
    "the real number in a text": (
        "from dataclasses import replace; from gateway import masking; relay = masking.relay;"
        "masking.relay = lambda event, lease:"
        " tuple(replace(each, text=f'{event.sender[2:]} {each.text}') for each in relay(event, lease))",
        "The mask slipped: Ann's phone shows Bob's real number.",
    ),
    "the real number as the sender": (
        "from dataclasses import replace; from gateway_simulator import Simulator; send = Simulator.send;"
        "Simulator.send = lambda self, message: send(self, replace(message, sender='+12065550101')"
        " if 'umbrella' in message.text else message)",
        "The mask slipped: Bob's phone shows Ann's real number.",
    ),
    "the real number as the caller": (
        "from dataclasses import replace; from gateway_simulator import Simulator; answer = Simulator.answer_call;"
        "shown = lambda route: replace(route, callees=tuple(replace(each, caller_id='+12065550102')"
        " for each in route.callees));"
        "Simulator.answer_call = lambda self, call, route: answer(self, call, shown(route))",
        "The mask slipped: Ann's phone shows Bob's real number.",
    ),
    "another number as the sender": (
        "from dataclasses import replace; from gateway_simulator import Simulator; send = Simulator.send;"
        "Simulator.send = lambda self, message: send(self, replace(message, sender='+12065550177')"
        " if 'umbrella' in message.text else message)",
        "The mask slipped: something came from a number that is not the mask.",
    ),
    "a late text that arrives": (
        "from gateway import inbound, masking; follow = inbound._follow;"
        "inbound._follow = lambda tx, carrier, event, verdict, settings, now:"
        " (masking.relay(event, verdict.lease) if verdict.outcome == 'ended' else ())"
        " + follow(tx, carrier, event, verdict, settings, now)",
        "The mask slipped: a text reached Ann after the session had ended.",
    ),
    "a text that nobody gets": (
        "from gateway import masking; masking.relay = lambda event, lease: ();"
        "from gateway.demo import stage; stage.PATIENCE = 1.0",
        "Bob's phone waited 1 s for a text that did not come.",
    ),
    "a call that does not ring": (
        "from gateway import Refuse; from gateway_simulator import Simulator; answer = Simulator.answer_call;"
        "Simulator.answer_call = lambda self, call, route: answer(self, call, Refuse(words='No.'))",
        "Ann's phone did not ring.",
    ),
    "a carrier that refuses": (
        "from gateway import PermanentSendError; from gateway_simulator import Simulator\n"
        "def send(self, message): raise PermanentSendError('no')\n"
        "Simulator.send = send",
        "POST /session was answered HTTP 500",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_demo_that_goes_wrong_says_so_and_exits_1(place: Place, fault: str) -> None:
    code, words = FAULTS[fault]
    done = place.play(f"{code}\n{RUN}")
    assert done.returncode == 1
    assert words in done.stdout
    assert "never saw" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert place.leftovers() == []


# --- on a terminal ------------------------------------------------------------------------------


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def make(columns: int = 100, *options: str) -> Terminal:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        opened.append(Terminal(Place(folder), columns, *options))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def printed(text: str, what: str) -> str:
    """Return the line that is printed for something to be done in another terminal."""
    found = re.search(rf"^  {what}:\n    ((?:curl|GATEWAY_URL=).*)$", text, re.MULTILINE)
    assert found, text
    return found[1]


def on_phones(text: str) -> list[tuple[str, str]]:
    """Return what stands on Ann's phone and on Bob's, line by line, without their tops."""
    rows = re.findall(r"^│(.*?)│  │(.*?)│$", text, re.MULTILINE)
    return [(left.strip(), right.strip()) for left, right in rows]


def test_on_a_terminal_one_types_as_either_phone_and_runs_the_lines_that_are_printed(terminal) -> None:
    screen = terminal(100, "--quick")
    begin = screen.until("> ")
    assert "Ann never saw" in begin

    screen.type("a hello there\n")
    assert ("hello there", "hello there") in on_phones(screen.until("╯\n> "))
    screen.type("b well, hello\n")
    shown = screen.until("╯\n> ")
    assert ("well, hello", "well, hello") in on_phones(shown)
    assert "0101" not in shown.replace("Ann's phone, +1 206 555 0101", "")

    assert '"pool_size": 2' in run_line(printed(begin, "the numbers"))
    assert '"total_sessions": 1' in run_line(printed(begin, "the sessions"))
    assert "A text would be relayed" in run_line(printed(begin, "what a text comes to"))

    screen.type("b half a")  # stays on the line while the session ends elsewhere
    screen.until("b half a")
    assert "Successfully ended" in run_line(printed(begin, "end this one"))
    screen.until("[DEMO]: This session has ended")
    screen.until("[DEMO]: This session has ended")
    screen.until("> b half a")
    screen.type(" line\n")
    assert "It reached nobody: there is no session. Open one" in screen.until("\n> ")

    assert "Created new session" in run_line(printed(begin, "open a session"))
    screen.until("[DEMO]: Your new session has started")
    screen.until("[DEMO]: Your new session has started")
    screen.until("> ")
    screen.type("a again\n")
    assert ("again", "again") in on_phones(screen.until("╯\n> "))

    screen.type("b stop\n")
    told = screen.until("╯\n> ")
    assert "You will get no more texts" in told
    assert "Texts cannot reach the other" in told
    screen.type("a anyone?\n")
    assert "who has texted STOP gets nothing more" in screen.until("START.\n> ")

    screen.type("/quit\n")
    assert screen.end() == 0
    assert screen.shown().endswith("Stopped. Nothing is left behind.\n")
    assert screen.place.leftovers() == []


def test_on_a_terminal_one_calls_as_either_phone(terminal) -> None:
    screen = terminal(100, "--quick")
    assert "a /call" in screen.until("> ")
    screen.type("a /call\n")
    rows = on_phones(screen.until("╯\n> "))
    assert ("(calls)", "(rings)") in rows
    assert ("", "(talks)") in rows
    screen.type("b /call busy\n")
    rows = on_phones(screen.until("╯\n> "))
    assert ("(rings)", "(calls)") in rows
    assert "(talks)" not in {cell for row in rows for cell in row}
    screen.type("b /call sings\n")
    screen.until("The other one answers, busy, declines or ignores.")
    screen.until("> ")
    screen.type("/quit\n")
    assert screen.end() == 0


def test_what_cannot_be_done_is_answered_with_a_hint(terminal) -> None:
    screen = terminal(100, "--quick")
    screen.until("> ")
    for line, hint in (
        ("hello", "Type a or b and a text, like: a hello"),
        ("/stop", "Type a or b and a text, like: a hello"),
        ("b", "Nothing to send: type some words after b."),
        ("a   ", "Nothing to send: type some words after a."),
        ("/help", "or Ctrl-C: stop, and remove everything"),
        ("Help", "or Ctrl-C: stop, and remove everything"),
    ):
        screen.type(f"{line}\n")
        screen.until(hint)
        screen.until("> ")
    screen.type("/quit\n")
    assert screen.end() == 0


def test_a_text_cannot_steer_the_terminal_and_any_script_fits_its_phone(terminal) -> None:
    screen = terminal(100, "--quick")
    screen.until("> ")
    screen.type("a \x16\x1b[2J cleared\n")  # Ctrl-V: the next key as it is
    assert ("?[2J cleared", "?[2J cleared") in on_phones(screen.until("╯\n> "))
    screen.type("b 日本 🙂\n")
    assert ("日本 🙂", "日本 🙂") in on_phones(screen.until("╯\n> "))


def test_at_the_prompt_whatever_ends_it_ends_it_in_order(terminal) -> None:
    ways = {"\x03": 0, "\x04": 0, "QUIT\n": 0, "exit\n": 0, signal.SIGTERM: 143}
    screens = {what: terminal(100, "--quick") for what in ways}
    for what, screen in screens.items():
        screen.until("> ")
        assert screen.place.leftovers() != []
        assert screen.leave(what) == ways[what]
        assert screen.place.leftovers() == []
        assert "Traceback" not in screen.shown()
        if isinstance(what, str):
            assert screen.shown().endswith("Stopped. Nothing is left behind.\n")


def test_on_a_narrow_terminal_the_phones_still_stand_side_by_side(terminal) -> None:
    screen = terminal(60, "--quick")
    lines = [line for line in screen.until("> ").splitlines() if line[:1] in "╭│╰" and line]
    assert len(lines) > 20
    assert {len(line) for line in lines} == {60}
    assert "─ Ann, +1 206 555 0101 ─" in lines[0]


@pytest.mark.parametrize(
    ("what", "code"), [("\x03", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["Ctrl-C", "SIGTERM", "SIGHUP"]
)
def test_cut_short_in_the_play_it_leaves_nothing_behind(terminal, what: str | signal.Signals, code: int) -> None:
    screen = terminal()
    screen.until("umbrella")
    assert screen.place.leftovers() != []
    screen.press(what)
    assert screen.end() == code
    assert screen.place.leftovers() == []
    assert "Traceback" not in screen.shown()


@pytest.mark.parametrize(
    ("number", "ends"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)]
)
def test_what_ends_it_waits_until_nothing_is_half_done(number: signal.Signals, ends: type[BaseException]) -> None:
    done = []
    with held():
        signal.raise_signal(number)
        done.append("a lock was taken and given back")
        with pytest.raises(ends), heard():
            done.append("never")
        signal.raise_signal(number)
        done.append("and it is held again")
        with pytest.raises(ends), heard():
            done.append("never")
    assert done == ["a lock was taken and given back", "and it is held again"]
