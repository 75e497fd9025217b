"""The body of a request to a target: the body of the message, a standard form, or the output of a template."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from domain.model import Model
from domain.sentences import field_faults, joined

MAX_TEMPLATE = 16_384
"""Maximum number of characters in a template."""


class PayloadTemplate(Model):
    """A template in minijinja's dialect of Jinja2 (https://docs.rs/minijinja/latest/minijinja/syntax/), and the
    Content-Type of its output."""

    template: str = Field(min_length=1, max_length=MAX_TEMPLATE, examples=['{"id": {{ body.id|tojson }}}'])
    content_type: str = Field("application/json", min_length=1, max_length=255)

    @field_validator("content_type")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise ValueError("must be printable ASCII without leading or trailing spaces")
        return value


_Form = Literal["raw", "envelope", "cloudevents"]


def _form(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
    """Validate against the union. An object is a template, so its errors name the fields. One sentence replaces all
    other errors, because pydantic reports one for each member."""
    if isinstance(value, dict):
        try:
            return PayloadTemplate.model_validate(value)
        except ValidationError as exc:
            raise ValueError(joined(field_faults(PayloadTemplate, exc))) from None
    try:
        return validated(value)
    except ValidationError:
        shapes = """'raw', 'envelope', 'cloudevents' or {"template": "…", "contentType": "…"}"""
        raise ValueError(f"must be {shapes}") from None


Payload = Annotated[_Form | PayloadTemplate, WrapValidator(_form)]
"""`raw`: the body unchanged; `envelope`: a JSON object with the body, properties and headers; `cloudevents`: the body
unchanged, with CloudEvents attributes in `ce-` headers."""
