"""What the value of one variable may be: pure functions from text to value, used by settings.py.

Each raises `ValueError` in words that follow the variable's name, and that never hold the value: it may be a secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from pydantic import SecretStr

from gateway.keywords import LONGEST, plain
from gateway.numbers import is_region, without_numbers

LONGEST_MS = 100 * 365 * 86_400_000  #: a century: more is a slip of the keyboard

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]*):([0-9]{1,5})")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")
_LEVELS = {"CRITICAL": 50, "FATAL": 50, "ERROR": 40, "WARNING": 30, "WARN": 30, "INFO": 20, "DEBUG": 10}
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def duration(text: str) -> int:
    """Return a duration as milliseconds: a whole number and its unit, `100ms`, `90s`, `15m`, `24h` or `7d`."""
    match = _DURATION.fullmatch(text)
    if not match and text.isdigit():
        raise ValueError("has no unit: write ms, s, m, h or d after the number")
    if not match:
        raise ValueError("is not a duration, a whole number with ms, s, m, h or d after it")
    milliseconds = int(match[1]) * _UNITS[match[2]]
    if milliseconds > LONGEST_MS:
        raise ValueError("is longer than a century")
    return milliseconds


def duration_from(least: str) -> Callable[[str], int]:
    """Return a reader of durations no shorter than `least`."""

    def read(text: str) -> int:
        milliseconds = duration(text)
        if milliseconds < duration(least):
            raise ValueError(f"is shorter than {least}")
        return milliseconds

    return read


def duration_within(least: str, most: str) -> Callable[[str], int]:
    """Return a reader of durations from `least` to `most`."""

    def read(text: str) -> int:
        if not duration(least) <= (milliseconds := duration(text)) <= duration(most):
            raise ValueError(f"is not from {least} to {most}")
        return milliseconds

    return read


def duration_or_none(text: str) -> int:
    """Return a duration of a day or more as milliseconds, 0 for `0`."""
    return 0 if text == "0" else duration_from("1d")(text)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"is not a whole number from {low} to {high}")
        return int(text)

    return read


def split_listen(text: str) -> tuple[str, int]:
    """Return (host, port) of `host:port`. No host means 127.0.0.1; an IPv6 address stands in brackets."""
    match = _LISTEN.fullmatch(text)
    if not match or int(match[2]) > 65_535:
        raise ValueError("is not host:port (IPv6 in brackets; 0.0.0.0 is every address) with a port up to 65535")
    return match[1].strip("[]") or "127.0.0.1", int(match[2])


def join_listen(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 address in brackets, as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(text: str) -> str:
    """Return `host:port` with the host filled in."""
    return join_listen(*split_listen(text))


def is_public(host: str) -> bool:
    """Return whether the internet may know `host`: a name with a dot that is not a local one, or a global address."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        name = host.lower().rstrip(".")
        return "." in name and not name.endswith((".localhost", ".local", ".lan", ".internal", ".home.arpa"))


def public_url(text: str) -> str:
    """Return the URL before `/webhooks/…`, without a slash at its end; "" for ""."""
    return base_url(text, "/webhooks/…") if text else ""


def base_url(text: str, path: str) -> str:
    """Return the URL before `path`, without a slash at its end."""
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\\]", text):
        raise ValueError("is not a URL that begins with https:// or http:// and a host")
    if "?" in text or "#" in text or "@" in url.netloc:
        raise ValueError(f"must hold no query, fragment or password: it is what stands before {path}")
    return text.rstrip("/")


def database_url(text: str) -> str:
    """Return the URL of an SQLite file or of PostgreSQL."""
    scheme, separator, rest = text.partition("://")
    if scheme == "postgres":
        raise ValueError("begins with postgres://, which SQLAlchemy does not know: write postgresql://")
    if not separator or scheme.partition("+")[0] not in ("sqlite", "postgresql"):
        raise ValueError("is not the URL of an SQLite or PostgreSQL database")
    if scheme.startswith("sqlite") and (not rest.strip("/") or ":memory:" in rest or "mode=memory" in rest):
        raise ValueError("is a database in memory, which forgets texts that were accepted: name a file")
    return text


