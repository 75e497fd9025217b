"""Consumers: the desired state (the registry) and the actual state (the workers' heartbeats).

This module never starts or stops a delivery: workers read the registry and apply it within about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from domain.audit import State as AuditState
from domain.consumer import ConsumerSpec
from domain.consumer_changes import ConsumerChanges, NewConsumer, WhichConsumer
from domain.consumer_details import ConsumerDetails, State
from domain.details import Page
from domain.errors import (
    BrokerUnavailable,
    Conflict,
    Invalid,
    NotFound,
    PreconditionFailed,
    QueueUnavailable,
)
from domain.queue_scope import QueueScope
from domain.registry import ConsumerFilter, RegisteredConsumer
from domain.router import router_of
from domain.selection import Selection
from domain.url_template import UrlTemplate
from gateway.amqp.topology import holds_delayed
from gateway.management import QueueLookup
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats
from services.consumer_state import Live, details, shown, sort_key
from services.exchange_queues import ExchangeQueues
from services.routes import Routes, changed
from services.target_checks import TargetChecks


class Consumers:
    """Thread-safe. Every method raises StoreUnavailable. Methods with a WhichConsumer raise NotFound, and Conflict when
    it names a queue with several consumers."""

    def __init__(
        self,
        registry: ConsumerRegistry,
        heartbeats: Heartbeats,
        queues: QueueLookup,
        checks: TargetChecks,
        default_target_url: str,
        exchange_queues: ExchangeQueues,
        routes: Routes,
        backlogs: Callable[[], Mapping[str, int] | None],
    ) -> None:
        """`backlogs` returns the ready messages of each queue, or None while they are unknown."""
        self._registry = registry
        self._heartbeats = heartbeats
        self._queues = queues
        self._checks = checks
        self._default_target_url = default_target_url
        self._exchange_queues = exchange_queues
        self._routes = routes
        self._backlogs = backlogs

    def create(
        self, wanted: NewConsumer, only: QueueScope | None = None, *, paused: bool = False
    ) -> tuple[ConsumerDetails, bool, list[str]]:
        """Return the consumer, whether it is new, and warnings: reasons why it cannot run yet. With `paused`, a new
        consumer takes no message until it is resumed; the consumers of its routes deliver.

        Raises Conflict when another consumer has the name; the error describes that consumer only if `only` admits its
        queue. Raises Invalid when there is no URL, or when consumers cannot use the queue (a stream, an exclusive or
        auto-delete queue, or one of ours for retries), and TargetRefused when the URL is not allowed.

        With an exchange, declare the queue and its binding first. Raises NotFound when the exchange is missing, and
        BrokerUnavailable."""
        if not wanted.url and not self._default_target_url:
            raise Invalid(
                "No target URL. Send url, or set DEFAULT_TARGET_URL for all consumers without one.",
                code="url_missing",
                fields=[("url", "is required, because DEFAULT_TARGET_URL is not set")],
            )
        spec = wanted.whole(wanted.url or UrlTemplate(self._default_target_url))
        targets, warnings = self._checks.check(spec)
        # Before a queue is declared, and a route changed.
        known = (wanted.exchange is not None or bool(spec.routes)) and self._is_known(spec, only)
        name = spec.effective_name
        self._routes.refuse_others(name, targets)
        if wanted.exchange is not None:
            self._exchange_queues.declare(spec.queue_name, wanted.exchange, wanted.routing_key)
        hindrances = self._hindrances(spec)
        self._routes.declare(spec)
        self._routes.write(name, targets, change=not known)
        consumer, new = self._registry.create(router_of(spec), "paused" if paused else "enabled")
        if not new:
            warnings += _compared(self._routes.whole([consumer])[0], spec, only)
        hindrances += self._routes.remove(consumer, kept=targets) if spec.routes else []
        return self._details(consumer), new, [*hindrances, *warnings]

    def page(self, selection: Selection, wanted: ConsumerFilter, state: State | None = None) -> Page[ConsumerDetails]:
        """Return the selected page of the consumers that match `wanted` and are in `state`."""
        live, backlogs = Live(self._heartbeats.live()), self._backlogs() or {}
        matching = live.narrowed(wanted, state) if state else wanted
        found = self._sorted(selection, matching, live, backlogs)
        specs = self._routes.whole(found.items, wanted.only)
        shown = (
            details(one, spec, live, backlogs.get(one.spec.queue_name))
            for one, spec in zip(found.items, specs, strict=True)
        )
        return Page(list(shown), found.total)

    def _sorted(
        self, selection: Selection, wanted: ConsumerFilter, live: Live, backlogs: Mapping[str, int]
    ) -> Page[RegisteredConsumer]:
        """Return the selected page of the registry. Only the store sorts by name: it has documents without outlines."""
        if selection.sort == "name" and not selection.descending:
            return self._registry.find(selection.number, selection.size, wanted)
        every = self._registry.outlines(wanted)
        every.sort(key=lambda one: sort_key(one, selection.sort, live, backlogs), reverse=selection.descending)
        first = (selection.number - 1) * selection.size
        chosen = [one.id for one in every[first : first + selection.size]]
        found = self._registry.find(1, selection.size, ConsumerFilter(ids=frozenset(chosen))).items
        return Page(sorted(found, key=lambda one: chosen.index(one.id)), len(every))

    def get(self, which: WhichConsumer) -> ConsumerDetails:
        """Return one consumer."""
        consumer = self.find_one(which)
        return self._details(consumer, (self._backlogs() or {}).get(consumer.spec.queue_name))

    def pause(self, which: WhichConsumer) -> ConsumerDetails:
        """Pause a consumer: it finishes its messages in flight and takes no more."""
        consumer = self.find_one(which)
        if consumer.state != "paused":
            consumer = self._registry.set_state(consumer.id, "paused")
        return self._details(consumer)

    def resume(self, which: WhichConsumer) -> ConsumerDetails:
        """Resume a consumer that was paused or suspended, or whose target is paused or has an open circuit breaker: its
        workers send one message at once."""
        return self._details(self._registry.set_state(self.find_one(which).id, "enabled"))

    def update(self, changes: ConsumerChanges) -> tuple[ConsumerDetails, list[str]]:
        """Change a consumer, and resume it if it is suspended. Return it, and warnings about its target.

        Raises Invalid when the result is not valid, TargetRefused when its URL is not allowed, and PreconditionFailed
        when its revision is not the required one."""
        while True:  # repeat if another client changed the consumer meanwhile
            consumer = self.find_one(changes)
            if changes.if_revision not in (None, consumer.revision):
                raise PreconditionFailed(
                    f"Consumer {consumer.spec.name!r} has changed. It now has revision {consumer.revision}. "
                    "Get it again, check your change, and repeat it with that revision.",
                    code="consumer_changed",
                )
            self._refuse_route(consumer)
            before = self._routes.of(consumer)
            spec = changed(consumer, before, changes)
            targets, warnings = self._checks.check(spec, before, consumer.spec)
            with suppress(PreconditionFailed):
                return self._changed(consumer, spec, targets, warnings)

    def _changed(
        self, consumer: RegisteredConsumer, spec: ConsumerSpec, targets: list[ConsumerSpec], warnings: list[str]
    ) -> tuple[ConsumerDetails, list[str]]:
        """Store a changed consumer and the consumers of its routes. Raises PreconditionFailed if another client has
        changed the consumer."""
        self._routes.refuse_others(consumer.spec.name, targets)
        self._routes.declare(spec)
        differed, router = self._routes.write(consumer.spec.name, targets), router_of(spec)
        if differed or router != consumer.spec or consumer.faults:
            consumer = self._registry.update(consumer.id, router, consumer.revision)
        return self._details(consumer), [*warnings, *self._routes.remove(consumer, kept=targets)]

    def delete(self, which: WhichConsumer) -> RegisteredConsumer:
        """Delete a consumer, with the consumers of its routes, and return it as it was. Its messages in flight are
        finished or go back to the queue. Raises Conflict for a route of another consumer."""
        consumer = self.find_one(which)
        self._refuse_route(consumer)
        self._routes.remove(consumer)  # first, so that the same call completes a failed one
        self._registry.delete(consumer.id)
        return consumer

    def check(
        self, spec: ConsumerSpec, routes: Mapping[str, RegisteredConsumer], before: ConsumerSpec | None = None
    ) -> list[str]:
        """Return warnings about the targets of a definition. The arguments are those of TargetChecks.check, which also
        says what is raised."""
        return self._checks.check(spec, routes, before)[1]

    def all(self) -> list[RegisteredConsumer]:
        """Return all consumers, by name, as the registry holds them."""
        return self._registry.all()

    def state_of(self, which: WhichConsumer) -> AuditState:
        """Return a consumer's definition and desired state, for the audit log."""
        consumer = self.find_one(which)
        [spec] = self._routes.whole([consumer])
        given, stored = shown(spec, exclude_defaults=True), spec.stored()
        desired = {"desiredState": consumer.state}
        values = {name: stored.get(name, value) for name, value in given.items()}
        return AuditState(values | desired, given | desired, shown(spec) | desired)

    def find_one(self, which: WhichConsumer) -> RegisteredConsumer:
        """Return the consumer that `which` names, as the registry holds it."""
        if which.queue_name is not None:
            return self._only_one_of(which.queue_name)
        name = which.consumer_id or which.name or ""
        try:
            found = self._registry.get(name)
        except NotFound:
            found = None
        if found is None or name != (found.id if which.consumer_id else found.spec.name):
            raise NotFound(f"There is no consumer {name!r}.", code="consumer_not_found")
        return found

    def _only_one_of(self, queue_name: str) -> RegisteredConsumer:
        found = self._registry.find(size=20, wanted=ConsumerFilter(queue_name))
        if not found.total:
            raise NotFound(f"The queue {queue_name!r} has no consumer.", code="consumer_not_found")
        if found.total > 1:
            names = ", ".join(repr(consumer.spec.name) for consumer in found.items)
            raise Conflict(
                f"The queue {queue_name!r} has {found.total} consumers: {names}. Use name to choose one.",
                code="consumer_ambiguous",
            )
        return found.items[0]

    def _refuse_route(self, consumer: RegisteredConsumer) -> None:
        """Raise Conflict if a consumer is a route of another one."""
        if consumer.router is not None and self._routes.named(consumer.router):
            raise Conflict(
                f"The consumer {consumer.spec.name!r} is a route of {consumer.router!r}. Use PATCH "
                f"/updateConsumer of {consumer.router!r} to change or remove the route.",
                code="consumer_is_route",
            )

    def _is_known(self, spec: ConsumerSpec, only: QueueScope | None) -> bool:
        """Return whether there is a consumer like a new one. Raise Conflict when another consumer has its name."""
        existing = self._routes.named(spec.effective_name)
        if existing is not None:
            _compared(self._routes.whole([existing])[0], spec, only)
        return existing is not None

    def _details(self, consumer: RegisteredConsumer, backlog: int | None = None) -> ConsumerDetails:
        """Return the consumer with its state. A change does not wait for RabbitMQ's management API to tell the
        backlog."""
        spec = self._routes.whole([consumer])[0]
        return details(consumer, spec, Live(self._heartbeats.live()), backlog)

    def _hindrances(self, spec: ConsumerSpec) -> list[str]:
        if holds_delayed(spec.queue_name):
            own = "This queue is reserved for the service's delayed messages. Use a queue of your own."
            raise Invalid.at("queueName", own, "queue_unfit")
        try:
            queue = self._queues.facts(spec.queue_name)
        except NotFound:
            return [f"The queue {spec.queue_name!r} does not exist yet; the consumer starts when the queue is created."]
        except QueueUnavailable as exc:
            return [f"The consumer starts when the queue is available. {exc.detail}"]
        except BrokerUnavailable as exc:
            return [f"The consumer starts when RabbitMQ is available. {exc.detail}"]
        if queue.unfit:
            raise Invalid.at("queueName", queue.unfit, "queue_unfit")
        return [_DELIVERY_LIMIT] if queue.delivery_limit is not None and spec.ordering != "none" else []


_DELIVERY_LIMIT = (
    "An ordered consumer returns its messages to the queue while its target is down. RabbitMQ drops or dead-letters "
    "messages of a quorum queue that are returned more often than x-delivery-limit (default 20 since RabbitMQ 4.0). "
    "Set a high x-delivery-limit, or use a classic queue."
)


def _compared(existing: ConsumerSpec, wanted: ConsumerSpec, only: QueueScope | None) -> list[str]:
    """Return warnings about an existing consumer that equals the wanted one. Raises Conflict when they differ. Secrets
    are not compared, because the result would confirm a guess."""
    name = existing.name
    if only and not only.admits(existing.queue_name):
        raise Conflict(f"The name {name!r} cannot be used for this consumer. Choose another name.")
    there, asked = shown(existing), shown(wanted) | {"name": name}
    if differing := [field for field in there if there[field] != asked[field]]:
        raise Conflict(
            f"Consumer {name!r} already exists and differs in {', '.join(differing)}. "
            "Change it with PATCH /updateConsumer, or choose another name."
        )
    hidden = [field for field, value in wanted.stored().items() if field != "name" and value != asked[field]]
    return [f"{field}: credentials are not compared; change them with PATCH /updateConsumer." for field in hidden]
