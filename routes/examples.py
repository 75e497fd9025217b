"""Examples of bodies, put together from those that the fields of the models have."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def example_of(schema: Schema, components: dict[str, Schema]) -> dict[str, Any]:
    """An object with the fields that have an example. That it can be sent so is for a test to see."""
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
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
