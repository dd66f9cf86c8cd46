"""Who sends what is enqueued here: the dispatcher of this process (dispatcher.py), or those of other processes.

Several processes may be at work on one database. What a request may ask of whoever sends is the same in every form.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Collection
from time import monotonic

from gateway.feed import Feed
from gateway.records import Message, MessageState
from gateway.store import Store

LOOK = 0.1  #: seconds between two looks at the store: another process may have settled what is waited for
FREE_THREADS = 2  #: threads that answer HTTP and never wait for a carrier


class Dispatching(ABC):
    """What requests ask of whoever sends. Safe to use from any thread."""

    def __init__(self, store: Store, threads: int) -> None:
        """Take the store, and how many threads answer HTTP."""
        self._store = store
        self._waiters = threading.BoundedSemaphore(max(1, threads - FREE_THREADS))
        self.feed = Feed(store, (self._waiters, threading.BoundedSemaphore(max(1, threads // 4))))
        self._news = threading.Condition()
        self._told = 0  # how often there was news

    @abstractmethod
    def start(self) -> None:
        """Start sending, where that is this process's part."""

    @abstractmethod
    def stop(self) -> None:
        """Claim no more and settle what is being sent, where that is this process's part."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Return whether whatever of it runs in this process is at work."""

    @abstractmethod
    def ring(self) -> None:
        """Say that there is something new in the outbox."""

    @abstractmethod
    def is_out(self, carrier: str) -> bool:
        """Return whether it is known here that a carrier cannot be reached just now."""

    def wait_until_answered(self, ids: Collection[int], timeout: float) -> list[Message]:
        """Wait until the carrier has answered once for each message, at most `timeout` seconds; return them.

        An error is an answer too. While the carrier is known to be out nobody waits, and never so many at once that
        no thread is left to take webhooks. Raises `StoreUnavailable`.
        """
        may_wait = self._waiters.acquire(blocking=False)
        try:
            return self._wait_until_answered(ids, timeout if may_wait else 0.0)
        finally:
            if may_wait:
                self._waiters.release()

    def _wait_until_answered(self, ids: Collection[int], timeout: float) -> list[Message]:
        deadline = monotonic() + timeout
        while True:
            told = self._told
            messages = self._store.read(lambda tx: [tx.message(id) for id in ids])
            waiting = [m for m in messages if not _answered(m) and not self.is_out(m.carrier)]
            left = deadline - monotonic()
            if not waiting or left <= 0 or not self.alive:
                return messages
            with self._news:
                if self._told == told:
                    self._news.wait(min(left, LOOK))

    def _tell(self) -> None:
        """Wake whoever waits: outcomes were settled."""
        with self._news:
            self._told += 1
            self._news.notify_all()


class Elsewhere(Dispatching):
    """Other processes send. They look into the outbox by themselves, and write down which carriers are out."""

    def start(self) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """Stop nothing."""

    @property
    def alive(self) -> bool:
        """Return True: nothing of it runs here that could have died."""
        return True

    def ring(self) -> None:
        """Do nothing: nobody here would hear it."""

    def is_out(self, carrier: str) -> bool:
        """Return whether those who send have found that a carrier is out. Raises `StoreUnavailable`."""
        return self._store.read(lambda tx: tx.circuit(carrier)).is_open


def _answered(message: Message) -> bool:
    return message.state is not MessageState.SENDING and (
        message.first_tried_at is not None or message.state is not MessageState.QUEUED
    )
