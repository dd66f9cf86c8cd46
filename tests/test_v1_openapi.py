"""`/v1` keeps to its own document: schemathesis with all its checks, over a real socket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gateways import gateway
from scripted import Scripted

KEY = "an-api-key-for-tests"
HERE = Path(__file__).parent / "openapi"
EXAMPLES = os.environ.get("HYPOTHESIS_MAX_EXAMPLES", "20")  #: for each operation, the same in every run


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    carriers = {name: Scripted(name=name) for name in ("flowroute", "signalwire")}
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run",
        "--checks", "all", "--max-examples", EXAMPLES, "--generation-deterministic",
        "--no-color", "-H", f"Authorization: Bearer {KEY}",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "hooks"}
    with gateway(tmp_path, carriers, GATEWAY_API_KEYS=KEY) as running:
        done = subprocess.run(
            [*command, f"{running.url}/v1/openapi.json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert running.dispatcher.alive
