"""The base of what is both request body, stored document and documented schema: frozen, strict, camelCase outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.alias_generators import to_camel

MASK = "**********"
"""Stands for what is never shown, as SecretStr shows itself. Sent back in a change it means: leave it as it is."""


class Model(BaseModel):
    """Python names are snake_case, JSON and MongoDB names camelCase. Unknown fields are refused, types not coerced."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Credentials(Model):
    """A model with secrets: its fields of type SecretStr, and the values of dictionaries of them."""

    def revealed(self) -> dict[str, Any]:
        """Return the stored form, with the secrets in the clear."""
        fields = {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}
        return {name: _revealed(value) for name, value in fields.items() if value is not None}

    def secrets(self) -> Iterator[str]:
        """Yield the secrets."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            for one in value.values() if isinstance(value, dict) else (value,):
                if isinstance(one, SecretStr):
                    yield one.get_secret_value()


def _revealed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _revealed(one) for name, one in value.items()}
    return value.get_secret_value() if isinstance(value, SecretStr) else value
