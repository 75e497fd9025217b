"""Makes a worker process run what the registry desires, and report what it does. No leader, no leases: every worker
runs every enabled consumer, and the broker shares the messages out."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from domain.errors import WorkerError
from domain.registry import (
    UNDESCRIBED_QUEUE,
    UNKNOWN_QUEUE,
    Heartbeat,
    QueueFacts,
    RegisteredConsumer,
    Subscription,
)
from gateway.consumer_thread import ConsumerThread
from gateway.management import DeadLetterGateway
from gateway.mongo import Store

log = structlog.get_logger("workerrmq.worker")

PERIOD = 1.0
"""Seconds between two looks at the registry's version; a heartbeat goes with each."""
_REGISTRY_EVERY = 30.0
"""Seconds after which the whole registry is read even if its version says that nothing has changed."""
_LONGEST_PAUSE = 60.0
"""Seconds before a consumer thread that crashes again and again is restarted."""
_FACTS_EVERY = 30.0
_FACTS_AT_LEAST = 2.0
"""Seconds between two looks at the queues: as a rule, and when one is not known yet."""


class Reconciler:
    """One ConsumerThread and the thread that steers it. Owns both; others may call `start` and `stop`, and
    read `fault`.

    While the store is away the consumers go on as they are; while the management API is, with what was last known of
    their queues.
    """

    def __init__(
        self,
        store: Store,
        queues: DeadLetterGateway,
        consumer_thread: Callable[[], ConsumerThread],
        *,
        first_pause: float = 1.0,
        sound_after: float = 10.0,
    ) -> None:
        """A consumer thread that crashes is restarted after `first_pause` seconds, doubled with each crash; once it has
        run for `sound_after` seconds, there is no `fault` any more."""
        self._store, self._queues = store, queues
        self._first_pause, self._sound_after = first_pause, sound_after
        self._crashes = 0
        self._restart_at: float | None = None
        self._running_since = 0.0
        self.fault: str | None = None
        """why this process may not consume, as a sentence; None when its threads run"""
        self._consumer_thread = consumer_thread
        self._facts: dict[str, QueueFacts] = {}
        self._otherwise = UNKNOWN_QUEUE
        self._facts_at = float("-inf")
        self._enabled: list[RegisteredConsumer] = []
        self._version: int | None = None
        self._read_at = float("-inf")
        self._complaints: dict[str, str] = {}

    def start(self) -> None:
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._started_at = datetime.now(UTC)
        self._stopping = threading.Event()
        self._consumers = self._consumer_thread()
        self._consumers.start()
        self._running_since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="workerrmq-reconciler", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Take no more messages, give those in flight `timeout` seconds, hand back the rest."""
        self._stopping.set()
        self._consumers.stop(timeout)
        self._thread.join(PERIOD)
        self._consumers.join(timeout + PERIOD * 3)
        self._attempt("store", lambda: self._store.heartbeats.remove(self._name))

    def _run(self) -> None:
        while True:
            try:
                self._turn()
            except Exception:  # a fault of ours must not leave the consumers unsteered
                log.exception("reconciliation_crashed")
            if self._stopping.wait(PERIOD):
                return

    def _turn(self) -> None:
        self._look_after_thread(time.monotonic())
        self._attempt("store", self._steer)
        self._attempt("store", self._report)

    def _look_after_thread(self, now: float) -> None:
        """Restart the consumer thread when it has crashed, after a pause that doubles."""
        if self._consumers.alive:
            if self.fault and now - self._running_since >= self._sound_after:
                self.fault, self._crashes = None, 0
            return
        if self._restart_at is None and not self._stopping.is_set():
            pause = min(_LONGEST_PAUSE, self._first_pause * 2**self._crashes)
            why = self._consumers.crash or "for an unknown reason"
            self.fault = f"The consumer thread crashed ({why}); the log has the traceback."
            log.error("consumer_thread_died", reason=why, retry_in_seconds=pause)
            self._crashes, self._restart_at = min(self._crashes + 1, 10), now + pause
        if self._restart_at is not None and now >= self._restart_at:
            self._restart_at, self._running_since = None, now
            self._consumers = self._consumer_thread()
            self._consumers.start()

    def _steer(self) -> None:
        enabled = self._read_registry()
        self._refresh_facts(enabled)
        limited = any(one.spec.rate_limit for one in enabled)
        share = 1 / max(1, self._store.heartbeats.count()) if limited else 1.0
        self._consumers.apply([self._subscription(one, share if one.spec.rate_limit else 1.0) for one in enabled])

    def _read_registry(self) -> list[RegisteredConsumer]:
        version, now = self._store.consumers.version(), time.monotonic()
        if version != self._version or now - self._read_at > _REGISTRY_EVERY:
            self._enabled = self._store.consumers.enabled()
            self._version, self._read_at = version, now
        return self._enabled

    def _subscription(self, one: RegisteredConsumer, share: float) -> Subscription:
        facts = self._facts.get(one.spec.queue_name, self._otherwise)
        return Subscription(one.id, one.revision, one.spec, facts, share, one.retiring_secrets)

    def _refresh_facts(self, enabled: list[RegisteredConsumer]) -> None:
        unknown = any(one.spec.queue_name not in self._facts for one in enabled)
        if enabled and time.monotonic() - self._facts_at > (_FACTS_AT_LEAST if unknown else _FACTS_EVERY):
            self._facts_at = time.monotonic()
            self._attempt("management", self._read_facts)

    def _read_facts(self) -> None:
        """While the management API is down, consumers go on as they are, and those of other queues start all the
        same."""
        self._otherwise = UNDESCRIBED_QUEUE
        self._facts = self._queues.facts()
        self._otherwise = UNKNOWN_QUEUE

    def _report(self) -> None:
        snapshot = self._consumers.snapshot()
        for report in snapshot.consumers:
            if report.state == "suspended":
                reason = report.reason or "the target refuses its messages"
                self._store.consumers.suspend(report.consumer_id, report.revision, reason)
        self._store.attempts.add(self._consumers.take_attempts())
        beat = Heartbeat(self._name, datetime.now(UTC), self._started_at, snapshot.connected, snapshot.consumers)
        self._store.heartbeats.beat(beat)

    def _attempt(self, what: str, action: Callable[[], object]) -> None:
        """Do it, or say once why it cannot be done, and once that it can again."""
        try:
            action()
        except WorkerError as exc:
            if self._complaints.get(what) != exc.code:
                self._complaints[what] = exc.code
                log.warning("dependency_unavailable", dependency=what, reason=exc.detail)
        else:
            if self._complaints.pop(what, None):
                log.info("dependency_available", dependency=what)
