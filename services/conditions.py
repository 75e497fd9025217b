"""Observes the conditions that the service tells about (delivery/conditions.py). Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from domain.condition import Key, Kind, Observed
from domain.overview import ConsumerOutline, QueuesSeen
from gateway.amqp.topology import dead_letter_queue
from services.consumer_state import Live
from services.troubles import dead_letter_queues, of_queues

Found = tuple[Key, Observed | None]

UNKNOWN_WITHOUT_BROKER: frozenset[Kind] = frozenset(
    {"consumer.suspended", "breaker.opened", "deadletters.grew", "retries.overdue"}
)
"""The kinds that are not known while the management API is down: either it reports them, or it reports which consumers
deliver events."""


def observed(
    consumers: Sequence[ConsumerOutline], live: Live, seen: QueuesSeen | None, alerted: Collection[str]
) -> dict[Key, Observed | None]:
    """Return the conditions that hold, or of which nothing is known (None). `seen` is None while the management API is
    down. `alerted` are the queues that receive events. Conditions of their consumers and dead letters are omitted,
    because an event about them would be delivered, and fail, in the same way."""
    found = of_workers(consumers, live)
    if seen is not None:
        others = [one for one in consumers if one.queue_name not in alerted]
        found = chain(found, of_consumers(others, live), of_dead_letters(seen, alerted), of_retries(seen, live))
    return dict(found)


def of_workers(consumers: Sequence[ConsumerOutline], live: Live) -> Iterator[Found]:
    if not live.any_worker and any(one.desired == "enabled" for one in consumers):
        yield Key("worker.none"), Observed()


def of_consumers(consumers: Sequence[ConsumerOutline], live: Live) -> Iterator[Found]:
    """Nothing is known of an enabled consumer without a report."""
    for one in consumers:
        suspended, broken = Key("consumer.suspended", one.id), Key("breaker.opened", one.id)
        if one.desired == "enabled" and live.worst(one.id) is None:
            yield suspended, None
            yield broken, None
            continue
        state, reason = live.state(one.id, one.desired, one.reason)
        if state == "suspended":
            yield suspended, Observed(name=one.name, queue_name=one.queue_name, reason=reason or "")
        elif one.desired == "enabled" and (report := live.open_breaker(one.id)):
            yield broken, Observed(name=one.name, queue_name=one.queue_name, reason=report.reason or "")


def of_dead_letters(seen: QueuesSeen, alerted: Collection[str]) -> Iterator[Found]:
    silent = {dead_letter_queue(name) for name in alerted} | set(alerted)
    silent |= {queue.dead_letter_queue for queue in seen.queues if queue.name in alerted and queue.dead_letter_queue}
    dead = dead_letter_queues(seen.queues) - silent
    for queue in seen.queues:
        if queue.name in dead and queue.held is None:
            yield Key("deadletters.grew", queue.name), None
        elif queue.name in dead:
            level = queue.ready + queue.unacked
            yield Key("deadletters.grew", queue.name), Observed(level, name=queue.name, queue_name=queue.name)


def of_retries(seen: QueuesSeen, live: Live) -> Iterator[Found]:
    overdue = [one for one in of_queues(seen, (), live) if one.kind == "retries_overdue"]
    if overdue:
        first = overdue[0]
        yield Key("retries.overdue"), Observed(name=first.name, queue_name=first.queue_name, reason=first.reason)
