"""The language in which the simulator is told what to do with a call: one JSON object for each turn of it.

    {"say": words, "hangup": true}
    {"say": words, "connect": {callees: [{number, caller_id, told?, screen?}], ring_seconds, limit_seconds,
                               record?, then?}}
    {"say": words, "ask": {digits, then}}                    the caller, or a callee, types up to so many digits
    {"say": words, "message": {limit_seconds, told, then}}   the caller speaks after a tone
    {"say": words, "bridge": true}                           to a callee who has answered: the two are connected

`then` is the URL that is asked for the next turn, `screen` the one that is asked first once a callee has answered;
`told` and `record` are told how it goes. Each says in its query what it is about: `step`, `callee`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gateway.calls import AskPin, Bridge, Callee, CallRoute, Connect, Refuse, Screen, TakeMessage


def read_route(answer: dict[str, Any]) -> CallRoute:
    """Return what an answer means. Raises `KeyError`, `TypeError`, `ValueError` where it means nothing."""
    words = _string(answer.get("say", ""))
    if "connect" in answer:
        return _connect(answer["connect"], words)
    if "ask" in answer:
        return _ask(answer["ask"], words)
    if "message" in answer:
        message = answer["message"]
        return TakeMessage(words=words, limit_seconds=message["limit_seconds"], callback=_callback(message["then"]))
    if answer.get("bridge") is True:
        return Screen(words=words) if words else Bridge()
    if answer.get("hangup") is not True:
        raise ValueError("a call goes on somehow, or is hung up")
    return Refuse(words=words)


def _connect(connect: dict[str, Any], words: str) -> Connect:
    callees = tuple(_callee(each) for each in connect["callees"])
    return Connect(
        callees=callees,
        ring_seconds=connect["ring_seconds"],
        limit_seconds=connect["limit_seconds"],
        words=words,
        accept=any("screen" in each for each in connect["callees"]),  # what is asked is said when it is asked
        record="record" in connect,
        callback=_callback(connect.get("then", "")),
    )


def _callee(each: dict[str, Any]) -> Callee:
    position = _query(_string(each.get("told", ""))).get("callee", "0")
    return Callee(number=_string(each["number"]), caller_id=_string(each["caller_id"]), position=int(position))


def _ask(ask: dict[str, Any], words: str) -> AskPin | Screen:
    callback = _callback(ask["then"])
    if _query(ask["then"]).get("step") == "screened":
        return Screen(words=words, accept=True, callback=callback)
    return AskPin(words=words, most_digits=ask["digits"], callback=callback)


def _callback(url: str) -> str:
    """Return a URL without what it is about: what all URLs of a call have in common."""
    split = urlsplit(_string(url))
    kept = [pair for pair in split.query.split("&") if pair and pair.partition("=")[0] not in ("step", "callee")]
    return urlunsplit(split._replace(query="&".join(kept)))


def _query(url: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in urlsplit(url).query.split("&"))
    return {name: value for name, _, value in pairs}


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value
