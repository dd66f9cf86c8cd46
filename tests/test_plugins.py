"""Carriers are found by entry point; one that is wrong stops the start, by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import plugins
from gateway.errors import ConfigError

CARRIER = """
from gateway import Carrier, CarrierSettings, WebhookResponse, hookimpl
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

class Settings(CarrierSettings):
    model_config = SettingsConfigDict(env_prefix="{NAME}_")
    account: str
    secret: SecretStr
    pace: float = 1.0

class {Name}(Carrier):
    name = "{name}"
    Settings = Settings
    def verify(self, request): pass
    def parse(self, request): return ()
    def send(self, message): raise NotImplementedError

@hookimpl
def register_carriers(register):
    register({Name})
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a distribution with one module and an entry point to it."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, source: str = "", distribution: str = "") -> None:
        distribution = distribution or f"maskgate-{name}"
        module = f"gateway_{distribution.removeprefix('maskgate-').replace('-', '_')}_for_test"
        (tmp_path / f"{module}.py").write_text(source or carrier(name))
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[maskgate]\n{distribution} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return make


def carrier(name: str) -> str:
    return CARRIER.replace("{name}", name).replace("{NAME}", name.upper()).replace("{Name}", name.title())


def test_an_installed_carrier_is_found_with_its_distribution(install: Install) -> None:
    install("acme")
    found = plugins.find_carriers()["acme"]
    assert (found.carrier.name, found.distribution, found.version) == ("acme", "maskgate-acme", "1.2")


def test_two_carriers_of_one_name_stop_the_start(install: Install) -> None:
    install("acme")
    install("acme", distribution="maskgate-acme-too")
    with pytest.raises(ConfigError, match=r"maskgate-acme and maskgate-acme-too bring a carrier named acme"):
        plugins.find_carriers()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module", "cannot be loaded"),
        ("1 / 0", "cannot be loaded"),
        (carrier("acme").replace("def register_carriers", "def register_carrier"), "does not fit"),
        (carrier("acme").replace("(register):", "(register, more):"), "does not fit"),
        (carrier("acme").replace('    name = "acme"\n', ""), "not whole: Acme lacks name"),
        (carrier("acme").replace("    Settings = Settings\n", ""), "not whole: Acme lacks Settings"),
        (carrier("acme").replace("= Settings\n", "= dict\n"), "not whole: Acme lacks Settings"),
        (carrier("acme").replace("def parse", "def pars").replace("def send", "def sen"), "Acme lacks parse, send"),
        (carrier("acme").replace("class Acme(Carrier)", "class Acme"), "Acme lacks the base class gateway.Carrier"),
        (carrier("acme").replace("register(Acme)", "register(None)"), "it lacks the base class gateway.Carrier"),
    ],
    ids=[
        "import error",
        "any error",
        "misspelt hook",
        "unknown argument",
        "no name",
        "no settings",
        "other settings",
        "methods missing",
        "another class",
        "no class",
    ],
)
def test_a_plugin_that_is_wrong_stops_the_start_by_the_name_of_its_distribution(
    install: Install, source: str, words: str
) -> None:
    install("acme", source)
    with pytest.raises(ConfigError, match=f"maskgate-acme .*{words}"):
        plugins.find_carriers()


def test_a_carrier_with_no_variable_set_is_idle(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme")
    found = {"acme": plugins.find_carriers()["acme"]}
    monkeypatch.setenv("ACME_ACCOUNT", "")
    assert plugins.build_configured(found) == {}


def test_a_carrier_with_some_variables_missing_names_them_all(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme")
    install("umbrella")
    found = {name: plugins.find_carriers()[name] for name in ("acme", "umbrella")}
    monkeypatch.setenv("ACME_PACE", "fast")
    monkeypatch.setenv("UMBRELLA_SECRET", "s3cret-of-ours")
    with pytest.raises(ConfigError) as caught:
        plugins.build_configured(found)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["ACME_ACCOUNT", "ACME_SECRET", "ACME_PACE", "UMBRELLA_ACCOUNT"]
    assert "s3cret" not in str(caught.value)
    assert "fast" not in str(caught.value)


def test_a_carrier_that_breaks_when_it_is_built_is_named_without_its_words(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks = "    def __init__(self, settings, http): raise RuntimeError(settings.secret.get_secret_value())\n"
    install("acme", carrier("acme").replace("    Settings = Settings\n", f"    Settings = Settings\n{breaks}"))
    found = {"acme": plugins.find_carriers()["acme"]}
    monkeypatch.setenv("ACME_ACCOUNT", "a")
    monkeypatch.setenv("ACME_SECRET", "s3cret-of-ours")
    with pytest.raises(ConfigError, match=r"^maskgate-acme fails with RuntimeError: a fault in the plugin$"):
        plugins.build_configured(found)


def test_the_credentials_of_a_carrier_are_what_it_cannot_do_without_and_its_secrets(install: Install) -> None:
    install(
        "acme", carrier("acme").replace("    pace", '    space: str = ""\n    key: SecretStr | None = None\n    pace')
    )
    settings = plugins.find_carriers()["acme"].carrier.Settings
    assert plugins.credentials(settings) == ["ACME_ACCOUNT", "ACME_SECRET", "ACME_SPACE", "ACME_KEY"]


def test_a_configured_carrier_is_built_with_its_settings(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme")
    found = {"acme": plugins.find_carriers()["acme"]}
    for name, value in (("ACME_ACCOUNT", "a"), ("acme_secret", "s3cret"), ("ACME_PACE", "")):
        monkeypatch.setenv(name, value)
    built = plugins.build_configured(found)["acme"]
    assert (built.settings.account, built.settings.pace) == ("a", 1.0)
    assert "s3cret" not in repr(built.settings)
