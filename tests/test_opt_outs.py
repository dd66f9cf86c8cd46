"""Opt-outs inside the gateway: who gets what after STOP, START and HELP, and what happens once whoever asks at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from scripted import Scripted

from gateway import inbound, opt_outs, sessions, unreachable
from gateway.carrier import OptOut
from gateway.messages import DeliveryReceipt, DeliveryStatus, InboundMessage, Rate, Weight
from gateway.records import Kind, Leg, Message, MessageState, OptedOut, Origin, Outcome, Outgoing, Session
from gateway.settings import read_settings
from gateway.store import Store, schema

both = pytest.mark.both_databases

ANN, BOB, CARL, EVE = "+12065550101", "+12065550102", "+12065550103", "+12065550166"
ONE, TWO, TOLL_FREE = "+12065550191", "+12065550192", "+18665550193"
MINUTE, HOUR = 60_000, 3_600_000

SETTINGS = read_settings(
    ORG_NAME="Cabs",
    GATEWAY_STOP_MSG="you are out",
    GATEWAY_START_MSG="you are in",
    GATEWAY_HELP_MSG="write to us",
    GATEWAY_UNREACHABLE_MSG="no texts now",
    NO_SESSION_MSG="nobody here",
)
OUT, IN, HELPED, UNREACHABLE, NOBODY = (
    f"[CABS]: {words}" for words in ("you are out", "you are in", "write to us", "no texts now", "nobody here")
)


class World:
    """A store with a pool, a carrier, and people who text."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.carrier = Scripted()
        self.now = 1_000_000
        for mask in (ONE, TWO, TOLL_FREE):
            store.write(lambda tx, mask=mask: tx.add_number(mask, "scripted", "US", 1))

    def open(self, *people: str, expires_at: int | None = None, on: str = ONE) -> Session:
        """Open a session over one mask; the other numbers stand aside for so long."""
        state = "UPDATE numbers SET state = :state WHERE number <> :mask"
        self.store.write(lambda tx: tx.query(state, state="draining", mask=on))
        opened = self.store.write(
            lambda tx: sessions.open_exclusive(
                tx,
                people,
                carrier="scripted",
                origin=Origin.V1,
                expires_at=expires_at,
                settings=SETTINGS,
                now=self.now,
            )
        )
        self.store.write(lambda tx: tx.query(state, state="active", mask=on))
        return opened.session

    def text(
        self, sender: str, words: str, mask: str = ONE, *, ref: str = "", store: Store | None = None
    ) -> tuple[Message, ...]:
        """Take a text; return what travels inside the answer."""
        event = InboundMessage(carrier_ref=ref or uuid.uuid4().hex, sender=sender, recipient=mask, text=words)
        return (store or self.store).write(
            lambda tx: inbound.message(tx, self.carrier, event, SETTINGS, self.now),
            shared=not inbound.runs_alone(event, SETTINGS),
        )

    def outbox(self) -> list[tuple[str, str, str, str]]:
        """Return (mask, recipient, text, state) of whatever was to be sent, oldest first."""
        rows = self.store.read(lambda tx: tx.query("SELECT * FROM outbox ORDER BY id"))
        return [(row["mask"], row["recipient"], row["text"], row["state"]) for row in rows]

    def got(self, person: str) -> list[str]:
        """Return the texts that go to a person."""
        return [text for _, recipient, text, state in self.outbox() if recipient == person and state != "suppressed"]

    def suppressed(self) -> list[tuple[str, str]]:
        return [(recipient, text) for _, recipient, text, state in self.outbox() if state == "suppressed"]

    def events(self) -> list[str]:
        return [event["kind"] for event in self.store.read(lambda tx: tx.events())]

    def claim(self) -> list[Message]:
        weigh = lambda message: Weight()  # noqa: E731
        rate = Rate(per_number=None)
        return self.store.write(lambda tx: tx.claim("scripted", "me", rate=rate, weigh=weigh, room=64, now=self.now))


