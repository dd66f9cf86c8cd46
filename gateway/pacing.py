"""How fast a number may send: parts of a text, and the time at which the next may leave. Pure."""

from __future__ import annotations

#: GSM 03.38 basic set and its extension table (two septets each): `carriers.md` 7.
_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_EXTENDED = frozenset("^{}\\[~]|€\f")

#: µs that whoever sends may come late and lose nothing: it comes now and then, and claims what fell due since.
SLACK_US = 20_000

#: (characters in a text of one part, characters in each of several), by encoding
STANDARD = {"gsm7": (160, 153), "ucs2": (70, 67)}


def encoding(text: str) -> str:
    """Return `gsm7` where every character of `text` is in GSM 03.38, else `ucs2`."""
    return "gsm7" if _GSM7.issuperset(text) or (_GSM7 | _GSM7_EXTENDED).issuperset(text) else "ucs2"


def parts(text: str, limits: dict[str, tuple[int, int]] = STANDARD) -> int:
    """Return how many parts a text is sent in, at least 1. No surrogate or escape pair is split over two parts."""
    kind = encoding(text)
    single, several = limits[kind]
    widths = [_width(char, kind) for char in text]
    if sum(widths) <= single:
        return 1
    count, room = 1, several
    for width in widths:
        if width > room:
            count, room = count + 1, several
        room -= width
    return count


def _width(char: str, kind: str) -> int:
    if kind == "gsm7":
        return 2 if char in _GSM7_EXTENDED else 1
    return 2 if ord(char) > 0xFFFF else 1


def after(free_at: int, now: int, weight: float, rate: float | None) -> int:
    """Return when the next message may leave (µs), if one of `weight` leaves now (µs) at `rate` per second.

    `free_at` is what this function returned for the message before; 0 for the first. A message that takes less than
    `SLACK_US` may leave as if up to so much earlier, less what it takes itself: over any time, no more leaves than in
    `SLACK_US` more of it, and after a pause no more at once than in `SLACK_US`. One that takes as much or more has its
    time for itself.
    """
    if rate is None:
        return free_at
    takes = round(weight * 1_000_000 / rate)
    return max(free_at, now - max(0, SLACK_US - takes)) + takes
