"""Replays, moves and deletions of dead letters. Each has its own thread, and stores its progress."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog

from domain.audit import State, state_of
from domain.errors import Conflict, NotFound, StoreUnavailable, WorkerError
from domain.queue_scope import QueueScope
from domain.replay import DeadLetterSelection, DeleteRequest, MoveRequest, Replay, ReplayDestination, ReplayRequest
from gateway.amqp.replay import DeadLetterReplay, Progress, source_of
from gateway.mongo.attempts import Attempts
from gateway.mongo.replays import Replays as ReplayStore
from services.attempt_writer import AttemptWriter
from services.replay_record import ReplayRecord
from services.replay_warnings import ReplayWarnings

log = structlog.get_logger("workerrmq.replay")

_AT_ONCE = 4
_ACTIONS: dict[type[DeadLetterSelection], Literal["replay", "move", "delete"]] = {
    ReplayRequest: "replay", MoveRequest: "move", DeleteRequest: "delete",
}  # fmt: skip


class Replays:
    """Thread-safe. A part of the process's runtime, so that its threads end with the process."""

    def __init__(
        self,
        gateway: DeadLetterReplay,
        store: ReplayStore,
        warnings: ReplayWarnings,
        attempts: Attempts,
        *,
        stored_every: float = 0.5,
        silent: timedelta = timedelta(seconds=90),
    ) -> None:
        """Store the progress, and what was done in the attempt log, at most every `stored_every` seconds. A running
        replay without an update for longer than `silent` counts as interrupted: its process has ended."""
        self._gateway, self._store, self._warnings, self._attempts = gateway, store, warnings, attempts
        self._stored_every, self._silent = stored_every, silent
        self._unstored: dict[str, str] = {}  # by replay: the logged reason why its progress is not stored
        self._stopping = threading.Event()
        self._running: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        self._stopping.clear()

    def stop(self, timeout: float) -> None:
        """Interrupt all replays. Messages that were not replayed stay in their dead-letter queue."""
        self._stopping.set()
        until = time.monotonic() + timeout
        for thread in list(self._running.values()):
            thread.join(max(0.1, until - time.monotonic()))

    def begin(
        self,
        wanted: DeadLetterSelection,
        only: QueueScope | None = None,
        by: str | None = None,
        ended: Callable[[State], None] = lambda _result: None,
    ) -> Replay:
        """Start a replay to the queues that `only` admits, for the user `by`. Return it; `get` returns its progress.
        A dry run has finished on return. Call `ended` with the result for the audit log.

        Raises NotFound when there is no dead-letter queue, BrokerUnavailable, StoreUnavailable, and Conflict when this
        process runs the maximum number of replays.
        """
        self._check(wanted)
        now = datetime.now(UTC)
        replay = Replay(
            action=_ACTIONS[type(wanted)],
            replay_id=uuid.uuid4().hex[:16],
            queue_name=wanted.queue_name,
            dead_letter_queue=self.queues_of(wanted)[1],
            state="running",
            dry_run=wanted.dry_run,
            started_at=now,
            updated_at=now,
        )
        if wanted.dry_run:
            progress = self._gateway.run(wanted, self._stopping, lambda _progress: None, only)
            return replay.model_copy(update={**_counts(progress), **self._foreseen(wanted, progress)})
        with self._lock:
            if len(self._running) >= _AT_ONCE:
                raise Conflict(f"{_AT_ONCE} replays are already running. Wait until one has finished.", code="busy")
            self._store.put(replay)
            thread = threading.Thread(
                target=self._run, args=(replay, wanted, only, by, ended), name="workerrmq-replay", daemon=True
            )
            self._running[replay.replay_id] = thread
        thread.start()
        return replay

    def _foreseen(self, wanted: DeadLetterSelection, progress: Progress) -> dict[str, Any]:
        """Return the fields that only a dry run has."""
        queues = progress.destinations.most_common()
        return {
            "state": "finished",
            "destinations": [ReplayDestination(queue_name=name, messages=count) for name, count in queues],
            "warnings": self._warnings.of({name for name, _ in queues}) if type(wanted) is ReplayRequest else [],
        }

    def _check(self, wanted: DeadLetterSelection) -> None:
        letters = source_of(wanted)
        try:
            self._gateway.check(wanted)
        except NotFound:
            raise NotFound(
                f"The dead-letter queue {letters!r} of {wanted.queue_name!r} does not exist. If the dead letters are "
                "in another queue, name it in deadLetterQueue.",
                code="queue_not_found",
            ) from None

    def queues_of(self, wanted: DeadLetterSelection) -> list[str]:
        """Return the queue that messages go back to, and their dead-letter queue."""
        return [wanted.queue_name, source_of(wanted)]

    def get(self, replay_id: str) -> Replay:
        """Return a replay with its progress. Raises NotFound, StoreUnavailable."""
        replay = self._store.get(replay_id)
        if replay.state == "running" and datetime.now(UTC) - replay.updated_at > self._silent:
            return replay.model_copy(update={"state": "interrupted", "reason": "its process has ended"})
        return replay

    def _run(
        self,
        replay: Replay,
        wanted: DeadLetterSelection,
        only: QueueScope | None,
        by: str | None,
        ended: Callable[[State], None],
    ) -> None:
        latest, stored_at = Progress(), time.monotonic()
        record = ReplayRecord(replay, wanted, by, AttemptWriter(self._attempts))

        def report(progress: Progress) -> None:
            nonlocal latest, stored_at
            latest = progress
            if time.monotonic() - stored_at > self._stored_every:
                stored_at = time.monotonic()
                self._put(replay, record, progress, "running")

        try:
            latest = self._gateway.run(wanted, self._stopping, report, only, record.add)
        except WorkerError as exc:
            log.warning("replay_failed", replay_id=replay.replay_id, reason=exc.detail)
            result = self._put(replay, record, latest, "failed", exc.detail)
        else:
            log.info("replay_finished", replay_id=replay.replay_id, **_counts(latest))
            result = self._put(replay, record, latest, "interrupted" if self._stopping.is_set() else "finished")
        finally:
            with self._lock:
                del self._running[replay.replay_id]
                self._unstored.pop(replay.replay_id, None)
        ended(state_of(result, "replay_id state reason replayed failed skipped"))

    def _put(
        self, replay: Replay, record: ReplayRecord, progress: Progress, state: str, reason: str | None = None
    ) -> Replay:
        changes = {**_counts(progress), "state": state, "updated_at": datetime.now(UTC)}
        changes["reason"] = reason or progress.reason
        latest = replay.model_copy(update=changes)
        try:
            record.write()
            self._store.put(latest)
        except StoreUnavailable as exc:  # the replay itself does not need the store
            if self._unstored.get(replay.replay_id) != exc.detail:
                log.warning("replay_progress_not_stored", replay_id=replay.replay_id, reason=exc.detail)
            self._unstored[replay.replay_id] = exc.detail
        else:
            self._unstored.pop(replay.replay_id, None)
        return latest


def _counts(progress: Progress) -> dict[str, int]:
    counts = asdict(progress)
    del counts["destinations"], counts["reason"]
    return counts