@pytest.fixture
def w(store: Store) -> World:
    return World(store)


# --- STOP -----------------------------------------------------------------------------------------


@both
def test_stop_is_confirmed_once_and_the_other_person_is_told_once_and_never_gets_the_word(w: World) -> None:
    w.open(ANN, BOB)
    for word in ("STOP", "stop!", "Unsubscribe"):
        w.text(ANN, word)
    assert w.outbox() == [(ONE, ANN, OUT, "queued"), (ONE, BOB, UNREACHABLE, "queued")]
    assert w.events().count("opt_out") == 1


@both
def test_stop_counts_for_every_number_of_the_pool_and_everybody_who_is_concerned_is_told_from_their_mask(
    w: World,
) -> None:
    w.open(ANN, BOB, on=ONE)
    w.open(ANN, CARL, on=TWO)
    w.text(ANN, "STOP", ONE)
    assert sorted(w.outbox()) == [
        (ONE, ANN, OUT, "queued"),
        (ONE, BOB, UNREACHABLE, "queued"),
        (TWO, CARL, UNREACHABLE, "queued"),
    ]
    w.text(CARL, "where are you?", TWO)
    assert w.suppressed() == [(ANN, "where are you?")]


def test_a_text_to_somebody_who_opted_out_is_suppressed_at_once_and_its_reason_is_kept(w: World) -> None:
    w.open(ANN, BOB)
    w.text(BOB, "STOP")
    w.text(ANN, "hello")
    [row] = w.store.read(lambda tx: tx.query("SELECT * FROM outbox WHERE state = 'suppressed'"))
    assert (row["recipient"], row["text"], row["reason"]) == (BOB, "hello", "the recipient opted out")
    assert row["inbox"] is not None
    assert "message.suppressed" in w.events()
    assert BOB not in str([dict(event) for event in w.store.read(lambda tx: tx.events())])


def test_a_text_that_waits_when_its_recipient_opts_out_is_suppressed_too(w: World) -> None:
    w.open(ANN, BOB)
    w.text(ANN, "hello")
    w.text(BOB, "STOP")
    assert {head.text for head in w.claim()} == {OUT, UNREACHABLE}
    assert w.suppressed() == [(BOB, "hello")]


def test_who_opted_out_still_reaches_the_other_person(w: World) -> None:
    w.open(ANN, BOB)
    w.text(ANN, "STOP")
    w.text(ANN, "I am at the door")
    assert w.got(BOB) == [UNREACHABLE, "I am at the door"]


def test_system_texts_to_somebody_who_opted_out_are_suppressed_at_once(w: World) -> None:
    session = w.open(ANN, BOB)
    w.text(ANN, "STOP")
    w.store.write(lambda tx: sessions.end(tx, session, "ended", SETTINGS, w.now, end_text="bye"))
    assert w.suppressed() == [(ANN, "[CABS]: bye")]
    assert w.got(BOB) == [UNREACHABLE, "[CABS]: bye"]


def test_a_picture_with_the_word_under_it_is_passed_on(w: World) -> None:
    w.open(ANN, BOB)
    event = InboundMessage(carrier_ref="1", sender=ANN, recipient=ONE, text="Stop", media=("http://x/sign.jpg",))
    w.store.write(lambda tx: inbound.message(tx, w.carrier, event, SETTINGS, w.now))
    assert w.got(BOB) == ["Stop"]


