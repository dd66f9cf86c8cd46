"""STOP, START and HELP: what a whole text of one such word means (`carriers.md` 8). Pure.

Which words they are is the operator's to say, in any script: `GATEWAY_STOP_WORDS` and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from unicodedata import category, normalize

LONGEST = 32  #: characters of a keyword
_LOOKED_AT = 2 * LONGEST  #: characters of a text, for there may be quotes and exclamation marks around the word

_ASCII = [chr(code) for code in range(128)]
_ASCII_SPACES = dict.fromkeys((ord(char) for char in _ASCII if category(char) in ("Pd", "Cc")), " ")
_ASCII_EDGES = "".join(char for char in _ASCII if category(char)[0] in "PZ")  #: and what has become a space


class Keyword(Enum):
    """What somebody asks of us, rather than of the other person."""

    STOP = "stop"
    START = "start"
    HELP = "help"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keywords:
    """The words that are understood, each as `plain` returns it, and none in two of the lists."""

    stop: frozenset[str]
    start: frozenset[str]
    start_if_stopped: frozenset[str]  #: everyday words, that mean START only to somebody who has said STOP
    help: frozenset[str]


def plain(text: str) -> str:
    """Return what is left of `text` when case, width, white space and punctuation around it do not count.

    A dash counts as a space ("opt-out"). "" for what is nothing but punctuation.
    """
    if text.isascii():  # nearly every text that is looked at: the same, and a tenth of the work
        return " ".join(text.lower().translate(_ASCII_SPACES).strip(_ASCII_EDGES).split())
    folded = normalize("NFKC", normalize("NFKC", text).casefold())
    folded = folded.replace("i\u0307", "i")  # what casefold makes of the Turkish İ
    marked = [(char, category(char)) for char in folded]
    bare = "".join(" " if kind in ("Pd", "Cc") else char for char, kind in marked if kind != "Cf")
    return " ".join(_without_edges(bare).split())


def _without_edges(text: str) -> str:
    """Return `text` from its first character to its last that is neither punctuation nor a space."""
    kept = [at for at, char in enumerate(text) if category(char)[0] not in "PZ"]
    return text[kept[0] : kept[-1] + 1] if kept else ""


def keyword(text: str, words: Keywords, opted_out: Callable[[], bool]) -> Keyword | None:
    """Return the keyword that `text` as a whole is, or None if it is something to relay.

    A word more makes it something to relay ("Stop. Thank you"). `opted_out` is asked whether the sender has said STOP
    before, for the words where that matters and for no other text.
    """
    if len(text) > _LOOKED_AT and len(text.strip()) > _LOOKED_AT:
        return None
    said = plain(text)
    if said in words.stop:
        return Keyword.STOP
    if said in words.start or (said in words.start_if_stopped and opted_out()):
        return Keyword.START
    return Keyword.HELP if said in words.help else None
