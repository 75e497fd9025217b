"""The consumers of the routes of a consumer (domain/router.py), in the registry.

They are written before their router, so that no router forwards to a queue without a consumer, and deleted after it. A
call that fails halfway is completed by the same call. Each has the name of its router, by which it is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from domain.consumer import ConsumerSpec
from domain.consumer_changes import ConsumerChanges, defined
from domain.errors import BrokerUnavailable, Conflict, Invalid, NotFound
from domain.queue import QueueSpec
from domain.queue_scope import QueueScope
from domain.registry import ConsumerFilter, RegisteredConsumer
from domain.route import DEFAULT, below
from domain.router import Route, parsed, placed, whole_of
from domain.sentences import field_faults
from gateway.management import QueueGateway, QueueLookup
from gateway.mongo.consumers import ConsumerRegistry


class Routes:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, registry: ConsumerRegistry, queues: QueueGateway, lookup: QueueLookup) -> None:
        self._registry, self._queues, self._lookup = registry, queues, lookup

    def named(self, name: str) -> RegisteredConsumer | None:
        """Return the consumer with this name, also if it is no route; None if there is none."""
        with suppress(NotFound):
            found = self._registry.get(name)  # by its id, too
            return found if found.spec.name == name else None
        return None

    def of(self, *routers: RegisteredConsumer) -> dict[str, RegisteredConsumer]:
        """Return the consumers of the routes of these consumers, by name."""
        wanted = ConsumerFilter(routers=frozenset(one.spec.name for one in routers))
        found: dict[str, RegisteredConsumer] = {}
        number, total = 1, 1
        while len(found) < total and (page := self._registry.find(number, 1000, wanted)).items:
            found |= {one.spec.name: one for one in page.items}
            number, total = number + 1, page.total
        return found

    def whole(self, consumers: Sequence[RegisteredConsumer], only: QueueScope | None = None) -> list[ConsumerSpec]:
        """Return the definitions of these consumers, each with its routes. Leave out the targets of queues that `only`
        does not admit."""
        routers = [one for one in consumers if one.spec.routes]
        found = self.of(*routers) if routers else {}
        specs = {name: one.spec for name, one in found.items() if not only or only.admits(one.spec.queue_name)}
        return [whole_of(one.spec, specs) for one in consumers]

    def refuse_others(self, router: str, wanted: Iterable[ConsumerSpec]) -> None:
        """Raise Conflict if a consumer that is not a route of `router` has the name of a wanted one."""
        for spec in wanted:
            existing = self.named(spec.name)
            if existing is not None and existing.router != router:
                raise Conflict(
                    f"The consumer {spec.name!r} already exists, and it is not a route of {router!r}. Choose "
                    "another name for the route, or delete that consumer."
                )

    def write(self, router: str, wanted: Iterable[ConsumerSpec], *, change: bool = True) -> bool:
        """Create the consumers of the routes of `router`, and change those that differ unless `change` is false. Return
        whether any was created or differed. Raises what `refuse_others` raises."""
        differed = False
        for spec in wanted:
            existing, new = self._registry.create(spec, "enabled", router)
            if existing.router != router:
                self.refuse_others(router, [spec])
            if change and not new and (existing.spec != spec or existing.faults):
                self._registry.update(existing.id, spec)
                new = True
            differed |= new
        return differed

    def remove(self, router: RegisteredConsumer, kept: Iterable[ConsumerSpec] = ()) -> list[str]:
        """Delete the consumers of the routes of `router`, except those to keep. Their queues stay. Return warnings
        about the messages in these."""
        warnings = []
        names = {spec.name for spec in kept}
        for name, consumer in self.of(router).items():
            if name not in names:
                with suppress(NotFound):
                    self._registry.delete(consumer.id)
                warnings += self._left_in(consumer.spec.queue_name)
        return warnings

    def declare(self, router: ConsumerSpec) -> None:
        """Declare the queues of the routes with the type of the router's queue. If RabbitMQ is down, or the router's
        queue does not exist yet, the workers declare them when they need them."""
        if not router.routes:
            return
        with suppress(NotFound, BrokerUnavailable):
            kind = self._lookup.facts(router.queue_name).type
            for name in router.route_queues:
                self._declare(name, kind)

    def _declare(self, name: str, kind: str) -> None:
        """Declare one queue, unless it exists with other arguments."""
        if kind == "quorum":
            with suppress(Invalid):  # RabbitMQ before 4.0 has no limit, and refuses -1
                return self._declare_as(_queue(name, type="quorum", delivery_limit=-1))
            return self._declare_as(_queue(name, type="quorum"))
        return self._declare_as(_queue(name))

    def _declare_as(self, spec: QueueSpec) -> None:
        with suppress(Conflict):
            self._queues.declare(spec)

    def _left_in(self, queue: str) -> list[str]:
        try:
            left = self._queues.get(queue).messages
        except (NotFound, BrokerUnavailable):
            return []
        if not left:
            return []
        return [
            f"The queue {queue!r} of the removed route still has {left} messages and has no consumer. To deliver them, "
            "add the route again, or create a consumer for the queue."
        ]


def changed(
    consumer: RegisteredConsumer, known: Mapping[str, RegisteredConsumer], changes: ConsumerChanges
) -> ConsumerSpec:
    """Return the definition of a consumer with changes, with its routes. `known` are the consumers of these, by name.
    Raises Invalid."""
    whole = whole_of(consumer.spec, {name: one.spec for name, one in known.items()})
    own = known.get(below(consumer.spec.name, DEFAULT)) if consumer.spec.routes else None
    spec = parsed(ConsumerSpec, changes.applied_to(whole, consumer.faults + (own.faults if own else ())))
    given = changes.routes_given
    if given is None:
        return spec.model_copy(update={"routes": whole.routes})
    routes = []
    for place, route in enumerate(given):
        before = known.get(below(consumer.spec.name, route.name))
        with placed(f"routes.{place}"):
            fields = defined(route, before.spec if before else None)
            routes.append(parsed(Route, fields | {"name": route.name, "when": route.when}))
    return spec.model_copy(update={"routes": tuple(routes)})


def check_queues(router: ConsumerSpec) -> None:
    """Raise Invalid if the name of a route's queue is not allowed."""
    for name in router.route_queues:
        _queue(name)


def _queue(name: str, **fields: Any) -> QueueSpec:
    try:
        return QueueSpec(queue_name=name, **fields)
    except ValidationError as exc:
        sentence = f"the queue {name!r} of a route {field_faults(QueueSpec, exc)[0][1]}"
        raise Invalid(f"routes: {sentence}.", fields=[("routes", sentence)]) from None
