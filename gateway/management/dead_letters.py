"""The properties of all queues that workers need before they consume: type, dead letters, limits and deletion."""

from __future__ import annotations

from domain.registry import QueueFacts
from gateway.management.client import ManagementClient
from gateway.management.facts import FACT_COLUMNS, facts_of


class DeadLetterGateway:
    """The queues of one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def facts(self) -> dict[str, QueueFacts]:
        """Return the properties of all queues by name, in one call."""
        query: dict[str, str | int] = {"columns": f"name,{FACT_COLUMNS}"}
        found = self._client.get("queues", self._client.vhost, subject="virtual host", query=query)
        version = self._client.version()
        return {queue["name"]: facts_of(queue, version) for queue in found}
