"""Sessions as our own API opens them: shared masks, wishes, groups, re-opening, another number for a participant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from invariants import broken
from scripted import Scripted

from gateway import inbound, opening, sessions
from gateway.errors import ExternalIdTaken, InvalidNumber, NoNumberFree, NumberUnknown, PairTaken, WishRefused
from gateway.messages import Channel, InboundMessage
from gateway.opening import Opening, Person
from gateway.records import NumberState, Session
from gateway.settings import Settings, read_settings
from gateway.store import Store, db
from gateway.store import sessions as store_sessions
from gateway.store.session_lists import SessionFilter

pytestmark = pytest.mark.both_databases

ANN, BOB, CARL, DAN = (f"+1206555020{i}" for i in range(1, 5))
LONDON = "+447700900123"
DAY = 86_400_000
SETTINGS = read_settings()
STRICT = read_settings(GATEWAY_QUARANTINE_STRICT="1")
CARRIERS = {"text": Scripted(name="text"), "both": Scripted(name="both")}
CARRIERS["both"].channels = frozenset({Channel.SMS, Channel.VOICE})  # type: ignore[misc]
Fill = Callable[..., list[str]]


@pytest.fixture
def fill(store: Store) -> Fill:
    def add(*numbers: str, carrier: str = "text", region: str = "US") -> list[str]:
        store.write(lambda tx: [tx.add_number(number, carrier, region, 1) for number in numbers])
        return list(numbers)

    return add


def numbers(count: int, area: str = "206") -> list[str]:
    return [f"+1{area}555{i:04}" for i in range(1000, 1000 + count)]


def ask(*people: str | Person, **more) -> Opening:
    return Opening(people=tuple(p if isinstance(p, Person) else Person(number=p) for p in people), **more)


def open_(store: Store, *people: str | Person, now: int = 1, settings: Settings = SETTINGS, **more) -> Session:
    asked = ask(*people, **more)
    session = store.write(lambda tx: opening.open_session(tx, asked, CARRIERS, settings, now)).session
    assert broken(store, 1 << 61) == []
    return session


def end(store: Store, session: Session, now: int = 2) -> None:
    assert store.write(lambda tx: sessions.end(tx, session, "ended", SETTINGS, now))


def masks(session: Session) -> list[str]:
    return [leg.mask for leg in session.legs]


def test_a_pool_of_n_serves_everybody_who_has_up_to_n_conversations(store: Store, fill: Fill) -> None:
    """Twenty people in pairs, each in five conversations at once, on five numbers: a hundred legs."""
    pool = fill(*numbers(5))
    people = [f"+120655503{i:02}" for i in range(20)]
    for step in range(1, 6):
        for i in range(10):
            open_(store, people[i], people[10 + (i + step) % 10])
    rows = store.read(lambda tx: tx.query("SELECT mask, participant FROM leases WHERE state = 'live'"))
    assert len(rows) == 100
    assert {row["mask"] for row in rows} == set(pool)
    assert set(Counter(row["participant"] for row in rows).values()) == {5}
    with pytest.raises(NoNumberFree):
        open_(store, people[0], DAN)
    assert broken(store, 1 << 61) == []


def test_a_leg_that_finds_no_number_leaves_nothing_of_the_others(store: Store, fill: Fill) -> None:
    fill(*numbers(1))
    open_(store, ANN, BOB)
    for people in [(CARL, ANN), (ANN, CARL), (CARL, DAN, BOB)]:
        with pytest.raises(NoNumberFree):
            open_(store, *people)
    assert store.read(lambda tx: tx.query("SELECT live FROM numbers")) == [{"live": 2}]
    assert broken(store, 1 << 61) == []


@pytest.mark.parametrize(
    ("participant", "expected"),
    [("+12065550201", "+1206"), ("+14155550201", "+1415"), ("+13105550201", "+1"), (LONDON, "+44")],
    ids=["same area", "another area", "same country", "another country"],
)
def test_a_mask_of_the_participant_s_own_area_or_country_comes_first(
    store: Store, fill: Fill, participant: str, expected: str
) -> None:
    fill(*numbers(3), *numbers(3, "415"))
    fill("+447700900001", "+447700900002", region="GB")
    for i in range(4):
        session = open_(store, participant, f"+1206555040{i}")
        assert session.legs[0].mask.startswith(expected) or i >= 2  # there are two of that country
        end(store, session)


def test_masks_are_chosen_at_random(store: Store, fill: Fill) -> None:
    fill(*numbers(6))
    seen = {mask for i in range(40) for mask in masks(open_(store, f"+1206556{i:04}", f"+1206557{i:04}"))}
    assert len(seen) > 2


def test_the_same_people_get_the_masks_they_had(store: Store, fill: Fill) -> None:
    fill(*numbers(30))
    first = open_(store, ANN, BOB)
    end(store, first)
    for _ in range(3):
        again = open_(store, ANN, BOB, now=3)
        assert masks(again) == masks(first)
        end(store, again, now=4)
    group = open_(store, ANN, BOB, CARL, now=5)
    assert group.legs[0].mask != first.legs[0].mask


def test_somebody_in_quarantine_is_not_misread_while_another_number_is_left(store: Store, fill: Fill) -> None:
    pool = fill(*numbers(3))
    used: list[str] = []
    for i in range(3):
        session = open_(store, ANN, f"+1206555050{i}", now=10 + i)
        end(store, session, now=10 + i)
        used.append(session.legs[0].mask)
    assert sorted(used) == pool
    with pytest.raises(NoNumberFree):
        open_(store, ANN, CARL, now=20, settings=STRICT)
    assert open_(store, ANN, CARL, now=20).legs[0].mask == used[0]  # the last resort: what ended longest ago


def test_a_mask_refused_by_a_participant_is_never_theirs(store: Store, fill: Fill) -> None:
    one, other = fill(*numbers(2))
    store.write(lambda tx: tx.opt_out(ANN, one, 1))
    assert open_(store, ANN, BOB).legs[0].mask == other
    with pytest.raises(NoNumberFree):
        open_(store, ANN, CARL)


def test_wishes_are_met_or_refused(store: Store, fill: Fill) -> None:
    pool = fill(*numbers(4))
    voice = fill(*numbers(2, "415"), carrier="both")
    british = fill("+447700900001", region="GB")
    wished = open_(store, Person(number=ANN, mask=pool[2]), Person(number=BOB, carrier="both"))
    assert wished.legs[0].mask == pool[2]
    assert wished.legs[1].mask in voice
    assert open_(store, Person(number=CARL, country="GB"), DAN).legs[0].mask == british[0]
    with pytest.raises(PairTaken) as taken:
        open_(store, Person(number=ANN, mask=pool[2]), CARL)
    assert taken.value.session == wished.id
    with pytest.raises(NoNumberFree):
        open_(store, Person(number=CARL, country="FR"), DAN)
    with pytest.raises(NumberUnknown):
        open_(store, Person(number=CARL, mask="+12065559999"), DAN)
    with pytest.raises(WishRefused, match="carrier nobody is not configured"):
        open_(store, Person(number=CARL, carrier="nobody"), DAN)
    end(store, wished)
    with pytest.raises(PairTaken, match="quarantine"):
        open_(store, Person(number=ANN, mask=pool[2]), CARL, now=3)


def test_a_session_that_must_carry_calls_stays_at_one_carrier_that_has_voice(store: Store, fill: Fill) -> None:
    fill(*numbers(4))
    voice = fill(*numbers(2, "415"), carrier="both")
    needs = frozenset({Channel.SMS, Channel.VOICE})
    session = open_(store, ANN, BOB, needs=needs)
    assert set(masks(session)) <= set(voice)
    with pytest.raises(WishRefused):
        open_(store, Person(number=CARL, carrier="text"), DAN, needs=needs)


def test_an_exclusive_session_has_a_number_to_itself(store: Store, fill: Fill) -> None:
    pool = fill(*numbers(2))
    alone = open_(store, ANN, BOB, CARL, exclusive=True)
    [mask] = set(masks(alone))
    shared = open_(store, DAN, LONDON)
    assert mask not in masks(shared)
    with pytest.raises(NoNumberFree):
        open_(store, BOB, DAN, exclusive=True)  # the other number is shared
    with pytest.raises(PairTaken):
        open_(store, Person(number=LONDON, mask=mask), CARL, exclusive=True)
    end(store, shared)
    other = next(number for number in pool if number != mask)
    assert masks(open_(store, Person(number=BOB, mask=other), CARL, exclusive=True, now=3)) == [other, other]


def test_a_number_that_drains_or_is_disabled_takes_no_new_session(store: Store, fill: Fill) -> None:
    one, two, three = fill(*numbers(3))
    store.write(lambda tx: tx.set_number_state(one, "text", NumberState.DRAINING))
    store.write(lambda tx: tx.set_number_state(two, "text", NumberState.DISABLED))
    assert set(masks(open_(store, ANN, BOB))) == {three}
    with pytest.raises(NumberUnknown):
        open_(store, Person(number=CARL, mask=one), DAN)


@pytest.mark.parametrize("people", [(ANN, ANN), (ANN, BOB, ANN)], ids=["two", "three"])
def test_nobody_talks_to_themselves(store: Store, fill: Fill, people: tuple[str, ...]) -> None:
    fill(*numbers(3))
    with pytest.raises(InvalidNumber):
        open_(store, *people)


def test_an_external_id_is_unique_among_live_sessions(store: Store, fill: Fill) -> None:
    fill(*numbers(5))
    first = open_(store, ANN, BOB, external_id="order-1")
    with pytest.raises(ExternalIdTaken) as taken:
        open_(store, CARL, DAN, external_id="order-1")
    assert taken.value.session == first.id
    end(store, first)
    again = open_(store, CARL, DAN, external_id="order-1", now=3)
    with pytest.raises(ExternalIdTaken):
        store.write(lambda tx: opening.reopen(tx, tx.session(first.id), None, SETTINGS, 4))
    end(store, again, now=5)


def test_an_external_id_of_a_session_past_its_expiry_stands_in_nobodys_way(
    store: Store, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many others are past theirs, and have not been ended yet."""
    monkeypatch.setattr(store_sessions, "SWEEP", 1)
    fill(*numbers(5))
    open_(store, ANN, CARL, ttl_ms=1)
    first = open_(store, ANN, BOB, external_id="order-1", ttl_ms=2)
    second = open_(store, CARL, DAN, external_id="order-1", ttl_ms=2, now=10)
    assert store.read(lambda tx: tx.session(first.id)).reason == "expired"
    assert reopen(store, first, now=20).live
    assert store.read(lambda tx: tx.session(second.id)).reason == "expired"


