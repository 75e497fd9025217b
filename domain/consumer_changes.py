"""Request bodies about consumers: a new consumer, the identification of one, and changes to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, Field, SecretStr, create_model, model_validator
from pydantic.fields import FieldInfo

from domain import exchange_queue
from domain.consumer import ROUTES, ConsumerSpec, TargetSpec, Url
from domain.credentials import carried_along, origin, unmasked_url
from domain.errors import Invalid
from domain.model import MASK, Model, revealed
from domain.names import QueueName, RoutingKey, SourceExchangeName, printable
from domain.route import MAX_ROUTES, RoutePattern, named
from domain.router import Route, parsed
from domain.sentences import joined
from domain.url_template import UrlTemplate


class NewConsumer(ConsumerSpec):
    """Body of `POST /createConsumer`. Without `url` the consumer delivers to DEFAULT_TARGET_URL. With `exchange`
    instead of `queueName`, the service creates a durable queue and binds it to the exchange by `routingKey`."""

    queue_name: QueueName = Field(  # a factory, because the schema would show an empty default, which is no name
        default_factory=str, examples=["orders"], description="the queue, unless you give an exchange"
    )
    exchange: SourceExchangeName | None = Field(None, description="create a queue and bind it to this exchange")
    routing_key: RoutingKey = Field("", description="routing key of that binding")
    url: Url = Field(  # type: ignore[assignment]  # empty until the service fills in the setting's URL
        "", description="the target's URL; defaults to the setting DEFAULT_TARGET_URL"
    )
    routes: Annotated[tuple[Route, ...], AfterValidator(named)] = Field(
        (), max_length=MAX_ROUTES, strict=False, description=ROUTES
    )

    @model_validator(mode="after")
    def _queue_or_exchange(self) -> Self:
        if bool(self.queue_name) == (self.exchange is not None):
            raise ValueError("give either queueName, or exchange and routingKey")
        if self.routing_key and self.exchange is None:
            raise ValueError("routingKey needs exchange; leave it out if you give queueName")
        return self

    @model_validator(mode="after")
    def _name_for_terminals(self) -> Self:
        try:
            printable(self.effective_name)
        except ValueError as exc:
            raise ValueError(f"name (by default the queue's name) {exc}") from None
        return self

    def whole(self, url: UrlTemplate) -> ConsumerSpec:
        """Return the consumer that delivers to `url`, with its routes. Raises Invalid."""
        queue = self.queue_name or exchange_queue.queue_name(self.exchange or "", self.routing_key, self.name, url)
        fields = self.stored() | {"url": url, "queueName": queue, "routes": patterns(self.routes)}
        spec = parsed(ConsumerSpec, {name: fields[name] for name in fields if name not in ("exchange", "routingKey")})
        return spec.model_copy(update={"routes": self.routes})


def patterns(routes: Sequence[RoutePattern]) -> list[dict[str, Any]]:
    """Return the names and patterns of routes, which are what a consumer stores of them."""
    return [{"name": route.name, "when": route.when} for route in routes]


class WhichConsumer(Model):
    """Identifies one consumer by exactly one of its id, its name and its queue's name."""

    consumer_id: str | None = Field(None, min_length=1, max_length=100)
    name: str | None = Field(None, min_length=1, max_length=255, examples=["orders-erp"])
    queue_name: QueueName | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.consumer_id, self.name, self.queue_name)) != 1:
            raise ValueError("needs exactly one of consumerId, name and queueName")
        return self


