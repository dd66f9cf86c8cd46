"""`/v1/sessions`: opening, listing, changing, ending, going on, and texts from the application."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from invariants import broken
from scripted import Scripted
from talks import ANN, BOB, CARL, DAN, masks, open_, patch, people, places, post, refused
from wsgi import Client, SettableClock

from gateway import inbound, sessions
from gateway.messages import Channel, InboundMessage
from gateway.records import NumberState, Origin
from gateway.store import Store

POOL = [f"+120655501{i:02}" for i in range(4)]
VOICE = [f"+141555501{i:02}" for i in range(2)]
DAY = 86_400_000


@pytest.fixture
def carriers() -> dict[str, Any]:
    """Return a carrier of texts, and one that has calls too."""
    found = {name: Scripted(name=name) for name in ("flowroute", "signalwire")}
    found["signalwire"].channels = frozenset({Channel.SMS, Channel.VOICE})  # type: ignore[misc]
    return found


@pytest.fixture
def client(serve: Callable[..., Client], store: Store) -> Client:
    """Return a client of a gateway that sends nothing, with four numbers of one carrier and two of the other."""
    store.write(lambda tx: [tx.add_number(number, "flowroute", "US", 1) for number in POOL])
    store.write(lambda tx: [tx.add_number(number, "signalwire", "US", 1) for number in VOICE])
    return serve(sending=False)


def texts(client: Client) -> list[tuple[str, str, str, str]]:
    """Return (recipient, mask, text, state) of everything there is to send."""
    return [(row["recipient"], row["mask"], row["text"], row["state"]) for row in client.outbox()]


# --- opening ----------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_two_people_get_a_mask_each(client: Client, store: Store, clock: SettableClock) -> None:
    asked = {"participants": people(ANN, "+1 (206) 555-0202", name="Ann")}
    answer = client("POST", "/v1/sessions", json=asked)
    session = answer.json()
    assert (answer.status, answer.headers["location"]) == (201, f"/v1/sessions/{session['id']}")
    assert [(leg["participant"], leg["name"]) for leg in session["legs"]] == [(ANN, "Ann"), (BOB, None)]
    assert set(masks(session)) <= {*POOL, *VOICE}
    assert set(session.pop("calls").values()) == {None}
    assert session | {"legs": [], "id": ""} == {
        "id": "", "state": "live", "legs": [], "channels": ["text", "voice"], "exclusive": False, "external_id": None,
        "metadata": {}, "ttl": None, "latest_expiry": None, "expires_at": None, "end_text": None, "origin": "v1",
        "created_at": "2026-05-19T22:09:58.250Z", "ended_at": None, "reason": None, "note": None, "version": 1,
    }  # fmt: skip
    got = client("GET", f"/v1/sessions/{session['id']}")
    assert (got.body, got.headers["etag"]) == (answer.body, '"1"')
    assert broken(store, clock()) == []


def test_everything_that_can_be_asked_of_a_session_is_kept(client: Client) -> None:
    metadata = {"order": 17, "nested": {"ü": [1, None, True, 0.5, "☃"]}, "": ""}
    session = open_(
        client, ttl="24h", expires_at="2026-05-21T00:00:00+02:00", external_id="order-17", metadata=metadata,
        channels=["text"], exclusive=True, start_text="hello", end_text="bye",
    )  # fmt: skip
    assert session["metadata"] == metadata
    assert (session["ttl"], session["external_id"], session["end_text"]) == ("1d", "order-17", "bye")
    assert (session["expires_at"], session["latest_expiry"]) == (
        "2026-05-20T22:00:00.000Z", "2026-05-20T22:00:00.000Z",
    )  # fmt: skip
    assert (session["channels"], session["exclusive"], len(set(masks(session)))) == (["text"], True, 1)
    assert texts(client) == [
        (leg["participant"], leg["mask"], "[YOUR ORG NAME]: hello", "queued") for leg in session["legs"]
    ]


def test_what_is_null_is_as_if_it_was_left_out(client: Client) -> None:
    body = {"participants": people(ANN, BOB, name=None), "metadata": None, "calls": None, "ttl": None, "end_text": None}
    session = client("POST", "/v1/sessions", json=body).json()
    assert ([leg["name"] for leg in session["legs"]], session["metadata"]) == ([None, None], {})
    assert post(client, session, "end", {"reason": None}).json()["note"] is None


def test_wishes_are_met(client: Client) -> None:
    asked = [
        {"number": ANN, "mask": POOL[2]}, {"number": BOB, "carrier": "signalwire"}, {"number": CARL, "mask": VOICE[1]}
    ]  # fmt: skip
    session = client("POST", "/v1/sessions", json={"participants": asked}).json()
    assert (masks(session)[0], masks(session)[2]) == (POOL[2], VOICE[1])
    assert [leg["carrier"] for leg in session["legs"]] == ["flowroute", "signalwire", "signalwire"]


@pytest.mark.parametrize("channels", [["voice"], ["text", "voice"], ["voice", "text"]], ids=str)
def test_calls_that_must_go_through_take_a_carrier_that_has_them(client: Client, channels: list[str]) -> None:
    session = open_(client, channels=channels)
    assert {leg["carrier"] for leg in session["legs"]} == {"signalwire"}
    assert sorted(session["channels"]) == sorted(channels)


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_mask_says_which_carrier_a_session_with_one_stays_at(client: Client, exclusive: bool) -> None:
    """Whichever carrier would have been looked at first."""
    more = {"exclusive": True} if exclusive else {"channels": ["voice"]}
    body = {"participants": people(ANN, BOB, mask=VOICE[1])} | more
    session = client("POST", "/v1/sessions", json=body).json()
    assert session["legs"][0]["mask"] == VOICE[1]
    assert {leg["carrier"] for leg in session["legs"]} == {"signalwire"}


REFUSED: list[tuple[str, Any, int, str, list[str]]] = [
    ("one person", {"participants": people(ANN)}, 422, "invalid", ["/participants"]),
    ("too many", {"participants": people(*[f"+1206555{i:04}" for i in range(21)])}, 422, "invalid", ["/participants"]),
    ("the same twice, and one of ours", {"participants": people(ANN, POOL[0], ANN)}, 422, "invalid",
     ["/participants/1/number", "/participants/2/number"]),
    ("everything wrong at once",
     {"participants": [{"number": "x"}, {"number": BOB, "carrier": "acme", "country": "XX", "nick": "B"}],
      "channels": [], "ttl": "0s", "expires_at": "soon", "external_id": "", "metadata": [], "start_text": " "},
     422, "invalid",
     ["/participants/0/number", "/participants/1/country", "/participants/1/carrier", "/participants/1/nick",
      "/channels", "/ttl", "/expires_at", "/external_id", "/metadata", "/start_text"]),
    ("in the past", {"participants": people(ANN, BOB), "expires_at": "2026-05-19T22:09:58.250Z"}, 422, "invalid",
     ["/expires_at"]),
    ("texts in a session by phone", {"participants": people(ANN, BOB), "channels": ["voice"], "end_text": "bye"},
     422, "invalid", ["/end_text"]),
    ("a channel twice", {"participants": people(ANN, BOB), "channels": ["text", "text"]}, 422, "invalid",
     ["/channels"]),
    ("too much metadata", {"participants": people(ANN, BOB), "metadata": {"a": "x" * 4096}}, 422, "invalid",
     ["/metadata"]),
    ("a carrier without calls", {"participants": people(ANN, BOB, carrier="flowroute"), "channels": ["voice"]}, 422,
     "wish-refused", ["/participants/0/carrier"]),
    ("a mask without calls", {"participants": people(ANN, BOB, mask=POOL[0]), "channels": ["voice"]}, 422,
     "wish-refused", ["/participants/0/mask"]),
    ("a mask of another carrier", {"participants": people(ANN, BOB, mask=POOL[0], carrier="signalwire")}, 422,
     "wish-refused", ["/participants/0/mask"]),
    ("a mask that is not ours", {"participants": people(ANN, BOB, mask="+12065559999")}, 422, "wish-refused",
     ["/participants/0/mask"]),
    ("two carriers for one mask", {"participants": [{"number": ANN, "carrier": "flowroute"},
     {"number": BOB, "carrier": "signalwire"}], "exclusive": True}, 422, "wish-refused", ["/participants"]),
    ("two masks for one", {"participants": [{"number": ANN, "mask": POOL[0]}, {"number": BOB, "mask": POOL[1]}],
     "exclusive": True}, 422, "wish-refused", ["/participants"]),
    ("a country we have no number in", {"participants": people(ANN, BOB, country="FR")}, 409, "no-number-free",
     ["/participants/0"]),
    ("two countries for one mask", {"participants": [{"number": ANN, "country": "US"}, {"number": BOB,
     "country": "GB"}], "exclusive": True}, 409, "no-number-free", []),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "slug", "wrong"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_opened_is_refused_by_name_and_leaves_nothing(
    client: Client, body: Any, status: int, slug: str, wrong: list[str]
) -> None:
    before = client.rows()
    assert places(refused(client("POST", "/v1/sessions", json=body), status, slug)) == wrong
    assert client.rows() == before


def test_a_number_too_great_for_json_is_no_metadata(client: Client) -> None:
    body = json.dumps({"participants": people(ANN, BOB), "metadata": {"a": 1}}).replace('"a": 1', '"a": 1e999')
    answer = client("POST", "/v1/sessions", body=body.encode())
    assert places(refused(answer, 422, "invalid")) == ["/metadata"]


@pytest.mark.both_databases
def test_who_found_no_number_is_named(client: Client, store: Store, clock: SettableClock) -> None:
    for i in range(6):
        open_(client, ANN, f"+120655503{i:02}")
    document = refused(client("POST", "/v1/sessions", json={"participants": people(BOB, ANN)}), 409, "no-number-free")
    assert places(document) == ["/participants/1"]
    assert open_(client, BOB, CARL)["state"] == "live"
    assert broken(store, clock()) == []


def test_a_mask_that_another_conversation_is_on_is_named_with_it(client: Client, clock: SettableClock) -> None:
    body = {"participants": people(ANN, BOB, mask=POOL[1])}
    first = client("POST", "/v1/sessions", json=body).json()
    again = {"participants": [{"number": CARL}, {"number": ANN, "mask": POOL[1]}]}
    for _ in ("live", "in quarantine"):
        document = refused(client("POST", "/v1/sessions", json=again), 409, "pair-taken")
        assert (document["session"], places(document)) == (first["id"], ["/participants/1/mask"])
        post(client, first, "end", {})
    clock.tick(hours=7 * 24)
    assert client("POST", "/v1/sessions", json=again).status == 201


@pytest.mark.parametrize("state", [NumberState.DRAINING, NumberState.DISABLED], ids=lambda state: state.value)
@pytest.mark.parametrize("exclusive", [False, True])
def test_a_mask_that_takes_no_new_sessions_cannot_be_wished_for(
    client: Client, store: Store, state: NumberState, exclusive: bool
) -> None:
    store.write(lambda tx: tx.set_number_state(POOL[0], "flowroute", state))
    body = {"participants": people(ANN, BOB, mask=POOL[0]), "exclusive": exclusive}
    refused(client("POST", "/v1/sessions", json=body), 422, "wish-refused")


def test_an_external_id_stands_for_one_live_session(client: Client) -> None:
    first = open_(client, external_id="order-1")
    answer = client("POST", "/v1/sessions", json={"participants": people(CARL, DAN), "external_id": "order-1"})
    assert refused(answer, 409, "external-id-taken")["session"] == first["id"]
    post(client, first, "end", {})
    assert open_(client, CARL, DAN, external_id="order-1")["external_id"] == "order-1"


def test_a_repeat_with_the_same_key_opens_one_session(client: Client) -> None:
    body, key = {"participants": people(ANN, BOB), "start_text": "hello"}, {"Idempotency-Key": "k"}
    first, again = (client("POST", "/v1/sessions", json=body, headers=key) for _ in range(2))
    assert (again.status, again.body) == (first.status, first.body)
    assert (client.rows()["sessions"], len(texts(client))) == (1, 2)


# --- lists ------------------------------------------------------------------------------------------


def ids(client: Client, query: str) -> list[str]:
    """Return the ids of every page, two sessions at a time."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client("GET", f"/v1/sessions?limit=2&{query}" + (f"&cursor={cursor}" if cursor else "")).json()
        found += [one["id"] for one in page["data"]]
        assert len(found) < 50, "the pages have no end"
        cursor = page["next"]
    return found