# --- what happens to it later -------------------------------------------------------------------


def reopen(store: Store, session: Session, now: int = 5) -> Session:
    again = store.write(lambda tx: opening.reopen(tx, tx.session(session.id), None, SETTINGS, now))
    assert broken(store, 1 << 61) == []
    return again


@pytest.mark.parametrize("exclusive", [False, True])
def test_an_ended_session_goes_on_where_it_was(store: Store, fill: Fill, exclusive: bool) -> None:
    fill(*numbers(2))
    first = open_(store, ANN, BOB, exclusive=exclusive, ttl_ms=DAY)
    end(store, first)
    again = reopen(store, first)
    assert again.live
    assert (again.id, masks(again), again.expires_at) == (first.id, masks(first), 5 + DAY)
    assert again.version > first.version
    end(store, again, now=6)
    assert store.read(lambda tx: tx.query("SELECT SUM(live) AS live FROM numbers")) == [{"live": 0}]


def test_a_pair_that_means_another_session_by_now_stands_in_the_way(store: Store, fill: Fill) -> None:
    fill(*numbers(1))
    first = open_(store, ANN, BOB)
    end(store, first)
    second = open_(store, ANN, CARL, now=3)
    with pytest.raises(PairTaken) as taken:
        reopen(store, first)
    assert taken.value.session == second.id
    end(store, second, now=4)
    with pytest.raises(PairTaken) as taken:  # a late text of that one would be read as one of this
        reopen(store, first)
    assert not taken.value.live
    assert broken(store, 1 << 61) == []


