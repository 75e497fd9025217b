"""Tells about conditions of the service: publishes events about their beginnings and ends. Also records the history.

Every process runs this service, and one of them at a time observes: the one with the lease in the store. A change and
its event are stored in the same write. An event stays in the outbox until the broker has confirmed it, so a process
that is killed in between loses none; the next one publishes it again, with the same id.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from uuid import uuid4

import structlog

from delivery.conditions import RULES, Rule, advance
from delivery.service_events import message
from domain.condition import Key, Kind, Observed
from domain.errors import PublishRefused, Unroutable, WorkerError
from domain.message import Message
from domain.names import EVENTS
from gateway.management import BindingGateway, ExchangeGateway, QueueLookup
from gateway.mongo import Store
from runtime.threads import OneThread
from services.complaints import Complaints
from services.conditions import UNKNOWN_WITHOUT_BROKER, observed
from services.consumer_state import Live
from services.history import Recorder
from services.queue_watch import QueueWatch
from services.registry_copy import RegistryCopy
from services.returned_messages import ReturnedMessages

log = structlog.get_logger("workerrmq.events")

Publish = Callable[[Sequence[Message]], Sequence[WorkerError | None]]


@dataclass(frozen=True, slots=True)
class EventPeriods:
    """All values are in seconds."""

    turn: float = 5.0
    """interval between two observations"""
    lease: float = 30.0
    """time after which another process continues the work of one that was killed; also the longest time without an
    observation after which earlier ones no longer count"""
    first_pause: float = 30.0
    """pause before an event that a queue has refused is published again; it doubles with each refusal"""
    longest_pause: float = 1800.0
    """maximum of that pause"""


class ServiceEvents(OneThread):
    """Owns one thread. Others may call `start` and `stop`."""

    def __init__(
        self,
        store: Store,
        watch: QueueWatch,
        exchanges: ExchangeGateway,
        bindings: BindingGateway,
        lookup: QueueLookup,
        publish: Publish,
        recorder: Recorder,
        *,
        rules: Mapping[Kind, Rule] = RULES,
        periods: EventPeriods = EventPeriods(),
        complaints: Complaints | None = None,
    ) -> None:
        """`publish` publishes messages and returns a result for each. `recorder` records the history."""
        self._store, self._conditions, self._watch = store, store.conditions, watch
        self._exchanges, self._bindings = exchanges, bindings
        self._returned = ReturnedMessages(lookup)
        self._recorder = recorder
        self._publish, self._rules, self._periods = publish, rules, periods
        self._complaints = complaints or Complaints()
        self._refused: dict[Key, tuple[float, float]] = {}  # when to publish again (monotonic time), after which pause
        self._consumers = RegistryCopy(store.consumers.version, store.consumers.outlines)

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._process = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        while True:
            self._complaints.attempt("store", "events", self._turn)
            if self._stopping.wait(self._periods.turn):
                break
        self._complaints.attempt("store", "events", lambda: self._conditions.release(self._process))

    def _turn(self) -> None:
        """Observe, and publish events, if this process has the lease. If it cannot use the broker, another process may
        try. Raises StoreUnavailable."""
        now = time.time()
        last = self._conditions.claim(self._process, now, self._periods.lease)
        if last is None:
            return
        found, alerted = self._observe(now)
        unknown = UNKNOWN_WITHOUT_BROKER if alerted is None else frozenset()
        first, gap = not last, now - last > self._periods.lease
        known = self._conditions.all()
        for key, one in advance(known, found, unknown, now, lambda: uuid4().hex, self._rules, first=first, gap=gap):
            self._conditions.put(key, one)
        if alerted is None:
            self._conditions.release(self._process, last)
        elif not self._tell(anybody=bool(alerted)):
            self._conditions.release(self._process)

    def _observe(self, now: float) -> tuple[dict[Key, Observed | None], set[str] | None]:
        """Return the observed conditions, and the queues that receive events; None for both parts that only the
        management API knows. Record the history."""
        consumers, workers = self._consumers.now(), self._store.heartbeats.live()
        seen, alerted = None, None

        def look() -> None:
            nonlocal seen, alerted
            alerted, seen = self._alerted(), self._watch.look()

        self._complaints.attempt("management", "events", look)
        queues = None if seen is None else seen.queues
        self._complaints.attempt("store", "history", lambda: self._recorder.record(now, workers, queues))
        return observed(consumers, Live(workers), seen, alerted or ()), alerted

    def _alerted(self) -> set[str]:
        """Return the queues that receive events, directly or through other exchanges. Declare the exchange if it is
        missing."""
        self._exchanges.declare_events()
        queues, exchanges, left = set(), {EVENTS}, [EVENTS]
        while left:
            bindings = self._bindings.all(left.pop())
            queues |= {one.queue_name for one in bindings if one.queue_name is not None}
            new = {one.destination_exchange for one in bindings if one.destination_exchange} - exchanges
            exchanges |= new
            left += new
        return queues

    def _tell(self, *, anybody: bool) -> bool:
        """Publish the events in the outboxes and remove those that are published, or for which no queue is bound.
        Return whether the broker could be used."""
        now = time.monotonic()
        stored = self._conditions.all()
        self._refused = {key: one for key, one in self._refused.items() if key in stored}
        waiting = {
            key: one for key, one in stored.items() if one.outbox and self._refused.get(key, (now, 0.0))[0] <= now
        }
        results = iter(self._failures([message(event) for one in waiting.values() for event in one.outbox], anybody))
        failure = None
        for key, condition in waiting.items():
            errors = [next(results) for _ in condition.outbox]
            count = sum(1 for _ in takewhile(lambda error: error is None, errors))
            if count:
                self._conditions.put(key, replace(condition, outbox=condition.outbox[count:]))
            self._note(key, next(filter(None, errors), None), now)
            failure = failure or next((one for one in errors if one and not isinstance(one, PublishRefused)), None)
        self._complaints.report("broker", "events", failure.detail if failure else None)
        return failure is None

    def _failures(self, messages: Sequence[Message], anybody: bool) -> list[WorkerError | None]:
        """Publish messages, if a queue is bound. Return the error of each that must be published again."""
        errors: list[WorkerError | None] = [Unroutable("no queue is bound") for _ in messages]
        if anybody and messages:
            errors = list(self._publish(messages))
        for number, (one, error) in enumerate(zip(messages, errors, strict=True)):
            if error is None:
                log.info("event_published", type=one.routing_key, event_id=one.properties.message_id)
            elif isinstance(error, Unroutable):  # no queue is bound, or a bound queue is down
                errors[number] = self._returned.outage(one)
        return errors

    def _note(self, key: Key, error: WorkerError | None, now: float) -> None:
        """Remember for how long an event waits after one of several bound queues has refused it, for example because
        it is full. The others get it each time, so the pause doubles."""
        if not isinstance(error, PublishRefused):
            self._refused.pop(key, None)
            return
        before = self._refused.get(key)
        pause = min(2 * before[1], self._periods.longest_pause) if before else self._periods.first_pause
        self._refused[key] = now + pause, pause
        log.warning("event_refused", type=key.kind, reason=error.detail, retry_in_seconds=pause)
