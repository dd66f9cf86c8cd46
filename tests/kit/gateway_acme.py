"""A carrier as small as one can be with everything in it, and correct. test_kit.py breaks it in one place at a time."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from gateway import (
    AskPin,
    Audio,
    Bridge,
    CallOutcome,
    CallProgress,
    CallRoute,
    CallState,
    CallStep,
    Carrier,
    CarrierMisconfigured,
    CarrierSettings,
    Channel,
    Connect,
    DeliveryReceipt,
    DeliveryStatus,
    Event,
    InboundCall,
    InboundMessage,
    OutboundMessage,
    PermanentSendError,
    Recording,
    RecordingKind,
    RecordingReport,
    RecordingState,
    RetryableSendError,
    Screen,
    Step,
    Submission,
    TakeMessage,
    WebhookMalformed,
    WebhookRejected,
    WebhookRequest,
    WebhookResponse,
    callback_url,
    hookimpl,
)
from gateway.client import raise_for_status
from gateway.numbers import e164, party

URL = "https://api.acme.example/messages"
CALLS = "https://api.acme.example/calls/"
RECORDINGS = "https://api.acme.example/recordings/"
STATUSES = {"delivered": DeliveryStatus.DELIVERED, "failed": DeliveryStatus.UNDELIVERED}


class Settings(CarrierSettings):
    model_config = SettingsConfigDict(env_prefix="ACME_")

    account: str
    api_token: SecretStr | None = None  # without it texts travel in the answers to webhooks
    signing_key: SecretStr


class Acme(Carrier):
    name = "acme"
    Settings = Settings
    channels = frozenset({Channel.SMS, Channel.MMS, Channel.VOICE})
    signed = True

    @property
    def inline(self) -> bool:
        return self.settings.api_token is None

    def verify(self, request: WebhookRequest) -> None:
        key = self.settings.signing_key.get_secret_value().encode()
        expected = hmac.new(key, request.url.encode() + request.body, hashlib.sha256).hexdigest()
        given = request.headers.get("x-acme-signature", "")
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            raise WebhookRejected("the signature does not match")

    def parse(self, request: WebhookRequest) -> Sequence[Event]:
        payload = request.json()
        try:
            where = request.query()
            if payload["kind"] in ("step", "progress", "recording"):
                return [READ_TURN[payload["kind"]](payload, where)]
            read = {"text": read_text, "receipt": read_receipt, "call": read_call}.get(payload["kind"])
            return [read(payload)] if read else []
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WebhookMalformed(f"unexpected payload: {type(error).__name__}") from None

    def send(self, message: OutboundMessage) -> Submission:
        if self.inline:
            raise CarrierMisconfigured("ACME_API_TOKEN is not set")
        body = {
            "ref": message.id,
            "from": message.sender,
            "to": message.recipient,
            "text": message.text,
            "callback": message.receipt_url,
        }
        if message.media:
            body["media"] = list(message.media)
        response = self.http.post(URL, json=body, headers=self.authorization())
        return Submission(carrier_ref=reference(response))

    def lookup(self, message: OutboundMessage) -> Submission | None:
        response = self.http.get(URL, params={"ref": message.id}, headers=self.authorization())
        try:
            records = json.loads(response.content)
        except (ValueError, RecursionError):
            raise RetryableSendError("the list of messages cannot be read") from None
        for record in records if isinstance(records, list) else []:
            if isinstance(record, dict) and record.get("text") == message.text and isinstance(record.get("id"), str):
                ref = record["id"]
                if ref not in message.taken_refs:
                    return Submission(carrier_ref=ref)
        return None

    def acknowledge(self, events: Sequence[Event], replies: Sequence[OutboundMessage]) -> WebhookResponse:
        texts = [{"from": one.sender, "to": one.recipient, "text": one.text} for one in replies]
        return WebhookResponse(body=json.dumps({"texts": texts}), content_type="application/json")

    def answer_call(self, call: InboundCall | CallStep, route: CallRoute) -> WebhookResponse:
        return WebhookResponse(body=json.dumps(instructions(call, route)), content_type="application/json")

    def fetch_recording(self, recording: Recording) -> Audio:
        if not recording.url.startswith(RECORDINGS):
            raise PermanentSendError("the recording is at another host")
        response, chunks = self.http.download(recording.url, headers=self.authorization())
        raise_for_status(response)
        return Audio(chunks=chunks, close=response.close)

    def hang_up(self, carrier_ref: str) -> bool:
        self.http.request("DELETE", CALLS + carrier_ref, headers=self.authorization())
        return True

    def delete_recording(self, recording: Recording) -> None:
        url = RECORDINGS + recording.recording_ref
        response = self.http.request("DELETE", url, check=False, headers=self.authorization())
        if response.status_code != 404:
            raise_for_status(response)

    def check(self) -> bool:
        self.http.get(URL, params={"limit": "1"}, headers=self.authorization())
        return True

    def authorization(self) -> dict[str, str]:
        token = self.settings.api_token
        return {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}


def instructions(call, route) -> list:
    if isinstance(route, Connect):
        return connect(route)
    if isinstance(route, Bridge):
        return []
    if isinstance(route, AskPin):
        return [{"say": route.words}, {"keys": route.most_digits, "then": callback_url(route.callback, Step.PIN)}]
    if isinstance(route, TakeMessage):
        return take(route)
    if isinstance(route, Screen):
        then = callback_url(route.callback, Step.SCREENED, call.callee)
        return [{"say": route.words}, {"keys": 1, "then": then}] if route.accept else [{"say": route.words}]
    return [{"say": route.words}, {"hangup": True}]


def connect(route) -> list:
    steps = [{"ring": one.number, "caller_id": one.caller_id} for one in route.callees]
    if not route.callback:
        return steps
    for step, callee in zip(steps, route.callees, strict=True):
        step["told"] = callback_url(route.callback, callee=callee.position)
        if route.screens:
            step["screen"] = callback_url(route.callback, Step.SCREEN, callee.position)
    if route.record:
        steps.append({"record": callback_url(route.callback, RecordingKind.CALL)})
    return [{"say": route.words}, *steps, {"then": callback_url(route.callback, Step.DIALLED)}]


def take(route) -> list:
    if not route.callback:
        return [{"hangup": True}]
    told = callback_url(route.callback, RecordingKind.VOICEMAIL)
    return [{"say": route.words}, {"message": told, "then": callback_url(route.callback, Step.RECORDED)}]


def reference(response) -> str:
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        return ""
    ref = answer.get("id") if isinstance(answer, dict) else None
    return ref if isinstance(ref, str) else ""


def read_text(payload) -> InboundMessage:
    media = payload.get("media", [])
    if not isinstance(payload["text"], str) or not all(isinstance(url, str) for url in media):
        raise WebhookMalformed("text and media are strings")
    return InboundMessage(
        carrier_ref=readable(payload["id"]),
        sender=party(payload["from"]),
        recipient=e164(payload["to"]),
        text=payload["text"],
        media=tuple(media),
        sent_at=moment(payload["at"]),
    )


def read_receipt(payload) -> DeliveryReceipt:
    word = readable(payload["status"])
    status = STATUSES.get(word, DeliveryStatus.UNKNOWN)
    return DeliveryReceipt(carrier_ref=readable(payload["id"]), status=status, detail=word)


def read_call(payload) -> InboundCall:
    return InboundCall(carrier_ref=readable(payload["id"]), caller=party(payload["from"]), called=e164(payload["to"]))


def read_step(payload, where) -> CallStep:
    return CallStep(
        carrier_ref=readable(payload["id"]),
        step=Step(where["step"]),
        callee=callee(where),
        digits=readable(payload.get("keys", "")),
        connected=payload.get("connected") is True,
    )


def read_progress(payload, where) -> CallProgress:
    state = CallState(payload["state"])
    outcome = CallOutcome(payload["outcome"]) if state is CallState.ENDED else None
    return CallProgress(carrier_ref=readable(payload["id"]), state=state, outcome=outcome, callee=callee(where))


def read_recording(payload, where) -> RecordingReport:
    return RecordingReport(
        carrier_ref=readable(payload["id"]),
        kind=RecordingKind(where["step"]),
        state=RecordingState.READY if payload["recording"] else RecordingState.ABSENT,
        recording_ref=readable(payload["recording"]),
        url=RECORDINGS + readable(payload["recording"]) if payload["recording"] else "",
    )


def callee(where) -> int | None:
    word = where.get("callee", "")
    return int(word) if word.isascii() and word.isdigit() else None


READ_TURN = {"step": read_step, "progress": read_progress, "recording": read_recording}


def readable(value) -> str:
    if not isinstance(value, str):
        raise WebhookMalformed("an id or status is a string")
    return value


def moment(value) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise WebhookMalformed("a time has an offset")
    return at


@hookimpl
def register_carriers(register) -> None:
    register(Acme)