def test_an_exclusive_session_cannot_go_on_where_somebody_else_is_by_now(store: Store, fill: Fill) -> None:
    [number] = fill(*numbers(1))
    first = open_(store, ANN, BOB, exclusive=True)
    end(store, first)
    shared = open_(store, CARL, DAN, now=3)
    with pytest.raises(PairTaken) as taken:
        reopen(store, first)
    assert taken.value.session == shared.id
    store.write(lambda tx: sessions.end(tx, shared, "ended", SETTINGS, 4))
    store.write(lambda tx: tx.remove_number(number, "text"))
    with pytest.raises(NumberUnknown):
        reopen(store, first)


def replaced(
    store: Store, session: Session, position: int, number: str, now: int = 5, settings: Settings = SETTINGS
) -> Session:
    changed = store.write(
        lambda tx: opening.replace_participant(tx, tx.session(session.id), position, number, CARRIERS, settings, now)
    )
    assert broken(store, 1 << 61) == []
    return changed


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_participant_goes_on_from_another_number(store: Store, fill: Fill, exclusive: bool) -> None:
    fill(*numbers(3))
    session = open_(store, ANN, BOB, exclusive=exclusive)
    changed = replaced(store, session, 0, CARL)
    assert [leg.participant for leg in changed.legs] == [CARL, BOB]
    assert masks(changed) == masks(session)
    before = store.read(lambda tx: tx.find_lease(session.legs[0].mask, ANN, 6))
    assert before is not None
    assert not before.live
    end(store, changed, now=7)
    assert store.read(lambda tx: tx.query("SELECT SUM(live) AS live FROM numbers")) == [{"live": 0}]


