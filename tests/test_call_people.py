"""Whose calls are whose, in a database that knew only who called; and what of it is kept when calls are not."""

from __future__ import annotations

import json

import pytest

from gateway.store import CallFilter, Store, schema

pytestmark = pytest.mark.both_databases

ANN, BOB, CARL = (f"+120655502{i:02}" for i in range(3))
MASK = "+12065550191"


def calls_of(store: Store, participant: str) -> list[str]:
    page, _ = store.read(lambda tx: tx.call_page(CallFilter(participant=participant), 1 << 62, 10))
    return [call.carrier_ref for call in page]


def test_a_database_from_before_knows_who_was_rung(database_url: str) -> None:
    with pytest.MonkeyPatch.context() as old:
        old.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[: schema.MIGRATIONS.index(schema.CALL_PEOPLE)])
        before = Store(database_url)
        call = (
            "INSERT INTO calls (carrier, ref, key, mask, caller, session, state, outcome, reason, plan, at) VALUES "
            "('one', :ref, :ref, :mask, :caller, 'a', 'ended', 'completed', '', :plan, 1)"
        )
        leg = (
            "INSERT INTO legs (session, position, participant, mask, carrier, name, seq) VALUES "
            "('a', :at, :who, :mask, 'one', '', 1)"
        )
        for at, who in enumerate((ANN, BOB, CARL)):  # Carl has taken somebody's place since
            before.write(lambda tx, at=at, who=who: tx.query(leg, at=at, who=who, mask=MASK))
        plan = json.dumps({"people": {0: (ANN, MASK), 1: (BOB, MASK)}})
        before.write(lambda tx: tx.query(call, ref="through", mask=MASK, caller=ANN, plan=plan))
        before.write(lambda tx: tx.query(call, ref="refused", mask=MASK, caller=ANN, plan=""))
        before.close()
    store = Store(database_url)
    assert calls_of(store, ANN) == ["refused", "through"]
    assert calls_of(store, BOB) == ["through"]
    assert calls_of(store, CARL) == []
    store.close()
