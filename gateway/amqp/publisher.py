"""Publishes with confirms and mandatory, pipelined, on a loop. A message's result is always the broker's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from domain.errors import BrokerUnavailable, MessageTooLarge, PublishRefused, WorkerError
from domain.message import Message
from gateway.amqp.confirm_channel import ConfirmChannel, Done
from gateway.amqp.link import Link
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.size_limit import SizeLimit
from gateway.loop import Loop

log = structlog.get_logger("workerrmq.amqp")

Wanted = Callable[[], bool]
"""Returns whether a message that waited for a channel must still be published. If not, its `done` is never called."""


@dataclass(frozen=True, slots=True)
class ChannelPeriods:
    """All values are in seconds."""

    renewal: float = 2.0
    """pause between the first refusal on a channel and the channel's replacement"""
    drain: float = 60.0
    """time for the broker to confirm the messages on a replaced channel"""


class Publisher:
    """Publishes messages. Owned by the loop's thread. Without a channel, messages wait in the order of `publish`."""

    def __init__(
        self,
        loop: Loop,
        nodes: BrokerNodes,
        name: str,
        *,
        patient: bool = False,
        periods: ChannelPeriods = ChannelPeriods(),
    ) -> None:
        """A `patient` publisher waits for confirms while the broker blocks it, which suits callers without a
        deadline."""
        self._loop, self._name, self._patient, self._periods = loop, name, patient, periods
        self._link = Link(loop, nodes, name, on_up=self._connected, on_down=self._disconnected)
        self.on_up: Callable[[Any], None] = lambda _connection: None
        """called with each new connection"""
        self.on_down: Callable[[], None] = lambda: None
        """called when the connection is lost"""
        self._connection: Any = None
        self._channel: ConfirmChannel | None = None  # to publish on
        self._channels: list[ConfirmChannel] = []  # includes replaced ones that wait for their last confirms
        self.blocked: str | None = None
        """why the broker blocks the connection (https://www.rabbitmq.com/docs/alarms), or None"""
        self._sizes = SizeLimit(self._send_waiting)
        self._waiting: deque[tuple[Message, Done, Wanted]] = deque()

    def open(self) -> None:
        self._link.open()

    def close(self) -> None:
        self._link.close()

    @property
    def up(self) -> bool:
        return self._channel is not None

    @property
    def error(self) -> str | None:
        """Why there is no connection."""
        return self._link.error

    @property
    def closed(self) -> bool:
        return self._link.closed

    @property
    def pending(self) -> int:
        """The number of messages without a result."""
        return sum(channel.pending for channel in self._channels) + len(self._waiting)

    def publish(self, message: Message, done: Done, wanted: Wanted = lambda: True) -> None:
        """Publish a message as soon as there is a channel, if it is `wanted` then.

        `done` is always called from the loop. It gets None, Unroutable, PublishRefused (the broker refused),
        Unwritable, MessageTooLarge, or PublishUnconfirmed (the connection was lost before the confirm).
        """
        if self._channel is None or not self._channel.is_open or self._sizes.learning:
            self._waiting.append((message, done, wanted))  # another channel follows one that is closing
            return
        allowed = self._sizes.allows(len(message.body))
        if allowed:
            self._channel.publish(message, done)
        elif allowed is None:
            self._waiting.append((message, done, wanted))
            self._sizes.learn(len(message.body))
        else:
            done(_too_large(len(message.body), self._sizes.limit))

    def give_up(self, done: Done) -> bool:
        """Remove a message that waits for a channel. Return False if it was sent, or is unknown."""
        for item in self._waiting:
            if item[1] is done:
                self._waiting.remove(item)
                return True
        return False

    def renew(self) -> None:
        """Replace the channel, because the broker does not confirm a message on it. The message gets its result after
        `ChannelPeriods.drain`."""
        if self._channel is not None:
            self._channel.doubt()

    # --- what pika calls -------------------------------------------------------------------------------------------

    def _connected(self, connection: Any) -> None:
        self._connection = connection
        self._sizes.reset(connection)
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._open_channel()
        self.on_up(connection)

    def _open_channel(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._opened)

    def _disconnected(self, reason: str) -> None:
        self._connection, self.blocked = None, None
        for channel in list(self._channels):
            self._lose(channel, "The connection to the broker was lost", reason)
        self.on_down()

    def _opened(self, channel: Any) -> None:
        opened = ConfirmChannel(self._connection, channel, self._refused)
        channel.add_on_close_callback(lambda _channel, reason: self._channel_closed(opened, reason))
        opened.open(self._ready)

    def _ready(self, channel: ConfirmChannel) -> None:
        replaced, self._channel = self._channel, channel
        self._channels.append(channel)
        if replaced is not None:
            replaced.retire()
            self._loop.call_later(self._periods.drain, replaced.close)
        elif not self._sizes.learning:
            self._sizes.learn()

    def _refused(self, channel: ConfirmChannel) -> None:
        """Replace the channel after a pause. RabbitMQ keeps the state of a quorum queue per channel: if a channel first
        published to the queue while it had no leader, 3.10 refuses all its messages until the old leader's node is
        back, but accepts them on a new channel. The pause is for full queues, which refuse on every channel."""

        def replace() -> None:
            if channel is self._channel:
                self._open_channel()

        self._loop.call_later(self._periods.renewal, replace)

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for message, done, wanted in waiting:
            if wanted():
                self.publish(message, done, wanted)

    def _channel_closed(self, channel: ConfirmChannel, reason: BaseException) -> None:
        if channel not in self._channels or self._connection is None or not self._connection.is_open:
            return
        if channel is not self._channel:
            self._lose(channel, "The channel was replaced", str(reason))
            return
        text = getattr(reason, "reply_text", "") or str(reason)
        log.warning("publisher_channel_closed", connection=self._name, reason=text)
        self._lose(channel, "The broker closed the channel", text)
        self._loop.call_later(0.25, self._open_channel)

    def _lose(self, channel: ConfirmChannel, event: str, reason: str) -> None:
        self._channels.remove(channel)
        if channel is self._channel:
            self._channel = None
        channel.lose(event, reason, named_only=not self._patient)

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self.blocked = frame.method.reason or "resource alarm"
        log.warning("broker_blocked", connection=self._name, reason=self.blocked)
        if self._patient:
            return
        blocked = [done for channel in self._channels for done in channel.forget()]
        waiting, self._waiting = self._waiting, deque()  # they wait for a probe of the size limit
        for done in [*blocked, *(done for _, done, _ in waiting)]:
            done(refused_while_blocked(self.blocked))

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self.blocked = None
        log.info("broker_unblocked", connection=self._name)


def _too_large(size: int, limit: int | None) -> WorkerError:
    return MessageTooLarge(f"The message has {size} bytes; the broker allows {limit} (max_message_size).")


def refused_while_blocked(reason: str) -> WorkerError:
    """Return the error of a publish under a memory or disk alarm."""
    return PublishRefused(
        f"The broker accepts no messages now ({reason}). Messages that were already sent may be published later.",
        retry_after=5,
    )


def unavailable(reason: str | None) -> WorkerError:
    """Return the error of a publish without a connection; the message was not sent."""
    return BrokerUnavailable(f"The broker cannot be reached ({reason or 'connecting'}).", retry_after=5)
