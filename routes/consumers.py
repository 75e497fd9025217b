"""Consumers: create, list, get, pause, resume, change, test and delete them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from domain.consumer_changes import ConsumerChanges, NewConsumer, WhichConsumer
from domain.consumer_details import ConsumerDetails, State
from domain.errors import Conflict, NotFound
from domain.names import QueueName
from domain.otherwise import Forward, Otherwise
from domain.publication import AnyJson, Base64, Payload, Publication, PublishProperties
from domain.registry import ConsumerFilter
from domain.route import below, route_names
from domain.selection import Selection
from middlewares.auth import caller, services
from routes.answers import ConsumerDeleted, Done
from routes.api import Api, Reply, done
from routes.inputs import PageQuery
from routes.paging import paged
from routes.refusals import AMQP, CONSUMER, QUEUE
from routes.scope import FILTERED, Touches
from services.samples import DryRun, SampleAnswer

api = Api("consumers")


class ConsumersQuery(PageQuery):
    """Filters of the list of consumers."""

    queue_name: QueueName | None = Field(None, description="only consumers of this queue")
    name: str = Field("", max_length=255, description="part of the consumer's name; case is ignored")
    state: State | None = Field(None, description="only consumers in this state")
    sort: Literal[
        "name",
        "queueName",
        "state",
        "backlog",
        "inFlight",
        "successRate",
        "latencyP50Ms",
        "latencyP99Ms",
        "delivered",
        "retried",
        "deadLettered",
    ] = Field("name", description="`state` sorts by severity, the most severe first")
    descending: bool = False


class ConsumerAnswer(Done):
    """A consumer after a change."""

    consumer: ConsumerDetails


class ChangedConsumerAnswer(ConsumerAnswer):
    """A consumer after a change. `warnings` give reasons why it cannot run or reach its target yet."""

    warnings: list[str]


def _queue_of(which: WhichConsumer) -> list[str | None]:
    """Return the consumer's queue, and the queues of its routes."""
    try:
        spec = services.consumers.find_one(which).spec
    except (NotFound, Conflict):  # without a queue, the answer is the same as for a consumer of a forbidden queue
        return [which.queue_name]
    return [spec.queue_name, *spec.route_queues]


def _added(changes: ConsumerChanges, queues: list[str | None]) -> list[str | None]:
    """Return the queues of new routes; the first of `queues` is the consumer's."""
    return [below(queues[0] or "", name) for name in route_names(changes.routes_given or ())]


def _forwarded_to(otherwise: Otherwise | None) -> list[str | None]:
    return [otherwise.forward.queue] if isinstance(otherwise, Forward) else []


_ITS_CONSUMER = Touches(_queue_of)
_CREATED = Touches(lambda given: [given.queue_name or None, *given.route_queues, *_forwarded_to(given.otherwise)])
_UPDATED = Touches(
    lambda given: [*(queues := _queue_of(given)), *_added(given, queues), *_forwarded_to(given.otherwise)]
)


_SPEC = ("400 target_refused", "413 too_large_for_store", "503 renderer_unavailable")


@api.post(
    "/createConsumer",
    role="operator",
    idempotent=True,
    touches=_CREATED,
    statuses=(200, 201),
    refuses=(
        "400 url_missing",
        "400 queue_unfit",
        "404 exchange_not_found",
        "409 conflict",
        "409 queue_exists_otherwise",
        *_SPEC,
        *QUEUE,
    ),
)
def create_consumer(body: NewConsumer) -> Reply[ChangedConsumerAnswer]:
    """Create a consumer, which delivers a queue's messages to a URL.

    The consumer is stored even while RabbitMQ is down or the queue does not exist; it starts when both are available.
    If the consumer already exists with these settings, the answer is 200.

    With `exchange` and `routingKey` instead of `queueName`, the service creates a durable queue for the consumer and
    binds the queue to the exchange. The queue's name is `<exchange>.<name>.<hash>`, with the host of the URL if the
    consumer has no name. This needs RabbitMQ; if it fails halfway, repeat the request."""
    consumer, new, warnings = services.consumers.create(body, caller().queues)
    message = "Consumer has been created successfully." if new else "The consumer already exists with these settings."
    return done(message, status=201 if new else 200, consumer=consumer, warnings=warnings)


@api.get("/getConsumers", role="viewer", touches=FILTERED)
def get_consumers(query: ConsumersQuery) -> Reply[list[ConsumerDetails]]:
    """List the consumers, with the desired state of each and its actual state on the live workers."""
    wanted = ConsumerFilter(query.queue_name, query.name, only=caller().queues)
    selection = Selection(query.page, query.page_size, sort=query.sort, descending=query.descending)
    return paged(services.consumers.page(selection, wanted, query.state), query)


