"""Steers a network over HTTP, where it runs in a process of its own. Every request carries `Bearer <key>`.

GET  /ledger?after=0&limit=1000      records in order; the next page comes after the last one's `seq`
POST /handsets/<number>/text         {to, text, media?, ref?, repeat?}: the webhook's answer
POST /handsets/<number>/call         {to, keys?, message?, hangs_up?, ref?, repeat?}: the webhook's answer, and what
                                     everybody saw and heard, once the call is over; <number> may be `anonymous`
PUT  /handsets/<number>/takes        {how, keys, after, talks}, each optional: how its owner takes calls
GET  /calls?who=<number>             what people saw and heard in calls, in order; with `who`, one of them
GET  /handsets/<number>/inbox?wait=1&timeout=5    what came, once that much has; 504 if it doesn't
POST /faults                         {fault, count?, seconds?}: without `count` until changed, `fault` null: none
POST /faults                         {mix: {fault: share}, seed, seconds?}: by chance, until changed
POST /pause                          {seconds}: out of service for so long
PUT  /webhook                        {url}
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gateway.calls import Connect, Refuse
from gateway.errors import InvalidNumber
from gateway.numbers import e164
from gateway.testing.network.faults import Fault, by_chance
from gateway.testing.network.handset import HOW, Takes
from gateway.testing.network.wire import (
    UNAUTHORIZED,
    UNKNOWN,
    Answer,
    Refused,
    Request,
    answer_json,
    unreadable,
)

if TYPE_CHECKING:
    from gateway.testing.network import Call, Delivery, Handset, Moment, Network, Record

ANONYMOUS = "anonymous"  #: the carrier's word for a caller who shows no number

#: the faults that can be asked for by name
PLAIN = ("unavailable", "unauthorized", "refused", "opted_out", "reset", "no_answer")


class Control:
    """The interface above, for one network."""

    def __init__(self, network: Network, key: str) -> None:
        self._network = network
        self._key = key

    def owns(self, request: Request) -> bool:
        """Return whether `request` is for us rather than for the carrier's API."""
        return request.path.split("/")[1] in ("ledger", "handsets", "calls", "faults", "pause", "webhook")

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request that is ours."""
        try:
            if not hmac.compare_digest(request.bearer().encode(), self._key.encode()):
                raise Refused(UNAUTHORIZED)
            return self._route(request)
        except Refused as refused:
            return answer_json(refused.refusal.status, {"error": refused.refusal.detail})
        except InvalidNumber as error:
            return answer_json(400, {"error": str(error)})
        except TimeoutError as error:
            return answer_json(504, {"error": str(error)})

    def _route(self, request: Request) -> Answer:
        match [request.method, *request.path.split("/")[1:]]:
            case ["GET", "ledger"]:
                return self._ledger(request.fields())
            case ["POST", "handsets", number, "text"]:
                return self._text(self._network.handset(e164(number)), request.json())
            case ["POST", "handsets", number, "call"]:
                return self._call(self._network.handset(_caller(number)), request.json())
            case ["PUT", "handsets", number, "takes"]:
                self._network.handset(e164(number)).takes = _takes(request.json())
                return answer_json(200, {})
            case ["GET", "calls"]:
                return answer_json(200, {"moments": _moments(self._network.ledger.moments(_who(request.fields())))})
            case ["GET", "handsets", number, "inbox"]:
                return self._inbox(self._network.handset(e164(number)), request.fields())
            case ["POST", "faults"]:
                return self._faults(request.json())
            case ["POST", "pause"]:
                return self._pause(request.json())
            case ["PUT", "webhook"]:
                self._network.webhook_url = _string(request.json(), "url")
                return answer_json(200, {})
        raise Refused(UNKNOWN)

    def _ledger(self, fields: Mapping[str, str]) -> Answer:
        records = self._network.ledger.after(int(_number(fields, "after", 0)), int(_number(fields, "limit", 1000)))
        return answer_json(200, {"records": [_listed(record) for record in records]})

    def _text(self, handset: Handset, asked: dict[str, Any]) -> Answer:
        media = asked.get("media") or []
        ref, repeat = asked.get("ref"), asked.get("repeat")
        delivery = handset.text(e164(asked.get("to")), _string(asked, "text"), media, ref=ref, repeat=repeat)
        return answer_json(200, _delivered(delivery))

    def _call(self, handset: Handset, asked: dict[str, Any]) -> Answer:
        _refuse_others(asked, ("to", "ref", "repeat", "keys", "message", "hangs_up"))
        call = handset.call(
            e164(asked.get("to")),
            ref=asked.get("ref"),
            repeat=asked.get("repeat"),
            keys=_strings(asked, "keys"),
            message=_string({"message": "", **asked}, "message"),
            hangs_up=asked.get("hangs_up") is True,
        )
        return answer_json(200, _delivered(call.delivery) | {"route": _route(call), "moments": _moments(call.moments)})

    def _inbox(self, handset: Handset, fields: Mapping[str, str]) -> Answer:
        texts = handset.wait_for(int(_number(fields, "wait", 0)), _number(fields, "timeout", 5))
        shown = [{"from": t.sender, "text": t.text, "media": t.media, "at": t.at, "ref": t.ref} for t in texts]
        return answer_json(200, {"inbox": shown})

    def _faults(self, asked: dict[str, Any]) -> Answer:
        if "mix" in asked:
            self._network.faults = by_chance(int(_number(asked, "seed", 0)), _mix(asked))
            return answer_json(200, {})
        fault = _fault(asked.get("fault"), _number(asked, "seconds", 1))
        count = asked.get("count")
        if count is None:
            self._network.faults = (lambda send: fault) if fault else None
        elif fault:
            self._network.fail_next(int(_number(asked, "count", 1)), fault)
        return answer_json(200, {})

    def _pause(self, asked: dict[str, Any]) -> Answer:
        end = threading.Timer(_number(asked, "seconds", 1), self._network.resume)
        end.daemon = True

        def begin() -> None:
            self._network.pause()
            end.start()

        soon = threading.Timer(0.05, begin)  # once this answer is out
        soon.daemon = True
        soon.start()
        return answer_json(202, {})


def _fault(name: object, seconds: float) -> Fault | None:
    if name is None:
        return None
    if name == "slow":
        return Fault.slow(seconds)
    if name == "throttled":
        return Fault.throttled(seconds)
    if name in PLAIN:
        fault: Fault = getattr(Fault, str(name))()
        return fault
    raise unreadable("fault is one of " + ", ".join((*PLAIN, "slow", "throttled")))


def _mix(asked: dict[str, Any]) -> dict[Fault, float]:
    mix, seconds = asked["mix"], _number(asked, "seconds", 1)
    if not isinstance(mix, dict):
        raise unreadable("mix says which share of the sends, 0 to 1, meets which fault")
    met = {_fault(name, seconds): _number(mix, name, 0) for name in mix}
    return {fault: share for fault, share in met.items() if fault}


def _takes(asked: dict[str, Any]) -> Takes:
    usual = Takes()
    _refuse_others(asked, [one.name for one in fields(Takes)])
    if asked.get("how", usual.how) not in HOW:
        raise unreadable("how is one of " + ", ".join(HOW))
    return Takes(
        how=asked.get("how", usual.how),
        keys=_strings({"keys": usual.keys, **asked}, "keys"),
        after=int(_number(asked, "after", usual.after)),
        talks=int(_number(asked, "talks", usual.talks)),
    )


def _refuse_others(asked: Mapping[str, Any], names: Collection[str]) -> None:
    """Raise `Refused` for what nobody would heed."""
    if others := sorted(set(asked) - set(names)):
        raise unreadable(f"there is no {', '.join(others)}: there are {', '.join(names)}")


def _caller(number: str) -> str:
    """Return who calls: `ANONYMOUS` shows no number."""
    return number if number == ANONYMOUS else e164(number)


def _who(fields: Mapping[str, str]) -> str:
    return _caller(fields["who"]) if "who" in fields else ""


def _strings(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = values.get(name, ())
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise unreadable(f"{name} is a list of strings")
    return tuple(value)


def _moments(moments: Sequence[Moment]) -> list[dict[str, Any]]:
    return [{"at": one.at, "ref": one.ref, "who": one.who, "what": one.what, "words": one.words} for one in moments]


def _number(values: Mapping[str, Any], name: str, default: float) -> float:
    try:
        return float(values.get(name, default))
    except (TypeError, ValueError):
        raise unreadable(f"{name} is a number") from None


def _string(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise unreadable(f"{name} is a string")
    return value


def _delivered(delivery: Delivery) -> dict[str, Any]:
    answers = [{"status": answer.status, "body": answer.body} for answer in delivery.answers]
    return {"ref": delivery.ref, "status": delivery.status, "answers": answers}


def _route(call: Call) -> dict[str, Any] | None:
    if isinstance(call.route, Connect):
        callees = [{"number": callee.number, "caller_id": callee.caller_id} for callee in call.route.callees]
        return {"connect": callees}
    return {"refuse": call.route.words} if isinstance(call.route, Refuse) else None


def _listed(record: Record) -> dict[str, Any]:
    what = {"seq": record.seq, "at": record.at, "fate": record.fate.value, "status": record.status, "ref": record.ref}
    if record.send is None:
        return what | {"request": record.request}
    send = record.send
    words = {"id": send.id, "from": send.sender, "to": send.recipient, "text": send.text, "media": send.media}
    return what | {"request": record.request} | words
