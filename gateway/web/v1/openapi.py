"""OpenAPI 3.1, from the table of operations and the models that judge the requests: nothing else is to be kept true."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

import gateway
from gateway.web.v1.operations import Nothing, Operation
from gateway.web.v1.problems import INVALID, MEDIA_TYPE, UNREADABLE, ProblemDocument, ProblemType
from gateway.web.v1.reading import IDEMPOTENCY_KEY, IF_MATCH, KEY_PATTERN
from gateway.web.v1.types import CARRIER_FORMAT

Json = dict[str, Any]
_REF = "#/components/schemas/"
_ABOUT = """The gateway's own API. Bodies are JSON. Numbers are E.164, times RFC 3339 in UTC, durations a number and its
unit (`15m`). Lists come in pages: send `next` as `cursor`. Whatever is wrong is answered as a problem document
(RFC 9457) that names every wrong field. A POST with an `Idempotency-Key` can be sent again: within 24 hours it is done
once and answered alike."""


def document(
    operations: Sequence[Operation[Any, Any, Any]], carriers: Collection[str], callback: type[BaseModel]
) -> Json:
    """Return the document.

    `carriers`: the names of the configured ones, which fields that name a carrier may hold. `callback`: what is POSTed
    to the application.
    """
    schemas = _Schemas(operations, callback)
    paths: Json = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    found: Json = _with_carriers(
        {
            "openapi": "3.1.0",
            "info": {"title": "maskgate", "version": gateway.__version__, "description": _ABOUT.replace("\n", " ")},
            "servers": [{"url": "/"}],
            "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in operations)],
            "paths": paths,
            "webhooks": {"callback": {"post": _callback(schemas.answer(callback))}},
            "components": {
                "schemas": schemas.shown(),
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "basic": {"type": "http", "scheme": "basic", "description": "The key is the password"},
                },
            },
        },
        sorted(carriers),
    )
    return found


class _Generator(GenerateJsonSchema):
    """Names no default that is null: of what is changed null takes it away, and what is left out stays as it is."""

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        found = super().default_schema(schema)
        if found.get("default", "") is None:
            del found["default"]
        return found


class _Schemas:
    """The models of the operations as JSON schemas, and which of them a reader of the document looks up."""

    def __init__(self, operations: Sequence[Operation[Any, Any, Any]], callback: type[BaseModel]) -> None:
        read = [(model, "validation") for one in operations for model in (one.params, one.query, one.body)]
        written = [(model, "serialization") for one in operations for model in one.answers.values() if model]
        models: Any = dict.fromkeys([*read, *written, (ProblemDocument, "serialization"), (callback, "serialization")])
        self._refs, found = models_json_schema(list(models), ref_template=_REF + "{model}", schema_generator=_Generator)
        self._all: Json = found["$defs"]
        self._spread: set[str] = {self._name(model) for one in operations for model in (one.params, one.query)}

    def _name(self, model: type[BaseModel]) -> str:
        ref: str = self._refs[(model, "validation")]["$ref"]
        return ref.removeprefix(_REF)

    def body(self, model: type[BaseModel]) -> Json:
        return dict(self._refs[(model, "validation")])

    def answer(self, model: type[BaseModel]) -> Json:
        return dict(self._refs[(model, "serialization")])

    def fields(self, model: type[BaseModel]) -> tuple[Json, list[str]]:
        """Return the schemas of a model's fields by name, and which must be given."""
        schema = self._all[self._name(model)]
        return schema.get("properties", {}), schema.get("required", [])

    def shown(self) -> Json:
        """Return what `components` holds: not the models that are spread over parameters."""
        return {name: schema for name, schema in sorted(self._all.items()) if name not in self._spread}


def _operation(one: Operation[Any, Any, Any], schemas: _Schemas) -> Json:
    described: Json = {"operationId": one.id, "summary": one.summary, "tags": [one.tag]}
    who = f"Needs a key with the role `{one.role}`." if one.role else "Needs no key."
    described["description"] = " ".join(filter(None, [one.description, who]))
    described["security"] = [{"bearer": []}, {"basic": []}] if one.role else []
    described["parameters"] = [
        *_parameters(schemas, one.params, "path"),
        *_parameters(schemas, one.query, "query"),
        *_headers(one),
    ]
    if one.body is not Nothing:
        described["requestBody"] = {
            "required": bool(schemas.fields(one.body)[1]),
            "content": {"application/json": {"schema": schemas.body(one.body)}},
        }
    described["responses"] = _responses(one, schemas)
    return described