# --- who confirms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opt_out", "words", "mask", "word", "answers", "kept"),
    [
        pytest.param(OptOut.GATEWAY, None, ONE, "STOP", [OUT], False, id="nobody else"),
        pytest.param(OptOut.CARRIER, {"stop", "unstop"}, ONE, "Stop!", [], True, id="the carrier"),
        pytest.param(OptOut.CARRIER, {"stop", "unstop"}, ONE, "Cancel", [OUT], False, id="not the carrier's word"),
        pytest.param(OptOut.CARRIER, None, ONE, "Cancel", [], True, id="a carrier that does not say which"),
        pytest.param(OptOut.GATEWAY, None, TOLL_FREE, "STOP", [], True, id="the toll-free network"),
        pytest.param(OptOut.GATEWAY, None, TOLL_FREE, "END", [OUT], False, id="not the network's word"),
    ],
)
def test_a_stop_is_confirmed_by_us_where_nobody_else_does(w: World, opt_out, words, mask, word, answers, kept) -> None:
    w.carrier.opt_out = opt_out  # type: ignore[misc]
    w.carrier.opt_out_words = words and frozenset(words)  # type: ignore[misc]
    w.text(ANN, word, mask)
    assert w.got(ANN) == answers
    assert w.store.read(lambda tx: tx.masks_refused_by([ANN])) == ({mask} if kept else set())
    assert w.store.read(lambda tx: tx.has_opted_out(ANN, TWO))


@pytest.mark.parametrize(
    ("words", "mask", "word", "answers"),
    [
        pytest.param({"stop", "unstop"}, ONE, "Unstop", [], id="the carrier"),
        pytest.param({"stop", "unstop"}, ONE, "start", [IN], id="not the carrier's word"),
        pytest.param(None, ONE, "start", [], id="a carrier that does not say which"),
        pytest.param({"stop"}, TOLL_FREE, "start", [], id="the toll-free network"),
    ],
)
def test_a_start_is_confirmed_by_us_where_nobody_else_does(w: World, words, mask, word, answers) -> None:
    w.carrier.opt_out = OptOut.CARRIER  # type: ignore[misc]
    w.carrier.opt_out_words = words and frozenset(words)  # type: ignore[misc]
    w.text(ANN, "STOP", mask)
    before = len(w.got(ANN))
    w.text(ANN, word, mask)
    assert w.got(ANN)[before:] == answers
    assert not w.store.read(lambda tx: tx.has_opted_out(ANN, mask))


@pytest.mark.parametrize(("words", "answers"), [(None, [HELPED]), ({"stop"}, [HELPED]), ({"stop", "help"}, [])])
def test_help_is_answered_by_us_unless_the_carrier_says_that_it_does(w: World, words, answers) -> None:
    w.carrier.opt_out = OptOut.CARRIER  # type: ignore[misc]
    w.carrier.opt_out_words = words and frozenset(words)  # type: ignore[misc]
    w.text(ANN, "HELP")
    assert w.got(ANN) == answers


# --- START ----------------------------------------------------------------------------------------


@both
def test_start_takes_back_ones_own_word_from_whatever_mask_but_not_what_another_carrier_keeps(w: World) -> None:
    w.text(ANN, "STOP", ONE)
    w.store.write(lambda tx: [tx.opt_out(ANN, mask, 1) for mask in (ONE, TWO, TOLL_FREE)])
    w.text(ANN, "START", TWO)
    out = {mask: w.store.read(lambda tx, mask=mask: tx.has_opted_out(ANN, mask)) for mask in (ONE, TWO, TOLL_FREE)}
    assert out == {ONE: True, TWO: False, TOLL_FREE: True}
    assert w.got(ANN) == [OUT, IN]


def test_start_of_one_person_is_nobody_elses(w: World) -> None:
    w.text(ANN, "STOP")
    w.text(BOB, "STOP")
    w.text(ANN, "START")
    assert w.store.read(lambda tx: [tx.has_opted_out(who, ONE) for who in (ANN, BOB)]) == [False, True]


def test_start_is_honoured_and_stop_is_without_a_session_and_for_a_number_that_left_the_pool(w: World) -> None:
    for mask in (ONE, "+12065550777"):
        w.text(EVE, "STOP", mask)
        assert w.store.read(lambda tx: tx.has_opted_out(EVE, TWO))
        w.text(EVE, "START", mask)
        assert not w.store.read(lambda tx: tx.has_opted_out(EVE, TWO))
    assert w.got(EVE) == [OUT, IN] * 2


