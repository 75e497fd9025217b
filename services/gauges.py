"""The gauges for monitoring: the meaning of each, and its value from the state of broker, registry and workers.

The functions use only their arguments, and do no I/O. Gauges describe the whole service, so they are the same on each
host.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from domain.consumer_details import STATES
from domain.gauge import OTHER, Gauge, Readings
from domain.overview import ConsumerOutline, QueueOutline
from domain.registry import Heartbeat
from gateway.amqp.topology import holds_delayed
from services.consumer_state import Live
from services.delayed import delayed
from services.health import DependencyState
from services.troubles import dead_letter_queues

MAX_SERIES = 1000
"""Queues, and consumers, that get their own series, by name; the others are summed up as OTHER."""

BUILD = Gauge(
    "workerrmq_build_info", "Always 1; the labels are the release and its Python version.", ("version", "python")
)
UP = Gauge("workerrmq_dependency_up", "1 if the dependency answers, else 0.", ("dependency",))
ANSWERED_IN = Gauge("workerrmq_dependency_seconds", "Seconds until the dependency answered.", ("dependency",))
WORKERS = Gauge("workerrmq_workers", "Worker processes whose heartbeat is not older than five seconds, on all hosts.")
CONSUMERS = Gauge("workerrmq_consumers", "Consumers by state.", ("state",))
STATE = Gauge("workerrmq_consumer_state", "1 for the state that a consumer is in.", ("consumer", "queue", "state"))
BREAKER = Gauge(
    "workerrmq_breaker_state", "0 closed, 1 half open, 2 open; the worst over all workers.", ("consumer", "queue")
)
THROTTLED = Gauge(
    "workerrmq_consumer_throttled",
    "1 while a worker waits because the target asked for a pause.",
    ("consumer", "queue"),
)
COPIES_REFUSED = Gauge(
    "workerrmq_copies_refused",
    "Messages that stay unacked because the broker refuses their copies: retries, dead letters, forwarded or routed "
    "messages, replies.",
    ("consumer", "queue"),
)
IN_FLIGHT = Gauge("workerrmq_in_flight", "Unsettled messages in the workers.", ("consumer", "queue"))
CERTIFICATE = Gauge(
    "workerrmq_certificate_expiry_timestamp_seconds",
    "Expiry of the certificates in a consumer's tls, in Unix seconds.",
    ("consumer", "queue"),
)
READY = Gauge("workerrmq_queue_messages_ready", "Messages that wait in a queue.", ("queue",))
UNACKED = Gauge("workerrmq_queue_messages_unacked", "Messages that are delivered and not yet acked.", ("queue",))
QUEUE_CONSUMERS = Gauge("workerrmq_queue_consumers", "Subscriptions to a queue, as the broker counts them.", ("queue",))
OLDEST = Gauge("workerrmq_queue_oldest_message_seconds", "Age of the first ready message, if known.", ("queue",))
RETRIES = Gauge("workerrmq_retries_waiting", "Retries in the delay levels, including overdue ones.")
OVERDUE = Gauge("workerrmq_retries_overdue", "Messages whose delay is over and that are not back in their queues yet.")
SCHEDULED = Gauge("workerrmq_scheduled_waiting", "Scheduled messages in the delay levels, including overdue ones.")
SCHEDULED_OVERDUE = Gauge(
    "workerrmq_scheduled_overdue", "Scheduled messages that RabbitMQ should have forwarded to the next queue."
)
DEAD = Gauge("workerrmq_dead_letters", "Messages in a dead-letter queue.", ("queue",))

GAUGES = (BUILD, UP, ANSWERED_IN, WORKERS, CONSUMERS, STATE, BREAKER, THROTTLED, COPIES_REFUSED, IN_FLIGHT, CERTIFICATE,
          READY, UNACKED, QUEUE_CONSUMERS, OLDEST, RETRIES, OVERDUE, SCHEDULED, SCHEDULED_OVERDUE, DEAD)  # fmt: skip

_BREAKERS = {"breaker-open": 2, "probing": 1}


def of_dependencies(found: Mapping[str, DependencyState]) -> Iterator[Readings]:
    yield UP.reads({(name,): float(one.up) for name, one in found.items()})
    yield ANSWERED_IN.reads({(name,): one.milliseconds / 1000 for name, one in found.items()})


def of_queues(queues: Sequence[QueueOutline]) -> Iterator[Readings]:
    dead = dead_letter_queues(queues)
    ready: dict[tuple[str, ...], float] = defaultdict(float)
    unacked, consumers, letters, oldest = ready.copy(), ready.copy(), ready.copy(), ready.copy()
    now = datetime.now(UTC)
    for number, queue in enumerate(sorted(queues, key=lambda queue: queue.name)):
        if holds_delayed(queue.name):
            continue
        labels = (queue.name if number < MAX_SERIES else OTHER,)
        ready[labels] += queue.ready
        unacked[labels] += queue.unacked
        consumers[labels] += queue.consumers
        if queue.oldest_at is not None:
            oldest[labels] = max(oldest[labels], (now - queue.oldest_at).total_seconds())
        if queue.name in dead:
            letters[labels] += queue.ready + queue.unacked
    yield READY.reads(ready)
    yield UNACKED.reads(unacked)
    yield QUEUE_CONSUMERS.reads(consumers)
    yield DEAD.reads(letters)
    yield OLDEST.reads(oldest)
    for gauge, value in zip((RETRIES, OVERDUE, SCHEDULED, SCHEDULED_OVERDUE), delayed(queues), strict=True):
        yield _if_known(gauge, value)


def _if_known(gauge: Gauge, value: int | None) -> Readings:
    return gauge.reads({} if value is None else {(): value})


def of_workers(consumers: Sequence[ConsumerOutline], workers: Sequence[Heartbeat]) -> Iterator[Readings]:
    live = Live(workers)
    states: dict[tuple[str, ...], float] = {}
    breakers: dict[tuple[str, ...], float] = {}
    in_flight: dict[tuple[str, ...], float] = defaultdict(float)
    refused, throttled = in_flight.copy(), in_flight.copy()
    totals: Counter[str] = Counter()
    ends: dict[tuple[str, ...], float] = {}
    for number, one in enumerate(sorted(consumers, key=lambda one: one.name)):
        state, _ = live.state(one.id, one.desired)
        totals[state] += 1
        labels = (one.name, one.queue_name) if number < MAX_SERIES else (OTHER, OTHER)
        reports = [report for _, report in live.of(one.id)]
        states[*labels, state] = 1
        worst = max((_BREAKERS.get(report.state, 0) for report in reports), default=0)
        breakers[labels] = max(breakers.get(labels, 0), worst)
        throttled[labels] = max(throttled[labels], any(report.state == "throttled" for report in reports))
        refused[labels] += live.counts(one.id).refused_copies
        in_flight[labels] += sum(report.in_flight for report in reports)
        if one.certificate_expires_at is not None:
            end = one.certificate_expires_at.timestamp()
            ends[labels] = min(ends.get(labels, end), end)
    yield WORKERS.reads({(): len(workers)})
    yield CONSUMERS.reads({(state,): totals[state] for state in STATES})
    yield STATE.reads(states)
    yield BREAKER.reads(breakers)
    yield THROTTLED.reads(throttled)
    yield COPIES_REFUSED.reads(refused)
    yield IN_FLIGHT.reads(in_flight)
    yield CERTIFICATE.reads(ends)
