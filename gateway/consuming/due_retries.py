"""Forwards due messages from `workerrmq.due`: retries to their queues, scheduled messages to their queues or exchanges.

A worker carries out this hop because RabbitMQ's dead-letter worker cannot: while one queue refuses its retries, the
dead-letter worker delays those of all other queues (32 in flight, tried again after three minutes).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog
from pika.exceptions import NoFreeChannels

from delivery.backoff import reconnect_delay
from delivery.copies import due_again, passed
from delivery.scheduled import as_published, due_at, enter, seconds_in_levels
from domain.errors import PublishUnconfirmed, Unroutable, WorkerError
from domain.message import Message
from gateway.amqp.confirm_channel import destination
from gateway.amqp.declaring import Refused, declare, look_for, look_for_exchange
from gateway.amqp.pika_private import cancel
from gateway.amqp.topology import DUE, ORPHANS, OVERDUE, entrance
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")

_WINDOW = 1024
"""Maximum number of messages that a worker holds. It holds a scheduled message for less than a second."""

_CLOCKS_APART = 2
"""Seconds by which a scheduled message may be early because the clocks of two hosts differ."""

_Address = tuple[str, str]
"""The exchange and the routing key that a message is published to."""


class DueRetries:
    """Forwards messages. All workers share the work. Owned by the loop's thread.

    A message is acked after the broker has confirmed its copy: in its queue; in `workerrmq.overdue` if the queue
    refuses it, cannot be used or does not answer in time; in `workerrmq.orphans` if the queue or exchange is gone or
    the exchange has no matching binding; in the levels if a scheduled message is early. If the worker is killed in
    between, the message is delivered twice.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._loop, self._publisher, self._standing = wiring.loop, wiring.publisher, wiring.standing
        self._periods = wiring.periods
        self._connection: Any = None
        self._channel: Any = None
        self._tag: str | None = None
        self._open: set[_Due] = set()
        self._silent: Counter[_Address] = Counter()  # number of copies without an answer in time
        self._refusing: set[_Address] = set()  # addresses that refused their last message
        self._asking: dict[_Address, list[_Due]] = {}  # messages that wait for a check of their queue or exchange
        self._seen: dict[str, float] = {}  # by exchange: time of the last check that found it
        self._drained: Callable[[], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether no retry is in flight."""
        return not self._open

    def connected(self, connection: Any) -> None:
        """Consume retries on this connection, once their queue exists. The channel opens at once, before consumers use
        up the channels of the connection."""
        self._connection = connection
        self._open_channel()

    def disconnected(self) -> None:
        """Forget the messages in flight; the broker redelivers them."""
        self._connection = None
        self._lose()

    def verify(self) -> None:
        """Check that the exchange and the queue of due retries exist: an operator may have deleted them."""
        self._standing.need_return(self._take)

    def drain(self, drained: Callable[[], None]) -> None:
        """Stop consuming. `drained` is called when the last retry in flight is settled, if there is any."""
        self._drained = drained
        if self._tag is not None and self._channel.is_open:
            cancel(self._channel, self._tag, lambda: None)

    # --- taking -------------------------------------------------------------------------------------------------------

    def _open_channel(self) -> None:
        if self._channel is not None or self._connection is None or not self._connection.is_open:
            return
        try:
            self._channel = self._connection.channel(on_open_callback=self._opened)
        except NoFreeChannels:
            self._loop.call_later(self._periods.look_again, self._open_channel)

    def _opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._closed)
        channel.add_on_cancel_callback(lambda _frame: channel.close())
        self._standing.need_return(self._take)

    def _take(self) -> None:
        if self._tag is None and self._drained is None and self._channel is not None and self._channel.is_open:
            self._channel.basic_qos(prefetch_count=_WINDOW)
            self._tag = self._channel.basic_consume(DUE, self._arrived)

    def _closed(self, channel: Any, _reason: BaseException) -> None:
        if channel is not self._channel:
            return
        self._lose()
        self._standing.doubt()
        self._loop.call_later(self._periods.look_again, self._open_channel)

    def _lose(self) -> None:
        self._channel = self._tag = None
        self._open.clear()
        self._asking.clear()

    def _arrived(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if self._drained:  # it arrived after the cancel; the broker requeues it when the channel closes
            return
        copy = passed(method.routing_key, properties, body)
        due = due_at(copy)
        message = due_again(copy) if due is None else as_published(copy, due, time.time())
        one = _Due(channel, method.delivery_tag, copy, message)
        self._open.add(one)
        self._forward(one, due or 0.0)

    # --- one message --------------------------------------------------------------------------------------------------

    def _forward(self, one: _Due, due: float) -> None:
        """Publish a message at `due` (Unix seconds), never earlier."""
        now, exchange = time.time(), one.message.exchange
        if not self._wanted(one):
            return
        if delay := seconds_in_levels(due, now):
            self._wait_again(one, delay)
        elif due > now:
            self._loop.call_later(due - now, lambda: self._forward(one, due))
        elif self._silent[one.address]:
            self._keep(one, OVERDUE)
        elif exchange and self._seen.get(exchange, 0.0) < time.monotonic() - self._periods.look_again:
            self._ask(
                one
            )  # publishing to a missing exchange closes the channel and loses the confirms of all other copies
        else:
            self._give_back(one)

    def _give_back(self, one: _Due) -> None:
        """Publish a message to its queue or exchange."""

        def answered(error: WorkerError | None) -> None:
            self._loop.remove_timeout(one.deadline)
            if one.late:
                self._silent[one.address] -= 1
            elif not self._wanted(one):
                return
            elif error is None:
                self._refusing.discard(one.address)
                self._finish(one)
            elif isinstance(error, Unroutable) and one.message.exchange:
                self._seen.pop(one.message.exchange, None)
                self._keep(one, ORPHANS)
            elif isinstance(error, Unroutable):
                self._ask(one)
            elif isinstance(error, PublishUnconfirmed):  # the connection was lost
                self._give_back(one)
            else:
                self._refused(one, error.detail)

        self._await(one)
        self._publisher.publish(one.message, answered, wanted=lambda: one.late or self._wanted(one))

    def _await(self, one: _Due) -> None:
        """Limit the time for the queue to answer. The limit is extended while the broker blocks us or is down."""

        def overdue() -> None:
            if not self._wanted(one):
                return
            if not self._publisher.up or self._publisher.blocked is not None:
                self._await(one)
                return
            one.late = True
            self._silent[one.address] += 1
            self._refused(one, f"The broker did not confirm the copy for {destination(*one.address)} in time.")

        one.deadline = self._loop.call_later(self._periods.returned, overdue)

    def _ask(self, one: _Due) -> None:
        """Check whether the queue or exchange is gone or its node is down, once for all its messages."""
        waiting = self._asking.setdefault(one.address, [])
        waiting.append(one)
        if len(waiting) > 1:
            return

        def answered(refused: Refused | None) -> None:
            if self._asking.get(one.address) is not waiting:
                return
            del self._asking[one.address]
            if refused is None and exchange:
                self._seen[exchange] = time.monotonic()
            for each in waiting:
                if refused is None:  # the queue exists again
                    self._give_back(each)
                elif refused.says_missing:
                    self._keep(each, ORPHANS)
                else:
                    self._refused(each, refused.text)

        exchange, routing_key = one.address
        declare(self._connection, look_for_exchange(exchange) if exchange else look_for(routing_key), answered)

    def _refused(self, one: _Due, reason: str) -> None:
        if one.address not in self._refusing:
            self._refusing.add(one.address)
            exchange, routing_key = one.address
            log.warning("return_refused", exchange=exchange, queue=None if exchange else routing_key, reason=reason)
        self._keep(one, OVERDUE)

    def _keep(self, one: _Due, exchange: str) -> None:
        """Publish the copy of a message to `workerrmq.overdue` or `workerrmq.orphans`."""
        need = self._standing.need_orphans if exchange == ORPHANS else self._standing.need_overdue
        self._store(one, replace(one.copy, exchange=exchange), need)

    def _wait_again(self, one: _Due, delay: int) -> None:
        """Publish the copy of an early message to the levels again. A level was deleted, or the clocks of two hosts
        differ."""
        if delay > _CLOCKS_APART:
            self._standing.doubt()
        copy = enter(one.copy, delay, entrance(delay))
        self._store(one, copy, lambda then: self._standing.need_schedule(delay, then))

    def _store(self, one: _Due, copy: Message, need: Callable[[Callable[[], None]], None]) -> None:
        """Publish a copy once its queue exists, repeat until the broker confirms it, then ack the original."""

        def kept(error: WorkerError | None) -> None:
            if error is None:
                if self._wanted(one):
                    self._finish(one)
                return
            self._standing.doubt()
            one.tries += 1
            self._loop.call_later(reconnect_delay(one.tries, random.random()), publish)

        def publish() -> None:
            if self._wanted(one):
                need(lambda: self._publisher.publish(copy, kept, wanted=lambda: self._wanted(one)))

        publish()

    def _wanted(self, one: _Due) -> bool:
        """Return whether a message can still be acked. If not, the broker redelivers it."""
        return one in self._open and one.channel.is_open

    def _finish(self, one: _Due) -> None:
        one.channel.basic_ack(one.tag)
        self._open.discard(one)
        if self._drained and self.idle:
            self._drained()


class _Due:
    """A message in flight to its queue. If the queue refuses it, its `copy` waits again."""

    __slots__ = ("channel", "copy", "deadline", "late", "message", "tag", "tries")

    def __init__(self, channel: Any, tag: int, copy: Message, message: Message) -> None:
        self.channel, self.tag, self.copy, self.message = channel, tag, copy, message
        self.deadline: Any = None
        self.late = False
        """whether its queue did not answer in time"""
        self.tries = 0
        """number of refusals by `workerrmq.overdue` or `workerrmq.orphans`"""

    @property
    def address(self) -> _Address:
        return self.message.exchange, self.message.routing_key
