"""`/v1` over real sockets: a session over two carriers, a group of four, and what an application does with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from gateways import TOKEN, api, carrier_for, gateway, network

from gateway.calls import Connect, Refuse
from gateway.server import Gateway
from gateway.testing.network import Handset, Network

POOLS = {"flowroute": ["+12065550190", "+12065550191"], "signalwire": ["+14155550190", "+14155550191"]}
ANN, BOB, CARL, DAN = "+12065550101", "+14155550102", "+12065550103", "+14155550104"


class Town:
    """A gateway between two carriers, each with its network; people are with either."""

    def __init__(self, running: Gateway, networks: dict[str, Network]) -> None:
        self.gateway = running
        self.networks = networks

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API, which must do as it is told."""
        status, answer = api(self.gateway, method, f"/v1/{path}", body)
        assert status in (200, 201), (status, answer)
        return answer

    def phone(self, leg: dict[str, Any]) -> Handset:
        """Return the phone of a participant, at the carrier of their mask: that is where both ends of it are."""
        return self.networks[leg["carrier"]].handset(leg["participant"])

    def phones(self, session: dict[str, Any]) -> list[Handset]:
        return [self.phone(leg) for leg in session["legs"]]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with ExitStack() as stack:
        networks = {name: stack.enter_context(network(name)) for name in POOLS}
        carriers = {name: carrier_for(net, name) for name, net in networks.items()}
        running = stack.enter_context(gateway(tmp_path, carriers))
        for name, net in networks.items():
            net.webhook_url = f"{running.url}/webhooks/{name}/{TOKEN}"
        found = Town(running, networks)
        numbers = [{"number": number, "carrier": name} for name, pool in POOLS.items() for number in pool]
        found("POST", "pool/import", {"numbers": numbers})
        yield found


def said(phone: Handset) -> list[tuple[str, str]]:
    """Return what a phone has got: from whom, as it shows, and what."""
    return [(text.sender, text.text) for text in phone.inbox]


def test_a_conversation_over_two_carriers(town: Town) -> None:
    participants = [{"number": ANN, "carrier": "flowroute"}, {"number": BOB, "carrier": "signalwire"}]
    session = town("POST", "sessions", {"participants": participants, "start_text": "Hello both"})
    ann, bob = town.phones(session)
    mask_of_ann, mask_of_bob = (leg["mask"] for leg in session["legs"])
    assert mask_of_ann in POOLS["flowroute"]
    assert mask_of_bob in POOLS["signalwire"]
    ann.wait_for(1)
    bob.wait_for(1)
    for i in range(3):
        assert ann.text(mask_of_ann, f"to Bob “{i}”", media=("https://media.example.com/1.jpg",)).status == 200
        assert bob.text(mask_of_bob, f"to Ann “{i}”", repeat=3).status == 200
    ann.wait_for(4)
    bob.wait_for(4)
    start = "[YOUR ORG NAME]: Hello both"
    assert said(ann) == [(mask_of_ann, start)] + [(mask_of_ann, f"to Ann “{i}”") for i in range(3)]
    assert said(bob) == [(mask_of_bob, start)] + [(mask_of_bob, f"to Bob “{i}”") for i in range(3)]
    assert bob.inbox[1].media == ("https://media.example.com/1.jpg",)
    explained = town("GET", f"masks/{quote(mask_of_bob)}/explain?from={quote(BOB)}")
    assert [reach["mask"] for reach in explained["text"]["reaches"]] == [mask_of_ann]
    # Ann's number cannot be rung from Bob's carrier without showing it
    assert explained["call"]["outcome"] == "refused"
    assert isinstance(bob.call(mask_of_bob).route, Refuse)
    town("POST", f"sessions/{session['id']}/messages", {"text": "From the shop", "to": ANN})
    ann.wait_for(5)
    town("POST", f"sessions/{session['id']}/end", {"text": "Goodbye"})
    ann.wait_for(6)
    bob.wait_for(5)
    assert [text for _, text in said(ann)[-2:]] == ["From the shop", "[YOUR ORG NAME]: Goodbye"]
    ann.text(mask_of_ann, "are you still there?")
    assert "has ended" in ann.wait_for(7)[-1].text
    assert len(bob.inbox) == 5


