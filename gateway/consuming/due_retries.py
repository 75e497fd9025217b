"""The last hop of a retry or scheduled message: from `workerrmq.due`, where it is when its delay is over, into its
queue.

A worker takes this hop because RabbitMQ's dead-letter worker cannot: while one queue refuses its retries, it holds up
those of all others (32 in flight, tried again after three minutes). A scheduled message may be for an exchange, too.
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
"""Messages that a worker holds at once. A scheduled one is held for up to a second."""

_CLOCKS_APART = 2
"""Seconds that a scheduled message may come early because the clocks of two hosts differ."""

_Address = tuple[str, str]
"""The exchange and the routing key that a message goes to; with an empty exchange, a queue."""


class DueRetries:
    """Owned by the loop's thread. All workers share the work.

    A message is acked after the broker has confirmed its copy: in its queue; in `workerrmq.overdue`, if the queue
    refuses it, cannot be used, or does not answer in time; in `workerrmq.orphans`, if the queue or exchange is gone, or
    the exchange has no queue for it; in the levels, if a scheduled message comes before its time. If the worker is
    killed in between, the message comes twice.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._loop, self._publisher, self._standing = wiring.loop, wiring.publisher, wiring.standing
        self._periods = wiring.periods
        self._connection: Any = None
        self._channel: Any = None
        self._tag: str | None = None
        self._open: set[_Due] = set()
        self._silent: Counter[_Address] = Counter()  # copies that it has not answered in time
        self._refusing: set[_Address] = set()  # those that did not take their last message
        self._asking: dict[_Address, list[_Due]] = {}  # who waits to hear whether it is gone
        self._seen: dict[str, float] = {}  # by exchange: when it was last there
        self._drained: Callable[[], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether it holds no retry."""
        return not self._open

    def connected(self, connection: Any) -> None:
        """Take retries by this connection, once their queue is there. The channel is opened at once, before consumers
        take all that the connection may have."""
        self._connection = connection
        self._open_channel()

    def disconnected(self) -> None:
        """Forget what is under way: the broker delivers it again."""
        self._connection = None
        self._lose()

    def verify(self) -> None:
        """See that retries get here: somebody may have deleted the way."""
        self._standing.need_return(self._take)

    def drain(self, drained: Callable[[], None]) -> None:
        """Take no more. `drained` is called when the last retry under way has ended, if there is any."""
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
        if self._drained:  # it came after the cancel, and goes back with the channel
            return
        copy = passed(method.routing_key, properties, body)
        due = due_at(copy)
        message = due_again(copy) if due is None else as_published(copy, due, time.time())
        one = _Due(channel, method.delivery_tag, copy, message)
        self._open.add(one)
        self._forward(one, due or 0.0)

    # --- one message --------------------------------------------------------------------------------------------------

    def _forward(self, one: _Due, due: float) -> None:
        """Send it on its way at `due` (Unix seconds), never before."""
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
            self._ask(one)  # to publish to one that is missing would close the channel, with the copies of all others
        else:
            self._give_back(one)

    def _give_back(self, one: _Due) -> None:
        """Publish it to its queue or exchange."""

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
        """Give the queue some time to answer. While the broker takes nothing from us, it is not the queue's fault."""

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
        """Ask whether the queue or exchange is there, once for all its messages. A queue that RabbitMQ did not route to
        is gone, or its node is down."""
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
                if refused is None:  # it was there again
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
        """Put its copy into `workerrmq.overdue` or `workerrmq.orphans`."""
        need = self._standing.need_orphans if exchange == ORPHANS else self._standing.need_overdue
        self._store(one, replace(one.copy, exchange=exchange), need)

    def _wait_again(self, one: _Due, delay: int) -> None:
        """Put its copy into the levels once more: a level that was deleted has let it through, or the clocks of two
        hosts differ."""
        if delay > _CLOCKS_APART:
            self._standing.doubt()
        copy = enter(one.copy, delay, entrance(delay))
        self._store(one, copy, lambda then: self._standing.need_schedule(delay, then))

    def _store(self, one: _Due, copy: Message, need: Callable[[Callable[[], None]], None]) -> None:
        """Publish a copy once what it needs is there, again and again until it is confirmed; then ack the original."""

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
        """Whether it can still be acked; else the broker delivers it again."""
        return one in self._open and one.channel.is_open

    def _finish(self, one: _Due) -> None:
        one.channel.basic_ack(one.tag)
        self._open.discard(one)
        if self._drained and self.idle:
            self._drained()


class _Due:
    """A message that is under way to its queue. `copy` is what waits on, if it cannot get there."""

    __slots__ = ("channel", "copy", "deadline", "late", "message", "tag", "tries")

    def __init__(self, channel: Any, tag: int, copy: Message, message: Message) -> None:
        self.channel, self.tag, self.copy, self.message = channel, tag, copy, message
        self.deadline: Any = None
        self.late = False
        """whether its queue did not answer in time"""
        self.tries = 0
        """how often it was refused where it was to be kept"""

    @property
    def address(self) -> _Address:
        return self.message.exchange, self.message.routing_key
