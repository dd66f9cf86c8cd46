"""`/v1/pool`: numbers come in, are listed, changed and taken away; and the figures say what is in use."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from gateways import api, gateway
from scripted import Scripted
from v1 import places, refused
from wsgi import Client, SettableClock

from gateway import Channel, pool, sessions
from gateway.carrier import Carrier
from gateway.records import NumberFilter, NumberState, Origin
from gateway.settings import Settings
from gateway.store import LOOK, Store, Tx
from gateway.web.v1.pool_models import MOST

BORN = SettableClock().now  #: the version of a number that was just added
TN, OTHER, LONDON = "+12065550100", "+12065550109", "+442071838750"
ANN, BOB, CARL = "+12065550181", "+12065550182", "+12065550183"
MINUTE = 60_000


def add(client: Client, *numbers: str, **fields: str) -> None:
    for number in numbers:
        answer = client("POST", "/v1/pool", json={"number": number, "carrier": "flowroute"} | fields)
        assert answer.status == 201, answer


def get(client: Client, number: str) -> dict[str, Any]:
    found: dict[str, Any] = client("GET", f"/v1/pool/{number}").json()
    return found


def listed(client: Client, query: str = "") -> list[str]:
    """Return the numbers of a whole list, page by page."""
    numbers: list[str] = []
    cursor = ""
    while True:
        page = client("GET", f"/v1/pool?{query}{cursor}").json()
        numbers += [row["number"] for row in page["data"]]
        if page["next"] is None:
            return numbers
        cursor = f"&cursor={page['next']}"


@pytest.fixture
def start(store: Store, settings: Callable[..., Settings], clock: SettableClock) -> Callable[..., str]:
    """Return what opens a session of two people on a free number of a carrier, and returns its id."""

    def opened(*people: str, carrier: str = "flowroute", minutes: int | None = None) -> str:
        def work(tx: Tx) -> str:
            return sessions.open_exclusive(
                tx,
                people,
                carrier=carrier,
                origin=Origin.V1,
                expires_at=None if minutes is None else clock() + minutes * MINUTE,
                settings=settings(),
                now=clock(),
            ).session.id

        return store.write(work)

    return opened


# --- add --------------------------------------------------------------------------------------------

NOTATIONS = [
    TN,
    "+1 (206) 555-0100",
    "+1.206.555.0100",
    " +1 206 555 0100 ",
    "+1/206/5550100",
    "+1\u00a0206\u20115550100",
]


@pytest.mark.parametrize("written", NOTATIONS, ids=ascii)
def test_a_number_is_added_in_any_usual_notation(client: Client, written: str) -> None:
    answer = client("POST", "/v1/pool", json={"number": written, "carrier": "flowroute", "label": "front desk"})
    expected = {
        "number": TN, "carrier": "flowroute", "region": "US", "state": "active", "label": "front desk", "in_use": False,
        "live": 0, "session": None, "created_at": "2026-05-19T22:09:58.250Z", "version": BORN,
    }  # fmt: skip
    assert (answer.status, answer.json()) == (201, expected)
    assert (answer.headers["location"], answer.headers["etag"]) == (f"/v1/pool/{TN}", f'"{BORN}"')
    assert get(client, TN) == expected


@pytest.mark.parametrize(
    "written", ["2065550100", "(206) 555-0100", "12065550100", "442071838750", "0044 20 7183 8750"]
)
def test_without_a_country_nobody_guesses_one(client: Client, written: str) -> None:
    answer = client("POST", "/v1/pool", json={"number": written, "carrier": "flowroute"})
    assert places(refused(answer, 422, "invalid")) == ["/number"]
    assert client.rows()["numbers"] == 0


def test_a_number_without_a_country_is_of_the_region_of_the_setting(serve: Callable[..., Client]) -> None:
    client = serve(sending=False, GATEWAY_DEFAULT_REGION="US")
    add(client, "(206) 555-0100")
    assert listed(client) == [TN]
    assert client("GET", "/v1/pool/2065550100").status == 200


def test_the_region_is_what_the_number_says_unless_somebody_says_another(client: Client) -> None:
    add(client, TN, LONDON)
    add(client, OTHER, region="CA")
    assert [get(client, number)["region"] for number in (TN, LONDON, OTHER)] == ["US", "GB", "CA"]


@pytest.mark.parametrize("carrier", ["flowroute", "signalwire"])
def test_a_number_is_added_once_whoever_s_it_is(client: Client, carrier: str) -> None:
    add(client, TN)
    refused(client("POST", "/v1/pool", json={"number": TN, "carrier": carrier}), 409, "number-exists")
    assert get(client, TN)["carrier"] == "flowroute"


# --- import -----------------------------------------------------------------------------------------


def given(*numbers: str, carrier: str = "flowroute") -> list[dict[str, str]]:
    return [{"number": number, "carrier": carrier} for number in numbers]


@pytest.mark.both_databases
def test_many_are_added_all_of_them_or_none(serve: Callable[..., Client]) -> None:
    client = serve(sending=False)
    many = [f"+1206555{n:04}" for n in range(MOST)]
    assert client("POST", "/v1/pool/import", json={"numbers": given(*many)}).json() == {"added": many, "existing": []}
    mixed = {"numbers": given("+12075550001", many[7], "+12075550002", many[9])}
    document = refused(client("POST", "/v1/pool/import", json=mixed), 409, "number-exists")
    assert places(document) == ["/numbers/1/number", "/numbers/3/number"]
    wrong = {"numbers": given("+12075550001", "x")}
    assert places(refused(client("POST", "/v1/pool/import", json=wrong), 422, "invalid")) == ["/numbers/1/number"]
    assert client.rows()["numbers"] == MOST
    skipping = client("POST", "/v1/pool/import", json=mixed | {"existing": "skip"}).json()
    assert skipping == {"added": ["+12075550001", "+12075550002"], "existing": [many[7], many[9]]}


def test_a_number_never_changes_its_carrier_by_being_skipped(client: Client) -> None:
    add(client, TN)
    body = {"numbers": given(OTHER, TN, carrier="signalwire"), "existing": "skip"}
    assert places(refused(client("POST", "/v1/pool/import", json=body), 409, "number-exists")) == ["/numbers/1/number"]
    assert listed(client) == [TN]


@pytest.mark.parametrize(
    "numbers",
    [[OTHER], [OTHER, TN], [OTHER, OTHER], [TN, OTHER, TN]],
    ids=["new", "some are there", "one twice", "all of it"],
)
def test_a_dry_run_answers_what_the_run_does_and_adds_nothing(client: Client, numbers: list[str]) -> None:
    add(client, TN)
    body = {"numbers": given(*numbers), "existing": "skip"}
    key = {"Idempotency-Key": "a-dry-run"}
    dry = client("POST", "/v1/pool/import", json=body | {"dry_run": True}, headers=key)
    assert listed(client) == [TN]
    assert client.context.store.read(lambda tx: tx.query("SELECT key FROM answers")) == []  # it may be tried again
    assert dry.json() == client("POST", "/v1/pool/import", json=body).json()


def test_a_dry_run_is_refused_as_the_run_is(client: Client) -> None:
    add(client, TN)
    both = [*given(OTHER, carrier="flowroute"), *given(TN, OTHER, carrier="signalwire")]
    body = {"numbers": both, "existing": "skip"}
    for dry_run in (True, False):
        answer = client("POST", "/v1/pool/import", json=body | {"dry_run": dry_run})
        assert places(refused(answer, 409, "number-exists")) == ["/numbers/1/number", "/numbers/2/number"]
    assert listed(client) == [TN]


@pytest.mark.parametrize("count", [0, MOST + 1])
def test_an_import_holds_at_least_one_and_at_most_what_it_says(client: Client, count: int) -> None:
    body = {"numbers": given(*[f"+1206555{n:04}" for n in range(count)])}
    assert places(refused(client("POST", "/v1/pool/import", json=body), 422, "invalid")) == ["/numbers"]


# --- list -------------------------------------------------------------------------------------------


@pytest.fixture
def assorted(client: Client, start: Callable[..., str]) -> Client:
    add(client, TN, label="front desk")
    start(ANN, BOB)
    add(client, OTHER, label="front desk", region="CA")
    add(client, LONDON)
    add(client, "+12065550102", carrier="signalwire")
    client("PATCH", f"/v1/pool/{OTHER}", json={"state": "draining"})
    return client


FILTERS = [
    ("", [TN, "+12065550102", OTHER, LONDON]), ("carrier=signalwire", ["+12065550102"]), ("carrier=acme", []),
    ("region=CA", [OTHER]), ("state=active", [TN, "+12065550102", LONDON]), ("state=draining", [OTHER]),
    ("state=disabled", []), ("label=front%20desk", [TN, OTHER]), ("label=", ["+12065550102", LONDON]),
    ("in_use=true", [TN]), ("in_use=false", ["+12065550102", OTHER, LONDON]), ("label=front%20desk&in_use=true", [TN]),
    ("carrier=flowroute&region=GB&state=active&label=&in_use=false", [LONDON]),
    ("state=active&region=US&in_use=true", [TN]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "numbers"), FILTERS, ids=[query for query, _ in FILTERS])
def test_a_list_holds_what_its_filters_leave_page_by_page(assorted: Client, query: str, numbers: list[str]) -> None:
    for limit in (1, 2, 200):
        assert listed(assorted, f"{query}&limit={limit}") == numbers


def test_a_last_page_that_is_full_has_no_next(client: Client) -> None:
    add(client, TN, OTHER)
    assert client("GET", "/v1/pool?limit=2").json()["next"] is None
    assert client("GET", "/v1/pool?limit=1").json()["next"] is not None


def test_a_list_stays_right_while_numbers_come_and_go(client: Client) -> None:
    add(client, "+12065550103", "+12065550105", "+12065550107")
    page = client("GET", "/v1/pool?limit=2").json()
    for number in ("+12065550103", "+12065550105"):
        assert client("DELETE", f"/v1/pool/{number}").status == 204
    add(client, "+12065550101", "+12065550106")
    rest = client("GET", f"/v1/pool?limit=2&cursor={page['next']}").json()
    assert [row["number"] for row in rest["data"]] == ["+12065550106", "+12065550107"]


def test_a_cursor_is_of_one_list_with_its_filters(client: Client) -> None:
    add(client, TN, OTHER)
    cursor = client("GET", "/v1/pool?limit=1&state=active").json()["next"]
    assert client("GET", f"/v1/pool?limit=9&state=active&cursor={cursor}").status == 200
    broken = [f"state=draining&cursor={cursor}", f"cursor={cursor}", f"state=active&cursor={cursor[:-1]}",
              f"state=active&cursor={cursor}x", f"state=active&cursor={cursor.lower()}"]  # fmt: skip
    for query in broken:
        refused(client("GET", f"/v1/pool?{query}"), 400, "cursor")


@pytest.mark.both_databases
def test_a_page_looks_at_so_many_numbers_and_says_where_to_go_on(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for n in range(LOOK + 300):
            tx.add_number(f"+1206{n:07}", "flowroute", "US", 1)
        tx.add_number("+12079999999", "flowroute", "CA", 1, label="the last")

    store.write(fill)
    wanted = NumberFilter(carrier="flowroute", region=None, in_use=True)
    found, on = store.read(lambda tx: tx.numbers_page(wanted, "", 50))
    assert (found, on) == ([], f"+1206{LOOK - 1:07}")
    assert store.read(lambda tx: tx.numbers_page(wanted, on or "", 50)) == ([], None)
    for wanted in (NumberFilter(label="the last"), NumberFilter(region="CA", in_use=False)):
        found, on = store.read(lambda tx, wanted=wanted: tx.numbers_page(wanted, "", 50))
        assert ([one.number for one in found], on) == (["+12079999999"], None)


# --- change -----------------------------------------------------------------------------------------


def test_what_is_sent_is_changed_and_the_rest_stays(client: Client) -> None:
    add(client, TN, label="front desk")
    answer = client("PATCH", f"/v1/pool/{TN}", json={"state": "draining", "region": None})
    assert answer.headers["etag"] == f'"{BORN + 1}"'
    assert answer.json() == get(client, TN)
    assert [answer.json()[name] for name in ("state", "region", "label")] == ["draining", "US", "front desk"]
    answer = client("PATCH", f"/v1/pool/{TN}", json={"region": "CA", "label": ""})
    assert [answer.json()[name] for name in ("state", "region", "label", "version")] == ["draining", "CA", "", BORN + 2]


def test_what_is_so_already_makes_no_new_version(client: Client) -> None:
    add(client, TN)
    for body in ({}, {"state": "active"}, {"label": "", "region": "US"}):
        assert client("PATCH", f"/v1/pool/{TN}", json=body).headers["etag"] == f'"{BORN}"'


MATCHES = [
    (f'"{BORN}"', 412),
    (f'"{BORN + 1}"', 200),
    ("*", 200),
    (f'"7", "{BORN + 1}"', 200),
    (f'W/"{BORN + 1}"', 412),
    (f"{BORN + 1}", 412),
    ("", 412),
    ("\xff", 412),
]


@pytest.mark.parametrize(("header", "status"), MATCHES, ids=ascii)
def test_who_names_another_version_changes_nothing(client: Client, header: str, status: int) -> None:
    add(client, TN)
    client("PATCH", f"/v1/pool/{TN}", json={"label": "by somebody else"})
    answer = client("PATCH", f"/v1/pool/{TN}", json={"label": "mine"}, headers={"If-Match": header})
    assert answer.status == status
    assert get(client, TN)["label"] == ("mine" if status == 200 else "by somebody else")
    if status == 412:
        refused(answer, 412, "changed")
        refused(client("DELETE", f"/v1/pool/{TN}", headers={"If-Match": header}), 412, "changed")


@pytest.mark.both_databases
def test_of_changes_at_once_to_one_version_one_comes_through(serve: Callable[..., Client]) -> None:
    client = serve(sending=False)
    add(client, TN)

    def change(n: int) -> int:
        return client("PATCH", f"/v1/pool/{TN}", json={"label": f"{n}"}, headers={"If-Match": f'"{BORN}"'}).status

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(change, range(8))) == [200] + [412] * 7


def test_a_draining_number_gets_no_new_session(client: Client, start: Callable[..., str]) -> None:
    add(client, TN, OTHER)
    client("PATCH", f"/v1/pool/{TN}", json={"state": "draining"})
    session = start(ANN, BOB)
    assert (get(client, TN)["session"], get(client, OTHER)["session"]) == (None, session)


# --- remove -----------------------------------------------------------------------------------------


def test_a_number_that_is_used_stays_and_the_problem_names_the_session(
    client: Client, start: Callable[..., str]
) -> None:
    add(client, TN)
    session = start(ANN, BOB)
    client("PATCH", f"/v1/pool/{TN}", json={"state": "draining"})
    before = client.rows()
    document = refused(client("DELETE", f"/v1/pool/{TN}"), 409, "number-in-use")
    assert document["session"] == session
    assert "draining" in client("GET", "/v1/docs/problems").text
    assert client.rows() == before


def test_a_session_past_its_expiry_keeps_no_number(
    client: Client, clock: SettableClock, start: Callable[..., str]
) -> None:
    add(client, TN)
    start(ANN, BOB, minutes=1)
    clock.tick(minutes=1)
    assert client("DELETE", f"/v1/pool/{TN}").status == 204
    refused(client("GET", f"/v1/pool/{TN}"), 404, "number-unknown")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [OTHER, "+1 206 555-0109"])
def test_a_number_that_is_not_there_is_404(client: Client, method: str, path: str) -> None:
    refused(client(method, f"/v1/pool/{quote(path)}", json={}), 404, "number-unknown")


@pytest.mark.parametrize(
    "path", ["x", "2065550100", "+1206555010", "+1%20206%20555%20010x", "%F0%9F%91%8B", "*", "5" * 5000]
)
def test_a_path_that_is_no_number_is_422(client: Client, path: str) -> None:
    assert places(refused(client("DELETE", f"/v1/pool/{path}"), 422, "invalid")) == ["number"]


# --- figures ----------------------------------------------------------------------------------------


def figures(client: Client, query: str = "") -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = client("GET", f"/v1/pool/figures?{query}").json()["data"]
    return data


@pytest.fixture
def carriers() -> dict[str, Carrier]:
    both = Scripted(name="signalwire")
    both.channels = frozenset({Channel.SMS, Channel.MMS, Channel.VOICE})
    return {"flowroute": Scripted(name="flowroute"), "signalwire": both}


def hold(store: Store, participant: str, mask: str, session: str) -> None:
    """Put a live lease on a shared number, as a session whose legs have masks of their own does."""

    def work(tx: Tx) -> None:
        tx.query(
            "INSERT INTO leases (mask, participant, session, position, state, ended_at, until) "
            "VALUES (:mask, :participant, :session, 0, 'live', 0, 0)",
            mask=mask,
            participant=participant,
            session=session,
        )
        tx.query("UPDATE numbers SET live = live + 1 WHERE number = :mask", mask=mask)

    store.write(work)


@pytest.mark.both_databases
def test_figures_count_each_carrier_country_and_channel(
    serve: Callable[..., Client], store: Store, clock: SettableClock, settings: Callable[..., Settings],
    start: Callable[..., str],
) -> None:  # fmt: skip
    client = serve(sending=False)
    add(client, *[f"+1206555{n:04}" for n in range(6)])
    ended, _ = start(ANN, BOB), start(ANN, CARL)
    over = store.read(lambda tx: tx.session(ended))
    store.write(lambda tx: sessions.end(tx, over, "ended", settings(), clock()))
    free = [number for number in listed(client) if not get(client, number)["in_use"]]
    for mask in free[:3]:
        hold(store, CARL, mask, "shared")
    hold(store, BOB, next(number for number in free[:3] if number != over.legs[0].mask), "shared")
    client("PATCH", f"/v1/pool/{free[4]}", json={"state": "disabled"})
    assert figures(client) == [
        {
            "carrier": "flowroute", "region": "US", "channel": "text",
            "numbers": {"active": 5, "draining": 0, "disabled": 1},
            "leases": {"live": 6, "quarantined": 2},
            "most_conversations": 4,  # Carl's: one he has to himself with Ann, three on shared numbers
            "numbers_needed": 4,
            "headroom": 1,  # four active numbers may be shared, Carl is on three of them
        }
    ]  # fmt: skip
    clock.tick(hours=24 * 7)
    assert figures(client)[0]["leases"] == {"live": 6, "quarantined": 0}


def test_a_number_that_carries_both_has_a_row_for_each_channel(client: Client, store: Store) -> None:
    add(client, TN)
    add(client, LONDON, carrier="signalwire")
    store.write(lambda tx: tx.add_number(OTHER, "gone", "", 1))
    rows = [(row["carrier"], row["region"], row["channel"]) for row in figures(client)]
    flowroute, gone = ("flowroute", "US", "text"), ("gone", None, None)
    assert rows == [flowroute, gone, ("signalwire", "GB", "text"), ("signalwire", "GB", "voice")]
    assert [row["channel"] for row in figures(client, "carrier=signalwire&channel=voice")] == ["voice"]
    assert [row["carrier"] for row in figures(client, "region=US")] == ["flowroute"]


def test_figures_of_an_empty_pool_are_none(client: Client) -> None:
    assert figures(client) == []


class Timer:
    """Seconds, of which each look at the pool takes `took`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.took = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def kept(store: Store, clock: SettableClock, monkeypatch: pytest.MonkeyPatch) -> tuple[pool.Figures, Timer]:
    """Return figures of a pool that takes as long to count as the timer says."""
    timer, count = Timer(), Tx.pool_figures

    def slow(tx: Tx, now: int) -> Any:
        timer.now += timer.took
        return count(tx, now)

    monkeypatch.setattr(Tx, "pool_figures", slow)
    store.write(lambda tx: tx.add_number(TN, "flowroute", "US", 1))
    return pool.Figures(store, clock, timer), timer


