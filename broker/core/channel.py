"""What one client does on one channel: publishing, consuming, settling."""

from __future__ import annotations

from itertools import count
from typing import Protocol

from broker.core import checks, direct_reply
from broker.core.confirms import Confirms
from broker.core.consumer import Consumer
from broker.core.declarations import check_access
from broker.core.ledger import Ledger, Unsettled
from broker.core.message import Entry, Message
from broker.core.publisher import Publisher
from broker.core.queue import Queue
from broker.core.transaction import Transaction
from broker.core.users import User
from broker.core.vhost import Vhost
from broker.errors import AmqpError
from broker.protocol.table import Table


class Sink(Protocol):
    """Where a channel's news go. It must not call back into the channel while it is being told."""

    @property
    def writable(self) -> bool:
        """Whether deliveries may go out now; when that turns true again, the sink's owner calls `Channel.wake`."""

    def deliver(self, consumer_tag: str, delivery_tag: int, entry: Entry) -> None:
        """basic.deliver."""

    def returned(self, message: Message, error: AmqpError) -> None:
        """basic.return: a mandatory message was not routed."""

    def confirmed(self, delivery_tag: int, multiple: bool, taken: bool) -> None:
        """basic.ack, or basic.nack when not `taken`."""

    def confirms_due(self) -> None:
        """There are confirms to `flush`, at the latest when the sink's owner has nothing more to do."""

    def cancelled(self, consumer_tag: str) -> None:
        """basic.cancel: the consumer's queue is gone."""


