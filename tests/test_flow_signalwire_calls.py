"""SignalWire's calls through the whole gateway, in SWML and in cXML: the same to everybody, and in what is known.

SignalWire is played from the gateway's own answers (`voice`). What it signs is signed; what it does not is believed by
the URL it comes to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode

import pytest
from gateways import SIGNING_KEY, TOKEN, api, carrier_for, gateway, network
from voice.cxml import CxmlPlayer
from voice.people import CALLER, MASK, Scene, Takes
from voice.swml import SwmlPlayer

from gateway import WebhookRequest, WebhookResponse
from gateway.server import Gateway

BOB, CARL = "+12065550102", "+12065550103"
MASKS = {CALLER: MASK, BOB: "+12065550191", CARL: "+12065550192"}
PIN = "24680135"
MAILBOX, BUSY, IGNORES, NO = Takes(keys=()), Takes("busy"), Takes("ignores"), Takes(keys=("2",))
_REFS = itertools.count(1)


@dataclass
class Line:
    """Takes what SignalWire posts to the gateway, in the players' place of a core."""

    running: Gateway

    def take(self, request: WebhookRequest) -> WebhookResponse:
        """Post a request; the documents SignalWire asks for, and forms, are signed."""
        headers = {"Content-Type": request.content_type} | _signature(request)
        with urllib.request.urlopen(urllib.request.Request(request.url, request.body, headers), timeout=10) as answer:
            return WebhookResponse(body=answer.read().decode(), content_type=answer.headers["Content-Type"])


