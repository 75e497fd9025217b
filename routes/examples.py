"""Builds example bodies from the examples of the models' fields."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def example_of(schema: Schema) -> dict[str, Any]:
    """Return the schema's own example, or an object of the fields that have examples. A test checks that it is
    valid."""
    if schema.get("examples"):
        whole: dict[str, Any] = schema["examples"][0]
        return whole
    found = {name: _of_field(given) for name, given in schema.get("properties", {}).items()}
    return {name: example for name, example in found.items() if example is not None}


def _of_field(schema: Schema) -> Any:
    for one in (schema, *schema.get("anyOf", [])):
        if one.get("examples"):
            return one["examples"][0]
    return None
