"""The life of one channel of a consumer: the deliveries that are open on it, and their acks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from delivery.acks import AckWindow
from delivery.copies import Source
from gateway.loop import Loop


class Session:
    """Owned by the loop's thread. Delivery tags mean nothing outside it, so once it is lost, so are they."""

    __slots__ = ("_loop", "_on_idle", "_prefetch", "_straggler", "_timer", "_window", "alive", "channel", "unsettled")

    def __init__(
        self, loop: Loop, channel: Any, prefetch: int, on_idle: Callable[[], None], straggler: float = 0.02
    ) -> None:
        """A finished delivery waits `straggler` seconds for an earlier one, so that one frame can ack both."""
        self._loop, self._prefetch, self._on_idle, self._straggler = loop, prefetch, on_idle, straggler
        self._window = AckWindow()
        self._timer = False
        self.channel = channel
        self.alive = True
        """whether settling on it still has an effect"""
        self.unsettled: dict[int, Delivery] = {}
        """deliveries whose fate is open, by tag"""

    def finish(self, tag: int) -> None:
        """Ack a delivery whose fate is safe, at the end of this turn or soon after."""
        self._window.finish(tag)
        self._done(tag)

    def give_back(self, tag: int) -> None:
        """Requeue a delivery by nack: since RabbitMQ 4.3 that alone does not count towards the delivery limit."""
        if self.alive and self.channel.is_open:
            self.channel.basic_nack(tag, requeue=True)
        self._window.settled(tag)
        self._done(tag)

    def leave(self, tag: int) -> None:
        """Leave a delivery unsettled: it returns to its place when the channel closes."""
        self._done(tag)

    def lose(self) -> None:
        """Forget all deliveries: the channel is closed, and the broker redelivers them."""
        self.alive = False
        self.unsettled.clear()

    def close(self, reason: str, consumer_tag: str | None = None) -> None:
        """Ack what may be acked, then close the channel; what is open goes back to its queue. The consumer is cancelled
        first: after an ack the broker would send it one more message, which would be returned unseen, and counted."""
        if consumer_tag is not None and self.alive and self.channel.is_open:
            self.channel.basic_cancel(consumer_tag)
        self.flush()
        self._ack_stragglers()
        if self.alive and self.channel.is_open:
            self.channel.close(reply_text=reason)

    def flush(self) -> None:
        """Ack the finished run; what finished behind a slow delivery waits for a moment, or for company."""
        if not self.alive or not self.channel.is_open:
            return
        tag = self._window.take()
        if tag is not None:
            self.channel.basic_ack(tag, multiple=True)
        stragglers = self._window.stragglers
        if stragglers * 4 >= self._prefetch:
            self._ack_stragglers()
        elif stragglers and not self._timer:
            self._timer = True
            self._loop.call_later(self._straggler, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = False
        self.flush()
        self._ack_stragglers()

    def _ack_stragglers(self) -> None:
        if self.alive and self.channel.is_open:
            for tag in self._window.take_stragglers():
                self.channel.basic_ack(tag)

    def _done(self, tag: int) -> None:
        self.unsettled.pop(tag, None)
        self._loop.at_turn_end(self.flush)
        if not self.unsettled:
            self._loop.at_turn_end(self._on_idle)


class Delivery:
    """One message in flight, and where to settle it. The session has it among its unsettled from its arrival on."""

    __slots__ = (
        "_claims", "abandoned", "arrived", "attempt", "first_failed", "key", "probe", "session", "source", "span",
        "tag", "tries",
    )  # fmt: skip

    def __init__(self, session: Session, tag: int, source: Source, attempt: int, now: float) -> None:
        """`now` in seconds of the monotonic clock."""
        self.session, self.tag, self.arrived = session, tag, now
        self.source, self.attempt = source, attempt
        self.key: Hashable = None
        """its lane, where order matters"""
        self.probe = False
        """whether it tries a target whose breaker is half open"""
        self.first_failed: float | None = None
        """Unix seconds, where the message's headers do not tell"""
        self.abandoned = False
        """whether a copy at the end of its queue replaces it although its request is still under way"""
        self.tries = 0
        """how often its copy was refused"""
        self.span: Any = None
        """of the attempt under way, where attempts are traced"""
        self._claims = 0
        session.unsettled[tag] = self

    @property
    def open(self) -> bool:
        """Whether it can still be settled."""
        return self.session.alive and self.tag in self.session.unsettled

    def claim(self) -> Callable[[], bool]:
        """Start to make a copy that replaces it; return whether that copy is still wanted. Ends any earlier claim."""
        self._claims = mine = self._claims + 1
        return lambda: self.open and self._claims == mine
