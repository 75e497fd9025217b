"""Replays dead letters: publishes them to their queues, and acks each after the broker has confirmed its copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from delivery.copies import Source, came_from
from delivery.dead_letters import replayed
from domain.names import OWN
from domain.queue_scope import QueueScope
from domain.replay import ReplayRequest, fits
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.reading import BATCH, BATCH_BYTES, QueueReader, Reading
from gateway.amqp.topology import dead_letter_queue


@dataclass(slots=True)
class Progress:
    """Counts of dead letters."""

    total: int = 0
    examined: int = 0
    matched: int = 0
    replayed: int = 0
    failed: int = 0
    skipped: int = 0


class DeadLetterReplay:
    """Replays dead letters from a reader through a publisher. `run` blocks its thread until the replay is done."""

    def __init__(
        self, reader: QueueReader, publisher: PublisherThread, *, confirm: float = 30.0, pace: float = 1.0
    ) -> None:
        """The broker has `confirm` seconds to confirm a batch. While the rate limit delays the next batch, `run`
        reports every `pace` seconds."""
        self._reader, self._publisher, self._confirm, self._pace = reader, publisher, confirm, pace

    def check(self, wanted: ReplayRequest) -> None:
        """Check that the dead-letter queue can be read. Raises what QueueReader.check raises."""
        self._reader.check(source_of(wanted))

    def run(
        self,
        wanted: ReplayRequest,
        stopping: Event,
        report: Callable[[Progress], None],
        only: QueueScope | None = None,
    ) -> Progress:
        """Replay the dead letters that are ready at the start. Return the final progress.

        A dead letter stays in its queue if it does not match the filter, came from a queue that `only` does not admit,
        or cannot be published. `report` is called after each batch and, while the rate limit delays the next one, every
        `pace` seconds.

        Raises what QueueReader.reading raises; the messages that were not replayed are still in the queue then. If the
        process is killed, at most one batch is in both queues and nothing is lost.
        """
        with self._reader.reading(source_of(wanted), "workerrmq-replay") as reading:
            return _Run(self._publisher, reading, wanted, only, self._confirm, self._pace).run(stopping, report)


def source_of(wanted: ReplayRequest) -> str:
    """Return the name of the dead-letter queue to replay."""
    return wanted.dead_letter_queue or dead_letter_queue(wanted.queue_name)


class _Run:
    def __init__(
        self,
        publisher: PublisherThread,
        reading: Reading,
        wanted: ReplayRequest,
        only: QueueScope | None,
        confirm: float,
        pace: float,
    ) -> None:
        self._publisher, self._reading, self._wanted, self._only = publisher, reading, wanted, only
        self._confirm, self._pace = confirm, pace
        self._progress = Progress(reading.total)
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
            self._keep_pace(stopping, report)
        return progress

    def _room(self) -> int:
        limit = self._wanted.limit
        return BATCH if limit is None else min(BATCH, limit - self._progress.matched)

    def _take(self, room: int) -> list[tuple[int, Source]] | None:
        """Return the next matching messages, at most `room`, with their tags; None if the queue is empty."""
        progress, size = self._progress, 0
        batch: list[tuple[int, Source]] = []
        for _ in range(min(BATCH, progress.total - progress.examined)):
            taken = self._reading.take()
            if taken is None:
                return batch or None
            tag, _, source = taken
            progress.examined += 1
            if not fits(self._wanted.filter, source.properties.headers or {}, source.properties.message_id):
                self._reading.leave(tag, source)
                continue
            if not self._may_go_to(came_from(source.properties, self._wanted.queue_name)):
                progress.skipped += 1
                self._reading.leave(tag, source)
                continue
            progress.matched += 1
            batch.append((tag, source))
            size += len(source.body)
            if len(batch) == room or size >= BATCH_BYTES:
                break
        return batch

    def _may_go_to(self, queue: str) -> bool:
        return not queue.startswith(OWN) and (self._only is None or self._only.admits(queue))

    def _replay(self, batch: list[tuple[int, Source]]) -> None:
        if not batch:
            return
        if self._wanted.dry_run:
            for tag, source in batch:
                self._reading.leave(tag, source)
            return
        back, now = self._wanted.queue_name, time.time()
        messages = [replayed(source.properties, source.body, back, now) for _, source in batch]
        results = self._publisher.publish(messages, self._confirm).result()
        for (tag, source), error in zip(batch, results, strict=True):
            if error is None:
                self._reading.ack(tag)
                self._progress.replayed += 1
            else:
                self._reading.leave(tag, source)
                self._progress.failed += 1

    def _keep_pace(self, stopping: Event, report: Callable[[Progress], None]) -> None:
        """Wait until the rate limit allows more; continue heartbeats and reports meanwhile."""
        if self._wanted.per_second is None or self._wanted.dry_run:
            return
        until = self._began + self._progress.replayed / self._wanted.per_second
        while (left := until - time.monotonic()) > 0 and not stopping.is_set():
            self._reading.pump()
            report(self._progress)
            stopping.wait(min(left, self._pace))
