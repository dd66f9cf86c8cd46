"""What a carrier must survive and what it must notice: broken requests, and requests that somebody changed. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from gateway.messages import WebhookRequest

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

#: (id, content type, body)
GARBAGE: list[tuple[str, str, bytes]] = [
    ("empty", "", b""),
    ("empty JSON", JSON, b""),
    ("no JSON", JSON, b"<html>"),
    ("half of a JSON object", JSON, b'{"data": {"id": "1"'),
    ("a JSON list", JSON, b"[]"),
    ("a JSON number", JSON, b"12065550101"),
    ("a JSON string", JSON, b'"hello"'),
    ("JSON null", JSON, b"null"),
    ("JSON NaN", JSON, b"NaN"),
    ("an empty JSON object", JSON, b"{}"),
    ("JSON nested deeply", JSON, b"[" * 100_000),
    ("JSON objects nested deeply", JSON, b'{"data":' * 100_000),
    ("a number of 6000 digits", JSON, b'{"data": ' + b"9" * 6000 + b"}"),
    ("invalid UTF-8 as JSON", JSON, b'{"from": "\xff\xfe"}'),
    ("UTF-16", JSON, '{"from": "x"}'.encode("utf-16")),
    ("NULs", JSON, b"\x00" * 64),
    ("a lone surrogate", JSON, b'{"from": "\\ud800", "to": "\\udfff", "body": "\\ud83d"}'),
    ("a list of messages", JSON, b'[{"from": "12065550101"}]'),
    ("an empty form", FORM, b""),
    ("a form of separators", FORM, b"&&&===;;;%%%"),
    ("a form with broken escapes", FORM, b"From=%ZZ&To=%&Body=%E0%A4%A"),
    ("a form that is no UTF-8", FORM, b"From=%FF%FE&Body=\xff"),
    ("a form with many fields", FORM, b"&".join(b"a%d=1" % number for number in range(5000))),
    ("JSON called a form", FORM, b'{"from": "x"}'),
    ("a form called JSON", JSON, b"From=1&To=2"),
    ("an unknown charset", f"{FORM}; charset=no-such", b"From=1"),
    (
        "multipart",
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="From"\r\n\r\n1\r\n',
    ),
    ("multipart without a boundary", "multipart/form-data", b"--"),
    ("an unknown type", "image/png", b"\x89PNG\r\n\x1a\n"),
]

#: Private, and in a place or form that no carrier expects: an error about it must not repeat it.
PRIVATE_NUMBER = "2065550171"
PRIVATE_TEXT = "Meet me at the docks"

#: What a JSON field may hold instead of what it should.
WRONG: list[Any] = [
    None, True, False, 0, -1, 1.5, 12065550177, 10**30, 10**400, float("inf"), float("-inf"), float("nan"),
    "", " ", "x", "12065550177", "\x00", "\ud800", "é👋", "+", "null", "9" * 400, PRIVATE_TEXT,
    f"+1{PRIVATE_NUMBER}+12065550172", "2026-99-99T99:99:99Z",
    [], [None], [[]], ["x"], [PRIVATE_TEXT], [f"1{PRIVATE_NUMBER}"], {}, {"x": {}}, {"id": None}, {"x": PRIVATE_TEXT},
]  # fmt: skip

#: The same for a carrier's answers, which hold many records.
WRONG_IN_ANSWERS: list[Any] = [None, True, 7, 10**400, float("inf"), "", "x", "\ud800", [], [None], {}, {"x": {}}]

#: What a form field may hold, as it stands in the form.
WRONG_FIELDS = [
    "", "+", "x", "0", "-1", "1.5", "12065550177", "9" * 400, "1e999", "nan", "%00", "%FF%FE", "%ED%A0%80", "%F0%9F",
    "null", "%5B%5D", "%7B%7D", "%2B", f"%2B1{PRIVATE_NUMBER}%2B12065550172", PRIVATE_TEXT.replace(" ", "+"),
    "%0D%0A", "2026-99-99T99%3A99%3A99Z",
]  # fmt: skip


def is_form(request: WebhookRequest) -> bool:
    """Return whether the body is a form."""
    return bool(request.body) and "form" in request.content_type


def garbage(request: WebhookRequest) -> Iterator[tuple[str, WebhookRequest]]:
    """Yield a webhook with its body (and query) replaced by everything that is no webhook at all."""
    for name, content_type, body in GARBAGE:
        yield name, replace(request, headers={**request.headers, "content-type": content_type}, body=body)
        yield f"{name}, its type kept", replace(request, body=body)
    bare = _without_query(request)
    for query in ("", "&&&", "From=%FF&To=%00", "=", "a" * 5000):
        yield f"GET with {query[:20]!r}", replace(request, method="GET", body=b"", url=f"{bare}?{query}")
    yield "no headers", replace(request, headers={})


def broken_headers(request: WebhookRequest) -> Iterator[tuple[str, WebhookRequest]]:
    """Yield a webhook with one of its headers, a signature perhaps, made senseless."""
    for name in request.headers:
        for value in ("", " ", "x", "é", "\xff", "\x00", "=" * 4, "A" * 100_000, ",", "t=,v1="):
            yield f"{name}: {value[:10]!r}", replace(request, headers={**request.headers, name: value})
        yield f"no {name}", replace(request, headers={k: v for k, v in request.headers.items() if k != name})


def twisted(request: WebhookRequest) -> Iterator[tuple[str, WebhookRequest]]:
    """Yield a webhook with each of its fields in turn left out, or of the wrong type or form."""
    if is_form(request):
        for name, text in _twisted_fields(request.body.decode("utf-8")):
            yield name, replace(request, body=text.encode("utf-8"))
    elif request.body:
        for name, value in _twisted_values(json.loads(request.body), WRONG):
            yield name, replace(request, body=json.dumps(value).encode("ascii"))
    else:
        for name, text in _twisted_fields(urlsplit(request.url).query):
            yield name, replace(request, url=f"{_without_query(request)}?{text}")


def _twisted_fields(text: str) -> Iterator[tuple[str, str]]:
    pairs = text.split("&")
    for index, pair in enumerate(pairs):
        name = pair.partition("=")[0]
        before, after = pairs[:index], pairs[index + 1 :]
        yield f"without {name}", "&".join(before + after)
        for value in WRONG_FIELDS:
            yield f"{name} is {value[:20]}", "&".join([*before, f"{name}={value}", *after])


def _twisted_values(value: Any, wrongs: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield `value` with each part of it, at every depth, left out or replaced."""
    if not isinstance(value, (dict, list)):
        return
    for key in value if isinstance(value, dict) else range(len(value)):
        yield f"without {key!r}", _without(value, key)
        for wrong in wrongs:
            yield f"{key!r} is {str(wrong)[:20]!r}", _with(value, key, wrong)
        for name, inner in _twisted_values(value[key], wrongs):
            yield f"{key!r} → {name}", _with(value, key, inner)


