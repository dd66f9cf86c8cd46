"""The commands that talk to a gateway, over real sockets: tables, JSON, exit codes, and what is refused in words."""

from __future__ import annotations

import json
import re
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from commands import ADMIN, FAILS, OPERATOR, READER, Cli, served
from program import until
from receivers import SECRET, Reply, receiving

from gateway import kinds, replay
from gateway.callbacks.records import CallbackState
from gateway.calls import RecordingKind, RecordingReport, RecordingState
from gateway.cli import REMOTE, callbacks, calls, events, main, messages, pool, replaying
from gateway.cli.frame import Exit
from gateway.cli.importing import MOST
from gateway.past import CallLeg
from gateway.records import MessageState, NumberState
from gateway.remote import VARIABLES
from gateway.server import Gateway
from gateway.settings import read_settings
from gateway.store import NewCall, Routed, Tx
from gateway.voice import policy
from gateway.web.v1 import call_models, message_models, pool_models

TN = [f"+1206555{n:04}" for n in range(100, 110)]
ANN, BOB, CARL, DAN = (f"+120655501{n}" for n in range(81, 85))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with served(tmp_path_factory.mktemp("gateway")) as one:
        Cli(one.url)("pool", "add", *TN[:6], "--carrier", "flowroute")
        yield one


@pytest.fixture
def cli(running: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)  # where no .env is
    return Cli(running.url)


@pytest.fixture
def session(cli: Cli) -> Iterator[dict[str, Any]]:
    """Return a live session of Ann, a driver, and Bob, which ends with the test."""
    opened = cli.json("sessions", "open", "--participant", f"{ANN},name=Driver", "--participant", BOB)
    yield opened
    cli("sessions", "end", opened["id"])


def send(cli: Cli, running: Gateway, session: dict[str, Any], text: str, *, to: str = BOB) -> str:
    """Send a text into a session, and return its id when its carrier has answered."""
    [sent] = cli.json("messages", "send", session["id"], text, "--to", to)["data"]
    until(lambda: cli.json("messages", "show", sent["id"])["state"] not in ("queued", "sending"), "it was sent")
    return str(sent["id"])


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# --- what the command line knows is what the gateway has ------------------------------------------------


def test_choices_are_those_of_the_api() -> None:
    assert {*pool.STATES} == {state.value for state in NumberState}
    assert {*messages.STATES} == {state.value for state in message_models.State}
    assert {*messages.DIRECTIONS} == {one.value for one in message_models.Direction}
    assert {*replaying.STATES} == {one.value for one in message_models.Replayable}
    assert {*callbacks.STATES} == {state.value for state in CallbackState}
    assert {MessageState(one) for one in replaying.STATES} == replay.REPLAYABLE
    assert [*replaying.UNLESS_SAID] == [one.value for one in message_models.ReplayMessages().states]
    assert {*events.KINDS} == kinds.KINDS
    assert {*calls.STATES} == {*get_args(call_models.State)}
    assert {*calls.OUTCOMES} == {*get_args(call_models.Outcome)}
    assert pool_models.MOST == MOST


def test_exit_codes_stay_as_they_are() -> None:
    assert {one.name: int(one) for one in Exit} == {
        "DONE": 0, "NOT_ALL": 1, "WRONG": 2, "NOT_FOUND": 3, "CONFLICT": 4, "UNAVAILABLE": 5, "NOT_ALLOWED": 6,
        "INTERRUPTED": 130, "NOBODY_READS": 141,
    }  # fmt: skip


def every_command() -> list[list[str]]:
    return [[group.name, *([name] if name else [])] for group in REMOTE for name in getattr(group, "commands", [""])]


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_explains_itself(cli: Cli, words: list[str]) -> None:
    said = cli(*words, "--help").stdout
    assert len(said.splitlines()) > 6
    assert "--url" in said
    assert "--json" in said or [word for word in every_command() if word[0] == words[0]] != [words]


def test_a_group_without_a_command_says_what_there_is_and_no_error(cli: Cli) -> None:
    said = cli("sessions", code=2).output
    assert said.startswith("Usage: gateway sessions ")
    assert "  reopen " in said
    assert "Error" not in said


# --- pool -----------------------------------------------------------------------------------------------


def test_the_pool_is_listed_in_a_table_and_as_lines(cli: Cli) -> None:
    rows = table(cli("pool", "list").stdout)
    assert rows[0][:5] == ["number", "carrier", "region", "state", "live"]
    assert [row[0] for row in rows[1:7]] == TN[:6]
    assert [row["number"] for row in cli.lines("pool", "list")][:6] == TN[:6]


def test_a_list_has_as_many_rows_as_are_wanted_and_says_that_there_are_more(cli: Cli) -> None:
    some = cli("pool", "list", "--limit", "2", "--json")
    assert [json.loads(line)["number"] for line in some.stdout.splitlines()] == TN[:2]
    assert "There may be more" in some.stderr
    everything = cli("pool", "list", "--all", "--json")
    assert len(everything.stdout.splitlines()) >= 6
    assert everything.stderr == ""


