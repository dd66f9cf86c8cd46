"""A client that calls the application as a server would, without sockets; and a clock that a test sets."""

from __future__ import annotations

import io
import json as jsonlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults

from gateway.web import Context, make_app

NOTHING = object()


class SettableClock:
    """The time in ms UTC, which passes when a test says so. It starts on 19 May 2026, 22:09:58.250."""

    def __init__(self) -> None:
        self.now = 1_779_228_598_250

    def __call__(self) -> int:
        return self.now

    def tick(self, *, ms: int = 0, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        """Let time pass."""
        self.now += round(ms + 1000 * (seconds + 60 * (minutes + 60 * hours)))


@dataclass(frozen=True)
class Answer:
    """What the application answered."""

    status: int
    headers: dict[str, str]  #: names in lower case
    body: bytes

    @property
    def text(self) -> str:
        """The body, which must be UTF-8."""
        return self.body.decode("utf-8")

    @property
    def type(self) -> str:
        """The media type without parameters."""
        return self.headers["content-type"].partition(";")[0]

    def json(self) -> Any:
        """The body, which must be labelled as JSON."""
        assert self.type == "application/json", (self.type, self.body)
        return jsonlib.loads(self.body)


class Client:
    """Requests to the application of `context`, which may be reached at `http://gw.example.com`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.errors = io.StringIO()  #: what a server would have logged
        self._app = make_app(context)

    def __call__(
        self, method: str, path: str, *, json: Any = NOTHING, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request; `path` with its query, as it stands in the request line."""
        if json is not NOTHING:
            body = jsonlib.dumps(json).encode()
        environ = self._environ(method, path, body, headers or {})
        started: list[Any] = []
        parts = self._app(environ, lambda status, headers, exc_info=None: started.append((status, headers)))
        status, sent = started[-1]
        answer = Answer(int(status[:3]), {name.lower(): value for name, value in sent}, b"".join(parts))
        assert not self.errors.getvalue(), self.errors.getvalue()
        return answer

    def _environ(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        target, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(target).decode("latin-1"),
            "REQUEST_URI": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": "application/json",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": self.errors,
        }
        setup_testing_defaults(environ)
        for name, value in headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        return environ

    def outbox(self) -> list[dict[str, Any]]:
        """Return every message that was ever to be sent, oldest first."""
        return self.context.store.read(lambda tx: [dict(row) for row in tx.query("SELECT * FROM outbox ORDER BY id")])

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has that requests write to."""
        tables = ("numbers", "sessions", "legs", "leases", "outbox", "inbox", "events", "notices", "opt_outs", "told")
        return self.context.store.read(
            lambda tx: {name: tx.query(f"SELECT COUNT(*) AS n FROM {name}")[0]["n"] for name in tables}
        )
