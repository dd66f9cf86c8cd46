"""The face of the simulator: a small JSON protocol of our own, spoken by the plugin maskgate-simulator.

Every request carries `Authorization: Bearer <key>`. An error is `{"error": {"code": …, "detail": …}}`.

    POST /messages {id, from, to, text, media, receipt_url}  ->  202 {"ref": …}
    GET /messages?from=&to=&id=                              ->  200 {"messages": [{ref, id, from, to, text, media}]}
    GET /account                                             ->  200 {}

Webhooks are JSON objects with a `type`; `X-Simulator-Signature` is HMAC-SHA256 with the key, in hex, over the URL
followed by the body.

    {"type": "message", ref, from, to, text, media, at}     at: ISO 8601
    {"type": "receipt", ref, status, code, detail, opted_out}      status: sent, delivered, undelivered
    {"type": "call", ref, from, to}                                answered in the language of `simulator_calls`
    {"type": "step", ref, digits, connected}                       answered alike; which step it is, says the URL
    {"type": "progress", ref, state, outcome, seconds}             state: ringing, answered, ended
    {"type": "recording", ref, state, recording, url, seconds}     state: ready, absent

    GET, DELETE /recordings/<recording>                            ->  200, a WAV file
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from gateway.calls import CallProgress, CallRoute, CallStep, InboundCall, RecordingReport
from gateway.errors import InvalidNumber
from gateway.messages import DeliveryReceipt, InboundMessage
from gateway.numbers import e164
from gateway.testing.network.face import Face
from gateway.testing.network.ledger import Record
from gateway.testing.network.simulator_calls import read_route
from gateway.testing.network.wire import (
    UNAUTHORIZED,
    UNKNOWN,
    Answer,
    Lookup,
    Ping,
    Refusal,
    Refused,
    Request,
    Send,
    Sound,
    Webhook,
    answer_json,
    unreadable,
)


class SimulatorFace(Face):
    """Speaks the protocol above. `key` authenticates the gateway's requests and signs the webhooks."""

    def __init__(self, key: str) -> None:
        self._key = key

    def read(self, request: Request) -> Send | Lookup | Ping | Sound:
        """Return what `request` asks for. Raises `Refused`."""
        if not hmac.compare_digest(request.bearer().encode(), self._key.encode()):
            raise Refused(UNAUTHORIZED)
        match request.method, request.path:
            case "POST", "/messages":
                return _read_send(request.json())
            case "GET", "/messages":
                asked = request.fields()
                return Lookup(sender=asked.get("from", ""), recipient=asked.get("to", ""), id=asked.get("id", ""))
            case "GET", "/account":
                return Ping()
            case "GET" | "DELETE", path if path.startswith("/recordings/"):
                return Sound(ref=path.removeprefix("/recordings/"), forget=request.method == "DELETE")
        raise Refused(UNKNOWN)

    def accept(self, record: Record) -> Answer:
        """Return the reference."""
        return answer_json(self.accepted_status, {"ref": record.ref})

    def refuse(self, refusal: Refusal) -> Answer:
        """Return the error."""
        error = {"code": refusal.code, "detail": refusal.detail}
        return answer_json(refusal.status, {"error": error}, refusal.retry_after)

    def list(self, asked: Lookup, records: Sequence[Record]) -> Answer:
        """Return the texts, oldest first."""
        return answer_json(200, {"messages": [_listed(record) for record in records]})

    def message(self, url: str, message: InboundMessage) -> Webhook:
        """Return the webhook for a person's text."""
        at = message.sent_at.isoformat() if message.sent_at else None
        words = {"from": message.sender, "to": message.recipient, "text": message.text, "media": message.media}
        return self._signed(url, {"type": "message", "ref": message.carrier_ref, **words, "at": at})

    def receipt(self, url: str, record: Record, receipt: DeliveryReceipt) -> Webhook:
        """Return the webhook that says what became of a text."""
        what = {"status": receipt.status.value, "code": receipt.code, "detail": receipt.detail}
        return self._signed(url, {"type": "receipt", "ref": record.ref, **what, "opted_out": receipt.opted_out})

    def call(self, url: str, call: InboundCall) -> Webhook:
        """Return the webhook for a person's call."""
        return self._signed(url, {"type": "call", "ref": call.carrier_ref, "from": call.caller, "to": call.called})

    def progress(self, url: str, call: InboundCall, progress: CallProgress) -> Webhook:
        """Return the webhook that says how a call goes on."""
        outcome = progress.outcome.value if progress.outcome else ""
        what = {"state": progress.state.value, "outcome": outcome, "seconds": progress.seconds}
        return self._signed(url, {"type": "progress", "ref": call.carrier_ref, **what})

    def step(self, url: str, step: CallStep) -> Webhook:
        """Return the webhook that asks how a call goes on."""
        what = {"digits": step.digits, "connected": step.connected}
        return self._signed(url, {"type": "step", "ref": step.carrier_ref, **what})

    def report(self, url: str, report: RecordingReport) -> Webhook:
        """Return the webhook that tells of a recording."""
        what = {"recording": report.recording_ref, "url": report.url, "seconds": report.seconds}
        event = {"type": "recording", "ref": report.carrier_ref, "state": report.state.value, **what}
        return self._signed(url, event)

    def route(self, answer: Answer) -> CallRoute:
        """Return what the gateway wants done with a call. Raises `ValueError`."""
        try:
            return read_route(json.loads(answer.body))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError("the answer to the call is not in the simulator's language") from error

    def _signed(self, url: str, event: dict[str, Any]) -> Webhook:
        body = json.dumps(event, ensure_ascii=False).encode()
        signature = hmac.new(self._key.encode(), url.encode() + body, hashlib.sha256).hexdigest()
        return Webhook(
            url=url, body=body, headers={"Content-Type": "application/json", "X-Simulator-Signature": signature}
        )


def _read_send(asked: dict[str, Any]) -> Send:
    try:
        sender, recipient = e164(asked.get("from")), e164(asked.get("to"))
    except InvalidNumber:
        raise unreadable("from and to are phone numbers") from None
    id_, text, media = asked.get("id"), asked.get("text", ""), asked.get("media", [])
    receipt_url = asked.get("receipt_url", "")
    if not (isinstance(id_, str) and isinstance(text, str) and isinstance(receipt_url, str)):
        raise unreadable("id, text and receipt_url are strings")
    if not isinstance(media, list) or not all(isinstance(url, str) for url in media):
        raise unreadable("media is a list of URLs")
    if not text and not media:
        raise unreadable("neither text nor media")
    return Send(sender=sender, recipient=recipient, text=text, media=tuple(media), id=id_, receipt_url=receipt_url)


def _listed(record: Record) -> dict[str, Any]:
    assert record.send
    send = record.send
    words = {"from": send.sender, "to": send.recipient, "text": send.text, "media": send.media}
    return {"ref": record.ref, "id": send.id, **words}
