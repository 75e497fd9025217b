"""Publishes with confirms and mandatory, pipelined, on a loop. A message's result is always the broker's."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from domain.errors import BrokerUnavailable, MessageTooLarge, PublishRefused, WorkerError
from domain.message import Message
from gateway.amqp.confirm_channel import Done
from gateway.amqp.link import Link
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.outlet import ChannelPeriods, Outlet, Waiting, Wanted
from gateway.amqp.size_limit import SizeLimit
from gateway.loop import Loop, contained

log = structlog.get_logger("workerrmq.amqp")

_MOST_OUTLETS = 256
"""Maximum number of outlets. It is less if the broker allows fewer than twice as many channels."""
_NAMED = 10
"""Maximum number of queues that a log line names."""
_SHARED = None
"""The key of the outlet of all exchanges that find no other."""
_Key = str | tuple[str] | None
"""The key of an outlet: an exchange, a queue that may have stopped a channel (in a tuple), or _SHARED."""


class Publisher:
    """Publishes messages. Owned by the loop's thread. Without a channel, messages wait.

    Messages to one exchange keep the order of `publish` while the broker confirms them. RabbitMQ stops a channel that
    publishes to a quorum queue without a leader: 4.0.5 for 65 seconds. If that may have happened to the channel of the
    default exchange, the channel is replaced, and each queue with unconfirmed messages on it gets a separate one, until
    the broker confirms messages to the queue. The channel of another exchange can stop only messages to that exchange.
    """

    def __init__(
        self,
        loop: Loop,
        nodes: BrokerNodes,
        name: str,
        *,
        patient: bool = False,
        periods: ChannelPeriods = ChannelPeriods(),  # noqa: B008 - immutable
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
        self.blocked: str | None = None
        """why the broker blocks the connection (https://www.rabbitmq.com/docs/alarms), or None"""
        self._sizes = SizeLimit(self._send_waiting)
        self._outlets: dict[_Key, Outlet] = {}  # of this connection; "" is always there
        self._silent: dict[str, float] = {}  # queues that may have stopped a channel, and when they last may have
        self._calm_at = 0.0  # earliest time at which silence is none of a resource alarm
        self._waiting: deque[Waiting] = deque()  # messages that wait for a connection, or for a probe of the size limit

    def open(self) -> None:
        self._link.open()
        self._watch()

    def close(self) -> None:
        self._link.close()

    @property
    def up(self) -> bool:
        return bool(self._outlets and self._outlets[""].up)

    @property
    def accepts(self) -> bool:
        """Whether there is a channel, and the broker reads from the connection."""
        return self.up and self.blocked is None

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
        return sum(outlet.pending for outlet in self._outlets.values()) + len(self._waiting)

    def publish(self, message: Message, done: Done, wanted: Wanted = lambda: True) -> None:
        """Publish a message as soon as there is a channel, if it is `wanted` then.

        `done` is always called from the loop. It gets None, Unroutable, PublishRefused (the broker refused),
        Unwritable, MessageTooLarge, or PublishUnconfirmed (the connection was lost before the confirm).
        """
        if self._connection is None or not self._connection.is_open or self._sizes.learning:
            self._waiting.append(Waiting(message, done, wanted))
            return
        allowed = self._sizes.allows(len(message.body))
        if allowed:
            self._outlet(message.exchange, message.routing_key).publish(message, done, wanted)
        elif allowed is None:
            self._waiting.append(Waiting(message, done, wanted))
            self._sizes.learn(len(message.body))
        else:
            done(_too_large(len(message.body), self._sizes.limit))

    def give_up(self, done: Done) -> bool:
        """Remove a message that waits for a channel. Return False if it was sent, or is unknown."""
        for waiting in (self._waiting, *(outlet.waiting for outlet in self._outlets.values())):
            for one in waiting:
                if one.done is done:
                    waiting.remove(one)
                    return True
        return False

    def renew(self, exchange: str, routing_key: str) -> None:
        """Replace the channel of a queue or exchange, because the broker does not confirm a message on it. The message
        gets its result after `ChannelPeriods.drain`."""
        if self._outlets:
            self._outlet(exchange, routing_key).doubt()

    def _outlet(self, exchange: str, routing_key: str) -> Outlet:
        """Return the outlet of a queue or exchange. If there are too many, close one that is idle, or return the shared
        one."""
        key: _Key = exchange
        if not exchange and routing_key in self._silent:
            key = (routing_key,)
        most = min(_MOST_OUTLETS, self._connection.params.channel_max // 2)
        if key not in self._outlets and len(self._outlets) >= most - 1:  # one is left for the shared one
            idle = next((name for name, outlet in self._outlets.items() if name and outlet.idle), None)
            if idle is None:
                key = _SHARED
            else:
                self._outlets.pop(idle).close()
        if key not in self._outlets:
            served = "" if key is _SHARED else exchange
            self._outlets[key] = Outlet(self._loop, self._name, served, self._connection, self._periods)
        return self._outlets[key]

    def _watch(self) -> None:
        """Replace channels on which the broker confirms nothing."""
        self._loop.call_later(self._periods.silence, self._watch)
        now = time.monotonic()
        for key, outlet in list(self._outlets.items()):
            if not outlet.check() or self.blocked is not None or now < self._calm_at:
                if isinstance(key, tuple) and outlet.answers:
                    self._silent.pop(key[0], None)
            elif key == "":
                self._part(outlet, now)
            else:
                if isinstance(key, tuple):
                    self._silent[key[0]] = now
                if outlet.old:  # RabbitMQ may never confirm a message on this channel
                    outlet.move()
        self._silent = {queue: at for queue, at in self._silent.items() if now - at < self._periods.apart}
        for key, outlet in list(self._outlets.items()):
            if isinstance(key, tuple) and key[0] not in self._silent and outlet.idle:
                self._outlets.pop(key).close()

    def _part(self, outlet: Outlet, now: float) -> None:
        """Replace the channel of the default exchange. Each queue that may have stopped it gets another one."""
        queues = outlet.routing_keys()
        log.warning("publishing_stalled", connection=self._name, queues=list(queues)[:_NAMED])
        self._silent |= dict.fromkeys(queues, now)
        outlet.move()

    # --- what pika calls -------------------------------------------------------------------------------------------

    def _connected(self, connection: Any) -> None:
        self._connection = connection
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._sizes.reset(connection)
        self._outlets = {"": Outlet(self._loop, self._name, "", connection, self._periods)}
        self._sizes.learn()
        self.on_up(connection)

    def _disconnected(self, reason: str) -> None:
        self._connection, self.blocked = None, None
        outlets, self._outlets = self._outlets, {}
        for outlet in outlets.values():
            self._waiting += outlet.waiting
            outlet.disconnected(reason)
        self.on_down()

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for one in waiting:
            if one.wanted():
                contained(self.publish, *one)

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self.blocked = frame.method.reason or "resource alarm"
        log.warning("broker_blocked", connection=self._name, reason=self.blocked)
        if self._patient:
            return
        waiting, self._waiting = self._waiting, deque()
        dropped = [one.done for one in waiting]
        for outlet in self._outlets.values():
            dropped += outlet.forget()
        for done in dropped:
            contained(done, refused_while_blocked(self.blocked))

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self.blocked = None
        self._calm_at = time.monotonic() + self._periods.silence
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
