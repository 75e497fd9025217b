"""Decides which facts are troubles: consumers that do not deliver, copies that the broker refuses, overdue retries,
dead letters, queues that grow or have no consumer. The functions use only their arguments, and do no I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import get_args

from domain.overview import ConsumerOutline, QueueOutline, QueuesSeen, Trouble, TroubleCause, TroubleKind
from domain.registry import Report
from domain.tls import written
from gateway.amqp.topology import DUE, OVERDUE, holds_delayed, is_dead_letter_queue, scheduled_level
from services.consumer_state import Live

_STUCK: dict[TroubleKind, str] = {
    "retries_overdue": (
        "The delay of these retries is over, but RabbitMQ does not forward them. Run `rabbitmq-queues rebalance "
        "quorum`, which elects new leaders."
    ),
    "scheduled_overdue": (
        "These scheduled messages are due, but RabbitMQ does not forward them. Check that all exchanges "
        "`workerrmq.delay.…` exist; to declare missing ones again, schedule a message. Then run `rabbitmq-queues "
        "rebalance quorum`, which elects new leaders."
    ),
    "dead_lettering_stuck": (
        "RabbitMQ cannot dead-letter these messages. Check that the queue's dead-letter exchange leads to a queue "
        "which is not full. Then run `rabbitmq-queues rebalance quorum`, which elects new leaders."
    ),
}
_DUE = {
    DUE: "The delay of these messages is over, but no worker puts them into their queues. Check that a worker runs.",
    OVERDUE: (
        "The delay of these messages is over, but their queues refuse them or are unavailable. Workers retry every "
        "30 seconds, an exchange after up to five minutes. Make room in the queues that the workers' logs name "
        "(`return_refused`)."
    ),
}
_UNKNOWN = (
    "RabbitMQ does not report how many messages are in this queue. Check its leader with `rabbitmq-queues "
    "quorum_status`; no message leaves a queue without a leader. If all its nodes are up and it has no leader, "
    "delete the queue; the service declares it again."
)
_CAUSES: dict[str, TroubleCause] = {
    "breaker-open": "target_fails",
    "probing": "target_fails",
    "failing": "target_fails",
    "resting": "target_refuses",
    "suspended": "target_refuses",
    "throttled": "target_throttles",
}
"""The cause of a consumer's problem, by its state on a worker."""
_COPIES = "retries, dead letters, forwarded or routed messages, replies"
_CREDENTIALS = {401, 403, 407}
"""Statuses with which a target rejects credentials (RFC 9110 §15.5)."""
_RANKS = {kind: rank for rank, kind in enumerate(get_args(TroubleKind))}


def worst_first(troubles: Iterable[Trouble]) -> list[Trouble]:
    """Sort by kind, then by the number of waiting messages."""
    return sorted(troubles, key=lambda one: (_RANKS[one.kind], -(one.messages or 0), one.name))


def dead_letter_queues(queues: Sequence[QueueOutline]) -> set[str]:
    """Return the names of the queues that are dead-letter queues by name, or the dead-letter target of a queue."""
    named = {queue.dead_letter_queue for queue in queues if queue.dead_letter_queue}
    return named | {queue.name for queue in queues if is_dead_letter_queue(queue.name)}


def of_consumers(
    consumers: Sequence[ConsumerOutline], live: Live, ready: dict[str, int] | None, now: datetime, patience: timedelta
) -> Iterator[Trouble]:
    """Yield the troubles of consumers. `ready` is the number of ready messages by queue, if known. A consumer without
    a worker is no trouble until `patience` after its last change."""
    if not live.any_worker and any(one.desired == "enabled" for one in consumers):
        yield Trouble(kind="no_worker", name="workers", reason="No worker is alive, so no message is delivered.")
        return
    for one in consumers:
        counts = live.counts(one.id)
        refused, copy_error = counts.refused_copies, counts.copy_error
        if refused:
            reason = f"The broker refuses copies of messages ({_COPIES}), so those stay unacked. {copy_error}"
            yield _of_outline(one, "copies_refused", reason, None).model_copy(update={"messages": refused})
        found = _of_consumer(one, live, now, patience)
        if found is not None and not (refused and (found.kind, found.reason) == ("consumer_failing", copy_error)):
            missing = found.kind == "consumer_waiting" and ready is not None and one.queue_name not in ready
            changes = {
                "messages": ready.get(one.queue_name) if ready else None,
                "next_attempt_at": live.next_attempt_at(one.id) if one.desired == "enabled" else None,
                "cause": "queue_missing" if missing else found.cause,
            }
            yield found.model_copy(update=changes)


def _of_outline(
    one: ConsumerOutline, kind: TroubleKind, reason: str, since: datetime | None, cause: TroubleCause | None = None
) -> Trouble:
    return Trouble(kind=kind, name=one.name, queue_name=one.queue_name, reason=reason, since=since, cause=cause)


