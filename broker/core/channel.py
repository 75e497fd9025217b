"""One channel of a client: publishing, consuming, settling."""

from __future__ import annotations

from itertools import count

from amqp_wire.values import Table
from broker.core import checks, direct_reply
from broker.core.confirms import Confirms
from broker.core.consumer import Consumer
from broker.core.declarations import check_access
from broker.core.message import Entry, Message
from broker.core.publisher import Publisher
from broker.core.queue import Queue
from broker.core.sink import Sink
from broker.core.transaction import Transaction
from broker.core.unacked_deliveries import Delivery, UnackedDeliveries
from broker.core.users import User
from broker.core.vhost import Vhost
from broker.errors import AmqpError


class Channel:
    """A channel of a client. `owner` is the connection that owns its exclusive queues.

    All errors are AmqpErrors; they say whether they close the channel or the connection.
    """

    def __init__(self, vhost: Vhost, user: User, owner: object, sink: Sink) -> None:
        self.vhost = vhost
        self.user = user
        self.owner = owner
        self.sink = sink
        self.consumers: dict[str, Consumer] = {}
        self.prefetch_count = 0
        self.global_prefetch = 0
        self.transaction: Transaction | None = None
        self.unacked = UnackedDeliveries()
        self.reply_name: str | None = None
        self.reply_tag = ""
        self._publisher = Publisher(vhost, user, sink)
        self._tags = count(1)

    @property
    def confirms(self) -> Confirms | None:
        """The confirms of the channel, None before confirm.select."""
        return self._publisher.confirms

    @property
    def published(self) -> int:
        """Messages published."""
        return self._publisher.published

    @property
    def confirming(self) -> bool:
        """Return whether confirm.select was sent."""
        return self.confirms is not None

    @property
    def transactional(self) -> bool:
        """Return whether tx.select was sent."""
        return self.transaction is not None

    @property
    def unacked_count(self) -> int:
        """Messages delivered on the channel and not settled."""
        return len(self.unacked)

    @property
    def unconfirmed_count(self) -> int:
        """Messages published and not confirmed yet."""
        return 0 if self.confirms is None else self.confirms.outstanding

    # --- publishing

    def publish(self, message: Message, mandatory: bool, now: float) -> None:
        """Handle basic.publish. Raises AmqpError 403, 404, 406."""
        self._publisher.check_exchange(message)
        if message.essentials.reply_to is not None:
            direct_reply.rewrite(self, message)
        tag = self._publisher.accept(message)
        if self.transaction is not None:
            self.transaction.publish(message, mandatory)
        else:
            self._publisher.route(tag, message, mandatory, now)

    def confirm_select(self) -> None:
        """Handle confirm.select. Raises AmqpError 406."""
        if self.transaction is not None:
            raise AmqpError(406, "cannot switch from tx to confirm mode")
        self._publisher.select()

    # --- transactions

    def tx_select(self) -> None:
        """Handle tx.select. Raises AmqpError 406."""
        if self.confirms is not None:
            raise AmqpError(406, "cannot switch from confirm to tx mode")
        self.transaction = self.transaction or Transaction()

    def tx_commit(self, now: float) -> None:
        """Handle tx.commit: publish and settle in one batch of the journal. Raises AmqpError 406."""
        for message, mandatory in self._open_transaction().take_publishes():
            self._publisher.route(0, message, mandatory, now)
        for unsettled, verdict in self._open_transaction().take_settlements():
            self._settle(unsettled, verdict, now)

    def tx_rollback(self) -> None:
        """Handle tx.rollback: drop the publishes, mark the settled deliveries as unsettled. Raises AmqpError 406."""
        transaction = self._open_transaction()
        transaction.take_publishes()
        self.unacked.restore([one for settled, _ in transaction.take_settlements() for one in settled])

    def _open_transaction(self) -> Transaction:
        if self.transaction is None:
            raise AmqpError(406, "channel is not transactional")
        return self.transaction

    # --- consuming

    def get(self, queue: Queue, no_ack: bool, now: float) -> tuple[int, Entry] | None:
        """Handle basic.get. Return a delivery tag and the message, or None. Raises AmqpError 405."""
        check_access(queue, self.owner)
        entry = queue.get(no_ack, now)
        self.vhost.dead_letters.publish_pending(now)
        if entry is None:
            return None
        tag = next(self._tags)
        if not no_ack:
            self.unacked.add(Delivery(tag, entry, queue, None))
        return tag, entry

    def consume(self, queue: Queue, tag: str, *, no_ack: bool = False, exclusive: bool = False,
                arguments: Table | None = None, now: float) -> Consumer:  # fmt: skip
        """Handle basic.consume; `start` begins deliveries. Raises AmqpError 403, 405, 406, 530, 540."""
        arguments = arguments or {}
        check_access(queue, self.owner)
        if tag in self.consumers or (tag and tag == self.reply_tag):
            raise AmqpError(530, f"attempt to reuse consumer tag '{tag}'")
        if self.global_prefetch and not queue.queue_type.supports_global_prefetch:
            raise AmqpError(540, f"queue '{queue.name}' in vhost '{self.vhost.name}' does not support global qos")
        single = queue.rules.single_active_consumer
        if any(other.exclusive for other in queue.consumers) or (exclusive and (queue.consumers or single)):
            raise AmqpError(403, f"queue '{queue.name}' in vhost '{self.vhost.name}' in exclusive use")
        consumer = Consumer(self, queue, tag, no_ack=no_ack, exclusive=exclusive, prefetch=self.prefetch_count,
                            priority=checks.read_priority(queue, arguments), arguments=arguments)  # fmt: skip
        self.consumers[tag] = consumer
        queue.subscribe(consumer, now)
        return consumer

    def start(self, consumer: Consumer, now: float) -> None:
        """Start deliveries to a new consumer, after the client received its tag."""
        consumer.queue.dispatch(now)
        self.vhost.dead_letters.publish_pending(now)

    def cancel(self, tag: str, now: float) -> None:
        """Handle basic.cancel: stop deliveries; unacked messages stay unacked. Ignore an unknown tag."""
        consumer = self.consumers.pop(tag, None)
        if consumer is not None:
            consumer.queue.unsubscribe(consumer, now)
        elif tag and tag == self.reply_tag:
            direct_reply.close(self)

    def queue_deleted(self, consumer: Consumer, now: float) -> None:
        """Remove a consumer whose queue was deleted."""
        self.consumers.pop(consumer.tag, None)
        consumer.queue.unsubscribe(consumer, now)
        self.sink.cancelled(consumer.tag)

    def qos(self, prefetch: int, shared: bool, now: float) -> None:
        """Handle basic.qos: `prefetch` messages for each new consumer, or for all together (RabbitMQ docs:
        consumer-prefetch).
        """
        if not shared:
            self.prefetch_count = prefetch
            return
        self.global_prefetch = prefetch
        self.wake(now)

    def can_take(self, consumer: Consumer) -> bool:
        """Return whether the channel's limits allow the consumer another message."""
        if not self.sink.writable:
            return False
        return not self.global_prefetch or self.unacked.consumed < self.global_prefetch

    def deliver(self, consumer: Consumer, entry: Entry) -> None:
        """Deliver a message to a consumer of this channel."""
        tag = consumer.last_tag = next(self._tags)
        if not consumer.no_ack:
            consumer.unacked += 1
            self.unacked.add(Delivery(tag, entry, consumer.queue, consumer))
        self.sink.deliver(consumer.tag, tag, entry)

    def next_tag(self) -> int:
        """Return a new delivery tag."""
        return next(self._tags)

    def wake(self, now: float) -> None:
        """Resume deliveries."""
        self._wake_all(now)
        self.vhost.dead_letters.publish_pending(now)

    def _wake_all(self, now: float) -> None:
        """Offer messages to all consumers, the one with the oldest last delivery first, so that consumers share a
        global prefetch fairly.
        """
        queues: dict[Queue, None] = {}
        for consumer in sorted(self.consumers.values(), key=lambda consumer: consumer.last_tag):
            consumer.queue.rotation.wake(consumer)
            queues[consumer.queue] = None
        for queue in queues:
            queue.dispatch(now)

    # --- settling

    def ack(self, tag: int, multiple: bool, now: float) -> None:
        """Handle basic.ack. Raises AmqpError 406."""
        self._settle_or_hold(tag, multiple, "ack", now)

    def nack(self, tag: int, multiple: bool, requeue: bool, now: float) -> None:
        """Handle basic.nack and basic.reject. Raises AmqpError 406."""
        self._settle_or_hold(tag, multiple, "requeue" if requeue else "reject", now)

    def recover(self, now: float) -> None:
        """Handle basic.recover: requeue all unacked messages."""
        self._settle(self.unacked.take_all(), "requeue", now)

    def _settle_or_hold(self, tag: int, multiple: bool, verdict: str, now: float) -> None:
        settled = self.unacked.take(tag, multiple)
        if self.transaction is not None:
            self.transaction.settle(settled, verdict)
        else:
            self._settle(settled, verdict, now)

    def _settle(self, settled: list[Delivery], verdict: str, now: float) -> None:
        if verdict == "reject":
            settled = sorted(settled, key=_reject_order, reverse=True)
        for one in settled:
            if verdict == "ack":
                one.queue.ack(one.entry, now)
            elif verdict == "reject":
                one.queue.reject(one.entry, now)
            else:
                one.queue.requeue(one.entry, verdict == "requeue", now)
            self.unacked.settled(one)
        returned = {one.queue: None for one in settled} if verdict in ("requeue", "return") else {}
        for queue in returned:
            queue.apply_limits(now)
        if self.global_prefetch:
            self._wake_all(now)
        else:
            for consumer in {one.consumer: None for one in settled if one.consumer is not None}:
                if self.consumers.get(consumer.tag) is consumer:
                    consumer.queue.rotation.wake(consumer)
                    consumer.queue.dispatch(now)
        for queue in returned:
            queue.dispatch(now)
        self.vhost.dead_letters.publish_pending(now)

    def close(self, now: float) -> None:
        """Close the channel: cancel its consumers and requeue its unacked messages."""
        gone = list(self.consumers.values())
        self.consumers.clear()
        for consumer in gone:
            consumer.queue.rotation.remove(consumer)
        direct_reply.close(self)
        if self.transaction is not None:
            self.tx_rollback()
        # Requeue before the queues serve other consumers, so that these get the messages in their old order.
        self._settle(self.unacked.take_all(), "return", now)
        for consumer in gone:
            consumer.queue.consumer_gone(now)
        self.vhost.dead_letters.publish_pending(now)


def _reject_order(one: Delivery) -> int:
    """Order rejected messages of consumers by priority, as RabbitMQ dead-letters them; those of basic.get one by
    one.
    """
    return 0 if one.consumer is None else one.queue.ready.priority(one.entry)
