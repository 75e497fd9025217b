"""What workers must know of queues before they consume: type, dead letters, limits, and when a queue is deleted."""

from __future__ import annotations

from typing import Any

from domain.registry import QueueFacts
from gateway.management.client import ManagementClient

_USUAL_LIMIT = 20
"""Of quorum queues for which none is set, from RabbitMQ 4.0 on. Earlier ones have none, where this does no harm."""


class DeadLetterGateway:
    """The queues of one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def facts(self) -> dict[str, QueueFacts]:
        """All queues by name, in one call. A policy counts where the queue's own arguments say nothing
        (https://www.rabbitmq.com/docs/dlx#using-policies)."""
        query: dict[str, str | int] = {
            "columns": "name,type,auto_delete,exclusive,arguments,effective_policy_definition"
        }
        found = self._client.get("queues", self._client.vhost, subject="virtual host", query=query)
        return {queue["name"]: _facts(queue) for queue in found}


def _facts(queue: dict[str, Any]) -> QueueFacts:
    arguments = queue.get("arguments") or {}
    policy = queue.get("effective_policy_definition") or {}  # RabbitMQ writes [] for none in some versions
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
        delivery_limit=_limit(*limits) if kind == "quorum" else None,
        auto_delete=bool(queue.get("auto_delete")),
        exclusive=bool(queue.get("exclusive")),
        expires="x-expires" in arguments or "expires" in policy,
    )


def _limit(*limits: object) -> int | None:
    """Of argument and policy the lower one counts, except that one which is not negative counts before one which is: -1
    is no limit (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling; tried on 4.0.5)."""
    given = [limit for limit in limits if isinstance(limit, int)]
    if not given:
        return _USUAL_LIMIT
    return min((limit for limit in given if limit >= 0), default=None)
