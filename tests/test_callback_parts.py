"""The parts of callbacks without sockets: signatures, names, settings, what follows from an answer, masked numbers."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from receivers import OTHER_SECRET, SECRET

from gateway.callbacks import signing, verdicts
from gateway.callbacks.endpoints import read_endpoint
from gateway.callbacks.records import Callback, CallbackState, EndpointState
from gateway.callbacks.verdicts import Attempt
from gateway.errors import ConfigError
from gateway.kinds import KINDS
from gateway.numbers import masked
from gateway.retry import CLOSED, Circuit
from gateway.settings import Settings
from gateway.web.v1.payloads import EventData
from gateway.web.v1.people import OF_SOMEBODY

Make = Callable[..., Settings]
NOW = 1_779_228_598_250
URL = "https://hooks.example.com/in"

# --- signatures -------------------------------------------------------------------------------------


def test_a_signature_is_that_of_the_specification() -> None:
    """The example that the libraries of Standard Webhooks are tested with."""
    key = signing.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signing.headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_secret_gives_a_signature_the_newest_first() -> None:
    keys = [signing.key_of(SECRET), signing.key_of(OTHER_SECRET)]
    both = signing.headers(keys, "id", NOW, b"{}")["webhook-signature"].split(" ")
    assert both == [signing.headers([key], "id", NOW, b"{}")["webhook-signature"] for key in keys]


# --- settings ---------------------------------------------------------------------------------------

SHORT = "whsec_" + base64.b64encode(b"x" * 23).decode()
REFUSED = [
    ("GATEWAY_CALLBACK_URL", "ftp://example.com/", "not a URL that begins with https:// or http://"),
    ("GATEWAY_CALLBACK_URL", "https://", "not a URL"),
    ("GATEWAY_CALLBACK_URL", "https://ex ample.com/", "not a URL"),
    ("GATEWAY_CALLBACK_URL", "https://h\u00fctte.example/", "in ASCII"),
    ("GATEWAY_CALLBACK_URL", f"{URL},,{URL}/2", "not a URL"),
    ("GATEWAY_CALLBACK_URL", f"{URL}#here", "fragment"),
    ("GATEWAY_CALLBACK_URL", f"{URL}?a=1,{URL}?a=2", "names an endpoint twice"),
    ("GATEWAY_CALLBACK_SECRET", "hunter22", "does not begin with whsec_"),
    ("GATEWAY_CALLBACK_SECRET", "whsec_hunter22!", "not base64"),
    ("GATEWAY_CALLBACK_SECRET", f"{SECRET},{SHORT}", "less than 24 bytes"),
    ("GATEWAY_CALLBACK_NUMBERS", "half", "neither masked nor full"),
    ("GATEWAY_CALLBACK_EVENTS", "session.*,message.fialed", "a kind of event that there is not: message.fialed"),
    ("GATEWAY_CALLBACK_EVENTS", "sessions.*", "not: sessions.*"),
    ("GATEWAY_CALLBACK_VALIDITY", "10ms", "shorter than 1s"),
]


@pytest.mark.parametrize(("variable", "value", "words"), REFUSED, ids=[f"{v}={t}" for v, t, _ in REFUSED])
def test_what_is_wrong_is_said_without_the_value(settings: Make, variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(**({"GATEWAY_CALLBACK_SECRET": SECRET} | {variable: value}))
    assert str(refused.value).startswith(f"{variable}: ")
    assert words in str(refused.value)
    assert "hunter22" not in str(refused.value)


def test_a_url_without_a_secret_stops_the_start_and_says_how_to_make_one(settings: Make) -> None:
    with pytest.raises(ConfigError, match=r"GATEWAY_CALLBACK_SECRET: unset, .* Make one: python3 -c") as refused:
        settings(GATEWAY_CALLBACK_URL=URL)
    program = str(refused.value).partition('-c "')[2].partition('"')[0]
    made: list[str] = []
    exec(program, {"print": made.append})
    assert settings(GATEWAY_CALLBACK_URL=URL, GATEWAY_CALLBACK_SECRET=made[0]).callback_keys


def test_neither_urls_nor_secrets_show(settings: Make) -> None:
    shown = repr(settings(GATEWAY_CALLBACK_URL="https://me:hunter22@example.com/x?t=1", GATEWAY_CALLBACK_SECRET=SECRET))
    assert "hunter22" not in shown
    assert SECRET not in shown


KINDS_OF = [
    ("", frozenset()),
    ("opt_out", {"opt_out"}),
    ("carrier.*,opt_in", {"carrier.paused", "carrier.resumed", "opt_in"}),
    ("session.*", {kind for kind in KINDS if kind.startswith("session.")}),
]


@pytest.mark.parametrize(("text", "kinds"), KINDS_OF, ids=[text or "unset" for text, _ in KINDS_OF])
def test_kinds_are_named_singly_or_all_of_a_sort(settings: Make, text: str, kinds: set[str]) -> None:
    assert settings(GATEWAY_CALLBACK_EVENTS=text).callback_kinds == kinds


# --- names ------------------------------------------------------------------------------------------


def test_an_endpoint_s_name_is_its_host_and_hangs_on_no_secret() -> None:
    name = read_endpoint("https://hooks.example.com/in").name
    assert name.startswith("hooks.example.com-")
    assert read_endpoint("https://me:pass@HOOKS.example.com:443/in?token=1").name == name
    others = ["https://hooks.example.com/out", "http://hooks.example.com/in", "https://hooks.example.com:8443/in"]
    assert len({name, *(read_endpoint(one).name for one in others)}) == 4
    assert "pass" not in repr(read_endpoint("https://me:pass@hooks.example.com/in"))


MASKED = [
    ("+12065550102", "+1•••••02"),
    ("+447700900123", "+44•••••23"),
    ("+3545812345", "+354•••••"),  # seven digits: five would be too few to hide
    ("+2905123456", "+290•••••"),
    ("55512", "•••••"),
    ("ACME", "•••••"),
    ("anonymous", "•••••"),
    ("+999123456789", "•••••"),
]


@pytest.mark.parametrize(("number", "shown"), MASKED, ids=[number for number, _ in MASKED])
def test_a_masked_number_leaves_a_million_people_it_may_be(number: str, shown: str) -> None:
    assert masked(number) == shown


# --- whose numbers a callback holds ------------------------------------------------------------------

#: Of what a callback shows, each string that is nobody's number. Whoever adds one says here that they know it is none;
#: what is somebody's is a `Participant` (gateway/web/v1/people.py).
NOBODY_S = {
    "Session": {"id", "external_id", "end_text", "reason", "note", "metadata"},
    "ShownCallOptions": {"words", "unanswered", "whisper"},
    "Leg": {"name", "mask", "carrier"},
    "Message": {
        "id", "session", "mask", "carrier", "text", "media", "reason", "code", "carrier_ref", "caused_by", "replay_of",
        "replayed_as",
    },
    "CallRecord": {"session", "mask", "carrier", "reason", "carrier_ref"},
    "RungLeg": {"name", "mask", "detail"},
    "OptOut": {"mask"},
    "Recording": set(),
    "EventData": {"kind", "session", "masks", "carrier", "message", "detail"},
}  # fmt: skip


def strings(model: type[BaseModel]) -> dict[str, dict[str, bool]]:
    """Return each field of a model, and of those in it, that may hold any string: whether it is a `Participant`."""
    found: dict[str, dict[str, bool]] = {model.__name__: {}}

    def look(annotation: Any, name: str, marked: bool) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.update(strings(annotation))
        elif annotation is str:
            found[model.__name__][name] = marked
        elif get_origin(annotation) is not Literal:
            marked = marked or OF_SOMEBODY in getattr(annotation, "__metadata__", ())
            for one in get_args(annotation) if get_origin(annotation) is not Annotated else get_args(annotation)[:1]:
                look(one, name, marked)

    for name, field in model.model_fields.items():
        look(field.annotation, name, OF_SOMEBODY in field.metadata)
    return found


def test_every_string_of_a_callback_is_known_to_be_somebody_s_number_or_nobody_s() -> None:
    found = strings(EventData)
    assert {model: {name for name, marked in one.items() if not marked} for model, one in found.items()} == NOBODY_S
    somebody_s = {f"{model}.{name}" for model, one in found.items() for name, marked in one.items() if marked}
    assert somebody_s == {
        "Leg.participant", "Message.participant", "CallRecord.participant", "CallRecord.answered_by",
        "OptOut.participant", "RungLeg.participant",
    }  # fmt: skip


# --- verdicts ---------------------------------------------------------------------------------------

CALLBACK = Callback(
    id=7, endpoint="e", event=1, kind="opt_out", session="", webhook_id="cb_k_1", body="{}", is_full=False,
    state=CallbackState.SENDING, attempts=0, status=0, reason="", created_at=NOW, updated_at=NOW,
    expires_at=NOW + 86_400_000, replay_of=None, replayed_as=None,
)  # fmt: skip
FINE = EndpointState(name="e", key="k", upto=0)
OUT = replace(FINE, circuit=Circuit(failures=5, probe_at=NOW, why="HTTP 503"))


def attempt(status: int, *, attempts: int = 0, probe: bool = False, retry_after_ms: int | None = None) -> Attempt:
    callback = replace(CALLBACK, attempts=attempts)
    return Attempt(callback=callback, is_probe=probe, status=status, reason="", retry_after_ms=retry_after_ms)


#: what was answered, what becomes of it, whether that counts, after how long it is tried again at most (ms)
VERDICTS = [
    (attempt(200), "delivered", True, 0),
    (attempt(204), "delivered", True, 0),
    (attempt(410), "dead", True, 0),
    (attempt(301), "waiting", True, 2_000),
    (attempt(400), "waiting", True, 2_000),
    (attempt(401), "waiting", True, 2_000),
    (attempt(404, attempts=2), "waiting", True, 8_000),
    (attempt(404, attempts=60), "waiting", True, 300_000),
    (attempt(500), "waiting", True, 2_000),
    (attempt(0), "waiting", True, 2_000),
    (attempt(429, retry_after_ms=60_000), "waiting", False, 60_000),
    (attempt(429, attempts=3), "waiting", True, 16_000),
    (attempt(429, attempts=3, retry_after_ms=0), "waiting", True, 16_000),
    (attempt(503, retry_after_ms=60_000), "waiting", True, 60_000),
]


@pytest.mark.parametrize(("one", "state", "counts", "most"), VERDICTS, ids=[f"{v[0].status}" for v in VERDICTS])
def test_an_answer_decides_what_becomes_of_a_callback(one: Attempt, state: str, counts: bool, most: int) -> None:
    found = verdicts.verdict(one, FINE, now=NOW, base_ms=2_000, dice=lambda: 1.0)
    assert (found.state.value, found.counts, found.due_at - NOW) == (state, counts, most)


def test_while_its_endpoint_is_out_nothing_counts_and_the_next_probe_is_another() -> None:
    found = verdicts.verdict(attempt(503), OUT, now=NOW, base_ms=2_000, dice=lambda: 1.0)
    assert (found.state.value, found.counts, found.due_at) == ("waiting", False, NOW)


def after(*attempts: Attempt, state: EndpointState = FINE) -> EndpointState:
    for one in attempts:
        state = verdicts.heard(state, one, NOW)
    return state


def test_five_callbacks_in_a_row_that_fail_at_first_put_an_endpoint_out() -> None:
    assert not after(*[attempt(503)] * 4).circuit.is_open
    assert after(*[attempt(503)] * 5).circuit.is_open
    assert after(*[attempt(0)] * 5).circuit.is_open
    assert not after(*[attempt(503)] * 4, attempt(200), attempt(503)).circuit.is_open


def test_a_callback_that_fails_again_and_again_puts_nobody_else_s_out() -> None:
    assert after(*[attempt(500, attempts=tried) for tried in range(50)]).circuit.failures == 1


def test_what_an_endpoint_refuses_it_has_reached() -> None:
    assert after(*[attempt(503)] * 4, *[attempt(404)], *[attempt(503)] * 4).circuit.failures == 4
    assert after(attempt(404, probe=True), state=OUT).circuit == CLOSED


def test_only_a_probe_says_anything_of_an_endpoint_that_is_out() -> None:
    assert after(attempt(503), state=OUT) == OUT
    assert after(attempt(503, probe=True), state=OUT).circuit.probe_at == NOW + 2_000


def test_an_endpoint_that_asks_for_time_gets_it() -> None:
    held = after(attempt(429, retry_after_ms=60_000))
    assert held.held_until == NOW + 60_000
    assert verdicts.room(held, 16, False, NOW) == 0
    assert verdicts.room(held, 16, False, NOW + 60_000) == 16
    assert verdicts.due_at(held, NOW, False) == NOW + 60_000


def test_in_an_outage_there_is_room_for_a_probe_when_it_is_due() -> None:
    assert verdicts.room(OUT, 16, False, NOW) == 1
    assert verdicts.room(OUT, 16, True, NOW) == 0
    assert verdicts.room(verdicts.probed(OUT, NOW), 16, False, NOW) == 0
    assert verdicts.room(verdicts.probed(OUT, NOW), 16, False, NOW + 30_000) == 1  # who sent it may be dead
    assert verdicts.due_at(OUT, NOW, True) is None
