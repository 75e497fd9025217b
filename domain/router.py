"""A consumer with routes as several consumers: the router, which forwards each message to the queue of one route, and
a consumer for each of these queues, also for the default route. Pure.

The router never sends a request, so a target that is down, slow or limited delays no message of another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import ValidationError

from domain.consumer import ConsumerSpec, TargetSpec
from domain.errors import Invalid
from domain.route import DEFAULT, RoutePattern, below
from domain.sentences import field_faults, joined


class Route(TargetSpec, RoutePattern):
    """A route: the pattern of its messages, its target, and the rules of delivery to it. The fields are those of a
    consumer."""


def stored(whole: ConsumerSpec) -> dict[str, Any]:
    """Return the stored form of a consumer with its routes, each in its stored form."""
    return whole.stored() | {"routes": [one.stored() if isinstance(one, Route) else one.model_dump(by_alias=True)
                                        for one in whole.routes]}  # fmt: skip


def router_of(whole: ConsumerSpec) -> ConsumerSpec:
    """Return the definition of the router; without routes, the consumer itself. It has no field of the target except
    the URL, and those that decide the order and the number of messages in flight."""
    if not whole.routes:
        return whole
    kept = ("queue_name", "name", "url", "prefetch", "ordering", "filter", "otherwise")
    patterns = tuple(RoutePattern(name=one.name, when=one.when) for one in whole.routes)
    return ConsumerSpec.model_construct(**{name: getattr(whole, name) for name in kept}, routes=patterns)


def consumers_of(whole: ConsumerSpec) -> list[ConsumerSpec]:
    """Return the definitions of the consumers of all routes; none without routes. A route without a target is left out.
    Raises Invalid, for example if a name is too long."""
    if not whole.routes:
        return []
    consumers = []
    for place, route in enumerate(whole.routes):
        with placed(f"routes.{place}"):
            consumers += [_consumer(whole, route.name, route)] if isinstance(route, Route) else []
    return [*consumers, _consumer(whole, DEFAULT, whole)]


def _consumer(whole: ConsumerSpec, route: str, target: TargetSpec) -> ConsumerSpec:
    fields = target.stored()
    mine: dict[str, Any] = {field.alias or name: fields[field.alias or name] for name, field in _TARGET.items()}
    mine |= {"name": below(whole.effective_name, route), "queueName": below(whole.queue_name, route)}
    return parsed(ConsumerSpec, mine)


def whole_of(router: ConsumerSpec, consumers: Mapping[str, ConsumerSpec]) -> ConsumerSpec:
    """Return the consumer as the client defined it, by its router and the consumers of its routes by name. A route
    whose consumer is missing has no target."""
    if not router.routes:
        return router
    name = router.effective_name
    own = consumers.get(below(name, DEFAULT), router)
    routes = tuple(_route(one, consumers.get(below(name, one.name))) for one in router.routes)
    kept = {field: getattr(router, field) for field in ("queue_name", "name", "filter", "otherwise")}
    return own.model_copy(update=kept | {"routes": routes})


def _route(pattern: RoutePattern, consumer: ConsumerSpec | None) -> RoutePattern:
    """Return a Route, or only its pattern without its consumer."""
    if consumer is None:
        return pattern
    fields = {name: getattr(consumer, name) for name in _TARGET}
    return Route.model_construct(name=pattern.name, when=pattern.when, **fields)


Spec = TypeVar("Spec", bound=TargetSpec)


def parsed(model: type[Spec], fields: Mapping[str, Any]) -> Spec:
    """Validate a definition. Raises Invalid with the faults."""
    try:
        return model.model_validate(fields)
    except ValidationError as exc:
        wrong = field_faults(model, exc)
        raise Invalid(joined(wrong), fields=wrong) from None


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Let the faults of an Invalid raised inside name `place`, which is a field such as `routes.0`; empty: nothing."""
    try:
        yield
    except Invalid as exc:
        if not place:
            raise
        fields = [(f"{place}.{field}", sentence) for field, sentence in exc.fields]
        raise type(exc)(f"{place}: {exc.detail}", code=exc.code, fields=fields) from None


_TARGET = TargetSpec.model_fields
