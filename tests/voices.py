"""A carrier with voice, for tests of what is on our side: webhooks are JSON lists of events, answers are the routes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from scripted import Scripted
from wsgi import Client

from gateway import (
    Channel,
    Event,
    PermanentSendError,
    WebhookMalformed,
    WebhookRejected,
    WebhookRequest,
    WebhookResponse,
)
from gateway.calls import (
    Audio,
    CallOutcome,
    CallProgress,
    CallRoute,
    CallState,
    CallStep,
    InboundCall,
    Recording,
    RecordingKind,
    RecordingReport,
    RecordingState,
    Step,
)
from gateway.messages import InboundMessage

SIGNATURE = {"X-Voice-Signature": "valid"}
SOUND = [b"RIFF", b"....", b"WAVE"]


class Voice(Scripted):
    """Signs by a header. Keeps recordings in a dict by their reference."""

    channels = frozenset({Channel.SMS, Channel.VOICE})
    signed = True

    def __init__(self, *, name: str = "voice") -> None:
        super().__init__(name=name)
        self.kept: dict[str, list[bytes]] = {}
        self.closed = 0
        self.fetched: list[Recording] = []
        self.on_fetch: Exception | None = None
        self.on_delete: list[Exception] = []  #: raised one after the other
        self.hung_up: list[str] = []
        self.on_hang_up: list[Exception | bool] = []  #: raised or returned one after the other; then it can

    def verify(self, request: WebhookRequest) -> None:
        """Look at the header."""
        if request.headers.get("x-voice-signature") != "valid":
            raise WebhookRejected("not signed")

    def parse(self, request: WebhookRequest) -> Sequence[Event]:
        """Read the events."""
        return [_event(dict(one), request.query()) for one in json.loads(request.body)]

    def answer_call(self, call: InboundCall | CallStep, route: CallRoute) -> WebhookResponse:
        """Say which route it is, and what is in it."""
        return WebhookResponse(body=json.dumps([type(route).__name__, asdict(route)]), content_type="application/json")

    def fetch_recording(self, recording: Recording) -> Audio:
        """Return what is kept under the reference."""
        self.fetched.append(recording)
        if self.on_fetch is not None:
            raise self.on_fetch
        if recording.recording_ref not in self.kept:
            raise PermanentSendError("gone", code="404")
        pieces = self.kept[recording.recording_ref]
        return Audio(chunks=iter(pieces), close=self._close, size=sum(map(len, pieces)))

    def delete_recording(self, recording: Recording) -> None:
        """Forget what is kept under the reference."""
        if self.on_delete:
            raise self.on_delete.pop(0)
        self.kept.pop(recording.recording_ref, None)

    def hang_up(self, carrier_ref: str) -> bool:
        """Write it down."""
        outcome = self.on_hang_up.pop(0) if self.on_hang_up else True
        if isinstance(outcome, Exception):
            raise outcome
        self.hung_up += [carrier_ref] * outcome
        return outcome

    def _close(self) -> None:
        self.closed += 1


def _event(one: dict[str, Any], query: dict[str, str]) -> Event:
    kind = one.pop("type")
    if kind == "call":
        return InboundCall(**one)
    if kind == "text":
        return InboundMessage(**one)
    if kind == "step":
        callee = query.get("callee")
        return CallStep(**one | {"step": Step(one["step"]), "callee": int(callee) if callee else None})
    if kind == "progress":
        outcome = CallOutcome(one["outcome"]) if "outcome" in one else None
        return CallProgress(**one | {"state": CallState(one["state"]), "outcome": outcome})
    if kind == "recording":
        words = {"kind": RecordingKind(one["kind"]), "state": RecordingState(one["state"])}
        return RecordingReport(**one | words | {"callees": tuple(one.get("callees", ()))})
    raise WebhookMalformed("of no kind")


class Phone:
    """Somebody's call at a `Voice` carrier, in steps: what its carrier posts, and what it is answered."""

    def __init__(self, client: Client, caller: str, mask: str, ref: str = "c-1", carrier: str = "voice") -> None:
        self.client, self.caller, self.mask, self.ref, self.carrier = client, caller, mask, ref, carrier
        self.callback = ""  #: as the last route said it
        self.kind, self.route = self.dial()

    def dial(self) -> tuple[str, dict[str, Any]]:
        """Call the mask."""
        event = {"type": "call", "carrier_ref": self.ref, "caller": self.caller, "called": self.mask}
        return self._answer(self.post(f"/webhooks/{self.carrier}", event, SIGNATURE))

    def post(self, path: str, event: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
        return self.client("POST", path, json=[event], headers=headers or {})

    def step(self, step: str, callee: int | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
        """Let the carrier ask, at the URL it was told, how the call goes on."""
        event = {"type": "step", "carrier_ref": self.ref, "step": step} | more
        return self._answer(self.post(self.url(step, callee), event))

    def tell(self, state: str, callee: int | None = None, **more: Any) -> None:
        """Let the carrier tell how the call goes on."""
        event = {"type": "progress", "carrier_ref": "of-the-leg", "state": state, "callee": callee} | more
        assert self.post(self.url("", callee), event).status == 200

    def report(self, kind: str = "voicemail", state: str = "ready", ref: str = "rec-1", **more: Any) -> None:
        """Let the carrier tell of a recording."""
        url = f"https://carrier.example/{ref}" if state == "ready" else ""
        event = {"type": "recording", "carrier_ref": self.ref, "kind": kind, "state": state} | more
        given = ({"recording_ref": ref, "url": url} if state == "ready" else {}) | event
        assert self.post(self.url(kind), given).status == 200

    def url(self, step: str = "", callee: int | None = None) -> str:
        """Return where the carrier calls, without the host."""
        path = self.callback.removeprefix("http://gw.example.com")
        words = [f"step={step}"] * bool(step) + [f"callee={callee}"] * (callee is not None)
        return path + ("&" if "?" in path else "?") + "&".join(words) if words else path

    def _answer(self, answer: Any) -> tuple[str, dict[str, Any]]:
        assert answer.status == 200, answer
        kind, route = answer.json()
        self.callback = route.get("callback") or self.callback
        return kind, route

    @property
    def key(self) -> str:
        return self.callback.rpartition("/")[2].partition("?")[0]
