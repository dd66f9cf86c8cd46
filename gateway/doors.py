"""The locked door: what must be set before the gateway listens where strangers can reach it. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from gateway.carrier import Carrier
from gateway.settings import Settings
from gateway.values import is_public


def closed_doors(settings: Settings, carriers: Mapping[str, Carrier]) -> str:
    """Return in one message all that keeps the gateway from starting, or ""."""
    where = _reachable_on(settings)
    if settings.insecure or not where:
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
        f"Others could reach the gateway on {where}. Before that, set:\n"
        + "\n".join(f"  {line}" for line in missing)
        + "\nGATEWAY_INSECURE=1 starts all the same."
    )


def _reachable_on(settings: Settings) -> str:
    """Return where strangers can reach the gateway: the address it listens on, or the proxy before it. Else ""."""
    if not is_loopback(settings.listen_host):
        return settings.listen_host or "every address of this machine"
    return settings.public_url if is_public(urlsplit(settings.public_url).hostname or "") else ""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
