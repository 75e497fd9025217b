"""Queues through the management API."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from domain.details import Page, QueueDetails
from domain.errors import BrokerTimeout, Invalid, NotFound
from domain.overview import QueueOutline
from domain.queue import QueueSpec
from domain.selection import Selection
from domain.timestamps import plausible
from gateway.amqp.topology import holds_due
from gateway.management.client import ManagementClient
from gateway.management.facts import NO_LIMIT_SINCE
from gateway.management.pages import read_page
from gateway.management.queue_lookup import COLUMNS, STATE_COLUMNS, QueueLookup, outage, state_of

_OUTLINE_COLUMNS = (
    f"{STATE_COLUMNS},arguments,messages,messages_ready,messages_unacknowledged,messages_dlx,consumers,head_message_timestamp,"
    "message_stats.publish,message_stats.deliver_get,message_stats.ack,"
    "message_stats.publish_details,message_stats.deliver_get_details,message_stats.ack_details"
)

_SORT_COLUMNS = {
    "messages": "messages",
    "ready": "messages_ready",
    "unacked": "messages_unacknowledged",
    "messageBytes": "message_bytes",
    "consumers": "consumers",
    "publishRate": "message_stats.publish_details.rate",
    "deliverRate": "message_stats.deliver_get_details.rate",
    "ackRate": "message_stats.ack_details.rate",
}


class QueueGateway:
    """The queues of one virtual host. Raises what ManagementClient.call raises, and QueueUnavailable for a queue whose
    node is down, instead of the various errors that RabbitMQ returns then."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client
        self._lookup = QueueLookup(client)

    def declare(self, spec: QueueSpec) -> bool:
        """Create the queue; return False if it exists with these properties. Raises Conflict if they differ, and
        Invalid for a negative delivery limit before RabbitMQ 4.0."""
        arguments = spec.amqp_arguments()
        limit = arguments.get("x-delivery-limit")
        if isinstance(limit, int) and limit < 0:
            self._check_no_limit()
        wanted = {"durable": spec.durable, "auto_delete": spec.auto_delete, "arguments": arguments}
        return self._call("PUT", spec.queue_name, body=wanted) == 201

    def page(self, wanted: Selection) -> Page[QueueDetails]:
        """Return one page of queues. A regular expression must be the service's own (see read_page)."""
        page = read_page(self._client, "queues", wanted, COLUMNS, _SORT_COLUMNS)
        return Page([_details(one) for one in page.items], page.total)

    def get(self, name: str) -> QueueDetails:
        """Return one queue. Raises NotFound."""
        try:
            queue = self._client.get("queues", self._client.vhost, name, subject="queue", name=name)
        except NotFound:
            queue = {}
        if "messages" not in queue:  # it is missing, new, or its node is down
            queue = self._lookup.find(name)
        return _details(queue)

    def outlines(self) -> list[QueueOutline]:
        """Return the outlines of all queues, in one call."""
        query: dict[str, str | int] = {"columns": _OUTLINE_COLUMNS}
        found = self._client.get("queues", self._client.vhost, subject="virtual host", query=query)
        return [_outline(one) for one in found]

    def purge(self, name: str) -> None:
        """Delete the ready messages; unacked messages stay. Raises NotFound and Locked."""
        self._call("DELETE", name, "contents")

    def delete(self, name: str, *, if_empty: bool = False, if_unused: bool = False) -> None:
        """Delete the queue with its messages. Raises NotFound, Locked, and PreconditionFailed if a given condition is
        not met."""
        conditions = {"if-empty": if_empty, "if-unused": if_unused}
        self._call("DELETE", name, query={condition: "true" for condition, asked in conditions.items() if asked})

    def _call(self, method: str, name: str, *rest: str, body: Any = None, query: dict[str, str] | None = None) -> int:
        path = ("queues", self._client.vhost, name, *rest)
        try:
            return self._client.call(method, *path, subject="queue", name=name, body=body, query=query)[0]
        except (NotFound, Invalid, BrokerTimeout):
            self._lookup.check_available(name)
            raise

    def _check_no_limit(self) -> None:
        version = self._client.version()
        if version < NO_LIMIT_SINCE:
            number = ".".join(map(str, version))
            sentence = (
                f"must not be negative: RabbitMQ {number} would drop a message the first time it returns. Leave "
                "deliveryLimit out: before RabbitMQ 4.0 there is no limit by default"
            )
            raise Invalid(f"deliveryLimit: {sentence}.", fields=[("deliveryLimit", sentence)])


def _details(queue: dict[str, Any]) -> QueueDetails:
    return QueueDetails(
        queue_name=queue["name"],
        type=queue.get("type", "classic"),
        state=state_of(queue),
        durable=queue["durable"],
        auto_delete=queue["auto_delete"],
        exclusive=queue.get("exclusive", False),
        arguments=queue.get("arguments") or {},
        policy=queue.get("policy") or None,
        messages=queue.get("messages", 0),
        message_bytes=queue.get("message_bytes", 0),
        oldest_message_at=_oldest_at(queue),
        **_figures(queue),
    )


def _outline(queue: dict[str, Any]) -> QueueOutline:
    arguments = queue.get("arguments") or {}
    known = outage(queue) is None
    to_a_queue = arguments.get("x-dead-letter-exchange") == ""
    return QueueOutline(
        name=queue["name"],
        held=queue.get("messages") if known else None,
        dead_lettering=queue.get("messages" if holds_due(queue["name"]) else "messages_dlx") if known else None,
        oldest_at=_oldest_at(queue),
        dead_letter_queue=arguments.get("x-dead-letter-routing-key") if to_a_queue else None,
        counted=_counted(queue) if known else None,
        **_figures(queue),
    )


def _counted(queue: dict[str, Any]) -> tuple[int, ...]:
    """Return the counts of messages published, delivered and acked. RabbitMQ leaves out what it has not counted."""
    stats = queue.get("message_stats") or {}
    return tuple(int(stats.get(name, 0)) for name in ("publish", "deliver_get", "ack"))


def _figures(queue: dict[str, Any]) -> dict[str, Any]:
    """Return the counts and rates of a queue. A new queue has no statistics and is empty."""
    return {
        "ready": queue.get("messages_ready", 0),
        "unacked": queue.get("messages_unacknowledged", 0),
        "consumers": queue.get("consumers", 0),
        "publish_rate": _rate(queue, "publish"),
        "deliver_rate": _rate(queue, "deliver_get"),
        "ack_rate": _rate(queue, "ack"),
    }


def _oldest_at(queue: dict[str, Any]) -> datetime | None:
    """Return the time of the first ready message, by its `timestamp` property. RabbitMQ reports it only for classic
    queues; for an empty queue or a message without a timestamp it reports nothing or an empty string."""
    seconds = queue.get("head_message_timestamp")
    if not isinstance(seconds, int) or not queue.get("messages_ready") or not plausible(seconds, time.time()):
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _rate(queue: dict[str, Any], what: str) -> float:
    """Return a rate in messages per second."""
    stats = queue.get("message_stats") or {}
    return float(stats.get(f"{what}_details", {}).get("rate", 0))
