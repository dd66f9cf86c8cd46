"""The face of SignalWire: Compatibility API and form webhooks (cXML), calls in SWML or cXML.

signalwire.com/docs/compatibility-api and signalwire.com/docs/swml.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from gateway.calls import Callee, CallOutcome, CallProgress, CallRoute, Connect, InboundCall, Refuse
from gateway.errors import InvalidNumber
from gateway.messages import DeliveryReceipt, InboundMessage
from gateway.numbers import e164
from gateway.testing.network import Answer, Face, Lookup, Ping, Record, Refusal, Refused, Request, Send, Webhook
from gateway.testing.network.wire import UNAUTHORIZED, UNKNOWN, answer_json, unreadable

CODES = {"unauthorized": 20003, "throttled": 20429, "opted_out": 21610, "unavailable": 20504}
API = "2010-04-01"
_STATUSES = {outcome: outcome.value.replace("_", "-") for outcome in CallOutcome}


class SignalWireFace(Face):
    """Speaks like SignalWire. `cxml_calls`: calls come as forms and are answered in cXML, else in SWML."""

    accepted_status = 201

    def __init__(self, project: str, token: str, signing_key: str, *, cxml_calls: bool = False) -> None:
        self._auth = (project, token)
        self._key = signing_key.encode()
        self._cxml_calls = cxml_calls
        self._account = f"/api/laml/{API}/Accounts/{project}"

    # --- requests --------------------------------------------------------------------------------

    def read(self, request: Request) -> Send | Lookup | Ping:
        if request.basic() != self._auth:
            raise Refused(UNAUTHORIZED)
        path = request.path.removesuffix(".json")
        if (request.method, path) == ("GET", self._account):
            return Ping()
        ref = re.fullmatch(re.escape(f"{self._account}/Messages/") + "([^/]+)", path)
        if request.method == "GET" and ref:
            return Lookup(ref=ref[1])
        if path != f"{self._account}/Messages" or request.method not in ("GET", "POST"):
            raise Refused(UNKNOWN)
        return _send(request.form()) if request.method == "POST" else _lookup(request.fields())

    def accept(self, record: Record) -> Answer:
        return answer_json(self.accepted_status, self._record(record))

    def refuse(self, refusal: Refusal) -> Answer:
        code = CODES.get(refusal.code, 21211)
        error = {"code": code, "message": refusal.detail, "more_info": "", "status": refusal.status}
        return answer_json(refusal.status, error, refusal.retry_after)

    def list(self, asked: Lookup, records: Sequence[Record]) -> Answer:
        if asked.ref:
            return answer_json(200, self._record(records[0])) if records else self.refuse(UNKNOWN)
        page = {"messages": [self._record(record) for record in records], "next_page_uri": None}
        if len(records) == asked.limit:
            following = asked.offset // asked.limit + 1
            query = {"From": asked.sender, "To": asked.recipient, "PageSize": asked.limit, "Page": following}
            page["next_page_uri"] = f"{self._account}/Messages?{urlencode(query)}"  # type: ignore[assignment]
        return answer_json(200, page)

    def _record(self, record: Record) -> dict[str, Any]:
        assert record.send
        send = record.send
        at = formatdate(record.at / 1000)
        return {
            "sid": record.ref,
            "account_sid": self._auth[0],
            "api_version": API,
            "from": send.sender,
            "to": send.recipient,
            "body": send.text,
            "status": "queued",
            "direction": "outbound-api",
            "num_segments": 1,
            "num_media": len(send.media),
            "error_code": None,
            "error_message": None,
            "date_created": at,
            "date_updated": at,
            "date_sent": None,
            "uri": f"{self._account}/Messages/{record.ref}.json",
        }

    # --- texts -----------------------------------------------------------------------------------

    def message(self, url: str, message: InboundMessage) -> Webhook:
        fields = {
            "MessageSid": message.carrier_ref,
            "AccountSid": self._auth[0],
            "From": message.sender,
            "To": message.recipient,
            "Body": message.text,
            "NumMedia": str(len(message.media)),
            "NumSegments": "1",
            "SmsStatus": "",
        }
        for number, media in enumerate(message.media):
            fields |= {f"MediaUrl{number}": media, f"MediaContentType{number}": "image/jpeg"}
        return self._form(url, fields)

    def replies(self, message: InboundMessage, answer: Answer) -> Sequence[Send]:
        """Carry out `<Message>`: its attributes default to the other way round."""
        document = _document(answer)
        return [_reply(verb, message) for verb in document.iter("Message")]

    def receipt(self, url: str, record: Record, receipt: DeliveryReceipt) -> Webhook:
        assert record.send
        send = record.send
        fields = {"MessageSid": record.ref, "MessageStatus": receipt.status.value, "AccountSid": self._auth[0]}
        fields |= {"From": send.sender, "To": send.recipient, "Body": send.text, "NumMedia": str(len(send.media))}
        code = str(CODES["opted_out"]) if receipt.opted_out else receipt.code
        return self._form(url, fields | {"NumSegments": "1"} | ({"ErrorCode": code} if code else {}))

    # --- calls -----------------------------------------------------------------------------------

    def call(self, url: str, call: InboundCall) -> Webhook:
        if self._cxml_calls:
            return self._form(url, self._call_fields(call, "ringing"))
        described = {
            "call_id": call.carrier_ref,
            "node_id": f"{call.carrier_ref}@us-east",
            "segment_id": call.carrier_ref,
            "call_state": "created",
            "direction": "inbound",
            "type": "phone",
            "from": call.caller,
            "to": call.called,
            "from_number": call.caller,
            "to_number": call.called,
            "headers": [],
            "project_id": self._auth[0],
        }
        body = json.dumps({"call": described, "vars": {}, "envs": {}, "params": {}}).encode()
        headers = {"Content-Type": "application/json"}
        for name, algorithm in (("X-Signalwire-Signature", "sha1"), ("X-Signalwire-SHA256-Signature", "sha256")):
            headers[name] = hmac.new(self._key, url.encode() + body, algorithm).hexdigest()
        return Webhook(url=url, body=body, headers=headers)

    def progress(self, url: str, call: InboundCall, progress: CallProgress) -> Webhook:
        """Report by the voice status callback of cXML, or by the (unsigned) call state event of SWML."""
        if self._cxml_calls:
            fields = self._call_fields(call, _STATUSES[progress.outcome] if progress.outcome else progress.state.value)
            return self._form(url, fields | {"CallDuration": str(progress.seconds or 0)})
        device = {"type": "phone", "params": {"from_number": call.caller, "to_number": call.called}}
        params = {"call_id": call.carrier_ref, "call_state": progress.state.value, "direction": "inbound"}
        event = {"event_type": "calling.call.state", "project_id": self._auth[0]}
        reason = progress.outcome.value if progress.outcome else None
        body = json.dumps(event | {"params": {**params, "device": device, "end_reason": reason}}).encode()
        return Webhook(url=url, body=body, headers={"Content-Type": "application/json"})

    def route(self, answer: Answer) -> CallRoute:
        try:
            return _dialled(_document(answer)) if self._cxml_calls else _swml(json.loads(answer.body))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the answer to the call cannot be carried out") from error

    def _call_fields(self, call: InboundCall, status: str) -> dict[str, str]:
        fields = {"CallSid": call.carrier_ref, "AccountSid": self._auth[0], "ApiVersion": API, "Direction": "inbound"}
        return fields | {"CallStatus": status, "From": call.caller, "To": call.called}

    def _form(self, url: str, fields: Mapping[str, str]) -> Webhook:
        signed = url + "".join(name + fields[name] for name in sorted(fields))
        signature = base64.b64encode(hmac.new(self._key, signed.encode(), hashlib.sha1).digest()).decode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-SignalWire-Signature": signature}
        return Webhook(url=url, body=urlencode(fields).encode(), headers=headers)


def _send(form: Mapping[str, list[str]]) -> Send:
    first = {name: values[0] for name, values in form.items()}
    text, media = first.get("Body", ""), tuple(form.get("MediaUrl", ()))
    try:
        sender, recipient = e164(first.get("From")), e164(first.get("To"))
    except InvalidNumber:
        raise unreadable("From and To are phone numbers") from None
    if (not text and not media) or len(media) > 8:
        raise unreadable("Body or at most 8 MediaUrl")
    return Send(sender=sender, recipient=recipient, text=text, media=media, receipt_url=first.get("StatusCallback", ""))


def _lookup(fields: Mapping[str, str]) -> Lookup:
    try:
        limit, page = int(fields.get("PageSize", 50)), int(fields.get("Page", 0))
    except ValueError:
        raise unreadable("PageSize and Page are numbers") from None
    pair = {"sender": fields.get("From", ""), "recipient": fields.get("To", "")}
    return Lookup(**pair, newest_first=True, offset=page * limit, limit=limit)  # type: ignore[arg-type]


def _document(answer: Answer) -> ElementTree.Element:
    if not answer.content_type.startswith(("application/xml", "text/xml")):
        raise ValueError("12300: the content type is not XML")
    root = ElementTree.fromstring(answer.body.encode())
    if root.tag != "Response":
        raise ValueError("12100: the document is no Response")
    return root


def _reply(verb: ElementTree.Element, message: InboundMessage) -> Send:
    return Send(
        sender=verb.get("from", message.recipient),
        recipient=verb.get("to", message.sender),
        text="".join(body.text or "" for body in verb.iter("Body")),
        media=tuple(media.text or "" for media in verb.iter("Media")),
    )


def _dialled(document: ElementTree.Element) -> CallRoute:
    dial = document.find("Dial")
    if dial is None:
        return Refuse(words="".join(say.text or "" for say in document.iter("Say")))
    caller_id = dial.attrib["callerId"]  # left out, the callee would see the caller's number
    callees = tuple(Callee(number=number.text or "", caller_id=caller_id) for number in dial.iter("Number"))
    limits = {"ring_seconds": int(dial.get("timeout", 30)), "limit_seconds": int(dial.get("timeLimit", 14400))}
    return Connect(callees=callees, **limits)


def _swml(document: dict[str, Any]) -> CallRoute:
    if document["version"] != "1.0.0":
        raise ValueError("the version is not 1.0.0")
    steps = document["sections"]["main"]
    connects = [step["connect"] for step in steps if "connect" in step]
    if not connects:
        said = [step["play"]["url"].removeprefix("say:") for step in steps if "play" in step]
        return Refuse(words=" ".join(said))
    (connect,) = connects
    devices = connect.get("parallel") or [connect]
    # `from` left out, the callee would see the caller's number
    callees = tuple(Callee(number=device["to"], caller_id=device["from"]) for device in devices)
    limit = connect.get("max_duration", 14400)
    return Connect(callees=callees, ring_seconds=devices[0].get("timeout", 60), limit_seconds=limit)
