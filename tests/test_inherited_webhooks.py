"""Where the old services had their webhooks: `/` for Flowroute, `/texts/route` and `/calls/route` for SignalWire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from wsgi import Answer, Client, SettableClock

from gateway import CarrierSession

FLOWROUTE = pytest.importorskip("gateway_flowroute").Flowroute
SIGNALWIRE = pytest.importorskip("gateway_signalwire").SignalWire

TN = "+12065550100"
ANN, BOB, CARL = "+12065550101", "+12065550102", "+12065550103"
NO_SESSION = "[YOUR ORG NAME]: An active session was not found. Please contact support@yourorg.com"
SECRET = "one-long-random-word"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
EMPTY = '<?xml version="1.0" encoding="UTF-8"?>\n<Response/>'


@pytest.fixture
def carriers(no_variables: None) -> dict[str, Any]:
    keys = FLOWROUTE.Settings(access_key="made-up", secret_key="made-up-too")
    return {"flowroute": FLOWROUTE(keys, CarrierSession()), "signalwire": signalwire()}


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith(("FLOWROUTE_", "SIGNALWIRE_"))]:
        monkeypatch.delenv(name)


def signalwire(**given: str) -> Any:
    return SIGNALWIRE(SIGNALWIRE.Settings(space="example", project_id="p-1", **given), CarrierSession())


@pytest.fixture
def client(serve: Callable[..., Client]) -> Client:
    """Return a client of a gateway that sends nothing: what is to be sent stays in the outbox."""
    return serve(sending=False)


def start(client: Client) -> dict[str, Any]:
    client("POST", "/tn", json={"value": TN})
    return client("POST", "/session", json={"participant_a": ANN, "participant_b": BOB}).json()


def bind(client: Client) -> None:
    client("POST", "/api/rest/numberPool", json={"phone_numbers": TN})
    answer = client("POST", "/api/rest/numberMask", json={"client_number": ANN, "contractor_number": BOB})
    assert answer.status == 200


def flat(sender: str, text: str, **more: Any) -> dict[str, Any]:
    return {"to": TN[1:], "from": sender[1:], "body": text} | more


def json_api(sender: str, text: str) -> dict[str, Any]:
    attributes = {"to": int(TN), "from": sender[1:], "body": text, "direction": "inbound", "is_mms": False}
    return {"data": {"type": "message", "id": "mdr2-1", "attributes": attributes}}


def relayed(client: Client) -> list[tuple[str, str, str]]:
    """Return (from, to, text) of what is to be sent besides start texts."""
    return [(row["mask"], row["recipient"], row["text"]) for row in client.outbox() if row["kind"] != "start"]


def is_empty(answer: Answer) -> bool:
    return (answer.status, answer.body) == (200, b"")


# --- / --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [flat, json_api])
@pytest.mark.parametrize(("sender", "other"), [(ANN, BOB), (BOB, ANN)], ids=["a to b", "b to a"])
def test_a_text_goes_to_the_other_participant_unchanged(
    client: Client, write: Callable[..., Any], sender: str, other: str
) -> None:
    start(client)
    text = "  “Fish & chips”?\r\n\t<b>5</b> €  😀 "
    assert is_empty(client("POST", "/", json=write(sender, text)))
    assert relayed(client) == [(TN, other, text)]


def test_a_text_with_an_id_is_taken_once_and_one_without_each_time(client: Client) -> None:
    start(client)
    for _ in range(3):
        assert is_empty(client("POST", "/", json=flat(ANN, "once", id="mdr1-1")))
    for _ in range(2):
        assert is_empty(client("POST", "/", json=flat(ANN, "each time")))
    assert [text for _, _, text in relayed(client)] == ["once", "each time", "each time"]


def never(client: Client, clock: SettableClock) -> None:
    client("POST", "/tn", json={"value": TN})


def ended(client: Client, clock: SettableClock) -> None:
    client("DELETE", "/session", json={"session_id": start(client)["session_id"]})


def expired(client: Client, clock: SettableClock) -> None:
    client("POST", "/tn", json={"value": TN})
    client("POST", "/session", json={"participant_a": ANN, "participant_b": BOB, "expiry_window": 1})
    clock.tick(minutes=1)


def strangers(client: Client, clock: SettableClock) -> None:
    client("POST", "/tn", json={"value": TN})
    client("POST", "/session", json={"participant_a": CARL, "participant_b": BOB})


@pytest.mark.parametrize("before", [never, ended, expired, strangers])
def test_without_a_session_the_sender_alone_is_told_so_once_an_hour(
    client: Client, clock: SettableClock, before: Callable[..., Any]
) -> None:
    before(client, clock)
    told = [row for row in relayed(client) if row[2] == NO_SESSION]
    assert told == []
    for _ in range(3):
        assert is_empty(client("POST", "/", json=flat(ANN, "hello?")))
    assert [row for row in relayed(client) if "hello" in row[2] or row[2] == NO_SESSION] == [(TN, ANN, NO_SESSION)]
    clock.tick(hours=1)
    assert is_empty(client("POST", "/", json=flat(ANN, "hello?")))
    assert [row for row in relayed(client) if row[2] == NO_SESSION] == [(TN, ANN, NO_SESSION)] * 2


@pytest.mark.parametrize("write", [str, int])
def test_json_numbers_will_do(client: Client, write: Callable[[Any], Any]) -> None:
    start(client)
    assert is_empty(client("POST", "/", json={"to": write(int(TN)), "from": write(int(ANN)), "body": "hi"}))
    assert relayed(client) == [(TN, BOB, "hi")]


GARBAGE = {
    "empty": b"",
    "no JSON": b"to=1&from=2",
    "list": b"[]",
    "null": b"null",
    "nothing": b"{}",
    "no body": b'{"to": "12065550100", "from": "12065550101"}',
    "no from": b'{"to": "12065550100", "body": "x"}',
    "no to": b'{"from": "12065550101", "body": "x"}',
    "from a list": b'{"to": "12065550100", "from": ["12065550101"], "body": "x"}',
    "to an object": b'{"to": {}, "from": "12065550101", "body": "x"}',
    "body a list": b'{"to": "12065550100", "from": "12065550101", "body": []}',
    "to true": b'{"to": true, "from": "12065550101", "body": "x"}',
    "data a string": b'{"data": "x"}',
    "invalid UTF-8": b'{"to": "12065550100", "from": "12065550101", "body": "\xff"}',
    "deeply nested": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_what_cannot_be_read_is_said_to_be_so(client: Client, body: bytes) -> None:
    start(client)
    before = client.rows()
    answer = client("POST", "/", body=body)
    assert (answer.status, answer.type, answer.text) == (400, "text/plain", "There was an issue parsing your request.")
    assert client.rows() == before


# --- tokens ---------------------------------------------------------------------------------------


def send_to_root(client: Client, query: str) -> Answer:
    return client("POST", f"/{query}", json=flat(ANN, "hi"))


def send_to_texts(client: Client, query: str) -> Answer:
    body = urlencode({"From": ANN, "To": TN, "Body": "hi", "MessageSid": "m-1"}).encode()
    return client("POST", f"/texts/route{query}", body=body, headers=FORM)


def send_to_calls(client: Client, query: str) -> Answer:
    return client("POST", f"/calls/route{query}", json={"call": {"from": ANN, "to": TN, "call_id": "c-1"}})


HOOKS = [send_to_root, send_to_texts, send_to_calls]


@pytest.mark.parametrize("send", HOOKS)
@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=wrong", "?token=%ff", f"?token={SECRET}x", f"?Token={SECRET}"]
)
def test_without_the_token_nothing_is_taken(
    serve: Callable[..., Client], send: Callable[..., Answer], query: str
) -> None:
    client = serve(sending=False, GATEWAY_WEBHOOK_TOKEN=SECRET)
    start(client)
    before = client.rows()
    answer = send(client, query)
    assert (answer.status, answer.body) == (403, b"")
    assert client.rows() == before


@pytest.mark.parametrize("send", HOOKS)
def test_with_the_token_and_without_a_key_it_is(serve: Callable[..., Client], send: Callable[..., Answer]) -> None:
    client = serve(sending=False, GATEWAY_WEBHOOK_TOKEN=SECRET, GATEWAY_API_KEYS="a-long-random-word-of-ours")
    assert send(client, f"?x=1&token={SECRET}").status == 200


@pytest.mark.parametrize("send", HOOKS)
def test_where_its_carrier_is_not_configured_a_webhook_is_told_so(
    client: Client, carriers: dict[str, Any], send: Callable[..., Answer]
) -> None:
    carriers.clear()
    answer = send(client, "")
    assert (answer.status, answer.type) == (404, "application/problem+json")
    assert "not configured" in json.loads(answer.body)["detail"]


# --- /texts/route ---------------------------------------------------------------------------------


def text(client: Client, method: str = "POST", **fields: str) -> Answer:
    query = urlencode({"From": ANN, "To": TN} | fields)
    if method == "GET":
        return client("GET", f"/texts/route?{query}", headers={"Content-Type": ""})
    return client("POST", "/texts/route", body=query.encode(), headers=FORM)


def xml(answer: Answer) -> str:
    assert (answer.status, answer.type) == (200, "application/xml")
    return answer.text


def document(to: str, words: str) -> str:
    message = f'<Message to="{to}" from="{TN}"><Body>{words}</Body></Message>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{message}</Response>'


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("sender", "other"), [(ANN, BOB), (BOB, ANN)], ids=["client", "contractor"])
def test_without_an_api_token_the_text_travels_in_the_answer(
    client: Client, method: str, sender: str, other: str
) -> None:
    bind(client)
    assert xml(text(client, method, From=sender, Body="On my way")) == document(other, "On my way")


def test_a_text_is_escaped_and_otherwise_unchanged(client: Client) -> None:
    bind(client)
    answer = xml(text(client, Body="  <b>Fish & chips</b>\n ]]> "))
    assert answer == document(BOB, "  &lt;b&gt;Fish &amp; chips&lt;/b&gt;\n ]]&gt; ")


def test_a_stranger_is_told_that_there_is_no_session(client: Client) -> None:
    bind(client)
    assert xml(text(client, From=CARL, Body="hello?")) == document(CARL, NO_SESSION)


def test_media_is_relayed_and_words_may_be_absent(client: Client) -> None:
    bind(client)
    url = "https://files.example.com/a.jpg?x=1&y=2"
    answer = xml(text(client, NumMedia="1", MediaUrl0=url, MediaContentType0="image/jpeg"))
    assert f'<Message to="{BOB}" from="{TN}"><Media>https://files.example.com/a.jpg?x=1&amp;y=2</Media>' in answer


def test_a_repeat_gets_the_same_answer(client: Client) -> None:
    bind(client)
    first, again = (xml(text(client, Body="hi", MessageSid="m-1")) for _ in range(2))
    assert first == again == document(BOB, "hi")
    assert len(client.outbox()) == 1


def test_with_an_api_token_the_text_goes_through_the_outbox(
    serve: Callable[..., Client], carriers: dict[str, Any]
) -> None:
    carriers["signalwire"] = signalwire(api_token="PT-made-up")
    client = serve(sending=False)
    bind(client)
    assert xml(text(client, Body="On my way")) == EMPTY
    assert [(row["mask"], row["recipient"], row["text"], row["state"]) for row in client.outbox()] == [
        (TN, BOB, "On my way", "queued")
    ]


# --- /calls/route ---------------------------------------------------------------------------------


def call(client: Client, caller: str, number: str = "_number", **more: str) -> Answer:
    told = {f"from{number}": caller, f"to{number}": TN, "call_id": "c-1"} | more
    return client("POST", "/calls/route", json={"call": told})


@pytest.mark.parametrize("number", ["_number", ""], ids=["from_number", "from"])
@pytest.mark.parametrize(("caller", "callee"), [(ANN, BOB), (BOB, ANN)], ids=["client", "contractor"])
def test_a_call_is_connected_as_the_mask(client: Client, number: str, caller: str, callee: str) -> None:
    bind(client)
    answer = call(client, caller, number)
    document = answer.json()
    connect = document["sections"]["main"][0]["connect"]
    assert document["version"] == "1.0.0"
    assert {key: connect[key] for key in ("from", "to", "timeout")} == {"from": TN, "to": callee, "timeout": 30}
    assert caller not in answer.text


def test_how_a_call_goes_on_is_told_at_a_url_of_its_own(client: Client) -> None:
    bind(client)
    connect = call(client, ANN).json()["sections"]["main"][0]["connect"]
    path = connect["call_state_url"].removeprefix("http://gw.example.com")
    assert path.startswith("/webhooks/signalwire/call-")
    params = {"call_id": "of-the-callee", "call_state": "ended", "end_reason": "busy"}
    event = {"event_type": "calling.call.state", "params": params}
    assert client("POST", path, json=event).status == 200  # unsigned, and without the token
    assert client("POST", path.replace("call-", "call-x"), json=event).status == 403
    [shown] = client("GET", "/v1/calls").json()["data"]
    assert [shown["outcome"], shown["legs"][0]["outcome"]] == ["busy", "busy"]


@pytest.mark.parametrize("caller", [CARL, "anonymous", "sip:ann@example.com", ""])
def test_an_unmatched_call_hears_words_and_is_hung_up(client: Client, caller: str) -> None:
    bind(client)
    answer = call(client, caller)
    assert (answer.status, answer.type) == (200, "application/json")
    steps = [next(iter(step)) for step in answer.json()["sections"]["main"]]
    assert (steps[-1], "connect" in steps) == ("hangup", False)
    assert not any(number in answer.text for number in (ANN, BOB, CARL))


def test_a_call_to_an_ended_mask_is_refused(client: Client) -> None:
    bind(client)
    client("DELETE", f"/api/rest/numberMask/{TN}")
    assert '"connect"' not in call(client, ANN).text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_call_that_comes_as_a_form_is_answered_in_cxml(client: Client, method: str) -> None:
    bind(client)
    fields = urlencode({"From": ANN, "To": TN, "CallSid": "c-1", "CallStatus": "ringing"})
    if method == "GET":
        answer = client("GET", f"/calls/route?{fields}", headers={"Content-Type": ""})
    else:
        answer = client("POST", "/calls/route", body=fields.encode(), headers=FORM)
    assert "<Dial" in xml(answer)
    assert BOB in answer.text
    assert ANN not in answer.text
