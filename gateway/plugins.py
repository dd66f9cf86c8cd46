"""Find carriers by entry point, and build those that are configured. With hookspecs.py the only user of pluggy."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import pluggy
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from gateway import hookspecs
from gateway.carrier import Carrier
from gateway.client import CarrierSession
from gateway.errors import ConfigError
from gateway.hookspecs import NAME
from gateway.logs import log_bug

log = logging.getLogger(__name__)

HOW_TO_GET_ONE = (
    "No carrier is installed. Each one is a package of its own: from a checkout `pip install ./plugins/flowroute` "
    "(or signalwire, or simulator to try without an account); where they are on a package index, "
    "`pip install maskgate-flowroute`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A carrier class and the distribution it came from."""

    carrier: type[Carrier]
    distribution: str  #: as in `pip install`
    version: str


def find_carriers() -> dict[str, Installed]:
    """Return every installed carrier by name, in order of name.

    Raises `ConfigError`, naming the distribution, if a plugin cannot be imported, misspells a hook, brings
    a class that lacks something, or takes a name that another one has.
    """
    manager = pluggy.PluginManager(NAME)
    manager.add_hookspecs(hookspecs)
    found: dict[str, Installed] = {}
    for entry in sorted(entry_points(group=NAME), key=lambda entry: entry.name):
        _register(manager, entry, found)
    return dict(sorted(found.items()))


def _register(manager: pluggy.PluginManager, entry: EntryPoint, found: dict[str, Installed]) -> None:
    distribution = entry.dist.name if entry.dist else entry.value
    version = entry.dist.version if entry.dist else ""
    try:
        plugin = entry.load()
    except Exception as error:  # a plugin may raise anything while it is imported
        raise ConfigError(
            f"The plugin {distribution} cannot be loaded ({type(error).__name__}: {error}). "
            f"Upgrade it or remove it: pip uninstall {distribution}"
        ) from error

    def register(carrier: type[Carrier]) -> None:
        if lacking := _lacking(carrier):
            raise ConfigError(
                f"The plugin {distribution} brings a carrier that is not whole: {getattr(carrier, '__name__', 'it')} "
                f"lacks {', '.join(lacking)}. The docstrings of gateway.Carrier say what each is."
            )
        if carrier.name in found:
            other = found[carrier.name].distribution
            raise ConfigError(f"Both {other} and {distribution} bring a carrier named {carrier.name}: uninstall one.")
        found[carrier.name] = Installed(carrier=carrier, distribution=distribution, version=version)

    try:
        manager.register(plugin, name=entry.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise ConfigError(f"The plugin {distribution} does not fit this gateway: {error}") from error
    caller = manager.subset_hook_caller("register_carriers", [p for p in manager.get_plugins() if p is not plugin])
    caller(register=register)


def _lacking(carrier: object) -> list[str]:
    """Return what a registered thing needs to be a carrier and does not have."""
    if not isinstance(carrier, type) or not issubclass(carrier, Carrier):
        return ["the base class gateway.Carrier"]
    settings = getattr(carrier, "Settings", None)
    named = isinstance(getattr(carrier, "name", None), str)
    has_settings = isinstance(settings, type) and issubclass(settings, BaseSettings)
    lacking = [] if named else ["name"]
    lacking += [] if has_settings else ["Settings"]
    return lacking + sorted(carrier.__abstractmethods__)


def variables(settings: type[BaseSettings]) -> dict[str, bool]:
    """Return the variables a carrier reads, by name in upper case, and whether each is required."""
    prefix = str(settings.model_config.get("env_prefix") or "")
    return {f"{prefix}{name}".upper(): field.is_required() for name, field in settings.model_fields.items()}


def credentials(settings: type[BaseSettings]) -> list[str]:
    """Return those of the `variables` that say who we are: required ones, secrets, and words empty unless set."""
    fields = zip(variables(settings).items(), settings.model_fields.values(), strict=True)
    return [
        name
        for (name, required), field in fields
        if required or "Secret" in str(field.annotation) or (not field.default and "str" in str(field.annotation))
    ]


def is_configured(carrier: type[Carrier], environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether any variable of the carrier is set; if not, it is installed but idle."""
    present = {name.upper() for name, value in environ.items() if value}
    return any(name in present for name in variables(carrier.Settings))


def build(carrier: type[Carrier], http: CarrierSession | None = None) -> Carrier:
    """Return the carrier as the environment configures it. Raises `ConfigError` naming every variable that is off."""
    try:
        settings = carrier.Settings()
    except ValidationError as error:
        raise ConfigError(_in_words(carrier, error)) from None
    return carrier(settings, http or CarrierSession())


def build_configured(found: Mapping[str, Installed]) -> dict[str, Carrier]:
    """Return the carriers the environment configures, by name. Raises one `ConfigError` for all that is off."""
    carriers: dict[str, Carrier] = {}
    complaints: list[str] = []
    for name, installed in found.items():
        if is_configured(installed.carrier):
            try:
                carriers[name] = build(installed.carrier)
            except ConfigError as error:
                complaints.append(str(error))
            except Exception as error:  # a plugin may raise anything; its words may hold a secret
                log_bug(log, f"the carrier {name}", error, carrier=name)
                complaints.append(fault(installed, error))
    if complaints:
        raise ConfigError("\n".join(complaints))
    return carriers


def fault(installed: Installed, error: Exception) -> str:
    """Return what to say of an error that no plugin should raise."""
    return f"{installed.distribution} fails with {type(error).__name__}: a fault in the plugin"


def _in_words(carrier: type[Carrier], error: ValidationError) -> str:
    prefix = str(carrier.Settings.model_config.get("env_prefix") or "")
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = f"{prefix}{problem['loc'][0]}".upper() if problem["loc"] else carrier.name
        words = "is missing" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {words}")
    return "\n".join(lines)
