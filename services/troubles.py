"""What counts as trouble: consumers that do not deliver, dead letters, queues that nobody empties, blocked connections.
Decides on what it is given; asks nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import get_args

from domain.overview import ConsumerOutline, QueueOutline, Trouble, TroubleKind
from domain.registry import Report
from gateway.amqp.topology import holds_retries, is_dead_letter_queue
from services.consumer_state import Live

_PATIENCE = timedelta(seconds=10)
"""A consumer that was changed so lately may be on its way."""
_RANKS = {kind: rank for rank, kind in enumerate(get_args(TroubleKind))}


def worst_first(troubles: Iterable[Trouble]) -> list[Trouble]:
    """By kind, and then by how many messages wait."""
    return sorted(troubles, key=lambda one: (_RANKS[one.kind], -(one.messages or 0), one.name))


def dead_letter_queues(queues: Sequence[QueueOutline]) -> set[str]:
    """Those that are called so, or that another queue sends its dead letters to."""
    named = {queue.dead_letter_queue for queue in queues if queue.dead_letter_queue}
    return named | {queue.name for queue in queues if is_dead_letter_queue(queue.name)}


def of_consumers(
    consumers: Sequence[ConsumerOutline], live: Live, ready: dict[str, int], now: datetime
) -> Iterator[Trouble]:
    """What is wrong with consumers; `ready` are the messages that wait in the queues."""
    if not live.any_worker and any(one.desired == "enabled" for one in consumers):
        yield Trouble(kind="no_worker", name="workers", reason="No worker is alive, so nothing is delivered.")
        return
    for one in consumers:
        found = _of_consumer(one, live, now)
        if found is not None:
            kind, reason, since = found
            yield Trouble(
                kind=kind,
                name=one.name,
                queue_name=one.queue_name,
                reason=reason,
                messages=ready.get(one.queue_name),
                since=since,
            )


def _of_consumer(one: ConsumerOutline, live: Live, now: datetime) -> tuple[TroubleKind, str, datetime | None] | None:
    if one.desired == "suspended":
        return "consumer_suspended", one.reason or "its target refuses its messages", one.updated_at
    if one.desired == "paused":
        return None
    worst: Report | None = live.worst(one.id)
    if worst is None:
        waiting = now - one.updated_at > _PATIENCE
        return ("consumer_waiting", "no worker has taken it up", one.updated_at) if waiting else None
    reason, at = worst.reason or worst.error or "", worst.error_at
    if worst.state in ("breaker-open", "probing"):
        return "breaker_open", reason, at
    if worst.state in ("failing", "resting", "suspended"):
        return "consumer_failing", reason, at
    return ("consumer_waiting", reason, None) if worst.state in ("waiting", "throttled") else None


def of_queues(queues: Sequence[QueueOutline], consumers: Sequence[ConsumerOutline]) -> Iterator[Trouble]:
    """Dead letters, and messages that nobody takes. Where the consumer is the trouble, the queue is not another one."""
    registered: dict[str, list[ConsumerOutline]] = defaultdict(list)
    for consumer in consumers:
        registered[consumer.queue_name].append(consumer)
    dead = dead_letter_queues(queues)
    for queue in queues:
        held = queue.ready + queue.unacked
        if queue.name in dead:
            if held:
                reason = "Messages that could not be delivered wait here to be replayed."
                yield _of_queue("dead_letters", queue.name, reason, held)
        elif reason := _unconsumed(queue, registered.get(queue.name, [])):
            yield _of_queue("queue_unconsumed", queue.name, reason, queue.ready)


def _of_queue(kind: TroubleKind, name: str, reason: str, messages: int) -> Trouble:
    return Trouble(kind=kind, name=name, queue_name=name, reason=reason, messages=messages)


def _unconsumed(queue: QueueOutline, consumers: Sequence[ConsumerOutline]) -> str:
    """A sentence, or nothing where somebody takes its messages, or would if he could."""
    if not queue.ready or queue.consumers or holds_retries(queue.name):
        return ""
    if any(consumer.desired != "paused" for consumer in consumers):
        return ""
    growing = f", and it grows by {queue.publish_rate:g} a second" if queue.publish_rate else ""
    if consumers:
        return f"Its consumer {consumers[0].name!r} is paused{growing}."
    return f"It has no consumer{growing}."
