"""Plays a cXML document: a small part of SignalWire, which knows the verbs our documents use and no others.

signalwire.com/docs/compatibility-api/cxml. What it posts has the shapes of `carriers.md` 3.1.
"""

from __future__ import annotations

from urllib.parse import urlencode
from xml.etree import ElementTree

from voice.people import CALLER, MASK, Core, Scene

from gateway import WebhookRequest, WebhookResponse

#: Which attributes a verb has, and what may stand inside it (`carriers.md` 3.1; the vendor's page for `<Gather>`).
_RECORDED = ("recordingStatusCallback", "recordingStatusCallbackEvent", "recordingStatusCallbackMethod")
VERBS: dict[str, tuple[set[str], set[str]]] = {
    "Response": (set(), {"Say", "Dial", "Gather", "Record", "Hangup", "Reject"}),
    "Say": (set(), set()),
    "Hangup": (set(), set()),
    "Reject": ({"reason"}, set()),
    "Dial": (
        {"callerId", "timeout", "timeLimit", "action", "method", "answerOnBridge", "record", *_RECORDED},
        {"Number"},
    ),
    "Number": ({"url", "method", "statusCallback", "statusCallbackEvent", "statusCallbackMethod"}, set()),
    "Gather": ({"action", "method", "actionOnEmptyResult", "numDigits", "timeout", "finishOnKey"}, {"Say"}),
    "Record": ({"action", "method", "maxLength", "finishOnKey", "playBeep", "timeout", *_RECORDED}, set()),
}
MISSED = {"busy": "busy", "declines": "busy", "ignores": "no-answer"}


class HungUp(Exception):
    """This person's part has ended."""