@pytest.mark.both_databases
def test_sessions_are_listed_the_latest_first_by_what_is_asked(client: Client, store: Store) -> None:
    one = open_(client, ANN, BOB, external_id="order-1")
    two = open_(client, ANN, CARL)
    three = open_(client, CARL, DAN, exclusive=True)
    post(client, one, "end", {})
    four = open_(client, BOB, DAN, external_id="order-1")
    listed = {"": [four, three, two, one], "state=ended": [one], "state=live": [four, three, two],
              f"participant={ANN}": [two, one], f"participant={ANN}&state=live": [two],
              "external_id=order-1": [four, one], "external_id=order-1&state=live": [four],
              f"mask={masks(three)[0]}": [three], f"participant={DAN}&mask={masks(three)[1]}": [three],
              "external_id=none": [], f"participant={POOL[0]}": []}  # fmt: skip
    for query, expected in listed.items():
        query = query.replace("+", "%2B")
        assert ids(client, query) == [session["id"] for session in expected], query


def test_pages_stay_right_while_sessions_come_and_go(client: Client) -> None:
    opened = [open_(client, f"+120655503{i:02}", f"+120655504{i:02}") for i in range(5)]
    page = client("GET", "/v1/sessions?limit=2").json()
    open_(client, ANN, BOB)
    post(client, opened[2], "end", {})
    rest = client("GET", f"/v1/sessions?limit=200&cursor={page['next']}").json()
    assert [one["id"] for one in page["data"] + rest["data"]] == [one["id"] for one in reversed(opened)]
    assert rest["next"] is None


