"""`/v1/masks`, `/v1/opt-outs` and `/v1/carriers`: who is on what, who wants nothing, and how the carriers stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from program import until
from scripted import Scripted
from talks import ANN, BOB, CARL, DAN, masks, open_, people, places, post, refused
from wsgi import Client, SettableClock

from gateway.errors import CarrierMisconfigured, PermanentSendError
from gateway.messages import Channel, Rate
from gateway.records import Outgoing
from gateway.store import Store

MASK, OTHER = "+12065550100", "+12065550101"


@pytest.fixture
def client(serve: Callable[..., Client], store: Store) -> Client:
    """Return a client of a gateway that sends nothing, with two numbers."""
    store.write(lambda tx: [tx.add_number(number, "flowroute", "US", 1) for number in (MASK, OTHER)])
    return serve(sending=False, NO_SESSION_MSG="nobody here")


def rows(client: Client, path: str) -> list[dict[str, Any]]:
    """Return what is on every page of a list, two rows at a time."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = client("GET", f"{path}{'&' if '?' in path else '?'}limit=2" + (f"&cursor={cursor}" if cursor else ""))
        found += page.json()["data"]
        assert len(found) < 50, "the pages have no end"
        cursor = page.json()["next"]
    return found


# --- masks ------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_mask_says_who_is_on_it_live_and_in_quarantine(client: Client, clock: SettableClock) -> None:
    body = {"participants": people(ANN, BOB, mask=MASK, name="Ann")}
    first = client("POST", "/v1/sessions", json=body).json()
    group = [{"number": number, "mask": MASK} for number in (CARL, DAN)]
    second = client("POST", "/v1/sessions", json={"participants": group}).json()
    clock.tick(minutes=1)
    post(client, second, "end", {})
    live = {"session": first["id"], "state": "live", "ended_at": None, "until": None}
    over = {"session": second["id"], "state": "quarantined", "ended_at": "2026-05-19T22:10:58.250Z",
            "until": "2026-05-26T22:10:58.250Z", "name": None}  # fmt: skip
    there = rows(client, f"/v1/masks/{MASK}")
    bob = [{"participant": BOB, "name": None} | live] if masks(first)[1] == MASK else []
    assert there == [
        {"participant": ANN, "name": "Ann"} | live, *bob, {"participant": CARL} | over, {"participant": DAN} | over
    ]  # fmt: skip
    shown = client("GET", f"/v1/masks/{MASK}").json()
    assert (shown["number"], shown["carrier"], shown["state"]) == (MASK, "flowroute", "active")
    clock.tick(hours=7 * 24)
    assert [row["participant"] for row in rows(client, f"/v1/masks/{MASK}")] == [ANN] + [
        row["participant"] for row in bob
    ]


def test_a_mask_that_has_left_the_pool_says_who_is_in_quarantine_on_it(client: Client, store: Store) -> None:
    session = open_(client, ANN, BOB)
    mask = masks(session)[0]
    post(client, session, "end", {})
    store.write(lambda tx: tx.remove_number(mask, "flowroute"))
    shown = client("GET", f"/v1/masks/{mask}").json()
    assert (shown["carrier"], shown["state"]) == (None, None)
    assert ANN in [row["participant"] for row in shown["data"]]
    refused(client("GET", "/v1/masks/+12065559999"), 404, "number-unknown")


def test_what_would_happen_is_told_and_changes_nothing(client: Client) -> None:
    asked = [{"number": ANN, "mask": MASK}, {"number": BOB, "mask": OTHER, "name": "Bob"}]
    session = client("POST", "/v1/sessions", json={"participants": asked, "channels": ["text"]}).json()
    before = client.rows()
    told = client("GET", f"/v1/masks/{MASK}/explain?from={quote(ANN)}").json()
    assert told == {
        "mask": MASK, "sender": ANN, "carrier": "flowroute", "session": session["id"], "lease": "live",
        "text": {"outcome": "relayed", "why": "the pair means a live session", "words": None, "reaches": [
            {"participant": BOB, "name": "Bob", "mask": OTHER, "carrier": "flowroute", "reached": True,
             "why": "is another leg of the session"}]},
        "call": {"outcome": "ignored", "why": "the carrier of the mask, flowroute, carries no calls", "words": None,
                 "reaches": []},
    }  # fmt: skip
    stranger = client("GET", f"/v1/masks/{MASK}/explain?from={quote(CARL)}").json()
    assert (stranger["session"], stranger["lease"], stranger["text"]["words"]) == (None, "none", "nobody here")
    nowhere = client("GET", "/v1/masks/+12065559999/explain?from=+1 (206) 555-0203".replace(" ", "%20")).json()
    assert (nowhere["carrier"], nowhere["sender"], nowhere["text"]["outcome"]) == (None, CARL, "answered")
    assert nowhere["text"]["words"] == stranger["text"]["words"]
    assert client.rows() == before


