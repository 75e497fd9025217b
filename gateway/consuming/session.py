"""The life of one channel of a consumer: the deliveries that are open on it, and their acks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from delivery.acks import AckWindow
from delivery.copies import Source
from gateway.loop import Loop

_STRAGGLER = 0.02
"""Seconds that a finished delivery waits for an earlier one, so that both are acked in one frame."""


class Session:
    """Owned by the loop's thread. Delivery tags mean nothing outside it, so once it is lost, so are they."""

    __slots__ = ("_loop", "_on_idle", "_prefetch", "_timer", "_window", "alive", "channel", "in_flight")

    def __init__(self, loop: Loop, channel: Any, prefetch: int, on_idle: Callable[[], None]) -> None:
        self._loop, self._prefetch, self._on_idle = loop, prefetch, on_idle
        self._window = AckWindow()
        self._timer = False
        self.channel = channel
        self.alive = True
        """whether settling on it still means something"""
        self.in_flight = 0

    def arrived(self) -> None:
        """One more delivery is open."""
        self.in_flight += 1

    def finish(self, tag: int) -> None:
        """Its fate is safe: ack it, at the end of this turn or soon after."""
        self._window.finish(tag)
        self._done()

    def give_back(self, tag: int) -> None:
        """Requeue it. By nack: from RabbitMQ 4.3 on that alone costs no try of the delivery limit."""
        if self.alive and self.channel.is_open:
            self.channel.basic_nack(tag, requeue=True)
        self._window.settled(tag)
        self._done()

    def leave(self) -> None:
        """One more that stays unsettled: it goes back when the channel closes, in its old place."""
        self._done()

    def lose(self) -> None:
        """The channel is gone; the broker hands out anew what was open."""
        self.alive = False
        self.in_flight = 0

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
            self._loop.call_later(_STRAGGLER, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = False
        self.flush()
        self._ack_stragglers()

    def _ack_stragglers(self) -> None:
        if self.alive and self.channel.is_open:
            for tag in self._window.take_stragglers():
                self.channel.basic_ack(tag)

    def _done(self) -> None:
        self.in_flight -= 1
        self._loop.at_turn_end(self.flush)
        if self.in_flight == 0:
            self._loop.at_turn_end(self._on_idle)


class Delivery:
    """One message in flight, and where to settle it."""

    __slots__ = (
        "arrived", "attempt", "first_failed", "given_back", "key", "probe", "session", "source", "span", "tag", "tries",
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
        self.given_back = False
        """whether it went back because its copy was refused for too long"""
        self.tries = 0
        """how often its copy was refused"""
        self.span: Any = None
        """of the attempt under way, where attempts are traced"""

    @property
    def open(self) -> bool:
        """Whether a copy of it is still wanted: it is on a live channel, and has not been given back."""
        return self.session.alive and not self.given_back