def test_a_start_that_takes_nothing_back_is_not_answered_and_not_passed_on(w: World) -> None:
    w.open(ANN, BOB)
    w.text(ANN, "START")
    assert w.outbox() == []
    assert "opt_in" not in w.events()


@both
def test_yes_takes_an_opt_out_back_and_is_a_text_like_any_other_before_and_after(w: World) -> None:
    w.open(ANN, BOB)
    for words in ("Yes", "STOP", "Yes", "Yes"):
        w.text(ANN, words)
    assert w.got(BOB) == ["Yes", UNREACHABLE, "Yes"]
    assert w.got(ANN) == [OUT, IN]


def test_yes_is_understood_of_somebody_whom_only_the_carrier_blocked_on_this_mask(w: World) -> None:
    w.open(ANN, BOB)
    w.store.write(lambda tx: tx.opt_out(ANN, ONE, 1))
    w.text(ANN, "yes")
    assert w.got(BOB) == []
    assert w.got(ANN) == [IN]


def test_after_start_texts_arrive_again(w: World) -> None:
    w.open(ANN, BOB)
    for words in ("STOP", "START"):
        w.text(BOB, words)
    w.text(ANN, "welcome back")
    assert w.got(BOB) == [OUT, IN, "welcome back"]
    assert w.suppressed() == []


# --- HELP -----------------------------------------------------------------------------------------


@both
def test_help_is_answered_to_everybody_once_a_minute_for_each_pair(w: World) -> None:
    w.text(EVE, "STOP")
    times = (0, 1, MINUTE - 1, MINUTE, MINUTE + 1, 2 * MINUTE)
    start = w.now
    for after in times:
        w.now = start + after
        w.text(EVE, "HELP")
    assert w.got(EVE) == [OUT] + [HELPED] * 3
    w.text(EVE, "info", TWO)
    w.text(ANN, "help!")
    assert (w.got(EVE)[4:], w.got(ANN)) == ([HELPED], [HELPED])
    assert [head.text for head in w.claim() if head.recipient == ANN] == [HELPED]


def test_help_and_the_words_to_a_stranger_do_not_wait_for_each_other(w: World) -> None:
    for words in ("who is there?", "HELP", "hello?", "HELP"):
        w.text(EVE, words)
    assert w.got(EVE) == [NOBODY, HELPED]


def test_help_is_not_passed_on(w: World) -> None:
    w.open(ANN, BOB)
    w.text(ANN, "Help!")
    assert (w.got(ANN), w.got(BOB)) == ([HELPED], [])


def test_two_gateways_do_not_answer_each_other(w: World) -> None:
    for words in ("STOP", "START", "HELP", "hello"):
        w.text(TWO, words, ONE)
    assert w.outbox() == []


@both
def test_answers_to_help_are_forgotten_when_they_are_old(w: World) -> None:
    w.text(EVE, "HELP")
    w.store.write(lambda tx: tx.forget_notices(w.now - 1))
    assert len(w.store.read(lambda tx: tx.query("SELECT * FROM help_answers"))) == 1
    w.store.write(lambda tx: tx.forget_notices(w.now))
    assert w.store.read(lambda tx: tx.query("SELECT * FROM help_answers")) == []


# --- the other person -----------------------------------------------------------------------------


def test_somebody_who_writes_to_a_person_who_opted_out_before_is_told_once(w: World) -> None:
    w.text(BOB, "STOP", TWO)
    w.open(ANN, BOB)
    for words in ("hello", "are you there?", "hello?"):
        w.text(ANN, words)
    assert w.got(ANN) == [UNREACHABLE]
    assert w.suppressed() == [(BOB, "hello"), (BOB, "are you there?"), (BOB, "hello?")]


