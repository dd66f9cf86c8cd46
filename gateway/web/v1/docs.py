"""`/v1/docs`: the OpenAPI document as a page for people, written here, with its one stylesheet. No script, no CDN."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any

from gateway.web.v1.late import Late
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.problems import every_type

Json = dict[str, Any]
_HTML = "text/html; charset=utf-8"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def operations(document: Late) -> tuple[Operation[Any, Any, Any], ...]:
    """Return the pages that explain `document`, a JSON text, and what they need."""
    style = Late(lambda: files(__package__).joinpath("style.css").read_text(encoding="utf-8"))
    explained = Late(lambda: page(json.loads(document.text)))
    return (
        _page("/v1/docs", "show_docs", "Explain this API to people", explained, _HTML),
        _page("/v1/docs/problems", "show_problems", "Explain the problems", Late(problems), _HTML),
        _page("/v1/docs/style.css", "show_style", "The pages' stylesheet", style, "text/css; charset=utf-8"),
    )


def _page(path: str, id: str, summary: str, late: Late, media_type: str) -> Operation[Any, Any, Any]:
    def show(call: Call[Nothing, Nothing, Nothing]) -> Answer:
        return Answer(body=late.text, headers=_HEADERS)

    return Operation(
        method="GET",
        path=path,
        id=id,
        summary=summary,
        role=None,
        answers={200: None},
        handler=show,
        media_type=media_type,
    )


# --- pages ------------------------------------------------------------------------------------------


def page(document: Json) -> str:
    """Return the page of an OpenAPI document: every operation, then every schema."""
    listed = [(path, method, one) for path, item in document["paths"].items() for method, one in item.items()]
    info = document["info"]
    parts = [f"<p>{_prose(info['description'])}</p>", _contents(document, listed)]
    for tag in document["tags"]:
        parts.append(f"<h2>{escape(tag['name'])}</h2>")
        parts += [_operation(path, method, one) for path, method, one in listed if tag["name"] in one["tags"]]
    parts.append("<h2>Schemas</h2>")
    parts += [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    return _html(f"{info['title']} {info['version']}: API v1", parts)


def problems() -> str:
    """Return the page that every problem's `type` points to."""
    rows = [
        f'<section id="{one.slug}"><h3><code>{one.slug}</code> <small>{one.status}</small></h3>'
        f"<p><b>{escape(one.title)}.</b> {_prose(one.meaning)}</p></section>"
        for one in every_type()
    ]
    return _html("Problems of API v1", ['<p><a href="/v1/docs">The whole API</a></p>', *rows])


def _html(title: str, parts: Iterable[str]) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/v1/docs/style.css"></head>'
        f"<body><main><h1>{escape(title)}</h1>{''.join(parts)}</main></body></html>"
    )


def _contents(document: Json, listed: list[tuple[str, str, Json]]) -> str:
    rows = [
        f'<li><a href="#{one["operationId"]}"><b class="{method}">{method.upper()}</b> <code>{escape(path)}</code></a> '
        f"{escape(one['summary'])}</li>"
        for path, method, one in listed
    ]
    more = '<a href="/v1/openapi.json">OpenAPI 3.1</a> · <a href="/v1/docs/problems">problems</a>'
    return f"<nav><ul>{''.join(rows)}</ul><p>{more}</p></nav>"


def _operation(path: str, method: str, one: Json) -> str:
    body = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    parts = [
        f'<h3><b class="{method}">{method.upper()}</b> <code>{escape(path)}</code></h3>',
        f"<p><b>{escape(one['summary'])}.</b> {_prose(one['description'])}</p>",
        _table([_parameter_row(given) for given in one["parameters"]], "Parameters"),
        f"<p>Body: {_type(body)}</p>" if body else "",
        _table([_answer_row(status, answer) for status, answer in one["responses"].items()], "Answers"),
    ]
    return f'<section id="{escape(one["operationId"])}">{"".join(parts)}</section>'


def _parameter_row(given: Json) -> tuple[str, ...]:
    name = f"<code>{escape(given['name'])}</code>" + (" <i>required</i>" if given.get("required") else "")
    words = given.get("description", "") or given["schema"].get("description", "")
    return name, given["in"], _type(given["schema"]), _prose(words)


def _answer_row(status: str, answer: Json) -> tuple[str, ...]:
    content: Json = next(iter(answer.get("content", {}).values()), {})
    return escape(status), _prose(answer["description"]), _type(content["schema"]) if content else ""


def _schema(name: str, schema: Json) -> str:
    required = schema.get("required", [])
    rows = [_field_row(field, one, field in required) for field, one in schema.get("properties", {}).items()]
    words = _prose(schema.get("description", ""))
    kind = "" if rows else f"<p>{_type(schema)}</p>"
    parts = [f"<h3>{escape(name)}</h3><p>{words}</p>", kind, _table(rows, "Fields")]
    return f'<section id="schema-{escape(name)}">{"".join(parts)}</section>'


def _field_row(name: str, schema: Json, required: bool) -> tuple[str, ...]:
    shown = f"<code>{escape(name)}</code>" + (" <i>required</i>" if required else "")
    return shown, _type(schema), _prose(schema.get("description", ""))


def _table(rows: list[tuple[str, ...]], caption: str) -> str:
    if not rows:
        return ""
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{caption}</caption>{lines}</table>"


def _type(schema: Json) -> str:
    """Return a schema in a word or two, with a link where it has a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(one) for one in several)
    if "enum" in schema:
        values = [f"<code>{escape(str(value))}</code>" for value in schema["enum"]]
        return ", ".join(values) if len(values) < 20 else f"one of {values[0]} … {values[-1]}"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return _plain_type(schema)


def _plain_type(schema: Json) -> str:
    example = f", such as <code>{escape(str(schema['examples'][0]))}</code>" if schema.get("examples") else ""
    default = f", <code>{escape(str(schema['default']))}</code> if left out" if schema.get("default") else ""
    low, high = schema.get("minimum"), schema.get("maximum")
    span = f" {low}–{high}" if low is not None and high is not None else ""
    return f"{escape(str(schema.get('type', 'anything')))}{span}{example}{default}"


def _prose(text: str) -> str:
    """Return words as HTML; what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
