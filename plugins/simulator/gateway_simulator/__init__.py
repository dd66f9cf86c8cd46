"""A simulated carrier: texts, media and calls over a small JSON protocol, for trying the gateway without an account.

The other side of the wire is `gateway.testing.network`; the protocol is described in the README beside this folder.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from gateway import (
    UNSUPPORTED,
    Audio,
    CallRoute,
    CallStep,
    Carrier,
    CarrierSettings,
    Channel,
    DeliveryReceipt,
    DeliveryStatus,
    Event,
    InboundCall,
    InboundMessage,
    OptOut,
    OutboundMessage,
    PermanentSendError,
    Rate,
    RecipientOptedOut,
    Recording,
    RetryableSendError,
    Submission,
    Unsupported,
    WebhookMalformed,
    WebhookRejected,
    WebhookRequest,
    WebhookResponse,
    hookimpl,
)
from gateway.client import Response, raise_for_status, size_of
from gateway.numbers import party
from gateway_simulator import calls
from gateway_simulator.fields import number, string

SIGNATURE = "x-simulator-signature"


class SimulatorSettings(CarrierSettings):
    """`SIMULATOR_…`: where the simulated network is, and the key that both sides hold."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_")

    url: str  #: base URL of the network's HTTP server
    key: SecretStr = Field(min_length=1)  #: authenticates sends, signs webhooks
    rate: float | None = Field(default=None, gt=0)  #: parts per second for each number; unset: unlimited
    lookup: bool = True  #: false: the network cannot be asked what became of a text

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/")


class Simulator(Carrier):
    """The simulated carrier."""

    name = "simulator"
    Settings = SimulatorSettings
    channels = frozenset({Channel.SMS, Channel.MMS, Channel.VOICE})
    signed = True
    opt_out = OptOut.GATEWAY
    settings: SimulatorSettings

    @property
    def rate(self) -> Rate:
        """Unlimited unless `SIMULATOR_RATE` says otherwise."""
        return Rate(per_number=self.settings.rate)

    def verify(self, request: WebhookRequest) -> None:
        """Check the HMAC-SHA256, in hex, over URL and body."""
        signed = request.url.encode("utf-8", "replace") + request.body
        expected = hmac.new(self._key.encode(), signed, hashlib.sha256).hexdigest()
        given = request.headers.get(SIGNATURE, "")
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            raise WebhookRejected("the signature is missing or wrong")

    def parse(self, request: WebhookRequest) -> Sequence[Event]:
        """Read the one event a webhook holds. A type we have no use for is none."""
        event = request.json()
        kind = string(event, "type")
        if kind in calls.READERS:
            return (calls.READERS[kind](event, request.query()),)
        read = _READERS.get(kind)
        return (read(event),) if read else ()

    def send(self, message: OutboundMessage) -> Submission:
        """Post the text."""
        response = self._request(
            "POST",
            "/messages",
            json={
                "id": message.id,
                "from": message.sender,
                "to": message.recipient,
                "text": message.text,
                "media": list(message.media),
                "receipt_url": message.receipt_url,
            },
        )
        ref = _object(response).get("ref")  # accepted all the same where it is missing
        return Submission(carrier_ref=ref if isinstance(ref, str) else "")

    def lookup(self, message: OutboundMessage) -> Submission | Unsupported | None:
        """Ask for the texts of this lane, and find ours by its id: here that goes over the wire."""
        if not self.settings.lookup:
            return UNSUPPORTED
        asked = {"from": message.sender, "to": message.recipient, "id": message.id}
        listed = _object(self._request("GET", "/messages", params=asked)).get("messages")
        if not isinstance(listed, list):
            raise RetryableSendError("the list of texts cannot be read")
        for each in listed:
            ref = each.get("ref") if isinstance(each, dict) and _is(each, message) else None
            if isinstance(ref, str) and ref not in message.taken_refs:
                return Submission(carrier_ref=ref)
        return None

    def answer_call(self, call: InboundCall | CallStep, route: CallRoute) -> WebhookResponse:
        """Say what is done with a call, in the language of the README."""
        return WebhookResponse(body=json.dumps(calls.answer(call, route)), content_type="application/json")

    def fetch_recording(self, recording: Recording) -> Audio:
        """Return a recording of the network's. See `Carrier.fetch_recording`."""
        if not recording.url.startswith(f"{self.settings.url}/recordings/"):
            raise PermanentSendError("the recording is not at the network's address")
        response, chunks = self.http.download(recording.url, headers=self._headers)
        if response.status_code != 200:
            response.close()
        raise_for_status(response)
        return Audio(chunks=chunks, close=response.close, size=size_of(response))

    def delete_recording(self, recording: Recording) -> None:
        """Let the network forget a recording. See `Carrier.delete_recording`."""
        url = f"{self.settings.url}/recordings/{quote(recording.recording_ref, safe='')}"
        response = self.http.request("DELETE", url, check=False, headers=self._headers)
        if response.status_code != 404:
            raise_for_status(response)

    def check(self) -> bool:
        """Ask for the account."""
        self._request("GET", "/account")
        return True

    @property
    def _key(self) -> str:
        return self.settings.key.get_secret_value()

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}

    def _request(self, method: str, path: str, **kwargs: Any) -> Response:
        """Send a request and raise what its error means. Only the code is kept: the words may hold numbers."""
        url = f"{self.settings.url}{path}"
        response = self.http.request(method, url, check=False, headers=self._headers, **kwargs)
        if 200 <= response.status_code < 300:
            return response
        error = _object(response).get("error")
        code = error.get("code") if isinstance(error, dict) else None
        code = code if isinstance(code, str) and code.isidentifier() else ""
        if code == "opted_out":
            raise RecipientOptedOut("the recipient does not want texts from this number", code=code)
        raise_for_status(response, code=code)
        return response


def _object(response: Response) -> dict[str, Any]:
    """The answer's JSON object; empty where there is none."""
    try:
        value = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is(listed: Mapping[str, Any], message: OutboundMessage) -> bool:
    return listed.get("id") == message.id and listed.get("text") == message.text


def _message(event: Mapping[str, Any]) -> InboundMessage:
    media = event.get("media") or []
    if not isinstance(media, list) or not all(isinstance(url, str) for url in media):
        raise WebhookMalformed("media is not a list of URLs")
    return InboundMessage(
        carrier_ref=string(event, "ref"),
        sender=party(event.get("from")),
        recipient=number(event, "to"),
        text=string(event, "text"),
        media=tuple(media),
        sent_at=_time(event),
    )


def _receipt(event: Mapping[str, Any]) -> DeliveryReceipt:
    status = string(event, "status")
    known = status in {each.value for each in DeliveryStatus}
    return DeliveryReceipt(
        carrier_ref=string(event, "ref"),
        status=DeliveryStatus(status) if known else DeliveryStatus.UNKNOWN,
        code=string(event, "code", ""),
        detail=string(event, "detail", "") if known else status,
        opted_out=event.get("opted_out") is True,
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Event]] = {
    "message": _message,
    "receipt": _receipt,
}


def _time(event: Mapping[str, Any]) -> datetime | None:
    try:
        at = datetime.fromisoformat(string(event, "at"))
    except (WebhookMalformed, ValueError):
        return None
    return at if at.tzinfo else None


@hookimpl
def register_carriers(register: Callable[[type[Carrier]], None]) -> None:
    """Bring the carrier `simulator`."""
    register(Simulator)
