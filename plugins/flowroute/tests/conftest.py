"""No test of ours sees the variables of a real account."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("FLOWROUTE_")]:
        monkeypatch.delenv(name)
