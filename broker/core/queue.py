"""A queue: its ready and unacked messages, and the rules from its arguments."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, ClassVar

from amqp_wire.values import Table
from broker.core.arguments import QueueRules
from broker.core.consumer_rotation import ConsumerRotation
from broker.core.counters import Counters
from broker.core.dead_letter import DELIVERY_LIMIT, EXPIRED, MAXLEN, REJECTED
from broker.core.expiry import MessageExpiry
from broker.core.lease import Lease
from broker.core.message import Entry, Message
from broker.core.overflow import Overflow
from broker.core.paged_bodies import PagedBodies
from broker.core.policies import Policy, effective
from broker.core.positions import Positions
from broker.core.queue_types import TYPES
from broker.core.ready import Ready

if TYPE_CHECKING:
    from broker.core.consumer import Consumer
    from broker.core.vhost import Vhost


class Queue:
    """A queue of one vhost. `owner` is the connection that owns an exclusive queue; `id` is its number in the journal;
    others may only read `ready`.

    Use it from one thread. A consumer's sink must not call the queue from within a delivery.
    """

    kind: ClassVar[str] = "queue"

    def __init__(self, vhost: Vhost, name: str, rules: QueueRules, *, durable: bool, auto_delete: bool,
                 owner: object | None, arguments: Table, queue_id: int, now: float) -> None:  # fmt: skip
        self.vhost = vhost
        self.name = name
        self.rules = self._declared_rules = rules
        self.policy: Policy | None = None
        self.queue_type = TYPES[rules.type]
        self.durable = durable
        self.auto_delete = auto_delete
        self.owner = owner
        self.arguments = arguments
        self.id = queue_id
        self.rotation = ConsumerRotation(rules.single_active_consumer)
        self.counters = Counters()
        self.unacked: set[Entry] = set()
        self.unacked_bytes = 0
        self.paged_bodies = PagedBodies(vhost.journal)
        self.deleted = False
        self._positions = Positions()
        self.journaled = durable and owner is None
        self.ready = Ready(rules.max_priority)
        self._journal = vhost.journal
        self._overflow = Overflow(rules, self.ready, ahead=self.queue_type.refuses_ahead)
        self.expiry = MessageExpiry(self)
        self.lease = Lease(self, now)
        self.lease.restart(now)

    @property
    def type(self) -> str:
        """ "classic" or "quorum"."""
        return self.queue_type.name

    @property
    def ready_count(self) -> int:
        """Messages that wait."""
        return self.ready.count

    @property
    def ready_bytes(self) -> int:
        """Bytes of the bodies that wait."""
        return self.ready.bytes

    @property
    def unacked_count(self) -> int:
        """Messages delivered and not settled."""
        return len(self.unacked)

    @property
    def consumers(self) -> list[Consumer]:
        """Its consumers, in the order of their subscription."""
        return self.rotation.all

    def apply_policy(self, policy: Policy | None, now: float) -> None:
        """Apply a policy, or none. Ready messages keep their time to live."""
        self.policy = policy
        self.rules = effective(self._declared_rules, self.arguments, policy)
        self._overflow = Overflow(self.rules, self.ready, ahead=self.queue_type.refuses_ahead)
        self.apply_limits(now)
        self.lease.restart(now)

    # --- in

    def offer(self, message: Message, now: float) -> bool:
        """Take a routed message. Return False if the overflow rule refuses it (RabbitMQ docs: maxlength)."""
        overflow = self._overflow
        if overflow.refuses_one_of(message.size):
            if overflow.dead_letters:
                self.vhost.dead_letters.add(self, Entry(message, 0, None), MAXLEN)
            return False
        self.counters.published += 1
        entry = Entry(message, self._positions.next_at_end(), self.expiry.expires_at(message, now))
        if self.journaled and (message.essentials.persistent or self.queue_type.stores_transient):
            self._journal.store(self.id, entry)
        if not self.ready.count:
            consumer = self.rotation.next()
            if consumer is not None:
                self._mark_delivered(entry, consumer.no_ack)
                consumer.take(entry)
                return True
        self.ready.push(entry)
        if overflow.drops or entry.expires_at is not None:
            self.apply_limits(now)
        if len(self.rotation):
            self.dispatch(now)
        return True

    def apply_limits(self, now: float) -> None:
        """Drop the oldest messages above the length limit, and expired messages at the head."""
        if self._overflow.drops:
            while self.ready.count and self._overflow.exceeded():
                self._drop(self.ready.pop(), MAXLEN)
        if self.expiry.active:
            self.expiry.check(now)

    def restore(self, entry: Entry) -> None:
        """Add an entry from the journal, in order of position."""
        self.ready.push(entry)
        self.paged_bodies.mark_paged_out(entry)
        self.expiry.active |= entry.expires_at is not None
        self._positions.note_restored(entry)

    # --- out

    def dispatch(self, now: float) -> None:
        """Deliver ready messages to the consumers that can take them."""
        while self.ready.count:
            consumer = self.rotation.next()
            if consumer is None:
                return
            entry = self._take(now)
            if entry is None:
                return
            self._mark_delivered(entry, consumer.no_ack)
            consumer.take(entry)
            if self.expiry.active:
                self.expiry.check(now)

    def get(self, no_ack: bool, now: float) -> Entry | None:
        """Take the first message for basic.get, or return None."""
        self.lease.used_at = now
        entry = self._take(now)
        if entry is not None:
            self._mark_delivered(entry, no_ack, got=True)
        if self.expiry.active:
            self.expiry.check(now)
        return entry

    def _take(self, now: float) -> Entry | None:
        while self.ready.count:
            entry = self.ready.pop()
            if entry.expires_at is not None and entry.expires_at <= now:
                self._drop(entry, EXPIRED)
                continue
            if entry.message.body is None:
                self.vhost.pager.body_added(self.paged_bodies.page_in(entry, self.ready))
            else:
                self.paged_bodies.mark_in_memory(entry)
            return entry
        return None

    def drop_expired(self, most: int, now: float) -> bool:
        """Drop up to `most` expired messages at the head. Return whether there may be more."""
        for _ in range(most):
            head = self.ready.head()
            if head is None or head.expires_at is None or head.expires_at > now:
                return False
            self._drop(self.ready.pop(), EXPIRED)
        return True

    def _mark_delivered(self, entry: Entry, no_ack: bool, *, got: bool = False) -> None:
        self.counters.count_delivery(entry.redelivered, no_ack, got)
        if no_ack:
            self.vhost.pager.body_removed(entry.message.size)
            self.forget(entry)
            return
        self.unacked.add(entry)
        self.unacked_bytes += entry.message.size

    # --- settling

    def ack(self, entry: Entry, now: float) -> None:
        """Remove an acked message."""
        if self._remove_unacked(entry, now):
            self.counters.acked += 1
            self.paged_bodies.mark_in_memory(entry)
            self.vhost.pager.body_removed(entry.message.size)
            self.forget(entry)

    def reject(self, entry: Entry, now: float) -> None:
        """Dead-letter or drop a rejected message."""
        if self._remove_unacked(entry, now):
            self._drop(entry, REJECTED)

    def requeue(self, entry: Entry, by_client: bool, now: float) -> None:
        """Return a message to the queue: `by_client`, or because its channel has closed. The caller then calls
        `apply_limits` and `dispatch` once for all messages.
        """
        if not self._remove_unacked(entry, now):
            return
        entry.redelivered = True
        if not self.queue_type.requeue(entry, by_client, self.rules.delivery_limit, self._positions):
            self._drop(entry, DELIVERY_LIMIT)
            return
        if entry.journal_id:
            self._journal.touch(entry)
        self.ready.put_back(entry)

    def _remove_unacked(self, entry: Entry, now: float) -> bool:
        if entry not in self.unacked:
            return False
        self.unacked.remove(entry)
        self.unacked_bytes -= entry.message.size
        if not self.unacked and self.queue_type.unacked_hold:
            self.lease.on_release(now)
        return True

    def _drop(self, entry: Entry, reason: str) -> None:
        """Remove an entry without an ack: dead-letter or drop it."""
        self.counters.dropped += 1
        self.paged_bodies.mark_in_memory(entry)
        self.vhost.pager.body_removed(entry.message.size)
        if self.rules.dead_letter_exchange is not None:
            self.vhost.dead_letters.add(self, entry, reason)
        else:
            self.forget(entry)

    def forget(self, entry: Entry) -> None:
        """Remove the entry from the journal."""
        if entry.journal_id:
            self._journal.forget(entry)

    def purge(self) -> int:
        """Remove all ready messages. Return their number."""
        entries = self.ready.drain()
        for entry in entries:
            self.forget(entry)
        self.paged_bodies.bytes = 0
        self.vhost.pager.body_removed(sum(entry.message.size for entry in entries))
        return len(entries)

    def forget_all(self) -> None:
        """Remove all messages, ready and unacked: the queue is being deleted."""
        self.deleted = True
        for entry in (*self.ready.drain(), *self.unacked):
            self.forget(entry)
        self.unacked.clear()

    # --- memory

    @property
    def resident_bytes(self) -> int:
        """Bytes of its bodies that are in memory."""
        return self.ready.bytes + self.unacked_bytes - self.paged_bodies.bytes

    def page_out(self, excess: int) -> int:
        """Page out bodies until `excess` bytes are freed: from the end of the ready messages, then the unacked ones,
        whose consumers have a copy. Return the bytes freed.
        """
        return self.paged_bodies.page_out(chain(self.ready.from_end(), self.unacked), excess)

    # --- consumers

    def subscribe(self, consumer: Consumer, now: float) -> None:
        """Add a consumer. `dispatch` delivers the ready messages."""
        self.lease.used_at = now
        self.rotation.add(consumer)

    def unsubscribe(self, consumer: Consumer, now: float) -> None:
        """Remove a consumer. The last one deletes an auto-delete queue."""
        self.rotation.remove(consumer)
        self.consumer_gone(now)

    def consumer_gone(self, now: float) -> None:
        """Update lease, auto-delete and active consumer after a consumer's removal."""
        self.lease.on_release(now)
        if not len(self.rotation):
            if self.auto_delete and not self.deleted:
                self.vhost.delete_queue(self.name, now)
        elif self.rules.single_active_consumer:
            self.dispatch(now)