def test_sessions_of_the_inherited_apis_are_shown_and_ended_too(client: Client) -> None:
    body = {"client_number": ANN, "contractor_number": BOB}
    assert client("POST", "/api/rest/numberMask", json=body).status == 200
    [session] = client("GET", "/v1/sessions").json()["data"]
    assert (session["origin"], session["exclusive"], session["expires_at"]) == (
        Origin.MASK_API.value, True, "2026-05-20T22:09:58.250Z",
    )  # fmt: skip
    assert patch(client, session, {"ttl": "1h"}).json()["expires_at"] == "2026-05-19T23:09:58.250Z"
    assert post(client, session, "end", {}).json()["state"] == "ended"
    assert client("GET", f"/api/rest/numberMask/{masks(session)[0]}").json() == []


# --- changing ---------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_only_what_is_sent_changes(client: Client) -> None:
    session = open_(client, ttl="1h", expires_at="2026-06-01T00:00:00Z", metadata={"a": 1})
    now = session
    for body, changed in [
        ({"metadata": {"b": 2}}, {"metadata": {"b": 2}}),
        ({"ttl": "2h"}, {"ttl": "2h", "expires_at": "2026-05-20T00:09:58.250Z"}),
        ({"ttl": None}, {"ttl": None, "expires_at": "2026-06-01T00:00:00.000Z"}),
        ({"expires_at": "2026-07-01T00:00:00Z"},
         {"expires_at": "2026-07-01T00:00:00.000Z", "latest_expiry": "2026-07-01T00:00:00.000Z"}),
        ({"expires_at": None, "metadata": None}, {"expires_at": None, "latest_expiry": None, "metadata": {}}),
    ]:  # fmt: skip
        before, now = now, patch(client, session, body).json()
        assert now == before | changed | {"version": before["version"] + 1}, body
    for nothing in ({}, {"metadata": {}}, {"participants": []}):
        assert patch(client, session, nothing).json() == now


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ({"metadata": {"b": 2}}, ["session.changed"]),
        ({"ttl": "2h"}, ["session.extended"]),
        ({"expires_at": "2026-07-01T00:00:00Z"}, ["session.extended"]),
        ({"participants": [{"participant": ANN, "name": "Ann"}], "metadata": {"b": 2}}, ["session.changed"]),
        ({"participants": [{"participant": ANN, "pin": "1234"}]}, ["session.changed"]),
        ({"calls": {"words": "Hello"}}, ["session.changed"]),
        ({"participants": [{"participant": ANN, "number": CARL}]}, ["session.participant_replaced"]),
        (
            {"ttl": "2h", "metadata": {"b": 2}, "participants": [{"participant": ANN, "number": CARL, "name": "C"}]},
            ["session.changed", "session.extended", "session.participant_replaced"],
        ),
        ({"metadata": {"a": 1}, "participants": [{"participant": ANN, "name": ""}]}, []),
        ({}, []),
    ],
    ids=["metadata", "ttl", "expires_at", "name and metadata", "pin", "calls", "number", "all", "the same", "nothing"],
)
def test_every_change_is_told(client: Client, store: Store, body: Any, kinds: list[str]) -> None:
    session = open_(client, metadata={"a": 1})
    before = store.read(lambda tx: tx.last_event())
    assert patch(client, session, body).status == 200
    events = store.read(lambda tx: tx.events(before))
    assert sorted(event["kind"] for event in events) == kinds
    assert {event["session"] for event in events} <= {session["id"]}
    again = client("GET", f"/v1/sessions/{session['id']}")
    assert again.json()["version"] == session["version"] + bool(kinds)
    assert patch(client, session, {"metadata": {"c": 3}}, If_Match=again.headers["etag"]).status == 200


