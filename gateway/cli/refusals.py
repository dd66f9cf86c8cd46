"""What a gateway refuses, in words that say what is wrong, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cli.frame import CommandFailed, Exit, clean
from gateway.remote import KEY, URL, Remote

_EXITS = {401: Exit.NOT_ALLOWED, 403: Exit.NOT_ALLOWED, 404: Exit.NOT_FOUND, 409: Exit.CONFLICT, 412: Exit.CONFLICT}

_ABOUT_ERRORS = re.compile(r" ?`errors` says [^.]*\.")

#: Returns what on the command line a place in a request came from. Places are steps: `participants`, `0`, `number`.
Where = Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One thing that is wrong with a request."""

    place: tuple[str, ...]
    why: str


class Refused(CommandFailed):
    """The gateway answered no. `wrong` says of each field what is wrong with it."""

    def __init__(self, words: str, exit_code: Exit, wrong: Sequence[Wrong] = ()) -> None:
        super().__init__(words, exit_code)
        self.wrong = tuple(wrong)


class Unavailable(CommandFailed):
    """The gateway cannot be reached, or cannot answer now."""

    def __init__(self, words: str) -> None:
        super().__init__(words, Exit.UNAVAILABLE)


def named(**names: str) -> Where:
    """Return what names places by their first step; what has no name there is named as the API does."""

    def where(place: Sequence[str]) -> str:
        first, *rest = place or [""]
        return " ".join([names.get(first, first), *rest])

    return where


def refusal(status: int, document: Any, remote: Remote, where: Where) -> CommandFailed:
    """Return what an answer of a status of 400 or more means; `document` is its JSON, None where it is none."""
    if status == 401:
        return Refused(_no_key(remote), Exit.NOT_ALLOWED)
    if not isinstance(document, dict) or not isinstance(document.get("detail"), str):
        return not_a_gateway(f"HTTP {status}", remote)
    words = _in_words(str(document.get("title", "")), document["detail"], document.get("type", "about:blank"))
    if status >= 500 or status == 429:
        return Unavailable(f"{remote.url}: {clean(words)}")
    wrong = [_wrong(one) for one in document.get("errors", [])]
    if any(document["detail"].rstrip(".").lower() == one.why.lower() for one in wrong):
        words = str(document.get("title", ""))  # the rest is said below, of what it is about
    lines = [clean(words), *(f"  {where(one.place)}: {one.why}" for one in wrong)]
    return Refused("\n".join(dict.fromkeys(lines)), _EXITS.get(status, Exit.WRONG), wrong)


def not_a_gateway(what: str, remote: Remote) -> Unavailable:
    """Return what it means that something else answered."""
    return Unavailable(
        f"{remote.url} answered {what}, and not as a gateway does. {URL.variable} (or --url) must be what "
        "`gateway serve` says behind `ready on`, or what stands before /v1 at your proxy"
    )


def _in_words(title: str, detail: str, type: str) -> str:
    """Return title and detail, without what is said twice; the title of a plain status says nothing."""
    detail = _ABOUT_ERRORS.sub("", detail).strip()  # they are below
    if type == "about:blank" or detail.startswith(title):
        return detail
    return f"{title}. {detail}".strip()


def _wrong(error: Mapping[str, Any]) -> Wrong:
    pointer = error.get("pointer")
    steps = (error.get("parameter", ""),) if pointer is None else pointer.split("/")[1:]
    return Wrong(
        place=tuple(clean(step.replace("~1", "/").replace("~0", "~")) for step in steps),
        why=clean(str(error.get("detail", ""))),
    )


def _no_key(remote: Remote) -> str:
    if not remote.key:
        return (
            f"{remote.url} asks for a key: put the secret of one of its GATEWAY_API_KEYS into {KEY.variable}, or into "
            "a file for --key-file"
        )
    hint = ". Of name:role:secret it is the secret alone" if ":" in remote.key else ""
    return (
        f"{remote.url} does not know the key in {KEY.variable} (or --key-file). It must be the secret of one of its "
        f"GATEWAY_API_KEYS{hint}"
    )
