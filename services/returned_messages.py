"""Finds out why the broker returned a message: no queue is bound, or the queue is on a node that is down.

AMQP reports 312 NO_ROUTE for both. RabbitMQ 3.10 removes the bindings of a classic queue from its routes while the
queue's node is down.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from cachetools import TTLCache, cached

from domain.errors import BrokerUnavailable, NotFound, QueueUnavailable, WorkerError
from domain.message import Message
from gateway.management import QueueLookup

_MOST = 1000
"""The most answers to cache."""
_RETRY_AFTER = 5.0
"""Seconds after which a client may publish again."""


class ReturnedMessages:
    """Thread-safe. An answer is cached for `kept_seconds`, so that a client that repeats an error costs few lookups."""

    def __init__(self, queues: QueueLookup, kept_seconds: float = 2.0) -> None:
        self._queues = queues
        self._found = cached(TTLCache[Any, Any](_MOST, kept_seconds), lock=Lock())(self._look)

    def outage(self, message: Message) -> WorkerError | None:
        """Return the outage that may be the reason, or None when certainly no queue is bound for the message."""
        return self._found(message.exchange, "" if message.exchange else message.routing_key)

    def _look(self, exchange: str, queue: str) -> WorkerError | None:
        try:
            return self._of_exchange(exchange) if exchange else self._of_queue(queue)
        except BrokerUnavailable as exc:
            return exc if isinstance(exc, QueueUnavailable) else _unknown(exc)

    def _of_queue(self, name: str) -> WorkerError | None:
        try:
            self._queues.find(name)
        except NotFound:
            return None
        return QueueUnavailable(
            f"The queue {name!r} exists, but the broker did not route the message to it. Publish it again.",
            retry_after=_RETRY_AFTER,
        )

    def _of_exchange(self, exchange: str) -> WorkerError | None:
        down = self._queues.unavailable()
        if not down:
            return None
        names = ", ".join(repr(name) for name in down[:3]) + (" and others" if len(down) > 3 else "")
        return QueueUnavailable(
            f"No queue received the message from exchange {exchange!r}. The nodes of some queues are down ({names}); "
            "one of these queues may be bound to it. Publish it again.",
            retry_after=_RETRY_AFTER,
        )


def _unknown(exc: BrokerUnavailable) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"No queue received the message, and RabbitMQ did not report whether its queue exists: {exc.detail}",
        retry_after=_RETRY_AFTER,
    )
