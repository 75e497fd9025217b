"""Moves the orphans of an earlier version, whose queue was a classic one and lives on one node only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog

from domain.errors import WorkerError
from domain.message import Message, Properties
from gateway.amqp.declaring import Declaration, Refused, bind, declare
from gateway.amqp.publisher import Publisher
from gateway.amqp.topology import OLD_ORPHANED, ORPHANS

log = structlog.get_logger("workerrmq.delivery")

_AT_ONCE = 100


def move_orphans(connection: Any, publisher: Publisher) -> None:
    """Bind the new queue to the old exchange, move the old queue's messages, and delete the old queue once it is empty.

    Each message is acked after the broker has confirmed its copy. Without an old queue nothing happens. An interrupted
    move continues with the next connection. The new queue must exist.
    """

    def redirected(refused: Refused | None) -> None:
        if refused is None:
            connection.channel(on_open_callback=lambda channel: _Move(channel, publisher).start())

    declare(connection, _redirect(), redirected)


def _redirect() -> Declaration:
    yield lambda channel, done: channel.queue_declare(OLD_ORPHANED, passive=True, callback=done)
    yield bind(ORPHANS, OLD_ORPHANED)
    yield lambda channel, done: channel.queue_unbind(OLD_ORPHANED, OLD_ORPHANED, "", callback=done)


class _Move:
    """Moves the messages. Owned by the loop's thread. Any number of workers may move at the same time."""

    def __init__(self, channel: Any, publisher: Publisher) -> None:
        self._channel, self._publisher = channel, publisher
        self._left = 0
        self._tag = ""

    def start(self) -> None:
        self._channel.queue_declare(OLD_ORPHANED, passive=True, callback=self._counted)

    def _counted(self, frame: Any) -> None:
        self._left = frame.method.message_count
        if not self._left:
            self._end()
            return
        log.info("orphans_moved", messages=self._left, to=ORPHANS)
        self._channel.basic_qos(prefetch_count=_AT_ONCE)
        self._tag = self._channel.basic_consume(OLD_ORPHANED, self._arrived)

    def _arrived(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        came = Properties(**{name: getattr(properties, name) for name in Properties.__slots__})
        copy = replace(came, delivery_mode=2, user_id=None, expiration=None)

        def published(error: WorkerError | None) -> None:
            if not channel.is_open:
                return
            if error is not None:
                channel.close(reply_text="a copy was refused")  # the next connection tries again
                return
            channel.basic_ack(method.delivery_tag)
            self._left -= 1
            if self._left == 0:
                channel.basic_cancel(self._tag, callback=lambda _frame: self._end())

        self._publisher.publish(Message(ORPHANS, body, properties=copy), published, wanted=lambda: channel.is_open)

    def _end(self) -> None:
        self._channel.queue_delete(OLD_ORPHANED, if_empty=True, callback=lambda _frame: self._channel.close())