def test_whom_it_is_about_must_be_said(client: Client) -> None:
    for query in ("", "?from=", "?from=x", "?sender=%2B12065550201"):
        answer = client("GET", f"/v1/masks/{MASK}/explain{query}")
        assert answer.status == 422
        assert '"from"' in answer.text


# --- opt-outs ---------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_opt_outs_are_added_listed_and_removed(client: Client) -> None:
    for person, mask in [(BOB, None), (ANN, MASK), (ANN, None), (ANN, OTHER), (CARL, OTHER)]:
        answer = client("POST", "/v1/opt-outs", json={"participant": person} | ({"mask": mask} if mask else {}))
        assert (answer.status, answer.json()["mask"]) == (201, mask)
    again = client("POST", "/v1/opt-outs", json={"participant": ANN, "mask": MASK})
    assert (again.status, again.json()["created_at"]) == (200, "2026-05-19T22:09:58.250Z")
    listed = [(ANN, None), (ANN, MASK), (ANN, OTHER), (BOB, None), (CARL, OTHER)]
    assert [(row["participant"], row["mask"]) for row in rows(client, "/v1/opt-outs")] == listed
    of_ann = rows(client, f"/v1/opt-outs?participant={quote(ANN)}")
    assert [row["mask"] for row in of_ann] == [None, MASK, OTHER]
    assert client("DELETE", f"/v1/opt-outs/{ANN}?mask={quote(MASK)}").status == 204
    assert client("DELETE", f"/v1/opt-outs/{BOB}").status == 204
    for gone in (f"{ANN}?mask={quote(MASK)}", BOB, CARL, DAN):
        refused(client("DELETE", f"/v1/opt-outs/{gone}"), 404, "opt-out-unknown")
    left = [(row["participant"], row["mask"]) for row in rows(client, "/v1/opt-outs")]
    assert left == [(ANN, None), (ANN, OTHER), (CARL, OTHER)]


def test_a_mask_that_is_not_ours_cannot_be_opted_out_from(client: Client) -> None:
    answer = client("POST", "/v1/opt-outs", json={"participant": ANN, "mask": "+12065559999"})
    assert places(refused(answer, 404, "number-unknown")) == ["/mask"]
    assert client.rows()["opt_outs"] == 0


def test_an_opt_out_holds_at_once_and_the_others_are_told(client: Client, store: Store) -> None:
    session = open_(client, ANN, BOB)
    client("POST", "/v1/opt-outs", json={"participant": BOB})
    [notice] = client.outbox()
    assert (notice["recipient"], notice["mask"], notice["kind"]) == (ANN, masks(session)[0], "notice")
    sent = post(client, session, "messages", {"text": "hello"}).json()["data"]
    assert [one["state"] for one in sent] == ["queued", "suppressed"]
    client("DELETE", f"/v1/opt-outs/{BOB}")
    assert [one["state"] for one in post(client, session, "messages", {"text": "hello"}).json()["data"]] == [
        "queued"
    ] * 2
    kinds = [row["kind"] for row in store.read(lambda tx: tx.events(0, 1000))]
    assert (kinds.count("opt_out"), kinds.count("opt_in")) == (1, 1)


# --- carriers ---------------------------------------------------------------------------------------


