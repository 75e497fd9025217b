"""What the broker says of the things it holds: one shape per entity, shared by the list and the single answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from domain.model import Model

Entity = TypeVar("Entity")


@dataclass(frozen=True, slots=True)
class Page(Generic[Entity]):
    """One page of a list; `total` counts what all pages together hold."""

    items: list[Entity]
    total: int


class QueueDetails(Model):
    """A queue. Counts are messages, `messageBytes` bytes of bodies, rates messages per second: in (`publish`), out to
    consumers (`deliver`) and settled by them (`ack`). `messages` may be more than `ready` and `unacked`: a quorum queue
    with at-least-once dead-lettering keeps a message until the dead letter is safe. `oldestMessageAt` is the
    `timestamp` of the first message that is ready; null when that message has none, and for RabbitMQ's quorum queues.

    They are RabbitMQ's statistics, so up to five seconds old (https://www.rabbitmq.com/docs/management#statistics-interval).
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


class ConnectionDetails(Model):
    """A client's connection to the broker. `connectionId` is the name that RabbitMQ gives it, `connectionName` the one
    that the client chose; `peer` is the client's host and port."""

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
    """A channel of a connection. Counts are messages; `prefetch` 0 is without limit."""

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