def _of_consumer(one: ConsumerOutline, live: Live, now: datetime, patience: timedelta) -> Trouble | None:
    found = partial(_of_outline, one)
    if one.desired == "suspended":
        reason = one.reason or "the target refused the messages"
        return found("consumer_suspended", reason, one.updated_at, _cause_of_suspension(one.refused_status))
    if one.desired == "paused":
        return None
    worst: Report | None = live.worst(one.id)
    if worst is None:
        waiting = now - one.updated_at > patience
        return found("consumer_waiting", "no worker has started it", one.updated_at) if waiting else None
    reason, at, cause = worst.reason or worst.error or "", worst.error_at, _CAUSES.get(worst.state)
    if cause == "target_refuses" and worst.refused_status in _CREDENTIALS:
        cause = "credentials"
    if worst.state in ("breaker-open", "probing"):
        return found("breaker_open", reason, at, cause)
    if worst.state in ("failing", "resting", "suspended"):
        return found("consumer_failing", reason, at, cause)
    return found("consumer_waiting", reason, None, cause) if worst.state in ("waiting", "throttled") else None


def _cause_of_suspension(status: int | None) -> TroubleCause:
    if status is None:  # no token, an invalid certificate, or an invalid stored definition
        return "definition"
    return "credentials" if status in _CREDENTIALS else "target_refuses"


def of_certificates(consumers: Sequence[ConsumerOutline], now: datetime, notice: timedelta) -> Iterator[Trouble]:
    """Consumers whose certificates expire within `notice`, or have expired."""
    for one in consumers:
        end = one.certificate_expires_at
        if end is not None and end - now < notice:
            when = f"{'expired' if end <= now else 'expires'} on {written(end)}"
            reason = f"A certificate of the consumer's `tls` {when}. Give it a new one by PATCH /updateConsumer."
            yield _of_outline(one, "certificate_expires", reason, None, "certificate")


def of_queues(seen: QueuesSeen, consumers: Sequence[ConsumerOutline], live: Live) -> Iterator[Trouble]:
    """Yield the troubles of queues: messages that RabbitMQ does not dead-letter, dead letters, and queues that grow or
    have no consumer. A queue whose consumer is a trouble is not a second one."""
    registered: dict[str, list[ConsumerOutline]] = defaultdict(list)
    for consumer in consumers:
        registered[consumer.queue_name].append(consumer)
    dead = dead_letter_queues(seen.queues)
    for queue in seen.queues:
        if queue.name in seen.stuck:
            kind = _stuck_kind(queue.name)
            messages = seen.stuck[queue.name]
            reason = _UNKNOWN if messages is None else _DUE.get(queue.name, _STUCK[kind])
            yield _of_queue(kind, queue, reason, messages)
        if queue.name in dead:
            if queue.ready + queue.unacked:
                reason = "These messages could not be delivered. Fix the cause, then replay them."
                yield _of_queue("dead_letters", queue, reason, queue.ready + queue.unacked)
        elif reason := _unconsumed(queue, registered.get(queue.name, [])):
            cause: TroubleCause = "paused" if registered.get(queue.name) else "no_consumer"
            yield _of_queue("queue_unconsumed", queue, reason, queue.ready, cause)
        elif reason := _growing(queue, seen, registered.get(queue.name, []), live):
            yield _of_queue("queue_growing", queue, reason, queue.ready + queue.unacked, "slow")


def _stuck_kind(queue_name: str) -> TroubleKind:
    if scheduled_level(queue_name) is not None:
        return "scheduled_overdue"
    return "retries_overdue" if holds_delayed(queue_name) else "dead_lettering_stuck"


def _of_queue(
    kind: TroubleKind, queue: QueueOutline, reason: str, messages: int | None, cause: TroubleCause | None = None
) -> Trouble:
    return Trouble(
        kind=kind,
        name=queue.name,
        queue_name=queue.name,
        reason=reason,
        messages=messages,
        oldest_message_at=queue.oldest_at,
        cause=cause,
    )


def _growing(queue: QueueOutline, seen: QueuesSeen, consumers: Sequence[ConsumerOutline], live: Live) -> str:
    """Return the reason as a sentence; empty if the queue does not grow, or if its registered consumers do not run."""
    growth = seen.growing.get(queue.name)
    if growth is None or not queue.consumers or holds_delayed(queue.name):
        return ""
    if consumers and not any(live.state(one.id, one.desired)[0] == "running" for one in consumers):
        return ""
    return (
        f"The queue grows although it has a consumer: by {growth.messages} messages in {growth.seconds:.0f} s. "
        f"{queue.publish_rate:g} messages/s are published, {queue.ack_rate:g}/s are acked. Check the target's response "
        "time, and the consumer's prefetch and rateLimit."
    )


def _unconsumed(queue: QueueOutline, consumers: Sequence[ConsumerOutline]) -> str:
    """Return the reason as a sentence; empty if the queue has an active consumer, or a registered one that is not
    paused."""
    if not queue.ready or queue.consumers or holds_delayed(queue.name):
        return ""
    if any(consumer.desired != "paused" for consumer in consumers):
        return ""
    growing = f"; {queue.publish_rate:g} messages/s are published to it" if queue.publish_rate else ""
    if consumers:
        return f"Its consumer {consumers[0].name!r} is paused{growing}."
    return f"It has no consumer{growing}."
