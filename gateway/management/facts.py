"""The properties of a queue that workers and readers need: type, dead letters, delivery limit and deletion."""

from __future__ import annotations

from typing import Any

from domain.registry import QueueFacts

FACT_COLUMNS = "type,auto_delete,exclusive,arguments,effective_policy_definition"

NO_LIMIT_SINCE = (4, 0)
"""From this version on, a quorum queue has a delivery limit by default, and a negative limit means none
(https://www.rabbitmq.com/docs/quorum-queues#position-delivery-limit). In earlier versions a negative limit drops a
message at its first return (tested on 3.10.8)."""

_DEFAULT_LIMIT = 20


def facts_of(queue: dict[str, Any], version: tuple[int, ...]) -> QueueFacts:
    """Return the properties of a queue that was read with FACT_COLUMNS. The queue's arguments take precedence over its
    policy (https://www.rabbitmq.com/docs/dlx#using-policies)."""
    arguments = queue.get("arguments") or {}
    policy = queue.get("effective_policy_definition") or {}  # some versions of RabbitMQ return [] for none
    policy = policy if isinstance(policy, dict) else {}
    exchange = arguments.get("x-dead-letter-exchange", policy.get("dead-letter-exchange"))
    key = arguments.get("x-dead-letter-routing-key", policy.get("dead-letter-routing-key"))
    dead_letter = None if exchange is None else (exchange, key)
    kind = queue.get("type", "classic")
    limits = arguments.get("x-delivery-limit"), policy.get("delivery-limit")
    return QueueFacts(
        type=kind,
        dead_letter=dead_letter,
        single_active=arguments.get("x-single-active-consumer") is True,
        delivery_limit=delivery_limit(limits, version) if kind == "quorum" else None,
        auto_delete=bool(queue.get("auto_delete")),
        exclusive=bool(queue.get("exclusive")),
        expires="x-expires" in arguments or "expires" in policy,
    )


def delivery_limit(limits: tuple[object, ...], version: tuple[int, ...]) -> int | None:
    """Return the limit that applies: the lower of the queue's argument and its policy (None: not given), or the higher
    if either is negative. None means no limit. See rabbit_quorum_queue:resolve_delivery_limit/2 of RabbitMQ 4.0."""
    given = [limit for limit in limits if isinstance(limit, int)]
    if version < NO_LIMIT_SINCE:
        return max(0, min(given)) if given else None
    limit = (max if any(one < 0 for one in given) else min)(given, default=_DEFAULT_LIMIT)
    return None if limit < 0 else limit
