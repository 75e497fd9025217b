"""Publishes the service's own events, which are rare, so a connection is opened only for them."""

from __future__ import annotations

from collections.abc import Sequence

from domain.message import Message
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread, Results


class EventPublisher:
    """Owned by one thread. Its own connection also keeps errors away from the messages of clients: RabbitMQ closes the
    channel if somebody has deleted the exchange."""

    def __init__(self, nodes: BrokerNodes, timeout: float = 10.0) -> None:
        """Wait for the connection and for all confirms together for at most `timeout` seconds."""
        self._nodes, self._timeout = nodes, timeout

    def publish(self, messages: Sequence[Message]) -> Results:
        """Publish messages and return a result for each, in order."""
        thread = PublisherThread(self._nodes, "workerrmq-events")
        thread.start()
        try:
            return thread.publish(messages, self._timeout).result()
        finally:
            thread.stop(0)
