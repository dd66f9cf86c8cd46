"""The repository keeps its own rules: one door per library, short files, plugins alike, lists that agree."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if path.name != "__pycache__")
CARRIERS = {path.name: path for path in PLUGINS} | {"echo": ROOT / "examples" / "echo-carrier"}
NOT_OURS = ("build", "dist", "htmlcov", "node_modules", "__pycache__")
LONGEST_FILE = 300  #: lines

#: Which files may import a third-party library: a file, or everything in a folder.
DOORS = {
    "bottle": ["gateway/web/"],
    "click": ["gateway/cli/"],
    "dataset": ["gateway/store/"],
    "dotenv": ["gateway/settings.py"],
    "phonenumbers": ["gateway/numbers.py"],
    "pluggy": ["gateway/hookspecs.py", "gateway/plugins.py"],
    "prometheus_client": ["gateway/web/ops.py"],
    "psycopg": ["gateway/store/postgres.py", "gateway/store/pipeline.py"],
    "pydantic": [
        "gateway/settings.py",
        "gateway/keys.py",
        "gateway/wording.py",
        "gateway/fields.py",
        "gateway/values.py",
        "gateway/plugins.py",
        "gateway/callbacks/settings.py",
        "gateway/web/",
        "gateway/testing/",
    ],
    "pydantic_settings": [
        "gateway/callbacks/settings.py",
        "gateway/settings.py",
        "gateway/wording.py",
        "gateway/voice/settings.py",
        "gateway/carrier.py",
        "gateway/plugins.py",
    ],
    "pytest": ["gateway/testing/"],
    "requests": ["gateway/client.py", "gateway/testing/"],
    "responses": ["gateway/testing/"],
    "rich": ["gateway/cli/", "gateway/demo/screen.py"],
    "sqlalchemy": ["gateway/store/"],
    "urllib3": ["gateway/client.py", "gateway/testing/"],
    "waitress": ["gateway/http/"],
}

#: Under which name a library is asked for in setup.cfg, where it isn't its own.
ASKED_FOR_AS = {
    "dotenv": "python-dotenv",
    "prometheus_client": "prometheus-client",
    "pydantic_settings": "pydantic-settings",
    "sqlalchemy": "dataset",
    "urllib3": "requests",
}


def config(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path, encoding="utf-8")
    return parser


def words(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def files(folder: Path, pattern: str = "*") -> Iterator[Path]:
    """Yield the files that belong to the repository: no caches, builds or environments."""
    for path in sorted(folder.rglob(pattern)):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part not in (".ci", ".dockerignore", ".gitignore") for part in parts)
        if path.is_file() and not hidden and not any(p in NOT_OURS or p.endswith(".egg-info") for p in parts):
            yield path


def imports(path: Path) -> set[str]:
    """Return the names a file imports, at whatever depth: `a.b` for `import a.b` and for `from a.b import c`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module if node.module and not node.level else "gateway")
    return found


def third_party(path: Path) -> set[str]:
    tops = {name.partition(".")[0] for name in imports(path)}
    return {top for top in tops if top not in sys.stdlib_module_names and not top.startswith("gateway")}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


SOURCES = [*files(ROOT / "gateway", "*.py")]
PLUGIN_SOURCES = [path for folder in CARRIERS.values() for path in files(folder, "*.py") if "tests" not in path.parts]


# --- imports ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_library_is_imported_behind_its_door_only(path: Path) -> None:
    for library in third_party(path):
        doors = DOORS.get(library, [])
        here = relative(path)
        assert any(here == door or (door.endswith("/") and here.startswith(door)) for door in doors), (
            f"{library} has its door in {doors or 'no file: give it one in DOORS'}"
        )


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_the_core_imports_no_plugin(path: Path) -> None:
    assert [name for name in imports(path) if name.startswith("gateway_")] == []


@pytest.mark.parametrize("path", PLUGIN_SOURCES, ids=relative)
def test_a_plugin_goes_to_the_network_by_the_gateway_s_client_only(path: Path) -> None:
    assert third_party(path) - {"pydantic", "pydantic_settings"} == set()
    assert imports(path) & {"socket", "urllib.request", "http.client", "ssl"} == set()


