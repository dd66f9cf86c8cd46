"""The command line over a real gateway: commands in this process, or as processes of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from gateways import gateway
from nursery import Forked
from program import environment
from scripted import Scripted

from gateway import Channel, PermanentSendError
from gateway.cli import main
from gateway.server import Gateway

ADMIN, OPERATOR, READER = "admin-key-nobody-may-see", "operator-key-nobody-may-see", "reader-key-nobody-may-see"
KEYS = f"{ADMIN},shop:operator:{OPERATOR},desk:reader:{READER}"
FAILS = "this one fails"  #: a text that its carrier refuses


class Cli:
    """The command, told where a gateway is and which key to send."""

    def __init__(self, url: str, key: str = ADMIN) -> None:
        self.url = url
        self.variables = {"GATEWAY_URL": url, "GATEWAY_API_KEY": key}

    def __call__(self, *words: str, code: int = 0, stdin: str | bytes = "", **variables: str) -> Result:
        """Run a command in this process. No key of anybody's may be in what it prints."""
        result = CliRunner().invoke(main, words, input=stdin, env=self.variables | variables, prog_name="gateway")
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        assert not [key for key in (ADMIN, OPERATOR, READER) if key in result.output]
        assert "Traceback" not in result.output
        return result

    def json(self, *words: str, code: int = 0) -> Any:
        """Run a command with `--json` and return its document."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def lines(self, *words: str, code: int = 0) -> list[Any]:
        """Run a command with `--json` and return its lines."""
        return [json.loads(line) for line in self(*words, "--json", code=code).stdout.splitlines()]

    def process(self, *words: str, **options: Any) -> Forked:
        """Start a command as a process."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        return Forked(["gateway", *words], cwd=Path.cwd(), env=environment(self.variables), **pipes)


def refusing() -> dict[str, Scripted]:
    """Return two carriers that refuse the text `FAILS`; the second has calls too."""
    carriers = {name: Scripted(name=name) for name in ("flowroute", "signalwire")}
    carriers["signalwire"].channels = frozenset({Channel.SMS, Channel.VOICE})  # type: ignore[misc]
    for one in carriers.values():
        one.on_send = lambda message: PermanentSendError("no such landline") if FAILS in message.text else None
    return carriers


@contextmanager
def served(folder: Path, **variables: str) -> Iterator[Gateway]:
    """Serve a gateway with three keys, and with carriers that refuse the text `FAILS`."""
    with gateway(folder, refusing(), GATEWAY_API_KEYS=KEYS, **variables) as running:
        yield running
