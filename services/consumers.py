"""Consumers: what shall run (the registry) beside what does (the workers' heartbeats).

Nothing here starts or stops a delivery: workers read the registry, and make it so within about a second.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from pydantic import ValidationError

from domain.auth import OAuth2Auth
from domain.consumer import ConsumerSpec
from domain.consumer_changes import ConsumerChanges, NewConsumer, WhichConsumer
from domain.consumer_details import ConsumerDetails, State
from domain.credentials import left_masked
from domain.details import Page
from domain.errors import (
    BrokerUnavailable,
    Conflict,
    Invalid,
    NotFound,
    PreconditionFailed,
    QueueUnavailable,
    TargetRefused,
)
from domain.queue_scope import QueueScope
from domain.registry import ConsumerFilter, RegisteredConsumer
from domain.sentences import dotted, faults, joined
from gateway.amqp.topology import holds_retries
from gateway.http.target_names import TargetNames
from gateway.management import QueueLookup
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats
from services.consumer_state import Live, details, shown


class Consumers:
    """Thread-safe. Every method raises StoreUnavailable; those that take a WhichConsumer raise NotFound, and Conflict
    when its queue has several."""

    def __init__(
        self,
        registry: ConsumerRegistry,
        heartbeats: Heartbeats,
        queues: QueueLookup,
        targets: TargetNames,
        default_target_url: str,
    ) -> None:
        self._registry = registry
        self._heartbeats = heartbeats
        self._queues = queues
        self._targets = targets
        self._default_target_url = default_target_url

    def create(self, wanted: NewConsumer, only: QueueScope | None = None) -> tuple[ConsumerDetails, bool, list[str]]:
        """The consumer, whether it is new, and what still keeps it from running. Raises Conflict when its name belongs
        to another, of which it tells what a caller for the queues of `only` may see; Invalid when there is no URL or
        RabbitMQ says that no consumer may take from the queue (a stream, an exclusive or auto-delete queue), and
        TargetRefused when there is a URL that may not be called."""
        if not wanted.url and not self._default_target_url:
            raise Invalid(
                "Say where to deliver: give url, or set DEFAULT_TARGET_URL for all consumers without one.",
                code="url_missing",
                fields=[("url", "is missing, and DEFAULT_TARGET_URL is not set")],
            )
        spec = _parsed(wanted.stored() | {"url": wanted.url or self._default_target_url})
        warnings = self._check(spec)
        hindrances = self._hindrances(spec)
        consumer, new = self._registry.create(spec)
        if not new:
            warnings += _compared(consumer.spec, spec, only)
        return self._details(consumer), new, [*hindrances, *warnings]

    def page(self, number: int, size: int, wanted: ConsumerFilter, state: State | None = None) -> Page[ConsumerDetails]:
        """One page of the consumers that are wanted, and in this state, by name; the first page is 1."""
        live = Live(self._heartbeats.live())
        found = self._registry.find(number, size, live.narrowed(wanted, state) if state else wanted)
        return Page([details(consumer, live) for consumer in found.items], found.total)

    def get(self, which: WhichConsumer) -> ConsumerDetails:
        """One consumer."""
        return self._details(self.find_one(which))

    def pause(self, which: WhichConsumer) -> ConsumerDetails:
        """Let it finish what it holds and take nothing more."""
        consumer = self.find_one(which)
        if consumer.state != "paused":
            consumer = self._registry.set_state(consumer.id, "paused")
        return self._details(consumer)

    def resume(self, which: WhichConsumer) -> ConsumerDetails:
        """Let it run again, whether a person paused it or a worker suspended it."""
        consumer = self.find_one(which)
        if consumer.state != "enabled":
            consumer = self._registry.set_state(consumer.id, "enabled")
        return self._details(consumer)

    def update(self, changes: ConsumerChanges) -> tuple[ConsumerDetails, list[str]]:
        """Change it; a suspended one gets another try. The consumer, and what keeps its URL from being reached. Raises
        Invalid when the result would make no sense, TargetRefused when its URL may not be called, and
        PreconditionFailed when it has another revision than the one that is asked for."""
        while True:  # what somebody else changes meanwhile must not be undone by this
            consumer = self.find_one(changes)
            if changes.if_revision not in (None, consumer.revision):
                raise PreconditionFailed(
                    f"Consumer {consumer.spec.name!r} has revision {consumer.revision} now: see what has changed.",
                    code="consumer_changed",
                )
            spec = _parsed(changes.applied_to(consumer.spec, consumer.faults))
            warnings = self._check(spec, consumer.spec)
            with suppress(PreconditionFailed):
                if spec != consumer.spec or consumer.faults:
                    consumer = self._registry.update(consumer.id, spec, consumer.revision)
                return self._details(consumer), warnings

    def delete(self, which: WhichConsumer) -> RegisteredConsumer:
        """Remove it; what it holds is finished or goes back to the queue. The consumer as it was."""
        consumer = self.find_one(which)
        self._registry.delete(consumer.id)
        return consumer

    def find_one(self, which: WhichConsumer) -> RegisteredConsumer:
        """The one that is meant, as the registry holds it."""
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
                f"The queue {queue_name!r} has {found.total} consumers: {names}. Say which one by name.",
                code="consumer_ambiguous",
            )
        return found.items[0]

    def _check(self, spec: ConsumerSpec, before: ConsumerSpec | None = None) -> list[str]:
        """What does not keep it from being delivered later, but does so now. Raises Invalid when a field is nothing but
        the mask, or when a certificate that it has not had `before` is out of date, and TargetRefused when nothing may
        go to the URL, or to the token URL."""
        if masked := left_masked(spec.stored()):
            wrong = [(field, "is the mask of what is never shown; give the value itself") for field in masked]
            raise Invalid(joined(wrong), fields=wrong)
        if spec.tls and (before is None or spec.tls != before.tls) and (fault := spec.tls.unusable(datetime.now(UTC))):
            raise Invalid(joined([fault]), fields=[fault])
        urls = {"url": spec.url}
        if isinstance(spec.auth, OAuth2Auth):
            urls["auth.tokenUrl"] = spec.auth.token_url
        warnings = []
        for field, url in urls.items():
            refusal, warning = self._targets.judge(url.target)
            if refusal:
                raise TargetRefused(refusal, fields=[(field, refusal)])
            warnings += [warning] if warning else []
        return warnings

    def _details(self, consumer: RegisteredConsumer) -> ConsumerDetails:
        return details(consumer, Live(self._heartbeats.live()))

    def _hindrances(self, spec: ConsumerSpec) -> list[str]:
        if holds_retries(spec.queue_name):
            raise _unfit("Retries of all queues wait in this queue. It is the service's own.")
        try:
            queue = self._queues.facts(spec.queue_name)
        except NotFound:
            return [f"There is no queue {spec.queue_name!r} yet; the consumer starts when it is created."]
        except QueueUnavailable as exc:
            return [f"The consumer starts when the queue can be used. {exc.detail}"]
        except BrokerUnavailable as exc:
            return [f"The consumer starts when RabbitMQ can be reached. {exc.detail}"]
        if queue.unfit:
            raise _unfit(queue.unfit)
        return [_DELIVERY_LIMIT] if queue.delivery_limit is not None and spec.ordering != "none" else []


_DELIVERY_LIMIT = (
    "The queue is a quorum queue, and an ordered consumer gives back what it holds while its target is down: messages "
    "that come back more often than its x-delivery-limit (from RabbitMQ 4.0 on 20, if it has none) are dropped or "
    "dead-lettered by RabbitMQ. Set it high enough, or use a classic queue."
)


def _compared(existing: ConsumerSpec, wanted: ConsumerSpec, only: QueueScope | None) -> list[str]:
    """Warnings about a consumer that exists as it is wanted. Raises Conflict when it is another. Secrets are not
    compared, because the answer would tell whether a guess is right."""
    name = existing.name
    if only and not only.admits(existing.queue_name):
        raise Conflict(f"The name {name!r} cannot be used for this consumer. Choose another name.")
    there, asked = shown(existing), shown(wanted) | {"name": name}
    if differing := [field for field in there if there[field] != asked[field]]:
        raise Conflict(
            f"Consumer {name!r} exists with another {', '.join(differing)}. "
            "Change it by PATCH /updateConsumer, or give the new one another name."
        )
    hidden = [field for field, value in wanted.stored().items() if field != "name" and value != asked[field]]
    return [f"{field}: the credentials are not compared; change them by PATCH /updateConsumer." for field in hidden]


def _unfit(sentence: str) -> Invalid:
    return Invalid(f"queueName: {sentence}", code="queue_unfit", fields=[("queueName", sentence)])


def _parsed(fields: dict[str, object]) -> ConsumerSpec:
    try:
        return ConsumerSpec.model_validate(fields)
    except ValidationError as exc:
        wrong = [(dotted(place), sentence) for place, sentence in faults(ConsumerSpec, exc)[0]]
        raise Invalid(joined(wrong), fields=wrong) from None
