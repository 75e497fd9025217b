"""Messages off a queue for those who look at them: what they leave stays as it is.

Messages that stay are unacked until the end and go back then. Where the queue has a delivery limit, RabbitMQ counts
each return; so a message that would come near the limit is copied to the end of its queue, and acked once the broker
has confirmed the copy.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import structlog
from pika.exceptions import AMQPError, ChannelClosedByBroker

from delivery.copies import Source, came_by
from delivery.delivery_limit import look_wears_out
from delivery.look_copies import look_copy, look_exchange, needs_exchange
from domain.errors import BrokerUnavailable, Invalid, Locked, NotFound, QueueUnavailable, Unroutable, Unwritable
from domain.message import Message
from domain.registry import QueueFacts
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.management import QueueLookup
from gateway.permissions import ACCESS_REFUSED, BIND, READ, missing_permission

log = structlog.get_logger("workerrmq.amqp")

_BATCH = 200
_BATCH_BYTES = 16 * 2**20
"""of bodies: so much of copies is held in memory before they are published"""
_NOWHERE = "amq.workerrmq.nowhere"
"""A routing key that no queue can have (AMQP 0-9-1 §3.1.4.1: `amq.` is reserved)."""


class QueueReader:
    """Opens a connection for each reading. Thread-safe."""

    def __init__(
        self, nodes: BrokerNodes, publisher: PublisherThread, lookup: QueueLookup, confirm_seconds: float = 10.0
    ) -> None:
        """The broker has `confirm_seconds` to confirm copies."""
        self._nodes, self._publisher, self._lookup = nodes, publisher, lookup
        self._confirm_seconds = confirm_seconds
        self._proven: set[str] = set()

    def check(self, queue: str) -> QueueFacts:
        """Return what is known of the queue. Raises NotFound, QueueUnavailable, Invalid for a stream, and
        BrokerUnavailable."""
        facts = self._lookup.facts(queue)
        if facts.type == "stream":
            raise Invalid(f"The queue {queue!r} is a stream, which this service cannot read.", code="stream_queue")
        return facts

    @contextmanager
    def reading(self, queue: str, name: str, heartbeat: int | None = None) -> Iterator[Reading]:
        """Read messages on a connection called `name`. Raises what `check` raises, Locked, and PublishRefused when the
        queue has a delivery limit and the broker takes no copies at the moment, or lets us make none; nothing is taken
        then."""
        limit = self.check(queue).delivery_limit
        if limit is not None:
            self._check_publishing()
        connection = self._nodes.connect(name, heartbeat)
        try:
            if limit is not None and queue not in self._proven:
                _prove_copies(connection.channel(), queue)
                self._proven.add(queue)
            reading = Reading(connection.channel(), self._publisher, queue, limit, self._confirm_seconds, self._user())
            try:
                yield reading
            finally:
                reading.leave_all()
        except ChannelClosedByBroker as exc:
            raise _refused(exc, queue) from None
        except AMQPError:
            raise BrokerUnavailable("The connection to the broker was lost.", retry_after=5) from None
        finally:
            with suppress(AMQPError):
                connection.close()

    def _check_publishing(self) -> None:
        [error] = self._publisher.publish([Message(_NOWHERE, b"")], self._confirm_seconds).result()
        if error is not None and not isinstance(error, Unroutable):
            raise error

    def _user(self) -> str:
        users = {login.user for login in self._nodes.logins}
        return users.pop() if len(users) == 1 else ""


class Taken(NamedTuple):
    """A message with its delivery tag; `redelivered` when it was delivered before."""

    tag: int
    redelivered: bool
    source: Source


class Reading:
    """One channel's messages. Whatever is neither acked nor rejected stays in the queue."""

    def __init__(
        self, channel: Any, publisher: PublisherThread, queue: str, limit: int | None, confirm_seconds: float, user: str
    ) -> None:
        self._channel, self._publisher, self._queue = channel, publisher, queue
        self._limit, self._confirm_seconds, self._user = limit, confirm_seconds, user
        self._copies: list[tuple[int, Message]] = []
        self._bytes = self._left = 0
        self._exchanges: dict[str, str] = {}  # ours, by the exchange that messages came by
        self._first = self._get()
        self.total = 0 if self._first is None else 1 + self._left
        """Messages that were ready at the beginning, by the first basic.get: RabbitMQ answers it after all that was
        settled before, and a passive declare perhaps earlier."""

    def take(self) -> Taken | None:
        """The next message; None when there is none.
        Call `leave` for each that is to stay."""
        taken, self._first = self._first or self._get(), None
        return taken

    def _get(self) -> Taken | None:
        method, properties, body = self._channel.basic_get(self._queue)
        if method is None:
            return None
        source = Source(self._queue, method.exchange, method.routing_key, properties, body, properties.message_id or "")
        self._left = method.message_count
        return Taken(method.delivery_tag, method.redelivered, source)

    def leave(self, tag: int, source: Source) -> None:
        """Leave the message in its queue. Raises what publishing raises when it needs a copy and the broker takes none;
        it stays then all the same."""
        if not look_wears_out(source.properties.headers, self._limit):
            return
        exchange = self._exchange(came_by(source.exchange)) if needs_exchange(source) else ""
        self._copies.append((tag, look_copy(source, exchange, self._user)))
        self._bytes += len(source.body)
        if len(self._copies) >= _BATCH or self._bytes >= _BATCH_BYTES:
            self._publish_copies()

    def ack(self, tag: int) -> None:
        """Remove the message from its queue."""
        self._channel.basic_ack(tag)

    def reject(self, tag: int) -> None:
        """Have the broker dead-letter the message."""
        self._channel.basic_reject(tag, requeue=False)

    def pump(self) -> None:
        """Keep the connection alive."""
        self._channel.connection.process_data_events(0)

    def leave_all(self) -> None:
        """Publish the copies that are due, and give back all that is unacked. By nack where there is a limit: RabbitMQ
        4.3 does not count that. By closing the channel elsewhere: nack moves messages to the end of a quorum queue."""
        if not self._channel.is_open:
            return
        try:
            if self._first is not None:
                self.leave(self._first.tag, self._first.source)
            self._publish_copies()
        finally:
            if self._limit is not None:
                self._channel.basic_nack(0, multiple=True, requeue=True)
            for name in self._exchanges.values():
                self._channel.exchange_delete(name)
            self._channel.close()

    def _exchange(self, original: str) -> str:
        """A fanout exchange of ours with this queue alone, so that a copy keeps its routing key."""
        if original not in self._exchanges:
            self._exchanges[original] = _bound_exchange(self._channel, self._queue, original)
        return self._exchanges[original]

    def _publish_copies(self) -> None:
        copies, self._copies, self._bytes = self._copies, [], 0
        results = self._publisher.publish([message for _, message in copies], self._confirm_seconds).result()
        failed = None
        for (tag, message), error in zip(copies, results, strict=True):
            if error is None:
                self._channel.basic_ack(tag)
                continue
            log.warning(
                "look_copy_failed", queue=self._queue, message_id=message.properties.message_id, reason=error.detail
            )
            if not isinstance(error, Unwritable):
                failed = error
        if failed is not None:
            raise failed


