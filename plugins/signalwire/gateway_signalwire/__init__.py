"""SignalWire for maskgate: SMS, MMS and voice."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from gateway import (
    Audio,
    CallRoute,
    CallStep,
    Carrier,
    Channel,
    Event,
    InboundCall,
    InboundMessage,
    OptOut,
    OutboundMessage,
    Rate,
    Recording,
    Submission,
    WebhookMalformed,
    WebhookRejected,
    WebhookRequest,
    WebhookResponse,
    hookimpl,
)
from gateway_signalwire import answers, api, calls, fields, live, messages, progress, recordings, routes, turns
from gateway_signalwire.settings import SignalWireSettings
from gateway_signalwire.signature import is_signed

_CALL = {"CallSid", "CallStatus"}
_TEXT = {"MessageSid", "SmsSid", "SmsMessageSid", "Body", "NumMedia"}


class SignalWire(Carrier):
    """One project at SignalWire: form webhooks (cXML) and JSON webhooks (SWML), the Compatibility API for sending."""

    name = "signalwire"
    Settings = SignalWireSettings
    settings: SignalWireSettings
    channels = frozenset({Channel.SMS, Channel.MMS, Channel.VOICE})
    opt_out = OptOut.GATEWAY  # signalwire.com/docs/platform/messaging: opt-outs are the customer's to keep

    @property
    def signed(self) -> bool:
        """Whether there is a signing key to check signatures with."""
        return bool(self.settings.signing_keys)

    @property
    def inline(self) -> bool:
        """Whether replies travel inside answers, since there is no API token to send with."""
        return self.settings.api_token is None

    @property
    def rate(self) -> Rate:
        """How fast one number may send: `SIGNALWIRE_RATE`. The account has no limit we would reach."""
        return Rate(per_number=self.settings.rate)

    def verify(self, request: WebhookRequest) -> None:
        """Raise `WebhookRejected` unless the request is signed (where a signing key is set) and of our project.

        SignalWire signs what asks for a document and the cXML callbacks. For the SWML callbacks
        (`call_state_url`, `status_url`) no signature is documented: they are rejected here, and it is their
        URL, which nobody else knows, that lets them in.
        """
        if self.signed and not is_signed(request, self.settings.signing_keys):
            raise WebhookRejected("the signature is missing or wrong")
        if self.settings.project_id and not self._is_ours(request):
            raise WebhookRejected("the request is another project's")

    def _is_ours(self, request: WebhookRequest) -> bool:
        """Return whether a request names our project or none. What cannot be read is `parse`'s to complain about."""
        try:
            given = _project(fields.read(request))
        except WebhookMalformed:
            return True
        ours = self.settings.project_id.lower().encode("utf-8")
        return not given or hmac.compare_digest(given.lower().encode("utf-8"), ours)

    def parse(self, request: WebhookRequest) -> Sequence[Event]:
        """Return the text, receipt, call, step of a call, progress or recording of a webhook. See `Carrier.parse`."""
        found = fields.read(request)
        query = request.query()
        if "message" in found:
            return messages.from_swml(found)
        if turns.is_turn(query) and not _TEXT & found.keys():
            return turns.read(query, found)
        if "call" in found:
            return calls.from_swml(found)
        if "event_type" in found:
            return progress.from_event(found, turns.callee_of(query))
        if _is_call(found, request):
            return calls.from_cxml(found, turns.callee_of(query))
        if {"id", "status"} <= found.keys() and not _TEXT & found.keys():
            return messages.from_status(found)
        return messages.from_cxml(found)

    def send(self, message: OutboundMessage) -> Submission:
        """Hand over `message` by the Compatibility API. See `Carrier.send`."""
        return api.send(self.http, self.settings, message)

    def lookup(self, message: OutboundMessage) -> Submission | None:
        """Look for `message` in the list of what SignalWire has. See `Carrier.lookup`."""
        return api.lookup(self.http, self.settings, message)

    def acknowledge(self, events: Sequence[Event], replies: Sequence[OutboundMessage]) -> WebhookResponse:
        """Return the answer, `replies` in it, in the language of the webhook; empty cXML for all that is no text."""
        if any(isinstance(event, InboundMessage) and event.form == messages.SWML for event in events):
            return answers.swml_replies(replies)
        return answers.cxml_replies(replies)

    def answer_call(self, call: InboundCall | CallStep, route: CallRoute) -> WebhookResponse:
        """Return `route` as SWML for a call that came as JSON, as cXML for one that came as a form."""
        return routes.answer(call, route)

    def hang_up(self, carrier_ref: str) -> bool:
        """End a call that rings. Without an API token nobody can. See `Carrier.hang_up`."""
        return live.hang_up(self.http, self.settings, carrier_ref)

    def fetch_recording(self, recording: Recording) -> Audio:
        """Return a recording as it comes in. See `Carrier.fetch_recording`."""
        return recordings.fetch(self.http, self.settings, recording)

    def delete_recording(self, recording: Recording) -> None:
        """Let SignalWire forget a recording. See `Carrier.delete_recording`."""
        recordings.delete(self.http, self.settings, recording)

    def check(self) -> bool:
        """List one message. See `Carrier.check`."""
        return api.check(self.http, self.settings)


def _project(found: fields.Fields) -> str:
    """Return the project a webhook names, wherever it does; "" where it names none."""
    for part in (found, found.get("call"), found.get("message")):
        if isinstance(part, dict) and (project := fields.word(part, "AccountSid", "project_id")):
            return project
    return ""


def _is_call(found: fields.Fields, request: WebhookRequest) -> bool:
    """Return whether a form is about a call. One that says neither is what its URL was configured for."""
    if found.keys() & (_CALL | _TEXT):
        return not _CALL.isdisjoint(found)
    return urlsplit(request.url).path.endswith("/calls/route")


@hookimpl
def register_carriers(register: Callable[[type[Carrier]], None]) -> None:
    """Register SignalWire."""
    register(SignalWire)
