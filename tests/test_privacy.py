"""Real numbers, texts and secrets are in nothing that the program prints, answers, keeps for its operator or passes on.

`gateway serve` runs through all that can go wrong (`privacy.py`), with each form of the log; then everything it ever
printed, answered, kept for its operator and sent to people is searched. Left out is what the inherited APIs must
repeat to whoever has just sent it with a key.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from gateways import PROJECT
from privacy import ANN, KEY, MASK, PEOPLE, SECOND, SECRETS, THIRD, TOKEN, WORDS, Scene, leaks, played
from program import until

NOTATIONS = [
    ANN, ANN[1:], ANN[2:], ANN[-7:], "+1 (206) 555-0141", "206.555.0141", quote(ANN), f"tel:{ANN}", json.dumps(ANN),
    f"x{WORDS.upper()}x",
    json.dumps(WORDS).replace("z", "\\u007a"), quote(WORDS), f"/webhooks/flowroute/{TOKEN}", f"Bearer {KEY}",
    base64.b64encode(KEY.encode()).decode(),
]  # fmt: skip
SCENES = [("plain", "DEBUG"), ("json", "INFO")]


@pytest.mark.parametrize("said", NOTATIONS)
def test_a_leak_is_seen_in_whatever_notation(said: str) -> None:
    assert leaks(f"2026-05-19 22:09:58,250 INFO gateway {said} was sent")
    assert not leaks(f"2026-05-19 22:09:58,250 INFO gateway {MASK} message 5 of session {PROJECT} was sent")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Scene]]:
    """Return the program after all that can go wrong has gone wrong, once with each form of the log."""
    with ExitStack() as stack:
        all_of_them = [stack.enter_context(ExitStack()) for _ in SCENES]
        with ThreadPoolExecutor(len(SCENES)) as pool:  # mostly they wait
            futures = [
                pool.submit(own.enter_context, played(tmp_path_factory.mktemp(form), form, level))
                for own, (form, level) in zip(all_of_them, SCENES, strict=True)
            ]
        yield {scene: future.result() for scene, future in zip(SCENES, futures, strict=True)}


@pytest.fixture(params=SCENES, ids="-".join)
def scene(request: pytest.FixtureRequest, scenes: dict[tuple[str, str], Scene]) -> Scene:
    return scenes[request.param]


def test_nothing_that_is_printed_holds_a_number_a_text_or_a_secret(scene: Scene) -> None:
    assert len(scene.output.splitlines()) > 100
    assert not [line for line in scene.output.splitlines() if leaks(line)]


def test_every_line_of_json_is_an_object(scenes: dict[tuple[str, str], Scene]) -> None:
    lines = [json.loads(line) for line in scenes["json", "INFO"].output.splitlines()]
    assert {"message_id", "session", "mask", "carrier", "state", "event", "error", "traceback"} <= {
        name for line in lines for name in line
    }
    assert {line["logger"].partition(".")[0] for line in lines} == {"gateway", "gateway_rogue"}


def test_nothing_that_other_commands_print_does(scenes: dict[tuple[str, str], Scene]) -> None:
    scene = scenes["plain", "DEBUG"]
    assert {name.split()[0].strip(",") for name in scene.others} == {"check", "carriers", "serve", "demo"}
    assert "postgresql" not in "".join(scene.others.values()).replace("GATEWAY_DATABASE_URL: postgresql", "")
    assert not {name: leaks(said) for name, said in scene.others.items() if leaks(said)}
    assert scene.others["demo --quick, in its log"] == ""


def test_no_answer_to_somebody_without_a_key_and_no_error_does(scene: Scene) -> None:
    errors = [answer for answer in scene.answers if answer.status >= 400]
    open_to_all = [answer for answer in scene.answers if not answer.keyed]
    assert {answer.status for answer in errors} >= {400, 401, 403, 404, 405, 413, 500, 503}
    assert {answer.status for answer in open_to_all} >= {200, 400, 401, 403, 413, 503}
    assert not [one for one in (*errors, *open_to_all) if leaks(one.headers + one.body)]


def test_no_event_that_is_kept_for_the_operator_holds_a_number_or_a_text(scene: Scene) -> None:
    events = [" ".join(map(str, row)) for row in scene.rows("SELECT * FROM events")]
    kinds = {row[0] for row in scene.rows("SELECT kind FROM events")}
    assert kinds >= {
        "carrier.paused", "carrier.resumed", "message.expired", "message.failed", "message.parked", "number.unknown",
        "opt_in", "opt_out", "session.ended", "session.expired", "session.opened",
    }  # fmt: skip
    assert not [event for event in events if leaks(event)]


def test_no_reason_of_a_callback_that_failed_does_though_they_held_all_that(scene: Scene) -> None:
    application = scene.application
    until(lambda: WORDS.encode() in b"".join(got.body for got in application.got), "a text is told")
    assert {*leaks(b"".join(got.body for got in application.got).decode())} & {*PEOPLE}
    kept = [" ".join(map(str, row)) for row in scene.rows("SELECT endpoint, webhook_id, reason, state FROM callbacks")]
    assert {line.split()[-1] for line in kept} >= {"delivered", "dead"}
    assert not [line for line in kept if leaks(line)]


def test_no_reason_of_a_message_holds_a_number(scene: Scene) -> None:
    reasons = [row[0] for row in scene.rows("SELECT reason FROM outbox WHERE reason <> ''")]
    assert "••• is off" in " ".join(reasons)
    assert not [reason for reason in reasons if {*leaks(reason)} & {*PEOPLE}]


def test_nobody_is_told_another_s_number_or_a_secret(scene: Scene) -> None:
    shown = []
    for network in scene.networks.values():
        for number in PEOPLE:
            handset = network.handset(number)
            shown += [text.sender for text in handset.inbox] + [ring.caller_id for ring in handset.rings]
            told = "\n".join(part for text in handset.inbox for part in (text.text, *text.media))
            assert not {*leaks(told)} & {*PEOPLE, *SECRETS}
    assert {*shown} == {MASK, SECOND, THIRD}


def test_what_anyone_may_ask_holds_no_number_at_all(scene: Scene) -> None:
    start = len(scene.program.answers)
    for path in ("/healthz", "/readyz", "/metrics"):
        scene.program.ask("GET", path)
    said = "".join(one.headers + one.body for one in scene.program.answers[start:])
    assert not leaks(said)
    assert MASK[1:] not in said


def leak(scene: Scene, logger: str) -> str:
    """Let a line be logged that holds a number and a text; return what is printed from then on."""
    before = len(scene.output)
    event = {"ref": "leak", "from": ANN, "to": THIRD, "text": f"leak: {WORDS}", "logger": logger}
    assert scene.program.ask("POST", f"/webhooks/rogue/{TOKEN}", event) == 200
    until(
        lambda: f"{logger} " in scene.output[before:] or f'"{logger}"' in scene.output[before:], "the leak is printed"
    )
    return scene.output[before:]


def test_a_line_of_ours_that_holds_a_text_is_caught(scene: Scene) -> None:
    """So what the tests above search is where a leak would stand."""
    assert {ANN, WORDS} <= {*leaks(leak(scene, "gateway.planted"))}


def test_a_plugin_that_logs_a_text_is_caught_and_numbers_are_not_even_printed(scene: Scene) -> None:
    assert WORDS in leaks(said := leak(scene, "gateway_rogue"))
    assert ANN not in leaks(said)


def test_a_library_that_logs_a_text_says_only_where_it_stands(scene: Scene) -> None:
    assert not leaks(leak(scene, "library.planted"))
