"""The lines of every start: what runs here, on what, with whom, and who may use it. Ids and states, no secrets."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import gateway
from gateway.carrier import Carrier
from gateway.plugins import Installed
from gateway.settings import Settings
from gateway.store import Store
from gateway.values import is_public


def first_words(
    settings: Settings,
    found: Mapping[str, Installed],
    carriers: Mapping[str, Carrier],
    store: Store,
    place: str,
    public_url: str,
) -> list[str]:
    """Return one line each: version, address, database, carriers, dialects, what waits, who is let in, who is called
    back, warnings.

    `place` says where it listens, if it does.
    """
    states = {name: "ready" if name in carriers else "idle (nothing set)" for name in found}
    lines = [
        f"maskgate {gateway.__version__} on Python {sys.version.split()[0]}",
        f"{place}, carriers call {public_url.partition('/webhooks')[0]}",  # a token may have been pasted too
        f"database: {store.facts}",
        "carriers: " + "; ".join(f"{name} {state}" for name, state in states.items()),
        f"dialects: /tn and /session use {_state(settings.tn_carrier, states)}; "
        f"/api/rest uses {_state(settings.mask_carrier, states)}",
        _waiting(store),
        _auth(settings, carriers),
        *_callbacks(settings, store),
    ]
    return lines + [f"warning: {words}" for words in (*settings.warnings, *_warnings(settings, store, carriers))]


def _state(carrier: str, states: Mapping[str, str]) -> str:
    return f"{carrier}, {states.get(carrier, 'NOT INSTALLED')}"


def _waiting(store: Store) -> str:
    lanes = store.read(lambda tx: tx.lanes_waiting())
    return f"outbox: texts wait in {lanes} lanes" if lanes else "outbox: nothing waits"


def _callbacks(settings: Settings, store: Store) -> list[str]:
    if not settings.callback_endpoints:
        return []
    names = sorted(endpoint.name for endpoint in settings.callback_endpoints)
    many = f"{len(names)} endpoint" + "s" * (len(names) > 1)
    out = [name for name, state in store.read(lambda tx: tx.endpoints(names)).items() if state.circuit.is_open]
    return [f"callbacks: {many} ({', '.join(names)})" + (f"; out: {', '.join(out)}" if out else "")]


def _auth(settings: Settings, carriers: Mapping[str, Carrier]) -> str:
    keys = "OFF, everybody who reaches it may use the API"
    if settings.api_keys:
        keys = f"{len(settings.api_keys)} API key" + "s" * (len(settings.api_keys) > 1)
    unsigned = [name for name, carrier in carriers.items() if not carrier.signed]
    hooks = "not needed, every carrier signs" if carriers else "not needed, no carrier is on"
    if settings.webhook_token:
        hooks = "on"
    elif unsigned:
        hooks = f"OFF, everybody who reaches it is taken for {' or '.join(unsigned)}"
    return f"auth: {keys}; webhook token: {hooks}"


def _warnings(settings: Settings, store: Store, carriers: Mapping[str, Carrier]) -> list[str]:
    words = []
    if settings.insecure:
        words.append("GATEWAY_INSECURE: the door is open, whatever is missing")
    words += [
        f"callbacks to {endpoint.name} go over http: whoever is on the way can read them"
        for endpoint in settings.callback_endpoints
        if not endpoint.is_encrypted and is_public(endpoint.host)
    ]
    gone = store.read(lambda tx: tx.carriers_waiting()) - carriers.keys()
    words += [f"texts wait for {name}, which is not configured: they expire unless it is" for name in sorted(gone)]
    return words
