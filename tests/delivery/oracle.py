"""The oracle: every message that was accepted is at the target, in the dead-letter queue or still in its queue."""

from __future__ import annotations

from collections.abc import Iterable

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import get
from tests.support.processes import wait_until
from tests.support.target import Target


def publish_ids(channel: BlockingChannel, queue: str, ids: Iterable[str]) -> None:
    """Publish one persistent message for each id; comes back when the broker has confirmed all."""
    for one in ids:
        channel.basic_publish("", queue, one.encode(), pika.BasicProperties(message_id=one, delivery_mode=2))


def wait_delivered(target: Target, ids: Iterable[str], timeout: float = 60) -> None:
    """Wait until every id was answered 2xx at least once."""
    wanted = set(ids)
    try:
        wait_until(lambda: wanted <= set(target.delivered()), timeout)
    except AssertionError:
        missing = sorted(wanted - set(target.delivered()))
        raise AssertionError(f"{len(missing)} of {len(wanted)} were not delivered: {missing[:10]}") from None


def left(channel: BlockingChannel, *queues: str) -> set[str]:
    """The ids still in these queues, taken off them."""
    found = set()
    for queue in queues:
        while message := get(channel, queue):
            found.add(message.properties.message_id or "")
    return found
