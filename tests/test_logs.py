"""LOG_LEVEL is for the gateway and its plugins; libraries do not get to log what we hide."""

from __future__ import annotations

import subprocess
import sys

import pytest

SPEAK = """
import logging, sys
from gateway.logs import configure
configure(int(sys.argv[1]), ["gateway_acme"])
ours, libraries = ("gateway.dispatcher", "gateway_acme.calls"), ("sqlalchemy.engine", "waitress.queue", "urllib3.pool")
for name in (*ours, *libraries):
    for level in (10, 20, 30, 40, 50):
        logging.getLogger(name).log(level, "said")
"""


def spoken(level: int) -> list[tuple[str, str]]:
    """Return (level, logger) of every line that is logged at `level`, in a process of its own."""
    command = [sys.executable, "-c", SPEAK, str(level)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [(line.split()[2], line.split()[3]) for line in done.stderr.splitlines()]


LIBRARY = [("WARNING", "sqlalchemy.engine"), ("ERROR", "sqlalchemy.engine"), ("CRITICAL", "sqlalchemy.engine")]
QUEUE = [("ERROR", "waitress.queue"), ("CRITICAL", "waitress.queue")]  # it warns of each request that waits its turn
LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


@pytest.mark.parametrize("level", [10, 20, 40], ids=["DEBUG", "INFO", "ERROR"])
def test_the_level_is_ours_and_libraries_are_kept_quiet(level: int) -> None:
    wanted = LEVELS[level // 10 - 1 :]
    ours = [(word, name) for name in ("gateway.dispatcher", "gateway_acme.calls") for word in wanted]
    assert spoken(level) == [*ours, *LIBRARY, *QUEUE]
