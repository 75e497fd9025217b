"""A queue: what waits, what is with consumers, and the rules that its arguments ask for."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, ClassVar

from broker.core.arguments import QueueRules
from broker.core.counters import Counters
from broker.core.dead_letter import DELIVERY_LIMIT, EXPIRED, MAXLEN, REJECTED
from broker.core.expiry import Expiry
from broker.core.lease import Lease
from broker.core.message import Entry, Message
from broker.core.overflow import Overflow
from broker.core.pages import Pages
from broker.core.places import Places
from broker.core.policies import Policy, effective
from broker.core.queue_types import TYPES
from broker.core.ready import Ready
from broker.core.rota import Rota
from broker.protocol.table import Table

if TYPE_CHECKING:
    from broker.core.consumer import Consumer
    from broker.core.vhost import Vhost


class Queue:
    """A queue of one vhost. `owner` is what an exclusive queue belongs to; `id` is its number in the journal;
    `ready` is what waits, for others to read only.

    Nothing here is called by several threads. A consumer's sink must not call back while it is told of a delivery.
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
        self.rota = Rota(rules.single_active_consumer)
        self.counters = Counters()
        self.unacked: set[Entry] = set()
        self.unacked_bytes = 0
        self.pages = Pages(vhost.journal)
        self.deleted = False
        self._places = Places()
        self.journaled = durable and owner is None
        self.ready = Ready(rules.max_priority)
        self._journal = vhost.journal
        self._overflow = Overflow(rules, self.ready, ahead=self.queue_type.refuses_ahead)
        self.expiry = Expiry(self)
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
        return self.rota.all

    def apply_policy(self, policy: Policy | None, now: float) -> None:
        """Follow a policy, or none any more. Messages that wait keep their time to live."""
        self.policy = policy
        self.rules = effective(self._declared_rules, self.arguments, policy)
        self._overflow = Overflow(self.rules, self.ready, ahead=self.queue_type.refuses_ahead)
        self.hold_limits(now)
        self.lease.restart(now)

    # --- in

    def offer(self, message: Message, now: float) -> bool:
        """Take a routed message; False when the overflow rule refuses it (RabbitMQ docs: maxlength)."""
        overflow = self._overflow
        if overflow.refuses_one_of(message.size):
            if overflow.dead_letters:
                self.vhost.dead_letters.send(self, Entry(message, 0, None), MAXLEN)
            return False
        self.counters.published += 1
        entry = Entry(message, self._places.last(), self.expiry.of(message, now))
        if self.journaled and (message.essentials.persistent or self.queue_type.stores_transient):
            self._journal.store(self.id, entry)
        if not self.ready.count:
            consumer = self.rota.next()
            if consumer is not None:
                self._hand_over(entry, consumer.no_ack)
                consumer.take(entry)
                return True
        self.ready.push(entry)
        if overflow.drops or entry.expires_at is not None:
            self.hold_limits(now)
        if len(self.rota):
            self.dispatch(now)
        return True

    def hold_limits(self, now: float) -> None:
        """Messages have come, or come back: the oldest give way if there are too many, and the expired go."""
        if self._overflow.drops:
            while self.ready.count and self._overflow.exceeded():
                self._drop(self.ready.pop(), MAXLEN)
        if self.expiry.active:
            self.expiry.check(now)

    def restore(self, entry: Entry) -> None:
        """Put back what the journal held, in order of position."""
        self.ready.push(entry)
        self.pages.count_out(entry)
        self.expiry.active |= entry.expires_at is not None
        self._places.restored(entry)

    # --- out

    def dispatch(self, now: float) -> None:
        """Give what waits to the consumers that can take it."""
        while self.ready.count:
            consumer = self.rota.next()
            if consumer is None:
                return
            entry = self._take(now)
            if entry is None:
                return
            self._hand_over(entry, consumer.no_ack)
            consumer.take(entry)
            if self.expiry.active:
                self.expiry.check(now)

    def get(self, no_ack: bool, now: float) -> Entry | None:
        """Take the first message for basic.get, or None."""
        self.lease.used_at = now
        entry = self._take(now)
        if entry is not None:
            self._hand_over(entry, no_ack, got=True)
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
                self.vhost.pager.grown(self.pages.read_back(entry, self.ready))
            else:
                self.pages.count_in(entry)
            return entry
        return None

    def drop_expired(self, most: int, now: float) -> bool:
        """Drop up to `most` messages that have expired; whether there may be more."""
        for _ in range(most):
            head = self.ready.head()
            if head is None or head.expires_at is None or head.expires_at > now:
                return False
            self._drop(self.ready.pop(), EXPIRED)
        return True

    def _hand_over(self, entry: Entry, no_ack: bool, *, got: bool = False) -> None:
        self.counters.handed_over(entry.redelivered, no_ack, got)
        if no_ack:
            self.vhost.pager.shrunk(entry.message.size)
            self.forget(entry)
            return
        self.unacked.add(entry)
        self.unacked_bytes += entry.message.size

    # --- settling

    def ack(self, entry: Entry, now: float) -> None:
        """The message is done with."""
        if self._take_back(entry, now):
            self.counters.acked += 1
            self.pages.count_in(entry)
            self.vhost.pager.shrunk(entry.message.size)
            self.forget(entry)

    def reject(self, entry: Entry, now: float) -> None:
        """The message is refused for good: to the dead-letter exchange where there is one."""
        if self._take_back(entry, now):
            self._drop(entry, REJECTED)

    def requeue(self, entry: Entry, by_client: bool, now: float) -> None:
        """Put the message back, `by_client` or because its channel is gone; the caller calls `hold_limits` and
        `dispatch` when all are back.
        """
        if not self._take_back(entry, now):
            return
        entry.redelivered = True
        if not self.queue_type.give_back(entry, by_client, self.rules.delivery_limit, self._places):
            self._drop(entry, DELIVERY_LIMIT)
            return
        if entry.journal_id:
            self._journal.touch(entry)
        self.ready.put_back(entry)

    def _take_back(self, entry: Entry, now: float) -> bool:
        if entry not in self.unacked:
            return False
        self.unacked.remove(entry)
        self.unacked_bytes -= entry.message.size
        if not self.unacked and self.queue_type.unacked_hold:
            self.lease.released(now)
        return True

    def _drop(self, entry: Entry, reason: str) -> None:
        """The entry leaves without an ack: as a dead letter, or for good."""
        self.counters.dropped += 1
        self.pages.count_in(entry)
        self.vhost.pager.shrunk(entry.message.size)
        if self.rules.dead_letter_exchange is not None:
            self.vhost.dead_letters.send(self, entry, reason)
        else:
            self.forget(entry)

    def forget(self, entry: Entry) -> None:
        """The message's place in the queue is no more; the journal need not keep it."""
        if entry.journal_id:
            self._journal.forget(entry)

    def purge(self) -> int:
        """Forget all that waits; how many messages that was."""
        entries = self.ready.drain()
        for entry in entries:
            self.forget(entry)
        self.pages.bytes = 0
        self.vhost.pager.shrunk(sum(entry.message.size for entry in entries))
        return len(entries)

    def forget_all(self) -> None:
        """The queue is being deleted: forget what waits and what is with consumers."""
        self.deleted = True
        for entry in (*self.ready.drain(), *self.unacked):
            self.forget(entry)
        self.unacked.clear()

    # --- memory

    @property
    def resident_bytes(self) -> int:
        """Bytes of its bodies that are in memory."""
        return self.ready.bytes + self.unacked_bytes - self.pages.bytes

    def page_out(self, excess: int) -> int:
        """Let go of bodies until `excess` bytes are gone, from the end of what waits, then of what is with consumers:
        these have their copy. Returns how many bytes went.
        """
        return self.pages.out(chain(self.ready.from_the_end(), self.unacked), excess)

    # --- consumers

    def subscribe(self, consumer: Consumer, now: float) -> None:
        """Add a consumer. What waits is handed out by `dispatch`."""
        self.lease.used_at = now
        self.rota.add(consumer)

    def unsubscribe(self, consumer: Consumer, now: float) -> None:
        """Remove a consumer; the last one takes an auto-delete queue with it."""
        self.rota.remove(consumer)
        self.consumer_gone(now)

    def consumer_gone(self, now: float) -> None:
        """A consumer has been taken off the rota."""
        self.lease.released(now)
        if not len(self.rota):
            if self.auto_delete and not self.deleted:
                self.vhost.delete_queue(self.name, now)
        elif self.rules.single_active_consumer:
            self.dispatch(now)
