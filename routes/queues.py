"""Queues: POST /createQueue, GET /getQueues, GET /getQueue, POST /purgeQueue, DELETE /deleteQueue."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.details import Page, QueueDetails
from domain.model import Model
from domain.names import QueueName
from domain.queue import QueueSpec
from middlewares.auth import caller, services
from routes.answers import QueueDone
from routes.api import Api, Reply, done
from routes.paging import BrokerQuery, paged
from routes.refusals import BROKER, QUEUE
from routes.scope import FILTERED, ITS_QUEUE, Touches

api = Api("queues")


class QueueNamed(Model):
    """Identifies a queue."""

    queue_name: QueueName = Field(examples=["orders"])


class QueuesQuery(BrokerQuery):
    """Parameters of the list of queues."""

    include_dead_letters: bool = Field(
        True, description="also list the dead-letter queues, whose names end with `.dlq`"
    )

    sort: Literal[
        "queueName",
        "messages",
        "ready",
        "unacked",
        "messageBytes",
        "consumers",
        "publishRate",
        "deliverRate",
        "ackRate",
    ] = "queueName"


class DeleteQueue(QueueNamed):
    """The queue to delete, and conditions."""

    if_empty: bool = Field(False, description="delete only an empty queue; otherwise answer 412")
    if_unused: bool = Field(False, description="delete only a queue without consumers; otherwise answer 412")


def _declared(body: QueueSpec) -> list[str | None]:
    """Return the queue and its dead-letter queue. The latter is None if dead letters may go anywhere: through an
    exchange, or with each message's own routing key."""
    arguments = body.amqp_arguments()
    if "x-dead-letter-exchange" not in arguments:
        return [body.queue_name]
    key = arguments.get("x-dead-letter-routing-key")
    to_a_queue = arguments["x-dead-letter-exchange"] == "" and isinstance(key, str)
    return [body.queue_name, key if to_a_queue else None]


_NO_QUEUE = "404 queue_not_found"


@api.post(
    "/createQueue",
    role="operator",
    idempotent=True,
    touches=Touches(_declared),
    statuses=(200, 201),
    refuses=("400 refused_by_broker", "409 queue_exists_otherwise", "423 locked", *QUEUE),
)
def create_queue(body: QueueSpec) -> Reply[QueueDone]:
    """Create a queue. If it already exists with these settings, the answer is 200; with other settings, the answer is
    409 and names the differences."""
    if services.queues.create(body):
        return done("Queue has been created successfully.", status=201, queueName=body.queue_name)
    return done("The queue already exists with these settings.", queueName=body.queue_name)


@api.get("/getQueues", role="viewer", touches=FILTERED, refuses=BROKER)
def get_queues(query: QueuesQuery) -> Reply[list[QueueDetails]]:
    """List the queues. Counts are RabbitMQ's statistics, which are up to five seconds old."""
    found = services.queues.page(
        query.selection(), caller().queues, internal=query.include_internal, dead_letters=query.include_dead_letters
    )
    return paged(Page(services.overviews.with_consumers(found.items), found.total), query)


@api.get("/getQueue", role="viewer", touches=ITS_QUEUE, refuses=(_NO_QUEUE, *QUEUE))
def get_queue(query: QueueNamed) -> Reply[QueueDetails]:
    """Get a queue. Counts are RabbitMQ's statistics, which are up to five seconds old."""
    [queue] = services.overviews.with_consumers([services.queues.get(query.queue_name)])
    return Reply(queue)


@api.post("/purgeQueue", role="operator", touches=ITS_QUEUE, refuses=(_NO_QUEUE, "423 locked", *QUEUE))
def purge_queue(body: QueueNamed) -> Reply[QueueDone]:
    """Drop all ready messages of a queue. Unacked messages stay."""
    services.queues.purge(body.queue_name)
    return done("Queue has been purged successfully.", queueName=body.queue_name)


@api.delete(
    "/deleteQueue",
    role="operator",
    touches=ITS_QUEUE,
    refuses=("400 refused_by_broker", _NO_QUEUE, "412 queue_not_empty", "412 queue_in_use", "423 locked", *QUEUE),
)
def delete_queue(body: DeleteQueue) -> Reply[QueueDone]:
    """Delete a queue and its messages. Its consumers wait until it is created again."""
    services.queues.delete(body.queue_name, if_empty=body.if_empty, if_unused=body.if_unused)
    return done("Queue has been deleted successfully.", queueName=body.queue_name)
