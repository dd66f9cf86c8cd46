"""The hooks a plugin implements. One so far: later ones have the same shape and come with their first user."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from gateway.carrier import Carrier

NAME = "maskgate"  #: pluggy project name, and the entry point group of setup.cfg

hookspec = pluggy.HookspecMarker(NAME)
hookimpl = pluggy.HookimplMarker(NAME)


@hookspec
def register_carriers(register: Callable[[type[Carrier]], None]) -> None:
    """Call `register(YourCarrier)`, once for each carrier the plugin brings."""