@api.get("/getConsumer", role="viewer", touches=_ITS_CONSUMER, refuses=CONSUMER)
def get_consumer(query: WhichConsumer) -> Reply[ConsumerDetails]:
    """Get a consumer."""
    return Reply(services.consumers.get(query))


@api.post("/pauseConsumer", role="operator", touches=_ITS_CONSUMER, refuses=CONSUMER)
def pause_consumer(body: WhichConsumer) -> Reply[ConsumerAnswer]:
    """Pause a consumer. It finishes its messages in flight and takes no more until it is resumed."""
    return done("Consumer has been paused successfully.", consumer=services.consumers.pause(body))


@api.post("/resumeConsumer", role="operator", touches=_ITS_CONSUMER, refuses=CONSUMER)
def resume_consumer(body: WhichConsumer) -> Reply[ConsumerAnswer]:
    """Resume a consumer that is paused or suspended. If it waits for a target that asked for a pause or whose circuit
    breaker is open, workers send one message at once."""
    return done("Consumer has been resumed successfully.", consumer=services.consumers.resume(body))


@api.patch(
    "/updateConsumer",
    role="operator",
    touches=_UPDATED,
    refuses=(*CONSUMER, "409 conflict", "409 consumer_is_route", "412 consumer_changed", *_SPEC),
)
def update_consumer(body: ConsumerChanges) -> Reply[ChangedConsumerAnswer]:
    """Change a consumer. Omitted fields keep their values; null resets a field to its default.

    You cannot change the fields that identify the consumer. The request replaces the whole list of `routes`. To change
    or remove a route, update the consumer that the route belongs to. With `ifRevision`, the answer is 412 if the
    consumer has another `revision`."""
    consumer, warnings = services.consumers.update(body)
    return done("Consumer has been updated successfully.", consumer=consumer, warnings=warnings)


@api.delete(
    "/deleteConsumer",
    role="operator",
    touches=_ITS_CONSUMER,
    refuses=(*CONSUMER, "409 consumer_is_route"),
)
def delete_consumer(body: WhichConsumer) -> Reply[ConsumerDeleted]:
    """Delete a consumer, with the consumers of its routes. The queues stay; messages in flight are finished, or go back
    to the queue."""
    consumer = services.consumers.delete(body)
    return done("Consumer has been deleted successfully.", consumerId=consumer.id, name=consumer.spec.name)


class TestConsumer(WhichConsumer):
    """A consumer, and the sample to send to its target: `message` or `bodyBase64`, and `properties`."""

    message: AnyJson | None = None
    body_base64: Base64 | None = None
    properties: PublishProperties = PublishProperties()
    dry_run: bool = Field(False, description="send nothing; return the request that a worker would send")
    from_queue: bool = Field(
        False, description="in a dry run, use the message at the head of the consumer's queue; it stays there"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.from_queue and not self.dry_run:
            raise ValueError("fromQueue needs dryRun, because only the consumer may send messages of its queue")
        if self.from_queue and (self.message is not None or self.body_base64 is not None):
            raise ValueError("use either fromQueue, or message or bodyBase64")
        return self

    def publication(self) -> Publication | None:
        """Return the sample as a message from a queue; None for a message of the queue."""
        if self.from_queue:
            return None
        if self.message is None and self.body_base64 is None:
            return Publication.model_construct(message=Payload(b'{"sample": true}', "application/json"))
        return Publication.model_construct(
            message=self.message, body_base64=self.body_base64, properties=self.properties
        )


@api.post(
    "/testConsumer",
    role="operator",
    touches=_ITS_CONSUMER,
    refuses=(
        *CONSUMER,
        "404 queue_not_found",
        "404 queue_empty",
        "423 locked",
        "503 renderer_unavailable",
        *AMQP,
        "503 queue_unavailable",
    ),
)
def test_consumer(body: TestConsumer) -> Reply[SampleAnswer | DryRun]:
    """Send one sample to a consumer's target and return the target's answer.

    The request is signed like a delivery. No queue is used, and the request is not retried. It times out after ten
    seconds. With `dryRun`, no request is sent: the answer contains the request that a worker would send."""
    which = WhichConsumer.model_construct(**{name: getattr(body, name) for name in WhichConsumer.model_fields})
    publication = body.publication()
    if body.dry_run or publication is None:
        return Reply(services.samples.dry_run(which, publication))
    return Reply(services.samples.send(which, publication))
