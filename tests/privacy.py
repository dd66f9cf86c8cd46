"""The real program led through all that can go wrong, with numbers, texts and secrets wherever one can be put."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import resource
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode

import nursery
from faces.flowroute import FlowrouteFace
from faces.signalwire import SignalWireFace
from gateways import PROJECT, SIGNING_KEY
from program import ROGUE, Answer, Program, environment, install, serving, until
from receivers import SECRET as CALLBACK_SECRET
from receivers import Got, Receiver, Reply, receiving

from gateway.logs import JSON
from gateway.messages import DeliveryStatus
from gateway.testing.network import Fault, Network, Refusal

ANN, BOB, EVE = "+12065550141", "+12065550152", "+12065550163"
STRANGERS = ["+12065550171", "+12065550172", "+12065550175", "+12065550173", "+12065550174"]
PEOPLE = [ANN, BOB, EVE, *STRANGERS]
MASK, SECOND, THIRD = "+12065550199", "+12065550198", "+12065550197"
WORDS = "zebra under the bridge"  #: stands in every text
KEY, TOKEN, ROGUE_KEY = "an-api-key-nobody-sees", "a-webhook-token-nobody-sees", "a-rogue-key-nobody-sees"
ACCESS, SECRET, API_TOKEN = "flowroute-access-key", "flowroute-secret-key", "signalwire-api-token"
SIMULATOR_KEY, PASSWORD = "simulator-key", "a-database-password-nobody-sees"
CALLBACK_PASSWORD = "a-callback-password-nobody-sees"
SECRETS = [KEY, TOKEN, ROGUE_KEY, ACCESS, SECRET, API_TOKEN, SIGNING_KEY, SIMULATOR_KEY, PASSWORD]
SECRETS += [CALLBACK_SECRET, CALLBACK_PASSWORD]
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


@dataclass
class Scene:
    """A gateway that all this happens to, and everything it ever said."""

    folder: Path
    form: str
    level: str
    networks: dict[str, Network]
    application: Receiver  #: is called back, fails often, and repeats what it got
    programs: list[Program] = field(default_factory=list)  #: one after the other, on one database
    others: dict[str, str] = field(default_factory=dict)  #: what other commands printed, by their words

    @property
    def program(self) -> Program:
        """The one that runs, or ran last."""
        return self.programs[-1]

    @property
    def output(self) -> str:
        """All that `gateway serve` printed."""
        return "".join(program.output for program in self.programs)

    @property
    def answers(self) -> list[Answer]:
        """All that was answered to requests of ours."""
        return [answer for program in self.programs for answer in program.answers]

    def rows(self, sql: str) -> list[Any]:
        """Return what the database holds."""
        with closing(sqlite3.connect(self.folder / "gateway.db", timeout=10)) as db:
            return db.execute(sql).fetchall()

    def wait_until_settled(self, carrier: str) -> None:
        """Wait until nothing is owed to a carrier."""
        owed = f"SELECT 1 FROM outbox WHERE carrier = '{carrier}' AND state IN ('queued', 'sending', 'uncertain')"
        until(lambda: not self.rows(owed), f"all is settled at {carrier}")

    @contextmanager
    def serving(self) -> Iterator[Program]:
        """Run the program until the end of the block, on whatever was left by the one before."""
        with serving(self.folder, self.variables(), f"output-{len(self.programs)}") as program:
            self.programs.append(program)
            for name, one in self.networks.items():
                one.webhook_url = f"{program.url}/webhooks/{name}"
            self.networks["flowroute"].webhook_url = f"{program.url}/webhooks/flowroute/{TOKEN}"
            yield program

    def run(self, *words: str, **variables: str) -> None:
        """Run another command to its end, and keep what it prints."""
        env = environment(self.variables() | variables)
        done = nursery.run(["gateway", *words], cwd=self.folder, env=env, stdin=subprocess.DEVNULL, timeout=60)
        name = " ".join((*words, *variables))
        self.others[f"{name}, said"] = done.stdout
        self.others[f"{name}, in its log"] = done.stderr

    def variables(self) -> dict[str, str]:
        return {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self.folder / "site"), os.environ.get("PYTHONPATH", "")))),
            "LOG_LEVEL": self.level,
            "GATEWAY_LOG": self.form,
            "GATEWAY_LISTEN": "127.0.0.1:0",
            "GATEWAY_API_KEYS": KEY,
            "GATEWAY_WEBHOOK_TOKEN": TOKEN,
            "GATEWAY_RETRY_BASE": "50ms",
            "GATEWAY_TN_CARRIER": "flowroute",
            "GATEWAY_MASK_CARRIER": "simulator",
            "FLOWROUTE_ACCESS_KEY": ACCESS,
            "FLOWROUTE_SECRET_KEY": SECRET,
            "FLOWROUTE_API_URL": f"{self.networks['flowroute'].url}/v2.2",
            "FLOWROUTE_RATE": "1000",
            "FLOWROUTE_NUMBER_RATE": "1000",
            "SIGNALWIRE_PROJECT_ID": PROJECT,
            "SIGNALWIRE_API_URL": self.networks["signalwire"].url,
            "SIGNALWIRE_API_TOKEN": API_TOKEN,
            "SIGNALWIRE_SIGNING_KEY": SIGNING_KEY,
            "GATEWAY_CALLBACK_URL": self.application.url.replace("//", f"//me:{CALLBACK_PASSWORD}@"),
            "GATEWAY_CALLBACK_SECRET": CALLBACK_SECRET,
            "GATEWAY_CALLBACK_NUMBERS": "full",
            "SIMULATOR_URL": self.networks["simulator"].url,
            "SIMULATOR_KEY": SIMULATOR_KEY,
            "ROGUE_KEY": ROGUE_KEY,
        }


def repeats(got: Got) -> Reply:
    """Answer in one way or another, with what was sent."""
    status = random.choice((200, 200, 204, 500, 410, 429, 302, 0))
    return Reply(status, {"Location": f"/{BOB}", "X-Echo": WORDS}, b"" if status == 204 else got.body)


@contextmanager
def played(folder: Path, form: str, level: str) -> Iterator[Scene]:
    """Yield a scene after all that can go wrong has gone wrong in it; its last program still runs."""
    install(folder / "site", "rogue", ROGUE)
    with ExitStack() as stack:
        networks = {
            "flowroute": stack.enter_context(Network(face=FlowrouteFace(ACCESS, SECRET))),
            "signalwire": stack.enter_context(Network(face=SignalWireFace(PROJECT, API_TOKEN, SIGNING_KEY))),
            "simulator": stack.enter_context(Network(key=SIMULATOR_KEY)),
        }
        scene = Scene(folder, form, level, networks, stack.enter_context(receiving(repeats)))
        with scene.serving() as program:
            setup(program)
            with ThreadPoolExecutor(3) as pool:
                beside = [
                    pool.submit(at_carrier, scene, "flowroute", MASK),
                    pool.submit(at_carrier, scene, "simulator", SECOND),
                    pool.submit(other_commands, scene),
                ]
                calls(networks)
                webhooks_nobody_can_read(program)
                plugins_break(program)
                requests_are_wrong(program)
                for one in beside:
                    one.result()
            a_table_is_away(program)
            things_end(scene)
            release = killed_while_it_sends(scene)
        stack.enter_context(scene.serving())
        taken_over(scene)
        release.set()
        the_disk_is_full(scene)
        yield scene


def setup(program: Program) -> None:
    assert program.ask("POST", "/tn", {"value": MASK}, KEYED) == 200
    assert program.ask("POST", "/api/rest/numberPool", {"phone_numbers": SECOND}, KEYED) == 200
    assert program.ask("POST", "/session", {"participant_a": ANN, "participant_b": BOB}, KEYED) == 200
    assert program.ask("POST", "/api/rest/numberMask", {"client_number": ANN, "contractor_number": BOB}, KEYED) == 200


def at_carrier(scene: Scene, name: str, mask: str) -> None:
    converse(scene.networks[name], mask)
    scene.wait_until_settled(name)  # or a text of ours would meet the faults that quote people's
    carrier_fails(scene.networks[name], name, mask, scene.program)


def converse(one: Network, mask: str) -> None:
    """Texts both ways, strangers, opt-outs, receipts with numbers in their words, of unknown texts too."""
    ann, bob, eve = (one.handset(number) for number in (ANN, BOB, EVE))
    before = len(bob.inbox)
    assert ann.text(mask, WORDS, media=["https://media.example.com/zebra.jpg"], repeat=3).status == 200
    ref = bob.wait_for(before + 1, 30)[-1].ref
    assert one.receipt(ref, DeliveryStatus.UNDELIVERED, code="30003", detail=f"{BOB} is off: {WORDS}").status == 200
    assert eve.text(mask, f"{WORDS}, says Eve").status == 200
    eve.wait_for(1, 30)
    for word in ("STOP", "Stop.", "START", "HELP"):
        assert bob.text(mask, word).status == 200


def carrier_fails(one: Network, name: str, mask: str, program: Program) -> None:
    """Every fault, and refusals that quote what they refuse; then an outage."""
    quoting = [
        Fault(outcome=Refusal(status=status, code="refused", detail=QUOTE, retry_after=0.05))
        for status in (400, 422, 401, 403, 429, 500, 503)
    ]
    for number, fault in enumerate(
        [Fault.throttled(0.05), Fault.reset(), Fault.no_answer(), Fault.refused(), *quoting]
    ):
        one.fail_next(1, fault)
        assert one.handset(BOB).text(mask, f"{WORDS} {number}").status == 200
    last = f"{WORDS}, at last"
    one.handset(BOB).text(mask, last)
    one.handset(ANN).wait_for(lambda inbox: any(text.text == last for text in inbox), timeout=60)
    one.pause()
    for number in range(4):
        one.handset(BOB).text(mask, f"{WORDS} while it is out {number}")
    program.says(f"carrier {name} is out (could not connect")
    one.resume()
    until(
        lambda: re.search(f"is out .could not connect(.|\n)*carrier {name} is back", program.output), f"{name} is back"
    )


def calls(networks: dict[str, Network]) -> None:
    """Calls that go through, and calls and texts to a number nobody has a session on."""
    assert networks["simulator"].handset(ANN).call(SECOND).route
    for name in ("signalwire", "simulator"):
        assert networks[name].handset(EVE).call(THIRD).route
    assert networks["signalwire"].handset(EVE).text(THIRD, WORDS).status == 200


def webhooks_nobody_can_read(program: Program) -> None:
    """Malformed, unsigned, with wrong tokens; numbers and texts wherever one can be put."""
    receipt = {"status": f"not {ANN}", "status_code": ANN, "status_code_description": f"not {ANN}"}
    bodies = [
        WORDS.encode(),
        json.dumps([ANN, WORDS]).encode(),
        json.dumps({"from": ANN, "to": WORDS, "body": WORDS}).encode(),
        json.dumps({"from": [ANN], "to": MASK, "body": {WORDS: ANN}}).encode(),
        json.dumps({"data": {"type": "delivery_receipt", "attributes": {"status": f"{WORDS} {ANN}"}}}).encode(),
        json.dumps({"data": {"type": "delivery_receipt", "id": "nobody-s", "attributes": receipt}}).encode(),
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
    """A plugin raises the whole message, in every place where it can; and logs it, and warns of it."""
    texts = ["in verify", "in parse", "rejected", "malformed", "no answer", "grumble", "in acknowledge", "fine"]
    events = [{"from": STRANGERS[0], "text": f"{words}: {WORDS}"} for words in texts]
    events += [{"from": one, "text": WORDS} for one in STRANGERS[1:]]
    events += [{"from": ANN, "text": WORDS, "call": True}, {"from": ANN, "text": WORDS, "receipt": True}]
    for number, event in enumerate(events):
        program.ask("POST", f"/webhooks/rogue/{TOKEN}", {"ref": f"r{number}", "to": THIRD, **event})
    for words in (
        "a webhook of rogue broke: RuntimeError",
        "a webhook of rogue broke: ValueError",
        "a webhook of rogue broke: KeyError",
        "a webhook of rogue broke: UnicodeEncodeError",
        "a webhook for rogue was rejected: not from •••",
        "a webhook of rogue cannot be read: from is •••",
        "a text from ••• cannot be read",
        "cannot be logged: TypeError",
        "a UserWarning comes from ",
        "the thread grumbler broke: RuntimeError",
        "carrier rogue cannot tell its rate: RuntimeError",
        "cannot weigh message",
        "which is parked, broke: RuntimeError",
        "which is parked, broke: LookupError",
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
    for body in ({"number": f"{ANN}x"}, {"number": [ANN]}, {"number": EVE, "carrier": WORDS},
                 {"number": EVE, "carrier": "flowroute", "label": {WORDS: ANN}}, [WORDS], WORDS.encode()):  # fmt: skip
        assert 400 <= program.ask("POST", "/v1/pool", body, KEYED) < 500
        assert program.ask("POST", "/v1/pool", body) == 401
    for path in (f"/v1/pool/{quote(EVE)}", f"/v1/pool?carrier={quote(ANN)}", f"/v1/pool?person={quote(ANN)}"):
        program.ask("GET", path, headers=KEYED)
        program.ask("DELETE", path, headers=KEYED)
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


def other_commands(scene: Scene) -> None:
    """What an operator runs beside: `check` and `carriers`, a start that fails, the demo."""
    if scene.form == JSON:
        return  # they have no other form than words
    scene.run("carriers")
    unusable = f"postgresql://gate:{PASSWORD}@127.0.0.1:1/gate"
    scene.run("serve", GATEWAY_DATABASE_URL=unusable)
    scene.run("check", GATEWAY_DATABASE_URL=unusable, FLOWROUTE_SECRET_KEY=ANN)
    scene.run("serve", GATEWAY_LISTEN=TOKEN, GATEWAY_API_KEYS=f"{KEY},", GATEWAY_PUBLIC_URL=f"https://x/{KEY}?")
    scene.run("demo", "--quick")


def a_table_is_away(program: Program) -> None:
    """A table is away for a moment: everything is answered 503, and the dispatcher waits."""
    with closing(sqlite3.connect(program.folder / "gateway.db", timeout=10)) as db:
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


def things_end(scene: Scene) -> None:
    """Texts expire, a session expires and another is ended; late texts get words of ours; a start text is refused."""
    with closing(sqlite3.connect(scene.folder / "gateway.db", timeout=10)) as db, db:
        db.execute("UPDATE outbox SET expires_at = 1 WHERE carrier = 'rogue' AND state = 'queued'")
        db.execute("UPDATE sessions SET expires_at = 1 WHERE state = 'live' AND origin = 'sms_proxy'")
    scene.program.says("message.expired")
    scene.program.says("session.expired")
    assert scene.program.ask("DELETE", f"/api/rest/numberMask/{quote(SECOND)}", headers=KEYED) == 200
    for name, mask in (("flowroute", MASK), ("simulator", SECOND)):
        ann = scene.networks[name].handset(ANN)
        before = len(ann.inbox)
        assert ann.text(mask, f"{WORDS}, too late").status == 200
        ann.wait_for(before + 1, 30)
    assert ann.call(SECOND).delivery.status == 200
    refusal = Refusal(status=400, code="refused", detail=f"{BOB[1:]} ({BOB}) is no mobile")
    scene.networks["flowroute"].fail_next(1, Fault(outcome=refusal))
    assert scene.program.ask("POST", "/session", {"participant_a": ANN, "participant_b": BOB}, KEYED) == 500


def killed_while_it_sends(scene: Scene) -> threading.Event:
    """Kill the program in the middle of a send; return what lets the carrier's answer go."""
    release, one = threading.Event(), scene.networks["simulator"]
    people = {"client_number": ANN, "contractor_number": BOB}
    assert scene.program.ask("POST", "/api/rest/numberMask", people, KEYED) == 200
    one.fail_next(1, Fault.slow(release))
    words = f"{WORDS}, and it is killed"
    assert one.handset(BOB).text(SECOND, words).status == 200
    one.handset(ANN).wait_for(lambda inbox: inbox[-1].text == words, 30)
    scene.program.running.kill()
    scene.program.running.wait(10)
    return release


def taken_over(scene: Scene) -> None:
    """Wait until what the killed one was sending is known to be sent."""
    scene.program.says("took over ")
    scene.wait_until_settled("simulator")


def the_disk_is_full(scene: Scene) -> None:
    """No file may grow any more, for a while: texts are answered 503."""
    program = scene.program
    pid, (_, most) = program.running.pid, resource.prlimit(program.running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2 * len(program.output) + 100_000, most))
    until(lambda: program.ask("GET", "/readyz") == 503, "nothing can be written")
    text = {"from": EVE, "to": MASK, "body": WORDS, "id": "the disk is full"}
    assert program.ask("POST", f"/webhooks/flowroute/{TOKEN}", text) == 503
    people = {"participant_a": STRANGERS[0], "participant_b": STRANGERS[1]}
    assert program.ask("POST", "/session", people, KEYED) == 503
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
    program.says("was answered 503: the database did not answer: ")
    until(lambda: program.ask("GET", "/readyz") == 200, "there is room again")
