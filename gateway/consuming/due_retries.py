"""The last hop of a retry: from `workerrmq.due`, where it is when its delay is over, back into its queue.

A worker takes this hop because RabbitMQ's dead-letter worker cannot: while one queue refuses its retries, it holds up
those of all others (32 in flight, tried again after three minutes).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog
from pika.exceptions import NoFreeChannels

from delivery.backoff import reconnect_delay
from delivery.copies import due_again
from domain.errors import PublishUnconfirmed, Unroutable, WorkerError
from domain.message import Message
from gateway.amqp.declaring import Refused, declare, look_for
from gateway.amqp.pika_private import cancel
from gateway.amqp.topology import DUE, ORPHANS, OVERDUE
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")

_WINDOW = 256
"""Retries that a worker holds at once."""


class DueRetries:
    """Owned by the loop's thread. All workers share the work.

    A retry is acked after the broker has confirmed its copy: in its queue; in `workerrmq.overdue`, if the queue refuses
    it, cannot be used, or does not answer in time; in `workerrmq.orphans`, if the queue is gone. If the worker is
    killed in between, the retry comes twice.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._loop, self._publisher, self._standing = wiring.loop, wiring.publisher, wiring.standing
        self._periods = wiring.periods
        self._connection: Any = None
        self._channel: Any = None
        self._tag: str | None = None
        self._open: set[_DueRetry] = set()
        self._silent: Counter[str] = Counter()  # by queue: copies that it has not answered in time
        self._refusing: set[str] = set()  # the queues that did not take their last retry
        self._asking: dict[str, list[_DueRetry]] = {}  # by queue: who waits to hear whether it is gone
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
        one = _DueRetry(channel, method.delivery_tag, due_again(method.routing_key, properties, body))
        self._open.add(one)
        if self._silent[one.queue]:
            self._keep(one, OVERDUE)
        else:
            self._give_back(one)

    # --- one retry ----------------------------------------------------------------------------------------------------

    def _give_back(self, one: _DueRetry) -> None:
        """Publish it to its queue."""

        def answered(error: WorkerError | None) -> None:
            self._loop.remove_timeout(one.deadline)
            if one.late:
                self._silent[one.queue] -= 1
            elif not self._wanted(one):
                return
            elif error is None:
                self._refusing.discard(one.queue)
                self._finish(one)
            elif isinstance(error, Unroutable):
                self._ask(one)
            elif isinstance(error, PublishUnconfirmed):  # the connection was lost
                self._give_back(one)
            else:
                self._refused(one, error.detail)

        self._await(one)
        self._publisher.publish(one.message, answered, wanted=lambda: one.late or self._wanted(one))

    def _await(self, one: _DueRetry) -> None:
        """Give the queue some time to answer. While the broker takes nothing from us, it is not the queue's fault."""

        def overdue() -> None:
            if not self._wanted(one):
                return
            if not self._publisher.up or self._publisher.blocked is not None:
                self._await(one)
                return
            one.late = True
            self._silent[one.queue] += 1
            self._refused(one, f"The broker did not confirm the copy for queue {one.queue!r} in time.")

        one.deadline = self._loop.call_later(self._periods.returned, overdue)

    def _ask(self, one: _DueRetry) -> None:
        """The queue is gone, or its node is down: ask, once for all its retries."""
        waiting = self._asking.setdefault(one.queue, [])
        waiting.append(one)
        if len(waiting) > 1:
            return

        def answered(refused: Refused | None) -> None:
            if self._asking.get(one.queue) is not waiting:
                return
            del self._asking[one.queue]
            for each in waiting:
                if refused is None:  # it was there again
                    self._give_back(each)
                elif refused.says_missing:
                    self._keep(each, ORPHANS)
                else:
                    self._refused(each, refused.text)

        declare(self._connection, look_for(one.queue), answered)

    def _refused(self, one: _DueRetry, reason: str) -> None:
        if one.queue not in self._refusing:
            self._refusing.add(one.queue)
            log.warning("return_refused", queue=one.queue, reason=reason)
        self._keep(one, OVERDUE)

    def _keep(self, one: _DueRetry, exchange: str) -> None:
        """Publish it to `workerrmq.overdue` or `workerrmq.orphans`, again and again until it is there."""

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
                need = self._standing.need_orphans if exchange == ORPHANS else self._standing.need_overdue
                need(lambda: self._publisher.publish(copy, kept, wanted=lambda: self._wanted(one)))

        copy = replace(one.message, exchange=exchange)
        publish()

    def _wanted(self, one: _DueRetry) -> bool:
        """Whether it can still be acked; else the broker delivers it again."""
        return one in self._open and one.channel.is_open

    def _finish(self, one: _DueRetry) -> None:
        one.channel.basic_ack(one.tag)
        self._open.discard(one)
        if self._drained and self.idle:
            self._drained()


class _DueRetry:
    """A retry that is under way back to its queue."""

    __slots__ = ("channel", "deadline", "late", "message", "tag", "tries")

    def __init__(self, channel: Any, tag: int, message: Message) -> None:
        self.channel, self.tag, self.message = channel, tag, message
        self.deadline: Any = None
        self.late = False
        """whether its queue did not answer in time"""
        self.tries = 0
        """how often it was refused where it was to be kept"""

    @property
    def queue(self) -> str:
        return self.message.routing_key
