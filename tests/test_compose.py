"""What examples/compose.yaml promises, read from it; and its gateways' commands, run here on one PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from fleet import forked, ready
from postgres import Server
from program import Program
from scripted import Scripted

from gateway.cli import main
from gateway.doors import closed_doors
from gateway.http import FINISH
from gateway.messages import InboundMessage
from gateway.settings import read_settings, settings_table
from gateway.testing.network import Network, SimulatorFace

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
KEY = "simulator-key"
MASK, ANN, BOB = "+12065550199", "+12065550101", "+12065550102"


def env_file() -> dict[str, str]:
    """Return what stands in the example of `.env`, as Docker takes it: each line as it is."""
    lines = (EXAMPLES / "compose.env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def compose() -> dict[str, Any]:
    """Return the file with every variable filled in."""
    given = env_file()

    def value(match: re.Match[str]) -> str:
        assert match[2], f"{match[1]} may be forgotten without a word"
        return given[match[1]]

    text = (EXAMPLES / "compose.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+)(:\?[^}]*)?\}", value, text))
    return found


SERVICES = compose()["services"]
GATEWAYS = {name: service for name, service in SERVICES.items() if service["image"] == "maskgate"}
OTHERS = {name: service for name, service in SERVICES.items() if name not in GATEWAYS}


def test_there_are_two_gateways_alike() -> None:
    first, second = GATEWAYS.values()
    assert first == second
    assert (EXAMPLES / first["build"] / "Dockerfile").is_file()
    assert (EXAMPLES / "compose.env.example").is_file()
    assert first["env_file"] == ".env"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_comes_back_and_is_given_time_to_stop(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= FINISH + 25


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_until_what_it_needs_is_healthy(name: str) -> None:
    needed = SERVICES[name].get("depends_on", {})
    assert set(needed) == {"proxy": {*GATEWAYS}, "postgres": set()}.get(name, {"postgres"})
    assert all(how == {"condition": "service_healthy"} for how in needed.values())
    assert all("healthcheck" in SERVICES[other] for other in needed)


def test_the_gateways_settings_are_understood_and_their_doors_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in settings_table():
        monkeypatch.delenv(row.variable, raising=False)
    given = env_file() | GATEWAYS["gateway-1"]["environment"]
    settings = read_settings(**{row.variable: given[row.variable] for row in settings_table() if row.variable in given})
    assert closed_doors(settings, {"flowroute": Scripted(name="flowroute")}) == ""
    assert settings.warnings == ()
    database = OTHERS["postgres"]["environment"]
    user, name = database["POSTGRES_USER"], database["POSTGRES_DB"]
    assert settings.database_url == f"postgresql://{user}:{database['POSTGRES_PASSWORD']}@postgres:5432/{name}"
    assert settings.public_url == f"https://{OTHERS['proxy']['environment']['DOMAIN']}"
    check = OTHERS["postgres"]["healthcheck"]["test"]
    assert check == ["CMD", "pg_isready", f"--username={user}", f"--dbname={name}"]


def test_the_example_names_every_variable_that_the_carriers_need() -> None:
    from gateway import plugins

    found = plugins.find_carriers()
    for name in ("flowroute", "signalwire"):
        variables = plugins.variables(found[name].carrier.Settings)
        assert {variable for variable, required in variables.items() if required} <= {*env_file()}


def test_what_must_survive_is_in_a_volume() -> None:
    volumes = compose()["volumes"]
    mounted = [mount.partition(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert {source for source, _, _ in mounted if not source.startswith("./")} == {*volumes}
    assert [target for source, _, target in mounted if source == "database"] == ["/var/lib/postgresql/data"]


def test_the_proxy_knows_both_gateways_and_changes_no_path() -> None:
    assert "./Caddyfile:/etc/caddy/Caddyfile:ro" in OTHERS["proxy"]["volumes"]
    text = (EXAMPLES / "Caddyfile").read_text(encoding="utf-8")
    port = read_settings(GATEWAY_LISTEN=GATEWAYS["gateway-1"]["environment"]["GATEWAY_LISTEN"]).listen_port
    assert [f"reverse_proxy {' '.join(f'{name}:{port}' for name in GATEWAYS)} {{"] == re.findall(
        r"reverse_proxy .*", text
    )
    assert "health_uri /readyz" in text
    assert not re.search(r"^\s*(rewrite|uri|handle_path|redir|header_up)\b", text, re.MULTILINE)


# --- its commands, run here -----------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def gateways(
    postgres: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Network, dict[str, tuple[Program, dict[str, str]]]]]:
    """Run each gateway's command with its environment, but for the addresses of what else is in the file."""
    folder = tmp_path_factory.mktemp("compose")
    with Network(key=KEY) as net, postgres.schema() as database, ExitStack() as stack:
        running = {}
        for name, service in GATEWAYS.items():
            given = {variable: value for variable, value in env_file().items() if value} | service["environment"]
            given |= {"GATEWAY_DATABASE_URL": database, "GATEWAY_LISTEN": f"127.0.0.1:{free_port()}"}
            given |= {"SIMULATOR_URL": net.url, "SIMULATOR_KEY": KEY, "GATEWAY_TN_CARRIER": "simulator"}
            program, *arguments = service["command"]
            assert program == "gateway"
            assert arguments[0] in main.commands
            running[name] = stack.enter_context(forked(folder, given, *arguments, name=name)), given
        for program, _ in running.values():
            ready(program)
        yield net, running


def test_each_gateway_is_healthy_by_its_own_check(gateways: Any) -> None:
    for name, (program, given) in gateways[1].items():
        _, command, *arguments = GATEWAYS[name]["healthcheck"]["test"]
        assert command == "python"
        proxied = {"GATEWAY_LISTEN": given["GATEWAY_LISTEN"], "http_proxy": "http://127.0.0.1:9"}
        check = [sys.executable, *arguments]
        path = {"PATH": os.environ["PATH"]}
        assert subprocess.run(check, env=proxied | path, timeout=30, check=False).returncode == 0, shlex.join(check)
        elsewhere = proxied | path | {"GATEWAY_LISTEN": f"0.0.0.0:{free_port()}"}
        assert subprocess.run(check, env=elsewhere, capture_output=True, timeout=30, check=False).returncode != 0
        assert "PostgreSQL" in program.output


def test_a_conversation_goes_through_both_and_its_signatures_cover_the_public_url(gateways: Any) -> None:
    net, running = gateways
    first, second = (program for program, _ in running.values())
    key = {"Authorization": f"Bearer {env_file()['GATEWAY_API_KEYS']}"}
    public = f"https://{env_file()['DOMAIN']}/webhooks/simulator"
    assert first.ask("POST", "/tn", {"value": MASK}, key) == 200
    assert second.ask("POST", "/session", {"participant_a": ANN, "participant_b": BOB}, key) == 200
    for n, program in enumerate((first, second) * 5):
        said = InboundMessage(carrier_ref=f"r{n}", sender=ANN, recipient=MASK, text=f"said {n}")
        webhook = SimulatorFace(KEY).message(public, said)
        for one in (program, first, second):  # a repeat may come by the other
            assert one.ask("POST", "/webhooks/simulator", webhook.body, webhook.headers) == 200
    texts = net.handset(BOB).wait_for(11, timeout=20)
    assert [text.text for text in texts][1:] == [f"said {n}" for n in range(10)]
    assert json.loads(first.answers[-1][2] or "null") == json.loads(second.answers[-1][2] or "null")