def test_extending_begins_the_time_to_live_anew(client: Client, clock: SettableClock) -> None:
    session = open_(client, ttl="1h")
    clock.tick(minutes=59)
    assert patch(client, session, {"ttl": "1h"}).json()["expires_at"] == "2026-05-20T00:08:58.250Z"
    assert patch(client, session, {"metadata": {"a": 1}}).json()["expires_at"] == "2026-05-20T00:08:58.250Z"


def test_whoever_changes_another_version_is_told(client: Client) -> None:
    session = open_(client)
    assert patch(client, session, {"metadata": {"a": 1}}, If_Match='"1"').headers["etag"] == '"2"'
    refused(patch(client, session, {"metadata": {"b": 1}}, If_Match='"1"'), 412, "changed")
    assert client("GET", f"/v1/sessions/{session['id']}").json()["metadata"] == {"a": 1}
    assert patch(client, session, {"metadata": {"b": 1}}, If_Match='"2"').status == 200


@pytest.mark.both_databases
def test_a_participant_goes_on_from_another_number_by_another_name(
    client: Client, store: Store, clock: SettableClock
) -> None:
    session = open_(client, ANN, BOB, start_text="hello")
    body = {"participants": [{"participant": ANN, "number": CARL, "name": "Carl"}, {"participant": BOB, "name": "Bob"}]}
    changed = patch(client, session, body).json()
    assert [(leg["participant"], leg["name"]) for leg in changed["legs"]] == [(CARL, "Carl"), (BOB, "Bob")]
    assert masks(changed) == masks(session)
    waiting = [(to, text) for to, _, text, state in texts(client) if state == "queued"]
    assert waiting == [(BOB, "[YOUR ORG NAME]: hello"), (CARL, "[YOUR ORG NAME]: hello")]
    assert broken(store, clock()) == []
    back = patch(client, session, {"participants": [{"participant": CARL, "number": ANN, "name": ""}]}).json()
    assert back["legs"] == [session["legs"][0], session["legs"][1] | {"name": "Bob"}]
    assert broken(store, clock()) == []


