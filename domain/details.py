"""The broker's entities as the API shows them: one model per entity, shared by its list and its single answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import Field

from domain.consumer_details import State
from domain.model import Model

Entity = TypeVar("Entity")


@dataclass(frozen=True, slots=True)
class Page(Generic[Entity]):
    """One page of a list; `total` counts the items of all pages."""

    items: list[Entity]
    total: int


class QueueConsumer(Model):
    """A consumer of this service, with its actual state."""

    name: str
    state: State


class QueueDetails(Model):
    """A queue. Counts are messages, `messageBytes` is the size of all bodies in bytes, and rates are messages per
    second: published to the queue, delivered to consumers, acked by them. `messages` may exceed the sum of `ready` and
    `unacked`: a quorum queue with at-least-once dead-lettering keeps a message until its dead letter is confirmed.
    `oldestMessageAt` is the `timestamp` of the first ready message; it is null if that message has none, and for
    RabbitMQ's quorum queues.

    RabbitMQ's statistics are up to five seconds old (https://www.rabbitmq.com/docs/management#statistics-interval).
    """

    queue_name: str
    type: str
    state: str
    durable: bool
    auto_delete: bool
    exclusive: bool
    arguments: dict[str, Any]
    policy: str | None
    messages: int
    ready: int
    unacked: int
    message_bytes: int
    consumers: int
    publish_rate: float
    deliver_rate: float
    ack_rate: float
    oldest_message_at: datetime | None
    delivered_by: tuple[QueueConsumer, ...] | None = Field(
        None, description="the service's consumers of this queue; null while the store is down"
    )


class ConnectionDetails(Model):
    """A client's connection to the broker. `connectionId` is RabbitMQ's name of it, `connectionName` the name that the
    client chose; `peer` is the client's host and port."""

    connection_id: str
    connection_name: str | None
    user: str
    peer: str
    protocol: str
    tls: bool
    state: str
    channels: int
    connected_at: datetime | None
    client_properties: dict[str, Any]


class ChannelDetails(Model):
    """A channel of a connection. Counts are messages; a `prefetch` of 0 means no limit."""

    connection_id: str
    number: int
    user: str
    state: str
    consumers: int
    prefetch: int
    unacked: int
    unconfirmed: int
    confirms: bool
    transactional: bool


class ExchangeDetails(Model):
    """An exchange; the default one has an empty name. Rates are messages per second in and out of it."""

    exchange: str
    type: str
    durable: bool
    auto_delete: bool
    internal: bool
    arguments: dict[str, Any]
    publish_in_rate: float
    publish_out_rate: float


class BindingDetails(Model):
    """A binding of an exchange to a queue (`queueName`) or to another exchange (`destinationExchange`)."""

    exchange: str
    queue_name: str | None
    destination_exchange: str | None
    routing_key: str
    arguments: dict[str, Any]


class PolicyDetails(Model):
    """A policy, as `PolicySpec` describes it."""

    name: str
    pattern: str
    apply_to: str
    definition: dict[str, Any]
    priority: int


class ScheduledLevel(Model):
    """The scheduled messages in one delay level. All are due between `dueFrom` and `dueUntil`; RabbitMQ does not report
    their exact times. `overdue` of them should have left the level. Counts are null while RabbitMQ does not report
    them."""

    level: int
    queue_name: str
    messages: int | None
    overdue: int | None
    due_from: datetime
    due_until: datetime
