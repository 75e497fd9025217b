"""Queues: POST /createQueue, GET /getQueues, GET /getQueue, POST /purgeQueue, DELETE /deleteQueue."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.details import QueueDetails
from domain.model import Model
from domain.names import QueueName
from domain.queue import QueueSpec
from middlewares.auth import caller
from routes.answers import QueueDone
from routes.api import Api, Reply, done, services
from routes.inputs import Query
from routes.paging import NamedQuery, paged
from routes.scope import FILTERED, ITS_QUEUE, Touches

api = Api("queues")


class QueueNamed(Model):
    """Which queue."""

    queue_name: QueueName = Field(examples=["orders"])


class QueueQuery(Query):
    """Which queue."""

    queue_name: QueueName = Field(examples=["orders"])


class QueuesQuery(NamedQuery):
    """Which queues."""

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
    """Which queue, and on what conditions."""

    if_empty: bool = Field(False, description="only when it holds no message")
    if_unused: bool = Field(False, description="only when it has no consumer")


def _declared(body: QueueSpec) -> list[str | None]:
    """The queue, and where its dead letters go: with another exchange, or without a key, that may be anywhere."""
    arguments = body.amqp_arguments()
    if "x-dead-letter-exchange" not in arguments:
        return [body.queue_name]
    key = arguments.get("x-dead-letter-routing-key")
    to_a_queue = arguments["x-dead-letter-exchange"] == "" and isinstance(key, str)
    return [body.queue_name, key if to_a_queue else None]


_DECLARED = Touches(_declared)


@api.post(
    "/createQueue",
    role="operator",
    idempotent=True,
    touches=_DECLARED,
    body=QueueSpec,
    answer=QueueDone,
    status=(200, 201),
    refuses=(409, 423),
)
def create_queue(body: QueueSpec) -> Reply:
    """Create a queue. Asking again for the same changes nothing and answers 200; for another of the same name, 409 says
    what differs."""
    if services.queues.create(body):
        return done("Queue has been created successfully.", status=201, queueName=body.queue_name)
    return done("Queue exists already, just so.", queueName=body.queue_name)


@api.get("/getQueues", role="viewer", touches=FILTERED, query=QueuesQuery, answer=list[QueueDetails])
def get_queues(query: QueuesQuery) -> Reply:
    """The queues by name. Counts are the broker's statistics, up to five seconds old.

    Queues where retries wait (`workerrmq.delay.…`, `.due`, `.overdue`) are only shown when a `name` is asked for that
    they have.
    """
    return paged(services.queues.page(query.selection(), caller().queues), query)


@api.get("/getQueue", role="viewer", touches=ITS_QUEUE, query=QueueQuery, answer=QueueDetails, refuses=(404,))
def get_queue(query: QueueQuery) -> Reply:
    """One queue. Counts are the broker's statistics, up to five seconds old."""
    return Reply(services.queues.get(query.queue_name))


@api.post("/purgeQueue", role="operator", touches=ITS_QUEUE, body=QueueNamed, answer=QueueDone, refuses=(404, 423))
def purge_queue(body: QueueNamed) -> Reply:
    """Drop the messages of a queue, but for those that a consumer holds."""
    services.queues.purge(body.queue_name)
    return done("Queue has been purged successfully.", queueName=body.queue_name)


@api.delete(
    "/deleteQueue", role="operator", touches=ITS_QUEUE, body=DeleteQueue, answer=QueueDone, refuses=(404, 412, 423)
)
def delete_queue(body: DeleteQueue) -> Reply:
    """Delete a queue and its messages. Its consumers wait until it is created again."""
    services.queues.delete(body.queue_name, if_empty=body.if_empty, if_unused=body.if_unused)
    return done("Queue has been deleted successfully.", queueName=body.queue_name)