def log_level(text: str) -> int:
    """Return the number of a level given by number or by name."""
    if text.upper() in _LEVELS:
        return _LEVELS[text.upper()]
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise ValueError("is neither a number nor one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
    return int(text)


def log_form(text: str) -> str:
    """Return the form of the log."""
    if text.lower() not in ("plain", "json"):
        raise ValueError("is neither plain nor json")
    return text.lower()


def switch(text: str) -> bool:
    """Return whether a switch is on."""
    if text.lower() not in _SWITCH:
        raise ValueError("is neither 1 nor 0")
    return _SWITCH[text.lower()]


def region(text: str) -> str:
    """Return an ISO country in capitals, `US`; "" for ""."""
    if text and not is_region(text.upper()):
        raise ValueError("is not an ISO country of two letters that has phone numbers")
    return text.upper()


def origins(text: str) -> tuple[str, ...]:
    """Return the origins of a comma-separated list, as browsers send them: no path, no slash; none for ""."""
    found = [origin.strip() for origin in text.split(",")] if text else []
    if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in found):
        raise ValueError("is not a list of origins, https:// and a host in lower case with nothing behind it, nor *")
    return tuple(dict.fromkeys(found))


def webhook_token(text: str) -> SecretStr | None:
    """Return the token, which stands in URLs; None for ""."""
    if not text:
        return None
    if not re.fullmatch(r"[A-Za-z0-9._~-]+", text) or not text.strip("."):
        raise ValueError("stands in a URL: it may hold letters, digits, - _ ~ and . only")
    return SecretStr(text)


def carrier_name(text: str) -> str:
    """Return the name of a carrier. Whether it is installed is not known here."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", text):
        raise ValueError("is not the name of a carrier, in lower case as `gateway carriers` lists it")
    return text


def uncertain(text: str) -> str:
    """Return what to do with a send whose outcome cannot be learnt."""
    if text.lower() not in ("resend", "hold"):
        raise ValueError("is neither resend nor hold")
    return text.lower()


def without_number(text: str) -> str:
    """Return words as they are. Raises `ValueError` where they hold what may be a phone number."""
    if without_numbers(text) != text:
        raise ValueError("holds what may be a phone number, which nobody is to be shown")
    return text


def words(text: str) -> str:
    """Return what is said. Raises `ValueError` where there is no word in it."""
    if not any(letter.isalnum() for letter in text):
        raise ValueError("has no word in it, and must say something")
    return text


def words_or_none(text: str) -> str:
    """Return what is said; "" for `-`: nothing. Raises `ValueError` where there is no word in it."""
    return "" if text.strip() in ("", "-") else words(text)


def free_words_or_none(text: str) -> str:
    """Return what is said, in words of the operator's own; "" for `-`. Raises `ValueError` as `words` does, and where
    they hold what may be a phone number.
    """
    return without_number(words_or_none(text))


def keywords(text: str) -> frozenset[str]:
    """Return the words of a comma-separated list, as `gateway.keywords.plain` returns each."""
    words = [plain(word) for word in text.split(",")]
    if not all(words):
        raise ValueError("has beside a comma a word that is empty, or nothing but punctuation")
    if any(len(word) > LONGEST for word in words):
        raise ValueError(f"has a word of more than {LONGEST} characters: no text as long as that is looked at")
    return frozenset(words)


def keywords_or_none(text: str) -> frozenset[str]:
    """Return the words of a list that may be without any, which is written `-`."""
    return frozenset() if text == "-" else keywords(text)


def stop_words(text: str) -> frozenset[str]:
    """Return the words of the list that the law asks for (47 CFR 64.1200(a)(10))."""
    words = keywords(text)
    if "stop" not in words:
        raise ValueError("must hold STOP: it is what people are told to write, and what carriers themselves obey")
    return words
