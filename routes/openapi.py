"""Builds the OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0) from the registered operations: the schemas
are the models of the routes, the texts are the docstrings of the views."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic.alias_generators import to_pascal
from pydantic.json_schema import JsonSchemaMode

from domain.user import Role
from middlewares.problem_details import problem_details
from routes.answers import Problem
from routes.api import Operation
from routes.examples import example_of
from routes.inputs import NDJSON, PageQuery
from routes.paging import NamedQuery
from routes.refusals import ALWAYS, BODY, IDEMPOTENT, LOGIN, MEANINGS, QUERY, SEARCH

Schema = dict[str, Any]
Key = tuple[str, str]  # (operation id, "body" | "query" | "answer")

_REF = "#/components/schemas/{model}"

_HEADERS: dict[str, Schema] = {
    "X-Request-ID": {
        "description": "identifies the request in the log; the client's own value is used if it is well-formed",
        "schema": {"type": "string"},
    },
    "X-Total-Count": {"description": "number of items on all pages", "schema": {"type": "integer", "minimum": 0}},
    "Link": {"description": "links to the first, prev, next and last page (RFC 8288)", "schema": {"type": "string"}},
    "Retry-After": {"description": "seconds to wait before a retry", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "Bearer (RFC 6750 §3)", "schema": {"type": "string"}},
}

_IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "makes a repeated request safe: for 24 hours, requests with the same key get the first answer",
}

_ABOUT = """Manages RabbitMQ and pushes messages from queues to HTTP APIs.

Send a token in the header `Authorization: Bearer …`. People get a token from `POST /login`, programs an API key from
`POST /createApiKey`. `x-required-role` is the lowest role that may call an operation: a monitor reads the metrics, a
viewer reads everything, a publisher also publishes, an operator also manages queues, consumers and connections, and an
admin also manages users and applies configurations. Every error is `application/problem+json` (RFC 9457) with a stable
`code`."""


def document(resources: Iterable[tuple[str, Sequence[Operation]]], version: str) -> Schema:
    """Return the document of all operations; `resources` are pairs of a resource's name and its operations."""
    resources = [(name, list(operations)) for name, operations in resources]
    schemas, components = _schemas([one for _, operations in resources for one in operations])
    paths: dict[str, Schema] = {}
    for tag, operations in resources:
        for one in operations:
            paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, tag, schemas, components)
    refused = [refusal for _, found in resources for one in found for refusal in _by_status(one)]
    return {
        "openapi": "3.1.0",
        "info": {"title": "WorkerRMQ", "version": version, "description": _ABOUT},
        "servers": [{"url": "."}],  # relative to the document, so that it is right behind a path prefix
        "tags": [{"name": name} for name, _ in resources],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": _HEADERS,
            "responses": {_refusal_name(status, codes): _refused(status, codes) for status, codes in refused},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "a token from POST /login, or an API key from POST /createApiKey",
                }
            },
        },
    }


def operation_id(operation: Operation) -> str:
    """Return the operation's id, made from its path, such as createQueue."""
    words: list[str] = re.findall(r"[A-Za-z0-9]+", operation.path) or ["root"]
    return words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])


def _schemas(operations: Sequence[Operation]) -> tuple[dict[Key, Schema], dict[str, Schema]]:
    """Return the schemas of each operation's types, and the shared schemas by name. Queries are never shared schemas,
    because their fields become parameters."""
    inputs: list[tuple[Key, JsonSchemaMode, TypeAdapter[Any]]] = [
        (("", "problem"), "serialization", TypeAdapter(Problem))
    ]
    for one in operations:
        name = operation_id(one)
        if one.body is not None:
            inputs.append(((name, _place(one)), "validation", TypeAdapter(one.body)))
        if one.query is not None:
            inputs.append(((name, "query"), "validation", TypeAdapter(one.query)))
        if one.answer is not None:
            inputs.append(((name, "answer"), "serialization", TypeAdapter(one.answer)))
    found, shared = TypeAdapter.json_schemas(inputs, by_alias=True, ref_template=_REF)
    components: dict[str, Schema] = shared["$defs"]
    schemas: dict[Key, Schema] = {key: dict(schema) for (key, _), schema in found.items()}
    whole = {key: _whole(schema, components) for key, schema in schemas.items() if key[1] == "query"}
    schemas |= whole
    referred = set(re.findall(_REF.format(model=r"([^'\"]+)"), str([schemas, components])))
    return schemas, {name: _shown_masked(schema) for name, schema in components.items() if name in referred}


def _place(one: Operation) -> str:
    """Return where clients should send the body's fields: proxies and clients may drop the body of a DELETE."""
    return "query" if one.method == "DELETE" else "body"


