"""Hand a message to Flowroute, and tell what its refusals mean: https://developer.flowroute.com/api/errors/"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gateway import CarrierMisconfigured, OutboundMessage, RecipientOptedOut, Submission
from gateway.client import Response, raise_for_status, showable
from gateway.numbers import digits
from gateway_flowroute.api import Api, body_of, reference

#: Quotes that "are known to cause errors" (https://developer.flowroute.com/api/messages/v2.2/send-an-sms).
QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"', "‘": "'", "’": "'", "‚": "'", "‛": "'"})

OPTED_OUT = "1110"  #: the handset has sent STOP to this number
_OPTED_OUT = re.compile(rf"(?<![\w-]){OPTED_OUT}(?![\w-])")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,20}")


def send(api: Api, message: OutboundMessage) -> Submission:
    """Send `message` unchanged; where its typographic quotes may be why it was refused, once more with plain ones.

    A refusal is final and nothing was sent, so the second request cannot double the text. Raises `SendError`.
    """
    response = api.submit(_attributes(message, message.text))
    if response.status_code in (400, 422) and plain(message.text) != message.text and not _opted_out(response, message):
        response = api.submit(_attributes(message, plain(message.text)))
    if not 200 <= response.status_code < 300:
        _refuse(response, message)
    answer = body_of(response)
    data = answer.get("data") if isinstance(answer, dict) else None
    return Submission(carrier_ref=reference(data.get("id")) if isinstance(data, dict) else "")


def plain(text: str) -> str:
    """Return `text` with straight quotes for typographic ones."""
    return text.translate(QUOTES)


def _attributes(message: OutboundMessage, text: str) -> dict[str, Any]:
    """Return a message in Flowroute's words: numbers as digits alone, which every version of the API takes."""
    attributes: dict[str, Any] = {"from": digits(message.sender), "to": digits(message.recipient)}
    if text or not message.media:
        attributes["body"] = text
    if message.media:
        attributes |= {"media_urls": list(message.media), "is_mms": True}
    if message.receipt_url:
        attributes["dlr_callback"] = message.receipt_url
    return attributes


def _refuse(response: Response, message: OutboundMessage) -> None:
    """Raise what an answer other than 2xx means."""
    if _opted_out(response, message):
        raise RecipientOptedOut("the recipient has sent STOP to this number", code=OPTED_OUT)
    code, words = _first_error(body_of(response), message)
    if response.status_code == 403:  # not this account's number, or not registered: only that number is held back
        words = words or "the account may not send from this number"
        raise CarrierMisconfigured(f"HTTP 403: {words}", code=code or "403", number_only=True)
    raise_for_status(response, words, code)


def _opted_out(response: Response, message: OutboundMessage) -> bool:
    """Look for 1110 wherever a 400 may hold it (no page says where), but not in an id, nor in our text as quoted."""
    if response.status_code != 400:
        return False
    body = body_of(response)
    words = list(_values(body)) if body is not None else [response.content.decode("utf-8", "replace")]
    for ours in {message.text, plain(message.text)}:
        if OPTED_OUT in ours:
            words = [word if word.strip() == OPTED_OUT else word.replace(ours, "") for word in words]
    return any(_OPTED_OUT.search(word) for word in words)


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "id":
                yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)
    elif isinstance(value, (str, int, float)):
        yield str(value)


def _first_error(body: Any, message: OutboundMessage) -> tuple[str, str]:
    """Return code and words of the first error; both may be "": `detail` is not always a string, nor there."""
    errors = body.get("errors") if isinstance(body, dict) else None
    error = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(error, dict):
        return "", ""
    code = str(error.get("code", ""))
    words = [showable(error.get(key), message) for key in ("title", "detail")]
    return code if _CODE.fullmatch(code) else "", ": ".join(word for word in words if word)
