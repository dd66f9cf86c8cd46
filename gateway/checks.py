"""What `gateway carriers` lists and what `gateway check` finds: facts about this installation, without printing.

Nothing here holds a real number or a secret: variables are named, their values are not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from gateway import plugins, values
from gateway.carrier import Carrier
from gateway.doors import is_loopback
from gateway.errors import CarrierMisconfigured, ConfigError, GatewayError, RetryableSendError, SendError
from gateway.messages import Channel
from gateway.plugins import Installed
from gateway.settings import HOW_TO_MAKE_ONE, Settings, read_settings

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


class Mark(Enum):
    """What a finding means for the exit code: `WRONG` makes it 1."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `gateway check`."""

    mark: Mark
    subject: str
    words: str  #: with what to do, where it is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to look at, which may take a moment."""

    name: str
    run: Callable[[], list[Finding]]


# --- gateway carriers ---------------------------------------------------------------------------


def carrier_rows(found: Mapping[str, Installed], settings: Settings | None) -> list[CarrierRow]:
    """Return a row for each installed carrier. Without `settings`, their variables stand in the URLs."""
    return [_row(name, installed, settings) for name, installed in found.items()]


def _row(name: str, installed: Installed, settings: Settings | None) -> CarrierRow:
    carrier, state, detail = _built(installed)
    signed = getattr(carrier or installed.carrier, "signed", None)
    signed = signed if isinstance(signed, bool) else None
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


def _built(installed: Installed) -> tuple[Carrier | None, State, str]:
    """Return the carrier if it can be built, its state, and what is missing or wrong, in one line."""
    if not plugins.is_configured(installed.carrier):
        return None, State.IDLE, f"set {_needed(installed.carrier)}"
    try:
        return plugins.build(installed.carrier), State.READY, ""
    except ConfigError as error:
        return None, State.WRONG, "; ".join(str(error).splitlines())
    except Exception as error:  # a plugin may raise anything; its words may hold a secret
        return None, State.WRONG, f"{installed.distribution} fails with {type(error).__name__}: a fault in the plugin"


def _needed(carrier: type[Carrier]) -> str:
    variables = plugins.variables(carrier.Settings)
    required = [name for name, needed in variables.items() if needed]
    return ", ".join(required) or f"some of {', '.join(variables)}"


def webhook_url(name: str, signed: bool | None, settings: Settings | None) -> str:
    """Return what to paste at the carrier. The token is part of it if it is set, or must be."""
    base = settings.public_url if settings and settings.public_url else "$GATEWAY_PUBLIC_URL"
    token = bool(settings and settings.webhook_token) or not signed
    return f"{base}/webhooks/{name}" + (f"/{TOKEN}" if token else "")


# --- gateway check ------------------------------------------------------------------------------


def steps() -> list[Step]:
    """Return everything there is to look at, in the order it should be read. Reads the environment, calls nobody."""
    settings, said = _settings()
    found, told = _carriers()
    result = [Step(name="settings", run=lambda: said)]
    if settings is not None:
        result += _steps_of(settings, found)
    result.append(Step(name="carriers", run=lambda: told))
    result += [Step(name=name, run=_later(carrier_findings, name, installed)) for name, installed in found.items()]
    return result


def _steps_of(settings: Settings, found: Mapping[str, Installed]) -> list[Step]:
    return [
        Step(name="database", run=lambda: database_findings(settings)),
        Step(name="access", run=lambda: access_findings(settings, carrier_rows(found, settings))),
        Step(name="public URL", run=lambda: public_url_findings(settings)),
        Step(name="dialects", run=lambda: dialect_findings(settings, carrier_rows(found, settings))),
    ]


def _later(
    look: Callable[[str, Installed], list[Finding]], name: str, installed: Installed
) -> Callable[[], list[Finding]]:
    return lambda: look(name, installed)


def _settings() -> tuple[Settings | None, list[Finding]]:
    try:
        settings = read_settings()
    except ConfigError as error:
        return None, [_line(Mark.WRONG, line) for line in str(error).splitlines()]
    return settings, [_ok("settings", "understood"), *(_line(Mark.NOTE, line) for line in settings.warnings)]


def _carriers() -> tuple[dict[str, Installed], list[Finding]]:
    try:
        found = plugins.find_carriers()
    except ConfigError as error:
        return {}, [_wrong("carriers", str(error))]
    if not found:
        return {}, [_wrong("carriers", plugins.HOW_TO_GET_ONE)]
    if not any(plugins.is_configured(installed.carrier) for installed in found.values()):
        return found, [_wrong("carriers", "none is configured, so nothing can be sent. Set the variables of one:")]
    return found, []


