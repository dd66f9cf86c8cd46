"""What a database says of an error may hold what was being written; what the store says of it does not."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from gateway.checks import database_findings
from gateway.errors import GatewayError, StoreUnavailable
from gateway.settings import read_settings
from gateway.store import Store, Tx
from gateway.store.db import Statement

ANN = "+12065550141"
WORDS = "zebra under the bridge"
PRIVATE = (ANN[1:], ANN[-7:], "206) 555", "zebra", "under")
PASSWORD = "a-password-nobody-sees"

TABLE = "CREATE TABLE secrets (person TEXT PRIMARY KEY, words TEXT NOT NULL CHECK (words <> 'forbidden'), many BIGINT)"
INSERT = "INSERT INTO secrets (person, words) VALUES (:person, :words)"
HOT = Statement(INSERT)
#: As PostgreSQL can be made to say anything; an operator's own triggers are no less private.
FUNCTION = """
CREATE FUNCTION tell() RETURNS trigger AS $$ BEGIN
RAISE EXCEPTION 'no % to %', NEW.words, NEW.person USING HINT = NEW.words, ERRCODE = '{state}';
END $$ LANGUAGE plpgsql
"""
TRIGGER = "CREATE TRIGGER telling BEFORE INSERT ON secrets FOR EACH ROW EXECUTE FUNCTION tell()"


def query(sql: str, **params: object) -> Callable[[Tx], object]:
    return lambda tx: [tx.query(sql, **{"person": ANN, "words": WORDS} | params) for _ in range(2)]


UNITS: dict[str, Callable[[Tx], object]] = {
    "a key that is there": query(INSERT),
    "a key that is there, on the hot path": lambda tx: [tx.run(HOT, person=ANN, words=WORDS) for _ in range(2)],
    "what a check forbids": query(INSERT, person=f"{ANN} {WORDS}", words="forbidden"),
    "nothing where something must be": query(INSERT, person=f"{ANN} {WORDS}", words=None),
    "what no column takes": query(INSERT, person={ANN: WORDS}),
    "what no column takes, on the hot path": lambda tx: tx.run(HOT, person={ANN: WORDS}, words=WORDS),
    "half a letter": query(INSERT, person=f"{ANN} {WORDS} \ud83d"),
    "half a letter, on the hot path": lambda tx: tx.run(HOT, person=f"{ANN} \ud83d", words=WORDS),
    "no such column": query("SELECT :person AS person, :words AS words, nothing FROM secrets"),
    "no such statement": query("SELECT FROM WHERE :person = :words"),
}


def told(error: BaseException) -> str:
    """Return all that can be printed of an error that came out of the store."""
    return f"{error!s}\n{''.join(traceback.format_exception(error))}"


def leaks(said: str) -> list[str]:
    return [one for one in PRIVATE if one in said]


@pytest.mark.both_databases
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_an_error_of_the_database_holds_nothing_of_what_was_written(store: Store, unit: Callable[[Tx], object]) -> None:
    store.write(lambda tx: tx.query(TABLE))
    with pytest.raises(Exception, match=r".") as caught:
        store.write(unit)
    assert not leaks(told(caught.value))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("state", ["P0001", "23505", "57P01", "53100", "08006", "58030", "XX000", "40001"])
def test_an_error_is_said_by_its_kind_whatever_the_server_calls_it(store: Store, state: str) -> None:
    store.write(lambda tx: tx.query(TABLE))
    store.write(lambda tx: tx.query(FUNCTION.format(state=state)))
    store.write(lambda tx: tx.query(TRIGGER))
    with pytest.raises(StoreUnavailable) as caught:
        store.write(query(INSERT))
    assert not leaks(told(caught.value))


def test_the_search_would_find_what_the_driver_says(store: Store) -> None:
    assert leaks(told(ValueError(f"Key (mask, participant)=(+12065550199, {ANN}) already exists")))
    assert leaks(told(ValueError(f"DETAIL: Failing row contains ({WORDS})")))


URLS = [
    f"postgresql://gate:{PASSWORD}@127.0.0.1:1/x",
    f"postgresql://gate:{PASSWORD}@no-such-host.invalid/x",
    f"postgresql://gate:{PASSWORD}@127.0.0.1:port/x",
    f"postgresql://gate:{PASSWORD}@127.0.0.1:1/x?no_such_option=1",
    f"postgresql://gate@127.0.0.1:1/x?password={PASSWORD}",
    f"postgresql://gate@127.0.0.1:1/x?password={PASSWORD}&connect_timeout=soon",
    f"postgresql+psycopg2://gate:{PASSWORD}@127.0.0.1:1/x",
    f"postgres://gate:{PASSWORD}@127.0.0.1:1/x",
    f"mysql://gate:{PASSWORD}@127.0.0.1:1/x",
    f"sqlite:////no/such/folder/gateway.db?password={PASSWORD}",
]


@pytest.mark.parametrize("url", URLS)
def test_a_database_that_cannot_be_used_is_said_without_its_password(url: str) -> None:
    def checked() -> None:
        settings = read_settings(GATEWAY_DATABASE_URL=url)
        assert PASSWORD not in f"{settings!r} {database_findings(settings)!r}"
        Store(url)

    with pytest.raises(GatewayError) as caught:
        checked()
    assert PASSWORD not in told(caught.value)