class CxmlPlayer:
    """Plays the caller's document, and what each callee's phone fetches, until the call is over."""

    def __init__(self, core: Core, scene: Scene) -> None:
        self.core = core
        self.scene = scene
        self.keys = list(scene.caller_keys)

    def play(self, answer: WebhookResponse) -> None:
        try:
            self.run(read(answer), CALLER, self.keys)
        except HungUp:
            return

    def run(self, document: ElementTree.Element, who: str, keys: list[str]) -> None:
        for verb in document:
            if verb.tag == "Gather":
                self.gather(verb, who, keys)
            else:
                getattr(self, f"do_{verb.tag.lower()}")(verb, who)

    def do_say(self, verb: ElementTree.Element, who: str) -> None:
        self.scene.hears(who, verb.text or "")

    def do_hangup(self, verb: ElementTree.Element, who: str) -> None:
        raise HungUp

    do_reject = do_hangup

    def gather(self, verb: ElementTree.Element, who: str, keys: list[str]) -> None:
        for inside in verb:
            self.do_say(inside, who)
        typed = keys.pop(0) if keys else ""
        digits = typed.partition(verb.get("finishOnKey", "#"))[0][: int(verb.attrib["numDigits"])]
        if digits or verb.get("actionOnEmptyResult") == "true":
            self.run(read(self.post(verb.attrib["action"], who, Digits=digits)), who, keys)
            raise _Bridged if who != CALLER else HungUp

    def do_record(self, verb: ElementTree.Element, who: str) -> None:
        """Record, and go on with what the action answers: nothing after this verb is carried out."""
        about = {"RecordingSid": "rec-2", "RecordingStatus": "absent"}
        if self.scene.leaves_message:
            self.scene.recorded.append("message")
            url = "https://example.signalwire.com/rec-2"
            about = {**about, "RecordingStatus": "completed", "RecordingUrl": url, "RecordingDuration": "7"}
        self.post(verb.attrib["recordingStatusCallback"], who, **about)
        self.run(read(self.post(verb.attrib["action"], who, **about)), who, [])
        raise HungUp

    def do_dial(self, verb: ElementTree.Element, who: str) -> None:
        numbers = sorted(verb, key=lambda one: self.scene.callees[one.text or ""].after)
        winner = None
        answered = False
        for number in numbers:
            self.scene.seen[number.text or ""].append(verb.attrib["callerId"])
            self.state(number, "ringing")
            takes = self.scene.callees[number.text or ""]
            if winner is None and takes.how == "answers" and takes.after < int(verb.attrib["timeout"]):
                answered = True
                winner = number if self.answers(number, list(takes.keys)) else None
        self.end(numbers, winner)
        self.after(verb, winner, answered)

    def answers(self, number: ElementTree.Element, keys: list[str]) -> bool:
        """Let a callee hear what is fetched for them, and return whether the two are connected."""
        who = number.text or ""
        self.state(number, "in-progress")
        try:
            if "url" in number.attrib:
                self.run(read(self.post(number.attrib["url"], who)), who, keys)
        except HungUp:
            return False
        except _Bridged:
            pass
        self.scene.connected.append(who)
        return True

    def end(self, numbers: list[ElementTree.Element], winner: ElementTree.Element | None) -> None:
        for number in numbers:
            missed = MISSED.get(self.scene.callees[number.text or ""].how, "completed")
            self.state(number, "completed" if number is winner else "canceled" if winner is not None else missed)

    def after(self, verb: ElementTree.Element, winner: ElementTree.Element | None, answered: bool) -> None:
        """Go on after a `<Dial>`: by its action, else by the next verb.

        SignalWire does not say what it calls a dial whose callee answered and was hung up on: the worst is assumed.
        """
        if winner is None:
            self.scene.kept_waiting += int(verb.attrib["timeout"])
        else:
            self.scene.recorded += [f"call of {winner.text}"] * ("record" in verb.attrib)
        if answered and "record" in verb.attrib:
            assert verb.attrib["record"] == "record-from-answer-dual"
            reference = "rec-1" if winner is not None else "rec-of-nobody"  # what it recorded may be a mailbox
            told = {"RecordingSid": reference, "RecordingUrl": f"https://example.signalwire.com/{reference}"}
            self.post(verb.attrib["recordingStatusCallback"], CALLER, RecordingStatus="completed", **told)
        if "action" in verb.attrib:
            self.run(
                read(self.post(verb.attrib["action"], CALLER, DialCallStatus=_status(answered))), CALLER, self.keys
            )
            raise HungUp

    def state(self, number: ElementTree.Element, status: str) -> None:
        named = {"in-progress": "answered", "ringing": "ringing"}.get(status, "completed")
        if named in number.get("statusCallbackEvent", "").split():
            told = {"CallStatus": status, "Direction": "outbound-dial", "ParentCallSid": self.scene.ref}
            self.post(number.attrib["statusCallback"], number.text or "", **told)

    def post(self, url: str, who: str, **fields: str) -> WebhookResponse:
        said = {
            "CallSid": self.scene.ref if who == CALLER else f"leg of {who[-2:]}",
            "CallStatus": "in-progress",
            **fields,
        }
        body = urlencode({**said, "From": CALLER, "To": MASK}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self.core.take(WebhookRequest(url=url, headers=headers, body=body))


class _Bridged(Exception):
    """What a callee's phone fetched has ended: the two are connected."""


def _status(answered: bool) -> str:
    return "completed" if answered else "no-answer"


def read(answer: WebhookResponse) -> ElementTree.Element:
    """Return a document, every verb, attribute and nesting of which SignalWire knows."""
    assert answer.content_type == "application/xml"
    root = ElementTree.fromstring(answer.body.encode())
    assert root.tag == "Response"
    check(root)
    return root


def check(verb: ElementTree.Element) -> None:
    attributes, inside = VERBS[verb.tag]
    assert set(verb.attrib) <= attributes, f"<{verb.tag}> has no {set(verb.attrib) - attributes}"
    assert {one.tag for one in verb} <= inside, f"not inside <{verb.tag}>"
    for one in verb:
        check(one)