def test_a_long_list_is_read_page_by_page(cli: Cli, running: Gateway) -> None:
    many = [f"+1312555{n:04}" for n in range(450)]
    cli("pool", "add", *many, "--carrier", "signalwire", "--label", "many")
    try:
        assert [row["number"] for row in cli.lines("pool", "list", "--label", "many", "--all")] == many
        assert len(cli.lines("pool", "list", "--label", "many", "--limit", "201")) == 201
        shown = cli("pool", "list", "--label", "many", "--all").stdout.splitlines()
        assert [line.split()[0] for line in shown] == ["number", *many]  # with one head
    finally:
        running.store.write(lambda tx: tx.query("DELETE FROM numbers WHERE label = 'many'"))


def test_a_list_of_nothing_says_so_to_people_alone(cli: Cli) -> None:
    result = cli("pool", "list", "--label", "nobody's")
    assert (result.stdout, result.stderr) == ("", "No numbers.\n")
    assert cli("pool", "list", "--label", "nobody's", "--json").output == ""


def test_a_number_is_added_shown_changed_drained_and_removed(cli: Cli) -> None:
    assert cli("pool", "add", TN[7], TN[8], "--carrier", "signalwire").stdout == f"Added {TN[7]}\nAdded {TN[8]}\n"
    assert cli.json("pool", "show", TN[7])["carrier"] == "signalwire"
    assert ["state", "active"] in table(cli("pool", "show", TN[7]).stdout)
    assert cli.json("pool", "set", TN[7], "--label", "spare", "--state", "disabled")["state"] == "disabled"
    assert ["label", "spare"] in table(cli("pool", "set", TN[7], "--label", "spare").stdout)
    assert cli("pool", "drain", TN[7]).stdout == f"{TN[7]} is draining, 0 live on it\n"
    assert [one["state"] for one in cli.lines("pool", "drain", TN[7], TN[8])] == ["draining"] * 2
    assert cli("pool", "remove", TN[7]).stdout == f"Removed {TN[7]}\n"
    assert cli.lines("pool", "remove", TN[8]) == [{"removed": TN[8]}]
    cli("pool", "show", TN[7], code=3)


def test_of_several_numbers_those_that_cannot_be_are_told_and_the_others_are_done(cli: Cli) -> None:
    cli("pool", "add", TN[7], "--carrier", "signalwire")
    result = cli("pool", "remove", TN[9], TN[7], code=1)
    assert result.stdout == f"Removed {TN[7]}\n"
    assert result.stderr == f"gateway: {TN[9]}: The number is not in the pool.\n"


def test_figures_say_how_much_is_in_use(cli: Cli, session: dict[str, Any]) -> None:
    rows = table(cli("pool", "figures", "--carrier", "flowroute").stdout)
    assert rows[1][:7] == ["flowroute", "US", "text", "6", "0", "0", "2"]
    assert cli.json("pool", "figures")["data"][0]["leases"]["live"] == 2


def test_who_is_on_a_number_is_listed(cli: Cli, session: dict[str, Any]) -> None:
    mask = session["legs"][0]["mask"]
    assert [ANN, "Driver", "live", session["id"]] in table(cli("pool", "show", mask, "--holders").stdout)
    live = [one for one in cli.lines("pool", "show", mask, "--holders") if one["state"] == "live"]
    assert [one["participant"] for one in live] == [
        leg["participant"] for leg in session["legs"] if leg["mask"] == mask
    ]


# --- sessions -------------------------------------------------------------------------------------------


def test_a_session_is_opened_shown_listed_ended_and_reopened(cli: Cli) -> None:
    people = ["--participant", f"{DAN},name=Driver,mask={TN[0]},carrier=flowroute,country=US", "--participant", CARL]
    more = [
        "--ttl",
        "2h",
        "--external-id",
        "ride-7",
        "--metadata",
        "ride=7",
        "--channels",
        "text",
        "--end-text",
        "Bye.",
    ]
    opened = cli.json("sessions", "open", *people, *more)
    assert [(leg["participant"], leg["name"]) for leg in opened["legs"]] == [(DAN, "Driver"), (CARL, None)]
    assert opened["legs"][0]["mask"] == TN[0]
    assert (opened["ttl"], opened["metadata"], opened["channels"]) == ("2h", {"ride": "7"}, ["text"])
    shown = table(cli("sessions", "show", opened["id"]).stdout)
    assert [DAN, "Driver", TN[0], "flowroute"] in shown
    assert ["external", "id", "ride-7"] in shown
    [row] = cli("sessions", "list", "--external-id", "ride-7").stdout.splitlines()[1:]
    assert f"{DAN} (Driver) on {TN[0]}, {CARL} on " in row
    assert [one["id"] for one in cli.lines("sessions", "list", "--participant", CARL)] == [opened["id"]]
    assert cli("sessions", "end", opened["id"], "--reason", "done", "--silent").stdout == f"Ended {opened['id']}\n"
    ended = cli.json("sessions", "show", opened["id"])
    assert (ended["state"], ended["note"]) == ("ended", "done")
    assert cli.json("sessions", "reopen", opened["id"], "--expires-at", "2h")["state"] == "live"
    assert [one["state"] for one in cli.lines("sessions", "end", opened["id"], "--text", "So long.")] == ["ended"]
    cli("sessions", "end", opened["id"], code=4)