@both
def test_out_and_in_and_out_again_is_told_once_in_a_session_and_again_in_the_next(w: World) -> None:
    first = w.open(ANN, BOB)
    for words in ("STOP", "START", "STOP"):
        w.text(BOB, words)
    w.text(ANN, "hello")
    assert w.got(ANN) == [UNREACHABLE]
    w.store.write(lambda tx: sessions.end(tx, first, "ended", SETTINGS, w.now))
    w.open(ANN, BOB)
    w.text(ANN, "hello")
    assert w.got(ANN) == [UNREACHABLE] * 2


def test_who_opted_out_is_told_nothing_and_is_told_later_if_they_come_back(w: World) -> None:
    w.open(ANN, BOB)
    w.text(ANN, "STOP")
    w.text(BOB, "STOP")
    w.text(ANN, "hello")
    assert (w.got(ANN), w.got(BOB)) == ([OUT], [UNREACHABLE, OUT])
    w.text(ANN, "START")
    w.text(ANN, "hello again")
    assert w.got(ANN) == [OUT, IN, UNREACHABLE]


def test_in_a_group_each_of_the_others_is_told_once(w: World) -> None:
    w.open(ANN, BOB, CARL)
    w.text(ANN, "STOP")
    w.text(BOB, "STOP")
    w.text(CARL, "anybody?")
    assert (w.got(BOB), w.got(CARL)) == ([UNREACHABLE, OUT], [UNREACHABLE])
    assert w.suppressed() == [(ANN, "anybody?"), (BOB, "anybody?")]


def test_in_a_group_a_text_reaches_those_who_want_it(w: World) -> None:
    w.text(ANN, "STOP", TWO)
    w.open(ANN, BOB, CARL)
    w.text(CARL, "anybody?")
    assert (w.got(ANN), w.got(BOB), w.got(CARL)) == ([OUT], ["anybody?"], [UNREACHABLE])


def test_whoever_is_told_is_told_from_their_own_mask_by_its_own_carrier(w: World) -> None:
    legs = (
        Leg(participant=ANN, mask=ONE, carrier="scripted", position=0),
        Leg(participant=BOB, mask=TWO, carrier="another", position=1),
    )
    session = Session(id="s" * 32, origin=Origin.V1, live=True, created_at=w.now, expires_at=None, reason="", legs=legs)
    w.store.write(lambda tx: tx.insert_session(session, legs))
    w.text(ANN, "STOP")
    rows = w.store.read(lambda tx: tx.query("SELECT carrier, mask FROM outbox WHERE recipient = :bob", bob=BOB))
    assert [tuple(row.values()) for row in rows] == [("another", TWO)]


@pytest.mark.parametrize("over", ["ended", "expired"])
def test_of_a_session_that_is_over_nobody_is_told(w: World, over: str) -> None:
    session = w.open(ANN, BOB, expires_at=w.now + HOUR)
    if over == "ended":
        w.store.write(lambda tx: sessions.end(tx, session, "ended", SETTINGS, w.now))
    else:
        w.now += HOUR
    w.text(ANN, "STOP", TWO)
    assert w.got(BOB) == []
    w.store.write(lambda tx: unreachable.tell(tx, ANN, ONE, SETTINGS, w.now))
    assert w.got(BOB) == []


def test_of_more_sessions_than_one_unit_of_work_takes_the_rest_is_told_on_writing(w: World, monkeypatch) -> None:
    monkeypatch.setattr(unreachable, "MOST_SESSIONS", 1)
    w.open(ANN, BOB, on=ONE)
    w.open(ANN, CARL, on=TWO)
    w.text(ANN, "STOP")
    assert len(w.got(BOB) + w.got(CARL)) == 1
    w.text(BOB, "hello", ONE)
    w.text(CARL, "hello", TWO)
    assert (w.got(BOB), w.got(CARL)) == ([UNREACHABLE], [UNREACHABLE])


def test_the_words_to_the_other_person_name_nobody(w: World) -> None:
    w.open(ANN, BOB)
    w.text(ANN, "STOP")
    rows = w.store.read(lambda tx: tx.query("SELECT kind, text FROM outbox WHERE recipient = :bob", bob=BOB))
    assert [(row["kind"], row["text"]) for row in rows] == [(Kind.NOTICE.value, UNREACHABLE)]
    default = read_settings().unreachable_msg.lower()
    assert not any(word in default for word in ("stop", "opt", "block", "+"))