@pytest.mark.parametrize(("took", "kept_for"), [(0.01, 0.0), (0.1, 2.0), (1.0, 20.0), (5.0, 100.0)])
def test_figures_that_took_long_are_kept_the_longer(
    kept: tuple[pool.Figures, Timer], store: Store, clock: SettableClock, took: float, kept_for: float
) -> None:
    figures, timer = kept
    timer.took = took
    first, _ = figures.read()
    store.write(lambda tx: tx.add_number(OTHER, "flowroute", "US", 1))
    clock.tick(minutes=1)
    timer.now += kept_for * 0.99
    assert [one.active for one in figures.read()[1]] == [1 if kept_for else 2]
    timer.now += kept_for * 0.02
    at, rows = figures.read()
    assert (at - first, rows[0].active) == (MINUTE, 2)


def test_who_asks_while_they_are_counted_gets_those_from_before(store: Store, clock: SettableClock) -> None:
    gate, began = threading.Event(), threading.Event()
    figures = pool.Figures(store, clock)
    figures.read()
    store.write(lambda tx: tx.add_number(TN, "flowroute", "US", 1))

    class Gated:
        def read(self, work: Callable[[Tx], Any]) -> Any:
            began.set()
            assert gate.wait(10)
            return store.read(work)

    figures._store = Gated()  # type: ignore[assignment]
    with ThreadPoolExecutor(1) as threads:
        counting = threads.submit(figures.read)
        assert began.wait(10)
        assert figures.read()[1] == []
        gate.set()
        assert len(counting.result()[1]) == 1


