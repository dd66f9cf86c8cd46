"""STOP, START and HELP: what a whole text of one such word means (`carriers.md` 8). Pure."""

from __future__ import annotations

from enum import Enum


class Keyword(Enum):
    """What somebody asks of us, rather than of the other person."""

    STOP = "stop"
    START = "start"
    HELP = "help"


_STOP = frozenset(
    {"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out"}
)
_START = frozenset({"start", "unstop"})
_START_IF_STOPPED = frozenset({"yes"})  #: everyday words, that mean START only to somebody who has said STOP
_HELP = frozenset({"help", "info"})
_PUNCTUATION = ".!?,;:…\"'”’ \t\r\n"


def keyword(text: str, *, opted_out: bool) -> Keyword | None:
    """Return the keyword that `text` as a whole is, or None if it is something to relay.

    Case, white space around and punctuation behind do not count; a word more does ("Stop. Thank you" is no
    keyword). `opted_out`: whether the sender has said STOP before.
    """
    if len(text) > 32:
        return None
    words = " ".join(text.rstrip(_PUNCTUATION).casefold().split())
    if words in _STOP:
        return Keyword.STOP
    if words in _START or (opted_out and words in _START_IF_STOPPED):
        return Keyword.START
    return Keyword.HELP if words in _HELP else None