# --- what carriers say ----------------------------------------------------------------------------


def sent(w: World, words: str = "hello") -> Message:
    w.text(ANN, words)
    [head] = [one for one in w.claim() if one.text == words]
    return head


def settle(w: World, message: Message, state: MessageState = MessageState.SENT, **more) -> bool:
    outcome = Outcome(message=message, state=state, **more)
    return w.store.write(lambda tx: tx.settle(outcome, "me", w.now))


BLOCKED = DeliveryReceipt(carrier_ref="r1", status=DeliveryStatus.UNDELIVERED, opted_out=True)


def test_a_send_that_finds_the_mask_blocked_says_so(w: World) -> None:
    w.open(ANN, BOB)
    assert settle(w, sent(w, "one"), MessageState.SENT, carrier_ref="r0") is False
    assert settle(w, sent(w, "two"), MessageState.FAILED) is False
    assert settle(w, sent(w, "three"), MessageState.SUPPRESSED, opted_out=True) is True
    assert w.store.read(lambda tx: tx.masks_refused_by([BOB])) == {ONE}


@both
def test_a_receipt_that_was_faster_than_the_answer_says_so_too(w: World) -> None:
    w.open(ANN, BOB)
    head = sent(w)
    w.store.write(lambda tx: inbound.early_receipts(tx, w.carrier, [BLOCKED], SETTINGS, w.now))
    assert w.got(ANN) == []
    assert settle(w, head, carrier_ref="r1") is True


def refused_send(w: World) -> None:
    settle(w, sent(w), MessageState.SUPPRESSED, opted_out=True)


def early_receipt(w: World) -> None:
    head = sent(w)
    w.store.write(lambda tx: inbound.early_receipts(tx, w.carrier, [BLOCKED], SETTINGS, w.now))
    settle(w, head, carrier_ref="r1")


def late_receipt(w: World) -> None:
    settle(w, sent(w), carrier_ref="r1")
    for _ in range(2):
        w.store.write(lambda tx: inbound.receipt(tx, w.carrier, BLOCKED, SETTINGS, w.now))


def told_by_the_application(w: World) -> None:
    for _ in range(2):
        w.store.write(lambda tx: opt_outs.add(tx, BOB, ONE, SETTINGS, w.now))


@both
@pytest.mark.parametrize(
    ("learn", "by"),
    [
        (refused_send, "by the carrier"),
        (early_receipt, "by the carrier"),
        (late_receipt, "by the carrier"),
        (told_by_the_application, "by the API"),
    ],
)
def test_an_opt_out_is_one_event_however_it_is_learnt(w: World, learn: Callable[[World], None], by: str) -> None:
    w.open(ANN, BOB)
    learn(w)
    [event] = [one for one in w.store.read(lambda tx: tx.events()) if one["kind"] == "opt_out"]
    assert (event["mask"], event["carrier"], event["detail"]) == (ONE, "scripted" if "carrier" in by else "", by)
    told = w.store.read(lambda tx: tx.opt_out_told(event["message"]))
    assert told == OptedOut(participant=BOB, mask=ONE, created_at=w.now)
    w.store.write(lambda tx: tx.forget_opt_out(BOB, ONE))
    assert w.store.read(lambda tx: tx.opt_out_told(event["message"])) is None


def test_an_opt_out_names_a_mask_only_where_that_is_ours(w: World) -> None:
    for mask in (TWO, "+12065550777"):
        w.text(EVE, "STOP", mask)
        w.text(EVE, "START", mask)
    events = [one for one in w.store.read(lambda tx: tx.events()) if one["kind"] == "opt_out"]
    assert [one["mask"] for one in events] == [TWO, ""]


