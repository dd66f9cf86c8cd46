"""What is logged, ours, the plugins' and the libraries', in one form, to standard error.

Nothing of people: ids, masks, states.

`plain` is a line of words, with a traceback below it where something broke. `json` is an object a line: `time`
(RFC 3339, UTC), `level`, `logger`, `message`, of `FIELDS` what the line has, and of what broke `error` (its type) and
`traceback`.

What the gateway says is said as it is. A plugin's words lose what may be a phone number. Of a library's words nothing
is said, as they may hold a path, a header or a value: only where it spoke. And an error's own words are never said,
whoever logs it, or nobody.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import Any, TextIO

from gateway.clock import moment
from gateway.numbers import without_numbers
from gateway.repeats import Repeats

PLAIN, JSON = "plain", "json"
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
OURS = "gateway"
CAUSES = 5  #: of an error, as many as are told

#: What a line may have besides its words, as `extra` of a log call.
FIELDS = ("event", "message_id", "call", "session", "mask", "carrier", "state", "detail")

log = logging.getLogger(__name__)


def configure(level: int, plugins: Iterable[str] = (), form: str = PLAIN) -> None:
    """Log what is at least `level`, of the gateway and of the import packages named in `plugins`; see above for `form`.

    Of the libraries only warnings, and of urllib3 nothing: what it has to say comes out of client.py as an error.
    Where the program that runs us logs in its own way, handlers and hooks stay as they are.
    """
    root = logging.getLogger()
    if all(isinstance(each, _Handler) for each in root.handlers):
        handler = _Handler()
        handler.setFormatter(_JsonForm(plugins) if form == JSON else _PlainForm(plugins))
        handler.addFilter(Repeats())
        root.handlers[:] = [handler]
        _catch_what_nobody_catches()
    root.setLevel(max(level, logging.WARNING))
    for name in (OURS, *plugins):
        logging.getLogger(name).setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)


def log_bug(log: logging.Logger, what: str, error: BaseException | None, **fields: Any) -> None:
    """Log that `what` broke, and where; without the error's own words, which may hold numbers or texts."""
    log.error("%s broke: %s", what, type(error).__name__, extra={"bug": error, **fields})


def spoken(words: str, form: str) -> str:
    """Return what `gateway serve` says to people on standard output, as a line in `form`: there, JSON is for both."""
    if form == PLAIN:
        return words
    level = logging.WARNING if words.startswith("warning: ") else logging.INFO
    said = logging.LogRecord(f"{OURS}.server", level, "", 0, words, None, None)
    return _JsonForm(()).format(said)


class _Form(logging.Formatter):
    """What may be said of a record."""

    def __init__(self, plugins: Iterable[str]) -> None:
        super().__init__(FORMAT)
        self._plugins = frozenset(plugins)

    def words(self, record: logging.LogRecord) -> str:
        """Return what a record says, fit to be read by whoever reads logs."""
        package = record.name.partition(".")[0]
        if package != OURS and package not in self._plugins:
            return f"{record.module}.{record.funcName}, line {record.lineno}"
        try:
            said = record.getMessage()
        except Exception as error:  # its arguments do not fit: they may hold anything, and Python would print them
            return f"{record.module}.{record.funcName}, line {record.lineno}, cannot be logged: {type(error).__name__}"
        return said if package == OURS else without_numbers(said)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return what a record says besides, by the names in `FIELDS`."""
        given = {name: value for name in FIELDS if (value := getattr(record, name, None)) not in (None, "")}
        if record.name.partition(".")[0] == OURS:
            return given
        return {name: without_numbers(str(value)) for name, value in given.items()}

    @staticmethod
    def broke(record: logging.LogRecord) -> BaseException | None:
        """Return the error that a record is about."""
        bug: BaseException | None = getattr(record, "bug", None) or (record.exc_info or (None, None))[1]
        return bug


class _PlainForm(_Form):
    """For people: a line, and below it where something broke."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line. What would end a line is escaped: no words of a carrier's can pose as a record."""
        line = f"{self.formatTime(record)} {record.levelname} {record.name} {_on_one_line(self.words(record))}"
        error = self.broke(record)
        return line if error is None else f"{line}\n{_frames(error)}{type(error).__name__}"


class _JsonForm(_Form):
    """For programs: an object, in ASCII, so that it is UTF-8 wherever it is written."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a JSON object."""
        said: dict[str, Any] = {
            "time": moment(int(record.created * 1000)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": self.words(record),
        }
        said |= self.fields(record)
        if (error := self.broke(record)) is not None:
            said |= {"error": type(error).__name__, "traceback": _frames(error)}
        return json.dumps(said, default=lambda value: type(value).__name__)


def _on_one_line(words: str) -> str:
    if words.isprintable():
        return words
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in words)


def _frames(error: BaseException) -> str:
    """Return where an error came from, and where what led to it: places in the source, no values."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    for _ in range(CAUSES):
        earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if earlier is None:
            break
        before = "".join(traceback.format_tb(earlier.__traceback__))
        frames = f"{before}{type(earlier).__name__}, which led to\n{frames}"
        error = earlier
    return frames


class _Handler(logging.Handler):
    """Writes to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. One that cannot be written is left out: Python would print what it was to be made of."""
        with contextlib.suppress(Exception):
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()


# --- what nobody catches --------------------------------------------------------------------------


def _catch_what_nobody_catches() -> None:
    """Log errors that end a thread or the program, those nobody can be told of, and warnings."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _end_of_program
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _end_of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _end_of_object
    warnings.showwarning = _warned


def _end_of_program(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    log_bug(log, "the program", error)


def _end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if not issubclass(ended.exc_type, SystemExit):
        log_bug(log, f"the thread {ended.thread.name if ended.thread else '?'}", ended.exc_value)


def _end_of_object(left: sys.UnraisableHookArgs) -> None:
    log_bug(log, "what was being thrown away", left.exc_value)


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    log.warning("a %s comes from %s, line %d", category.__name__, filename, lineno)
