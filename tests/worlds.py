"""A gateway, the network its carrier stands in for, and the phones of three people, over real sockets."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gateways import TOKEN, api, carrier_for, gateway, network

from gateway.server import Gateway
from gateway.testing.network import Handset, Network

MASK = "+12065550199"
ANN, BOB, EVE = "+12065550101", "+12065550102", "+12065550166"
CARRIERS = ["simulator", "flowroute", "signalwire"]
NO_SESSION = "[YOUR ORG NAME]: An active session was not found. Please contact support@yourorg.com"


@dataclass
class World:
    """A gateway, the network its carrier stands in for, and the phones of three people."""

    gateway: Gateway
    network: Network
    ann: Handset
    bob: Handset
    eve: Handset
    session: str = ""

    def open(self) -> None:
        """Open a session of Ann and Bob over the only number, and read the start texts away."""
        status, answer = api(self.gateway, "POST", "/session", {"participant_a": ANN, "participant_b": BOB})
        assert status == 200, answer
        self.session = answer["session_id"]
        self.ann.wait_for(1)
        self.bob.wait_for(1)

    def states(self) -> list[str]:
        """Return what became of every message, in order of their states, once none of them is on its way."""
        while "sending" in (states := self._states()):
            pass
        return sorted(states)

    def state_of(self, ref: str) -> list[str]:
        return self._states(" WHERE carrier_ref = :ref", ref=ref)

    def _states(self, where: str = "", **params: str) -> list[str]:
        rows = self.gateway.store.read(lambda tx: tx.query(f"SELECT state FROM outbox{where}", **params))
        return [row["state"] for row in rows]


def world(
    stack: ExitStack,
    folder: Path,
    carrier: str,
    settings: dict | None = None,
    variables: dict[str, str] | None = None,
    **options: object,
) -> World:
    """Return the world of a carrier: `settings` are its own, `variables` the gateway's, `options` the network's."""
    net = stack.enter_context(network(carrier, **options))
    built = carrier_for(net, carrier, **(settings or {}))
    running = stack.enter_context(
        gateway(folder, {carrier: built}, GATEWAY_TN_CARRIER=carrier, GATEWAY_MASK_CARRIER=carrier, **(variables or {}))
    )
    net.webhook_url = f"{running.url}/webhooks/{carrier}/{TOKEN}"
    assert api(running, "POST", "/tn", {"value": MASK})[0] == 200
    return World(running, net, *(net.handset(number) for number in (ANN, BOB, EVE)))
