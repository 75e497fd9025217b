"""A confirm channel for the messages to one exchange, replaced when the broker closes it or refuses messages on it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from pika.exceptions import NoFreeChannels

from domain.errors import BrokerUnavailable, WorkerError
from domain.message import Message
from gateway.amqp.confirm_channel import ConfirmChannel, Done, destination
from gateway.loop import Loop, contained

log = structlog.get_logger("workerrmq.amqp")

_SILENT = 30
"""Maximum number of messages on a channel on which the broker confirms nothing. RabbitMQ stops reading from the whole
connection when a stopped channel has 400 more (`credit_flow_default_credit`)."""

Wanted = Callable[[], bool]
"""Returns whether a message that waited for a channel must still be published. If not, its `done` is never called."""


@dataclass(frozen=True, slots=True)
class ChannelPeriods:
    """All values are in seconds."""

    renewal: float = 2.0
    """pause between the first refusal on a channel and the channel's replacement"""
    drain: float = 60.0
    """time for the broker to confirm the messages on a replaced channel"""
    reopening: float = 0.25
    """pause before a channel that the broker closed is opened again"""
    refusal: float = 0.0
    """time for which an exchange that the broker refused is not tried again"""
    silence: float = 1.0
    """interval between two checks whether the broker confirms messages; a channel on which it confirms nothing for one
    to two intervals is replaced"""
    apart: float = 600.0
    """time for which a queue that may have stopped a channel has a separate one"""


class Waiting(NamedTuple):
    """A message that waits for a channel."""

    message: Message
    done: Done
    wanted: Wanted