def carrier_findings(name: str, installed: Installed) -> list[Finding]:
    """Return what became of a call to the carrier with the credentials that are set."""
    carrier, state, detail = _built(installed)
    if carrier is None:
        return [_note(name, f"idle: {detail} to use it") if state is State.IDLE else _wrong(name, detail)]
    try:
        asked = carrier.check()
    except SendError as error:
        return [_wrong(name, _advice(error, installed))]
    except Exception as error:  # a plugin may raise anything; its words may hold a secret
        return [_wrong(name, f"{type(error).__name__} in its check: a fault in the plugin {installed.distribution}")]
    return [_ok(name, "its credentials are accepted") if asked else _note(name, "configured; there is nothing to call")]


def _advice(error: SendError, installed: Installed) -> str:
    if isinstance(error, CarrierMisconfigured):
        return (
            f"the carrier refuses ({error.detail}). Compare {', '.join(plugins.variables(installed.carrier.Settings))}"
        )
    if isinstance(error, RetryableSendError):
        return (
            f"the carrier cannot be asked now ({error.detail}). Try again; if it stays, look at the network and proxy"
        )
    return f"the carrier answers with an error ({error.detail}). Look at the account on the carrier's own pages"


def database_findings(settings: Settings) -> list[Finding]:
    """Return whether the database can be written, and keeps what is written."""
    from gateway import store

    try:
        return [_ok("database", store.check(settings.database_url))]
    except GatewayError as error:
        return [_wrong("GATEWAY_DATABASE_URL", f"{error}")]


def access_findings(settings: Settings, rows: list[CarrierRow]) -> list[Finding]:
    """Return who can use the API, and who can pose as a carrier."""
    alone = is_loopback(settings.listen_host) and _is_private(settings.public_url)
    unsigned = [row.name for row in rows if row.state is State.READY and not row.signed]
    return [_api_access(settings, alone), *([_webhook_access(settings, alone, unsigned)] if unsigned else [])]


def _api_access(settings: Settings, alone: bool) -> Finding:
    if settings.api_keys:
        return _ok("GATEWAY_API_KEYS", f"{len(settings.api_keys)} set: the API opens with a key")
    if alone:
        return _ok("GATEWAY_API_KEYS", "unset: the API is open, to this machine only")
    return _wrong("GATEWAY_API_KEYS", f"unset: whoever finds the API opens it. Set it; {HOW_TO_MAKE_ONE} makes a key")


def _webhook_access(settings: Settings, alone: bool, unsigned: list[str]) -> Finding:
    names = " and ".join(unsigned)
    if settings.webhook_token:
        return _ok("GATEWAY_WEBHOOK_TOKEN", f"set: webhooks of {names}, which are not signed, need it")
    if alone:
        return _ok("GATEWAY_WEBHOOK_TOKEN", f"unset: webhooks of {names} are taken from anyone on this machine")
    return _wrong("GATEWAY_WEBHOOK_TOKEN", f"unset: anyone can pose as {names}. Set it; {HOW_TO_MAKE_ONE} makes one")


def public_url_findings(settings: Settings) -> list[Finding]:
    """Return whether carriers can reach the public URL, as far as its words tell."""
    url = settings.public_url
    if not url:
        why = "unset, and the port is not known before the start"
    elif _is_private(url):
        why = f"{url} is known to this machine or network only, so carriers cannot call it"
    elif urlsplit(url).scheme != "https":
        why = f"{url} is not https, so texts would cross the internet for everyone to read"
    else:
        return [_ok("GATEWAY_PUBLIC_URL", url)]
    return [_wrong("GATEWAY_PUBLIC_URL", f"{why}. Set it to the https:// URL that leads here from outside")]


def _is_private(url: str) -> bool:
    return not values.is_public(urlsplit(url).hostname or "")


def dialect_findings(settings: Settings, rows: list[CarrierRow]) -> list[Finding]:
    """Return whether the carriers of the two inherited APIs are there. One that was not asked for may be missing."""
    states = {row.name: row.state for row in rows}
    return [
        _dialect(variable, name, states.get(name), field in settings.model_fields_set)
        for field, variable, name in (
            ("tn_carrier", "GATEWAY_TN_CARRIER", settings.tn_carrier),
            ("mask_carrier", "GATEWAY_MASK_CARRIER", settings.mask_carrier),
        )
    ]


def _dialect(variable: str, name: str, state: State | None, asked_for: bool) -> Finding:
    if state is State.READY:
        return _ok(variable, f"{name} is ready")
    words = f"{name} is not {'configured' if state else 'installed'}: until it is, its numbers cannot be used here"
    return _wrong(variable, words) if asked_for else _note(variable, words)


def _ok(subject: str, words: str) -> Finding:
    return Finding(mark=Mark.OK, subject=subject, words=words)


def _note(subject: str, words: str) -> Finding:
    return Finding(mark=Mark.NOTE, subject=subject, words=words)


def _wrong(subject: str, words: str) -> Finding:
    return Finding(mark=Mark.WRONG, subject=subject, words=words)


def _line(mark: Mark, line: str) -> Finding:
    subject, _, words = line.partition(": ")
    return Finding(mark=mark, subject=subject, words=words)
