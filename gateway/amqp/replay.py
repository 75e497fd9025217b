"""Dead letters back to their queues: each is acked only when the broker has confirmed that it is there again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any

from pika.exceptions import AMQPError, ChannelClosedByBroker

from delivery.copies import replayed
from domain.errors import BrokerUnavailable, NotFound
from domain.message import Message
from domain.replay import ReplayRequest, fits
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.topology import dead_letter_queue

_BATCH = 200
_BATCH_BYTES = 16 * 2**20
"""of bodies: a batch is held in memory, and ends when it has as much"""
_CONFIRM = 30.0
"""Seconds to wait for the confirms of a batch."""


@dataclass(slots=True)
class Progress:
    """Counts of dead letters."""

    total: int = 0
    examined: int = 0
    matched: int = 0
    replayed: int = 0
    failed: int = 0


class DeadLetterReplay:
    """A connection of its own takes, the publisher publishes. Each `run` blocks its thread until it is done."""

    def __init__(self, nodes: BrokerNodes, publisher: PublisherThread) -> None:
        self._nodes, self._publisher = nodes, publisher

    def run(self, wanted: ReplayRequest, stopping: Event, report: Callable[[Progress], None]) -> Progress:
        """Look at as many dead letters as there are at the start. What does not fit, or cannot be published, stays
        unacked until the end and then goes back to its place. `report` is called every now and then.

        Raises NotFound when there is no such queue, BrokerUnavailable when the connection fails; what was not replayed
        is still there then, and nothing is lost: killed in the middle, at most a batch is in both queues.
        """
        queue = wanted.dead_letter_queue or dead_letter_queue(wanted.queue_name)
        connection = self._nodes.connect("workerrmq-replay")
        try:
            return _Run(self._publisher, connection.channel(), queue, wanted).run(stopping, report)
        except ChannelClosedByBroker as exc:
            if exc.reply_code == 404:
                raise NotFound(f"There is no queue {queue!r}.", code="queue_not_found") from None
            raise BrokerUnavailable(f"The broker refused: {exc.reply_text}.") from None
        except AMQPError:
            raise BrokerUnavailable("The connection to the broker was lost.", retry_after=5) from None
        finally:
            with suppress(AMQPError):
                connection.close()  # gives back what is unacked


class _Run:
    def __init__(self, publisher: PublisherThread, channel: Any, queue: str, wanted: ReplayRequest) -> None:
        self._publisher, self._channel, self._queue, self._wanted = publisher, channel, queue, wanted
        self._progress = Progress(channel.queue_declare(queue, passive=True).method.message_count)
        self._began = time.monotonic()

    def run(self, stopping: Event, report: Callable[[Progress], None]) -> Progress:
        progress = self._progress
        while progress.examined < progress.total and not stopping.is_set():
            room = self._room()
            if room == 0:
                break
            batch = self._take(room)
            if batch is None:
                break
            self._replay(batch)
            report(progress)
            self._keep_pace(stopping)
        return progress

    def _room(self) -> int:
        limit = self._wanted.limit
        return _BATCH if limit is None else min(_BATCH, limit - self._progress.matched)

    def _take(self, room: int) -> list[tuple[int, Message]] | None:
        """The next that fit, at most `room`, with their tags; None when the queue is empty."""
        progress, size = self._progress, 0
        batch: list[tuple[int, Message]] = []
        for _ in range(min(_BATCH, progress.total - progress.examined)):
            method, properties, body = self._channel.basic_get(self._queue)
            if method is None:
                return batch or None
            progress.examined += 1
            if fits(self._wanted.filter, properties.headers or {}, properties.message_id):
                progress.matched += 1
                batch.append((method.delivery_tag, replayed(properties, body, self._wanted.queue_name, time.time())))
                size += len(body)
                if len(batch) == room or size >= _BATCH_BYTES:
                    break
        return batch

    def _replay(self, batch: list[tuple[int, Message]]) -> None:
        if self._wanted.dry_run or not batch:
            return
        results = self._publisher.publish([message for _, message in batch], _CONFIRM).result()
        for (tag, _), error in zip(batch, results, strict=True):
            if error is None:
                self._channel.basic_ack(tag)
                self._progress.replayed += 1
            else:
                self._progress.failed += 1

    def _keep_pace(self, stopping: Event) -> None:
        """Wait until the rate allows more; the connection's heartbeats go on."""
        if self._wanted.per_second is None or self._wanted.dry_run:
            return
        until = self._began + self._progress.replayed / self._wanted.per_second
        while (left := until - time.monotonic()) > 0 and not stopping.is_set():
            self._channel.connection.process_data_events(0)
            stopping.wait(min(left, 1.0))