def test_a_session_is_changed_as_far_as_is_said(cli: Cli, session: dict[str, Any]) -> None:
    id = session["id"]
    changed = cli.json("sessions", "change", id, "--ttl", "2h", "--expires-at", "24h", "--metadata", "order=7")
    assert (changed["ttl"], changed["metadata"]) == ("2h", {"order": "7"})
    assert changed["latest_expiry"] is not None
    assert [leg["name"] for leg in changed["legs"]] == ["Driver", None]
    rows = table(cli("sessions", "change", id, "--participant", f"{BOB},number={CARL},name=Rider").stdout)
    assert rows[-1][:2] == [CARL, "Rider"]
    changed = cli.json("sessions", "change", id, "--expires-at", "", "--metadata", "")
    assert (changed["ttl"], changed["latest_expiry"], changed["metadata"]) == ("2h", None, {})
    assert cli.json("sessions", "change", id, "--ttl", "")["ttl"] is None


def test_how_calls_go_and_pins_are_given_and_shown_but_no_pin(cli: Cli) -> None:
    people = ["--participant", f"{ANN},name=Driver,pin=24680", "--participant", BOB]
    opened = cli.json("sessions", "open", *people, "--calls", '{"record": true, "ring": "20s"}')
    id, told = opened["id"], opened["calls"]
    assert (told["record"], told["ring"], told["limit"]) == (True, "20s", None)
    said = cli("sessions", "show", id).stdout
    assert 'calls          {"ring": "20s", "record": true}' in said.splitlines()
    assert [row[-1] for row in table(said)[-3:]] == ["PIN", "yes", "no"]
    assert "24680" not in said
    changed = cli.json("sessions", "change", id, "--calls", '{"record": null, "accept": true}')["calls"]
    assert (changed["record"], changed["accept"], changed["ring"]) == (None, True, "20s")
    pins = ["--participant", f"{ANN},pin=", "--participant", f"{BOB},pin=13579"]
    assert [leg["has_pin"] for leg in cli.json("sessions", "change", id, *pins)["legs"]] == [False, True]
    assert [*cli.json("sessions", "change", id, "--calls", "")["calls"].values()] == [None] * len(told)
    cli("sessions", "change", id, "--participant", f"{BOB},pin=")
    assert "PIN" not in cli("sessions", "show", id).stdout
    cli("sessions", "end", id)


def test_an_exclusive_session_has_one_mask(cli: Cli) -> None:
    opened = cli.json("sessions", "open", "--participant", ANN, "--participant", BOB, "--exclusive")
    assert len({leg["mask"] for leg in opened["legs"]}) == 1
    cli("sessions", "end", opened["id"])


# --- messages -------------------------------------------------------------------------------------------


def test_a_text_is_sent_listed_and_shown_with_its_history(cli: Cli, running: Gateway, session: dict[str, Any]) -> None:
    id = send(cli, running, session, "Hello, Bob")
    [row] = cli("messages", "list", "--session", session["id"]).stdout.splitlines()[1:]
    assert row.split()[0] == id
    assert f"  sent   {BOB}  " in row
    assert row.endswith("  Hello, Bob")
    assert [one["id"] for one in cli.lines("messages", "list", "--state", "sent", "--session", session["id"])] == [id]
    shown = cli("messages", "show", id).stdout
    assert "text                       Hello, Bob\n" in shown
    assert shown.splitlines()[-1].split()[2:] == ["attempt", "1", "sent"]


def test_a_text_is_sent_to_all_and_read_from_standard_input(cli: Cli, session: dict[str, Any]) -> None:
    rows = table(cli("messages", "send", session["id"], "-", stdin="From a file\n").stdout)
    assert [row[1] for row in rows[1:]] == [ANN, BOB]
    assert {one["text"] for one in cli.lines("messages", "list", "--session", session["id"])} == {"From a file"}


def test_what_failed_is_replayed_by_its_id(cli: Cli, running: Gateway, session: dict[str, Any]) -> None:
    ids = [send(cli, running, session, FAILS) for _ in range(2)]
    assert "no such landline" in cli("messages", "show", ids[0]).stdout
    [again] = cli.lines("messages", "replay", ids[0])
    assert again["message"] == ids[0]
    assert cli.json("messages", "show", again["replayed_as"])["replay_of"] == ids[0]
    result = cli("messages", "replay", ids[0], ids[1], code=1)
    assert result.stdout.startswith(f"{ids[1]} is sent again, as out-")
    assert result.stderr.startswith(f"gateway: {ids[0]}: The message must not be sent again. Another message")
    cli("messages", "replay", ids[0], code=4)
    cli("messages", "replay", "out-999999", code=3)


