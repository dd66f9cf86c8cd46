"""What `gateway check` finds: facts about this installation, without printing.

Nothing here holds a real number or a secret: variables are named, their values are not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from gateway import plugins, values
from gateway.callbacks.endpoints import Endpoint
from gateway.callbacks.reaching import is_proxied, unreachable
from gateway.carrier import Carrier
from gateway.doors import is_loopback
from gateway.errors import CarrierMisconfigured, ConfigError, GatewayError, RetryableSendError, SendError
from gateway.listing import CarrierRow, State, built, carrier_rows, holds_webhooks
from gateway.plugins import Installed
from gateway.settings import HOW_TO_MAKE_ONE, Settings, read_settings, settings_table


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
        Step(name="public URL", run=lambda: public_url_findings(settings, found)),
        *([Step(name="callbacks", run=lambda: callback_findings(settings))] if settings.callback_endpoints else []),
        Step(name="words", run=lambda: words_findings(settings)),
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
    carrier, state, detail = built(installed)
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
        names = ", ".join(plugins.credentials(installed.carrier.Settings))
        return f"the carrier refuses ({error.detail}). Compare {names}"
    if isinstance(error, RetryableSendError):
        return (
            f"the carrier cannot be asked now ({error.detail}). Try again; if it stays, look at the network and proxy"
        )
    return f"the carrier answers with an error ({error.detail}). Look at the account on the carrier's own pages"


def callback_findings(settings: Settings) -> list[Finding]:
    """Return whether somebody listens where callbacks go. Nothing is sent there."""
    return [_callback(endpoint) for endpoint in settings.callback_endpoints]


def _callback(endpoint: Endpoint) -> Finding:
    if is_proxied(endpoint):
        return _note("GATEWAY_CALLBACK_URL", f"{endpoint.name}: through a proxy, so whether it listens was not tried")
    if why := unreachable(endpoint):
        return _wrong("GATEWAY_CALLBACK_URL", f"{endpoint.name}: {why}. Compare its host and port")
    return _ok("GATEWAY_CALLBACK_URL", f"{endpoint.name}: somebody listens there (nothing was sent)")


def words_findings(settings: Settings) -> list[Finding]:
    """Return which words that people will read are still those of nobody in particular."""
    return [
        _note(row.variable, "still the default, and people will read it: put your own")
        for field, row in zip(Settings.model_fields, settings_table(), strict=True)
        if field in ("org_name", "no_session_msg") and getattr(settings, field) == row.default
    ]


def database_findings(settings: Settings) -> list[Finding]:
    """Return whether the database can be written, and keeps what is written."""
    from gateway import store

    try:
        return [_ok("database", store.check(settings.database_url))]
    except GatewayError as error:
        return [_wrong("GATEWAY_DATABASE_URL", f"{error}".removeprefix("GATEWAY_DATABASE_URL: "))]


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


def public_url_findings(settings: Settings, found: Mapping[str, Installed]) -> list[Finding]:
    """Return whether carriers can reach the public URL, as far as its words tell."""
    url = settings.public_url
    if not url:
        why = "unset, and the port is not known before the start"
    elif holds_webhooks(url):  # and behind it, perhaps, a token
        why = "its path holds /webhooks, which the gateway appends itself: leave that away, and what follows"
    elif _is_private(url) and _are_here(found):
        words = f"{url} is known to this machine or network only; so are the carriers that are set"
        return [_note("GATEWAY_PUBLIC_URL", words)]
    elif _is_private(url):
        why = f"{url} is known to this machine or network only, so carriers cannot call it"
    elif urlsplit(url).scheme != "https":
        why = f"{url} is not https, so texts would cross the internet for everyone to read"
    else:
        return [_ok("GATEWAY_PUBLIC_URL", f"{url} (its form; it is not called)")]
    return [_wrong("GATEWAY_PUBLIC_URL", f"{why}. Set it to the https:// URL that leads here from outside")]


def _is_private(url: str) -> bool:
    return not values.is_public(urlsplit(url).hostname or "")


def _are_here(found: Mapping[str, Installed]) -> bool:
    """Return whether there are carriers, and the URL of each leads to nowhere but this machine or network."""
    carriers = [carrier for installed in found.values() if (carrier := built(installed)[0])]
    return bool(carriers) and all(urls and all(map(_is_private, urls)) for urls in map(_urls, carriers))


def _urls(carrier: Carrier) -> list[str]:
    """Return where a carrier is called, as far as its settings say."""
    values = carrier.settings.model_dump().values()
    return [value for value in values if isinstance(value, str) and urlsplit(value).scheme in ("http", "https")]


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
