"""Dead letters on their way from a queue to its dead-letter exchange."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from broker.core.dead_letter import dead_letter, is_cycle
from broker.core.message import Entry

if TYPE_CHECKING:
    from broker.core.queue import Queue
    from broker.core.vhost import Vhost

# How long a letter that nobody took waits before it is tried again, in seconds.
RETRY_AFTER = 5.0


class DeadLetterOffice:
    """A vhost's dead letters. They go out when the operation that made them is done, so that chains of queues do not
    nest; the source forgets the message in the same batch of the journal that stores its copy.

    With `x-dead-letter-strategy: at-least-once`, a letter that was not taken by every queue it was routed to, or was
    routed to none, stays and is tried again (RabbitMQ docs: quorum-queues § at-least-once dead lettering).
    """

    def __init__(self, vhost: Vhost) -> None:
        self._vhost = vhost
        self._outgoing: deque[tuple[Queue, Entry, str]] = deque()
        self._undelivered: list[tuple[Queue, Entry, str]] = []
        self._delivering = False

    def send(self, queue: Queue, entry: Entry, reason: str) -> None:
        """Hand in a message that left `queue`; the operation's end delivers it."""
        self._outgoing.append((queue, entry, reason))

    def deliver(self, now: float) -> None:
        """Publish what was handed in, and what that hands in."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._outgoing:
                letter = self._outgoing.popleft()
                if self._publish(*letter, now):
                    letter[0].forget(letter[1])
                else:
                    self._keep(letter, now)
        finally:
            self._delivering = False

    def _publish(self, queue: Queue, entry: Entry, reason: str, now: float) -> bool:
        """Whether the letter's fate is safe."""
        rules = queue.rules
        exchange = self._vhost.exchanges.get(rules.dead_letter_exchange or "")
        if entry.message.body is None:
            self._vhost.journal.page_in([entry.message])
        if exchange is None or queue.deleted:
            return not rules.at_least_once or queue.deleted
        letter = dead_letter(entry.message, queue.name, reason, exchange.name, rules.dead_letter_routing_key, now)
        routed = self._vhost.route(letter, exchange)
        targets = [target for target in routed if not is_cycle(letter, target.name, reason)]
        taken = self._vhost.hand_out(letter, targets, now)
        return not rules.at_least_once or (taken == len(targets) and bool(routed))

    def _keep(self, letter: tuple[Queue, Entry, str], now: float) -> None:
        if not self._undelivered:
            self._vhost.deadlines.add(now + RETRY_AFTER, self._retry)
        self._undelivered.append(letter)

    def _retry(self, now: float) -> None:
        self._outgoing.extend(self._undelivered)
        self._undelivered.clear()
        self.deliver(now)