def test_what_failed_is_replayed_by_a_filter_once_and_each_is_told(
    cli: Cli, running: Gateway, session: dict[str, Any]
) -> None:
    ids = [send(cli, running, session, FAILS) for _ in range(3)]
    asked = ["messages", "replay", "--session", session["id"], "--state", "failed"]
    refused = cli(*asked, code=2)
    assert "3 messages would be sent again, and there is nobody to ask: say --yes." in refused.stderr
    told = cli.lines(*asked, "--yes")  # each of which fails again at once, and is not taken up a second time
    assert [one["message"] for one in told] == ids
    assert [cli.json("messages", "show", one["replayed_as"])["replay_of"] for one in told] == ids
    until(lambda: len(cli.lines("messages", "list", "--session", session["id"], "--state", "failed")) == 6, "6 failed")
    assert (
        cli("messages", "replay", "--session", session["id"], "--since", "2h", "--until", "1h").output
        == "No messages.\n"
    )


def test_what_must_not_be_replayed_is_named_with_the_reason(cli: Cli, running: Gateway) -> None:
    opened = cli.json("sessions", "open", "--participant", ANN, "--participant", BOB)
    id = send(cli, running, opened, FAILS)
    cli("sessions", "end", opened["id"])
    asked = ["messages", "replay", "--session", opened["id"], "--yes"]
    assert cli(*asked, code=1).stdout == f"{id} is not sent again: its session has ended\n"
    assert cli.lines(*asked, code=1) == [{"message": id, "replayed_as": None, "why": "its session has ended"}]


# --- explain, opt-outs, calls ---------------------------------------------------------------------------


def test_explain_says_what_would_happen_and_why(cli: Cli, session: dict[str, Any]) -> None:
    mask = session["legs"][0]["mask"]
    said = cli("explain", mask, "--from", ANN).stdout
    assert "A text would be relayed: the pair means a live session\n" in said
    assert [BOB, session["legs"][1]["mask"], "flowroute", "yes"] in [row[:4] for row in table(said)]
    assert "A call would be ignored: the carrier of the mask, flowroute, carries no calls\n" in said
    assert cli.json("explain", mask, "--from", ANN)["text"]["outcome"] == "relayed"
    only = cli.json("explain", mask, "--from", CARL, "--only", "text")
    assert only["text"]["outcome"] == "answered"
    assert "call" not in only
    assert "A call" not in cli("explain", mask, "--from", ANN, "--only", "text").stdout


def test_opt_outs_are_added_listed_and_removed(cli: Cli) -> None:
    assert cli("opt-outs", "add", CARL).stdout.splitlines()[1].startswith(f"{CARL}  any number  20")
    assert cli.json("opt-outs", "add", CARL, "--mask", TN[0])["mask"] == TN[0]
    assert [one["mask"] for one in cli.lines("opt-outs", "list", "--participant", CARL)] == [None, TN[0]]
    assert len(cli("opt-outs", "list").stdout.splitlines()) == 3
    assert cli("opt-outs", "remove", CARL).stdout == "Removed.\n"
    assert cli.json("opt-outs", "remove", CARL, "--mask", TN[0]) == {"removed": CARL, "mask": TN[0]}
    cli("opt-outs", "add", CARL, "--mask", TN[0])
    cli("opt-outs", "remove", CARL, "--mask", TN[0])
    assert CARL not in cli("opt-outs", "remove", CARL, code=3).stderr
    assert cli("opt-outs", "list").stderr == "Nobody.\n"


def test_the_carriers_of_a_running_gateway_are_shown(cli: Cli) -> None:
    rows = table(cli("status").stdout)
    assert rows[0][:5] == ["carrier", "state", "backlog", "per", "number"]
    assert [row[:3] for row in rows[1:]] == [["flowroute", "ready", "0"], ["signalwire", "ready", "0"]]
    assert [row["name"] for row in cli.json("status")["data"]] == ["flowroute", "signalwire"]


