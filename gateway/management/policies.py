"""Policies through the management API."""

from __future__ import annotations

from typing import Any

from domain.details import PolicyDetails
from domain.policy import PolicySpec
from gateway.management.client import ManagementClient


class PolicyGateway:
    """The policies of one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def put(self, spec: PolicySpec) -> bool:
        """Create or replace the policy; return whether it is new. Raises Invalid if RabbitMQ refuses a setting."""
        wanted = {
            "pattern": spec.pattern,
            "apply-to": spec.apply_to,
            "definition": spec.definition,
            "priority": spec.priority,
        }
        return self._call("PUT", spec.name, body=wanted) == 201

    def all(self) -> list[PolicyDetails]:
        """Return all policies, by name."""
        found = self._client.get("policies", self._client.vhost, subject="virtual host")
        return sorted(map(_details, found), key=lambda policy: policy.name)

    def delete(self, name: str) -> None:
        """Delete the policy. Raises NotFound."""
        self._call("DELETE", name)

    def _call(self, method: str, name: str, body: Any = None) -> int:
        path = ("policies", self._client.vhost, name)
        return self._client.call(method, *path, subject="policy", name=name, body=body)[0]


def _details(policy: dict[str, Any]) -> PolicyDetails:
    return PolicyDetails(
        name=policy["name"],
        pattern=policy["pattern"],
        apply_to=policy["apply-to"],
        definition=policy["definition"],
        priority=policy["priority"],
    )
