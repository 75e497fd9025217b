"""Steps of the fault tests: fill a queue, and count the messages of a queue."""

from __future__ import annotations

from collections import Counter

from domain.message import Message, Properties
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from tests.support.node import BrokerNode


def publish(broker: BrokerNode, queue: str, count: int, prefix: str = "msg-") -> set[str]:
    """Publish `count` messages of 1 KB; the ids that the broker has confirmed."""
    with broker.connect() as connection:
        connection.channel().queue_declare(queue, durable=True)
    publisher = PublisherThread(BrokerNodes.parse(broker.amqp_url))
    publisher.start()
    messages = [Message(queue, b"x" * 1024, properties=Properties(message_id=f"{prefix}{n}")) for n in range(count)]
    results = [
        result for n in range(0, count, 1000) for result in publisher.publish(messages[n : n + 1000], 60).result()
    ]
    publisher.stop()
    return {f"{prefix}{n}" for n, result in enumerate(results) if result is None}


def ids_in(broker: BrokerNode, queue: str) -> Counter[str]:
    """The message ids that wait in a queue; they stay there."""
    found: Counter[str] = Counter()
    with broker.connect() as connection:
        channel = connection.channel()
        while (got := channel.basic_get(queue))[0] is not None:
            found[got[1].message_id] += 1
    return found
