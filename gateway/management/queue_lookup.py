"""One queue as RabbitMQ's lists show it: whether it exists, and whether its node is up.

`GET /api/queues/<vhost>/<name>` does not tell: for a classic queue whose node is down, RabbitMQ 3.10 answers 404, and
4.0 answers 200 with the state `running`. The lists of both say `down`, and `minority` (3.10: no leader) for a quorum
queue that has lost most of its members.
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
    "leader,members,online,message_bytes,consumers,message_stats.publish_details,message_stats.deliver_get_details,message_stats.ack_details"
)
_STATE_COLUMNS = "name,type,state,leader,members,online"
_UNUSABLE = frozenset({"down", "minority", "stopped", "crashed"})
_RETRY_AFTER = 5.0
"""Seconds after which a client may ask again for a queue whose node is down."""


class QueueLookup:
    """The queues of one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def find(self, name: str) -> dict[str, Any]:
        """The queue of just this name. Raises NotFound, and QueueUnavailable when its node is down."""
        exact = Selection(pattern=f"^{re.escape(name)}$", regex=True, size=500)  # RabbitMQ ignores case
        columns = f"{COLUMNS},{FACT_COLUMNS}"
        for queue in read_page(self._client, "queues", exact, columns, {}).items:
            if queue["name"] == name:
                if outage := _outage(queue):
                    raise QueueUnavailable(f"The queue {name!r} exists, but {outage}.", retry_after=_RETRY_AFTER)
                return queue
        raise NotFound(f"There is no queue called {name!r}.", code="queue_not_found")

    def facts(self, name: str) -> QueueFacts:
        """What is to be known of a queue before messages are taken off it. Raises as `find`."""
        return facts_of(self.find(name), self._client.version())

    def check_available(self, name: str) -> None:
        """Return when the queue is missing or can be used. Raises QueueUnavailable when its node is down."""
        try:
            self.find(name)
        except (NotFound, Invalid):  # RabbitMQ may refuse the pattern; then the first answer stands
            return

    def unavailable(self) -> list[str]:
        """The names of all queues whose nodes are down. RabbitMQ 3.10 does not show their bindings meanwhile."""
        query: dict[str, str | int] = {"columns": _STATE_COLUMNS}
        found = self._client.get("queues", self._client.vhost, subject="virtual host", query=query)
        return [queue["name"] for queue in found if _outage(queue)]


def state_of(queue: dict[str, Any]) -> str:
    """The state of a queue out of a list. A quorum queue without a leader, to which RabbitMQ 3.10 gives no state, or
    without a majority of its members is `minority`; another one is not `down`, which RabbitMQ 4.0 says under load."""
    state = str(queue.get("state", "running"))
    if queue.get("type") != "quorum" or "members" not in queue:
        return state
    if not queue.get("leader") or 2 * len(queue.get("online", ())) <= len(queue["members"]):
        return "minority"
    return "running" if state == "down" else state


def _outage(queue: dict[str, Any]) -> str | None:
    state = state_of(queue)
    if state == "minority":
        return "too few of the nodes that hold it are up, so RabbitMQ cannot use it"
    if state in _UNUSABLE:
        return f"the node that holds it is down (state {state!r})"
    return None