# --- over a socket ----------------------------------------------------------------------------------


def test_a_pool_over_a_real_socket(tmp_path: Path) -> None:
    carriers = {name: Scripted(name=name) for name in ("flowroute", "signalwire")}
    with gateway(tmp_path, carriers) as running:
        assert api(running, "POST", "/v1/pool", {"number": "+1 (206) 555-0100", "carrier": "flowroute"})[0] == 201
        assert api(running, "GET", f"/v1/pool/{TN}")[1]["label"] == ""
        assert api(running, "PATCH", f"/v1/pool/{quote(TN, safe='')}", {"label": "é"})[1]["label"] == "é"
        status, text = api(running, "DELETE", f"/v1/pool/{OTHER}")
        assert (status, text["type"]) == (404, "/v1/docs/problems#number-unknown")
        assert api(running, "DELETE", f"/v1/pool/{TN}") == (204, "")
        assert json.loads(json.dumps(api(running, "GET", "/v1/pool")[1])) == {"data": [], "next": None}


def test_nothing_of_a_number_that_is_no_mask_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client("POST", "/v1/pool", json={"number": "+1 206 555 018", "carrier": "flowroute"})
    client("GET", f"/v1/pool/{ANN}")
    assert "5550181" not in caplog.text


def test_the_inherited_apis_see_the_same_numbers_and_heed_their_states(client: Client) -> None:
    add(client, TN)
    assert client("GET", "/tn").json()["pool_size"] == 1
    client("PATCH", f"/v1/pool/{TN}", json={"state": NumberState.DISABLED.value})
    pair = {"participant_a": ANN, "participant_b": BOB}
    assert client("POST", "/session", json=pair).status == 400
