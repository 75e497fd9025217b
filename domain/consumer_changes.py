"""What clients send about consumers: a new one, which one they mean, and what to change of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, SecretStr, create_model, model_validator
from pydantic.fields import FieldInfo

from domain.consumer import ConsumerSpec, Url
from domain.credentials import carried_along, unmasked_url
from domain.errors import Invalid
from domain.model import MASK, Model
from domain.names import QueueName, printable
from domain.sentences import joined


class NewConsumer(ConsumerSpec):
    """A consumer to create; without `url` it delivers to DEFAULT_TARGET_URL."""

    url: Url = Field(  # type: ignore[assignment]  # empty, which is no URL: the default one is a setting
        "", description="where messages go; defaults to the setting DEFAULT_TARGET_URL"
    )

    @model_validator(mode="after")
    def _name_for_terminals(self) -> Self:
        try:
            printable(self.name or self.queue_name)
        except ValueError as exc:
            raise ValueError(f"name, by default the queue's, {exc}") from None
        return self


class WhichConsumer(Model):
    """One consumer, by exactly one of its id, its name, or its queue's name."""

    consumer_id: str | None = Field(None, min_length=1, max_length=100)
    name: str | None = Field(None, min_length=1, max_length=255, examples=["orders-erp"])
    queue_name: QueueName | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.consumer_id, self.name, self.queue_name)) != 1:
            raise ValueError("needs exactly one of consumerId, name and queueName")
        return self


class _Changes(WhichConsumer):
    """What to change of a consumer. What is left out stays, null resets to the default. `headers` and policies merge by
    their own fields in the same way (JSON Merge Patch, RFC 7396). A value that comes back masked stays what it is."""

    if_revision: int | None = Field(None, ge=1, description="only when this is its `revision` still")

    def applied_to(self, spec: ConsumerSpec, faults: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """The fields of `spec` with the changes made; to be validated as a ConsumerSpec. Raises Invalid when the URL
        leads elsewhere and credentials would follow that are not given anew, and when a field with a fault is not."""
        after = spec.stored()
        changes = self.model_dump(by_alias=True, exclude_unset=True, exclude=set(_Changes.model_fields))
        if left := [fault for fault in faults if fault[0].partition(".")[0] not in changes]:
            raise Invalid(f"Its stored definition is not valid, so give these fields, too. {joined(left)}", fields=left)
        given = {name: _revealed(value) for name, value in changes.items()}
        if isinstance(changes.get("url"), str):
            changes["url"] = unmasked_url(changes["url"], spec.url)
        for name, change in changes.items():
            value = _unmasked(change, after.get(name))
            after[name] = {**after[name], **value} if name in _MERGED and isinstance(value, dict) else value
        after = _without_nulls(after)
        if carried := carried_along(spec, {"url": spec.url, "headers": {}, "auth": None} | after, given):
            raise Invalid(
                f"The new URL leads to another scheme, host or port, so give {' and '.join(carried)} again, "
                "or null to drop them: credentials do not follow by themselves.",
                fields=[(field, "must be given again, for the URL leads elsewhere") for field in carried],
            )
        return after


def _revealed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _revealed(item) for name, item in value.items()}
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _unmasked(value: Any, before: Any) -> Any:
    """`value`, with what is masked in it as it was `before`."""
    if isinstance(value, dict):
        known = before if isinstance(before, dict) else {}
        return {name: _unmasked(item, known.get(name)) for name, item in value.items()}
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return before if value == MASK else value


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """Null stands for the default, which is what a field gets that is left out."""
    return {
        name: _without_nulls(value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if value is not None
    }


_MERGED = {field.alias for field in ConsumerSpec.model_fields.values() if isinstance(field.default, Model)} | {
    "headers"
}
"""The others are replaced as a whole: half of one kind of `auth` and half of another makes no sense."""


_SENT_AS: dict[str, Any] = {"headers": dict[str, str | None], "signing_secret": SecretStr}
"""Fields that a change may hold in another form: null removes a header, and a secret may be the mask."""


def _optional(name: str, field: FieldInfo) -> Any:
    if name in _SENT_AS:
        return _SENT_AS[name] | None
    return Annotated[(field.annotation, Field(), *field.metadata)] | None


if TYPE_CHECKING:
    ConsumerChanges = _Changes
else:
    # Every field of a consumer but those that tell which it is. Limits of the whole are checked once it is merged.
    ConsumerChanges = create_model(
        "ConsumerChanges",
        __base__=_Changes,
        __doc__=_Changes.__doc__,
        **{
            name: (_optional(name, field), Field(None, description=field.description, examples=field.examples))
            for name, field in ConsumerSpec.model_fields.items()
            if name not in WhichConsumer.model_fields
        },
    )
