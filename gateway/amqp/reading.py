"""Reads messages of a queue for looks and replays, and leaves unsettled ones in the queue.

Messages to leave stay unacked until the end and are returned then. If the queue has a delivery limit, RabbitMQ counts
each return. So a message that would come near the limit is published to the end of its queue as a copy, and acked after
the broker has confirmed the copy.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, NamedTuple

import structlog
from pika.exceptions import AMQPError, ChannelClosedByBroker

from delivery.copies import Source, came_by
from delivery.delivery_limit import look_wears_out
from delivery.look_copies import look_copy, look_exchange, needs_exchange
from domain.errors import BrokerUnavailable, Invalid, Locked, NotFound, QueueUnavailable, Unroutable, Unwritable
from domain.message import Message
from domain.registry import QueueFacts
from gateway.amqp.connect_errors import reason_of
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.size_limit import NOWHERE
from gateway.management import QueueLookup
from gateway.permissions import ACCESS_REFUSED, BIND, READ, missing_permission

log = structlog.get_logger("workerrmq.amqp")

BATCH = 200
BATCH_BYTES = 16 * 2**20
"""Limit of the bodies of copies that are held in memory before they are published."""
_LOOK_BYTES = 64 * 2**20
_IDLE_SECONDS = 1.0
"""How long a look waits for a message that another client may have taken."""


class QueueReader:
    """Reads queues, with a connection for each reading. Thread-safe."""

    def __init__(
        self,
        nodes: BrokerNodes,
        publisher: PublisherThread,
        lookup: QueueLookup,
        confirm_seconds: float = 10.0,
        turn_seconds: float = 10.0,
    ) -> None:
        """The broker has `confirm_seconds` to confirm a copy. A reading waits for at most `turn_seconds` until the
        looks of this process into the same queue have ended, because they hold messages back."""
        self._nodes, self._publisher, self._lookup = nodes, publisher, lookup
        self._confirm_seconds = confirm_seconds
        self._turn_seconds = turn_seconds
        self._turns: defaultdict[str, Lock] = defaultdict(Lock)
        self._proven: set[str] = set()

    def check(self, queue: str) -> QueueFacts:
        """Return the queue's properties. Raises NotFound, QueueUnavailable, BrokerUnavailable, and Invalid for a
        stream."""
        facts = self._lookup.facts(queue)
        if facts.type == "stream":
            raise Invalid(f"The queue {queue!r} is a stream, which this service cannot read.", code="stream_queue")
        return facts

    @contextmanager
    def reading(
        self, queue: str, name: str, heartbeat: int | None = None, *, look: int | None = None
    ) -> Iterator[Reading]:
        """Read messages on a connection called `name`. `heartbeat` is in seconds. `look` is the maximum number of
        messages if this is a look, which is short: other readings of the queue wait for it.

        Raises what `check` raises, Locked, and, if the queue has a delivery limit, what publishing a copy raises. No
        message has been taken then.
        """
        facts = self.check(queue)
        if facts.delivery_limit is not None:
            self._check_publishing()
        with self._turn(queue, look is not None):
            yield from self._read(queue, facts, name, heartbeat, look)

    @contextmanager
    def _turn(self, queue: str, look: bool) -> Iterator[None]:
        turn = self._turns[queue]
        mine = turn.acquire(timeout=self._turn_seconds)
        if mine and not look:
            turn.release()
        try:
            yield
        finally:
            if mine and look:
                turn.release()

    def _read(
        self, queue: str, facts: QueueFacts, name: str, heartbeat: int | None, look: int | None
    ) -> Iterator[Reading]:
        limit = facts.delivery_limit
        connection = self._nodes.connect(name, heartbeat)
        try:
            if limit is not None and queue not in self._proven:
                _prove_copies(connection.channel(), queue)
                self._proven.add(queue)
            reading = Reading(connection.channel(), self._publisher, queue, facts, self._confirm_seconds, self._user())
            if look is not None and facts.type == "quorum" and limit is None and not facts.single_active:
                reading.consume(look)
            try:
                yield reading
            finally:
                reading.leave_all()
        except ChannelClosedByBroker as exc:
            raise _refused(exc, queue) from None
        except AMQPError as exc:
            raise BrokerUnavailable(
                f"The connection to the broker was lost: {reason_of(exc)}.", retry_after=5
            ) from None
        finally:
            with suppress(AMQPError):
                connection.close()

    def _check_publishing(self) -> None:
        [error] = self._publisher.publish([Message(NOWHERE, b"")], self._confirm_seconds).result()
        if error is not None and not isinstance(error, Unroutable):
            raise error

    def _user(self) -> str:
        users = {login.user for login in self._nodes.logins}
        return users.pop() if len(users) == 1 else ""


class Taken(NamedTuple):
    """A message with its delivery tag; `redelivered` if it was delivered before."""

    tag: int
    redelivered: bool
    source: Source


class Reading:
    """The messages of one channel. Messages that are neither acked nor rejected stay in the `queue`."""

    def __init__(
        self, channel: Any, publisher: PublisherThread, queue: str, facts: QueueFacts, confirm: float, user: str
    ) -> None:
        self._channel, self.connection, self.queue, self.facts = channel, channel.connection, queue, facts
        self.publisher, self.confirm_seconds = publisher, confirm
        self._limit, self._user = facts.delivery_limit, user
        self._copies: list[tuple[int, Message]] = []
        self._bytes = self._left = 0
        self._exchanges: dict[str, str] = {}  # names of our exchanges, by the messages' own exchange
        self._pushed: Iterator[Any] = iter(())
        self._to_push: int | None = None  # None: messages are taken by basic.get
        self._pushing: Any = None
        self._first = self._get()
        self.total = 0 if self._first is None else 1 + self._left
        """Number of ready messages at the beginning, from the answer to the first basic.get. RabbitMQ sends that answer
        after all earlier settlements took effect, which a passive declare does not guarantee."""

    def consume(self, most: int) -> None:
        """Take up to `most` messages by basic.consume instead of basic.get, and then no more.

        RabbitMQ 3.10 returns messages of basic.get to a quorum queue in any order if there are more than 32, and those
        of a consumer in theirs. The broker sends messages before it is known how large they are, so their number is
        limited as if all were as large as the first. They cannot be settled: they stay in the queue. They have another
        channel than the first message, because the order between get and consumer differs from version to version."""
        first = len(self._first.source.body) if self._first else 0
        wanted = min(most, self.total, _LOOK_BYTES // max(first, 1) + 1) - 1
        if wanted > 0:
            self._to_push, self._pushing = wanted, self.connection.channel()
            self._pushing.basic_qos(prefetch_count=wanted)
            self._pushed = self._pushing.consume(self.queue, inactivity_timeout=_IDLE_SECONDS)

    def take(self) -> Taken | None:
        """Return the next message, or None. Call `leave` for each message that must stay in the queue."""
        taken, self._first = self._first or self._get(), None
        return taken

    def _get(self) -> Taken | None:
        if self._to_push is None:
            method, properties, body = self._channel.basic_get(self.queue)
        elif self._to_push > 0:
            self._to_push -= 1
            method, properties, body = next(self._pushed)
        else:
            return None
        if method is None:
            return None
        source = Source(self.queue, method.exchange, method.routing_key, properties, body, properties.message_id or "")
        self._left = getattr(method, "message_count", 0)  # basic.deliver has none
        return Taken(method.delivery_tag, method.redelivered, source)

    def leave(self, tag: int, source: Source) -> None:
        """Leave the message in its queue. If that needs a copy and publishing fails, raises its error; the message
        stays in the queue even then."""
        if not look_wears_out(source.properties.headers, self._limit):
            return
        exchange = self._exchange(came_by(source.exchange)) if needs_exchange(source) else ""
        self._copies.append((tag, look_copy(source, exchange, self._user)))
        self._bytes += len(source.body)
        if len(self._copies) >= BATCH or self._bytes >= BATCH_BYTES:
            self._publish_copies()

    def ack(self, tag: int) -> None:
        """Remove the message from its queue."""
        self._channel.basic_ack(tag)

    def reject(self, tag: int) -> None:
        """Have the broker dead-letter the message."""
        self._channel.basic_reject(tag, requeue=False)

    def pump(self) -> None:
        """Process heartbeats, to keep the connection alive."""
        self.connection.process_data_events(0)

    def leave_all(self) -> None:
        """Publish the outstanding copies, and return all unacked messages. Queues with a delivery limit need a nack,
        which RabbitMQ 4.3 does not count. For others, closing the channel returns the messages: a nack would move them
        to the end of a quorum queue."""
        if not self._channel.is_open:
            return
        try:
            if self._first is not None:
                self.leave(self._first.tag, self._first.source)
            self._publish_copies()
            # pika returns messages that it has not passed on by a nack, which moves them to the end of the queue.
            while self._to_push and self._get() is not None:
                pass
        finally:
            if self._limit is not None:
                self._channel.basic_nack(0, multiple=True, requeue=True)
            for name in self._exchanges.values():
                self._channel.exchange_delete(name)
            self._channel.close()
            if self._pushing is not None:
                self._pushing.close()

    def _exchange(self, original: str) -> str:
        """Return a fanout exchange that is bound to this queue only, so that a copy keeps its routing key."""
        if original not in self._exchanges:
            self._exchanges[original] = _bound_exchange(self._channel, self.queue, original)
        return self._exchanges[original]

    def _publish_copies(self) -> None:
        copies, self._copies, self._bytes = self._copies, [], 0
        results = self.publisher.publish([message for _, message in copies], self.confirm_seconds).result()
        failed = None
        for (tag, message), error in zip(copies, results, strict=True):
            if error is None:
                self._channel.basic_ack(tag)
                continue
            log.warning(
                "look_copy_failed", queue=self.queue, message_id=message.properties.message_id, reason=error.detail
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
    """Check that our user has the permissions for a copy. Without them each look would return the message once more,
    until RabbitMQ drops it."""
    channel.exchange_delete(_bound_exchange(channel, queue, ""))
    channel.close()


def _refused(exc: ChannelClosedByBroker, queue: str) -> NotFound | Locked | BrokerUnavailable:
    if exc.reply_code == 404:
        if "down or inaccessible" in exc.reply_text or "due to timeout" in exc.reply_text:
            return QueueUnavailable(f"The queue {queue!r} exists, but the node that holds it is down.", retry_after=5)
        return NotFound(f"There is no queue called {queue!r}.", code="queue_not_found")
    if exc.reply_code == 405:
        return Locked(
            f"The queue {queue!r} is exclusive to another connection: only that connection may use it, and RabbitMQ "
            "deletes the queue when it closes."
        )
    if missing := missing_permission(exc.reply_text, READ):
        return BrokerUnavailable(f"{missing}.", code=ACCESS_REFUSED)
    return BrokerUnavailable(f"The broker refused: {exc.reply_text}.", retry_after=5)