def test_dead_callbacks_are_listed_shown_and_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with receiving(lambda got: Reply(410)) as receiver:
        said = {"GATEWAY_CALLBACK_URL": receiver.url, "GATEWAY_CALLBACK_SECRET": SECRET}
        with served(tmp_path, **said) as running:
            cli = Cli(running.url)
            for number in (CARL, DAN):
                cli("opt-outs", "add", number)
            until(lambda: len(cli.lines("callbacks", "list", "--state", "dead")) == 2, "both are dead")
            newest, oldest = (str(row["id"]) for row in cli.lines("callbacks", "list", "--kind", "opt_out"))
            assert "status" in cli("callbacks", "show", oldest).stdout
            assert cli.json("callbacks", "endpoints")["data"][0]["backlog"] == 0
            [again] = cli.lines("callbacks", "replay", oldest)
            assert again["callback"] == int(oldest)
            assert "took its place already" in cli("callbacks", "replay", oldest, code=4).stderr
            until(lambda: len(cli.lines("callbacks", "list", "--state", "dead")) == 3, "it is dead again")
            assert "there is nobody to ask: say --yes" in cli("callbacks", "replay", "--all", code=2).stderr
            assert cli("callbacks", "replay", "--all", "--until", "1h").stderr == "No dead callbacks.\n"
            done = [row["replayed_as"] for row in cli.lines("callbacks", "replay", "--all", "--yes")]
            assert {cli.json("callbacks", "show", str(id))["replay_of"] for id in done} == {
                int(newest),
                again["replayed_as"],
            }


def test_calls_are_listed(cli: Cli, running: Gateway, session: dict[str, Any]) -> None:
    call = NewCall(carrier="signalwire", ref="call-1", key="", mask=TN[0], caller=ANN)
    routed = Routed(state="ended", session=session["id"], reason="no_calls")
    running.store.write(lambda tx: tx.add_call(call, routed, 1))
    assert [one["reason"] for one in cli.lines("calls", "list", "--participant", ANN)] == ["no_calls"]
    assert [*table(cli("calls", "list").stdout)[1][3:5], ANN] == ["ended", "refused", ANN]
    assert cli("calls", "list", "--outcome", "completed").stderr == "No calls.\n"
    assert cli("calls", "list", "--state", "ringing").stderr == "No calls.\n"


def test_a_call_is_shown_with_who_was_rung_and_what_was_recorded(
    cli: Cli, running: Gateway, session: dict[str, Any]
) -> None:
    bobs = session["legs"][1]["mask"]
    plan = policy.Plan(
        position=0,
        callees=(1,),
        people={0: (ANN, session["legs"][0]["mask"]), 1: (BOB, bobs)},
        options=policy.options(running.store.read(lambda tx: tx.session(session["id"])), running.context.settings),
        by_pin=True,
    )
    call = NewCall(carrier="signalwire", ref="call-2", key="", mask=TN[0], caller=CARL)
    none = RecordingReport(carrier_ref="call-2", kind=RecordingKind.CALL, state=RecordingState.ABSENT)
    left = RecordingReport(carrier_ref="call-2", kind=RecordingKind.VOICEMAIL, state=RecordingState.READY, seconds=7)

    def work(tx: Tx) -> int | None:
        id = tx.add_call(call, Routed(state="ringing", session=session["id"], plan=plan.write()), 1)
        assert id is not None
        tx.note_leg(
            id,
            CallLeg(
                position=1, state="ended", outcome="busy", detail="user busy", answered_at=None, ended_at=2, seconds=0
            ),
        )
        tx.call_missed(id, "busy", 2)
        tx.call_ended(id, "busy", None, 2)
        tx.note_recording(id, none, "", "other-key-of-nobody", 2)
        tx.note_recording(id, left, "ref-of-nobody", "key-of-nobody", int(time.time() * 1000))
        return id

    id = str(running.store.write(work))
    shown = cli.json("calls", "show", id)
    assert [shown[name] for name in ("id", "outcome", "participant", "by_pin")] == [int(id), "busy", CARL, True]
    facts, legs, recordings = (table(part) for part in cli("calls", "show", id).stdout.split("\n\n"))
    assert ["outcome", "busy"] in facts
    assert ["by", "PIN", "yes"] in facts
    assert legs[1][:4] == [BOB, bobs, "ended", "busy"]
    assert legs[1][-2:] == ["user", "busy"]
    assert recordings[1][:3] == ["1", "recording", "absent"]
    assert recordings[2][:4] == ["2", "voicemail", "ready", "7"]
    assert "of-nobody" not in cli("calls", "show", id).output
    [row] = [row for row in table(cli("calls", "list").stdout) if row[0] == id]
    assert row[-2:] == [session["id"], "voicemail"]  # and nothing of what is absent


# --- what is refused, and what it is called ---------------------------------------------------------------

