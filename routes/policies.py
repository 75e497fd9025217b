"""Policies: POST /createPolicy, GET /getPolicies, DELETE /deletePolicy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.details import PolicyDetails
from domain.model import Model
from domain.names import ShortString
from domain.policy import PolicySpec
from middlewares.auth import services
from routes.answers import PolicyDone
from routes.api import Api, Reply, done
from routes.paging import NamedQuery, paged
from routes.refusals import BROKER

api = Api("policies")


class PoliciesQuery(NamedQuery):
    """Parameters of the list of policies."""

    sort: Literal["name", "pattern", "applyTo", "priority"] = "name"


class PolicyNamed(Model):
    """Identifies a policy."""

    name: ShortString = Field(min_length=1, examples=["orders-ttl"])


@api.post(
    "/createPolicy",
    role="operator",
    idempotent=True,
    statuses=(200, 201),
    refuses=("400 refused_by_broker", *BROKER),
)
def create_policy(body: PolicySpec) -> Reply[PolicyDone]:
    """Create or replace a policy, which applies settings to all queues and exchanges whose names match.

    If a policy of this name exists, it is replaced, and the answer is 200. RabbitMQ's user needs the tag
    `policymaker`."""
    if services.policies.put(body):
        return done("Policy has been created successfully.", status=201, name=body.name)
    return done("Policy has been replaced successfully.", name=body.name)


@api.get("/getPolicies", role="viewer", refuses=BROKER)
def get_policies(query: PoliciesQuery) -> Reply[list[PolicyDetails]]:
    """List the policies."""
    return paged(services.policies.page(query.selection()), query)


@api.delete("/deletePolicy", role="operator", refuses=("404 policy_not_found", *BROKER))
def delete_policy(body: PolicyNamed) -> Reply[PolicyDone]:
    """Delete a policy. Its settings no longer apply."""
    services.policies.delete(body.name)
    return done("Policy has been deleted successfully.", name=body.name)