class _Changes(WhichConsumer):
    """Changes to a consumer. A field that is left out keeps its value; null resets it to its default. `headers` and
    policies merge field by field in the same way (JSON Merge Patch, RFC 7396); `routes` are replaced as a whole. A
    masked value keeps the stored one."""

    if_revision: int | None = Field(None, ge=1, description="change the consumer only if this is still its `revision`")

    @property
    def routes_given(self) -> Sequence[RoutePattern] | None:
        """The new routes, which are RouteDefinitions; None if they do not change."""
        return (getattr(self, "routes", None) or ()) if "routes" in self.model_fields_set else None

    def applied_to(self, spec: ConsumerSpec, faults: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """Return the stored form of `spec` with the changes, for validation as a ConsumerSpec.

        Raises Invalid if the URL's origin changes and a credential is not given again, or if a field with a fault is
        not among the changes. `faults` are pairs of field and sentence.
        """
        changes = self.model_dump(by_alias=True, exclude_unset=True, exclude={*_Changes.model_fields, "routes"})
        if self.routes_given is not None:
            changes["routes"] = patterns(self.routes_given)
        if left := [fault for fault in faults if fault[0].partition(".")[0] not in changes]:
            raise Invalid(f"The stored definition is invalid. Give these fields, too: {joined(left)}", fields=left)
        return _applied(changes, spec, spec.stored())


def _applied(changes: dict[str, Any], before: ConsumerSpec, start: dict[str, Any]) -> dict[str, Any]:
    """Return the stored form `start` with the changes to `before`, and with masked values as in `before`. Raises
    Invalid if the changes would send credentials elsewhere."""
    known, after = before.stored(), dict(start)
    given = {name: revealed(value) for name, value in changes.items()}
    if isinstance(changes.get("url"), str):
        changes["url"] = unmasked_url(changes["url"], before.url)
    for name, change in changes.items():
        value = _unmasked(change, known.get(name))
        merges = name in _MERGED and isinstance(value, dict)
        after[name] = {**after.get(name, {}), **value} if merges else value
    after = _without_nulls(after)
    if carried := carried_along(before, {"url": before.url, "headers": {}, "auth": None} | after, given):
        moved = origin(before.url) != origin(after["url"])
        what = "The new URL has another scheme, host or port" if moved else "auth has another tokenUrl"
        raise Invalid(
            f"{what}. Give {' and '.join(carried)} again, or null to remove them: credentials are not sent to "
            "another place unless you give them again.",
            fields=[(field, "must be given again, because it would be sent elsewhere") for field in carried],
        )
    return after


def _unmasked(value: Any, before: Any) -> Any:
    """Return `value` with each masked part replaced by its value in `before`."""
    if isinstance(value, dict):
        known = before if isinstance(before, dict) else {}
        return {name: _unmasked(item, known.get(name)) for name, item in value.items()}
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return before if value == MASK and before is not None else value


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields without nulls: null resets a field to its default, which validation fills in. In a filter, null
    is a value."""
    return {
        name: _without_nulls(value) if isinstance(value, dict) and name != "filter" else value
        for name, value in fields.items()
        if value is not None
    }


def defined(route: RoutePattern, before: ConsumerSpec | None) -> dict[str, Any]:
    """Return the stored form of a RouteDefinition, whose masked values are those of the route's consumer `before`.
    Raises Invalid if it would send credentials elsewhere."""
    changes = route.model_dump(by_alias=True, exclude_unset=True, exclude=set(RoutePattern.model_fields))
    if before is None:
        return _without_nulls({name: revealed(value) for name, value in changes.items()})
    return _applied(changes, before, {})


_MERGED = {field.alias for field in ConsumerSpec.model_fields.values() if isinstance(field.default, Model)} | {
    "headers"
}
"""Fields that merge. The others are replaced as a whole: parts of two kinds of `auth` do not combine."""


_SENT_AS: dict[str, Any] = {"headers": dict[str, str | None], "signing_secret": SecretStr}
"""Fields whose type differs in a change: null removes a header, and a secret may be the mask."""


def _optional(name: str, field: FieldInfo) -> Any:
    if name in _SENT_AS:
        return _SENT_AS[name] | None
    return Annotated[(field.annotation, Field(), *field.metadata)] | None


def _change(name: str, field: FieldInfo) -> tuple[Any, Any]:
    return _optional(name, field), Field(None, description=field.description, examples=field.examples)


if TYPE_CHECKING:
    ConsumerChanges = _Changes
    RouteDefinition = RoutePattern
else:
    # A route in a change: complete, except that a masked value keeps the one of the route with the same name.
    RouteDefinition = create_model(
        "RouteDefinition",
        __base__=RoutePattern,
        __doc__="A complete route, which replaces the route of the same name. A masked value keeps that route's value.",
        url=(Url, Field()),
        **{name: _change(name, field) for name, field in TargetSpec.model_fields.items() if name != "url"},
    )
    _SENT_AS["routes"] = Annotated[
        tuple[RouteDefinition, ...], AfterValidator(named), Field(max_length=MAX_ROUTES, strict=False)
    ]
    # All fields of a consumer except those that identify it. Validators of the whole run after the merge.
    ConsumerChanges = create_model(
        "ConsumerChanges",
        __base__=_Changes,
        __doc__=_Changes.__doc__,
        **{
            name: _change(name, field)
            for name, field in ConsumerSpec.model_fields.items()
            if name not in WhichConsumer.model_fields
        },
    )
