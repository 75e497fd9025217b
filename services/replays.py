"""Replays of dead letters, each on a thread of its own, with their progress in the store."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import structlog

from domain.errors import Conflict, NotFound, StoreUnavailable, WorkerError
from domain.replay import Replay, ReplayRequest
from gateway.amqp.replay import DeadLetterReplay, Progress, source_of
from gateway.mongo.replays import Replays as ReplayStore

log = structlog.get_logger("workerrmq.replay")

_AT_ONCE = 4


class Replays:
    """Thread-safe; a part of the process's runtime, because its threads must end with it."""

    def __init__(
        self,
        gateway: DeadLetterReplay,
        store: ReplayStore,
        *,
        stored_every: float = 0.5,
        silent: timedelta = timedelta(seconds=90),
    ) -> None:
        """Store the progress every `stored_every` seconds at most. A running replay whose progress was not stored for
        longer than `silent` has lost its process."""
        self._gateway, self._store, self._stored_every, self._silent = gateway, store, stored_every, silent
        self._stopping = threading.Event()
        self._running: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        self._stopping.clear()

    def stop(self, timeout: float) -> None:
        """Interrupt what runs; what was not replayed stays in its dead-letter queue."""
        self._stopping.set()
        until = time.monotonic() + timeout
        for thread in list(self._running.values()):
            thread.join(max(0.1, until - time.monotonic()))

    def begin(self, wanted: ReplayRequest) -> Replay:
        """Start a replay; its progress is to be asked for by its id. A dry run is waited for.

        Raises NotFound when there is no queue of dead letters, BrokerUnavailable, StoreUnavailable, and Conflict when
        this process is busy with others.
        """
        self._check(wanted)
        now = datetime.now(UTC)
        replay = Replay(
            replay_id=uuid.uuid4().hex[:16],
            queue_name=wanted.queue_name,
            dead_letter_queue=self.queues_of(wanted)[1],
            state="running",
            dry_run=wanted.dry_run,
            started_at=now,
            updated_at=now,
        )
        if wanted.dry_run:
            progress = self._gateway.run(wanted, self._stopping, lambda _progress: None)
            return replay.model_copy(update={**asdict(progress), "state": "finished"})
        with self._lock:
            if len(self._running) >= _AT_ONCE:
                raise Conflict(f"{_AT_ONCE} replays are running already; wait until one is finished.", code="busy")
            self._store.put(replay)
            thread = threading.Thread(target=self._run, args=(replay, wanted), name="workerrmq-replay", daemon=True)
            self._running[replay.replay_id] = thread
        thread.start()
        return replay

    def _check(self, wanted: ReplayRequest) -> None:
        letters = source_of(wanted)
        try:
            self._gateway.check(wanted)
        except NotFound:
            raise NotFound(
                f"There is no queue {letters!r}, so {wanted.queue_name!r} has no dead letters there. If they are in "
                "another queue, name it as deadLetterQueue.",
                code="queue_not_found",
            ) from None

    def queues_of(self, wanted: ReplayRequest) -> list[str]:
        """The queue that messages go back to, and the one that they come from."""
        return [wanted.queue_name, source_of(wanted)]

    def get(self, replay_id: str) -> Replay:
        """How far it has come. Raises NotFound, StoreUnavailable."""
        replay = self._store.get(replay_id)
        if replay.state == "running" and datetime.now(UTC) - replay.updated_at > self._silent:
            return replay.model_copy(update={"state": "interrupted", "reason": "its process has ended"})
        return replay

    def _run(self, replay: Replay, wanted: ReplayRequest) -> None:
        latest, stored_at = Progress(), time.monotonic()

        def report(progress: Progress) -> None:
            nonlocal latest, stored_at
            latest = progress
            if time.monotonic() - stored_at > self._stored_every:
                stored_at = time.monotonic()
                self._put(replay, progress, "running")

        try:
            latest = self._gateway.run(wanted, self._stopping, report)
        except WorkerError as exc:
            log.warning("replay_failed", replay_id=replay.replay_id, reason=exc.detail)
            self._put(replay, latest, "failed", exc.detail)
        else:
            log.info("replay_finished", replay_id=replay.replay_id, **asdict(latest))
            self._put(replay, latest, "interrupted" if self._stopping.is_set() else "finished")
        finally:
            with self._lock:
                del self._running[replay.replay_id]

    def _put(self, replay: Replay, progress: Progress, state: str, reason: str | None = None) -> None:
        changes = {**asdict(progress), "state": state, "reason": reason, "updated_at": datetime.now(UTC)}
        try:
            self._store.put(replay.model_copy(update=changes))
        except StoreUnavailable as exc:  # the replay itself needs no store
            log.warning("replay_progress_not_stored", replay_id=replay.replay_id, reason=exc.detail)
