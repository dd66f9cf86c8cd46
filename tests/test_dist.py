"""What a user installs works: a fresh environment, no test dependencies, carriers come and go by pip alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway
from gateway.plugins import HOW_TO_GET_ONE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("pytest", "responses", "hypothesis", "mypy", "ruff")
LEFT_OUT = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__", ".*", "gateway.db*", "htmlcov")


class Environment:
    """A fresh virtual environment, and a copy of the source: pip builds in place, and not in this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.scripts = folder / "env" / "bin"
        shutil.copytree(ROOT, self.source, ignore=LEFT_OUT)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True, capture_output=True)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in an empty folder, with none of our variables set."""
        program, *arguments = command
        ours = ("GATEWAY_", "FLOWROUTE_", "SIGNALWIRE_", "SIMULATOR_", "ECHO_", "PYTHON")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [str(self.scripts / program), *arguments],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def pip(self, *arguments: str) -> None:
        done = self.run("pip", "--disable-pip-version-check", *arguments)
        assert done.returncode == 0, done.stderr

    def carriers(self) -> set[str]:
        done = self.run("gateway", "carriers", "--json")
        assert done.returncode == 0, done.stderr
        return {row["name"] for row in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def folders() -> dict[str, Path]:
    """The folder of every carrier there is, by its distribution's name."""
    plugins = [path for path in (ROOT / "plugins").iterdir() if path.name != "__pycache__"]
    return {f"maskgate-{path.name}": path for path in plugins} | {"maskgate-echo": ROOT / "examples" / "echo-carrier"}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, folders: dict[str, Path]) -> Iterator[Environment]:
    """The gateway and all its carriers, installed as the README says. Skipped where pip finds no packages at all."""
    environment = Environment(tmp_path_factory.mktemp("dist"))
    probe = environment.run("pip", "--disable-pip-version-check", "install", "--retries", "1", "pluggy")
    if probe.returncode:
        pytest.skip(f"pip finds no package index here, so nothing can be installed: {probe.stderr[-200:]}")
    sources = [str(environment.source / folder.relative_to(ROOT)) for folder in folders.values()]
    # --no-compile: only a part of what is installed is imported here
    environment.pip("install", "--quiet", "--no-compile", str(environment.source), *sources)
    yield environment
    shutil.rmtree(environment.folder)


def test_the_command_starts_without_the_tools_of_developers(fresh: Environment) -> None:
    assert fresh.run("gateway", "--version").stdout == f"maskgate {gateway.__version__}\n"
    installed = {line.partition("=")[0].lower() for line in fresh.run("pip", "freeze", "--all").stdout.splitlines()}
    assert installed & set(TOOLS) == set()


def test_every_module_can_be_imported(fresh: Environment) -> None:
    modules = "import pkgutil, gateway; print(*(m.name for m in pkgutil.walk_packages(gateway.__path__, 'gateway.')))"
    found = fresh.run("python", "-c", modules).stdout.split()
    assert {"gateway.cli", "gateway.store", "gateway.testing"} <= set(found)
    wanted = [name for name in found if not name.startswith("gateway.testing.") and not name.endswith("__main__")]
    done = fresh.run("python", "-c", f"import importlib; [importlib.import_module(name) for name in {wanted}]")
    assert done.returncode == 0, done.stderr


def test_carriers_come_and_go_by_pip_alone(fresh: Environment, folders: dict[str, Path]) -> None:
    left = {name.removeprefix("maskgate-") for name in folders}
    assert fresh.carriers() == left
    for distribution in folders:
        fresh.pip("uninstall", "--quiet", "--yes", distribution)
        left -= {distribution.removeprefix("maskgate-")}
        assert fresh.carriers() == left


def test_without_a_carrier_the_gateway_says_how_to_get_one(fresh: Environment, folders: dict[str, Path]) -> None:
    fresh.run("pip", "uninstall", "--quiet", "--yes", *folders)
    done = fresh.run("gateway", "serve")
    assert done.returncode == 2
    assert done.stderr == f"gateway: {HOW_TO_GET_ONE}\n"
    assert fresh.run("gateway", "carriers").stdout == f"{HOW_TO_GET_ONE}\n"