def _operation(one: Operation, tag: str, schemas: dict[Key, Schema], components: dict[str, Schema]) -> Schema:
    name = operation_id(one)
    text = " ".join(one.documentation.split("\n\n")[0].split())
    summary = re.split(r"(?<=[.:;]) ", text, maxsplit=1)[0].rstrip(".:;")
    described: Schema = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": one.documentation + (_ALSO_AS_BODY if one.body and _place(one) == "query" else ""),
        "responses": _responses(one, schemas.get((name, "answer"))),
    }
    if one.role is None:
        described["security"] = []
    else:
        described["security"] = [{"token": []}]
        described["x-required-role"] = one.role
    if (name, "query") in schemas:
        described["parameters"] = _parameters(schemas[name, "query"])
    if one.idempotent:
        described.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    if (name, "body") in schemas:
        described["requestBody"] = _request_body(one, schemas, components)
    return described


def _parameters(schema: Schema) -> list[Schema]:
    required = schema.get("required", [])
    return [_parameter(name, dict(given), name in required) for name, given in schema["properties"].items()]


def _parameter(name: str, schema: Schema, required: bool) -> Schema:
    options = [option for option in schema.pop("anyOf", []) if option.get("type") != "null"]
    if options:  # a query cannot express null: leave the parameter out
        schema = {**options[0], **schema}
    schema.pop("title", None)
    if schema.get("default", 0) is None:
        del schema["default"]
    parameter: Schema = {"name": name, "in": "query", "required": required, "schema": schema}
    if text := schema.pop("description", None):
        parameter["description"] = text
    if examples := schema.pop("examples", None):
        parameter["example"] = examples[0]
    return parameter


def _request_body(one: Operation, schemas: dict[Key, Schema], components: dict[str, Schema]) -> Schema:
    name = operation_id(one)
    schema = schemas[name, "body"]
    example = example_of(_whole(schema, components))
    content: dict[str, Schema] = {"application/json": {"schema": schema, "example": example}}
    if one.lines is not None:
        content[NDJSON] = {"schema": {"type": "string", "description": f"one item of `{one.lines}` per line, as JSON"}}
    return {"required": True, "content": content}


def _shown_masked(schema: Any) -> Any:
    """Return the schema without `writeOnly`, which pydantic sets for secrets: answers contain them, masked."""
    if isinstance(schema, list):
        return [_shown_masked(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _shown_masked(item) for name, item in schema.items() if (name, item) != ("writeOnly", True)}


def _whole(schema: Schema, components: dict[str, Schema]) -> Schema:
    return components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _responses(one: Operation, answer: Schema | None) -> dict[str, Schema]:
    headers = {"X-Request-ID": _header("X-Request-ID")}
    if one.query is not None and issubclass(one.query, PageQuery):
        headers |= {name: _header(name) for name in ("X-Total-Count", "Link")}
    responses: dict[str, Schema] = {}
    for status in one.statuses:
        content = {one.media: {"schema": answer or {"type": "string"}}}
        responses[str(status)] = {"description": _MEANINGS[status], "headers": headers, "content": content}
    for status, codes in _by_status(one):
        responses[str(status)] = {"$ref": f"#/components/responses/{_refusal_name(status, codes)}"}
    return responses


_ALSO_AS_BODY = "\n\nYou can also send the parameters as a JSON body."


_MEANINGS = {
    200: "Success. For a create: it already exists with these settings.",
    201: "Created.",
    202: "Accepted. Get the progress with the id in the answer.",
    207: "Partial success. See the result of each part.",
}


def refusals_of(one: Operation) -> list[str]:
    """Return all errors of an operation, each as status and code."""
    named = one.query is not None and issubclass(one.query, NamedQuery)
    parts = [
        (one.query is not None, QUERY),
        (one.body is not None, BODY),
        (one.role not in (None, get_args(Role)[0]), ("403 forbidden",)),
        (one.role is not None, LOGIN),
        (True, one.refuses),
        (one.idempotent, IDEMPOTENT),
        (named, SEARCH),
        (True, ALWAYS),
    ]
    return list(dict.fromkeys(refusal for given, refusals in parts if given for refusal in refusals))


def _by_status(one: Operation) -> Iterator[tuple[int, list[str]]]:
    """Yield the statuses of an operation's errors, sorted, with the codes of each."""
    for status, refusals in groupby(sorted(refusals_of(one), key=_status), key=_status):
        yield status, [refusal[4:] for refusal in refusals]


def _status(refusal: str) -> int:
    return int(refusal[:3])


def _refusal_name(status: int, codes: Iterable[str]) -> str:
    return f"Refused{status}" + "".join(to_pascal(code) for code in codes)


def _refused(status: int, codes: Sequence[str]) -> Schema:
    example = problem_details(status, codes[0], MEANINGS[status], "e762559bf26119e0", "/path")
    names = ["X-Request-ID"]
    names += ["Retry-After"] if status in {429, 503} else ["WWW-Authenticate"] if status == 401 else []
    return {
        "description": f"{MEANINGS[status]} Codes: {', '.join(f'`{code}`' for code in codes)}.",
        "headers": {name: _header(name) for name in names},
        "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}, "example": example}},
    }


def _header(name: str) -> Schema:
    return {"$ref": f"#/components/headers/{name}"}
