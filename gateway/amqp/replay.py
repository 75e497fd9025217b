"""Replays, moves and deletes dead letters. Each is acked after the broker has confirmed its copy, if it has one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from delivery.copies import Source, came_from
from delivery.dead_letters import moved, replayed
from domain.dead_letter import MAX_EXAMINED
from domain.message import Message
from domain.names import OWN
from domain.queue_scope import QueueScope
from domain.replay import DeadLetterSelection, DeleteRequest, MoveRequest, ReplayRequest, fits
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.reading import BATCH, BATCH_BYTES, QueueReader, Reading
from gateway.amqp.topology import dead_letter_queue

Settled = Callable[[Source, float], None]
"""Called with a dead letter, and the time in Unix seconds at which its copy was made."""


@dataclass(slots=True)
class Progress:
    """Counts of dead letters. `destinations` has the number of matching ones by the queue that they go to; `reason`
    is that of the last failure."""

    total: int = 0
    examined: int = 0
    matched: int = 0
    replayed: int = 0
    failed: int = 0
    skipped: int = 0
    destinations: Counter[str] = field(default_factory=Counter, compare=False)
    reason: str | None = field(default=None, compare=False)


class DeadLetterReplay:
    """Replays, moves or deletes dead letters, as the type of the request says. `run` blocks its thread until all is
    done."""

    def __init__(
        self, reader: QueueReader, publisher: PublisherThread, *, confirm: float = 30.0, pace: float = 1.0
    ) -> None:
        """The broker has `confirm` seconds to confirm a batch. While the rate limit delays the next batch, `run`
        reports every `pace` seconds."""
        self._reader, self._publisher, self._confirm, self._pace = reader, publisher, confirm, pace

    def check(self, wanted: DeadLetterSelection) -> None:
        """Check that the dead-letter queue can be read. Raises what QueueReader.check raises."""
        self._reader.check(source_of(wanted))

    def run(
        self,
        wanted: DeadLetterSelection,
        stopping: Event,
        report: Callable[[Progress], None],
        only: QueueScope | None = None,
        settled: Settled = lambda _source, _at: None,
    ) -> Progress:
        """Process the dead letters that are ready at the start. Return the final progress. A dry run examines only the
        first MAX_EXAMINED.

        A dead letter stays in its queue if it does not match the filter, came from a queue that `only` does not admit,
        or cannot be published. `settled` is called for each dead letter that was replayed, moved or deleted. `report`
        is called after each batch and, while the rate limit delays the next one, every `pace` seconds.

        Raises what QueueReader.reading raises; the other messages are still in the queue then. If the
        process is killed, at most one batch is in both queues and nothing is lost.
        """
        look = MAX_EXAMINED if wanted.dry_run else None
        with self._reader.reading(source_of(wanted), "workerrmq-replay", look=look) as reading:
            run = _Run(self._publisher, reading, wanted, only, self._confirm, self._pace, settled)
            return run.run(stopping, report)


def source_of(wanted: DeadLetterSelection) -> str:
    """Return the name of the dead-letter queue to replay."""
    return wanted.dead_letter_queue or dead_letter_queue(wanted.queue_name)


class _Run:
    def __init__(
        self,
        publisher: PublisherThread,
        reading: Reading,
        wanted: DeadLetterSelection,
        only: QueueScope | None,
        confirm: float,
        pace: float,
        settled: Settled,
    ) -> None:
        self._settled = settled
        self._publisher, self._reading, self._wanted, self._only = publisher, reading, wanted, only
        self._confirm, self._pace = confirm, pace
        self._progress = Progress(reading.total)
        self._most = min(reading.total, MAX_EXAMINED) if wanted.dry_run else reading.total
        self._began = time.monotonic()

    def run(self, stopping: Event, report: Callable[[Progress], None]) -> Progress:
        progress = self._progress
        while progress.examined < self._most and not stopping.is_set():
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
        for _ in range(min(BATCH, self._most - progress.examined)):
            taken = self._reading.take()
            if taken is None:
                return batch or None
            tag, _, source = taken
            progress.examined += 1
            if not fits(self._wanted.filter, source.properties.headers or {}, source.properties.message_id):
                self._reading.leave(tag, source)
                continue
            if not self._may_settle(source):
                progress.skipped += 1
                self._reading.leave(tag, source)
                continue
            progress.matched += 1
            batch.append((tag, source))
            size += len(source.body)
            if len(batch) == room or size >= BATCH_BYTES:
                break
        return batch

    def _may_settle(self, source: Source) -> bool:
        origin = came_from(source.properties, self._wanted.queue_name)
        replays = isinstance(self._wanted, ReplayRequest)
        return not (replays and origin.startswith(OWN)) and (self._only is None or self._only.admits(origin))

    def _copy(self, source: Source, now: float) -> Message:
        match self._wanted:
            case MoveRequest(to_queue=queue):
                return moved(source, queue)
            case ReplayRequest(replacement=str(body)):
                return replayed(source.properties, body.encode(), self._wanted.queue_name, now)
        return replayed(source.properties, source.body, self._wanted.queue_name, now)

    def _replay(self, batch: list[tuple[int, Source]]) -> None:
        deletes = isinstance(self._wanted, DeleteRequest)
        now = time.time()
        copies = [] if deletes else [self._copy(source, now) for _, source in batch]
        self._progress.destinations.update(copy.routing_key for copy in copies)
        if self._wanted.dry_run:
            for tag, source in batch:
                self._reading.leave(tag, source)
            return
        results = self._publisher.publish(copies, self._confirm).result() if copies else [None] * len(batch)
        for (tag, source), error in zip(batch, results, strict=True):
            if error is None:
                self._reading.ack(tag)
                self._progress.replayed += 1
                self._settled(source, now)
            else:
                self._reading.leave(tag, source)
                self._progress.failed += 1
                self._progress.reason = error.detail

    def _keep_pace(self, stopping: Event, report: Callable[[Progress], None]) -> None:
        """Wait until the rate limit allows more; continue heartbeats and reports meanwhile."""
        if self._wanted.per_second is None or self._wanted.dry_run:
            return
        until = self._began + self._progress.replayed / self._wanted.per_second
        while (left := until - time.monotonic()) > 0 and not stopping.is_set():
            self._reading.pump()
            report(self._progress)
            stopping.wait(min(left, self._pace))
