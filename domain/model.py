"""The base of all models that are request bodies, stored documents or documented schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr
from pydantic.alias_generators import to_camel

MASK = "**********"
"""Replaces secrets in answers, as `str(SecretStr)` does. In a change it keeps the stored value."""


class Model(BaseModel):
    """A frozen model: snake_case in Python, camelCase in JSON and MongoDB. It refuses unknown fields and coerces no
    types."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )

    @classmethod
    def showing(cls, item: object) -> Self:
        """Return the model with the attributes of `item` that have its fields' names."""
        return cls.model_validate(item, from_attributes=True)


def unless_masked(check: Callable[[str], object]) -> AfterValidator:
    """Return a validator that checks a secret. In a change, the mask keeps the current secret."""

    def validate(secret: SecretStr) -> SecretStr:
        if secret.get_secret_value() != MASK:
            check(secret.get_secret_value())
        return secret

    return AfterValidator(validate)


class Credentials(Model):
    """A model with secrets: its fields of type SecretStr, and the values of dictionaries of them."""

    def revealed(self) -> dict[str, Any]:
        """Return the stored form, with the secrets in the clear."""
        fields = {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}
        return {name: revealed(value) for name, value in fields.items() if value is not None}

    def secrets(self) -> Iterator[str]:
        """Yield the secrets."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            for one in value.values() if isinstance(value, dict) else (value,):
                if isinstance(one, SecretStr):
                    yield one.get_secret_value()


def revealed(value: Any) -> Any:
    """Return a value with its secrets in plain text, also those in dictionaries."""
    if isinstance(value, dict):
        return {name: revealed(one) for name, one in value.items()}
    return value.get_secret_value() if isinstance(value, SecretStr) else value
