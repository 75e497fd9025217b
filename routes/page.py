"""Prepares the OpenAPI document for the template of /docs."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A field of a schema, or a parameter. `kind` is the type, with links to schemas."""

    name: str
    kind: Markup
    required: bool
    default: str
    text: Markup


@dataclass(frozen=True, slots=True)
class Shown:
    """An operation on the page."""

    id: str
    method: str
    path: str
    role: str
    summary: Markup
    paragraphs: list[Markup]
    parameters: list[Row]
    body: Markup
    answers: list[tuple[str, Markup, Markup]]
    curl: str


def sections(document: Schema) -> list[tuple[str, list[Shown]]]:
    """Return the operations by resource, in the order of the document."""
    found: dict[str, list[Shown]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_shown(method.upper(), path, operation, document))
    return list(found.items())


def schema_rows(document: Schema) -> list[tuple[str, Markup, list[Row]]]:
    """Return the schemas, sorted by name, as (name, description, fields)."""
    return [
        (name, marked(schema.get("description", "")), _rows(schema))
        for name, schema in sorted(document["components"]["schemas"].items())
    ]


def marked(text: str) -> Markup:
    """Return the text as HTML, with backticks converted to code elements."""
    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def _shown(method: str, path: str, operation: Schema, document: Schema) -> Shown:
    media = operation.get("requestBody", {}).get("content", {})
    body = Markup(", or ").join(
        Markup("{} as <code>{}</code>").format(_kind(one["schema"]), name) for name, one in media.items()
    )
    return Shown(
        id=operation["operationId"],
        method=method,
        path=path,
        role=operation.get("x-required-role", "everybody"),
        summary=marked(operation["summary"]),
        paragraphs=[marked(part) for part in operation["description"].split("\n\n")],
        parameters=[_parameter(one) for one in operation.get("parameters", [])],
        body=body,
        answers=[_answer(status, one, document) for status, one in operation["responses"].items()],
        curl=_curl(method, path, operation),
    )


def _parameter(one: Schema) -> Row:
    return _row(one["name"], {**one["schema"], "description": one.get("description", "")}, one["required"])


def _rows(schema: Schema) -> list[Row]:
    required = schema.get("required", [])
    return [_row(name, given, name in required) for name, given in schema.get("properties", {}).items()]


def _row(name: str, schema: Schema, required: bool) -> Row:
    default = json.dumps(schema["default"], ensure_ascii=False) if schema.get("default") is not None else ""
    return Row(name, _kind(schema), required, default, marked(schema.get("description", "")))


def _kind(schema: Schema) -> Markup:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{}">{}</a>').format(name, name)
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return Markup(" or ").join(_kind(option) for option in options)
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return Markup(" or ").join(Markup("<code>{}</code>").format(value) for value in values)
    if schema.get("type") == "array":
        return Markup("list of {}").format(_kind(schema.get("items", {})))
    limits = [f"{sign} {schema[name]}" for name, sign in _LIMITS.items() if name in schema]
    return escape(" ".join([schema.get("type", "any JSON"), *limits]))


_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "maxLength": "up to", "minLength": "from"}


def _answer(status: str, one: Schema, document: Schema) -> tuple[str, Markup, Markup]:
    if "$ref" in one:
        one = document["components"]["responses"][one["$ref"].rpartition("/")[2]]
    kind = Markup(", ").join(_kind(content["schema"]) for content in one["content"].values())
    return status, marked(one["description"]), kind


def _curl(method: str, path: str, operation: Schema) -> str:
    words = ["curl", "-X", method] if method != "GET" else ["curl"]
    line = " ".join(words) + f' "$URL{path}{_query(operation)}"'
    if "x-required-role" in operation:
        line += ' -H "Authorization: Bearer $TOKEN"'
    if content := operation.get("requestBody", {}).get("content"):
        body = json.dumps(content["application/json"]["example"], ensure_ascii=False)
        line += f" \\\n  -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    return line


def _query(operation: Schema) -> str:
    given = [f"{one['name']}={one['example']}" for one in operation.get("parameters", []) if "example" in one]
    return "?" + "&".join(given) if given else ""
