"""What an operation can be given, one field each: its parameters, and the fields of its body, nested ones too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cli.description import Description, Operation, Schema

Kind = Literal["flag", "choice", "integer", "number", "text", "secret", "list", "map", "json"]

_UNNAMED = {"properties", "filter"}
"""Objects whose fields need not say so: --priority rather than --properties-priority."""


@dataclass(frozen=True, slots=True)
class Field:
    """One of them. `path` says where it is in the `place`; `schema` is free of references and nulls."""

    place: Literal["query", "header", "body"]
    path: tuple[str, ...]
    kind: Kind
    schema: Schema
    required: bool
    text: str

    @property
    def name(self) -> str:
        """What it is called in a shell: words with hyphens. A list's or map's is in the singular, as each is given."""
        words = [_kebab(part) for part in self.path if part not in _UNNAMED]
        name = "-".join(words)
        several = self.kind in ("list", "map") and len(words) == 1 and not name.endswith(("ss", "us"))
        return name.removesuffix("s") if several else name


def fields_of(operation: Operation, description: Description) -> list[Field]:
    """All of them, in the order of the description."""
    fields = [
        Field(
            parameter["in"],
            (parameter["name"],),
            kind_of(schema := description.plain(parameter["schema"]), description),
            schema,
            parameter.get("required", False),
            parameter.get("description", ""),
        )
        for parameter in operation.parameters
    ]
    return [*fields, *(_in_object(operation.body, (), True, description) if operation.body else [])]


def _in_object(schema: Schema, path: tuple[str, ...], required: bool, description: Description) -> Iterator[Field]:
    whole = description.plain(schema)
    needed = set(whole.get("required", [])) if required else set()
    for name, given in whole["properties"].items():
        inner = description.plain(given)
        if "properties" in inner:
            yield from _in_object(inner, (*path, name), name in needed, description)
        else:
            kind = kind_of(inner, description)
            yield Field("body", (*path, name), kind, inner, name in needed, inner.get("description", ""))


def kind_of(schema: Schema, description: Description) -> Kind:
    """How a value of this schema is written in a shell; `json` is what has no simpler way."""
    if "enum" in schema:
        return "choice"
    if schema.get("format") == "password":
        return "secret"
    if schema.get("type") == "array":
        each = kind_of(description.plain(schema.get("items", {})), description)
        return "list" if each in ("choice", "integer", "number", "text") else "json"
    return _KINDS.get(schema.get("type", ""), "json")


_KINDS: dict[str, Kind] = {
    "boolean": "flag",
    "integer": "integer",
    "number": "number",
    "object": "map",
    "string": "text",
}


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def default_of(field: Field) -> str:
    """What holds when it is not given, as far as there is something to say."""
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
