"""The locked door: what must be set before the gateway listens where strangers can reach it. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from gateway.carrier import Carrier
from gateway.settings import Settings


def closed_doors(settings: Settings, carriers: Mapping[str, Carrier]) -> str:
    """Return in one message all that keeps the gateway from starting, or ""."""
    if settings.insecure or is_loopback(settings.listen_host):
        return ""
    missing = []
    if not settings.api_keys:
        missing.append("GATEWAY_API_KEYS: set one or more long random keys, separated by commas")
    unsigned = [name for name, carrier in carriers.items() if not carrier.signed]
    if unsigned and settings.webhook_token is None:
        names = ", ".join(unsigned)
        missing.append(
            f"GATEWAY_WEBHOOK_TOKEN: set a long random word, and put it at the end of the webhook URL at {names}, "
            "whose webhooks are not signed (or not verified: see `gateway carriers`)"
        )
    if not missing:
        return ""
    return (
        f"The gateway would listen on {settings.listen_host}, where others can reach it. Before that, set:\n"
        + "\n".join(f"  {line}" for line in missing)
        + "\nOr listen on 127.0.0.1 (GATEWAY_LISTEN); GATEWAY_INSECURE=1 starts all the same."
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