def _signature(request: WebhookRequest) -> dict[str, str]:
    key = SIGNING_KEY.encode()
    if request.content_type == "application/x-www-form-urlencoded":
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
        signed = request.url + "".join(name + value for name, value in sorted(pairs))
        digest = hmac.digest(key, signed.encode(), "sha1")
        return {"X-SignalWire-Signature": base64.b64encode(digest).decode()}
    if b'"call":' not in request.body:
        return {}
    return {
        "X-Signalwire-SHA256-Signature": hmac.new(key, request.url.encode() + request.body, hashlib.sha256).hexdigest()
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with network("signalwire") as net:
        folder, carriers = tmp_path_factory.mktemp("signalwire"), {"signalwire": carrier_for(net, "signalwire")}
        with gateway(folder, carriers, GATEWAY_CALL_WORDS="One moment.", GATEWAY_WEBHOOK_TOKEN="") as running:
            for mask in MASKS.values():
                assert api(running, "POST", "/v1/pool", {"number": mask, "carrier": "signalwire"})[0] == 201
            yield running


def dial(running: Gateway, form: str, caller: str, scene: Scene) -> Any:
    """Call the mask of the caller's leg, play the call to its end, and return what is known of it."""
    scene.ref = f"call-{next(_REFS)}"
    line: Any = Line(running)
    url = f"{running.url}/webhooks/signalwire"
    if form == "swml":
        player: Any = SwmlPlayer(line, scene)
        call = {"call_id": scene.ref, "direction": "inbound", "type": "phone", "from": caller, "to": MASK}
        body, kind = json.dumps({"call": call, "vars": {}, "envs": {}, "params": {}}).encode(), "application/json"
    else:
        player, kind = CxmlPlayer(line, scene), "application/x-www-form-urlencoded"
        said = {"CallSid": scene.ref, "CallStatus": "ringing", "Direction": "inbound", "From": caller, "To": MASK}
        body = urlencode(said).encode()
    player.play(line.take(WebhookRequest(url=url, headers={"content-type": kind}, body=body)))
    return api(running, "GET", "/v1/calls?limit=1")[1]["data"][0]


def played(
    running: Gateway, form: str, calls: dict[str, Any], takes: dict[str, Takes], **more: Any
) -> tuple[Any, Scene]:
    """Open a session with those who are rung, let somebody call, and end it."""
    people = [{"number": who, "mask": MASKS[who]} for who in (CALLER, *takes)]
    status, session = api(
        running, "POST", "/v1/sessions", {"participants": [people[0] | {"pin": PIN}, *people[1:]], "calls": calls}
    )
    assert status == 201, session
    scene = Scene(
        dict(takes), caller_keys=tuple(more.pop("keys", ())), **{k: v for k, v in more.items() if k != "caller"}
    )
    try:
        return dial(running, form, more.get("caller", CALLER), scene), scene
    finally:
        api(running, "POST", f"/v1/sessions/{session['id']}/end", {})
        running.store.write(lambda tx: [tx.query(f"DELETE FROM {table}") for table in ("leases", "pin_tries")])


#: What the session says of calls, how those who are rung take it, and what comes of it.
CALLS: dict[str, tuple[dict[str, Any], dict[str, Takes], dict[str, Any], tuple[str, str | None]]] = {
    "taken": ({}, {BOB: Takes()}, {}, ("completed", BOB)),
    "accepted": ({"accept": True, "whisper": "A customer."}, {BOB: Takes()}, {}, ("completed", BOB)),
    "a whisper alone": ({"whisper": "A customer."}, {BOB: Takes()}, {}, ("completed", BOB)),
    "recorded": ({"record": True}, {BOB: Takes()}, {}, ("completed", BOB)),
    "recorded and accepted": ({"record": True, "accept": True}, {BOB: Takes()}, {}, ("completed", BOB)),
    "busy": ({}, {BOB: BUSY}, {}, ("busy", None)),
    "nobody stirs": ({}, {BOB: IGNORES}, {}, ("no_answer", None)),
    "a message is left": ({"voicemail": True}, {BOB: IGNORES}, {}, ("no_answer", None)),
    "no message is left": ({"voicemail": True}, {BOB: IGNORES}, {"leaves_message": False}, ("no_answer", None)),
    "a mailbox": ({"accept": True}, {BOB: MAILBOX}, {}, ("no_answer", None)),
    "another key": ({"accept": True, "voicemail": True}, {BOB: NO}, {}, ("no_answer", None)),
    "two, the second takes it": ({}, {BOB: IGNORES, CARL: Takes()}, {}, ("completed", CARL)),
    "two, a mailbox first": ({"accept": True}, {BOB: MAILBOX, CARL: Takes()}, {}, ("completed", CARL)),
    "two, a mailbox first, recorded": (
        {"accept": True, "record": True},
        {BOB: MAILBOX, CARL: Takes()},
        {},
        ("completed", CARL),
    ),
    "two mailboxes, recorded": (
        {"accept": True, "record": True},
        {BOB: MAILBOX, CARL: MAILBOX},
        {},
        ("no_answer", None),
    ),
    "two, nobody": ({"voicemail": True}, {BOB: IGNORES, CARL: BUSY}, {}, ("no_answer", None)),
    "a PIN": ({}, {BOB: Takes()}, {"caller": "+12065550177", "keys": (PIN,)}, ("completed", BOB)),
    "a PIN at last": (
        {"accept": True},
        {BOB: Takes()},
        {"caller": "+12065550177", "keys": ("1", "", f"{PIN}#")},
        ("completed", BOB),
    ),
    "no PIN": ({}, {BOB: Takes()}, {"caller": "+12065550177", "keys": ("1", "2", "3", PIN)}, ("refused", None)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_the_same_in_both_languages_from_end_to_end(running: Gateway, name: str) -> None:
    calls, takes, more, (outcome, answered_by) = CALLS[name]
    (swml, heard), (cxml, also) = (played(running, form, calls, takes, **dict(more)) for form in ("swml", "cxml"))
    for known in (swml, cxml):
        assert (known["outcome"], known["answered_by"]) == (outcome, answered_by)
        assert known["state"] == "ended"
    assert heard.heard == also.heard
    assert heard.connected == also.connected == ([answered_by] if answered_by else [])
    assert heard.recorded == also.recorded
    kinds = [[one["kind"] for one in known["recordings"] if one["state"] == "ready"] for known in (swml, cxml)]
    assert kinds[0] == kinds[1] == ["recording" if one[:4] == "call" else "voicemail" for one in heard.recorded]
    for scene in (heard, also):
        assert all(seen == [MASKS[who]] for who, seen in scene.seen.items() if seen)


def test_what_comes_to_no_call_s_url_is_not_believed(running: Gateway) -> None:
    body = b'{"call_id": "call-1", "connect_result": "connected"}'
    for path in ("call-" + "x" * 32, "", TOKEN):
        url = f"{running.url}/webhooks/signalwire/{path}?step=dialled"
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=10)
        refused.value.close()
        assert refused.value.code in (403, 404)