def test_carriers_say_how_they_stand(client: Client, carriers: dict[str, Any]) -> None:
    carriers["signalwire"].channels = frozenset({Channel.SMS, Channel.VOICE})
    carriers["signalwire"].rate = Rate(per_number=4, per_account=100)
    open_(client, ANN, BOB, start_text="hello")
    ready = {"state": "ready", "out": None, "last_error": None, "channels": ["text"], "needs": None}
    installed = Client(replace(client.context, installed={"acme": "ACME_KEY", "flowroute": "x"}))
    assert installed("GET", "/v1/carriers").json()["data"] == [
        ready | {"name": "acme", "state": "idle", "channels": [], "pace": None, "needs": "ACME_KEY", "backlog": 0},
        ready | {"name": "flowroute", "pace": {"per_number": None, "per_account": None}, "backlog": 2},
        ready | {"name": "signalwire", "channels": ["text", "voice"], "backlog": 0,
                 "pace": {"per_number": 4.0, "per_account": 100.0}},
    ]  # fmt: skip
    assert installed("GET", "/v1/carriers/flowroute").json()["backlog"] == 2
    refused(client("GET", "/v1/carriers/acme"), 404, "carrier-unknown")


def test_a_carrier_that_cannot_tell_its_rate_is_shown_all_the_same(client: Client, carriers: dict[str, Any]) -> None:
    class Broken(Scripted):
        """Fails where it is asked how fast it may be sent to."""

        @property
        def rate(self) -> Rate:  # type: ignore[override]
            raise RuntimeError("secret words")

    carriers["flowroute"] = Broken(name="flowroute")
    answer = client("GET", "/v1/carriers/flowroute")
    assert (answer.status, answer.json()["pace"]) == (200, None)


@pytest.mark.both_databases
def test_the_backlog_is_what_waits_and_what_is_being_sent(client: Client, store: Store, clock: SettableClock) -> None:
    def backlog(name: str) -> int:
        return int(client("GET", f"/v1/carriers/{name}").json()["backlog"])

    def put(carrier: str, mask: str, recipient: str) -> None:
        one = Outgoing(carrier=carrier, mask=mask, recipient=recipient, text="x")
        store.write(lambda tx: tx.enqueue(one, now=clock(), validity_ms=1000))

    for _ in range(3):
        put("flowroute", MASK, ANN)
        put("flowroute", MASK, BOB)
        put("flowroute", OTHER, ANN)
        put("signalwire", "+14155550100", ANN)
    assert (backlog("flowroute"), backlog("signalwire")) == (9, 3)
    fast, weigh = Rate(per_number=None), Scripted().weigh
    heads = store.write(lambda tx: tx.claim("flowroute", "me", rate=fast, weigh=weigh, room=2, now=clock()))
    assert len(heads) == 2
    assert (backlog("flowroute"), backlog("signalwire")) == (9, 3)
    store.write(lambda tx: tx.query("UPDATE outbox SET state = 'sent' WHERE carrier = 'signalwire'"))
    assert (backlog("flowroute"), backlog("signalwire")) == (9, 0)


def test_a_carrier_that_is_out_says_since_when_and_why(
    serve: Callable[..., Client], store: Store, carriers: dict[str, Any], clock: SettableClock
) -> None:
    store.write(lambda tx: [tx.add_number(number, "flowroute", "US", 1) for number in (MASK, OTHER)])
    carriers["flowroute"].script = [PermanentSendError("no such number"), CarrierMisconfigured("401 from the carrier")]
    client = serve(GATEWAY_RETRY_BASE="20ms")
    session = open_(client, ANN, BOB)
    for person in (ANN, BOB):
        post(client, session, "messages", {"text": "hello", "to": person})

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = client("GET", "/v1/carriers/flowroute").json()
        return found

    until(lambda: shown()["state"] == "out", "the carrier to be known so")
    why = {"at": "2026-05-19T22:09:58.250Z", "what": "401 from the carrier: check its credentials and account"}
    until(lambda: shown()["out"] == why, "the carrier to be known so")
    assert shown()["last_error"] == why
    clock.tick(minutes=1)
    client.context.dispatcher.ring()
    until(lambda: shown()["state"] == "ready", "the carrier to be known so")
    assert (shown()["out"], shown()["last_error"], shown()["backlog"]) == (None, why, 0)