@both
def test_a_receipt_that_says_blocked_tells_the_other_person_once(w: World) -> None:
    w.open(ANN, BOB)
    settle(w, sent(w), carrier_ref="r1")
    for _ in range(3):
        w.store.write(lambda tx: inbound.receipt(tx, w.carrier, BLOCKED, SETTINGS, w.now))
    w.text(ANN, "still there?")
    assert w.got(ANN) == [UNREACHABLE]
    assert w.suppressed() == [(BOB, "still there?")]


def test_a_receipt_whose_message_was_settled_between_two_looks_tells_the_other_person(w: World) -> None:
    w.open(ANN, BOB)
    settle(w, sent(w), carrier_ref="r1")
    w.store.write(lambda tx: inbound.early_receipts(tx, w.carrier, [BLOCKED], SETTINGS, w.now))
    assert w.got(ANN) == [UNREACHABLE]


def test_a_receipt_about_an_old_session_tells_nobody_of_another(w: World) -> None:
    session = w.open(ANN, BOB)
    settle(w, sent(w), carrier_ref="r1")
    w.store.write(lambda tx: sessions.end(tx, session, "ended", SETTINGS, w.now))
    w.open(ANN, CARL)
    w.store.write(lambda tx: inbound.receipt(tx, w.carrier, BLOCKED, SETTINGS, w.now))
    assert w.got(ANN) == []
    assert w.store.read(lambda tx: tx.masks_refused_by([BOB])) == {ONE}


# --- inside the answer ----------------------------------------------------------------------------


@pytest.fixture
def inline(w: World) -> World:
    class Inline(Scripted):
        inline = True

    w.carrier = Inline()
    return w


def texts(replies: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(reply.recipient, reply.text) for reply in replies]


def test_a_stop_is_answered_and_the_other_person_told_inside_the_answer_and_in_its_repeat(inline: World) -> None:
    inline.open(ANN, BOB)
    for _ in range(2):
        assert texts(inline.text(ANN, "STOP", ref="same")) == [(ANN, OUT), (BOB, UNREACHABLE)]
    assert texts(inline.text(ANN, "STOP", ref="another")) == []


def test_a_text_to_somebody_who_opted_out_is_suppressed_and_its_writer_told_inside_the_answer(inline: World) -> None:
    inline.open(ANN, BOB)
    inline.text(BOB, "STOP", TWO)
    inline.store.write(lambda tx: tx.query("DELETE FROM told"))
    for _ in range(2):
        assert texts(inline.text(ANN, "hello", ref="same")) == [(ANN, UNREACHABLE)]
    assert texts(inline.text(ANN, "hello?", ref="another")) == []
    assert inline.suppressed() == [(BOB, "hello"), (BOB, "hello?")]


def test_help_and_start_are_answered_inside_the_answer(inline: World) -> None:
    inline.text(ANN, "STOP")
    assert [texts(inline.text(ANN, word)) for word in ("HELP", "START", "HELP")] == [[(ANN, HELPED)], [(ANN, IN)], []]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        *[
            (InboundMessage(carrier_ref="1", sender=ANN, recipient=ONE, text=text), alone)
            for text, alone in (("STOP", True), ("start", True), ("help?", True), ("yes", False), ("hello", False))
        ],
        (InboundMessage(carrier_ref="1", sender=ANN, recipient=ONE, text="STOP", media=("http://x/1",)), False),
        (BLOCKED, True),
        (DeliveryReceipt(carrier_ref="r1", status=DeliveryStatus.UNDELIVERED), False),
    ],
    ids=["STOP", "START", "HELP", "yes", "a text", "a picture", "a block", "a receipt"],
)
def test_what_may_concern_several_sessions_runs_alone_and_what_passes_a_text_on_does_not(event, expected: bool) -> None:
    assert inbound.runs_alone(event, SETTINGS) is expected


# --- at once --------------------------------------------------------------------------------------


