"""Makes a worker process run the consumers that the registry desires, and reports their state. There is no leader and
no lease: every worker runs every enabled consumer, and the broker distributes the messages."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from delivery.periods import Periods
from domain.registry import (
    UNDESCRIBED_QUEUE,
    UNKNOWN_QUEUE,
    Heartbeat,
    QueueFacts,
    RegisteredConsumer,
    Report,
    Subscription,
)
from gateway.consuming.thread import ConsumerThread
from gateway.management import DeadLetterGateway
from gateway.mongo import Store
from services.attempt_writer import AttemptWriter
from services.complaints import Complaints
from services.fresh import Fresh
from services.registry_copy import RegistryCopy
from services.worker_health import Progress

log = structlog.get_logger("workerrmq.worker")


@dataclass(frozen=True, slots=True)
class _Queues:
    """The latest facts about the queues, and the facts to assume for queues that the broker did not list."""

    facts: dict[str, QueueFacts] = field(default_factory=dict)
    otherwise: QueueFacts = UNKNOWN_QUEUE


class Reconciler:
    """Owns three threads: the ConsumerThread; the thread that applies the registry to it and stores its attempts; and
    the heartbeat thread, which accesses nothing but the heartbeats, so that slow writes do not make this worker look
    dead. Others may call `start`, `stop` and `progress`, and read `fault`.

    While the store is down, the consumers run on unchanged. While the management API is down, the latest facts about
    their queues are used.
    """

    def __init__(
        self,
        store: Store,
        queues: DeadLetterGateway,
        consumer_thread: Callable[[], ConsumerThread],
        periods: Periods = Periods(),  # noqa: B008 - immutable
        complaints: Complaints | None = None,
    ) -> None:
        self._store, self._gateway, self._periods = store, queues, periods
        self._crashes = 0
        self._restart_at: float | None = None
        self._running_since = 0.0
        self._steered_at = float("inf")
        self.fault: str | None = None
        """why this process may not consume, as a sentence; None while its threads run"""
        self._consumer_thread = consumer_thread
        self._registry = RegistryCopy(store.consumers.version, store.consumers.desired, read_again=periods.registry)
        self._desired: list[RegisteredConsumer] | None = None
        self._refused: tuple[Report, ...] = ()  # consumers whose stored definition cannot run
        self._queues = _Queues()
        self._changed_at = float("-inf")
        self._losses = 0
        self._workers = 1
        self._attempts = AttemptWriter(store.attempts)
        self._complaints = complaints or Complaints()

    def start(self) -> None:
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._started_at = datetime.now(UTC)
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._facts = Fresh(self._read_facts, "workerrmq-facts", forgotten=float("inf"))
        self._consumers = self._consumer_thread()
        self._consumers.start()
        self._running_since = time.monotonic()
        self._steering = threading.Thread(target=self._steer_on, name="workerrmq-reconciler", daemon=True)
        self._beating = threading.Thread(target=self._beat_on, name="workerrmq-heartbeat", daemon=True)
        self._steering.start()
        self._beating.start()

    def progress(self) -> Progress:
        """Return the progress of the threads since `start`."""
        snapshot = self._consumers.snapshot()
        return Progress(
            looped_at=snapshot.at,
            steered_at=self._steered_at,
            fault=self.fault,
            not_connected=None if snapshot.connected else snapshot.error or "not connected",
            registry_read=self._desired is not None,
            stopping=self._stopping.is_set(),
        )

    def stop(self, timeout: float) -> None:
        """Take no more messages, give those in flight `timeout` seconds, and give back the rest."""
        turn = self._periods.turn
        self._stopping.set()
        self._consumers.stop(timeout)
        self._steering.join(turn)
        self._consumers.join(timeout + turn * 3)
        if not self._steering.is_alive():
            self._write_attempts()  # the last attempts of the messages in flight
            self._facts.close()
        self._ended.set()
        self._beating.join(turn * 3)

    # --- the reconciling thread --------------------------------------------------------------------------------------

    def _steer_on(self) -> None:
        while True:
            try:
                self._turn()
            except Exception:  # a bug must not end the reconciliation
                log.exception("reconciliation_crashed")
            if self._stopping.wait(self._periods.turn):
                return

    def _turn(self) -> None:
        self._steered_at = time.monotonic()
        self._look_after_thread(time.monotonic())
        self._complaints.attempt("store", "registry", self._steer)
        self._complaints.attempt("store", "suspensions", self._suspend)
        self._write_attempts()

    def _look_after_thread(self, now: float) -> None:
        """Restart the consumer thread after a crash. The delay doubles with each crash."""
        periods = self._periods
        if self._consumers.alive:
            if self.fault and now - self._running_since >= periods.sound_after:
                self.fault, self._crashes = None, 0
            return
        if self._restart_at is None and not self._stopping.is_set():
            pause = min(periods.longest_restart, periods.restart * 2**self._crashes)
            why = self._consumers.crash or "for an unknown reason"
            self.fault = f"The consumer thread crashed ({why}); the log has the traceback."
            log.error("consumer_thread_restarting", reason=why, retry_in_seconds=pause)
            self._crashes, self._restart_at = min(self._crashes + 1, 10), now + pause
        if self._restart_at is not None and now >= self._restart_at:
            self._restart_at, self._running_since = None, now
            self._consumers = self._consumer_thread()
            self._consumers.start()

    def _steer(self) -> None:
        enabled, queues = self._read()
        share = 1 / self._count_workers() if any(one.spec.shares_limits for one in enabled) else 1.0
        self._consumers.apply(
            [
                Subscription(
                    one.id,
                    one.revision,
                    one.spec,
                    queues.facts.get(one.spec.queue_name, queues.otherwise),
                    share if one.spec.shares_limits else 1.0,
                    one.retiring_secrets,
                )
                for one in enabled
            ]
        )

    def _count_workers(self) -> int:
        """Return the number of workers that share a rate limit. If no heartbeat is recent, not even our own, keep the
        last number."""
        self._workers = self._store.heartbeats.count() or self._workers
        return self._workers

    def _read(self) -> tuple[list[RegisteredConsumer], _Queues]:
        """Return the enabled consumers and the facts about their queues. A queue may be deleted and created again with
        another type, so a change of the registry, or a consumer that loses its queue, makes the old facts stale."""
        desired, losses, now = self._registry.now(), self._consumers.snapshot().losses, time.monotonic()
        enabled = [one for one in desired if one.state == "enabled"]
        changed = desired is not self._desired or losses != self._losses
        if changed:
            self._refuse([one for one in desired if one.state != "enabled"])
            self._desired, self._losses, self._changed_at = desired, losses, now
        unknown = any(one.spec.queue_name not in self._queues.facts for one in enabled)
        age = self._periods.facts_of_unknown if unknown else self._periods.facts
        if enabled:
            self._facts.ask(max(self._changed_at, now - age))
            self._facts.latest(now + self._periods.facts_patience if changed else now)
        return enabled, self._queues

    def _refuse(self, consumers: list[RegisteredConsumer]) -> None:
        """Report consumers as suspended, without suspending them in the registry: a worker of another release, or with
        another SECRET_KEY, may be able to run them."""
        before = self._refused
        self._refused = tuple(Report(one.id, one.revision, "suspended", one.reason) for one in consumers)
        for one, report in zip(consumers, self._refused, strict=True):
            if report not in before:
                spec = one.spec
                log.error("consumer_suspended", consumer=spec.name, queue=spec.queue_name, reason=one.reason)

    def _suspend(self) -> None:
        for report in self._consumers.snapshot().consumers:
            if report.state == "suspended":
                reason = report.reason or "the target refused the messages"
                self._store.consumers.suspend(report.consumer_id, report.revision, reason, report.refused_status)

    def _write_attempts(self) -> None:
        taken = self._consumers.take_attempts()
        self._complaints.attempt("store", "attempts", lambda: self._attempts.write(taken))

    # --- the thread that reads facts ---------------------------------------------------------------------------------

    def _read_facts(self) -> None:
        """Read the facts about all queues. While the management API is down, running consumers continue, and consumers
        of unknown queues start anyway."""

        def read() -> None:
            self._queues = _Queues(self._gateway.facts())

        if not self._complaints.attempt("management", "facts", read):
            self._queues = _Queues(self._queues.facts, UNDESCRIBED_QUEUE)

    # --- the heartbeat thread ----------------------------------------------------------------------------------------

    def _beat_on(self) -> None:
        while not self._ended.is_set():
            self._complaints.attempt("store", "heartbeat", self._beat)
            self._ended.wait(self._periods.turn)
        self._complaints.attempt("store", "heartbeat", lambda: self._store.heartbeats.remove(self._name))

    def _beat(self) -> None:
        snapshot = self._consumers.snapshot()
        reports = (*snapshot.consumers, *self._refused)
        beat = Heartbeat(self._name, datetime.now(UTC), self._started_at, snapshot.connected, reports)
        self._store.heartbeats.beat(beat)