class Outlet:
    """The messages to one `exchange` on one connection; empty for the default exchange, and for exchanges that share a
    channel because there are too many. Owned by the loop's thread.

    The broker closes the channel of a message whose exchange is missing, is internal or may not be used by our user
    (AMQP 0-9-1 §1.8.3.7). Because each exchange has a separate channel, no other message loses its confirm then.
    """

    def __init__(self, loop: Loop, name: str, exchange: str, connection: Any, periods: ChannelPeriods) -> None:
        self._loop, self._name, self._exchange, self._connection = loop, name, exchange, connection
        self._periods = periods
        self._refusal: WorkerError | None = None  # why the exchange cannot be published to
        self.waiting: deque[Waiting] = deque()
        self._channel: ConfirmChannel | None = None  # to publish on
        self._channels: list[ConfirmChannel] = []  # includes those that open, and replaced ones with open confirms
        self._ready_at = 0.0  # when the channel to publish on was opened
        self._moving = False  # whether it gets no more messages, and the next one opens
        self._ended = False  # whether no more channels open
        self._open()

    @property
    def up(self) -> bool:
        return self._channel is not None

    @property
    def pending(self) -> int:
        """The number of messages without a result."""
        return sum(channel.pending for channel in self._channels) + len(self.waiting)

    def publish(self, message: Message, done: Done, wanted: Wanted) -> None:
        """Send a message, now or when there is a channel again; `done` gets the reason if the exchange is refused."""
        if self._refusal is not None:
            done(self._refusal)
        elif self._channel is None or self._moving or not self._channel.is_open:
            self.waiting.append(Waiting(message, done, wanted))
        elif self._channel.silent > 1 and self._channel.pending >= _SILENT:
            done(_silent(message))
        else:
            self._channel.publish(message, done)

    @property
    def idle(self) -> bool:
        return self.up and not self.pending

    def check(self) -> bool:
        """Return whether the broker has confirmed nothing on the channel since the last check, although it had messages
        then."""
        return self._channel is not None and not self._moving and self._channel.check()

    @property
    def answers(self) -> bool:
        """Whether the broker has confirmed a message on the channel, and has never been silent."""
        return self._channel is not None and self._channel.answers

    @property
    def old(self) -> bool:
        """Whether the channel was opened so long ago that those before it were closed."""
        return time.monotonic() - self._ready_at > self._periods.drain

    def routing_keys(self) -> dict[str, None]:
        """Return those of the messages without a result on the channel, in their order."""
        return self._channel.routing_keys() if self._channel is not None else {}

    def move(self) -> None:
        """Send no more messages on the channel, and open another."""
        self._moving = True
        self._open()

    def doubt(self) -> None:
        """Have the channel replaced."""
        if self._channel is not None:
            self._channel.doubt()

    def forget(self) -> list[Done]:
        """Remove all messages and return their callbacks; the caller gives each its result."""
        waiting, self.waiting = self.waiting, deque()
        return [*(done for channel in self._channels for done in channel.forget()), *(one.done for one in waiting)]

    def close(self) -> None:
        """Close all channels. The exchange must be idle."""
        self._ended = True
        for channel in self._channels:
            channel.retire()

    def disconnected(self, reason: str) -> None:
        """Give each sent message its result after the connection was lost."""
        for channel in list(self._channels):
            self._lose(channel, "The connection to the broker was lost", reason, blame=False)

    def _open(self) -> None:
        self._refusal = None
        if self._ended or not self._connection.is_open:
            return
        try:
            self._connection.channel(on_open_callback=self._opened)
        except NoFreeChannels:
            self._loop.call_later(self._periods.reopening, self._open)

    def _opened(self, channel: Any) -> None:
        if self._ended:
            channel.close()
            return
        opened = ConfirmChannel(self._connection, channel, self._refused)
        self._channels.append(opened)
        channel.add_on_close_callback(lambda _channel, reason: self._closed(opened, reason))
        opened.open(self._ready)

    def _ready(self, channel: ConfirmChannel) -> None:
        replaced, self._channel = self._channel, channel
        self._ready_at, self._moving = time.monotonic(), False
        if replaced is not None:
            replaced.retire()
            self._loop.call_later(self._periods.drain, replaced.close)
        self._send_waiting()

    def _refused(self, channel: ConfirmChannel) -> None:
        """Replace the channel after a pause. RabbitMQ keeps the state of a quorum queue per channel: if a channel first
        published to the queue while it had no leader, 3.10 refuses all its messages until the old leader's node is
        back, but accepts them on a new channel. The pause is for full queues, which refuse on every channel."""

        def replace() -> None:
            if channel is self._channel:
                self._open()

        self._loop.call_later(self._periods.renewal, replace)

    def _closed(self, channel: ConfirmChannel, reason: BaseException) -> None:
        if channel not in self._channels or not self._connection.is_open:
            return
        text = getattr(reason, "reply_text", "") or str(reason)
        if channel.retired:
            self._lose(channel, "The channel was replaced", text, blame=False)
            return
        log.warning("publisher_channel_closed", connection=self._name, exchange=self._exchange, reason=text)
        refusal = self._lose(channel, "The broker closed the channel", text, blame=True)
        if refusal is None or not self._exchange:  # the default exchange always exists; several may share a channel
            self._loop.call_later(self._periods.reopening, self._open)
            return
        self._refusal = refusal
        self._loop.call_later(self._periods.refusal, self._open)
        self._send_waiting()

    def _send_waiting(self) -> None:
        waiting, self.waiting = self.waiting, deque()
        for one in waiting:
            if one.wanted():
                contained(self.publish, *one)

    def _lose(self, channel: ConfirmChannel, event: str, reason: str, *, blame: bool) -> WorkerError | None:
        self._channels.remove(channel)
        if channel is self._channel:
            self._channel = None
        return channel.lose(event, reason, blame=blame)


def _silent(message: Message) -> WorkerError:
    place = destination(message.exchange, message.routing_key)
    return BrokerUnavailable(
        f"The broker has not confirmed the last {_SILENT} messages for {place}, so this one was not sent. A node of a "
        "queue may be down, or RabbitMQ may have lost a queue.",
        retry_after=5,
    )
