"""What the handlers work with. Built once in server.py, passed to each module that makes routes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.carrier import Carrier
from gateway.clock import Clock
from gateway.dispatching import Dispatching
from gateway.hurry import Hurry
from gateway.settings import Settings
from gateway.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The parts of a running gateway."""

    settings: Settings
    store: Store
    carriers: Mapping[str, Carrier]  #: the configured ones, by name
    dispatcher: Dispatching  #: this process's own, or word of those in others
    public_url: str  #: what carriers call, without a slash at the end
    clock: Clock
    #: All carriers there are, those without settings too, and what to set to use each.
    installed: Mapping[str, str] = field(default_factory=dict)
    hurry: Hurry = field(init=False)  #: whether webhooks come faster than they are answered
    #: A seat for each who may listen to a recording at a time. Each holds a thread for as long as they take: a few,
    #: and never all.
    listening: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        threads = self.settings.threads
        seats = threading.BoundedSemaphore(min(max(1, threads // 4), threads - 1))
        object.__setattr__(self, "listening", seats)
        object.__setattr__(self, "hurry", Hurry(threads))
