"""Looks up one queue in RabbitMQ's lists, which show whether it exists and whether its node is up.

`GET /api/queues/<vhost>/<name>` does not show it: for a classic queue whose node is down, RabbitMQ 3.10 answers 404,
and 4.0 answers 200 with the state `running`. The lists of both versions show `down`, and `minority` (3.10: no leader)
for a quorum queue that has lost most of its members.
"""

from __future__ import annotations

import re
from typing import Any

from domain.errors import Invalid, NotFound, QueueUnavailable
from domain.registry import QueueFacts
from domain.selection import Selection
from gateway.management.client import ManagementClient
from gateway.management.facts import FACT_COLUMNS, facts_of
from gateway.management.pages import read_page

COLUMNS = (
    "name,type,state,durable,auto_delete,exclusive,arguments,policy,messages,messages_ready,messages_unacknowledged,"
    "leader,members,online,message_bytes,consumers,head_message_timestamp,message_stats.publish_details,"
    "message_stats.deliver_get_details,message_stats.ack_details"
)
STATE_COLUMNS = "name,type,state,leader,members,online"
_UNUSABLE = frozenset({"down", "minority", "stopped", "crashed"})
_RETRY_AFTER = 5.0
"""Seconds after which a client may retry, if the queue's node is down."""


class QueueLookup:
    """The queues of one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def find(self, name: str) -> dict[str, Any]:
        """Return the queue of exactly this name. Raises NotFound, and QueueUnavailable if its node is down."""
        exact = Selection(pattern=f"^{re.escape(name)}$", regex=True, size=500)  # RabbitMQ ignores case
        columns = f"{COLUMNS},{FACT_COLUMNS}"
        for queue in read_page(self._client, "queues", exact, columns, {}).items:
            if queue["name"] == name:
                if reason := outage(queue):
                    raise QueueUnavailable(f"The queue {name!r} exists, but {reason}.", retry_after=_RETRY_AFTER)
                return queue
        raise NotFound(f"There is no queue called {name!r}.", code="queue_not_found")

    def facts(self, name: str) -> QueueFacts:
        """Return the properties of a queue. Raises what `find` raises."""
        return facts_of(self.find(name), self._client.version())

    def check_available(self, name: str) -> None:
        """Raise QueueUnavailable if the queue exists and its node is down."""
        try:
            self.find(name)
        except (NotFound, Invalid):  # Invalid: RabbitMQ may refuse the pattern
            return

    def unavailable(self) -> list[str]:
        """Return the names of all queues whose nodes are down, whose bindings RabbitMQ 3.10 does not list."""
        query: dict[str, str | int] = {"columns": STATE_COLUMNS}
        found = self._client.get("queues", self._client.vhost, subject="virtual host", query=query)
        return [queue["name"] for queue in found if outage(queue)]


def state_of(queue: dict[str, Any]) -> str:
    """Return the state of a queue from a list. A quorum queue is `minority` without a leader (RabbitMQ 3.10 gives no
    state then) or without a majority of its members. If it has both it is not `down`, which RabbitMQ 4.0 reports under
    load."""
    state = str(queue.get("state", "running"))
    if queue.get("type") != "quorum" or "members" not in queue:
        return state
    if not queue.get("leader") or 2 * len(queue.get("online", ())) <= len(queue["members"]):
        return "minority"
    return "running" if state == "down" else state


def outage(queue: dict[str, Any]) -> str | None:
    """Return a clause that says why a queue from a list cannot be used; None if it can."""
    state = state_of(queue)
    if state == "minority":
        return "too few of the nodes that hold it are up, so RabbitMQ cannot use it"
    if state in _UNUSABLE:
        return f"the node that holds it is down (state {state!r})"
    return None
