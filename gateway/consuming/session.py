"""One channel of a consumer: its open deliveries and their acks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from delivery.acks import AckWindow
from delivery.copies import Source
from gateway.loop import Loop


class Session:
    """The deliveries of one channel. Delivery tags are valid only on their channel, so they are dropped when it closes.
    Owned by the loop's thread."""

    __slots__ = (
        "_ends", "_loop", "_on_idle", "_prefetch", "_straggler", "_timer", "_window", "alive", "channel", "unsettled",
    )  # fmt: skip

    def __init__(
        self, loop: Loop, channel: Any, prefetch: int, on_idle: Callable[[], None], straggler: float = 0.02
    ) -> None:
        """A finished delivery waits `straggler` seconds for an earlier one, so that one frame can ack both."""
        self._loop, self._prefetch, self._on_idle, self._straggler = loop, prefetch, on_idle, straggler
        self._window = AckWindow()
        self._timer = self._ends = False  # whether _on_timer, and _turn_ends, will be called
        self.channel = channel
        self.alive = True
        """whether the channel can still settle deliveries"""
        self.unsettled: dict[int, Any] = {}
        """open deliveries by tag: a Delivery for a consumer, a due message for DueRetries"""

    def finish(self, tag: int) -> None:
        """Ack a delivery, at the end of this turn or soon after. A delivery is settled once: a second time does
        nothing, because RabbitMQ closes the channel with 406 for an unknown tag."""
        if self._done(tag):
            self._window.finish(tag)

    def give_back(self, tag: int) -> None:
        """Requeue a delivery by nack, which since RabbitMQ 4.3 does not count towards the delivery limit."""
        if self._done(tag):
            if self.channel.is_open:
                self.channel.basic_nack(tag, requeue=True)
            self._window.settled(tag)

    def leave(self, tag: int) -> None:
        """Leave a delivery unsettled: it returns to its place when the channel closes."""
        self._done(tag)

    def lose(self) -> None:
        """Forget all deliveries: the channel is closed, and the broker redelivers them."""
        self.alive = False
        self.unsettled.clear()

    def close(self, reason: str, consumer_tag: str | None = None) -> None:
        """Send the outstanding acks, then close the channel; the broker requeues open deliveries. The consumer is
        cancelled first: otherwise the broker would deliver one more message after an ack, and count its return."""
        if consumer_tag is not None and self.alive and self.channel.is_open:
            self.channel.basic_cancel(consumer_tag)
        self.flush()
        self._ack_stragglers()
        if self.alive and self.channel.is_open:
            self.channel.close(reply_text=reason)

    def flush(self) -> None:
        """Ack the finished run. Deliveries that finished behind an open one wait for the straggler timer, or until they
        are a quarter of the prefetch."""
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

    def _done(self, tag: int) -> bool:
        """Remove a delivery; return whether it was open."""
        if self.unsettled.pop(tag, None) is None:
            return False
        if not self._ends:
            self._ends = True
            self._loop.at_turn_end(self._turn_ends)
        return True

    def _turn_ends(self) -> None:
        self._ends = False
        self.flush()
        if not self.unsettled:
            self._on_idle()


class Delivery:
    """One message and the session that settles it, in whose `unsettled` it is from its arrival."""

    __slots__ = (
        "_claims", "abandoned", "arrived", "attempt", "awaited", "began", "first_failed", "key", "probe", "redelivered",
        "session", "source", "span", "succeeded", "tag", "tries",
    )  # fmt: skip

    def __init__(
        self, session: Session, tag: int, source: Source, attempt: int, now: float, *, redelivered: bool = False
    ) -> None:
        """`now` is in seconds of the monotonic clock. `redelivered` is the broker's flag."""
        self.session, self.tag, self.arrived = session, tag, now
        self.source, self.attempt, self.redelivered = source, attempt, redelivered
        self.key: Hashable = None
        """key of its lane, if the consumer is ordered"""
        self.probe = False
        """whether it is the probe of a half-open breaker"""
        self.began: float | None = None
        """when its request began, if the requests in flight are limited; seconds of the monotonic clock"""
        self.awaited = False
        """whether the answer to its attempt is still to come; a second answer is ignored"""
        self.first_failed: float | None = None
        """Unix seconds, if the message's headers do not have the time"""
        self.abandoned = False
        """whether a copy at the end of its queue replaces it although its request is in flight"""
        self.succeeded = False
        """whether its target has succeeded, so that the copy in flight is the reply"""
        self.tries = 0
        """number of refusals of its copy"""
        self.span: Any = None
        """span of the attempt in flight, if attempts are traced"""
        self._claims = 0
        session.unsettled[tag] = self

    @property
    def open(self) -> bool:
        """Whether the delivery can still be settled."""
        return self.tag in self.session.unsettled  # which is empty once the channel is lost

    def hand_over(self, other: Delivery) -> None:
        """Let another delivery of the same batch stand for the request."""
        other.probe, self.probe = self.probe, False
        other.began, self.began = self.began, None

    def claim(self) -> Callable[[], bool]:
        """Start a copy that replaces the delivery, and end any earlier claim. Return a function that tells whether that
        copy is still wanted."""
        self._claims = mine = self._claims + 1
        return lambda: self.open and self._claims == mine