@pytest.fixture
def stores(database_url: str, store: Store) -> Iterator[tuple[Store, ...]]:
    """Return the store and two more on the same database: what other processes are."""
    others = [Store(database_url) for _ in range(2)]
    yield (store, *others)
    for other in others:
        other.close()


def at_once(w: World, stores: tuple[Store, ...], said: list[tuple[str, str]]) -> None:
    """Let everybody say their words at the same moment, each by a thread of their own."""
    gate = Barrier(len(said))

    def say(number: int, sender: str, words: str) -> None:
        gate.wait(10)
        w.text(sender, words, store=stores[number % len(stores)])

    with ThreadPoolExecutor(len(said)) as pool:
        for future in [pool.submit(say, number, *one) for number, one in enumerate(said)]:
            future.result()


@both
def test_stops_that_come_at_once_are_confirmed_once_and_told_once(w: World, stores: tuple[Store, ...]) -> None:
    w.open(ANN, BOB)
    at_once(w, stores, [(ANN, "STOP")] * 9)
    assert sorted(w.outbox()) == [(ONE, ANN, OUT, "queued"), (ONE, BOB, UNREACHABLE, "queued")]
    assert w.events().count("opt_out") == 1
    at_once(w, stores, [(ANN, "START")] * 9)
    assert w.got(ANN) == [OUT, IN]


@both
def test_texts_that_come_at_once_to_somebody_who_opted_out_are_answered_once(
    w: World, stores: tuple[Store, ...]
) -> None:
    w.text(BOB, "STOP", TWO)
    w.open(ANN, BOB, CARL)
    at_once(w, stores, [(ANN, f"hello {n}") for n in range(6)] + [(CARL, f"hi {n}") for n in range(3)])
    assert (w.got(ANN).count(UNREACHABLE), w.got(CARL).count(UNREACHABLE)) == (1, 1)
    assert len(w.suppressed()) == 9


@both
def test_calls_for_help_that_come_at_once_are_answered_once(w: World, stores: tuple[Store, ...]) -> None:
    at_once(w, stores, [(EVE, "HELP")] * 9)
    assert w.got(EVE) == [HELPED]


@both
def test_whatever_is_said_at_once_nobody_is_told_twice_or_relayed_a_keyword(
    w: World, stores: tuple[Store, ...]
) -> None:
    w.open(ANN, BOB)
    at_once(w, stores, [(who, word) for who in (ANN, BOB) for word in ("STOP", "START", "hello", "STOP", "HELP")])
    for who in (ANN, BOB):
        assert w.got(who).count(UNREACHABLE) <= 1
        assert set(w.got(who)) <= {OUT, IN, HELPED, UNREACHABLE, "hello"}
        assert 0 <= w.got(who).count(OUT) - w.got(who).count(IN) <= 1


# --- the database ---------------------------------------------------------------------------------


@both
def test_a_database_of_the_first_version_is_brought_up_to_date_and_keeps_its_opt_outs(database_url: str) -> None:
    with pytest.MonkeyPatch.context() as old:
        old.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        first = Store(database_url)
        insert = "INSERT INTO opt_outs (participant, mask, created_at) VALUES (:ann, '', 1)"
        first.write(lambda tx: tx.query(insert, ann=ANN))
        first.close()
    second = Store(database_url)
    w = World(second)
    w.open(ANN, BOB)
    w.text(BOB, "hello")
    w.text(BOB, "HELP")
    assert w.got(BOB) == [UNREACHABLE, HELPED]
    assert w.suppressed() == [(ANN, "hello")]
    second.close()


def test_what_is_suppressed_is_not_the_answer_to_a_keyword(w: World) -> None:
    w.store.write(lambda tx: tx.opt_out(ANN, "", 1))
    for kind in Kind:
        one = Outgoing(carrier="scripted", mask=ONE, recipient=ANN, text=kind.value, kind=kind)
        kept = w.store.write(lambda tx, one=one: tx.suppressed(one, now=1))
        assert (kept is None) is (kind is Kind.KEYWORD)
