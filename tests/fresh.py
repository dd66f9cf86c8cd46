"""New databases for tests: the schema is made once in each process, by the migrations, and copied from then on."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from gateway.store import Store


@functools.cache
def _template() -> bytes:
    """Return an SQLite file as a first start leaves it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.db"
        Store(f"sqlite:///{path}").close()
        return path.read_bytes()


def prepared(url: str) -> str:
    """Return the URL of a database; an SQLite file that is not there yet is one now, as a first start leaves it."""
    scheme, _, path = url.partition(":///")
    if scheme == "sqlite" and not Path(path).exists():
        Path(path).write_bytes(_template())
    return url
