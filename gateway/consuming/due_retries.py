"""Returns due retries from `workerrmq.due` to their queues: the last hop of a retry.

A worker carries out this hop because RabbitMQ's dead-letter worker cannot: while one queue refuses its retries, the
dead-letter worker delays those of all other queues (32 in flight, tried again after three minutes).
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
"""Maximum number of retries that a worker holds."""


class DueRetries:
    """Returns retries. All workers share the work. Owned by the loop's thread.

    A retry is acked after the broker has confirmed its copy: in its queue; in `workerrmq.overdue` if the queue refuses
    it, cannot be used or does not answer in time; in `workerrmq.orphans` if the queue is gone. If the worker is killed
    in between, the retry is delivered twice.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._loop, self._publisher, self._standing = wiring.loop, wiring.publisher, wiring.standing
        self._periods = wiring.periods
        self._connection: Any = None
        self._channel: Any = None
        self._tag: str | None = None
        self._open: set[_DueRetry] = set()
        self._silent: Counter[str] = Counter()  # by queue: number of copies without an answer in time
        self._refusing: set[str] = set()  # queues that refused their last retry
        self._asking: dict[str, list[_DueRetry]] = {}  # by queue: retries that wait for the check whether it exists
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
        """Forget the retries in flight, which the broker redelivers."""
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
        if self._drained:  # it arrived after the cancel, and returns when the channel closes
            return
        one = _DueRetry(channel, method.delivery_tag, due_again(method.routing_key, properties, body))
        self._open.add(one)
        if self._silent[one.queue]:
            self._keep(one, OVERDUE)
        else:
            self._give_back(one)

    # --- one retry ----------------------------------------------------------------------------------------------------

    def _give_back(self, one: _DueRetry) -> None:
        """Publish a retry to its queue."""

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
        """Limit the time for the queue to answer. The limit is extended while the broker blocks us or is down."""

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
        """Check whether the queue is gone or its node is down, once for all its retries."""
        waiting = self._asking.setdefault(one.queue, [])
        waiting.append(one)
        if len(waiting) > 1:
            return

        def answered(refused: Refused | None) -> None:
            if self._asking.get(one.queue) is not waiting:
                return
            del self._asking[one.queue]
            for each in waiting:
                if refused is None:  # the queue exists again
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
        """Publish a retry to `workerrmq.overdue` or `workerrmq.orphans`; repeat until the broker confirms it."""

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
        """Return whether a retry can still be acked. If not, the broker redelivers it."""
        return one in self._open and one.channel.is_open

    def _finish(self, one: _DueRetry) -> None:
        one.channel.basic_ack(one.tag)
        self._open.discard(one)
        if self._drained and self.idle:
            self._drained()


class _DueRetry:
    """A retry in flight to its queue."""

    __slots__ = ("channel", "deadline", "late", "message", "tag", "tries")

    def __init__(self, channel: Any, tag: int, message: Message) -> None:
        self.channel, self.tag, self.message = channel, tag, message
        self.deadline: Any = None
        self.late = False
        """whether its queue did not answer in time"""
        self.tries = 0
        """number of refusals by `workerrmq.overdue` or `workerrmq.orphans`"""

    @property
    def queue(self) -> str:
        return self.message.routing_key
