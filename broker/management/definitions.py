"""/api/definitions: export and import of all definitions as one document."""

from __future__ import annotations

from collections.abc import Callable

from broker.core.vhost import PREDECLARED, Vhost
from broker.management import details, policies, topic_permissions, users
from broker.management.errors import BadRequest
from broker.management.http import Response
from broker.management.json_body import Shape, objects
from broker.management.pagination import Item
from broker.management.routing import Call, Routes
from broker.management.version import PRODUCT, RABBITMQ_VERSION

routes = Routes()


@routes.add("GET", "definitions", tag="administrator")
def export_all(call: Call) -> Item:
    document: Item = {
        "rabbit_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "product_name": PRODUCT,
        "product_version": RABBITMQ_VERSION,
        "users": [users.shown(user) for user in call.core.users.values()],
        "vhosts": [{"name": name} for name in call.core.vhosts],
        "permissions": users.permissions(call),
        "topic_permissions": topic_permissions.items(call),
        "parameters": [],
        "global_parameters": [{"name": "cluster_name", "value": call.node}],
        "policies": [item for vhost in call.core.vhosts.values() for item in policies.of_vhost(vhost)],
        "queues": [],
        "exchanges": [],
        "bindings": [],
    }
    for vhost in call.core.vhosts.values():
        for kind, items in _of_vhost(vhost).items():
            document[kind] += [{**item, "vhost": vhost.name} for item in items]
    return document


@routes.add("GET", "definitions/{vhost}", tag="administrator")
def export_vhost(call: Call) -> Item:
    """Export the definitions of one vhost without its name: any vhost can import them."""
    found = [{key: value for key, value in item.items() if key != "vhost"} for item in policies.of_vhost(call.vhost)]
    return {"rabbit_version": RABBITMQ_VERSION, "parameters": [], "policies": found, **_of_vhost(call.vhost)}


def _of_vhost(vhost: Vhost) -> dict[str, list[Item]]:
    queues = [queue for queue in vhost.queues.values() if queue.owner is None]
    exchanges = [exchange for exchange in vhost.exchanges.values() if exchange.name not in PREDECLARED]
    return {
        "queues": [
            {
                "name": queue.name,
                "durable": queue.durable,
                "auto_delete": queue.auto_delete,
                "arguments": details.to_json(queue.arguments),
            }
            for queue in queues
        ],
        "exchanges": [
            {
                "name": exchange.name,
                "type": exchange.type,
                "durable": exchange.durable,
                "auto_delete": exchange.auto_delete,
                "internal": exchange.internal,
                "arguments": details.to_json(exchange.arguments),
            }
            for exchange in exchanges
        ],
        "bindings": [
            {
                "source": binding.source,
                "destination": binding.destination,
                "destination_type": binding.kind,
                "routing_key": binding.routing_key,
                "arguments": details.to_json(binding.arguments),
            }
            for binding in vhost.bindings()
            if binding.source
        ],
    }


@routes.add("POST", "definitions", tag="administrator")
def import_all(call: Call) -> Response:
    """Declare everything in the document. Existing definitions must be the same."""
    document = {kind: objects(call.json, kind, *shape) for kind, shape in _SHAPES.items()}
    for vhost in document["vhosts"]:
        call.core.add_vhost(vhost["name"])
    for user in document["users"]:
        users.add_user(call, user)
    for permission in document["permissions"]:
        users.permit(call, permission)
    for permission in document["topic_permissions"]:
        topic_permissions.permit(call, permission)
    for kind, declare in _DECLARE.items():
        for item in document[kind]:
            name = item.get("vhost", "")
            if name not in call.core.vhosts:
                raise BadRequest(["no_such_vhost", name])
            declare(call, call.core.vhosts[name], item)
    return Response(204)


@routes.add("POST", "definitions/{vhost}", tag="administrator")
def import_vhost(call: Call) -> Response:
    """Import queues, exchanges and bindings into one vhost."""
    for kind, declare in _DECLARE.items():
        for item in objects(call.json, kind, *_SHAPES[kind]):
            declare(call, call.vhost, item)
    return Response(204)


def _queue(call: Call, vhost: Vhost, item: Item) -> None:
    vhost.declare_queue(
        item["name"],
        call.now,
        durable=item.get("durable") is True,
        auto_delete=item.get("auto_delete") is True,
        arguments=item.get("arguments") or {},
    )


def _exchange(call: Call, vhost: Vhost, item: Item) -> None:
    vhost.declare_exchange(
        item["name"],
        item["type"],
        durable=item.get("durable") is True,
        auto_delete=item.get("auto_delete") is True,
        internal=item.get("internal") is True,
        arguments=item.get("arguments") or {},
    )


def _binding(call: Call, vhost: Vhost, item: Item) -> None:
    """Bind if both ends exist. RabbitMQ skips other bindings too."""
    is_queue = item["destination_type"] == "queue"
    is_there = item["destination"] in vhost.queues if is_queue else item["destination"] in vhost.exchanges
    if is_there and item["source"] in vhost.exchanges:
        vhost.bind(
            item["source"],
            "queue" if is_queue else "exchange",
            item["destination"],
            item.get("routing_key", ""),
            item.get("arguments") or {},
        )


_DECLARE: dict[str, Callable[[Call, Vhost, Item], None]] = {
    "policies": policies.set_policy,
    "exchanges": _exchange,
    "queues": _queue,
    "bindings": _binding,
}
_TABLE: Shape = {"vhost": str, "arguments": dict}
# kind → (required fields, optional fields) with their types
_SHAPES: dict[str, tuple[Shape, Shape]] = {
    "vhosts": ({"name": str}, {}),
    "users": ({"name": str}, {}),
    "permissions": (dict.fromkeys(("user", "vhost", "configure", "write", "read"), str), {}),
    "topic_permissions": (dict.fromkeys(("user", "vhost", "exchange", "write", "read"), str), {}),
    "policies": ({"name": str, "pattern": str, "definition": dict}, {"vhost": str, "apply-to": str}),
    "queues": ({"name": str}, _TABLE),
    "exchanges": ({"name": str, "type": str}, _TABLE),
    "bindings": (dict.fromkeys(("source", "destination", "destination_type"), str), _TABLE | {"routing_key": str}),
}
