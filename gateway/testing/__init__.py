"""What a carrier's author tests with: `from gateway.testing import CarrierConformance, Receives, Sends`.

The names are loaded when they are asked for: `gateway.testing.network` runs where there is no pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.testing.cases import (
        MESSAGE,
        Acknowledges,
        Answers,
        Deletes,
        Fetches,
        HttpAnswer,
        Looks,
        Receives,
        Sends,
    )
    from gateway.testing.conformance import CarrierConformance

__all__ = [
    "MESSAGE",
    "Acknowledges",
    "Answers",
    "CarrierConformance",
    "Deletes",
    "Fetches",
    "HttpAnswer",
    "Looks",
    "Receives",
    "Sends",
]

#: Modules with asserts: pytest must hear of them before they are imported, or a failure shows no values.
_ASSERTING = (
    "kit",
    "wire",
    "webhook_checks",
    "send_checks",
    "lookup_checks",
    "call_checks",
    "route_checks",
    "recording_checks",
    "conformance",
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name != "CarrierConformance":
        return getattr(import_module("gateway.testing.cases"), name)
    import pytest

    pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _ASSERTING))
    return import_module("gateway.testing.conformance").CarrierConformance
