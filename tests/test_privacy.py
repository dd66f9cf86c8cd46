"""Real numbers, texts and secrets are in nothing that the program prints, logs or says in an error.

`gateway serve` runs with LOG_LEVEL=DEBUG through all that can go wrong; then everything it ever printed, and every
error it answered with, is searched. Left out is what the inherited APIs must repeat to whoever has just sent it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote_plus, urlencode

import pytest
from faces.flowroute import FlowrouteFace
from faces.signalwire import SignalWireFace
from gateways import PROJECT, SIGNING_KEY
from program import ROGUE, Program, install, serving, until

from gateway.messages import DeliveryStatus
from gateway.testing.network import Fault, Network, Refusal

ANN, BOB, EVE = "+12065550141", "+12065550152", "+12065550163"
STRANGERS = ["+12065550171", "+12065550172", "+12065550173", "+12065550174"]
PEOPLE = [ANN, BOB, EVE, *STRANGERS]
MASK, SECOND, THIRD = "+12065550199", "+12065550198", "+12065550197"
WORDS = "zebra under the bridge"  #: stands in every text
KEY, TOKEN, ROGUE_KEY = "an-api-key-nobody-sees", "a-webhook-token-nobody-sees", "a-rogue-key-nobody-sees"
ACCESS, SECRET, API_TOKEN = "flowroute-access-key", "flowroute-secret-key", "signalwire-api-token"
SIMULATOR_KEY = "simulator-key"
SECRETS = [KEY, TOKEN, ROGUE_KEY, ACCESS, SECRET, API_TOKEN, SIGNING_KEY, SIMULATOR_KEY]
QUOTE = f"{BOB[1:]} ({BOB}) will not get: {WORDS}"  #: what a carrier may say that refuses a text
KEYED = {"Authorization": f"Bearer {KEY}"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def leaks(said: str) -> list[str]:
    """Return what is private in `said`, in whatever notation: `+1 (206) 555-0141`, %2B…, \\u007a…, in base64."""
    plain = unquote_plus(said.encode("utf-8", "replace").decode("unicode_escape", "replace"))
    found = []
    for text in (said, plain):
        digits = re.sub(r"(?<=\d)[ ().\-]{1,3}(?=\d)", "", text)
        found += [number for number in PEOPLE if number[-7:] in digits]
        found += [word for word in (WORDS, "zebra", *SECRETS) if word.lower() in text.lower()]
    found += [one for one in SECRETS if base64.b64encode(one.encode()).decode()[:-4] in said]
    return sorted(set(found))


NOTATIONS = [
    ANN, ANN[1:], ANN[-7:], "+1 (206) 555-0141", "206.555.0141", quote(ANN), f"tel:{ANN}", json.dumps(ANN),
    f"x{WORDS.upper()}x",
    json.dumps(WORDS).replace("z", "\\u007a"), quote(WORDS), f"/webhooks/flowroute/{TOKEN}", f"Bearer {KEY}",
    base64.b64encode(KEY.encode()).decode(),
]  # fmt: skip


@pytest.mark.parametrize("said", NOTATIONS)
def test_a_leak_is_seen_in_whatever_notation(said: str) -> None:
    assert leaks(f"2026-05-19 22:09:58,250 INFO gateway {said} was sent")
    assert not leaks(f"2026-05-19 22:09:58,250 INFO gateway {MASK} message 5 of session {PROJECT} was sent")


@pytest.fixture(scope="module")
def networks() -> Iterator[dict[str, Network]]:
    with (
        Network(face=FlowrouteFace(ACCESS, SECRET)) as flowroute,
        Network(face=SignalWireFace(PROJECT, API_TOKEN, SIGNING_KEY)) as signalwire,
        Network(key=SIMULATOR_KEY) as simulator,
    ):
        yield {"flowroute": flowroute, "signalwire": signalwire, "simulator": simulator}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, networks: dict[str, Network]) -> Iterator[Program]:
    """The program after all that can go wrong has gone wrong."""
    folder = tmp_path_factory.mktemp("privacy")
    install(folder / "site", "rogue", ROGUE)
    with serving(folder, variables(folder / "site", networks)) as program:
        for name, one in networks.items():
            one.webhook_url = f"{program.url}/webhooks/{name}/{TOKEN}"
        networks["signalwire"].webhook_url = f"{program.url}/webhooks/signalwire"
        networks["simulator"].webhook_url = f"{program.url}/webhooks/simulator"
        setup(program)
        converse(networks)
        carriers_fail(program, networks)
        webhooks_nobody_can_read(program)
        plugins_break(program)
        requests_are_wrong(program)
        the_database_fails(program, folder / "gateway.db")
        yield program


def variables(site: Path, networks: dict[str, Network]) -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", "")))),
        "LOG_LEVEL": "DEBUG",
        "GATEWAY_LISTEN": "127.0.0.1:0",
        "GATEWAY_API_KEYS": KEY,
        "GATEWAY_WEBHOOK_TOKEN": TOKEN,
        "GATEWAY_RETRY_BASE": "100ms",
        "GATEWAY_TN_CARRIER": "flowroute",
        "GATEWAY_MASK_CARRIER": "simulator",
        "FLOWROUTE_ACCESS_KEY": ACCESS,
        "FLOWROUTE_SECRET_KEY": SECRET,
        "FLOWROUTE_API_URL": f"{networks['flowroute'].url}/v2.2",
        "FLOWROUTE_RATE": "1000",
        "FLOWROUTE_NUMBER_RATE": "1000",
        "SIGNALWIRE_PROJECT_ID": PROJECT,
        "SIGNALWIRE_API_URL": networks["signalwire"].url,
        "SIGNALWIRE_API_TOKEN": API_TOKEN,
        "SIGNALWIRE_SIGNING_KEY": SIGNING_KEY,
        "SIMULATOR_URL": networks["simulator"].url,
        "SIMULATOR_KEY": SIMULATOR_KEY,
        "ROGUE_KEY": ROGUE_KEY,
    }


def setup(program: Program) -> None:
    assert program.ask("POST", "/tn", {"value": MASK}, KEYED) == 200
    assert program.ask("POST", "/api/rest/numberPool", {"phone_numbers": SECOND}, KEYED) == 200
    assert program.ask("POST", "/session", {"participant_a": ANN, "participant_b": BOB}, KEYED) == 200
    assert program.ask("POST", "/api/rest/numberMask", {"client_number": ANN, "contractor_number": BOB}, KEYED) == 200


def converse(networks: dict[str, Network]) -> None:
    """Texts both ways, strangers, opt-outs, receipts with numbers in their words, calls."""
    for name, mask in (("flowroute", MASK), ("simulator", SECOND)):
        one = networks[name]
        ann, bob, eve = (one.handset(number) for number in (ANN, BOB, EVE))
        before = len(bob.inbox)
        assert ann.text(mask, WORDS, media=["https://media.example.com/zebra.jpg"], repeat=3).status == 200
        ref = bob.wait_for(before + 1)[-1].ref
        assert one.receipt(ref, DeliveryStatus.UNDELIVERED, code="30003", detail=f"{BOB} is off: {WORDS}").status == 200
        assert eve.text(mask, f"{WORDS}, says Eve").status == 200
        eve.wait_for(1)
        for word in ("STOP", "START", "HELP"):
            assert bob.text(mask, word).status == 200
    assert networks["simulator"].handset(ANN).call(SECOND).route
    for name in ("signalwire", "simulator"):
        assert networks[name].handset(EVE).call(THIRD).route
    assert networks["signalwire"].handset(EVE).text(THIRD, WORDS).status == 200


def carriers_fail(program: Program, networks: dict[str, Network]) -> None:
    """Every fault, and refusals that quote what they refuse; then an outage."""
    quoting = [
        Fault(outcome=Refusal(status=status, code="refused", detail=QUOTE, retry_after=0.05))
        for status in (400, 422, 401, 403, 429, 500, 503)
    ]
    faults = [Fault.throttled(0.05), Fault.reset(), Fault.no_answer(), Fault.refused(), *quoting]
    for name, mask in (("flowroute", MASK), ("simulator", SECOND)):
        one = networks[name]
        for number, fault in enumerate(faults):
            one.fail_next(1, fault)
            sent = f"{WORDS} {number}"
            assert one.handset(BOB).text(mask, sent).status == 200
        last = f"{WORDS}, at last"
        one.handset(BOB).text(mask, last)
        one.handset(ANN).wait_for(lambda inbox, last=last: any(one.text == last for one in inbox), timeout=60)
    one.pause()
    for number in range(4):
        one.handset(BOB).text(mask, f"{WORDS} while it is out {number}")
    program.says("carrier simulator is out (could not connect")
    one.resume()
    program.says("carrier simulator is back")


def webhooks_nobody_can_read(program: Program) -> None:
    """Malformed, unsigned, with wrong tokens; numbers and texts wherever one can be put."""
    bodies = [
        WORDS.encode(),
        json.dumps([ANN, WORDS]).encode(),
        json.dumps({"from": ANN, "to": WORDS, "body": WORDS}).encode(),
        json.dumps({"from": [ANN], "to": MASK, "body": {WORDS: ANN}}).encode(),
        json.dumps({"data": {"type": "delivery_receipt", "attributes": {"status": f"{WORDS} {ANN}"}}}).encode(),
        json.dumps({"call": {"from": ANN, "to": WORDS}}).encode(),
        urlencode({"From": ANN, "To": f"{ANN}{BOB}", "Body": WORDS}).encode(),
        b'{"from": "' + ANN.encode() + b"\xff",
        f'{{"text": "{WORDS}", "from": {ANN[1:]}'.encode(),
    ]
    for body in bodies:
        for kind in ("application/json", FORM["Content-Type"], f"{ANN}/{WORDS.replace(' ', '-')}", "text/plain"):
            for path in ("flowroute", "signalwire", "simulator", "rogue"):
                program.ask("POST", f"/webhooks/{path}/{TOKEN}", body, {"Content-Type": kind})
            program.ask("POST", f"/webhooks/flowroute/{TOKEN}x", body, {"Content-Type": kind})
            program.ask("POST", f"/calls/route?token={TOKEN}&From={quote(ANN)}", body, {"Content-Type": kind})
    program.says("a webhook of flowroute cannot be read")
    program.says("a webhook for flowroute was rejected")


def plugins_break(program: Program) -> None:
    """A plugin raises the whole message, in every place where it can."""
    for number, text in enumerate(
        ["in verify", "in parse", "rejected", "malformed", "in acknowledge", "fine", "fine", "fine"]
    ):
        sender = STRANGERS[number % len(STRANGERS)]
        event = {"ref": f"r{number}", "from": sender, "to": THIRD, "text": f"{text}: {WORDS}"}
        program.ask("POST", f"/webhooks/rogue/{TOKEN}", event)
    event = {"ref": "last", "from": STRANGERS[3], "to": THIRD, "text": WORDS}
    program.ask("POST", f"/webhooks/rogue/{TOKEN}", event)
    for words in (
        "a webhook of rogue broke: RuntimeError",
        "a webhook of rogue broke: ValueError",
        "a webhook of rogue broke: KeyError",
        "a webhook for rogue was rejected: not from •••",
        "a webhook of rogue cannot be read: from is •••",
        "cannot weigh message",
        "which is parked, broke: RuntimeError",
        "does not accept the number +12065550197 (••• may not text •••)",
        "carrier rogue is out (not to •••, thanks",
    ):
        program.says(words)


def requests_are_wrong(program: Program) -> None:
    """Wrong keys, bodies and paths, with numbers in them where no document wants them repeated."""
    for headers in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": f"Basic {KEY}"}):
        assert program.ask("POST", "/session", {"participant_a": ANN, "participant_b": BOB}, headers) == 401
    for body in ({"participant_a": ANN, "participant_b": ANN}, {"participant_a": ANN, "participant_b": MASK},
                 {"participant_a": f"{ANN}x", "participant_b": BOB}, {"participant_a": ANN},
                 {"participant_a": ANN, "participant_b": BOB, "expiry_window": WORDS},
                 {"participant_a": ANN, "participant_b": BOB}, [ANN, WORDS], WORDS,
                 {"participant_a": [ANN]}):  # fmt: skip
        assert program.ask("POST", "/session", body, KEYED) == 400
    for body in (
        {"value": MASK},
        {"value": f"{ANN} "[:-1] + "5" * 8},
        {"value": WORDS},
        {"value": {WORDS: ANN}},
        WORDS.encode(),
    ):
        assert program.ask("POST", "/tn", body, KEYED) == 400
    assert program.ask("DELETE", "/tn", {"value": EVE}, KEYED) == 404
    for body in ({"client_number": ANN}, {"client_number": ANN, "contractor_number": ANN},
                 {"client_number": ANN, "contractor_number": BOB, "expires_in": WORDS}, [WORDS]):  # fmt: skip
        assert program.ask("POST", "/api/rest/numberMask", body, KEYED) == 400
    for path in (
        f"/{quote(ANN)}",
        f"/webhooks/{quote(ANN)}/{TOKEN}",
        f"/tn/{ANN[1:]}",
        f"/{quote(WORDS)}?{urlencode({'a': ANN})}",
    ):
        assert program.ask("POST", path, {"text": WORDS}, KEYED) == 404
        assert program.ask("PUT", f"/tn?{urlencode({'a': ANN})}", WORDS.encode(), KEYED) == 405
    assert program.ask("POST", f"/webhooks/flowroute/{TOKEN}", WORDS.encode() * 20_000) == 413
    for path in ("/healthz", "/readyz", "/metrics"):
        program.ask("GET", path)


def the_database_fails(program: Program, file: Path) -> None:
    """A table is away for a moment: everything is answered 503, and the dispatcher waits."""
    with closing(sqlite3.connect(file)) as db:
        for table in (
            "inbox",
            "lanes",
            "sessions",
            "numbers",
            "leases",
            "legs",
            "notices",
            "opt_outs",
            "outbox",
            "told",
        ):
            db.execute(f"ALTER TABLE {table} RENAME TO away")
            text = {"from": EVE, "to": MASK, "body": WORDS, "id": f"while {table} is away"}
            program.ask("POST", f"/webhooks/flowroute/{TOKEN}", text)
            program.ask("POST", f"/webhooks/flowroute/{TOKEN}", text | {"body": "STOP", "id": f"{table} is away"})
            program.ask("POST", "/session", {"participant_a": EVE, "participant_b": STRANGERS[0]}, KEYED)
            program.ask("DELETE", "/tn", {"value": EVE}, KEYED)
            program.ask("GET", f"/api/rest/numberMask/{quote(EVE)}", headers=KEYED)
            db.execute(f"ALTER TABLE away RENAME TO {table}")
    program.says("was answered 503")


def test_nothing_that_is_printed_holds_a_number_a_text_or_a_secret(program: Program) -> None:
    assert len(program.output.splitlines()) > 100
    assert not [line for line in program.output.splitlines() if leaks(line)]


def test_no_error_that_is_answered_holds_a_number_a_text_or_a_secret(program: Program) -> None:
    errors = [answer for answer in program.answers if answer[0] >= 400]
    assert {status for status, _, _ in errors} >= {400, 401, 403, 404, 405, 413, 503}
    assert not [(status, body) for status, headers, body in errors if leaks(headers + body)]


def test_no_reason_that_is_kept_for_the_operator_holds_a_number(program: Program) -> None:
    with closing(sqlite3.connect(program.folder / "gateway.db")) as db:
        reasons = [row[0] for row in db.execute("SELECT reason FROM outbox UNION SELECT detail FROM events") if row[0]]
    assert "••• is off" in " ".join(reasons)
    assert not [reason for reason in reasons if {*leaks(reason)} & {*PEOPLE}]


def test_what_anyone_may_ask_holds_no_number_at_all(program: Program) -> None:
    start = len(program.answers)
    for path in ("/healthz", "/readyz", "/metrics"):
        program.ask("GET", path)
    said = "".join(headers + body for _, headers, body in program.answers[start:])
    assert not leaks(said)
    assert MASK[1:] not in said


def test_a_plugin_that_logs_a_text_is_caught(program: Program) -> None:
    """So what the tests above search is where a leak would stand."""
    event = {"ref": "leak", "from": ANN, "to": THIRD, "text": f"leak: {WORDS}"}
    assert program.ask("POST", f"/webhooks/rogue/{TOKEN}", event) == 200
    until(lambda: leaks(program.output), "the leak is printed")
    assert ANN in leaks(program.output)
    assert WORDS in leaks(program.output)