WRONG = [
    (["pool", "add", TN[9], "12", "--carrier", "flowroute"], 2, "  NUMBER 2: not a phone number: write +"),
    (["pool", "add", TN[9], "--carrier", "nobody"], 2, "  --carrier: is not the name of a configured carrier"),
    (["pool", "add", TN[9], TN[0], "--carrier", "flowroute"], 4, "  NUMBER 2: is in the pool already"),
    (["pool", "set", TN[0], "--region", "XX"], 2, "  --region: is not an ISO country"),
    (["pool", "set", TN[0]], 2, "Say what to change"),
    (["pool", "list", "--region", "nowhere"], 2, "  --region: "),
    (["pool", "show", "x"], 2, "  NUMBER: not a phone number"),
    (["pool", "remove", TN[9]], 3, "gateway: The number is not in the pool.\n"),
    (["sessions", "open", "--participant", ANN, "--participant", "0123"], 2, "  --participant 2, number: "),
    (["sessions", "open", "--participant", ANN], 2, "  --participant: "),
    (["sessions", "open", "--participant", ANN, "--participant", BOB, "--ttl", "1"], 2, "  --ttl: has no unit"),
    (
        ["sessions", "open", "--participant", ANN, "--participant", BOB, "--expires-at", "2020-01-01"],
        2,
        "  --expires-at",
    ),
    (
        ["sessions", "open", "--participant", ANN, "--participant", BOB, "--channels", "smoke"],
        2,
        "  --channels: is not 'text' or 'voice'",
    ),
    (
        ["sessions", "open", "--participant", ANN, "--participant", f"{BOB},mask={TN[9]}"],
        2,
        "  --participant 2, mask: ",
    ),
    (["sessions", "change", "0" * 32], 2, "Say what to change"),
    (
        ["sessions", "change", "0" * 32, "--participant", BOB],
        2,
        "say what to change of each: number=… or name=… or pin=…",
    ),
    (["sessions", "change", "0" * 32, "--participant", f"{BOB},mask=x"], 2, "one wishes for mask: there are number"),
    (["sessions", "change", "0" * 32, "--ttl", "1h"], 3, "There is no such session"),
    (["calls", "show", "x"], 2, "  CALL: is not an id"),
    (["calls", "show", "999999"], 3, "There is no such call"),
    (["sessions", "open", "--participant", ANN, "--participant", f"{BOB},pin=24"], 2, "  --participant 2, pin: "),
    (["sessions", "open", "--participant", ANN, "--participant", f"{BOB},pin=1357,pin=24"], 2, "has its pin twice"),
    (["sessions", "open", "--participant", ANN, "--calls", "record"], 2, "'--calls': is not a JSON object that says"),
    (["sessions", "open", "--participant", ANN, "--calls", '{"ring": NaN}'], 2, "'--calls': is not a JSON object"),
    (
        ["sessions", "open", "--participant", ANN, "--participant", BOB, "--calls", '{"ring": "1s"}'],
        2,
        "  --calls ring: ",
    ),
    (["sessions", "change", "0" * 32, "--calls", '{"recrod": true}'], 2, "  --calls recrod: "),
    (["sessions", "change", "0" * 32, "--calls", "{}"], 2, "'--calls': is not a JSON object that says something"),
    (["callbacks", "replay"], 2, "Say which"),
    (["callbacks", "replay", "1", "--all"], 2, "Say which"),
    (["callbacks", "show", "x"], 2, "  CALLBACK: is not an id"),
    (["callbacks", "show", "1"], 3, "There is no such callback"),
    (["sessions", "show", "0" * 32], 3, "There is no such session"),
    (["sessions", "show", "x"], 2, "  SESSION: "),
    (["sessions", "list", "--mask", "x"], 2, "  --mask: not a phone number"),
    (["messages", "list", "--session", "x"], 2, "  --session: "),
    (["messages", "send", "0" * 32, "Hi"], 3, "There is no such session"),
    (["messages", "list", "--since", "1h", "--until", "2h"], 2, "--until is before --since"),
    (["messages", "replay", "--since", "1h", "--until", "2026-01-01"], 2, "--until is before --since"),
    (["messages", "replay"], 2, "Say which"),
    (["messages", "replay", "out-1", "--state", "failed"], 2, "Say which"),
    (["messages", "show", "1"], 2, "  MESSAGE: is not the id of a message"),
    (["explain", TN[0], "--from", "me"], 2, "  --from: not a phone number"),
    (["events", "tail", "--session", "x"], 2, "  --session: "),
    (["events", "tail", "--since", "1", "--from-start"], 2, "are not for the same tail"),
    (["events", "tail", "--kind", "party"], 2, "'party' is not one of 'call.answered'"),
    (["opt-outs", "add", CARL, "--mask", TN[9]], 3, "  --mask: the number is not in the pool"),
]


@pytest.mark.parametrize(("words", "code", "said"), WRONG, ids=[" ".join(words)[:60] for words, _, _ in WRONG])
def test_what_is_wrong_is_said_by_the_words_of_the_command_line(
    cli: Cli, words: list[str], code: int, said: str
) -> None:
    result = cli(*words, code=code)
    assert said in result.stderr
    assert result.stdout == ""
    assert "`errors`" not in result.stderr
    assert not [person for person in (ANN, BOB, CARL) if person in result.stderr]


def test_a_pair_that_is_taken_is_a_conflict_that_names_the_session(cli: Cli, session: dict[str, Any]) -> None:
    mask = session["legs"][0]["mask"]
    result = cli("sessions", "open", "--participant", f"{ANN},mask={mask}", "--participant", BOB, code=4)
    assert session["id"] in result.stderr
    assert "  --participant 1, mask: " in result.stderr
    assert ANN not in result.stderr