PATCHES: list[tuple[str, Any, int, str, list[str]]] = [
    ("somebody else", {"participants": [{"participant": DAN, "name": "D"}]}, 422, "invalid",
     ["/participants/0/participant"]),
    ("one person twice", {"participants": [{"participant": ANN}, {"participant": ANN}]}, 422, "invalid",
     ["/participants/1/participant"]),
    ("into the other", {"participants": [{"participant": BOB, "name": "B"}, {"participant": ANN, "number": BOB}]},
     422, "invalid", ["/participants/1/number"]),
    ("into one of ours", {"participants": [{"participant": ANN, "number": POOL[0]}]}, 422, "invalid",
     ["/participants/0/number"]),
    ("in the past", {"expires_at": "2020-01-01T00:00:00Z", "metadata": {"b": 1}}, 422, "invalid", ["/expires_at"]),
    ("what cannot be changed", {"external_id": "x", "state": "ended", "legs": []}, 422, "invalid",
     ["/external_id", "/state", "/legs"]),
    ("into who has no number left", {"metadata": {"b": 1}, "participants": [{"participant": BOB, "name": "B"},
     {"participant": ANN, "number": DAN}]}, 409, "no-number-free", ["/participants/1"]),
]  # fmt: skip


@pytest.mark.both_databases
@pytest.mark.parametrize(("body", "status", "slug", "wrong"), [row[1:] for row in PATCHES], ids=[r[0] for r in PATCHES])
def test_a_change_that_cannot_be_made_is_refused_whole(
    client: Client, body: Any, status: int, slug: str, wrong: list[str]
) -> None:
    session = open_(client, metadata={"a": 1})
    for i in range(6):
        open_(client, DAN, f"+120655503{i:02}")
    assert places(refused(patch(client, session, body), status, slug)) == wrong
    assert client("GET", f"/v1/sessions/{session['id']}").json() == session


