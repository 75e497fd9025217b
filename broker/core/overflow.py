"""Length limits of a queue (RabbitMQ docs: maxlength)."""

from __future__ import annotations

from math import inf

from broker.core.arguments import QueueRules
from broker.core.ready import Ready


class Overflow:
    """The length limit on one queue's ready messages. `drops` the oldest or `refuses` the newest, neither without a
    limit. `dead_letters` says whether refused messages are dead-lettered.
    """

    __slots__ = ("_ahead", "_most", "_most_bytes", "_ready", "dead_letters", "drops", "refuses")

    def __init__(self, rules: QueueRules, ready: Ready, *, ahead: bool) -> None:
        """Compute the limits. `ahead` refuses the message that would exceed the limit, not only those after it."""
        self._ready = ready
        self._most = inf if rules.max_length is None else rules.max_length
        self._most_bytes = inf if rules.max_bytes is None else rules.max_bytes
        limited = rules.max_length is not None or rules.max_bytes is not None
        self.drops = limited and rules.overflow == "drop-head"
        self.refuses = limited and not self.drops
        self.dead_letters = rules.overflow == "reject-publish-dlx"
        self._ahead = int(ahead)

    def refuses_one_of(self, size: int) -> bool:
        """Return whether a message of `size` bytes is refused."""
        return self.refuses and self.exceeded(self._ahead, self._ahead * size)

    def exceeded(self, more: int = 0, more_bytes: int = 0) -> bool:
        """Return whether the ready messages, with `more` messages of `more_bytes` together, exceed the limit."""
        return self._ready.count + more > self._most or self._ready.bytes + more_bytes > self._most_bytes
