"""Publishing with confirms and mandatory, pipelined, on a loop. What it says of a message is what the broker said."""

from __future__ import annotations

import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any

import pika
import structlog

from domain.errors import (
    BrokerUnavailable,
    MessageTooLarge,
    PublishRefused,
    PublishUnconfirmed,
    Unroutable,
    Unwritable,
    WorkerError,
)
from domain.message import Message
from gateway.amqp.frames import publish_frames
from gateway.amqp.link import Link
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.size_limit import SizeLimit
from gateway.loop import Loop
from gateway.permissions import ACCESS_REFUSED, PUBLISH, missing_permission

log = structlog.get_logger("workerrmq.amqp")

Done = Callable[[WorkerError | None], None]
"""Called once for each message: None when it is confirmed and routed."""
Wanted = Callable[[], bool]
"""Whether a message that has waited for a channel is still to be published; if not, nobody is told."""


class Publisher:
    """Owned by the loop's thread. While there is no channel, messages wait in `publish`'s order."""

    def __init__(
        self,
        loop: Loop,
        nodes: BrokerNodes,
        name: str,
        *,
        patient: bool = False,
    ) -> None:
        """A `patient` one waits for its confirms while the broker blocks it, as those can who have no deadline."""
        self._loop, self._name, self._patient = loop, name, patient
        self._link = Link(loop, nodes, name, on_up=self._connected, on_down=self._disconnected)
        self._connection: Any = None
        self.channel: Any = None
        """the open channel in confirm mode, or None"""
        self.blocked: str | None = None
        """why the broker takes nothing from us for now (https://www.rabbitmq.com/docs/alarms), or None"""
        self._sizes = SizeLimit(self._send_waiting)
        self._tag = 0
        self._unconfirmed: OrderedDict[int, _Sent] = OrderedDict()  # oldest first, cheap to take from the front
        self._waiting: deque[tuple[Message, Done, Wanted]] = deque()

    def open(self) -> None:
        self._link.open()

    def close(self) -> None:
        self._link.close()

    @property
    def up(self) -> bool:
        return self.channel is not None

    @property
    def error(self) -> str | None:
        """Why there is no connection."""
        return self._link.error

    @property
    def closed(self) -> bool:
        return self._link.closed

    @property
    def pending(self) -> int:
        """Messages whose fate is not known yet."""
        return len(self._unconfirmed) + len(self._waiting)

    def publish(self, message: Message, done: Done, wanted: Wanted = lambda: True) -> None:
        """Publish once there is a channel, if it is `wanted` then. `done` gets Unroutable, PublishRefused (the broker
        said no), Unwritable, MessageTooLarge or PublishUnconfirmed (the connection went first); it is always called
        from the loop."""
        if self.channel is None or not self.channel.is_open or not self._connection.is_open or self._sizes.learning:
            self._waiting.append((message, done, wanted))  # a channel that is closing is followed by another
            return
        allowed = self._sizes.allows(len(message.body))
        if allowed:
            self._send(message, done)
        elif allowed is None:
            self._waiting.append((message, done, wanted))
            self._sizes.learn(len(message.body))
        else:
            done(_too_large(len(message.body), self._sizes.limit))

    def give_up(self, done: Done) -> bool:
        """Forget a message that still waits for a channel. False when it was sent, or is not ours."""
        for item in self._waiting:
            if item[1] is done:
                self._waiting.remove(item)
                return True
        return False

    def _send(self, message: Message, done: Done) -> None:
        try:
            frames = publish_frames(self.channel.channel_number, self._connection.params.frame_max, message)
        except (pika.exceptions.AMQPError, ValueError, TypeError, AssertionError, struct.error) as exc:
            done(Unwritable(f"The message cannot be written as AMQP: {exc or type(exc).__name__}."))
            return
        self._connection.write(frames)
        self._tag += 1
        self._unconfirmed[self._tag] = _Sent(message, done)

    # --- what pika calls -------------------------------------------------------------------------------------------

    def _connected(self, connection: Any) -> None:
        self._connection = connection
        self._sizes.reset(connection)
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._open_channel()

    def _open_channel(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._opened)

    def _disconnected(self, reason: str) -> None:
        self._connection, self.blocked = None, None
        self._lose("The connection to the broker was lost", reason)

    def _opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _frame: self._ready(channel))

    def _ready(self, channel: Any) -> None:
        self.channel, self._tag = channel, 0
        if not self._sizes.learning:
            self._sizes.learn()

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for message, done, wanted in waiting:
            if wanted():
                self.publish(message, done, wanted)

    def _channel_closed(self, channel: Any, reason: BaseException) -> None:
        if channel is self.channel and self._connection is not None and self._connection.is_open:
            text = getattr(reason, "reply_text", "") or str(reason)
            log.warning("publisher_channel_closed", connection=self._name, reason=text)
            self._lose("The broker closed the channel", text)
            self._loop.call_later(0.25, self._open_channel)

    def _lose(self, event: str, reason: str) -> None:
        self.channel = None
        lost, self._unconfirmed = self._unconfirmed, OrderedDict()
        exchanges = {sent.key[0] for sent in lost.values()}
        blamed = _blamed(exchanges, reason, named_only=not self._patient)
        for sent in lost.values():
            sent.done(_lost(sent, event, reason, blamed))

    def _on_return(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        """RabbitMQ returns a message before it confirms it, in the order of publishing, so the first open one that
        looks the same is the one (https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed)."""
        key = (method.exchange, method.routing_key, properties.message_id)
        for sent in self._unconfirmed.values():
            if sent.returned is None and sent.key == key:
                sent.returned = f"{method.reply_code} {method.reply_text}"
                return

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        refused = method.NAME == "Basic.Nack"
        tag = method.delivery_tag
        if not method.multiple:
            sent = self._unconfirmed.pop(tag, None)  # None: it was answered already, when the broker blocked us
            if sent is not None:
                sent.done(_verdict(sent, refused))
            return
        while self._unconfirmed and next(iter(self._unconfirmed)) <= tag:
            _, sent = self._unconfirmed.popitem(last=False)
            sent.done(_verdict(sent, refused))

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self.blocked = frame.method.reason or "resource alarm"
        log.warning("broker_blocked", connection=self._name, reason=self.blocked)
        if self._patient:
            return
        blocked, self._unconfirmed = self._unconfirmed, OrderedDict()
        waiting, self._waiting = self._waiting, deque()  # for the size limit, which no probe tells now
        for done in [*(sent.done for sent in blocked.values()), *(done for _, done, _ in waiting)]:
            done(refused_while_blocked(self.blocked))

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self.blocked = None
        log.info("broker_unblocked", connection=self._name)


class _Sent:
    __slots__ = ("done", "key", "returned")

    def __init__(self, message: Message, done: Done) -> None:
        self.done = done
        self.key = (message.exchange, message.routing_key, message.properties.message_id)
        self.returned: str | None = None


_DEFAULT = "amq.default"
"""The default exchange, as RabbitMQ calls it in reasons and in permissions."""


def _verdict(sent: _Sent, refused: bool) -> WorkerError | None:
    exchange, routing_key, _ = sent.key
    if refused:
        place = f"a queue that {destination(exchange, routing_key)} leads to" if exchange else f"queue {routing_key!r}"
        return PublishRefused(f"The broker refused the message: {place} is full or unavailable.")
    if sent.returned is None:
        return None
    if not exchange:
        return Unroutable(f"There is no queue named {routing_key!r}; create it first.")
    return Unroutable(f"Exchange {exchange!r} has no queue bound for routing key {routing_key!r}; bind one first.")


def _blamed(exchanges: Iterable[str], reason: str, *, named_only: bool) -> set[str]:
    """The exchanges for which the broker closed the channel: it is missing, internal, or closed to our user. The reason
    cuts a long name; then, unless `named_only`, every exchange that is not ours is under suspicion."""
    if "NOT_FOUND" not in reason and "ACCESS_REFUSED" not in reason:
        return set()
    named = {name for name in exchanges if f"'{name or _DEFAULT}'" in reason}
    if named or named_only:
        return named
    return {name for name in exchanges if name and not name.startswith("workerrmq.")}


def _lost(sent: _Sent, event: str, reason: str, blamed: set[str]) -> WorkerError:
    exchange = sent.key[0]
    if exchange in blamed:
        reason = missing_permission(reason, PUBLISH) or reason
        if not exchange:  # it is always there
            return BrokerUnavailable(f"{reason}.", code=ACCESS_REFUSED)
        return Unroutable(
            f"The exchange {exchange!r} cannot be published to: {reason}. Create it, or allow it, first.",
            code="exchange_not_found",
        )
    return PublishUnconfirmed(f"{event} before it confirmed the message ({reason}); it may have been published.")


def destination(exchange: str, routing_key: str) -> str:
    """The queue or exchange that a message is published to, as an error text names it."""
    return f"exchange {exchange!r} with routing key {routing_key!r}" if exchange else f"queue {routing_key!r}"


def _too_large(size: int, limit: int | None) -> WorkerError:
    return MessageTooLarge(f"The message has {size} bytes; the broker allows {limit} (max_message_size).")


def refused_while_blocked(reason: str) -> WorkerError:
    """What publishing says under a memory or disk alarm."""
    return PublishRefused(
        f"The broker takes no messages at the moment ({reason}); what it was already sent may be published later.",
        retry_after=5,
    )


def unavailable(reason: str | None) -> WorkerError:
    """What publishing says without a connection: nothing was sent."""
    return BrokerUnavailable(f"The broker cannot be reached ({reason or 'connecting'}).", retry_after=5)
