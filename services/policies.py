"""Policies. Only the broker stores them."""

from __future__ import annotations

from domain.audit import State, state_of
from domain.details import Page, PolicyDetails
from domain.policy import PolicySpec
from domain.selection import Selection
from gateway.management import PolicyGateway
from services.selecting import selected


class Policies:
    """Thread-safe. Every method raises BrokerUnavailable when RabbitMQ is down; `put` and `delete` also when its user
    lacks the tag policymaker."""

    def __init__(self, gateway: PolicyGateway) -> None:
        self._gateway = gateway

    def put(self, spec: PolicySpec) -> bool:
        """Create or replace a policy. Return whether it is new. Raises Invalid when RabbitMQ refuses a setting."""
        return self._gateway.put(spec)

    def all(self) -> list[PolicyDetails]:
        """Return all policies, by name."""
        return self._gateway.all()

    def page(self, wanted: Selection) -> Page[PolicyDetails]:
        """Return the wanted page of policies. Raises what `selected` raises."""
        return selected(self._gateway.all(), wanted, lambda policy: (policy.name,))

    def state_of(self, name: str) -> State | None:
        """Return a policy for the audit log, or None if there is none."""
        found = (one for one in self._gateway.all() if one.name == name)
        return next((state_of(one, "pattern apply_to definition priority") for one in found), None)

    def delete(self, name: str) -> None:
        """Delete a policy. Raises NotFound."""
        self._gateway.delete(name)
