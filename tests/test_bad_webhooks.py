"""Webhooks that somebody forged, changed, replayed or garbled, at carriers that sign: nothing of them is felt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from bad_input import ANN, BOB, FORM, JSON, MASKS, World, by_signalwire, by_simulator, opened
from gateways import PROJECT, SIGNING_KEY, TOKEN
from wsgi import Answer

from gateway.messages import WebhookRequest
from gateway.testing.garbage import garbage, reworded, tampered, twisted

REF = "11111111-2222-4333-8444-555555555555"
MASK = MASKS["signalwire"]

SIGNATURES = ("x-simulator-signature", "x-signalwire-sha256-signature")

Sign = Callable[[str, bytes, str], dict[str, str]]  #: (URL, body, content type) to the headers of a webhook


def form(**fields: str) -> bytes:
    return urlencode({"AccountSid": PROJECT, "From": ANN, "To": MASK} | fields).encode()


def swml(what: str, **fields: str) -> bytes:
    return json.dumps({what: {"project_id": PROJECT, "direction": "inbound"} | fields}).encode()


def event(**fields: Any) -> bytes:
    return json.dumps({"from": ANN, "to": "+12065550197", "ref": REF} | fields).encode()


RIGHT: dict[str, tuple[str, str, bytes, Sign]] = {
    "simulator, text": ("/webhooks/simulator", JSON, event(type="message", text="hello", media=[]), by_simulator),
    "simulator, call": ("/webhooks/simulator", JSON, event(type="call"), by_simulator),
    "text": ("/webhooks/signalwire", FORM, form(MessageSid=REF, Body="hello", NumMedia="0"), by_signalwire),
    "text at the old URL": ("/texts/route", FORM, form(MessageSid=REF, Body="hello", NumMedia="0"), by_signalwire),
    "text as JSON": (
        "/webhooks/signalwire",
        JSON,
        swml("message", message_id=REF, **{"from": ANN}, to=MASK, body="hello"),
        by_signalwire,
    ),
    "call": ("/webhooks/signalwire", JSON, swml("call", call_id=REF, from_number=ANN, to_number=MASK), by_signalwire),
    "call at the old URL": (
        "/calls/route",
        JSON,
        swml("call", call_id=f"{REF}-old", from_number=ANN, to_number=MASK),
        by_signalwire,
    ),
    "call as a form": ("/webhooks/signalwire", FORM, form(CallSid=REF, CallStatus="ringing"), by_signalwire),
}
KINDS = pytest.mark.parametrize("kind", RIGHT)


@pytest.fixture(scope="module")
def w(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened(tmp_path_factory.mktemp("bad-webhooks")) as world:
        yield world


def right(w: World, kind: str, **options: Any) -> WebhookRequest:
    """Return a webhook that is as its carrier signs it."""
    path, media_type, body, sign = RIGHT[kind]
    url = w.gateway.url + path
    return WebhookRequest(url=url, headers=sign(url, body, media_type, **options), body=body)


def signed(request: WebhookRequest, kind: str) -> WebhookRequest:
    """Return a webhook that was changed before it was signed."""
    media_type = request.headers.get("content-type", "")
    sign = RIGHT[kind][3]
    return replace(request, headers={**request.headers, **sign(request.url, request.body, media_type)})


def post(w: World, request: WebhookRequest, path: str = "") -> Answer:
    """Send a webhook to the path of its URL, or to another than it was signed for."""
    path = path or request.url.removeprefix(w.gateway.url)
    headers = {"content-type": "", **request.headers}
    return w.client(request.method, path, body=request.body, headers=headers)


def with_token(path: str) -> str:
    """Return the path with the token in it, as each URL takes it."""
    return f"{path}/{TOKEN}" if path.startswith("/webhooks") else f"{path}?token={TOKEN}"


def refuse(w: World, request: WebhookRequest, path: str = "") -> None:
    with w.unfelt():
        answer = post(w, request, path)
        assert (answer.status, answer.body) == (403, b"")


@KINDS
def test_a_right_webhook_is_taken_and_repeats_of_it_change_nothing(w: World, kind: str) -> None:
    """What is refused below is refused for the one thing that is wrong with it."""
    assert post(w, right(w, kind)).status == 200
    w.settle()
    with w.unfelt():
        assert {post(w, right(w, kind)).status for _ in range(3)} == {200}


@KINDS
def test_a_webhook_changed_after_it_was_signed_is_403(w: World, kind: str) -> None:
    for name, request in tampered(right(w, kind)):
        refuse(w, request)
        with w.unfelt():  # with the token it is read, and may be found to be nothing
            assert post(w, request, with_token(RIGHT[kind][0])).status in (403, 400, 200), name


@KINDS
def test_a_webhook_signed_with_another_key_is_403(w: World, kind: str) -> None:
    for key in ("x", TOKEN, SIGNING_KEY.upper(), f"{SIGNING_KEY} ", "simulator-key "):
        refuse(w, right(w, kind, key=key))


@KINDS
def test_a_webhook_signed_for_another_url_is_403(w: World, kind: str) -> None:
    path, media_type, body, sign = RIGHT[kind]
    here = w.gateway.url
    for url in (f"{here}{path}/", f"{here}{path}?a=b", f"{here}/", f"http://elsewhere.example.net{path}", path, ""):
        refuse(w, replace(right(w, kind), headers=sign(url, body, media_type)))
    refuse(w, right(w, kind), f"{path}?a=b")  # with a query that was not signed
    refuse(w, right(w, kind), with_token(path))  # the token is no cover for a signature that does not fit


@KINDS
def test_a_text_or_call_without_a_signature_is_403_even_with_the_token(w: World, kind: str) -> None:
    path, media_type, body, _ = RIGHT[kind]
    bare = WebhookRequest(url=w.gateway.url + path, headers={"content-type": media_type}, body=body)
    for wrong in (path, with_token(path), with_token(path).replace(TOKEN, f"{TOKEN}x")):
        refuse(w, bare, wrong)
    for name in (*SIGNATURES, "x-signalwire-signature", "x-twilio-signature"):
        for value in ("", " ", "\xff", "x", "=", "A" * 60_000, "None"):
            refuse(w, replace(bare, headers={"content-type": media_type, name: value}), with_token(path))


ENDED = {"event_type": "calling.call.state", "params": {"call_id": REF, "call_state": "ended"}}
RECEIPTS = {
    "form": (FORM, form(MessageSid=REF, MessageStatus="delivered")),
    "JSON": (JSON, json.dumps({"id": REF, "status": "delivered"}).encode()),
    "call progress": (JSON, json.dumps(ENDED).encode()),
}


@pytest.mark.parametrize(("media_type", "body"), RECEIPTS.values(), ids=RECEIPTS.keys())
def test_a_receipt_without_a_signature_is_taken_with_the_token_alone(w: World, media_type: str, body: bytes) -> None:
    bare = WebhookRequest(url=f"{w.gateway.url}/webhooks/signalwire", headers={"content-type": media_type}, body=body)
    for path in ("/webhooks/signalwire", f"/webhooks/signalwire/{TOKEN}x", "/texts/route", "/texts/route?token=x"):
        refuse(w, bare, path)
    assert post(w, bare, with_token("/webhooks/signalwire")).status == 200
    w.check_alive()


def test_a_receipt_that_carries_a_text_too_is_a_text_where_it_matters(w: World) -> None:
    """Whoever knows the token must not get a text in by calling it a receipt."""
    for extra in (
        {"Body": "hello"},
        {"SmsStatus": "received", "Body": "hello"},
        {"NumMedia": "1", "MediaUrl0": "http://x"},
    ):
        body = form(MessageSid="not-a-receipt", MessageStatus="delivered", **extra)
        request = WebhookRequest(url="", headers={"content-type": FORM}, body=body)
        assert post(w, request, with_token("/webhooks/signalwire")).status in (200, 403)
        w.settle()
        assert "not-a-receipt" not in repr(w.tables()["inbox"])


@KINDS
def test_a_webhook_of_another_project_is_403(w: World, kind: str) -> None:
    if RIGHT[kind][3] is by_simulator:
        pytest.skip("the simulator has one account")
    request = right(w, kind)
    other = replace(request, body=request.body.replace(PROJECT.encode(), PROJECT.replace("1", "2").encode()))
    refuse(w, signed(other, kind))


# --- signed, and garbled --------------------------------------------------------------------------


def answered(w: World, request: WebhookRequest, name: str) -> int:
    """Send what may be garbled; unless it is taken it leaves no trace. Return the status."""
    before = w.tables()
    answer = post(w, request)
    assert answer.status in (200, 400, 403, 413), (name, answer.status, answer.body)
    if answer.status == 200:
        w.settle()
    else:
        assert w.tables() == before, name
    w.check_alive()
    return answer.status


@KINDS
def test_signed_garbage_is_400(w: World, kind: str) -> None:
    statuses = set()
    for name, request in garbage(right(w, kind)):
        statuses.add(answered(w, signed(request, kind), name))
    assert 400 in statuses
    assert not [one for one in w.accepted() if one.send and one.send.recipient not in (ANN, BOB)]


@KINDS
def test_a_signed_webhook_with_a_wrong_field_is_answered_and_reaches_nobody_else(w: World, kind: str) -> None:
    for name, request in twisted(right(w, kind)):
        answered(w, signed(request, kind), name)
    strangers = {record.send.recipient for record in w.accepted() if record.send} - {ANN, BOB, "+12065550177"}
    assert not strangers  # +12065550177 is what a sender was changed to: it gets the no-session words


ABSURD = ["x" * 256, "x" * 200_000, "é" * 300, "9" * 4000]


FLAT = {"to": MASKS["flowroute"], "from": ANN, "body": "hello", "id": REF}
RECEIPT = {"data": {"type": "delivery_receipt", "id": REF, "attributes": {"status": "delivered"}}}


@pytest.mark.parametrize("absurd", ABSURD, ids=lambda one: f"{one[0]!a} x {len(one)}")
@pytest.mark.parametrize("flat", [FLAT, RECEIPT], ids=["text", "receipt"])
def test_a_reference_or_a_sender_of_absurd_length_is_400_by_flowroute(
    w: World, flat: dict[str, Any], absurd: str
) -> None:
    """No carrier has such, and no database wants them as keys."""
    for old in (REF, ANN):
        body = json.dumps(flat)
        if old in body:
            w.refuse("POST", with_token("/webhooks/flowroute"), 400, body=body.replace(old, absurd).encode())


@pytest.mark.parametrize("absurd", ABSURD, ids=lambda one: f"{one[0]!a} x {len(one)}")
@KINDS
def test_a_reference_or_a_sender_of_absurd_length_is_400(w: World, kind: str, absurd: str) -> None:
    request = right(w, kind)
    for old in (REF, ANN):
        body = reworded(request, old, absurd).body
        if body != reworded(request, "", "").body:
            assert answered(w, signed(replace(request, body=body), kind), old) == 400
