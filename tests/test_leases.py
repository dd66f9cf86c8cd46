"""Sessions and leases: who gets which number, and that no pair (mask, participant) ever means two people."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import NoNumberFree, NumberExists, NumberInUse, NumberUnknown, StoreError
from gateway.records import Leg, Origin, Session
from gateway.store import Store

pytestmark = pytest.mark.both_databases

DAY = 86_400_000
ANN, BOB, CARL, DAN = (f"+1206555020{i}" for i in range(1, 5))


def pool(store: Store, count: int, carrier: str = "simulator") -> list[str]:
    numbers = [f"+1206555{i:04}" for i in range(count)]
    store.write(lambda tx: [tx.add_number(number, carrier, "US", 1) for number in numbers])
    return numbers


def wanted(people: Sequence[str], expires_at: int | None = None) -> Session:
    return Session(
        id=uuid.uuid4().hex,
        origin=Origin.V1,
        live=True,
        created_at=1,
        expires_at=expires_at,
        reason="",
        legs=tuple(Leg(participant=person, mask="", carrier="") for person in people),
    )


def open_(store: Store, *people: str, now: int = 1, strict: bool = False, carrier: str = "simulator") -> Session:
    return store.write(lambda tx: tx.open_exclusive(wanted(people), carrier, strict=strict, now=now))


def end(store: Store, session: Session, now: int = 2, quarantine: int = 7 * DAY) -> bool:
    return store.write(lambda tx: tx.end_session(session.id, "ended", now, quarantine))


def mask(session: Session) -> str:
    return session.legs[0].mask


def lease(store: Store, mask: str, person: str, now: int = 1):
    return store.read(lambda tx: tx.find_lease(mask, person, now))


def test_both_legs_of_an_exclusive_session_share_one_mask(store: Store) -> None:
    pool(store, 1)
    session = open_(store, ANN, BOB)
    assert [leg.participant for leg in session.legs] == [ANN, BOB]
    assert len({leg.mask for leg in session.legs}) == 1


def test_a_lease_leads_from_mask_and_participant_to_the_others(store: Store) -> None:
    pool(store, 1)
    session = open_(store, ANN, BOB)
    found = lease(store, mask(session), BOB)
    assert found is not None
    assert found.live
    assert [leg.participant for leg in found.session.others(found.position)] == [ANN]
    assert lease(store, mask(session), CARL) is None


def test_the_database_refuses_a_second_lease_on_a_pair(store: Store) -> None:
    """The constraint, not the code: even code that chooses wrongly cannot cross two conversations."""
    numbers = pool(store, 2)
    open_(store, ANN, BOB)
    open_(store, CARL, DAN)

    def choose_wrongly(tx):
        tx.choose_exclusive = lambda *_: numbers[0]
        tx.occupy = lambda *_: True
        return tx.open_exclusive(wanted([ANN, CARL]), "simulator", strict=False, now=1)

    taken = [n for n in numbers if lease(store, n, ANN)]
    assert len(taken) == 1
    numbers[0] = taken[0]
    with pytest.raises(StoreError, match="in use"):
        store.write(choose_wrongly)
    assert lease(store, taken[0], ANN).session.others(0)[0].participant == BOB


def test_a_number_goes_to_one_exclusive_session_at_a_time(store: Store) -> None:
    pool(store, 2)
    first, second = open_(store, ANN, BOB), open_(store, CARL, DAN)
    assert mask(first) != mask(second)
    with pytest.raises(NoNumberFree):
        open_(store, "+12065550300", "+12065550301")


def test_concurrent_opens_succeed_exactly_as_often_as_there_are_numbers(store: Store) -> None:
    pool(store, 20)

    def one(i: int) -> str:
        try:
            return mask(open_(store, f"+1206556{2 * i:04}", f"+1206556{2 * i + 1:04}"))
        except NoNumberFree:
            return ""

    with ThreadPoolExecutor(8) as threads:
        masks = [m for m in threads.map(one, range(60)) if m]
    assert len(masks) == len(set(masks)) == 20


def test_the_choice_among_free_numbers_is_random(store: Store) -> None:
    pool(store, 30)
    picks = []
    for i in range(40):
        session = open_(store, f"+1206556{2 * i:04}", f"+1206556{2 * i + 1:04}")
        picks.append(mask(session))
        end(store, session)
    assert len(set(picks)) > 15


def test_after_the_end_the_pair_is_quarantined_and_the_number_free_for_others(store: Store) -> None:
    pool(store, 1)
    old = open_(store, ANN, BOB)
    assert end(store, old)
    assert not lease(store, mask(old), ANN, now=3).live
    new = open_(store, CARL, DAN, now=3)
    assert mask(new) == mask(old)
    assert lease(store, mask(old), ANN, now=4).session.id == old.id
    assert lease(store, mask(old), CARL, now=4).session.id == new.id


def test_quarantine_runs_out(store: Store) -> None:
    pool(store, 1)
    old = open_(store, ANN, BOB)
    end(store, old, now=2, quarantine=DAY)
    assert lease(store, mask(old), ANN, now=DAY + 1) is not None
    assert lease(store, mask(old), ANN, now=DAY + 2) is None
    assert store.write(lambda tx: tx.forget_leases(DAY + 2)) == 2


def test_ending_twice_changes_nothing(store: Store) -> None:
    pool(store, 1)
    session = open_(store, ANN, BOB)
    assert end(store, session, now=2)
    assert not end(store, session, now=99)
    assert store.read(lambda tx: tx.numbers_of("simulator"))[0].live == 0


def test_someone_in_old_and_new_conversation_gets_another_mask(store: Store) -> None:
    """Ann, who texts yesterday's Bob by mistake, must not reach today's Carl."""
    pool(store, 6)
    old = open_(store, ANN, BOB)
    end(store, old)
    for i in range(5):
        assert mask(open_(store, ANN, f"+120655503{i:02}", now=3)) != mask(old)
    assert mask(open_(store, CARL, DAN, now=3)) == mask(old)


def test_the_same_people_may_have_the_same_mask_again(store: Store) -> None:
    pool(store, 1)
    old = open_(store, ANN, BOB)
    end(store, old)
    assert mask(open_(store, BOB, ANN, now=3, strict=True)) == mask(old)


def test_when_nothing_else_is_free_the_longest_ended_pair_gives_way(store: Store) -> None:
    pool(store, 3)
    sessions = [open_(store, ANN, person) for person in (BOB, CARL, DAN)]
    for at, session in zip((30, 10, 20), sessions, strict=True):
        end(store, session, now=at)
    assert mask(open_(store, ANN, "+12065550300", now=40)) == mask(sessions[1])
    assert mask(open_(store, ANN, "+12065550301", now=40)) == mask(sessions[2])


def test_strict_quarantine_refuses_instead(store: Store) -> None:
    pool(store, 1)
    end(store, open_(store, ANN, BOB))
    with pytest.raises(NoNumberFree):
        open_(store, ANN, CARL, now=3, strict=True)
    assert open_(store, CARL, DAN, now=3, strict=True)


def test_a_pool_of_one_number_keeps_working(store: Store) -> None:
    pool(store, 1)
    for i in range(5):
        end(store, open_(store, ANN, f"+120655503{i:02}", now=i), now=i)


def test_a_number_from_which_somebody_refuses_texts_is_not_given_to_them(store: Store) -> None:
    numbers = pool(store, 2)
    store.write(lambda tx: tx.opt_out(ANN, numbers[0], 1))
    assert mask(open_(store, ANN, BOB)) == numbers[1]
    with pytest.raises(NoNumberFree):
        open_(store, ANN, CARL)
    assert mask(open_(store, CARL, DAN)) == numbers[0]


def test_only_numbers_of_the_carrier_asked_for_are_used(store: Store) -> None:
    pool(store, 2, carrier="other")
    with pytest.raises(NoNumberFree):
        open_(store, ANN, BOB)


def test_draining_numbers_take_no_new_sessions(store: Store) -> None:
    pool(store, 1)
    store.write(lambda tx: tx.query("UPDATE numbers SET state = 'draining'"))
    with pytest.raises(NoNumberFree):
        open_(store, ANN, BOB)


def test_a_number_is_in_the_pool_once(store: Store) -> None:
    [number] = pool(store, 1)
    with pytest.raises(NumberExists):
        store.write(lambda tx: tx.add_number(number, "other", "US", 1))
    assert store.read(lambda tx: tx.number(number)).carrier == "simulator"


def test_a_number_in_use_stays_and_names_the_session(store: Store) -> None:
    [number] = pool(store, 1)
    session = open_(store, ANN, BOB)
    with pytest.raises(NumberInUse) as caught:
        store.write(lambda tx: tx.remove_number(number, "simulator"))
    assert caught.value.session == session.id
    end(store, session)
    store.write(lambda tx: tx.remove_number(number, "simulator"))
    with pytest.raises(NumberUnknown):
        store.write(lambda tx: tx.remove_number(number, "simulator"))


def test_a_number_taken_out_and_put_back_still_knows_its_quarantine(store: Store) -> None:
    numbers = pool(store, 2)
    session = open_(store, ANN, BOB)
    end(store, session)
    store.write(lambda tx: tx.remove_number(mask(session), "simulator"))
    store.write(lambda tx: tx.add_number(mask(session), "simulator", "US", 3))
    assert mask(open_(store, ANN, CARL, now=4)) == next(n for n in numbers if n != mask(session))


def test_another_carriers_number_is_unknown_to_remove(store: Store) -> None:
    [number] = pool(store, 1)
    with pytest.raises(NumberUnknown):
        store.write(lambda tx: tx.remove_number(number, "other"))


def test_sessions_fall_due_in_order_and_only_live_ones(store: Store) -> None:
    pool(store, 3)

    def open_until(people: tuple[str, str], at: int | None) -> Session:
        return store.write(lambda tx: tx.open_exclusive(wanted(people, at), "simulator", strict=False, now=1))

    opened = [
        open_until((ANN, BOB), 30),
        open_until((CARL, DAN), 10),
        open_until(("+12065550300", "+12065550301"), None),
    ]
    assert [s.id for s in store.read(lambda tx: tx.due_sessions(30))] == [opened[1].id, opened[0].id]
    end(store, opened[1])
    assert [s.id for s in store.read(lambda tx: tx.due_sessions(30))] == [opened[0].id]
    assert store.read(lambda tx: tx.due_sessions(29)) == []


def test_a_number_that_is_taken_is_not_given_again(store: Store) -> None:
    """What the choice found free may be taken by the time it is occupied: the condition stands in the statement."""
    [number] = pool(store, 1)
    assert store.write(lambda tx: tx.occupy(number, "first", 2))
    assert not store.write(lambda tx: tx.occupy(number, "second", 2))


def test_a_number_is_free_when_the_last_of_its_leases_is(store: Store) -> None:
    [number] = pool(store, 1)
    store.write(lambda tx: tx.occupy(number, "first", 5))
    store.write(lambda tx: tx.release(number, "another", 2))
    found = store.read(lambda tx: tx.number(number))
    assert (found.live, found.session) == (3, "first")
    store.write(lambda tx: tx.release(number, "first", 3))
    found = store.read(lambda tx: tx.number(number))
    assert (found.live, found.session) == (0, None)
