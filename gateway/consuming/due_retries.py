"""Forwards due messages from `workerrmq.due`: retries to their queues, scheduled messages to their queues or exchanges.

A worker carries out this hop because RabbitMQ's dead-letter worker cannot: while one queue refuses its retries, the
dead-letter worker delays those of all other queues (32 in flight, tried again after three minutes).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from pika.exceptions import NoFreeChannels

from delivery.copies import due_again, passed
from delivery.scheduled import as_published, due_at, enter, seconds_in_levels
from domain.errors import PublishUnconfirmed, Unroutable, WorkerError
from domain.message import Message
from gateway.amqp.declaring import Refused
from gateway.amqp.link import is_error
from gateway.amqp.pika_private import cancel
from gateway.amqp.publisher import Publisher
from gateway.amqp.standing import Failed
from gateway.amqp.topology import DUE, ORPHANS, OVERDUE, entrance
from gateway.consuming.isolation import unusable
from gateway.consuming.places import Places
from gateway.consuming.session import Session
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")

_UNUSABLE = unusable(DUE, "the service creates it again")
_WINDOW = 1024
"""Maximum number of messages that a worker holds. It holds a scheduled message for less than a second."""

Need = Callable[[Callable[[], None], Failed], None]
"""Declares the queue for a copy; see Standing."""


class DueRetries:
    """Forwards messages. All workers share the work. Owned by the loop's thread.

    A message is acked after the broker has confirmed its copy: in its queue; in `workerrmq.overdue` if the queue
    refuses it, cannot be used or does not answer in time; in `workerrmq.orphans` if the queue or exchange is gone or
    the exchange has no matching binding; in the levels if a scheduled message is early; at the end of `workerrmq.due`
    if none of these can be used, so that it does not delay others. If the worker is killed in between, the message is
    delivered twice.
    """

    def __init__(self, wiring: Wiring, publisher: Publisher) -> None:
        """`publisher` has a separate connection, so that no copy of another consumer waits for a due retry."""
        self._loop, self._standing, self._periods = wiring.loop, wiring.standing, wiring.periods
        self._places = Places(wiring.loop, publisher, wiring.periods, wiring.pauses)
        self._connection: Any = None
        self._channel: Any = None
        self._session: Session | None = None
        self._tag: str | None = None
        self._consumes = False  # whether the broker has answered that it will deliver
        self._drained: Callable[[], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether no retry is in flight."""
        return self._session is None or not self._session.unsettled

    def connected(self, connection: Any) -> None:
        """Consume retries on this connection, once their queue exists. Nothing else may use it; see isolation.py."""
        self._connection = connection
        self._open_channel()

    def disconnected(self, _reason: str) -> None:
        """Forget the messages in flight; the broker redelivers them."""
        self._connection = None
        self._lose()

    def renew(self) -> None:
        """Give back the messages in flight, because Standing has forgotten those that waited for a declaration."""
        if self._channel is not None and self._channel.is_open:
            self._channel.close()

    def verify(self) -> None:
        """Check that the exchange and the queue of due retries exist: an operator may have deleted them."""
        self._open_channel()
        self._standing.need_return(self._take)

    def drain(self, drained: Callable[[], None]) -> None:
        """Stop consuming. `drained` is called when the last retry in flight is settled or lost."""
        self._drained = drained
        if self._session is not None:
            self._session.flush()
            if self._tag is not None and self._session.channel.is_open:
                cancel(self._session.channel, self._tag, lambda: None)

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
        self._session = Session(self._loop, channel, _WINDOW, self._rest)
        self._standing.need_return(self._take)
        self._standing.need_overdue(lambda: None)  # before it is needed: a node that hangs delays its declaration

    def _take(self) -> None:
        if self._tag is None and self._drained is None and self._session and self._session.channel.is_open:
            self._session.channel.basic_qos(prefetch_count=_WINDOW)
            self._consumes = False
            arrived = partial(self._arrived, self._session)
            self._tag = self._session.channel.basic_consume(DUE, arrived, callback=self._consuming)

    def _consuming(self, _frame: Any) -> None:
        self._consumes, self._standing.due_unusable = True, ""

    def _closed(self, channel: Any, reason: BaseException) -> None:
        if channel is not self._channel:
            return
        if self._tag is not None and not self._consumes and is_error(reason):
            self._standing.doubt()
            if not self._standing.due_unusable:
                log.error("queue_unusable", queue=DUE, reason=_UNUSABLE)
            self._standing.due_unusable = _UNUSABLE
        elif self._connection is not None and self._connection.is_open:
            self._lose()
            self._standing.doubt()
            self._loop.call_later(self._periods.look_again, self._open_channel)

    def _lose(self) -> None:
        lost, self._session, self._channel, self._tag = self._session, None, None, None
        if lost is not None:
            lost.lose()
            self._rest()

    def _rest(self) -> None:
        """End draining, if no message is in flight."""
        if self._drained and self.idle:
            if self._session is not None:
                self._session.close("drained")
            self._drained()

    def _arrived(self, session: Session, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if self._drained:  # it arrived after the cancel; the broker requeues it when the channel closes
            return
        copy = passed(method.routing_key, properties, body)
        due = due_at(copy)
        message = due_again(copy) if due is None else as_published(copy, due, time.time())
        self._forward(_Due(session, method.delivery_tag, copy, message), due or 0.0)

    # --- one message --------------------------------------------------------------------------------------------------

    def _forward(self, one: _Due, due: float) -> None:
        """Publish a message at `due` (Unix seconds), never earlier."""
        now = time.time()
        if not one.open:
            return
        if delay := seconds_in_levels(due, now):
            self._wait_again(one, delay)
        elif due > now:
            self._loop.call_later(due - now, lambda: self._forward(one, due))
        else:
            self._give_back(one)

    def _give_back(self, one: _Due, *, looked: bool = False) -> None:
        """Publish a message to its queue or exchange. `looked` tells whether its queue was just found to exist."""
        place = self._places.of(one.message)

        def answered(error: WorkerError | None) -> None:
            if not one.open:
                return
            if error is None:
                place.refusing = False
                one.finish()
            elif isinstance(error, PublishUnconfirmed):  # the channel was lost
                self._forward(one, 0.0)
            elif isinstance(error, Unroutable) and one.message.exchange:
                self._keep(one, ORPHANS)
            elif isinstance(error, Unroutable) and not looked:
                place.look(self._connection, partial(self._looked, one))
            else:
                self._refused(one, error.detail)

        place.publish(one.message, answered, lambda: one.open)

    def _looked(self, one: _Due, refused: Refused | None) -> None:
        """Continue after a check whether the queue is gone, or its node is down."""
        if not one.open:
            return
        if refused is None:
            self._give_back(one, looked=True)
        elif refused.says_missing:
            self._keep(one, ORPHANS)
        else:
            self._refused(one, refused.text)

    def _refused(self, one: _Due, reason: str) -> None:
        place = self._places.of(one.message)
        if not place.refusing:
            place.refusing = True
            exchange, queue = one.message.exchange, None if one.message.exchange else one.message.routing_key
            log.warning("return_refused", exchange=exchange, queue=queue, reason=reason)
        self._keep(one, OVERDUE)

    def _keep(self, one: _Due, exchange: str) -> None:
        """Publish the copy of a message to `workerrmq.overdue` or `workerrmq.orphans`."""
        need = self._standing.need_orphans if exchange == ORPHANS else self._standing.need_overdue
        self._store(one, replace(one.copy, exchange=exchange), need)

    def _wait_again(self, one: _Due, delay: int) -> None:
        """Publish the copy of an early message to the levels again. A level was deleted, or the clocks of two hosts
        differ."""
        if delay > self._periods.clocks_apart:
            self._standing.doubt()
        self._store(one, enter(one.copy, delay, entrance(delay)), partial(self._standing.need_schedule, delay))

    def _store(self, one: _Due, copy: Message, need: Need) -> None:
        """Publish a copy once its queue exists, and ack the original after the confirm. If the broker does not store
        the copy, publish it to the end of `workerrmq.due` after a pause, to try all again."""

        def publish() -> None:
            self._places.of(copy).publish(copy, stored, lambda: one.open)

        def stored(error: WorkerError | None) -> None:
            if error is None:
                self._standing.unusable.pop(copy.exchange, None)
                if one.open:
                    one.finish()
            else:
                self._standing.doubt()
                failed(error.detail)

        def failed(reason: str) -> bool:
            self._standing.unusable[copy.exchange] = reason
            self._loop.call_later(self._periods.requeue, requeue)
            return True

        def requeue() -> None:
            if one.open:
                self._store(one, replace(one.copy, exchange=DUE), self._standing.need_return)

        need(publish, failed)


class _Due:
    """A message in flight to its queue. If the queue refuses it, its `copy` waits again."""

    __slots__ = ("_session", "_tag", "copy", "message")

    def __init__(self, session: Session, tag: int, copy: Message, message: Message) -> None:
        self._session, self._tag, self.copy, self.message = session, tag, copy, message
        session.unsettled[tag] = self

    @property
    def open(self) -> bool:
        """Whether the message can still be acked. If not, the broker redelivers it."""
        return self._session.alive and self._tag in self._session.unsettled

    def finish(self) -> None:
        """Ack the message."""
        self._session.finish(self._tag)
