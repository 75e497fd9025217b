"""The session of one channel: a core channel and its protocol state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pamqp import base

from broker.core.channel import Channel
from broker.core.checks import check_source
from broker.core.queue import Queue
from broker.core.vhost import Vhost
from broker.errors import AmqpError
from broker.session.wire_sink import WireSink

if TYPE_CHECKING:
    from broker.session.connection import Connection


class ChannelSession:
    """Channel `number` of `connection`. An empty queue name stands for `last_queue` (AMQP 0-9-1 §1.7.2.1)."""

    def __init__(self, connection: Connection, number: int, vhost: Vhost) -> None:
        self.connection = connection
        self.number = number
        self.vhost = vhost
        self.sink = WireSink(connection, number, lambda: connection.has_capability("consumer_cancel_notify"))
        assert connection.user is not None
        self.core = Channel(vhost, connection.user, connection, self.sink)
        self.last_queue: str | None = None

    def reply(self, method: type[base.Frame], *values: Any) -> None:
        """Answer a synchronous method."""
        self.connection.reply(self.number, method, *values)

    def queue_name(self, name: str) -> str:
        """Return `name`, or the queue declared last for an empty one. Raises AmqpError 404."""
        if name:
            return name
        if self.last_queue is None:
            raise AmqpError(404, "no previously declared queue")
        return self.last_queue

    def queue(self, name: str) -> Queue:
        """Return the queue of that name, or the one declared last. Raises AmqpError 404."""
        return self.vhost.queue(self.queue_name(name))

    def require_source(self, exchange: str, routing_key: str) -> None:
        """Raise AmqpError 403 unless the user may bind to an exchange by the routing key."""
        check_source(self.core.user, self.vhost, exchange, routing_key)

    def require(self, access: str, kind: str, name: str) -> None:
        """Raise AmqpError 403 unless the user has `access` (configure, write, read) to a queue or exchange."""
        self.core.user.require(access, kind, name, self.vhost.name)
