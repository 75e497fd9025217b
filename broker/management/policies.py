"""/api/policies: list, show, set, delete (RabbitMQ docs: parameters § policies)."""

from __future__ import annotations

from html import escape
from typing import Any

from broker.core.policies import InvalidPolicy, Policy
from broker.core.vhost import Vhost
from broker.management.errors import BadRequest, NotFound
from broker.management.http import Response
from broker.management.pagination import Item, select_columns, sorted_items
from broker.management.routing import Call, Routes, check_name

routes = Routes()


def shown(policy: Policy, vhost: str) -> Item:
    """Show a policy as `GET /api/policies` does."""
    return {
        "vhost": vhost,
        "name": policy.name,
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "definition": policy.definition,
        "priority": policy.priority,
    }


def of_vhost(vhost: Vhost) -> list[Item]:
    return [shown(policy, vhost.name) for policy in vhost.policies.by_name.values()]


@routes.add("GET", "policies")
def all_policies(call: Call) -> list[Item]:
    """List every policy that the user can see."""
    return sorted_items([item for vhost in call.visible_vhosts() for item in of_vhost(vhost)], call.query)


@routes.add("GET", "policies/{vhost}")
def vhost_policies(call: Call) -> list[Item]:
    return sorted_items(of_vhost(call.vhost), call.query)


@routes.add("GET", "policies/{vhost}/{name}")
def one_policy(call: Call) -> Item:
    policy = call.vhost.policies.by_name.get(call.parts["name"])
    if policy is None:
        raise NotFound
    return select_columns(shown(policy, call.vhost.name), call.query)


@routes.add("PUT", "policies/{vhost}/{name}", tag="policymaker")
def put_policy(call: Call) -> Response:
    """Set a policy: 201 for a new one, 204 for an existing one."""
    call.required("pattern", "definition")
    name = call.parts["name"]
    check_name("policy", name)
    is_new = name not in call.vhost.policies.by_name
    set_policy(call, call.vhost, {**call.json, "name": name})
    return Response(201 if is_new else 204)


def set_policy(call: Call, vhost: Vhost, body: Item) -> None:
    """Set a policy from a body's `name`, `pattern`, `definition`, `priority` and `apply-to`. Raises BadRequest."""
    priority = _typed(body.get("priority", 0), (int, float), "priority should be a number, actually was")
    pattern = _typed(body["pattern"], (str,), "pattern should be a binary but was")
    definition = _typed(body["definition"], (dict,), "definition should be an object but was")
    try:
        policy = Policy(body["name"], pattern, definition, int(priority), str(body.get("apply-to", "all")))
        vhost.policies.set(policy, call.now)
    except InvalidPolicy as error:
        raise _invalid(str(error)) from None


def _typed(value: Any, types: tuple[type, ...], problem: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, types):
        raise _invalid(f'{problem} <<"{value}">>' if isinstance(value, str) else f"{problem} {value}")
    return value


def _invalid(reason: str) -> BadRequest:
    return BadRequest(f"Validation failed\n\n{escape(reason, quote=False)}\n")


@routes.add("DELETE", "policies/{vhost}/{name}", tag="policymaker")
def delete_policy(call: Call) -> Response:
    if not call.vhost.policies.delete(call.parts["name"], call.now):
        raise NotFound
    return Response(204)