def test_what_is_imported_is_asked_for_in_setup_cfg() -> None:
    setup = config(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"] + setup["options.extras_require"]["postgres"]
    asked = re.findall(r"^\s*([\w-]+)", wanted, re.MULTILINE)
    used = {library for path in SOURCES if "testing" not in path.parts for library in third_party(path)}
    assert {ASKED_FOR_AS.get(library, library) for library in used} - set(asked) == set()


@pytest.mark.parametrize("path", [*SOURCES, *PLUGIN_SOURCES], ids=relative)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


# --- plugins ------------------------------------------------------------------------------------


def test_plugins_holds_installable_folders_and_nothing_else() -> None:
    assert [path.name for path in PLUGINS if not (path / "pyproject.toml").is_file()] == []


@pytest.mark.parametrize("name", CARRIERS)
def test_every_plugin_has_the_same_shape(name: str) -> None:
    folder = CARRIERS[name]
    shape = ["pyproject.toml", "setup.cfg", "README.md", "tests/test_conformance.py"]
    package = [f"gateway_{name}/__init__.py", f"gateway_{name}/py.typed"]
    assert [file for file in [*shape, *package] if not (folder / file).is_file()] == []
    example = CARRIERS["echo"] / "pyproject.toml"
    assert (folder / "pyproject.toml").read_text() == example.read_text()


@pytest.mark.parametrize("name", CARRIERS)
def test_every_plugin_is_declared_alike(name: str) -> None:
    setup = config(CARRIERS[name] / "setup.cfg")
    assert setup["metadata"]["name"] == f"maskgate-{name}"
    assert words(setup["options.entry_points"]["maskgate"]) == [f"{name} = gateway_{name}"]
    assert "maskgate>=0.1,<0.2" in words(setup["options"]["install_requires"])
    assert words(setup["options.extras_require"]["testing"]) == ["maskgate[testing]"]
    assert setup["options.package_data"][f"gateway_{name}"] == "py.typed"


def test_tox_knows_every_plugin() -> None:
    tox = config(ROOT / "tox.ini")
    folders = [f"./{relative(path)}" for path in PLUGINS]
    assert words(tox["plugins"]["deps"]) == [f"-e {folder}" for folder in [*folders, "./examples/echo-carrier"]]
    assert words(tox["testenv:dist"]["deps"]) == [".", *folders]


def test_mypy_knows_every_plugin() -> None:
    checked = re.split(r",\s*", config(ROOT / "setup.cfg")["mypy"]["files"])
    assert set(checked) == {"gateway", *(f"{relative(folder)}/gateway_{name}" for name, folder in CARRIERS.items())}


# --- lists that agree ---------------------------------------------------------------------------


def test_the_version_is_the_same_everywhere() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest is not None
    assert gateway.__version__ == config(ROOT / "setup.cfg")["metadata"]["version"] == newest[1]


def block_after(marker: str) -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^<!-- {marker}.*?-->\n+```\w*\n(.*?)\n```$", readme, re.MULTILINE | re.DOTALL)
    assert found is not None, f"README.md has no code block after <!-- {marker} -->"
    return found[1]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (extract,) = re.findall(r"^command=.*$", script, re.MULTILINE)
    assert 'bash -euo pipefail -c "$command"' in script
    found = subprocess.run(
        ["bash", "-c", f'{extract}\nprintf %s "$command"'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == block_after("test command")


@pytest.mark.parametrize("marker", ["test command", "run command"])
def test_a_command_of_the_readme_is_one_line_for_a_fresh_clone(marker: str) -> None:
    command = block_after(marker)
    assert "\n" not in command
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert " ./plugins/* " in command


PRIVATE = re.compile(r"(?<![\w.])/(?:work|root|home|Users|tmp)/\w|(?<!\w)/opt/(?:pypi|wheels)")


def test_no_file_names_the_machine_it_was_written_on() -> None:
    texts = {relative(path): path.read_bytes().decode("utf-8", "ignore") for path in files(ROOT)}
    assert len(texts) > 50
    assert [(name, line) for name, text in texts.items() for line in text.splitlines() if PRIVATE.search(line)] == []
