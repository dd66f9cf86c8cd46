"""How calls go, as pure policy: who is rung, what is said, why not; for every combination of the options."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.calls import AskPin, Callee, Connect, Refuse, Screen, TakeMessage
from gateway.errors import ConfigError
from gateway.numbers import is_never_rung
from gateway.past import Call
from gateway.records import Lease, Leg, Origin, Session
from gateway.settings import Settings, read_settings
from gateway.voice import policy
from gateway.voice.policy import Plan, Refusal

ANN, BOB, CARL = "+12065550101", "+12065550102", "+12065550103"
PREMIUM = "+19005550123"
CALLBACK = "https://gw.example.com/webhooks/one/call-key"


def session(*legs: tuple[str, str, str], **more: Any) -> Session:
    made = (Leg(participant=p, mask=m, carrier=c, position=i) for i, (p, m, c) in enumerate(legs))
    fields = {"id": "s" * 32, "origin": Origin.V1, "live": True, "created_at": 0, "expires_at": None, "reason": ""}
    return Session(**fields | {"legs": tuple(made)} | more)


GROUP = session((ANN, "+12065550191", "one"), (BOB, "+12065550192", "one"), (CARL, "+12065550193", "one"))
TWO = replace(GROUP, legs=GROUP.legs[:2])
TWO_CARRIERS = session((ANN, "+12065550191", "one"), (BOB, "+12065550192", "two"))
COSTLY = session((ANN, "+12065550191", "one"), (PREMIUM, "+12065550192", "one"))


def settings(**given: str) -> Settings:
    return read_settings(**given)


def plan(of: Session | None = TWO, caller: str = ANN, live: bool = True, opted_out: tuple[int, ...] = (), **given: str):
    lease = Lease(session=of, position=0, live=live, refusing=frozenset()) if of is not None else None
    return policy.plan(lease, caller, "one", opted_out, settings(**given))


# --- who is rung --------------------------------------------------------------------------------


def test_all_others_are_rung_at_once_and_each_sees_the_mask_of_their_own_leg() -> None:
    found = plan(GROUP)
    assert isinstance(found, Plan)
    route = policy.connect(found, GROUP, settings(), CALLBACK)
    assert route.callees == (
        Callee(number=BOB, caller_id="+12065550192", position=1),
        Callee(number=CARL, caller_id="+12065550193", position=2),
    )
    assert policy.connect(found, GROUP, settings(), CALLBACK, rung=(1,)).callees == route.callees[1:]
    assert (route.ring_seconds, route.limit_seconds, route.callback) == (25, 14_400, CALLBACK)


REFUSED = {
    "a stranger": (None, ANN, True, (), "no_session", "call_unknown_msg"),
    "nobody's number": (None, "anonymous", True, (), "anonymous", "call_anonymous_msg"),
    "no number at all": (None, "", True, (), "anonymous", "call_anonymous_msg"),
    "a SIP address": (None, "sip:ann@example.com", True, (), "anonymous", "call_anonymous_msg"),
    "an ended session": (TWO, ANN, False, (), "ended", "call_ended_msg"),
    "texts only": (replace(TWO, calls=False), ANN, True, (), "no_calls", "call_texts_only_msg"),
    "a caller who opted out": (TWO, ANN, True, (0,), "opted_out", "call_opted_out_msg"),
    "a callee who opted out": (TWO, ANN, True, (1,), "callee_opted_out", "call_unreachable_msg"),
    "another carrier's mask": (TWO_CARRIERS, ANN, True, (), "other_carrier", "call_unreachable_msg"),
    "a costly number": (COSTLY, ANN, True, (), "forbidden_number", "call_forbidden_msg"),
    "ended, and by text only": (replace(TWO, calls=False), ANN, False, (0, 1), "ended", "call_ended_msg"),
}


@pytest.mark.parametrize(("of", "caller", "live", "opted_out", "reason", "words"), REFUSED.values(), ids=REFUSED)
def test_whoever_is_not_connected_is_told_why_in_words_that_fit(of, caller, live, opted_out, reason, words) -> None:
    said = settings(**{f"GATEWAY_{words.upper()}": "just so"})
    assert plan(of, caller, live, opted_out) == Refusal(reason=reason, words=getattr(settings(), words))
    lease = Lease(session=of, position=0, live=live, refusing=frozenset()) if of is not None else None
    assert policy.plan(lease, caller, "one", opted_out, said) == Refusal(reason=reason, words="just so")


def test_each_case_has_words_of_its_own() -> None:
    words = {reason: plan(*case[:4]).words for reason, case in ((case[4], case) for case in REFUSED.values())}
    same = {"callee_opted_out", "other_carrier"}  # why somebody cannot be reached is nobody's business
    assert len(set(words.values())) == len(words) - len(same) + 1
    assert all(words.values())


def test_in_a_group_who_cannot_be_rung_is_skipped() -> None:
    found = plan(GROUP, opted_out=(2,))
    assert (found.callees, found.skipped) == ((1,), ("callee_opted_out",))
    mixed = session((ANN, "+12065550191", "one"), (BOB, "+12065550192", "two"), (CARL, "+12065550193", "one"))
    assert (plan(mixed).callees, plan(mixed).skipped) == ((2,), ("other_carrier",))


@pytest.mark.parametrize(
    ("number", "never"),
    [
        ("+19005550123", True), ("+448712345678", True), ("+448432345678", True), ("+33899123456", True),
        ("+979123456789", True), ("+19115550100", True), ("+449991234", True), ("+4911234567", True),
        ("+12065550101", False), ("+15551231111", False), ("+15559990000", False), ("+18005550100", False),
        ("+911123456789", False), ("+551123456789", False), ("+493090182000", False), ("+999123456789", False),
    ],
)  # fmt: skip
def test_costly_and_emergency_numbers_are_never_rung(number: str, never: bool) -> None:
    assert is_never_rung(number) is never


RINGING = Call(
    id=1, carrier="one", carrier_ref="c", mask="+12065550191", caller=ANN, session="s" * 32, state="ringing",
    outcome="", reason="", at=0,
)  # fmt: skip
NEW_BOB = replace(GROUP.legs[1], participant="+12065550104")
STILL: dict[str, tuple[Session, Call, tuple[int, ...], int, tuple[int, ...]]] = {
    "all is as it was": (GROUP, RINGING, (), 9, (1, 2)),
    "two are connected": (GROUP, replace(RINGING, state="answered", answered_at=1), (), 9, (1, 2)),
    "the call is over": (GROUP, replace(RINGING, state="ended"), (), 9, ()),
    "nobody answers": (GROUP, replace(RINGING, state="message", missed_at=1), (), 9, ()),
    "the session has ended": (replace(GROUP, live=False), RINGING, (), 9, ()),
    "the session has expired": (replace(GROUP, expires_at=9), RINGING, (), 9, ()),
    "the session expires later": (replace(GROUP, expires_at=10), RINGING, (), 9, (1, 2)),
    "by text only now": (replace(GROUP, calls=False), RINGING, (), 9, ()),
    "the caller has opted out": (GROUP, RINGING, (0,), 9, ()),
    "a callee has opted out": (GROUP, RINGING, (2,), 9, (1,)),
    "the caller was replaced": (replace(GROUP, legs=(NEW_BOB, *GROUP.legs[1:])), RINGING, (), 9, ()),
    "a callee was replaced": (replace(GROUP, legs=(GROUP.legs[0], NEW_BOB, GROUP.legs[2])), RINGING, (), 9, (2,)),
    "a callee is gone": (replace(GROUP, legs=GROUP.legs[:2]), RINGING, (), 9, (1,)),
}


@pytest.mark.parametrize(("of", "call", "opted_out", "now", "left"), STILL.values(), ids=STILL)
def test_who_may_still_be_connected_at_a_later_turn(
    of: Session, call: Call, opted_out: tuple[int, ...], now: int, left: tuple[int, ...]
) -> None:
    found = policy.read_plan(plan(GROUP).write())
    assert policy.still(found, of, opted_out, call, now) == left
    assert ANN not in repr(found)


@pytest.mark.parametrize("name", ["GATEWAY_CALL_WORDS", "GATEWAY_CALL_WHISPER"])
def test_no_setting_says_a_number(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**{name: f"A call from {ANN}."})
    assert (name in str(caught.value), "phone number" in str(caught.value), ANN in str(caught.value)) == (
        True, True, False,
    )  # fmt: skip


# --- how ----------------------------------------------------------------------------------------

SWITCHES = ("words", "whisper", "accept", "record", "unanswered", "voicemail", "missed_text")
EVERY = list(itertools.product([False, True], repeat=len(SWITCHES)))


@pytest.mark.parametrize("by_settings", [False, True], ids=["of the session", "of the settings"])
def test_every_combination_of_the_options(by_settings: bool) -> None:
    for chosen in EVERY:
        on = dict(zip(SWITCHES, chosen, strict=True))
        route, found, given = _routed(on, by_settings)
        told = "It is recorded." if on["record"] else ""
        assert route.words == policy.joined("Hello." if on["words"] else "", told)
        ask = "Press 1." if on["accept"] else ""
        assert route.whisper == policy.joined("A customer." if on["whisper"] else "", told, ask)
        assert (route.accept, route.record) == (on["accept"], on["record"])
        assert route.screens == (on["whisper"] or on["accept"] or on["record"])
        assert found.options.missed_text == on["missed_text"]
        assert route.unanswered == policy.unanswered(found, given, CALLBACK) == _unanswered(on)
        assert policy.screen(found, CALLBACK) == Screen(words=route.whisper, accept=route.accept, callback=CALLBACK)
        assert policy.read_plan(found.write()) == found


def _unanswered(on: dict[str, bool]) -> TakeMessage | Refuse:
    words = "Nobody is here." if on["unanswered"] else ""
    if not on["voicemail"]:
        return Refuse(words=words)
    said = policy.joined(words, "Speak.")
    return TakeMessage(words=said, limit_seconds=60, goodbye="Bye.", callback=CALLBACK)


def _routed(on: dict[str, bool], by_settings: bool) -> tuple[Connect, Plan, Settings]:
    words = {"words": "Hello.", "whisper": "A customer.", "unanswered": "Nobody is here."}
    said = {"ACCEPT_MSG": "Press 1.", "RECORD_MSG": "It is recorded.", "VOICEMAIL_MSG": "Speak."}
    said |= {"VOICEMAIL_LIMIT": "1m", "GOODBYE_MSG": "Bye."}
    if by_settings:
        named = {"words": "WORDS", "whisper": "WHISPER", "unanswered": "UNANSWERED_MSG", "missed_text": "MISSED"}
        for name, value in on.items():
            chosen = (
                (words[name] if value else "-" if name == "unanswered" else "") if name in words else str(int(value))
            )
            said |= {named.get(name, name.upper()): chosen}
        of = TWO
    else:
        of = replace(TWO, call_options=json.dumps({n: words[n] * v if n in words else v for n, v in on.items()}))
    given = settings(**{f"GATEWAY_CALL_{name}": value for name, value in said.items() if value})
    found = policy.plan(Lease(session=of, position=0, live=True, refusing=frozenset()), ANN, "one", (), given)
    assert isinstance(found, Plan)
    return policy.connect(found, of, given, CALLBACK), found, given


@pytest.mark.parametrize(
    ("origin", "given", "ring"),
    [
        (Origin.V1, {}, 25), (Origin.SMS_PROXY, {}, 25), (Origin.MASK_API, {}, 30),
        (Origin.MASK_API, {"GATEWAY_CALL_RING": "25s"}, 25), (Origin.V1, {"GATEWAY_CALL_RING": "40s"}, 40),
    ],
)  # fmt: skip
def test_the_inherited_masks_ring_as_long_as_they_did(origin: Origin, given: dict[str, str], ring: int) -> None:
    assert policy.options(replace(TWO, origin=origin), settings(**given)).ring_seconds == ring


def test_the_inherited_masks_take_the_environment_s_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_CALL_RING", "20s")
    assert policy.options(replace(TWO, origin=Origin.MASK_API), read_settings()).ring_seconds == 20


def test_nobody_is_recorded_untold() -> None:
    found = policy.plan(
        Lease(session=TWO, position=0, live=True, refusing=frozenset()), ANN, "one", (),
        settings(GATEWAY_CALL_RECORD="1").model_copy(update={"call_record_msg": " "}),
    )  # fmt: skip
    assert isinstance(found, Plan)
    assert not found.options.record


@pytest.mark.parametrize(
    ("outcomes", "why"),
    [
        (set(), "no_answer"), ({"busy"}, "busy"), ({"busy", "no_answer"}, "no_answer"), ({"completed"}, "no_answer"),
        ({"declined"}, "declined"), ({"busy", ""}, "busy"), ({"unknown"}, "no_answer"),
    ],
)  # fmt: skip
def test_why_nobody_answered(outcomes: set[str], why: str) -> None:
    assert policy.why_missed(outcomes) == why


def test_the_question_for_a_pin_says_the_how_manieth_it_is() -> None:
    first, second = (policy.ask_pin(n, settings(), CALLBACK) for n in (1, 2))
    assert first == AskPin(words=settings().call_pin_msg, most_digits=15, callback=f"{CALLBACK}?try=1")
    assert second == AskPin(words=settings().call_pin_wrong_msg, most_digits=15, callback=f"{CALLBACK}?try=2")
    assert policy.ask_pin(1, settings(), "").callback == ""