def test_what_waits_for_the_old_number_goes_to_the_new_one(store: Store, fill: Fill) -> None:
    """A lost phone must not go on getting what is said."""
    fill(*numbers(3))
    session = open_(store, ANN, BOB, start_text="hello")
    event = InboundMessage(carrier_ref="1", sender=BOB, recipient=session.legs[1].mask, text="where are you?")
    store.write(lambda tx: inbound.message(tx, CARRIERS["text"], event, SETTINGS, 2))
    replaced(store, session, 0, CARL)
    rows = store.read(lambda tx: tx.query("SELECT recipient, text, state FROM outbox ORDER BY id"))
    to = {who: [(row["text"], row["state"]) for row in rows if row["recipient"] == who] for who in (ANN, CARL)}
    assert to[CARL] == [("[YOUR ORG NAME]: hello", "queued"), ("where are you?", "queued")]
    assert to[ANN] == [("[YOUR ORG NAME]: hello", "failed"), ("where are you?", "failed")]


def test_a_new_number_that_has_a_conversation_on_the_mask_gets_another_mask(store: Store, fill: Fill) -> None:
    fill(*numbers(2))
    session = open_(store, ANN, BOB)
    other = open_(store, Person(number=CARL, mask=session.legs[0].mask), DAN)
    changed = replaced(store, session, 0, CARL)
    assert changed.legs[0].mask != other.legs[0].mask
    assert changed.legs[1] == session.legs[1]
    with pytest.raises(InvalidNumber):
        replaced(store, changed, 0, BOB)


@pytest.mark.parametrize("settings", [SETTINGS, STRICT], ids=["lenient", "strict"])
@pytest.mark.parametrize("spare", [0, 2])
def test_a_late_text_reaches_nobody_whose_session_its_sender_was_to_join(
    store: Store, fill: Fill, settings: Settings, spare: int
) -> None:
    """An exclusive session has no other mask to give, however many are free."""
    [number] = fill(*numbers(1))
    first = open_(store, ANN, BOB, exclusive=True)
    end(store, first)
    second = open_(store, CARL, DAN, exclusive=True, now=3)
    fill(*numbers(spare, "415"))
    for position in (0, 1):
        with pytest.raises(PairTaken) as taken:
            replaced(store, second, position, ANN, settings=settings)
        assert (taken.value.session, taken.value.live) == (first.id, False)
    event = InboundMessage(carrier_ref="late", sender=ANN, recipient=number, text="Bob, my door code is 1234")
    store.write(lambda tx: inbound.message(tx, CARRIERS["text"], event, settings, 6), shared=True)
    assert {row["recipient"] for row in store.read(lambda tx: tx.query("SELECT recipient FROM outbox"))} == {ANN}
    after = 2 + settings.quarantine_ms
    assert replaced(store, second, 1, ANN, now=after).legs[1].participant == ANN
    assert replaced(store, second, 1, DAN, now=after).legs[1].participant == DAN  # they come back


