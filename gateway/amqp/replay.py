"""Dead letters back to their queues: each is acked only when the broker has confirmed that it is there again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from delivery.copies import Source, replayed
from domain.replay import ReplayRequest, fits
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.reading import QueueReader, Reading
from gateway.amqp.topology import dead_letter_queue

_BATCH = 200
_BATCH_BYTES = 16 * 2**20
"""of bodies: a batch is held in memory, and ends when it has as much"""


@dataclass(slots=True)
class Progress:
    """Counts of dead letters."""

    total: int = 0
    examined: int = 0
    matched: int = 0
    replayed: int = 0
    failed: int = 0


class DeadLetterReplay:
    """A reader takes, the publisher publishes. Each `run` blocks its thread until it is done."""

    def __init__(
        self, reader: QueueReader, publisher: PublisherThread, *, confirm: float = 30.0, pace: float = 1.0
    ) -> None:
        """Wait `confirm` seconds for the confirms of a batch. Report each `pace` seconds while the rate holds it up."""
        self._reader, self._publisher, self._confirm, self._pace = reader, publisher, confirm, pace

    def check(self, wanted: ReplayRequest) -> None:
        """Return when the queue of the dead letters can be read. Raises NotFound, Invalid for a stream, and
        BrokerUnavailable."""
        self._reader.check(source_of(wanted))

    def run(self, wanted: ReplayRequest, stopping: Event, report: Callable[[Progress], None]) -> Progress:
        """Look at as many dead letters as there are at the start. What does not fit, or cannot be published, stays
        unacked until the end and then goes back to its place. `report` is called after each batch and, while the
        rate holds the next up, every `pace` seconds.

        Raises what QueueReader.reading raises; what was not replayed is still there then, and nothing is lost: killed
        in the middle, at most a batch is in both queues.
        """
        with self._reader.reading(source_of(wanted), "workerrmq-replay") as reading:
            return _Run(self._publisher, reading, wanted, self._confirm, self._pace).run(stopping, report)


def source_of(wanted: ReplayRequest) -> str:
    """The queue that the dead letters are in."""
    return wanted.dead_letter_queue or dead_letter_queue(wanted.queue_name)


class _Run:
    def __init__(
        self, publisher: PublisherThread, reading: Reading, wanted: ReplayRequest, confirm: float, pace: float
    ) -> None:
        self._publisher, self._reading, self._wanted = publisher, reading, wanted
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
        return _BATCH if limit is None else min(_BATCH, limit - self._progress.matched)

    def _take(self, room: int) -> list[tuple[int, Source]] | None:
        """The next that fit, at most `room`, with their tags; None when the queue is empty."""
        progress, size = self._progress, 0
        batch: list[tuple[int, Source]] = []
        for _ in range(min(_BATCH, progress.total - progress.examined)):
            taken = self._reading.take()
            if taken is None:
                return batch or None
            tag, _, source = taken
            progress.examined += 1
            if not fits(self._wanted.filter, source.properties.headers or {}, source.properties.message_id):
                self._reading.leave(tag, source)
                continue
            progress.matched += 1
            batch.append((tag, source))
            size += len(source.body)
            if len(batch) == room or size >= _BATCH_BYTES:
                break
        return batch

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
        """Wait until the rate allows more; the connection's heartbeats and the reports go on."""
        if self._wanted.per_second is None or self._wanted.dry_run:
            return
        until = self._began + self._progress.replayed / self._wanted.per_second
        while (left := until - time.monotonic()) > 0 and not stopping.is_set():
            self._reading.pump()
            report(self._progress)
            stopping.wait(min(left, self._pace))
