"""What the commands that talk to a gateway have in common: where it is, what is listed, times, JSON."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import IO, Any

import click

from gateway.cli.api import Api
from gateway.cli.frame import Exit, Misused, tell
from gateway.cli.refusals import Refused
from gateway.errors import ConfigError
from gateway.remote import read_remote

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d{3})?)?)?(Z|[+-]\d\d:\d\d)?")
Function = Callable[..., Any]


def remote(function: Function) -> Function:
    """Give a command the options that say which gateway it talks to, and that gateway as its first argument."""

    @click.option("--url", metavar="URL", help="The gateway to talk to. [default: $GATEWAY_URL]")
    @click.option(
        "--key-file",
        type=click.File("r"),
        metavar="FILE",
        help="Read the key from a file, - for standard input. [default: $GATEWAY_API_KEY]",
    )
    @functools.wraps(function)
    def with_api(*args: Any, url: str | None, key_file: IO[str] | None, **kwargs: Any) -> Any:
        return function(Api(read_remote(url, _key(key_file))), *args, **kwargs)

    return with_api


def _key(file: IO[str] | None) -> str | None:
    if file is None:
        return None
    try:
        key = file.readline().strip()
    except ValueError:
        key = ""
    if not key:
        raise ConfigError("--key-file: its first line holds no key")
    return key


def listed(function: Function) -> Function:
    """Give a command the options of a list: `most` is how many rows are wanted, None for all; and `as_json`."""

    @click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The most rows to show.")
    @click.option("--all", "everything", is_flag=True, help="Show all of them.")
    @json_lines
    @functools.wraps(function)
    def with_most(*args: Any, limit: int, everything: bool, **kwargs: Any) -> Any:
        return function(*args, most=None if everything else limit, **kwargs)

    return with_most


def json_lines(function: Function) -> Function:
    """Give a command the option that prints several things as JSON."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")(function)


def json_document(function: Function) -> Function:
    """Give a command the option that prints one thing as JSON."""
    return click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(function)


def past(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return a time that an option was given as the API takes it; a duration is so long before now."""
    return None if value is None else _moment(value, -1)


def ahead(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return a time that an option was given as the API takes it; a duration is so long from now on."""
    return None if value is None else _moment(value, 1)


def ahead_or_never(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return a time as `ahead` does, and "" as it is."""
    return value and _moment(value, 1)


def _moment(value: str, sign: int) -> str:
    found = _TIME.fullmatch(value)
    try:
        at = _read(found) if found else datetime.now(timezone.utc) + sign * _duration(value)
    except (ValueError, OverflowError):
        raise Misused(
            "is no time such as 2026-11-22, '2026-11-22 14:30' (UTC) or 2h, which is counted from now"
        ) from None
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(found: re.Match[str]) -> datetime:
    date, minutes, seconds, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z") else zone
    return datetime.fromisoformat(f"{date}T{minutes or '00:00'}{seconds or ':00'}{zone}")


def _duration(value: str) -> timedelta:
    from gateway.values import duration

    return timedelta(milliseconds=duration(value))


def refuse_backwards(given: Mapping[str, str | None]) -> None:
    """Raise `click.UsageError` for options --since and --until that have nothing between them."""
    since, until = given.get("since"), given.get("until")
    if since and until and until < since:
        raise click.UsageError("--until is before --since.")


def without_none(**values: Any) -> dict[str, Any]:
    """Return what was given, as fields of a request."""
    return {name: value for name, value in values.items() if value is not None}


def one_by_one(names: Sequence[str], do: Callable[[str], None]) -> None:
    """Do something to each of several things. What is refused of one is told, and the others go on.

    Raises `Refused` for a single one, and what would be so for all the others too.
    """
    refused = 0
    for name in names:
        try:
            do(name)
        except Refused as error:
            if len(names) == 1 or error.exit_code is Exit.NOT_ALLOWED:
                raise
            tell(f"{name}: {error}")
            refused += 1
    if refused:
        click.get_current_context().exit(Exit.NOT_ALL)