def test_a_number_cannot_join_where_it_still_means_another_conversation(client: Client, clock: SettableClock) -> None:
    first = open_(client, participants=people(ANN, BOB, mask=POOL[1]), exclusive=True)
    post(client, first, "end", {})
    second = open_(client, participants=people(CARL, DAN, mask=POOL[1]), exclusive=True)
    body = {"participants": [{"participant": CARL, "name": "Carl"}, {"participant": DAN, "number": ANN}]}
    document = refused(patch(client, second, body), 409, "pair-taken")
    assert (document["session"], places(document)) == (first["id"], ["/participants/1/number"])
    assert client("GET", f"/v1/sessions/{second['id']}").json() == second
    clock.tick(hours=7 * 24)
    assert patch(client, second, body).status == 200


# --- the end, and after -----------------------------------------------------------------------------


def test_a_session_is_ended_with_a_reason_of_the_application_s_own(client: Client, clock: SettableClock) -> None:
    session = open_(client)
    clock.tick(minutes=1)
    ended = post(client, session, "end", {"reason": "the ride is over"})
    assert ended.headers["etag"] == '"2"'
    assert (ended.json()["state"], ended.json()["reason"], ended.json()["note"], ended.json()["ended_at"]) == (
        "ended", "ended", "the ride is over", "2026-05-19T22:10:58.250Z",
    )  # fmt: skip
    assert texts(client) == []
    for body in ({}, {"text": "again"}):
        refused(post(client, session, "end", body), 409, "session-over")