class Channel:
    """A channel of a client. `owner` is the connection: what exclusive queues belong to.

    All refusals are AmqpErrors; whether they end the channel or the connection is in the error.
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
        self.ledger = Ledger()
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
        """Whether confirm.select was sent."""
        return self.confirms is not None

    @property
    def transactional(self) -> bool:
        """Whether tx.select was sent."""
        return self.transaction is not None

    @property
    def unacked_count(self) -> int:
        """Messages delivered on the channel and not settled."""
        return len(self.ledger)

    @property
    def unconfirmed_count(self) -> int:
        """Messages published and not confirmed yet."""
        return 0 if self.confirms is None else self.confirms.outstanding

    # --- publishing

    def publish(self, message: Message, mandatory: bool, now: float) -> None:
        """basic.publish. Raises 403, 404, 406."""
        self._publisher.check_exchange(message)
        if message.essentials.reply_to is not None:
            direct_reply.rewrite(self, message)
        tag = self._publisher.admit(message)
        if self.transaction is not None:
            self.transaction.publish(message, mandatory)
        else:
            self._publisher.route(tag, message, mandatory, now)

    def confirm_select(self) -> None:
        """confirm.select. Raises 406."""
        if self.transaction is not None:
            raise AmqpError(406, "cannot switch from tx to confirm mode")
        self._publisher.select()

    # --- transactions

    def tx_select(self) -> None:
        """tx.select. Raises 406."""
        if self.confirms is not None:
            raise AmqpError(406, "cannot switch from confirm to tx mode")
        self.transaction = self.transaction or Transaction()

    def tx_commit(self, now: float) -> None:
        """tx.commit: its publishes and settlements, in one batch of the journal. Raises 406."""
        for message, mandatory in self._open_transaction().take_publishes():
            self._publisher.route(0, message, mandatory, now)
        for unsettled, verdict in self._open_transaction().take_settlements():
            self._settle(unsettled, verdict, now)

    def tx_rollback(self) -> None:
        """tx.rollback: forget publishes; what was settled is unsettled again. Raises 406."""
        transaction = self._open_transaction()
        transaction.take_publishes()
        self.ledger.restore([one for settled, _ in transaction.take_settlements() for one in settled])

    def _open_transaction(self) -> Transaction:
        if self.transaction is None:
            raise AmqpError(406, "channel is not transactional")
        return self.transaction

    # --- consuming

    def get(self, queue: Queue, no_ack: bool, now: float) -> tuple[int, Entry] | None:
        """basic.get: a delivery tag and the message, or None. Raises 405."""
        check_access(queue, self.owner)
        entry = queue.get(no_ack, now)
        self.vhost.dead_letters.deliver(now)
        if entry is None:
            return None
        tag = next(self._tags)
        if not no_ack:
            self.ledger.add(Unsettled(tag, entry, queue, None))
        return tag, entry

    def consume(self, queue: Queue, tag: str, *, no_ack: bool = False, exclusive: bool = False,
                arguments: Table | None = None, now: float) -> Consumer:  # fmt: skip
        """basic.consume; `start` begins deliveries. Raises 403, 405, 406, 530, 540."""
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
                            priority=checks.consumer_priority(queue, arguments), arguments=arguments)  # fmt: skip
        self.consumers[tag] = consumer
        queue.subscribe(consumer, now)
        return consumer

    def start(self, consumer: Consumer, now: float) -> None:
        """Hand a new consumer what waits: the client knows of it now."""
        consumer.queue.dispatch(now)
        self.vhost.dead_letters.deliver(now)

    def cancel(self, tag: str, now: float) -> None:
        """basic.cancel: no more deliveries; what is unacked stays so. Nothing happens for an unknown tag."""
        consumer = self.consumers.pop(tag, None)
        if consumer is not None:
            consumer.queue.unsubscribe(consumer, now)
        elif tag and tag == self.reply_tag:
            direct_reply.close(self)

    def queue_deleted(self, consumer: Consumer, now: float) -> None:
        """The consumer's queue is gone."""
        self.consumers.pop(consumer.tag, None)
        consumer.queue.unsubscribe(consumer, now)
        self.sink.cancelled(consumer.tag)

    def qos(self, prefetch: int, shared: bool, now: float) -> None:
        """basic.qos: `prefetch` messages for each new consumer, or all together (RabbitMQ docs: consumer-prefetch)."""
        if not shared:
            self.prefetch_count = prefetch
            return
        self.global_prefetch = prefetch
        self.wake(now)

    def can_take(self, consumer: Consumer) -> bool:
        """Whether the channel lets the consumer have a message now."""
        if not self.sink.writable:
            return False
        return not self.global_prefetch or self.ledger.consumed < self.global_prefetch

    def deliver(self, consumer: Consumer, entry: Entry) -> None:
        """A queue hands a message to a consumer of this channel."""
        tag = consumer.last_tag = next(self._tags)
        if not consumer.no_ack:
            consumer.unacked += 1
            self.ledger.add(Unsettled(tag, entry, consumer.queue, consumer))
        self.sink.deliver(consumer.tag, tag, entry)

    def next_tag(self) -> int:
        """A new delivery tag."""
        return next(self._tags)

    def wake(self, now: float) -> None:
        """Deliveries may go out again."""
        self._wake_all(now)
        self.vhost.dead_letters.deliver(now)

    def _wake_all(self, now: float) -> None:
        """Offer messages to all consumers: first to the one that has waited longest for its turn, so that consumers
        share a global prefetch fairly.
        """
        queues: dict[Queue, None] = {}
        for consumer in sorted(self.consumers.values(), key=lambda consumer: consumer.last_tag):
            consumer.queue.rota.wake(consumer)
            queues[consumer.queue] = None
        for queue in queues:
            queue.dispatch(now)

    # --- settling

    def ack(self, tag: int, multiple: bool, now: float) -> None:
        """basic.ack. Raises 406."""
        self._settle_or_hold(tag, multiple, "ack", now)

    def nack(self, tag: int, multiple: bool, requeue: bool, now: float) -> None:
        """basic.nack and basic.reject. Raises 406."""
        self._settle_or_hold(tag, multiple, "requeue" if requeue else "reject", now)

    def recover(self, now: float) -> None:
        """basic.recover: requeue all that is unacked."""
        self._settle(self.ledger.take_all(), "requeue", now)

    def _settle_or_hold(self, tag: int, multiple: bool, verdict: str, now: float) -> None:
        settled = self.ledger.take(tag, multiple)
        if self.transaction is not None:
            self.transaction.settle(settled, verdict)
        else:
            self._settle(settled, verdict, now)

    def _settle(self, settled: list[Unsettled], verdict: str, now: float) -> None:
        if verdict == "reject":
            settled = sorted(settled, key=_precedence, reverse=True)
        for one in settled:
            if verdict == "ack":
                one.queue.ack(one.entry, now)
            elif verdict == "reject":
                one.queue.reject(one.entry, now)
            else:
                one.queue.requeue(one.entry, verdict == "requeue", now)
            self.ledger.settled(one)
        returned = {one.queue: None for one in settled} if verdict in ("requeue", "return") else {}
        for queue in returned:
            queue.hold_limits(now)
        if self.global_prefetch:
            self._wake_all(now)
        else:
            for consumer in {one.consumer: None for one in settled if one.consumer is not None}:
                if self.consumers.get(consumer.tag) is consumer:
                    consumer.queue.rota.wake(consumer)
                    consumer.queue.dispatch(now)
        for queue in returned:
            queue.dispatch(now)
        self.vhost.dead_letters.deliver(now)

    def close(self, now: float) -> None:
        """The channel is gone: cancel its consumers and requeue what is unacked."""
        gone = list(self.consumers.values())
        self.consumers.clear()
        for consumer in gone:
            consumer.queue.rota.remove(consumer)
        direct_reply.close(self)
        if self.transaction is not None:
            self.tx_rollback()
        # Requeued before the queues look for other consumers, so that these get the messages in their old order.
        self._settle(self.ledger.take_all(), "return", now)
        for consumer in gone:
            consumer.queue.consumer_gone(now)
        self.vhost.dead_letters.deliver(now)


def _precedence(one: Unsettled) -> int:
    """What a consumer rejects together becomes dead letters by priority, as with RabbitMQ; basic.get's one by one."""
    return 0 if one.consumer is None else one.queue.ready.priority(one.entry)
