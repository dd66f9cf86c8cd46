"""The documents that answer a webhook: replies to a text, instructions for a call; in cXML and in SWML. Pure.

cXML: signalwire.com/docs/compatibility-api/cxml. SWML: signalwire.com/docs/swml/reference.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from gateway import OutboundMessage, WebhookResponse

log = logging.getLogger(__name__)

MOST_MEDIA = 8  #: of one message; `<Media>` would take 10, the message it becomes does not
MOST_CHARACTERS = 1600  #: of one message
MOST_BYTES = 64_000  #: of one document; beyond 64 kB nothing of it is carried out (code 11750)

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # in XML 1.0, escaped or not
_ROOM = 400  #: for what stands around the messages in a document

#: One message of an answer: to whom, as whom, what.
Piece = tuple[OutboundMessage, str, tuple[str, ...]]


def legal(text: str) -> str:
    """Return `text` without the characters XML 1.0 cannot hold."""
    return _ILLEGAL.sub("", text)


def cxml(*verbs: Element) -> WebhookResponse:
    """Return a `<Response>` of `verbs`.

    A carriage return is written as `&#13;`, or every parser makes it a line feed. Of `{{` one brace is written
    as `&#123;`: SignalWire replaces `{{From}}` before it parses, and a text must arrive as it was written.
    """
    inside = "".join(map(_written, verbs))
    response = f"<Response>{inside}</Response>" if inside else "<Response/>"
    return WebhookResponse(body=_DECLARATION + response, content_type="application/xml")


def _written(verb: Element) -> str:
    return tostring(verb, encoding="unicode").replace("\r", "&#13;").replace("{{", "{&#123;")


def swml(*steps: dict[str, Any]) -> WebhookResponse:
    """Return a SWML document whose main section is `steps`."""
    document = {"version": "1.0.0", "sections": {"main": list(steps)}}
    return WebhookResponse(body=json.dumps(document, ensure_ascii=False), content_type="application/json")


def literal(text: str) -> str:
    """Return `text` as SWML takes it literally.

    SWML replaces `%{message.from}` and `${…}` and has no escape: a word joiner (U+2060, which has no width)
    before the brace keeps it from seeing a variable.
    """
    return re.sub(r"([%$])\{", "\\1\u2060{", text)


def cxml_replies(replies: Iterable[OutboundMessage]) -> WebhookResponse:
    """Return the answer to a text that came as a form; without replies an empty `<Response/>`."""
    verbs = [_message(piece) for piece in _pieces(replies)]
    return cxml(*_fitting(verbs, [len(_written(verb).encode("utf-8")) for verb in verbs]))


def _message(piece: Piece) -> Element:
    message, text, media = piece
    verb = Element("Message", {"to": message.recipient, "from": message.sender})
    if text:
        SubElement(verb, "Body").text = text
    for url in media:
        SubElement(verb, "Media").text = legal(url)
    return verb


def swml_replies(replies: Iterable[OutboundMessage]) -> WebhookResponse:
    """Return the answer to a text that came as JSON; without replies `receive`, which says nothing."""
    steps = [{"reply": _reply(piece)} for piece in _pieces(replies)]
    sizes = [len(json.dumps(step, ensure_ascii=False).encode("utf-8")) for step in steps]
    return swml(*(_fitting(steps, sizes) or [{"receive": {}}]))


def _reply(piece: Piece) -> dict[str, Any]:
    message, text, media = piece
    reply: dict[str, Any] = {"to": message.recipient, "from": message.sender}
    if text:
        reply["body"] = literal(text)
    if media:
        reply["media"] = [literal(url) for url in media]
    return reply


def _pieces(replies: Iterable[OutboundMessage]) -> Iterator[Piece]:
    """Yield each reply in as many messages as it needs: nobody would tell us that one was too long."""
    for reply in replies:
        text = legal(reply.text)
        texts = [text[at : at + MOST_CHARACTERS] for at in range(0, len(text), MOST_CHARACTERS)]
        media = [reply.media[at : at + MOST_MEDIA] for at in range(0, len(reply.media), MOST_MEDIA)]
        for words, urls in zip_longest(texts, media):
            yield reply, words or "", urls or ()


def _fitting(parts: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
    """Return as many of `parts` as one document holds; `sizes` are theirs in bytes."""
    fitting: list[Any] = []
    left = MOST_BYTES - _ROOM
    for part, size in zip(parts, sizes, strict=True):
        left -= size
        if left < 0:
            log.error("%d of %d messages do not fit into one answer: left out", len(parts) - len(fitting), len(parts))
            break
        fitting.append(part)
    return fitting
