"""A queue: what waits, what is with consumers, and the rules that its arguments ask for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, ClassVar

from broker.core.arguments import QueueRules
from broker.core.dead_letter import DELIVERY_LIMIT, EXPIRED, MAXLEN, REJECTED
from broker.core.journal import Journal
from broker.core.message import Entry, Message
from broker.core.ready import Ready
from broker.core.rota import Rota
from broker.protocol.table import Table

if TYPE_CHECKING:
    from broker.core.consumer import Consumer
    from broker.core.vhost import Vhost

# How many paged-out bodies are read back at once, in messages.
PAGE = 64
# How many messages expire before other work gets a turn.
EXPIRE_AT_ONCE = 500


@dataclass(slots=True)
class Counters:
    """Totals of a queue since the broker started, in messages."""

    published: int = 0
    delivered: int = 0
    delivered_no_ack: int = 0
    got: int = 0
    got_no_ack: int = 0
    redelivered: int = 0
    acked: int = 0
    dropped: int = 0


class Queue:
    """A queue of one vhost. `owner` is what an exclusive queue belongs to; `id` is its number in the journal.

    Nothing here is called by several threads. A consumer's sink must not call back while it is told of a delivery.
    """

    kind: ClassVar[str] = "queue"

    def __init__(self, vhost: Vhost, name: str, rules: QueueRules, *, durable: bool, auto_delete: bool,
                 owner: object | None, arguments: Table, queue_id: int, now: float) -> None:  # fmt: skip
        self.vhost = vhost
        self.name = name
        self.rules = rules
        self.durable = durable
        self.auto_delete = auto_delete
        self.owner = owner
        self.arguments = arguments
        self.id = queue_id
        self.rota = Rota(rules.single_active_consumer)
        self.counters = Counters()
        self.unacked: set[Entry] = set()
        self.unacked_bytes = 0
        self.paged_bytes = 0
        self.deleted = False
        self.used_at = now
        self.next_position = 0
        self.journaled = durable and owner is None
        self._ready = Ready(rules.max_priority)
        self._journal = vhost.journal
        self._expiring = False
        self._wakes_at: float | None = None
        if rules.expires is not None:
            vhost.deadlines.add(now + rules.expires, self._expire_unused)

    @property
    def type(self) -> str:
        """"classic" or "quorum"."""
        return self.rules.type

    @property
    def exclusive(self) -> bool:
        """Whether it belongs to one connection."""
        return self.owner is not None

    @property
    def ready_count(self) -> int:
        """Messages that wait."""
        return self._ready.count

    @property
    def ready_bytes(self) -> int:
        """Bytes of the bodies that wait."""
        return self._ready.bytes

    @property
    def unacked_count(self) -> int:
        """Messages delivered and not settled."""
        return len(self.unacked)

    @property
    def consumers(self) -> list[Consumer]:
        """Its consumers, in the order of their subscription."""
        return self.rota.all

    def ready_entries(self) -> Ready:
        """What waits, for reading only."""
        return self._ready

    # --- in

    def offer(self, message: Message, now: float) -> bool:
        """Take a routed message; False when the overflow rule refuses it (RabbitMQ docs: maxlength)."""
        rules = self.rules
        if rules.overflow != "drop-head" and self._is_full(1, message.size):
            if rules.overflow == "reject-publish-dlx":
                self.vhost.dead_letters.send(self, Entry(message, 0, None), MAXLEN)
            return False
        self.counters.published += 1
        entry = Entry(message, self.next_position, self._expiry(message, now))
        self.next_position += 1
        if self.journaled and (message.essentials.persistent or rules.type == "quorum"):
            self._journal.store(self.id, entry)
        if not self._ready.count:
            consumer = self.rota.next()
            if consumer is not None:
                self._hand_over(entry, consumer.no_ack)
                consumer.take(entry)
                return True
        self._ready.push(entry)
        self.vhost.pager.grown(message.size)
        if rules.max_length is not None or rules.max_bytes is not None:
            while self._ready.count and self._is_full(0, 0):
                self._drop(self._ready.pop(), MAXLEN)
        if entry.expires_at is not None:
            self._watch(now)
        if len(self.rota):
            self.dispatch(now)
        return True

    def restore(self, entry: Entry) -> None:
        """Put back what the journal held, in order of position."""
        self._ready.push(entry)
        entry.paged = True
        self.paged_bytes += entry.message.size
        self.next_position = entry.position + 1

    def restored(self, now: float) -> None:
        """All is back: what has expired meanwhile goes."""
        self._watch(now)

    def _expiry(self, message: Message, now: float) -> float | None:
        """The sooner of the queue's and the message's time to live (RabbitMQ docs: ttl)."""
        ttl = self.rules.message_ttl
        own = message.essentials.expiration
        if own is not None and (ttl is None or int(own) / 1000 < ttl):
            ttl = int(own) / 1000
        return None if ttl is None else now + ttl

    def _is_full(self, more: int, more_bytes: int) -> bool:
        rules = self.rules
        return (rules.max_length is not None and self._ready.count + more > rules.max_length) or (
            rules.max_bytes is not None and self._ready.bytes + more_bytes > rules.max_bytes
        )

    # --- out

    def dispatch(self, now: float) -> None:
        """Give what waits to the consumers that can take it."""
        while self._ready.count:
            consumer = self.rota.next()
            if consumer is None:
                return
            entry = self._take(now)
            if entry is None:
                return
            self._hand_over(entry, consumer.no_ack)
            consumer.take(entry)
            if self._expiring:
                self._watch(now)

    def get(self, no_ack: bool, now: float) -> Entry | None:
        """Take the first message for basic.get, or None."""
        self.used_at = now
        entry = self._take(now)
        if entry is not None:
            self._hand_over(entry, no_ack, got=True)
        if self._expiring:
            self._watch(now)
        return entry

    def _take(self, now: float) -> Entry | None:
        while self._ready.count:
            entry = self._ready.pop()
            if entry.expires_at is not None and entry.expires_at <= now:
                self._drop(entry, EXPIRED)
                continue
            if entry.message.body is None:
                self._page_in(entry)
            elif entry.paged:
                self._count_in(entry)
            return entry
        return None

    @property
    def resident_bytes(self) -> int:
        """Bytes of its bodies that are in memory."""
        return self._ready.bytes + self.unacked_bytes - self.paged_bytes

    def page_out(self, excess: int, journal: Journal) -> int:
        """Let go of bodies until `excess` bytes are gone, from the end of what waits, then of what is with consumers:
        these have their copy. Returns how many bytes went.
        """
        gone = 0
        for entry in chain(self._ready.from_the_end(), self.unacked):
            if gone >= excess:
                break
            if not entry.paged and (entry.message.body is None or journal.page_out(entry)):
                entry.message.body = None
                entry.paged = True
                gone += entry.message.size
        self.paged_bytes += gone
        return gone

    def _page_in(self, first: Entry) -> None:
        """Read back bodies of the first entries, a page at a time."""
        wanted = [first, *(entry for entry in islice(self._ready, PAGE - 1) if entry.message.body is None)]
        self._journal.page_in([entry.message for entry in wanted])
        for entry in wanted:
            self._count_in(entry)
        self.vhost.pager.grown(sum(entry.message.size for entry in wanted))

    def _count_in(self, entry: Entry) -> None:
        if entry.paged:
            entry.paged = False
            self.paged_bytes -= entry.message.size

    def _hand_over(self, entry: Entry, no_ack: bool, *, got: bool = False) -> None:
        counters = self.counters
        if entry.redelivered:
            counters.redelivered += 1
        if no_ack:
            if got:
                counters.got_no_ack += 1
            else:
                counters.delivered_no_ack += 1
            self.vhost.pager.shrunk(entry.message.size)
            self.forget(entry)
            return
        if got:
            counters.got += 1
        else:
            counters.delivered += 1
        self.unacked.add(entry)
        self.unacked_bytes += entry.message.size

    # --- settling

    def ack(self, entry: Entry) -> None:
        """The message is done with."""
        if self._take_back(entry):
            self.counters.acked += 1
            self._count_in(entry)
            self.vhost.pager.shrunk(entry.message.size)
            self.forget(entry)

    def reject(self, entry: Entry) -> None:
        """The message is refused for good: to the dead-letter exchange where there is one."""
        if self._take_back(entry):
            self._drop(entry, REJECTED)

    def requeue(self, entry: Entry, now: float) -> None:
        """Put the message back where it was; the caller calls `dispatch` when all are back."""
        if not self._take_back(entry):
            return
        entry.redelivered = True
        if self.rules.type == "quorum":
            entry.deliveries += 1
            limit = self.rules.delivery_limit
            if limit is not None and entry.deliveries > limit:
                self._drop(entry, DELIVERY_LIMIT)
                return
        if entry.journal_id:
            self._journal.touch(entry)
        self._ready.put_back(entry)
        if entry.expires_at is not None:
            self._watch(now)

    def _take_back(self, entry: Entry) -> bool:
        if entry not in self.unacked:
            return False
        self.unacked.remove(entry)
        self.unacked_bytes -= entry.message.size
        return True

    def _drop(self, entry: Entry, reason: str) -> None:
        """The entry leaves without an ack: as a dead letter, or for good."""
        self.counters.dropped += 1
        self._count_in(entry)
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
        entries = self._ready.drain()
        for entry in entries:
            self.forget(entry)
        self.paged_bytes = 0
        self.vhost.pager.shrunk(sum(entry.message.size for entry in entries))
        return len(entries)

    def forget_all(self) -> None:
        """The queue is being deleted: forget what waits and what is with consumers."""
        self.deleted = True
        for entry in (*self._ready.drain(), *self.unacked):
            self.forget(entry)
        self.unacked.clear()

    # --- consumers

    def subscribe(self, consumer: Consumer, now: float) -> None:
        """Add a consumer. What waits is handed out by `dispatch`."""
        self.used_at = now
        self.rota.add(consumer)

    def unsubscribe(self, consumer: Consumer, now: float) -> None:
        """Remove a consumer; the last one takes an auto-delete queue with it."""
        self.rota.remove(consumer)
        self.consumer_gone(now)

    def consumer_gone(self, now: float) -> None:
        """A consumer has been taken off the rota."""
        self.used_at = now
        if not len(self.rota):
            if self.auto_delete and not self.deleted:
                self.vhost.delete_queue(self.name, now)
            elif self.rules.expires is not None:
                self.vhost.deadlines.add(now + self.rules.expires, self._expire_unused)
        elif self.rules.single_active_consumer:
            self.dispatch(now)

    def wake(self, consumer: Consumer, now: float) -> None:
        """The consumer may be able to take messages again."""
        self.rota.wake(consumer)
        if self._ready.count:
            self.dispatch(now)

    # --- time

    def _watch(self, now: float) -> None:
        """See to it that the first of the heads to expire does so in time."""
        self._expiring = True
        moments = [head.expires_at for head in self._ready.heads() if head.expires_at is not None]
        if not moments:
            return
        soonest = min(moments)
        if self._wakes_at is None or soonest < self._wakes_at:
            self._wakes_at = max(soonest, now)
            self.vhost.deadlines.add(soonest, self._expire_messages)

    def _expire_messages(self, now: float) -> None:
        """Drop what has expired at the head: messages behind one that has not wait (RabbitMQ docs: ttl § caveats)."""
        self._wakes_at = None
        if self.deleted:
            return
        for _ in range(EXPIRE_AT_ONCE):
            entry = self._ready.pop_expired(now)
            if entry is None:
                self._watch(now)
                break
            self._drop(entry, EXPIRED)
        else:
            self._wakes_at = now + 0.001
            self.vhost.deadlines.add(self._wakes_at, self._expire_messages)
        self.vhost.dead_letters.deliver(now)

    def _expire_unused(self, now: float) -> None:
        """Delete the queue when it was unused for `x-expires` (RabbitMQ docs: ttl § queue TTL)."""
        expires = self.rules.expires
        if self.deleted or len(self.rota) or expires is None:
            return
        if now >= self.used_at + expires:
            self.vhost.delete_queue(self.name, now)
        else:
            self.vhost.deadlines.add(self.used_at + expires, self._expire_unused)
