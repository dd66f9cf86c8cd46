"""Plays a SWML document: a small part of SignalWire, which knows the methods our documents use and no others.

signalwire.com/docs/swml/reference. What it posts has the shapes of `carriers.md` 3.2 and 3.3.
"""

from __future__ import annotations

import json
import re
from typing import Any

from voice.people import CALLER, MASK, Core, Scene, Takes

from gateway import WebhookRequest, WebhookResponse

MISSED = {"busy": "busy", "declines": "declined", "ignores": "no_answer"}


class HungUp(Exception):
    """The script has ended this person's part."""


class SwmlPlayer:
    """Plays the caller's document, and each callee's confirmation, until the call is over."""

    def __init__(self, core: Core, scene: Scene) -> None:
        self.core = core
        self.scene = scene
        self.vars: dict[str, str] = {}
        self.keys = list(scene.caller_keys)

    def play(self, answer: WebhookResponse) -> None:
        assert answer.content_type == "application/json"
        document = json.loads(answer.body)
        assert document["version"] == "1.0.0"
        try:
            self.run(document["sections"]["main"], CALLER, self.vars, self.keys)
        except HungUp:
            return

    def run(self, steps: list[dict[str, Any]], who: str, variables: dict[str, str], keys: list[str]) -> None:
        for step in steps:
            ((method, params),) = step.items()
            if method == "cond":
                self.run(_branch(params, variables), who, variables, keys)
            elif method == "prompt":
                self.prompt(params, who, variables, keys)
            elif method == "play":
                self.say(params["url"], who)
            elif method == "record_call":
                self.scene.recorded.append(f"call of {who}")
                self.post(params["status_url"], _recording(who, "rec-1", "finished"))
            else:
                getattr(self, f"do_{method}")(params, who)

    def say(self, url: str, who: str) -> None:
        if url.startswith("say:"):
            assert "%{" not in url
            assert "${" not in url
            self.scene.hears(who, url.removeprefix("say:"))
        else:
            assert re.fullmatch(r"silence:[0-9.]+", url)

    def prompt(self, params: dict[str, Any], who: str, variables: dict[str, str], keys: list[str]) -> None:
        self.say(params["play"], who)
        typed = keys.pop(0) if keys else ""
        typed = typed.partition(params.get("terminators", "?"))[0][: params["max_digits"]]
        variables["prompt_result"] = "match_digits" if typed else "no_input"
        if typed:
            variables["prompt_value"] = typed
        result: dict[str, Any] = {"type": "digit", "params": {"digits": typed}} if typed else {"type": "no_input"}
        if "status_url" in params:
            self.post(params["status_url"], _event("collect", who, {"result": result}))

    def do_answer(self, params: dict[str, Any], who: str) -> None:
        assert who == CALLER

    def do_hangup(self, params: dict[str, Any], who: str) -> None:
        raise HungUp

    def do_request(self, params: dict[str, Any], who: str) -> None:
        assert params["method"] == "POST"
        self.post(params["url"], params["body"])

    def do_transfer(self, params: dict[str, Any], who: str) -> None:
        filled = {
            name: re.sub(r"%\{(\w+)\}", lambda found: self.vars.get(found[1], found[0]), value)
            for name, value in params["params"].items()
        }
        call = {"call_id": self.scene.ref, "direction": "inbound", "type": "phone", "from": CALLER, "to": MASK}
        self.play(self.post(params["dest"], {"call": call, "vars": self.vars, "envs": {}, "params": filled}))
        raise HungUp

    def do_record(self, params: dict[str, Any], who: str) -> None:
        state = "finished" if self.scene.leaves_message else "no_input"
        if self.scene.leaves_message:
            self.scene.recorded.append("message")
        self.post(params["status_url"], _recording(who, "rec-2", state))

    def do_connect(self, params: dict[str, Any], who: str) -> None:
        devices = params.get("parallel") or [params]
        assert "from" in params
        winner = None
        for device in sorted(devices, key=lambda one: self.takes(one).after):
            if self.rings(device, winner):
                winner = device
        self.end(devices, winner)
        result = params.get("result")
        if result is None:
            raise HungUp
        assert result["variable"] == "connect_result"
        self.run(result["case"]["connected" if winner else "failed"], who, self.vars, self.keys)

    def takes(self, device: dict[str, Any]) -> Takes:
        return self.scene.callees[device["to"]]

    def rings(self, device: dict[str, Any], winner: Any) -> bool:
        """Ring one phone, and return whether it is connected."""
        takes, who = self.takes(device), device["to"]
        self.scene.seen[who].append(device["from"])  # left out, it would be the caller's own number
        self.state(device, "ringing")
        if winner or takes.how != "answers" or takes.after >= device["timeout"]:
            return False
        self.state(device, "answered")
        try:
            self.run(device.get("confirm", []), who, {}, list(takes.keys))
        except HungUp:
            return False
        self.scene.connected.append(who)
        return True

    def end(self, devices: list[dict[str, Any]], winner: Any) -> None:
        if winner is None:
            self.scene.kept_waiting = max(device["timeout"] for device in devices)
        for device in devices:
            missed = MISSED.get(self.takes(device).how, "hangup")
            reason = "hangup" if device is winner else "cancel" if winner else missed
            self.state(device, "ended", end_reason=reason)

    def state(self, device: dict[str, Any], state: str, **more: str) -> None:
        if state in device.get("call_state_events", ()):
            self.post(device["call_state_url"], _event("state", device["to"], {"call_state": state, **more}))

    def post(self, url: str, body: Any) -> WebhookResponse:
        headers = {"content-type": "application/json"}
        return self.core.take(WebhookRequest(url=url, headers=headers, body=json.dumps(body).encode()))


def _branch(branches: list[dict[str, Any]], variables: dict[str, str]) -> list[dict[str, Any]]:
    for branch in branches:
        if "when" not in branch:
            return list(branch["else"])
        condition = re.fullmatch(r"vars\.(\w+) == '(\w+)'", branch["when"])
        assert condition, f"a condition of another shape: {branch['when']}"
        if variables.get(condition[1]) == condition[2]:
            return list(branch["then"])
    return []


def _event(kind: str, who: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"event_type": f"calling.call.{kind}", "params": {"call_id": f"leg of {who[-2:]}", **params}}


def _recording(who: str, reference: str, state: str) -> dict[str, Any]:
    params = {"state": state, "url": f"https://example.signalwire.com/{reference}.wav", "duration": 7.4}
    return _event("record", who, {**params, "recording_id": reference})
