"""One connection that a thread keeps, with its transactions begun and ended on the driver.

To take one from the pool for each transaction, and to give it back, costs more than a small unit of work.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dataset
from sqlalchemy.exc import SQLAlchemyError


class Held:
    """The connection of one thread. Not to be used by any other."""

    def __init__(self, db: dataset.Database, begin: str) -> None:
        """Take the pool, and the statement by which its transactions begin."""
        self._db = db
        self._begin = begin
        self._driver: Any = None  #: the driver's connection; none at first, and after a failed one
        self._words, self._said = "", False  #: to this connection

    def say(self, words: str) -> None:
        """Say something to each connection before its next transaction, but for its first. From any thread."""
        self._words, self._said = words, False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in one transaction, committed at its end and rolled back by whatever it raises.

        dataset and SQLAlchemy see one transaction, that lasts until one fails. Then the connection goes back to the
        pool; where even the ROLLBACK fails it is thrown away, so that a disk that was full for a moment is not full
        for ever.
        """
        try:
            self._enter()
            yield
            self._driver.execute("COMMIT")
        except BaseException:
            self._let_go()
            raise

    def _enter(self) -> None:
        if self._driver is not None:
            if self._words and not self._said:
                self._driver.execute(self._words)
                self._said = True
            self._driver.execute(self._begin)
            return
        self._db.begin()  # which says `begin` to the driver by itself
        self._driver = self._db.executable.connection.driver_connection

    def _let_go(self) -> None:
        self._driver, self._said = None, False
        with suppress(SQLAlchemyError):
            self._db.rollback()
        broken = self._db.connections.pop(threading.get_ident(), None)
        if broken is not None:
            broken.invalidate()
            broken.close()