def test_whoever_talked_with_these_same_people_may_join_them_again(store: Store, fill: Fill) -> None:
    fill(*numbers(1))
    end(store, open_(store, ANN, BOB, exclusive=True))
    second = open_(store, BOB, CARL, exclusive=True, now=3)
    assert [leg.participant for leg in replaced(store, second, 1, ANN, settings=STRICT).legs] == [BOB, ANN]


def test_a_new_number_in_quarantine_on_a_shared_mask_gets_another_while_one_is_left(store: Store, fill: Fill) -> None:
    [one] = fill(*numbers(1))
    end(store, open_(store, ANN, BOB))
    second = open_(store, CARL, DAN, now=3)
    with pytest.raises(NoNumberFree):
        replaced(store, second, 0, ANN, settings=STRICT)
    [other] = fill(*numbers(1, "415"))
    assert masks(replaced(store, second, 0, ANN, settings=STRICT)) == [other, one]


def test_a_session_expires_so_long_after_it_was_used_last_and_at_its_deadline(store: Store, fill: Fill) -> None:
    fill(*numbers(1))
    session = open_(store, ANN, BOB, now=1, ttl_ms=DAY, deadline=3 * DAY)
    assert session.expires_at == 1 + DAY
    for now, expected in [(DAY, 2 * DAY), (2 * DAY - 1, 3 * DAY - 1), (3 * DAY - 2, 3 * DAY)]:
        store.write(lambda tx, now=now: tx.touch_session(tx.session(session.id), now))
        assert store.read(lambda tx: tx.session(session.id)).expires_at == expected
    end(store, session)
    store.write(lambda tx: tx.touch_session(session, 4))
    assert store.read(lambda tx: tx.session(session.id)).expires_at == 3 * DAY


def said(store: Store, session: Session, position: int, text: str, now: int) -> list[tuple[str, str]]:
    """Let somebody text their mask; return (recipient, text) of what follows."""
    leg = session.legs[position]
    before = store.read(lambda tx: tx.query("SELECT COUNT(*) AS n FROM outbox"))[0]["n"]
    event = InboundMessage(carrier_ref=f"{now}", sender=leg.participant, recipient=leg.mask, text=text)
    store.write(lambda tx: inbound.message(tx, CARRIERS[leg.carrier], event, SETTINGS, now), shared=True)
    rows = store.read(lambda tx: tx.query("SELECT recipient, mask, text FROM outbox ORDER BY id"))[before:]
    to = {one.participant: one.mask for one in session.legs}
    assert [row["mask"] for row in rows] == [to[row["recipient"]] for row in rows]
    return sorted((row["recipient"], row["text"]) for row in rows)


def test_a_group_hears_who_speaks_each_from_the_mask_of_their_own(store: Store, fill: Fill) -> None:
    fill(*numbers(2))
    fill(*numbers(2, "415"), carrier="both")
    people = [Person(number=ANN, name="Driver", carrier="both"), Person(number=BOB, name="Rider"), CARL, DAN]
    group = open_(store, *people)
    assert said(store, group, 0, "here", 2) == [(who, "Driver: here") for who in (BOB, CARL, DAN)]
    assert said(store, group, 2, "hello", 3) == [(who, "hello") for who in (ANN, BOB, DAN)]


def test_a_session_by_phone_only_answers_texts_with_words_once(store: Store, fill: Fill) -> None:
    fill(*numbers(2), carrier="both")
    session = open_(store, ANN, BOB, texts=False, needs=frozenset({Channel.VOICE}))
    [(to, words)] = said(store, session, 0, "hello", 2)
    assert to == ANN
    assert "by phone only" in words
    assert said(store, session, 0, "hello?", 3) == []


def test_a_text_puts_the_expiry_off(store: Store, fill: Fill) -> None:
    fill(*numbers(1))
    session = open_(store, ANN, BOB, now=1, ttl_ms=DAY)
    said(store, session, 1, "hello", DAY - 1)
    assert store.read(lambda tx: tx.session(session.id)).expires_at == 2 * DAY - 1


