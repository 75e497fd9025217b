"""The fields of an operation: its parameters, and the fields of its body, nested ones included."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cli.description import Description, Operation, Schema

Kind = Literal["flag", "choice", "integer", "number", "text", "secret", "file", "list", "map", "json"]

_UNNAMED = {"properties", "filter"}
"""Objects that their fields' options do not name: --priority instead of --properties-priority."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field. `path` is its path within `place`; `schema` has no references and nulls."""

    place: Literal["query", "header", "body"]
    path: tuple[str, ...]
    kind: Kind
    schema: Schema
    required: bool
    text: str

    @property
    def name(self) -> str:
        """The option's name: words with hyphens. Lists and maps are in the singular: the option adds one item."""
        *around, last = self.path
        words = [_hyphenated(part) for part in (*(one for one in around if one not in _UNNAMED), last)]
        name = "-".join(words)
        several = self.kind in ("list", "map") and len(words) == 1 and not name.endswith(("ss", "us"))
        return name.removesuffix("s") if several else name


def fields_of(operation: Operation, description: Description) -> list[Field]:
    """Return all fields, in the order of the description."""
    fields = [
        Field(
            parameter["in"],
            (parameter["name"],),
            kind_of(schema := description.resolve(parameter["schema"]), description),
            schema,
            parameter.get("required", False),
            parameter.get("description", ""),
        )
        for parameter in operation.parameters
    ]
    return [*fields, *(_in_object(operation.body, (), True, description) if operation.body else [])]


def _in_object(schema: Schema, path: tuple[str, ...], required: bool, description: Description) -> Iterator[Field]:
    whole = description.resolve(schema)
    needed = set(whole.get("required", [])) if required else set()
    for name, given in whole["properties"].items():
        inner = description.resolve(given)
        if "properties" in inner:
            yield from _in_object(inner, (*path, name), name in needed, description)
        else:
            kind = kind_of(inner, description)
            yield Field("body", (*path, name), kind, inner, name in needed, inner.get("description", ""))


def kind_of(schema: Schema, description: Description) -> Kind:
    """Return how a shell spells a value of this schema. `json` is for schemas without a simpler spelling."""
    if "enum" in schema:
        return "choice"
    if "contentMediaType" in schema:
        return "file"
    if schema.get("format") == "password":
        return "secret"
    if schema.get("type") == "array":
        each = kind_of(description.resolve(schema.get("items", {})), description)
        return "list" if each in ("choice", "integer", "number", "text") else "json"
    if schema.get("type") == "object":
        return "map" if "additionalProperties" in schema else "json"
    return _KINDS.get(schema.get("type", ""), "json")


_KINDS: dict[str, Kind] = {
    "boolean": "flag",
    "integer": "integer",
    "number": "number",
    "string": "text",
}


def _hyphenated(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def default_of(field: Field) -> str:
    """Return the field's default as text, empty without one."""
    value: Any = field.schema.get("default")
    if value is None or value in ("", [], {}):
        return ""
    return (
        ", ".join(str(item) for item in value)
        if isinstance(value, list)
        else str(value).lower()
        if value is True or value is False
        else str(value)
    )