@pytest.mark.parametrize(
    ("own", "body", "said"),
    [("bye", {}, "bye"), ("bye", {"text": "so long"}, "so long"), ("bye", {"text": None}, None), (None, {}, None),
     (None, {"text": "so long"}, "so long")],
    ids=["its own", "another", "none", "it has none", "only now"],
)  # fmt: skip
def test_everybody_is_told_the_end_text(client: Client, own: str | None, body: Any, said: str | None) -> None:
    session = open_(client, end_text=own)
    assert post(client, session, "end", body).status == 200
    told = [(leg["participant"], leg["mask"], f"[YOUR ORG NAME]: {said}", "queued") for leg in session["legs"]]
    assert texts(client) == (told if said else [])


def test_the_end_text_is_told_when_a_session_expires(
    serve: Callable[..., Client], client: Client, store: Store, clock: SettableClock, settings: Callable[..., Any]
) -> None:
    session = open_(client, ttl="1h", end_text="bye")
    clock.tick(hours=1)
    refused(patch(client, session, {"ttl": "2h"}), 409, "session-over")
    refused(post(client, session, "end", {}), 409, "session-over")
    refused(post(client, session, "messages", {"text": "hello"}), 409, "session-over")
    store.write(lambda tx: sessions.expire_due(tx, settings(), clock()))
    assert [text for _, _, text, _ in texts(client)] == ["[YOUR ORG NAME]: bye"] * 2
    assert client("GET", f"/v1/sessions/{session['id']}").json()["reason"] == "expired"


@pytest.mark.both_databases
def test_an_ended_session_goes_on_where_it_was(client: Client, store: Store, clock: SettableClock) -> None:
    session = open_(client, ttl="1h", external_id="order-1")
    refused(post(client, session, "reopen", {}), 409, "session-live")
    post(client, session, "end", {"reason": "by mistake"})
    again = post(client, session, "reopen", {}).json()
    assert again == session | {"version": 3}
    clock.tick(hours=1)  # past its expiry, which nobody has noticed
    again = post(client, session, "reopen", {"expires_at": "2026-05-19T23:30:00Z"}).json()
    assert (again["state"], again["expires_at"]) == ("live", "2026-05-19T23:30:00.000Z")
    assert broken(store, clock()) == []


def test_what_stands_in_the_way_of_a_session_that_is_to_go_on_is_named(client: Client, store: Store) -> None:
    first = open_(client, exclusive=True, external_id="order-1")
    post(client, first, "end", {})
    second = client(
        "POST", "/v1/sessions", json={"participants": people(CARL, DAN, mask=masks(first)[0]), "external_id": "order-1"}
    ).json()
    assert refused(post(client, first, "reopen", {}), 409, "external-id-taken")["session"] == second["id"]
    store.write(lambda tx: tx.query("UPDATE sessions SET external_id = '' WHERE id = :id", id=second["id"]))
    assert refused(post(client, first, "reopen", {}), 409, "pair-taken")["session"] == second["id"]
    post(client, second, "end", {})
    refused(post(client, first, "reopen", {"expires_at": "2020-01-01T00:00:00Z"}), 422, "invalid")
    store.write(lambda tx: tx.set_number_state(masks(first)[0], first["legs"][0]["carrier"], NumberState.DRAINING))
    refused(post(client, first, "reopen", {}), 409, "cannot-reopen")
    assert client("GET", f"/v1/sessions/{first['id']}").json()["state"] == "ended"


# --- texts from the application ---------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_text_from_the_application_goes_to_each_from_their_own_mask(client: Client, store: Store) -> None:
    session = open_(client, ANN, BOB, CARL)
    store.write(lambda tx: tx.opt_out(CARL, "", 1))
    sent = post(client, session, "messages", {"text": "  Your car is here. "}).json()["data"]
    assert [(one["participant"], one["mask"], one["state"]) for one in sent] == [
        (leg["participant"], leg["mask"], "suppressed" if leg["participant"] == CARL else "queued")
        for leg in session["legs"]
    ]
    assert {text for _, _, text, _ in texts(client)} == {"  Your car is here. "}
    assert {row["kind"] for row in client.outbox()} == {"application"}
    [one] = post(client, session, "messages", {"text": "To you alone", "to": BOB}).json()["data"]
    assert texts(client)[-1] == (BOB, masks(session)[1], "To you alone", "queued")
    assert one["id"] == f"out-{client.outbox()[-1]['id']}"


