"""Dead-letters the messages that a user rejects.

The broker does it if the queue has a dead-letter exchange that exists. Else the messages are acked after the broker has
confirmed their copies in our own dead-letter queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import cache, partial

from pika.exceptions import ChannelClosedByBroker

from delivery.copies import Source
from delivery.dead_letters import bare_dead_letter, rejected
from domain.errors import Unwritable, WorkerError
from domain.message import Message
from gateway.amqp.reading import Reading, Taken
from gateway.amqp.topology import dead_letter_queue

_NOT_FOUND = 404


def dead_letter(reading: Reading, taken: Sequence[Taken], by: str) -> AbstractSet[int]:
    """Dead-letter messages that the user `by` rejects. Return the delivery tags of those that are dead-lettered; the
    others stay in their queue. Raises the error of one if none is: those of PublisherThread.publish, and
    BrokerUnavailable if the dead-letter queue cannot be declared."""
    is_there = cache(partial(_is_there, reading))
    own = [one for one in taken if not _has_exchange(reading, one.source, is_there)]
    copied = _copied(reading, own, by, is_there) if own else {}
    failed = {tag: error for tag, error in copied.items() if error is not None}
    for one in taken:
        if one.tag in failed:
            reading.leave(one.tag, one.source)
        elif one.tag in copied:
            reading.ack(one.tag)
        else:
            reading.reject(one.tag)
    if failed and len(failed) == len(taken):
        raise next(iter(failed.values()))
    return {one.tag for one in taken} - failed.keys()


def _has_exchange(reading: Reading, source: Source, is_there: Callable[[str, str], bool]) -> bool:
    """Return whether the broker can dead-letter the message. RabbitMQ drops a message whose dead-letter exchange does
    not exist (https://www.rabbitmq.com/docs/dlx). The default exchange could return it to its own queue."""
    if reading.facts.dead_letter is None:
        return False
    exchange, key = reading.facts.dead_letter
    queue = source.routing_key if key is None else key
    return is_there(exchange, "") if exchange else queue != reading.queue and is_there("", queue)


def _is_there(reading: Reading, exchange: str, queue: str) -> bool:
    """Return whether an exchange exists; if its name is empty, whether the queue exists and its node is up."""
    channel = reading.connection.channel()
    try:
        if exchange:
            channel.exchange_declare(exchange, passive=True)
        else:
            channel.queue_declare(queue, passive=True)
    except ChannelClosedByBroker as exc:
        return bool(exc.reply_code != _NOT_FOUND)
    channel.close()
    return True


def _copied(
    reading: Reading, taken: Sequence[Taken], by: str, is_there: Callable[[str, str], bool]
) -> dict[int, WorkerError | None]:
    """Publish copies to our own dead-letter queue. Return the result of each by its delivery tag. A copy without room
    for its history is a bare dead letter."""
    queue, now = dead_letter_queue(reading.queue), time.time()
    if not is_there("", queue):
        reading.publisher.declare_queue(queue, reading.facts.type, 2 * reading.confirm_seconds)
    bare = partial(bare_dead_letter, address=("", queue))
    makes: list[Callable[[Source], Message]] = [
        lambda source: rejected(source, by, queue, now),
        bare,
        partial(bare, persistent=False),
        partial(bare, headers=False),
    ]
    results: dict[int, WorkerError | None] = {}
    for make in makes:
        left = [one for one in taken if isinstance(results.get(one.tag, _UNPUBLISHED), Unwritable)]
        errors = reading.publisher.publish([make(one.source) for one in left], reading.confirm_seconds).result()
        results |= {one.tag: error for one, error in zip(left, errors, strict=True)}
    return results


_UNPUBLISHED = Unwritable("not published yet")
