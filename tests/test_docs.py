"""What the README says is so: its tables against the code, its requests and answers against a real run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from receivers import OTHER_SECRET, SECRET

from gateway.callbacks import signing
from gateway.clock import now_ms
from gateway.settings import settings_table

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text()

#: What differs from run to run.
CHANGING = [
    (r"http://127\.0\.0\.1:[0-9]+", "URL"),
    (r"\b[0-9a-f]{32}\b", "ID"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}", "TIME"),
]


def steady(text: str) -> str:
    for pattern, word in CHANGING:
        text = re.sub(pattern, word, text)
    return text.strip()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what the walk-through prints, run as a user would."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "SIMULATOR_"))}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", TOP / "examples" / "two-phones.sh"],
        cwd=tmp_path_factory.mktemp("somewhere"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_walk_through_shows_each_phone_the_mask_and_never_the_other_number(run: str) -> None:
    inboxes = re.findall(r'^\{"inbox": .*$', run, re.MULTILINE)
    newest = re.findall(r'^newest: \{.*"text": "(.*?)"', run, re.MULTILINE)
    assert [("Where are you?" in inbox, "At the door." in inbox) for inbox in inboxes] == [(True, False), (False, True)]
    assert not any("+12065550101" in inbox or "+12065550102" in inbox for inbox in inboxes)
    assert ["session was not found" in newest[0], "session has ended" in newest[1]] == [True, True]


@pytest.mark.parametrize("variable", ["GATEWAY_BIN", "PYTHON_BIN"])
def test_the_walk_through_says_at_once_what_it_lacks(variable: str, tmp_path: Path) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        variable: "no-such-program",
    }
    script = ["bash", TOP / "examples" / "two-phones.sh"]
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("two-phones.sh: needs curl, ")
    assert "no-such-program" in done.stderr


def test_every_session_in_the_readme_is_what_the_walk_through_prints(run: str) -> None:
    blocks = re.findall(r"<!-- from examples/two-phones.sh -->\n```console\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        assert steady(block) in steady(run)


def test_the_settings_table_is_the_settings() -> None:
    table = README.partition("## Settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", table, re.MULTILINE)
    expected = [(r.variable, f"`{r.default}`" if r.default else "–", r.description) for r in settings_table()]
    assert rows == expected


@pytest.mark.parametrize("page", sorted(str(p.relative_to(TOP)) for p in TOP.rglob("*.md") if ".venv" not in p.parts))
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (TOP / page).read_text()):
        assert (TOP / page).parent.joinpath(target).exists(), target


def test_the_receiver_of_the_readme_tells_our_callbacks_from_others() -> None:
    code = README.partition("<!-- a receiver -->")[2].partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    verified, now, body = names["verified"], now_ms(), b'{"type":"opt_out"}'
    headers = signing.headers([signing.key_of(OTHER_SECRET), signing.key_of(SECRET)], "cb_1", now, body)
    assert [verified(headers, body, secret) for secret in (SECRET, OTHER_SECRET)] == [True, True]
    assert not verified(headers, body + b" ", SECRET)
    assert not verified(headers | {"webhook-id": "cb_2"}, body, SECRET)
    assert not verified(headers, body, "whsec_" + "a" * 44)
    old = signing.headers([signing.key_of(SECRET)], "cb_1", now - 400_000, body)
    assert not verified(old, body, SECRET)
