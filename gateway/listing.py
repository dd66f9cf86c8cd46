"""What `gateway carriers` lists: which carriers are installed, and how far each one has come. Without printing.

Nothing here holds a secret: variables are named, their values are not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from gateway import plugins
from gateway.carrier import Carrier
from gateway.errors import ConfigError
from gateway.messages import Channel
from gateway.plugins import Installed
from gateway.settings import Settings

TOKEN = "$GATEWAY_WEBHOOK_TOKEN"  # noqa: S105 - the variable's name stands for its value wherever a URL is shown


class State(Enum):
    """How far a carrier's settings have come."""

    READY = "ready"
    IDLE = "idle"  #: none of its variables is set
    WRONG = "wrong"  #: some are, and they do not do


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierRow:
    """An installed carrier, for `gateway carriers`."""

    name: str
    distribution: str
    version: str
    state: State
    detail: str  #: what to set where it is idle, what is wrong where it is wrong
    channels: tuple[str, ...]
    signed: bool | None  #: None: depends on settings that are not there
    webhook_url: str  #: to paste at the carrier, for texts, calls and as fallback; the token is only named


def carrier_rows(found: Mapping[str, Installed], settings: Settings | None) -> list[CarrierRow]:
    """Return a row for each installed carrier. Without `settings`, their variables stand in the URLs."""
    return [_row(name, installed, settings) for name, installed in found.items()]


def _row(name: str, installed: Installed, settings: Settings | None) -> CarrierRow:
    carrier, state, detail = built(installed)
    signed = _signed(carrier or installed.carrier)
    return CarrierRow(
        name=name,
        distribution=installed.distribution,
        version=installed.version,
        state=state,
        detail=detail,
        channels=tuple(channel.value for channel in Channel if channel in installed.carrier.channels),
        signed=signed,
        webhook_url=webhook_url(name, signed, settings),
    )


def _signed(carrier: Carrier | type[Carrier]) -> bool | None:
    """Return whether webhooks are signed, None where a property of the plugin's will say once there are settings."""
    signed = getattr(carrier, "signed", None)
    if signed is Carrier.signed:  # not overridden, so nobody signs
        return False
    return signed if isinstance(signed, bool) else None


def built(installed: Installed) -> tuple[Carrier | None, State, str]:
    """Return the carrier if it can be built, its state, and what is missing or wrong, in one line."""
    if not plugins.is_configured(installed.carrier):
        return None, State.IDLE, f"set {needed(installed.carrier)}"
    try:
        return plugins.build(installed.carrier), State.READY, ""
    except ConfigError as error:
        return None, State.WRONG, "; ".join(str(error).splitlines())
    except Exception as error:  # a plugin may raise anything; its words may hold a secret
        return None, State.WRONG, plugins.fault(installed, error)


def needed(carrier: type[Carrier]) -> str:
    """Return which variables to set to use a carrier, in words where it has some."""
    variables = plugins.variables(carrier.Settings)
    required = [name for name, needed in variables.items() if needed]
    return getattr(carrier.Settings, "needs", "") or ", ".join(required) or f"some of {', '.join(variables)}"


def webhook_url(name: str, signed: bool | None, settings: Settings | None) -> str:
    """Return what to paste at the carrier. The token is part of it if it is set, or must be."""
    known = settings is not None and settings.public_url and not holds_webhooks(settings.public_url)
    base = settings.public_url if settings and known else "$GATEWAY_PUBLIC_URL"
    token = bool(settings and settings.webhook_token) or not signed
    return f"{base}/webhooks/{name}" + (f"/{TOKEN}" if token else "")


def holds_webhooks(url: str) -> bool:
    """Return whether a public URL was given with what the gateway appends to it, and perhaps the token behind."""
    return "/webhooks" in urlsplit(url).path.lower()