def _callback(schema: Json) -> Json:
    """Return what is POSTed to `GATEWAY_CALLBACK_URL`."""
    headers = {
        "webhook-id": "The same however often it is sent",
        "webhook-timestamp": "When it is sent, in seconds since 1970",
        "webhook-signature": "`v1,` and the base64 of the HMAC-SHA256 of `<id>.<timestamp>.<body>`, one for each "
        "secret of `GATEWAY_CALLBACK_SECRET`, with spaces between them",
    }
    return {
        "operationId": "callback",
        "summary": "An event, POSTed to each URL of `GATEWAY_CALLBACK_URL`, signed after Standard Webhooks",
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": words, "schema": {"type": "string"}}
            for name, words in headers.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "2XX": {"description": "It is taken, and does not come again"},
            "410": {"description": "It is not wanted, and does not come again"},
            "default": {"description": "It comes again, after `Retry-After` if that is there"},
        },
    }


def _parameters(schemas: _Schemas, model: type[BaseModel], where: str) -> list[Json]:
    fields, required = schemas.fields(model)
    return [_parameter(name, where, schema, name in required) for name, schema in fields.items()]


def _parameter(name: str, where: str, schema: Json, required: bool) -> Json:
    schema = dict(schema)
    given = [one for one in schema.pop("anyOf", []) if one != {"type": "null"}]  # absent, a query has no null
    if given:
        schema |= given[0]
    schema.pop("title", None)
    words = schema.pop("description", "")
    found: Json = {"name": name, "in": where, "required": required, "schema": schema}
    return found | ({"description": words} if words else {})


def _headers(one: Operation[Any, Any, Any]) -> list[Json]:
    found = []
    if one.takes_key:
        words = "Chosen by you, another one for each request. A repeat within 24 hours is done once and answered alike"
        schema = {"type": "string", "pattern": KEY_PATTERN}
        found.append({"name": IDEMPOTENCY_KEY, "in": "header", "description": words, "schema": schema})
    if one.takes_version:
        words = "The ETag that was answered: refused with 412 if it was changed meanwhile"
        found.append({"name": IF_MATCH, "in": "header", "description": words, "schema": {"type": "string"}})
    return found


def _responses(one: Operation[Any, Any, Any], schemas: _Schemas) -> Json:
    responses = {str(status): _good(one, status, model, schemas) for status, model in one.answers.items()}
    refusals = {401: ["The key is missing or wrong"], 403: ["The key's role is too small"]} if one.role else {}
    for type in (*_everywhere(one), *one.problems):
        refusals.setdefault(type.status, []).append(f"{type.title} (`{type.slug}`)")
    content = {"application/problem+json": {"schema": schemas.answer(ProblemDocument)}}
    for status, words in sorted(refusals.items()):
        responses[str(status)] = {"description": "; ".join(words), "content": content}
    responses["default"] = {"description": "What HTTP itself says: 404, 405, 413, 500, 503", "content": content}
    return responses


def _everywhere(one: Operation[Any, Any, Any]) -> list[ProblemType]:
    """Return the problems that come of reading the request."""
    return [UNREADABLE, *([MEDIA_TYPE] if one.reads_body else []), INVALID]


def _good(one: Operation[Any, Any, Any], status: int, model: type[BaseModel] | None, schemas: _Schemas) -> Json:
    found: Json = {"description": one.summary}
    if model is not None:
        found["content"] = {one.media_type: {"schema": schemas.answer(model)}}
    elif status != 204:
        found["content"] = {one.media_type: {"schema": {"type": "object" if "json" in one.media_type else "string"}}}
    if one.versioned and status != 204:
        found["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "The version"}}
    return found


def _with_carriers(value: Any, names: list[str]) -> Any:
    """Return a document in which the fields that name a carrier say which there are."""
    if isinstance(value, list):
        return [_with_carriers(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("format") == CARRIER_FORMAT:
        others = {name: one for name, one in value.items() if name != "format"}
        return others | ({"enum": names, "examples": names[:1]} if names else {})
    return {name: _with_carriers(one, names) for name, one in value.items()}
