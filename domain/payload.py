"""The body of a request to a target: the body of the message, a standard form, or the output of a template."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from domain.model import Model
from domain.sentences import alternatives, object_of

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


def _template(value: Any) -> Any:
    """Return the template in an object, whose errors name its fields."""
    return object_of(PayloadTemplate, value) if isinstance(value, dict) else value


Payload = Annotated[
    Literal["raw", "envelope", "cloudevents"] | PayloadTemplate,
    alternatives("""'raw', 'envelope', 'cloudevents' or {"template": "…", "contentType": "…"}"""),
    BeforeValidator(_template),
]
"""`raw`: the body unchanged; `envelope`: a JSON object with the body, properties and headers; `cloudevents`: the body
unchanged, with CloudEvents attributes in `ce-` headers."""
