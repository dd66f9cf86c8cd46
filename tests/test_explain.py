"""What would happen, said beforehand: it must be what then happens, and asking changes nothing."""

from __future__ import annotations

from itertools import product

import pytest
from scripted import Scripted

from gateway import explain, inbound, opening, sessions
from gateway.calls import Connect, InboundCall
from gateway.masking import system_text
from gateway.messages import Channel, InboundMessage
from gateway.opening import Opening, Person
from gateway.records import Session
from gateway.settings import read_settings
from gateway.store import Store, Tx
from gateway.voice import turns
from gateway.voice.course import Line

pytestmark = pytest.mark.both_databases

ANN, BOB, CARL = (f"+1206555020{i}" for i in range(1, 4))
MASK, OTHER, ELSEWHERE = "+12065550100", "+12065550101", "+14155550100"
SETTINGS = read_settings(NO_SESSION_MSG="nobody here", GATEWAY_QUARANTINE="1h")
CARRIERS = {"one": Scripted(name="one"), "two": Scripted(name="two")}
CARRIERS["one"].channels = frozenset({Channel.SMS, Channel.VOICE})  # type: ignore[misc]


@pytest.fixture
def session(store: Store) -> Session:
    store.write(lambda tx: [tx.add_number(number, "one", "US", 1) for number in (MASK, OTHER)])
    store.write(lambda tx: tx.add_number(ELSEWHERE, "two", "US", 1))
    people = (Person(number=ANN, mask=MASK), Person(number=BOB, mask=OTHER))
    asked = Opening(people=people, ttl_ms=1000)
    return store.write(lambda tx: opening.open_session(tx, asked, CARRIERS, SETTINGS, 1)).session


def ask(store: Store, mask: str = MASK, sender: str = ANN, now: int = 2) -> explain.Explanation:
    before = _all(store)
    told = store.read(lambda tx: explain.explain(tx, mask, sender, CARRIERS, SETTINGS, now))
    assert _all(store) == before
    _compare(store, told, mask, sender, now)
    return told


def _all(store: Store) -> list[object]:
    tables = ("sessions", "leases", "outbox", "inbox", "notices", "events", "opt_outs")
    return store.read(lambda tx: [tx.query(f"SELECT * FROM {table}") for table in tables])


class Undo(Exception):
    """Takes a unit of work back."""


def _compare(store: Store, told: explain.Explanation, mask: str, sender: str, now: int) -> None:
    """Let it really happen, and take it back: who is written to, and who is rung."""
    number = store.read(lambda tx: tx.number(mask))
    carrier = CARRIERS[number.carrier if number is not None else "one"]  # any may bring what is for no number of ours
    seen: dict[str, object] = {}

    def happen(tx) -> None:
        first = tx.query("SELECT COALESCE(MAX(id), 0) AS id FROM outbox")[0]["id"]
        text = InboundMessage(carrier_ref="x", sender=sender, recipient=mask, text="hello")
        inbound.message(tx, carrier, text, SETTINGS, now)
        seen["texts"] = {
            row["recipient"]
            for row in tx.query("SELECT * FROM outbox WHERE id > :id AND state = 'queued' AND kind = 'relay'", id=first)
        }
        notices = "SELECT recipient, text FROM outbox WHERE id > :id AND kind = 'notice' AND state = 'queued'"
        seen["told"] = [(row["recipient"], row["text"]) for row in tx.query(notices, id=first)]
        event = InboundCall(carrier_ref="y", caller=sender, called=mask)
        route = turns.call(tx, Line(carrier=carrier, settings=SETTINGS, now=now), event)
        seen["call words"] = route.words
        seen["rung"] = {callee.number for callee in route.callees} if isinstance(route, Connect) else set()
        raise Undo

    with pytest.raises(Undo):
        store.write(happen)
    assert {reach.leg.participant for reach in told.text.reaches if reach.reached} == seen["texts"]
    assert seen["told"] == ([(sender, system_text(SETTINGS.org_name, told.text.words))] if told.text.words else [])
    if Channel.VOICE in carrier.channels:
        assert {reach.leg.participant for reach in told.call.reaches if reach.reached} == seen["rung"]
        assert told.call.words == seen["call words"]


def test_a_live_pair_reaches_the_other_legs(store: Store, session: Session) -> None:
    told = ask(store)
    assert (told.carrier, told.session, told.lease) == ("one", session.id, "live")
    assert (told.text.outcome, told.call.outcome) == ("relayed", "connected")
    assert [reach.leg.mask for reach in told.text.reaches] == [OTHER]


def test_a_stranger_is_told_and_refused(store: Store, session: Session) -> None:
    told = ask(store, sender=CARL)
    assert (told.session, told.lease, told.text.outcome, told.call.outcome) == ("", "none", "answered", "refused")
    assert told.text.words == "nobody here"