def _bound_exchange(channel: Any, queue: str, original: str) -> str:
    name = look_exchange(uuid.uuid4().hex[:12], original)
    channel.exchange_declare(name, "fanout", auto_delete=True)
    try:
        channel.queue_bind(queue, name)
    except ChannelClosedByBroker as exc:
        if missing := missing_permission(exc.reply_text, BIND):
            raise BrokerUnavailable(f"{missing}.", code=ACCESS_REFUSED) from None
        raise
    return name


def _prove_copies(channel: Any, queue: str) -> None:
    """See that our user may do what a copy takes. Without, each look would return the message once more, until RabbitMQ
    drops it."""
    channel.exchange_delete(_bound_exchange(channel, queue, ""))
    channel.close()


def _refused(exc: ChannelClosedByBroker, queue: str) -> NotFound | Locked | BrokerUnavailable:
    if exc.reply_code == 404:
        if "down or inaccessible" in exc.reply_text or "due to timeout" in exc.reply_text:
            return QueueUnavailable(f"The queue {queue!r} exists, but the node that holds it is down.", retry_after=5)
        return NotFound(f"There is no queue called {queue!r}.", code="queue_not_found")
    if exc.reply_code == 405:
        return Locked(
            f"The queue {queue!r} is exclusive to another connection: only that one may use it, and it goes with it."
        )
    if missing := missing_permission(exc.reply_text, READ):
        return BrokerUnavailable(f"{missing}.", code=ACCESS_REFUSED)
    return BrokerUnavailable(f"The broker refused: {exc.reply_text}.", retry_after=5)