def _with(value: Any, key: Any, part: Any) -> Any:
    changed = value.copy()
    changed[key] = part
    return changed


def _without(value: Any, key: Any) -> Any:
    changed = value.copy()
    del changed[key]
    return changed


def tampered(request: WebhookRequest) -> Iterator[tuple[str, WebhookRequest]]:
    """Yield a signed webhook with one thing in its body changed after it was signed."""
    if is_form(request):
        pairs = parse_qsl(request.body.decode("utf-8"), keep_blank_values=True)
        for index, (name, value) in enumerate(pairs):
            changed = [*pairs[:index], (name, f"{value}0"), *pairs[index + 1 :]]
            yield f"{name} changed", replace(request, body=urlencode(changed).encode("ascii"))
        yield "a field more", replace(request, body=request.body + b"&Extra=1")
        return
    places = [index for index, byte in enumerate(request.body) if chr(byte).isalnum() and byte < 128]
    for index in places[:: max(1, len(places) // 12)] + places[-1:]:
        other = b"1" if request.body[index : index + 1] != b"1" else b"2"
        yield f"byte {index} changed", replace(request, body=request.body[:index] + other + request.body[index + 1 :])


def elsewhere(request: WebhookRequest) -> Iterator[tuple[str, WebhookRequest]]:
    """Yield a signed webhook as if it had been sent to another URL."""
    parts = urlsplit(request.url)
    yield "another host", replace(request, url=urlunsplit(parts._replace(netloc="elsewhere.example.net")))
    yield "another path", replace(request, url=urlunsplit(parts._replace(path=f"{parts.path}/more")))
    yield "another query", replace(request, url=urlunsplit(parts._replace(query=f"{parts.query}&more=1".lstrip("&"))))


def stranger(request: WebhookRequest) -> WebhookRequest:
    """Return a webhook as somebody sends it who knows its form and no secret."""
    return replace(request, headers={"content-type": request.headers.get("content-type", JSON)})


def reworded(request: WebhookRequest, old: str, new: str) -> WebhookRequest:
    """Return a webhook with every field that reads `old` reading `new`."""
    if is_form(request):
        return replace(request, body=_reworded_fields(request.body.decode("utf-8"), old, new).encode("ascii"))
    if request.body:
        value = _reworded_value(json.loads(request.body), old, new)
        return replace(request, body=json.dumps(value, ensure_ascii=False).encode("utf-8"))
    query = _reworded_fields(urlsplit(request.url).query, old, new)
    return replace(request, url=f"{_without_query(request)}?{query}")


def _reworded_fields(text: str, old: str, new: str) -> str:
    pairs = parse_qsl(text, keep_blank_values=True)
    return urlencode([(name, new if value == old else value) for name, value in pairs])


def _reworded_value(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _reworded_value(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [_reworded_value(inner, old, new) for inner in value]
    return new if value == old else value


def _without_query(request: WebhookRequest) -> str:
    return urlunsplit(urlsplit(request.url)._replace(query="", fragment=""))


def changed_answers(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a carrier's JSON answer with each of its fields in turn left out or of the wrong type."""
    yield from _twisted_values(value, WRONG_IN_ANSWERS)