def test_many_open_at_once_and_no_pair_is_given_twice(store: Store, fill: Fill) -> None:
    fill(*numbers(4))
    people = [f"+120655506{i:02}" for i in range(8)]

    def work(i: int) -> bool:
        try:
            store.write(
                lambda tx: opening.open_session(
                    tx, ask(people[i % 8], people[(i // 8 + 1 + i) % 8], people[(i + 4) % 8]), CARRIERS, SETTINGS, i
                )
            )
        except (NoNumberFree, InvalidNumber):
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        opened = sum(pool.map(work, range(64)))
    assert broken(store, 1 << 61) == []
    assert 4 <= opened <= 32 * 3


@pytest.mark.parametrize(("elsewhere", "carrier"), [("both", ""), ("text", "text")])
def test_an_opening_is_one_event_over_however_many_carriers(
    store: Store, fill: Fill, elsewhere: str, carrier: str
) -> None:
    one, other = fill(*numbers(1)) + fill(*numbers(1, "415"), carrier=elsewhere)
    session = open_(store, Person(number=ANN, mask=other), Person(number=BOB, mask=one))
    events = [event for event in store.read(lambda tx: tx.events()) if event["kind"] == "session.opened"]
    assert [(event["session"], event["mask"], event["carrier"]) for event in events] == [
        (session.id, f"{one}, {other}", carrier)
    ]


# --- lists --------------------------------------------------------------------------------------


def test_sessions_are_listed_by_page_and_filter(store: Store, fill: Fill) -> None:
    fill(*numbers(20))
    made = [open_(store, ANN, f"+1206555070{i}", external_id=f"job-{i % 3}" if i < 3 else "") for i in range(7)]
    made += [open_(store, CARL, DAN, exclusive=True)]
    end(store, made[0])
    end(store, made[5])

    def pages(**wanted: str) -> list[int]:
        found: list[Session] = []
        on: int | None = 1 << 61
        of = SessionFilter(**wanted)  # type: ignore[arg-type]
        while on is not None:
            page, on = store.read(lambda tx, before=on: tx.session_page(of, before, 2))
            found += page
        return [made.index(next(one for one in made if one.id == session.id)) for session in found]

    assert pages() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert pages(state="live") == [7, 6, 4, 3, 2, 1]
    assert pages(state="ended") == [5, 0]
    assert pages(participant=ANN) == [6, 5, 4, 3, 2, 1, 0]
    assert pages(participant=ANN, state="ended") == [5, 0]
    assert pages(participant="+12065550703") == [3]
    assert pages(external_id="job-1") == [1]
    assert pages(external_id="job-1", participant=CARL) == []
    assert pages(mask=made[7].legs[0].mask) == [7]
    assert pages(mask=made[7].legs[0].mask, participant=ANN) == []
    assert pages(external_id="job-2", mask=made[2].legs[1].mask, participant=ANN) == [2]


def test_a_page_looks_at_so_many_sessions_and_says_where_to_go_on(
    store: Store, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(*numbers(20))
    made = [open_(store, ANN, f"+12065550{i:03}") for i in range(9)]
    end(store, made[0])
    monkeypatch.setattr(db, "LOOK", 4)
    of = SessionFilter(participant=ANN, state="ended")
    page, on = store.read(lambda tx: tx.session_page(of, 1 << 61, 50))
    assert (page, on) == ([], made[5].seq)
    page, on = store.read(lambda tx: tx.session_page(of, made[5].seq, 50))
    assert (page, on) == ([], made[1].seq)
    page, on = store.read(lambda tx: tx.session_page(of, made[1].seq, 50))
    assert ([one.id for one in page], on) == ([made[0].id], None)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_session_whose_people_share_the_mask_is_on_its_list_once(store: Store, fill: Fill, count: int) -> None:
    fill(*numbers(1))
    made = []
    for people in ((ANN, CARL), (ANN, DAN), (CARL, DAN)):
        made.append(open_(store, *people, exclusive=True))
        end(store, made[-1])
    found: list[str] = []
    on: int | None = 1 << 61
    while on is not None:
        page, on = store.read(
            lambda tx, before=on: tx.session_page(SessionFilter(mask=made[0].legs[0].mask), before, count)
        )
        found += [one.id for one in page]
    assert found == [one.id for one in reversed(made)]