def test_what_is_wrong_is_said_once(cli: Cli, session: dict[str, Any]) -> None:
    cli("sessions", "end", session["id"])
    assert cli("messages", "send", session["id"], "Hi", code=4).stderr == "gateway: The session has ended.\n"
    cli("sessions", "reopen", session["id"])
    exclusive = ["sessions", "open", "--exclusive", "--participant", f"{ANN},country=GB", "--participant", BOB]
    assert cli(*exclusive, code=4).stderr.count("No number of the pool") == 2
    alone = ["sessions", "open", "--participant", f"{ANN},country=GB", "--participant", BOB]
    assert cli(*alone, code=4).stderr == (
        "gateway: No number of the pool can carry the session\n"
        "  --participant 1: no number of the pool is free for one of the participants\n"
    )


def test_what_click_does_not_understand_is_not_repeated_if_it_is_a_number(cli: Cli) -> None:
    result = cli("explain", TN[0], ANN, "--from", BOB, code=2)
    assert "Got unexpected extra argument (•••)" in result.stderr


# --- what the README says ---------------------------------------------------------------------------------


def section() -> str:
    return (
        (Path(__file__).parent.parent / "README.md")
        .read_text()
        .partition("## From the command line")[2]
        .partition("\n## ")[0]
    )


def test_the_session_of_the_readme_is_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = section().partition("```console\n$ cat numbers.csv\n")[2].partition("```")[0]
    file, *commands = re.split(r"^\$ gateway ", block, flags=re.MULTILINE)
    Path("numbers.csv").write_text(file)
    assert len(commands) == 3
    with served(tmp_path) as one:
        for command in commands:
            line, _, shown = command.partition("\n")
            assert steady(Cli(one.url)(*shlex.split(line)).stdout) == steady(shown)


def steady(text: str) -> str:
    """Return a text without what differs from run to run."""
    return re.sub(r"\b[0-9a-f]{32}\b", "ID", re.sub(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}", "TIME", text))


def test_the_tables_of_the_readme_are_the_variables_and_the_exit_codes() -> None:
    rows = re.findall(r"^\| `(GATEWAY_\w+)` \| (.*?) \| (.*) \|$", section(), re.MULTILINE)
    assert rows == [(r.variable, f"`{r.default}`" if r.default else "–", r.description) for r in VARIABLES]
    codes = re.findall(r"^\| ([0-9, ]+) \| ", section(), re.MULTILINE)
    assert sorted(int(code) for cell in codes for code in cell.split(",")) == sorted(Exit)
    helped = re.findall(r"^ +([0-9]+)  |; ([0-9]+):", main.get_help(click.Context(main)), re.MULTILINE)
    assert sorted(int(code) for pair in helped for code in pair if code) == sorted(Exit)


# --- keys and roles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "asks for a key: put the secret of one of its GATEWAY_API_KEYS into GATEWAY_API_KEY"),
        ("somebody-else-s", "does not know the key in GATEWAY_API_KEY (or --key-file)."),
        (f"shop:operator:{OPERATOR}", "GATEWAY_API_KEYS. Of name:role:secret it is the secret alone"),
    ],
    ids=["none", "a wrong one", "a whole entry"],
)
def test_a_key_that_is_not_known_is_not_allowed_and_not_repeated(running: Gateway, key: str, said: str) -> None:
    result = Cli(running.url, key)("pool", "list", code=6)
    assert f"gateway: {running.url} {said}" in result.stderr or said in result.stderr
    assert not key or key not in result.stderr


def test_a_role_that_is_too_small_is_not_allowed(running: Gateway) -> None:
    said = Cli(running.url, READER)("pool", "drain", TN[0], TN[1], code=6).stderr
    assert said == "gateway: This needs a key with the role operator; the one sent has the role reader.\n"
    assert "role admin" in Cli(running.url, OPERATOR)("pool", "remove", TN[0], code=6).stderr
    Cli(running.url, READER)("pool", "list")


def test_a_key_that_no_header_carries_is_a_wrong_setting(running: Gateway) -> None:
    for key in ("two words", "schlüssel"):
        result = Cli(running.url, key)("pool", "list", code=2)
        assert "GATEWAY_API_KEY: has white space, or letters" in result.stderr
        assert key not in result.stderr