def test_a_text_that_cannot_be_sent_is_refused(client: Client) -> None:
    session, by_phone = open_(client), open_(client, CARL, DAN, channels=["voice"])
    before = client.rows()
    stranger = refused(post(client, session, "messages", {"text": "hello", "to": DAN}), 422, "invalid")
    assert places(stranger) == ["/to"]
    for text in ("", " \n", "x" * 1601):
        assert places(refused(post(client, session, "messages", {"text": text}), 422, "invalid")) == ["/text"]
    refused(post(client, by_phone, "messages", {"text": "hello"}), 422, "wish-refused")
    assert places(refused(post(client, by_phone, "end", {"text": "bye"}), 422, "invalid")) == ["/text"]
    assert client.rows() == before


def test_a_text_that_no_carrier_would_take_is_refused_whole(
    client: Client, carriers: dict[str, Any], clock: SettableClock
) -> None:
    """Its carrier was configured when the session was opened. To somebody at another carrier it still goes."""
    wishes = people(ANN, BOB, mask=POOL[0])
    wishes[1]["mask"] = VOICE[0]
    session = open_(client, participants=wishes, channels=["text"], ttl="1h")
    del carriers["flowroute"]
    clock.tick(minutes=30)
    before = client.rows()
    for to in ({}, {"to": ANN}):
        document = refused(post(client, session, "messages", {"text": "hello"} | to), 422, "wish-refused")
        assert document["detail"] == "The carrier of the mask, flowroute, is not configured."
    assert client.rows() == before
    assert post(client, session, "messages", {"text": "hello", "to": BOB}).status == 201


def test_a_text_from_the_application_counts_as_use(client: Client, clock: SettableClock) -> None:
    session = open_(client, ttl="1h")
    clock.tick(minutes=30)
    post(client, session, "messages", {"text": "hello"})
    got = client("GET", f"/v1/sessions/{session['id']}")
    assert (got.json()["expires_at"], got.headers["etag"]) == ("2026-05-19T23:39:58.250Z", '"1"')


def test_a_text_with_the_same_key_is_sent_once(client: Client) -> None:
    session = open_(client)
    for _ in range(2):
        answer = client(
            "POST", f"/v1/sessions/{session['id']}/messages", json={"text": "x"}, headers={"Idempotency-Key": "k"}
        )
        assert answer.status == 201
    assert len(texts(client)) == 2


# --- whatever is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["", "/end", "/reopen", "/messages"])
def test_a_session_that_is_not_there_is_404(client: Client, what: str) -> None:
    method = "POST" if what else "PATCH"
    body = {"text": "x"} if what == "/messages" else {}
    refused(client(method, f"/v1/sessions/{'0' * 32}{what}", json=body), 404, "session-unknown")
    if not what:
        refused(client("GET", f"/v1/sessions/{'0' * 32}"), 404, "session-unknown")
        refused(client("GET", "/v1/sessions/x"), 422, "invalid")


def test_a_group_hears_who_speaks(client: Client, store: Store, settings: Callable[..., Any]) -> None:
    """What was opened here is what texts go by."""
    asked = [{"number": ANN, "name": "Driver"}, {"number": BOB}, {"number": CARL}, {"number": DAN}]
    session = client("POST", "/v1/sessions", json={"participants": asked}).json()
    leg = session["legs"][0]
    event = InboundMessage(carrier_ref="1", sender=ANN, recipient=leg["mask"], text="I am here")
    carrier = client.context.carriers[leg["carrier"]]
    store.write(lambda tx: inbound.message(tx, carrier, event, settings(), 2))
    assert sorted(texts(client)) == sorted(
        (other["participant"], other["mask"], "Driver: I am here", "queued") for other in session["legs"][1:]
    )
