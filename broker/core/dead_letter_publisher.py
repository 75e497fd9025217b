"""Publishes dead letters from a queue to its dead-letter exchange."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from broker.core.dead_letter import dead_letter, is_cycle
from broker.core.message import Entry

if TYPE_CHECKING:
    from broker.core.queue import Queue
    from broker.core.vhost import Vhost

# Seconds between attempts to publish an undelivered letter.
RETRY_AFTER = 5.0


class DeadLetterPublisher:
    """A vhost's dead letters. They are published after the operation that caused them, so that chains of queues do not
    nest; the source forgets the message in the same batch of the journal that stores its copy.

    With `x-dead-letter-strategy: at-least-once`, a letter that was routed nowhere, or that any of its queues refused,
    is kept and retried (RabbitMQ docs: quorum-queues § at-least-once dead lettering).
    """

    def __init__(self, vhost: Vhost) -> None:
        self._vhost = vhost
        self._pending: deque[tuple[Queue, Entry, str]] = deque()
        self._undelivered: list[tuple[Queue, Entry, str]] = []
        self._publishing = False

    def add(self, queue: Queue, entry: Entry, reason: str) -> None:
        """Add a message that left `queue`; the end of the operation publishes it."""
        self._pending.append((queue, entry, reason))

    def publish_pending(self, now: float) -> None:
        """Publish the added letters, and those that publishing adds."""
        if self._publishing:
            return
        self._publishing = True
        try:
            while self._pending:
                letter = self._pending.popleft()
                if self._publish(*letter, now):
                    letter[0].forget(letter[1])
                else:
                    self._retry_later(letter, now)
        finally:
            self._publishing = False

    def _publish(self, queue: Queue, entry: Entry, reason: str, now: float) -> bool:
        """Publish a letter. Return whether its source may forget it."""
        rules = queue.rules
        exchange = self._vhost.exchanges.get(rules.dead_letter_exchange or "")
        if entry.message.body is None:
            self._vhost.journal.page_in([entry.message])
        if exchange is None or queue.deleted:
            return not rules.at_least_once or queue.deleted
        letter = dead_letter(entry.message, queue.name, reason, exchange.name, rules.dead_letter_routing_key, now)
        routed = self._vhost.route(letter, exchange)
        targets = [target for target in routed if not is_cycle(letter, target.name, reason)]
        taken = self._vhost.offer_to_queues(letter, targets, now)
        return not rules.at_least_once or (taken == len(targets) and bool(routed))

    def _retry_later(self, letter: tuple[Queue, Entry, str], now: float) -> None:
        if not self._undelivered:
            self._vhost.deadlines.add(now + RETRY_AFTER, self._retry)
        self._undelivered.append(letter)

    def _retry(self, now: float) -> None:
        self._pending.extend(self._undelivered)
        self._undelivered.clear()
        self.publish_pending(now)