def test_the_key_is_read_from_a_file_or_standard_input(running: Gateway, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{ADMIN}\n")
    cli = Cli(running.url, "another")
    cli("pool", "list", "--key-file", str(tmp_path / "key"))
    cli("pool", "list", "--key-file", "-", stdin=f"{ADMIN}\n")
    assert (
        "--key-file: its first line holds no key" in cli("pool", "list", "--key-file", "-", stdin="\n", code=2).stderr
    )


def test_a_dotenv_file_says_where_and_which_key(running: Gateway, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWAY_URL", "GATEWAY_API_KEY"):  # the file comes into the environment, and has to leave it
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"GATEWAY_URL={running.url}\nGATEWAY_API_KEY={ADMIN}\n")
    cli = Cli(running.url)
    cli.variables = {}
    cli("pool", "list")


def test_the_gateway_itself_knows_both_variables(settings, monkeypatch) -> None:
    for row in VARIABLES:
        monkeypatch.setenv(row.variable, row.example)
    monkeypatch.setenv("GATEWAY_API_KEYS", "a-key-that-is-long-enough")
    monkeypatch.setenv("GATEWAY_API_KEYZ", "x")
    assert [line.partition(":")[0] for line in read_settings().warnings] == ["GATEWAY_API_KEYZ"]


# --- gateways that are not there ----------------------------------------------------------------------------


def test_a_gateway_that_is_not_there_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    result = Cli(url)("pool", "list", code=5)
    assert f"cannot connect to {url}. Is a gateway running there? GATEWAY_URL or --url says where" in result.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8000", "GATEWAY_URL: is not a URL that begins with https:// or http:// and a host"),
        ("http://me:secret@127.0.0.1", "GATEWAY_URL: must hold no query, fragment or password"),
    ],
)
def test_a_url_that_is_none_is_a_wrong_setting(url: str, said: str) -> None:
    result = Cli(url)("pool", "list", code=2)
    assert said in result.stderr
    assert "secret" not in result.stderr
    assert "--url: is not a URL" in Cli("http://127.0.0.1")("pool", "list", "--url", "x", code=2).stderr


class Stranger(BaseHTTPRequestHandler):
    """Answers what the test says, one answer after the other; None: it takes the request and hangs up."""

    answers: list[tuple[int, str] | None]
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.headers.get("Idempotency-Key")))
        answer = self.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1].encode())

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cli, type[Stranger]]]:
    monkeypatch.setattr("gateway.cli.api.PAUSES", (0.0,) * 4)
    handler = type("Handler", (Stranger,), {"answers": [], "asked": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Cli(f"http://127.0.0.1:{server.server_port}"), handler
        server.shutdown()
        thread.join()


ADDED = json.dumps({"added": [TN[9]], "existing": []})
UNAVAILABLE = json.dumps({"type": "about:blank", "title": "x", "status": 503, "detail": "Try again.", "errors": []})


@pytest.mark.parametrize("first", [None, (503, UNAVAILABLE), (502, "<html>")], ids=["lost", "503", "a proxy's 502"])
def test_a_request_whose_answer_was_lost_is_repeated_with_the_same_key(stranger, first) -> None:
    cli, handler = stranger
    handler.answers += [first, first, (200, ADDED)]
    assert cli("pool", "add", TN[9], "--carrier", "a").stdout == f"Added {TN[9]}\n"
    assert len(handler.asked) == 3
    assert len({key for _, key in handler.asked}) == 1
    assert handler.asked[0][1]


def test_a_number_that_is_gone_after_a_lost_answer_was_removed(stranger) -> None:
    cli, handler = stranger
    gone = (404, json.dumps({"type": "x", "title": "x", "status": 404, "detail": "It is not there."}))
    handler.answers += [None, gone]
    cli("pool", "remove", TN[9])
    handler.answers += [gone]
    cli("pool", "remove", TN[9], code=3)


@pytest.mark.parametrize("answer", [(200, "<html>"), (404, "<html>"), (302, ""), (200, "[]")])
def test_something_else_that_answers_is_told_from_a_gateway(stranger, answer: tuple[int, str]) -> None:
    cli, handler = stranger
    handler.answers.append(answer)
    said = cli("pool", "figures", code=5).stderr
    assert f"answered HTTP {answer[0]}, and not as a gateway does. GATEWAY_URL (or --url) must be" in said


def test_a_tail_says_once_that_the_gateway_is_away_and_once_that_it_is_back(stranger, monkeypatch) -> None:
    monkeypatch.setattr(events, "PAUSE", 0.0)
    cli, handler = stranger
    page, nobody = (200, json.dumps({"data": [], "next": "7"})), (401, "")
    handler.answers += [page, None, (503, UNAVAILABLE), None, page, page, None, page, nobody]
    said = cli("events", "tail", code=6).stderr.splitlines()
    assert [line.split(". Trying")[0].split()[-3:] for line in said[:4:2]] == [["have", "been", "done"]] * 2
    assert said[1:4:2] == ["gateway: it answers again"] * 2
    assert len(said) == 5
    assert handler.answers == []


def test_a_gateway_that_never_answers_is_given_up(stranger) -> None:
    cli, handler = stranger
    handler.answers += [None] * 5 + [(503, UNAVAILABLE)] * 5
    said = cli("pool", "add", TN[9], "--carrier", "a", code=5).stderr
    assert "took the request and did not answer. What was asked may have been done" in said
    assert "Try again." in cli("pool", "figures", code=5).stderr
    assert len(handler.asked) == 10