def test_a_text_goes_to_nobody_by_the_other_carrier_s_mask(town: Town) -> None:
    """A mask is spoken for by its own carrier only, whoever knows the numbers of both."""
    participants = [{"number": ANN, "carrier": "flowroute"}, {"number": BOB, "carrier": "signalwire"}]
    session = town("POST", "sessions", {"participants": participants})
    ann, bob = town.phones(session)
    mask_of_ann, mask_of_bob = (leg["mask"] for leg in session["legs"])
    town.networks["signalwire"].handset(ANN).text(mask_of_ann, "by the wrong way")
    town.networks["flowroute"].handset(BOB).text(mask_of_bob, "by the wrong way")
    bob.text(mask_of_bob, "by the right way")
    ann.wait_for(1)
    assert said(ann) == [(mask_of_ann, "by the right way")]
    assert said(bob) == []


def test_a_group_of_four_over_two_carriers(town: Town) -> None:
    people = {ANN: "Driver", BOB: "Rider", CARL: "", DAN: "Shop"}
    carriers = {ANN: "flowroute", BOB: "signalwire", CARL: "flowroute", DAN: "signalwire"}
    participants = [{"number": number, "name": name, "carrier": carriers[number]} for number, name in people.items()]
    session = town("POST", "sessions", {"participants": participants, "external_id": "ride-7"})
    legs = {leg["participant"]: leg for leg in session["legs"]}
    phones = {number: town.phone(leg) for number, leg in legs.items()}
    for number, name in people.items():
        assert phones[number].text(legs[number]["mask"], f"hello from {name}").status == 200
    for number, phone in phones.items():
        heard = {
            (legs[number]["mask"], f"{name}: hello from {name}" if name else "hello from ")
            for other, name in people.items()
            if other != number
        }
        phone.wait_for(3)
        assert set(said(phone)) == heard
    body = {"participants": [{"participant": CARL, "name": "Carl"}], "ttl": "1h"}
    town("PATCH", f"sessions/{session['id']}", body)
    phones[CARL].text(legs[CARL]["mask"], "me too")
    for number in (ANN, BOB, DAN):
        assert phones[number].wait_for(4)[-1].text == "Carl: me too"
    [listed] = town("GET", "sessions?external_id=ride-7")["data"]
    assert [leg["name"] for leg in listed["legs"]] == ["Driver", "Rider", "Carl", "Shop"]


def test_calls_ring_everybody_else_at_a_carrier_that_has_them(town: Town) -> None:
    participants = [{"number": number} for number in (ANN, BOB, DAN)]
    session = town("POST", "sessions", {"participants": participants, "channels": ["voice", "text"]})
    ann, bob, dan = town.phones(session)
    masks = [leg["mask"] for leg in session["legs"]]
    assert set(masks) <= set(POOLS["signalwire"])
    route = ann.call(masks[0]).route
    assert isinstance(route, Connect)
    assert {(ring.caller_id, phone.number) for phone in (bob, dan) for ring in phone.rings} == {
        (masks[1], BOB), (masks[2], DAN)
    }  # fmt: skip


def test_somebody_goes_on_from_another_phone_and_the_old_one_hears_nothing_more(town: Town) -> None:
    participants = [{"number": ANN, "carrier": "flowroute"}, {"number": BOB, "carrier": "signalwire"}]
    session = town("POST", "sessions", {"participants": participants})
    ann, bob = town.phones(session)
    changed = town("PATCH", f"sessions/{session['id']}", {"participants": [{"participant": ANN, "number": CARL}]})
    carl = town.phone(changed["legs"][0])
    bob.text(session["legs"][1]["mask"], "hello")
    assert carl.wait_for(1)[0].text == "hello"
    ann.text(session["legs"][0]["mask"], "I was Ann")
    assert "has ended" in ann.wait_for(1)[0].text
    carl.text(changed["legs"][0]["mask"], "I am")
    assert [text.text for text in bob.wait_for(1)] == ["I am"]
    town("POST", f"sessions/{session['id']}/end", {})
    again = town("POST", f"sessions/{session['id']}/reopen", {})
    assert [leg["participant"] for leg in again["legs"]] == [CARL, BOB]
    carl.text(changed["legs"][0]["mask"], "still here")
    assert bob.wait_for(2)[-1].text == "still here"