@pytest.mark.parametrize(("now", "lease"), [(5000, "expired")])
def test_a_session_past_its_expiry_is_taken_for_ended(store: Store, session: Session, now: int, lease: str) -> None:
    told = ask(store, now=now)
    assert (told.session, told.lease, told.text.outcome, told.call.outcome) == (
        session.id, lease, "answered", "refused",
    )  # fmt: skip


def test_an_ended_one_is_in_quarantine_and_then_forgotten(store: Store, session: Session) -> None:
    store.write(lambda tx: sessions.end(tx, session, "ended", SETTINGS, 10))
    assert ask(store, now=20).lease == "quarantined"
    assert ask(store, now=10 + 3_600_000).lease == "none"


def test_who_has_opted_out_is_not_reached(store: Store, session: Session) -> None:
    store.write(lambda tx: tx.opt_out(BOB, "", 1))
    told = ask(store)
    assert told.text.outcome == "refused"
    assert [reach.reached for reach in told.text.reaches] == [False]
    assert (told.call.outcome, told.call.words) == ("refused", SETTINGS.call_unreachable_msg)
    assert [reach.reached for reach in told.call.reaches] == [False]


@pytest.mark.parametrize(
    ("state", "now"), [("live", 2), ("expired", 5000), ("quarantined", 20), ("none", 10 + 3_600_000)]
)
def test_whoever_asks_is_told_the_words_that_are_then_sent(
    store: Store, session: Session, state: str, now: int
) -> None:
    if state in ("quarantined", "none"):
        store.write(lambda tx: sessions.end(tx, session, "ended", SETTINGS, 10))
    for origin, ways, out in product(("v1", "sms_proxy"), ((1, 0), (0, 1), (1, 1)), ((), (ANN,), (BOB,), (ANN, BOB))):

        def work(tx: Tx, origin: str = origin, ways: tuple[int, int] = ways, out: tuple[str, ...] = out) -> None:
            changed = "UPDATE sessions SET origin = :origin, texts = :texts, calls = :calls"
            tx.query(changed, origin=origin, texts=ways[0], calls=ways[1])
            tx.query("DELETE FROM opt_outs")
            for person in out:
                tx.opt_out(person, "", 1)

        store.write(work)
        assert ask(store, now=now).lease == state


def test_a_group_of_which_one_has_opted_out_is_told_so(store: Store) -> None:
    store.write(lambda tx: [tx.add_number(number, "one", "US", 1) for number in (MASK, OTHER)])
    asked = Opening(people=(Person(number=ANN, mask=MASK), Person(number=BOB), Person(number=CARL)))
    store.write(lambda tx: opening.open_session(tx, asked, CARRIERS, SETTINGS, 1))
    store.write(lambda tx: tx.opt_out(BOB, "", 1))
    told = ask(store)
    assert (told.text.outcome, told.text.words) == ("relayed", SETTINGS.unreachable_msg)


def test_who_asks_for_a_number_that_is_not_ours_is_told_that_there_is_no_session(
    store: Store, session: Session
) -> None:
    told = ask(store, mask="+12065559999")
    assert (told.carrier, told.text.outcome, told.call.outcome) == ("", "answered", "refused")
    assert told.call.words == SETTINGS.call_unknown_msg
    assert told.call.why.startswith("the number is not in the pool; ")


def test_a_number_that_is_ours_no_more_still_says_that_a_conversation_has_ended(store: Store, session: Session) -> None:
    store.write(lambda tx: sessions.end(tx, session, "ended", SETTINGS, 10))
    store.write(lambda tx: tx.remove_number(MASK, "one"))
    told = ask(store, now=20)
    assert (told.lease, told.call.words) == ("quarantined", SETTINGS.call_ended_msg)


def test_a_number_whose_carrier_is_gone_takes_nothing(
    store: Store, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(CARRIERS, "two")
    told = store.read(lambda tx: explain.explain(tx, ELSEWHERE, ANN, CARRIERS, SETTINGS, 2))
    assert told.text.why == "its carrier, two, is not configured"


def test_a_carrier_without_voice_brings_no_calls(store: Store, session: Session) -> None:
    assert ask(store, mask=ELSEWHERE).call.outcome == "ignored"


@pytest.mark.parametrize(("texts", "calls"), [(False, True), (True, False)], ids=["phone", "text"])
def test_a_session_by_one_way_only_says_so(store: Store, session: Session, texts: bool, calls: bool) -> None:
    store.write(lambda tx: tx.query("UPDATE sessions SET texts = :t, calls = :c", t=int(texts), c=int(calls)))
    told = ask(store)
    assert (told.text.outcome, told.call.outcome) == (
        ("relayed", "refused") if texts else ("answered", "connected")
    )  # fmt: skip


def test_two_numbers_of_ours_do_not_talk_to_each_other(store: Store, session: Session) -> None:
    assert ask(store, sender=OTHER).text.outcome == "ignored"
