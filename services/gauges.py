"""The gauges for monitoring: the meaning of each, and its value from the state of broker, registry and workers.

The functions use only their arguments, and do no I/O. Gauges describe the whole service, so they are the same on each
host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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


def of_dependencies(states: Mapping[str, DependencyState]) -> Readings:
    return {
        UP: {(name,): float(one.up) for name, one in states.items()},
        ANSWERED_IN: {(name,): one.milliseconds / 1000 for name, one in states.items()},
    }


def of_queues(queues: Sequence[QueueOutline]) -> Readings:
    dead = dead_letter_queues(queues)
    found = _empty(READY, UNACKED, QUEUE_CONSUMERS, DEAD, OLDEST)
    now = datetime.now(UTC)
    for number, queue in enumerate(sorted(queues, key=lambda queue: queue.name)):
        if holds_delayed(queue.name):
            continue
        labels = (queue.name if number < MAX_SERIES else OTHER,)
        found[READY][labels] += queue.ready
        found[UNACKED][labels] += queue.unacked
        found[QUEUE_CONSUMERS][labels] += queue.consumers
        if queue.oldest_at is not None:
            found[OLDEST][labels] = max(found[OLDEST][labels], (now - queue.oldest_at).total_seconds())
        if queue.name in dead:
            found[DEAD][labels] += queue.ready + queue.unacked
    for gauge, value in zip((RETRIES, OVERDUE, SCHEDULED, SCHEDULED_OVERDUE), delayed(queues), strict=True):
        found[gauge] = {} if value is None else {(): value}
    return found


def of_workers(consumers: Sequence[ConsumerOutline], workers: Sequence[Heartbeat]) -> Readings:
    live = Live(workers)
    found = _empty(STATE, BREAKER, THROTTLED, COPIES_REFUSED, IN_FLIGHT, CERTIFICATE)
    found[WORKERS] = {(): len(workers)}
    found[CONSUMERS] = {(state,): 0 for state in STATES}
    for number, one in enumerate(sorted(consumers, key=lambda one: one.name)):
        state, _ = live.state(one.id, one.desired)
        found[CONSUMERS][(state,)] += 1
        labels = (one.name, one.queue_name) if number < MAX_SERIES else (OTHER, OTHER)
        reports = [report for _, report in live.of(one.id)]
        found[STATE][*labels, state] = 1
        worst = max((_BREAKERS.get(report.state, 0) for report in reports), default=0)
        found[BREAKER][labels] = max(found[BREAKER][labels], worst)
        throttled = any(report.state == "throttled" for report in reports)
        found[THROTTLED][labels] = max(found[THROTTLED][labels], throttled)
        found[COPIES_REFUSED][labels] += live.counts(one.id).refused_copies
        found[IN_FLIGHT][labels] += sum(report.in_flight for report in reports)
        if one.certificate_expires_at is not None:
            end = one.certificate_expires_at.timestamp()
            found[CERTIFICATE][labels] = min(found[CERTIFICATE].get(labels, end), end)
    return found


def _empty(*gauges: Gauge) -> Readings:
    return {gauge: defaultdict(float) for gauge in gauges}
