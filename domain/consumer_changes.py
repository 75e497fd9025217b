"""What clients send about consumers: a new one, which one they mean, and what to change of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, SecretStr, create_model, model_validator

from domain.consumer import ConsumerSpec, HttpUrl
from domain.consumer_details import MASK, masked_url
from domain.model import Model
from domain.names import QueueName


class NewConsumer(ConsumerSpec):
    """A consumer to create; without `url` it delivers to DEFAULT_TARGET_URL."""

    url: HttpUrl = Field("", description="where messages go; defaults to the setting DEFAULT_TARGET_URL")


class WhichConsumer(Model):
    """One consumer, by exactly one of its id, its name, or its queue's name."""

    consumer_id: str | None = Field(None, min_length=1, max_length=100)
    name: str | None = Field(None, min_length=1, max_length=255)
    queue_name: QueueName | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.consumer_id, self.name, self.queue_name)) != 1:
            raise ValueError("needs exactly one of consumerId, name and queueName")
        return self


class _Changes(WhichConsumer):
    """A JSON Merge Patch (RFC 7396) of a consumer: what is left out stays, null resets to the default. Masked values
    that come back as they were shown stay, too."""

    def applied_to(self, spec: ConsumerSpec) -> dict[str, Any]:
        """The fields of `spec` with the changes made; to be validated as a ConsumerSpec."""
        before = spec.stored()
        changes = self.model_dump(by_alias=True, exclude_unset=True, exclude=set(WhichConsumer.model_fields))
        shown = {"url": masked_url(spec.url), "signingSecret": SecretStr(MASK)}
        changes = {name: value for name, value in changes.items() if shown.get(name, ...) != value}
        if changes.get("headers"):
            changes["headers"] = {name: value for name, value in changes["headers"].items() if value != MASK}
        return _merged(before, changes)


def _merged(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    after = dict(before)
    for name, value in changes.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict):
            after[name] = _merged(before.get(name) or {}, value)
        else:
            after[name] = value
    return after


_ANNOTATIONS = {
    name: dict[str, str | None] if name == "headers" else field.annotation
    for name, field in ConsumerSpec.model_fields.items()
    if name not in WhichConsumer.model_fields
}

if TYPE_CHECKING:
    ConsumerChanges = _Changes
else:
    # Every field of a consumer but those that tell which it is. Limits are checked on the whole, once merged.
    ConsumerChanges = create_model(
        "ConsumerChanges",
        __base__=_Changes,
        __doc__=_Changes.__doc__,
        **{name: (annotation | None, None) for name, annotation in _ANNOTATIONS.items()},
    )
