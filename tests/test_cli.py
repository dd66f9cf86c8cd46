"""The command, run in this process and as a real one, with a carrier that is installed for the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest
from click.testing import CliRunner, Result

import gateway
from gateway.cli import main
from gateway.settings import settings_table

SECRET = "zebra-giraffe-elephant"

ACME = """
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

import gateway
from gateway import CarrierSettings, Channel


class Settings(CarrierSettings):
    model_config = SettingsConfigDict(env_prefix="ACME_")
    account: str
    api_key: SecretStr
    mood: str = "well"
    pace: float = 1.0


class Acme(gateway.Carrier):
    name = "acme"
    Settings = Settings
    channels = frozenset({Channel.SMS, Channel.VOICE})
    signed = True

    def __init__(self, settings, http):
        super().__init__(settings, http)
        if settings.mood == "broken":
            raise RuntimeError(settings.api_key.get_secret_value())

    def verify(self, request):
        pass

    def parse(self, request):
        return ()

    def send(self, message):
        raise gateway.PermanentSendError("never")

    def check(self):
        match self.settings.mood:
            case "nobody to ask":
                return False
            case "unauthorised":
                raise gateway.CarrierMisconfigured("HTTP 401")
            case "down":
                raise gateway.RetryableSendError("could not connect")
            case "odd":
                raise gateway.PermanentSendError("HTTP 404")
            case "faulty":
                raise KeyError(self.settings.api_key.get_secret_value())
        return True


class Bulk(Acme):
    name = "bulk"
    channels = frozenset({Channel.SMS})
    signed = False

    class Settings(CarrierSettings):
        model_config = SettingsConfigDict(env_prefix="BULK_")
        mood: str = "well"


@gateway.hookimpl
def register_carriers(register):
    register(Acme)
    register(Bulk)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and an environment in which no gateway and no carrier is configured."""
    ours = {row.variable for row in settings_table()}
    for name in list(os.environ):
        if name in ours or name.startswith(("GATEWAY_", "FLOWROUTE_", "SIGNALWIRE_", "SIMULATOR_", "ECHO_", "ACME_")):
            monkeypatch.delenv(name)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def acme(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two carriers, installed as pip would leave them."""
    site = tmp_path / "site"
    info = site / "maskgate_acme-1.2.dist-info"
    info.mkdir(parents=True)
    (site / "gateway_acme.py").write_text(ACME)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: maskgate-acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[maskgate]\nacme = gateway_acme\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "gateway_acme", raising=False)
    return site


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def configure(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """A whole, right installation; `variables` change it."""
    whole = {
        "ACME_ACCOUNT": "A1",
        "ACME_API_KEY": SECRET,
        "GATEWAY_PUBLIC_URL": "https://mask.example.com",
        "GATEWAY_API_KEYS": SECRET,
        "GATEWAY_WEBHOOK_TOKEN": SECRET,
        "GATEWAY_TN_CARRIER": "acme",
        "GATEWAY_MASK_CARRIER": "acme",
    }
    for name, value in {**whole, **variables}.items():
        monkeypatch.setenv(name, value)


def lines_about(result: Result, name: str) -> list[str]:
    return [line for line in result.output.splitlines() if line.split()[:1] == [name]]


# --- help and errors ----------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--help"], *([name, "--help"] for name in main.commands)], ids=" ".join)
def test_every_command_explains_itself(args: list[str], folder: Path) -> None:
    result = run(*args)
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_the_version_is_that_of_the_package(folder: Path) -> None:
    assert run("--version").output == f"maskgate {gateway.__version__}\n"


@pytest.mark.parametrize("command", ["serve", "dispatch"])
@pytest.mark.parametrize("variable", ["GATEWAY_TN_CARRIER", "GATEWAY_MASK_CARRIER"])
def test_a_carrier_nobody_has_installed_stops_the_start(acme: Path, monkeypatch, command: str, variable: str) -> None:
    configure(monkeypatch, **{variable: "acmee"})
    result = run(command)
    assert result.exit_code == 2
    assert f"{variable}: the carrier acmee is not installed. Is it acme?" in result.stderr


def test_wrong_settings_are_words_on_standard_error_and_exit_code_2(acme: Path, monkeypatch) -> None:
    monkeypatch.setenv("GATEWAY_LISTEN", "8000")
    result = run("serve")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("gateway: GATEWAY_LISTEN: is not host:port")
    assert "Traceback" not in result.output


def test_a_plugin_that_cannot_be_imported_is_named(acme: Path) -> None:
    (acme / "gateway_acme.py").write_text("import nothing_of_this_name")
    result = run("carriers")
    assert result.exit_code == 2
    assert "pip uninstall maskgate-acme" in result.stderr


# --- carriers -----------------------------------------------------------------------------------


def test_an_idle_carrier_is_listed_with_what_to_set(acme: Path) -> None:
    result = run("carriers")
    assert result.exit_code == 0
    row, idle, url = lines_about(result, "acme")
    assert row.split() == ["acme", "maskgate-acme", "1.2", "idle", "sms", "voice", "yes"]
    assert idle.split(maxsplit=1)[1] == "idle: set ACME_ACCOUNT, ACME_API_KEY"
    assert url.split()[1] == "http://127.0.0.1:8000/webhooks/acme"
    assert "for calls, and as the fallback" in result.output


def test_a_ready_carrier_is_listed_with_the_url_to_paste_and_no_secret(acme: Path, monkeypatch) -> None:
    configure(monkeypatch)
    result = run("carriers")
    row, url = lines_about(result, "acme")
    assert " ready " in row
    assert url.split()[1] == "https://mask.example.com/webhooks/acme/$GATEWAY_WEBHOOK_TOKEN"
    assert SECRET not in result.output


def test_a_carrier_that_does_not_sign_is_listed_with_the_token_it_needs(acme: Path, monkeypatch) -> None:
    monkeypatch.setenv("BULK_MOOD", "well")
    row, url = lines_about(run("carriers"), "bulk")
    assert (row.split()[-2], row.split()[-1]) == ("sms", "no")
    assert url.split()[1] == "http://127.0.0.1:8000/webhooks/bulk/$GATEWAY_WEBHOOK_TOKEN"


def test_a_carrier_that_says_nothing_of_signatures_is_unsigned_though_idle(acme: Path) -> None:
    source = (acme / "gateway_acme.py").read_text()
    (acme / "gateway_acme.py").write_text(source.replace("    signed = True\n", "").replace("    signed = False\n", ""))
    assert [lines_about(run("carriers"), name)[0].split()[-1] for name in ("acme", "bulk")] == ["no", "no"]


def test_a_carrier_whose_settings_decide_whether_it_signs_says_so_while_it_is_idle(acme: Path) -> None:
    source = (acme / "gateway_acme.py").read_text()
    (acme / "gateway_acme.py").write_text(source.replace("    signed = True\n", "    signed = property(bool)\n"))
    assert lines_about(run("carriers"), "acme")[0].endswith(" by settings")


def test_a_public_url_with_the_token_in_it_is_not_shown(acme: Path, monkeypatch) -> None:
    configure(monkeypatch, GATEWAY_PUBLIC_URL=f"https://mask.example.com/Webhooks/acme/{SECRET}")
    assert SECRET not in run("carriers").output


def test_a_carrier_with_wrong_settings_says_so_in_its_row_alone(acme: Path, monkeypatch) -> None:
    monkeypatch.setenv("ACME_ACCOUNT", "A1")
    result = run("carriers")
    assert result.exit_code == 0
    assert lines_about(result, "acme")[1].endswith(" wrong: ACME_API_KEY: is missing")
    assert lines_about(result, "bulk")[1].endswith(" idle: set some of BULK_MOOD")


def test_a_carrier_that_cannot_be_built_is_listed_without_its_words(acme: Path, monkeypatch) -> None:
    configure(monkeypatch, ACME_MOOD="broken")
    result = run("carriers")
    assert result.exit_code == 0
    assert "maskgate-acme fails with RuntimeError" in lines_about(result, "acme")[1]
    assert SECRET not in result.output


def test_carriers_are_listed_though_the_gateway_s_own_settings_are_wrong(acme: Path, monkeypatch) -> None:
    monkeypatch.setenv("GATEWAY_LISTEN", "8000")
    result = run("carriers")
    assert result.exit_code == 0
    assert "GATEWAY_LISTEN: is not host:port" in result.stderr
    assert lines_about(result, "acme")[2].endswith(" $GATEWAY_PUBLIC_URL/webhooks/acme")


def test_the_list_is_there_for_programs(acme: Path, monkeypatch) -> None:
    configure(monkeypatch)
    rows = {row["name"]: row for row in json.loads(run("carriers", "--json").stdout)}
    assert rows["acme"] == {
        "name": "acme",
        "distribution": "maskgate-acme",
        "version": "1.2",
        "state": "ready",
        "detail": "",
        "channels": ["sms", "voice"],
        "signed": True,
        "webhook_url": "https://mask.example.com/webhooks/acme/$GATEWAY_WEBHOOK_TOKEN",
    }


def test_a_dotenv_file_configures_carriers_too(acme: Path, folder: Path) -> None:
    (folder / ".env").write_text(f"ACME_ACCOUNT=A1\nACME_API_KEY={SECRET}\nGATEWAY_PUBLIC_URL=https://a.example.com\n")
    environment = {**os.environ, "PYTHONPATH": str(acme)}
    command = [sys.executable, "-m", "gateway", "carriers"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "https://a.example.com/webhooks/acme" in done.stdout
    assert " ready " in done.stdout
    assert SECRET not in done.stdout + done.stderr


# --- check --------------------------------------------------------------------------------------


def test_a_right_installation_has_nothing_wrong(acme: Path, monkeypatch) -> None:
    configure(monkeypatch)
    result = run("check")
    assert result.exit_code == 0, result.output
    assert lines_about(result, "wrong") == []
    assert "ok    acme: its credentials are accepted" in result.output
    assert "note  bulk: idle: set some of BULK_MOOD" in result.output
    assert "ok    database: SQLite" in result.output
    assert SECRET not in result.output


WRONG = [
    ({"GATEWAY_SENDERS": "0"}, "GATEWAY_SENDERS: is not a whole number"),
    ({"GATEWAY_DATABASE_URL": "sqlite:////nowhere/at/all/gateway.db"}, "GATEWAY_DATABASE_URL: "),
    ({"GATEWAY_API_KEYS": ""}, "GATEWAY_API_KEYS: unset: whoever finds"),
    ({"GATEWAY_API_KEYS": "", "GATEWAY_LISTEN": "0.0.0.0:8000", "GATEWAY_INSECURE": "1"}, "GATEWAY_API_KEYS: unset"),
    (
        {"GATEWAY_API_KEYS": "", "GATEWAY_LISTEN": "0.0.0.0:8000", "GATEWAY_PUBLIC_URL": ""},
        "GATEWAY_API_KEYS: unset: whoever",
    ),
    ({"GATEWAY_WEBHOOK_TOKEN": "", "BULK_MOOD": "well"}, "GATEWAY_WEBHOOK_TOKEN: unset: anyone can pose as bulk"),
    ({"GATEWAY_PUBLIC_URL": ""}, "GATEWAY_PUBLIC_URL: http://127.0.0.1:8000 is known to this machine"),
    ({"GATEWAY_PUBLIC_URL": "", "GATEWAY_LISTEN": ":0"}, "GATEWAY_PUBLIC_URL: unset"),
    ({"GATEWAY_PUBLIC_URL": "https://192.168.1.4"}, "GATEWAY_PUBLIC_URL: https://192.168.1.4 is known to this"),
    ({"GATEWAY_PUBLIC_URL": "https://gateway"}, "GATEWAY_PUBLIC_URL: https://gateway is known to this"),
    ({"GATEWAY_PUBLIC_URL": "http://mask.example.com"}, "GATEWAY_PUBLIC_URL: http://mask.example.com is not https"),
    ({"GATEWAY_PUBLIC_URL": f"https://mask.example.com/webhooks/a/{SECRET}"}, "GATEWAY_PUBLIC_URL: its path holds"),
    ({"GATEWAY_PUBLIC_URL": f"http://mask.example.com/webhooks/a/{SECRET}"}, "GATEWAY_PUBLIC_URL: its path holds"),
    ({"GATEWAY_TN_CARRIER": "nobody"}, "GATEWAY_TN_CARRIER: nobody is not installed"),
    ({"GATEWAY_MASK_CARRIER": "bulk"}, "GATEWAY_MASK_CARRIER: bulk is not configured"),
    ({"ACME_API_KEY": ""}, "acme: ACME_API_KEY: is missing"),
    ({"ACME_API_KEY": "", "ACME_ACCOUNT": ""}, "carriers: none is configured"),
    ({"ACME_MOOD": "broken"}, "acme: maskgate-acme fails with RuntimeError"),
    ({"ACME_MOOD": "unauthorised"}, "acme: the carrier refuses (HTTP 401). Compare ACME_ACCOUNT, ACME_API_KEY\n"),
    ({"ACME_MOOD": "down"}, "acme: the carrier cannot be asked now (could not connect)"),
    ({"ACME_MOOD": "odd"}, "acme: the carrier answers with an error (HTTP 404)"),
    ({"ACME_MOOD": "faulty"}, "acme: KeyError in its check: a fault in the plugin maskgate-acme"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words[:50] for _, words in WRONG])
def test_what_is_wrong_is_said_and_the_exit_code_is_1(change, words, acme: Path, monkeypatch) -> None:
    configure(monkeypatch, **change)
    result = run("check")
    assert result.exit_code == 1, result.output
    assert f"\nwrong {words}" in f"\n{result.output}"
    assert SECRET not in result.output


HERE = {"SIMULATOR_URL": "http://127.0.0.1:9", "SIMULATOR_KEY": SECRET, "ACME_ACCOUNT": "", "ACME_API_KEY": ""}


@pytest.mark.parametrize(("other", "mark"), [({}, "note"), ({"BULK_MOOD": "well"}, "wrong")], ids=["alone", "not"])
def test_carriers_of_this_machine_need_no_public_url(acme: Path, monkeypatch, other, mark: str) -> None:
    configure(monkeypatch, **HERE, **other, GATEWAY_PUBLIC_URL="")
    said = [line for line in lines_about(run("check"), mark) if "GATEWAY_PUBLIC_URL: " in line]
    assert ["is known to this machine or network only" in line for line in said] == [True]


def test_a_dialect_nobody_asked_for_is_only_noted(acme: Path, monkeypatch) -> None:
    configure(monkeypatch, GATEWAY_TN_CARRIER="")
    result = run("check")
    assert result.exit_code == 0, result.output
    assert "note  GATEWAY_TN_CARRIER: flowroute is not " in result.output


def test_a_carrier_with_nobody_to_ask_is_noted(acme: Path, monkeypatch) -> None:
    configure(monkeypatch, ACME_MOOD="nobody to ask")
    assert "note  acme: configured; there is nothing to call" in run("check").output


def test_on_this_machine_alone_no_key_is_needed(acme: Path, monkeypatch) -> None:
    configure(monkeypatch, GATEWAY_API_KEYS="", GATEWAY_WEBHOOK_TOKEN="", GATEWAY_PUBLIC_URL="", BULK_MOOD="well")
    output = run("check").output
    assert "ok    GATEWAY_API_KEYS: unset: the API is open, to this machine only" in output
    assert "ok    GATEWAY_WEBHOOK_TOKEN: unset: webhooks of bulk are taken from anyone on this machine" in output


def test_words_that_people_read_are_noted_while_they_are_nobody_s(acme: Path, monkeypatch) -> None:
    configure(monkeypatch, NO_SESSION_MSG="Call 555-0100.")
    result = run("check")
    assert result.exit_code == 0, result.output
    assert "note  ORG_NAME: still the default, and people will read it: put your own" in result.output
    assert "NO_SESSION_MSG" not in result.output


def test_a_misspelt_variable_is_noted(acme: Path, monkeypatch) -> None:
    configure(monkeypatch, GATEWAY_WORKER="2")
    assert "note  GATEWAY_WORKER: not a variable of the gateway. Is it GATEWAY_WORKERS?" in run("check").output


def test_piped_lines_are_neither_folded_nor_cut(acme: Path, monkeypatch) -> None:
    info = acme / "maskgate_acme-1.2.dist-info" / "METADATA"
    version = "1.2+" + ".".join(["built.here"] * 10)
    info.write_text(info.read_text().replace("1.2", version))
    long = "https://" + ".".join(["sub-domain-of-some-length"] * 8) + ".example.com"
    configure(monkeypatch, GATEWAY_PUBLIC_URL=long)
    assert f"maskgate-acme {version}" in run("carriers").output
    assert f"{long}/webhooks/acme/$GATEWAY_WEBHOOK_TOKEN" in run("carriers").output
    assert f"ok    GATEWAY_PUBLIC_URL: {long} (its form; it is not called)\n" in run("check").output


# --- serve --------------------------------------------------------------------------------------


def test_serve_says_through_a_pipe_when_it_is_ready_and_stops_when_told(acme: Path, folder: Path, monkeypatch) -> None:
    configure(monkeypatch, GATEWAY_LISTEN="127.0.0.1:0")
    environment = {**os.environ, "PYTHONPATH": str(acme), "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-m", "gateway", "serve"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes) as running:
        watchdog = Timer(30, running.kill)
        watchdog.start()
        try:
            said: list[str] = []
            while not (said and " ready on http://127.0.0.1:" in said[-1]):
                said.append(running.stdout.readline())
                assert said[-1], running.stderr.read()
            running.send_signal(signal.SIGTERM)
            rest, errors = running.communicate(timeout=30)
        finally:
            watchdog.cancel()
            running.kill()
    assert running.returncode == 0
    assert SECRET not in "".join(said) + rest + errors
