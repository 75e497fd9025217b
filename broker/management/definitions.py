"""/api/definitions: everything that is declared, as one document to export and import."""

from __future__ import annotations

from typing import Any

from broker.core.vhost import PREDECLARED, Vhost
from broker.management import details, users
from broker.management.http import Response
from broker.management.page import Item
from broker.management.refusal import BadRequest
from broker.management.routing import Call, Routes
from broker.management.version import PRODUCT, RABBITMQ_VERSION

routes = Routes()


@routes.add("GET", "definitions", tag="administrator")
def export_all(call: Call) -> Item:
    """All definitions."""
    document: Item = {
        "rabbit_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "product_name": PRODUCT,
        "product_version": RABBITMQ_VERSION,
        "users": [users.shown(user) for user in call.core.users.values()],
        "vhosts": [{"name": name} for name in call.core.vhosts],
        "permissions": users.permissions(call),
        "topic_permissions": [],
        "parameters": [],
        "global_parameters": [{"name": "cluster_name", "value": call.node}],
        "policies": [],
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
    """The definitions of one vhost, to be imported into any."""
    return {"rabbit_version": RABBITMQ_VERSION, "parameters": [], "policies": [], **_of_vhost(call.vhost)}


def _of_vhost(vhost: Vhost) -> dict[str, list[Item]]:
    queues = [queue for queue in vhost.queues.values() if not queue.exclusive]
    exchanges = [exchange for exchange in vhost.exchanges.values() if exchange.name not in PREDECLARED]
    return {
        "queues": [
            {
                "name": queue.name,
                "durable": queue.durable,
                "auto_delete": queue.auto_delete,
                "arguments": details.plain(queue.arguments),
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
                "arguments": details.plain(exchange.arguments),
            }
            for exchange in exchanges
        ],
        "bindings": [
            {
                "source": binding.source,
                "destination": binding.destination,
                "destination_type": binding.kind,
                "routing_key": binding.routing_key,
                "arguments": details.plain(binding.arguments),
            }
            for binding in vhost.bindings()
            if binding.source
        ],
    }


@routes.add("POST", "definitions", tag="administrator")
def import_all(call: Call) -> Response:
    """Declare all that the document names; what is there already must be the same."""
    document = _document(call)
    for vhost in document.get("vhosts", []):
        if vhost["name"] not in call.core.vhosts:
            call.core.add_vhost(vhost["name"])
    for user in document.get("users", []):
        users.add_user(call, user)
    for permission in document.get("permissions", []):
        users.permit(call, permission)
    for kind, declare in _DECLARE.items():
        for item in document.get(kind, []):
            vhost = call.core.vhosts.get(item.get("vhost", ""))
            if vhost is None:
                raise BadRequest(["no_such_vhost", item.get("vhost", "")])
            declare(call, vhost, item)
    return Response(204)


@routes.add("POST", "definitions/{vhost}", tag="administrator")
def import_vhost(call: Call) -> Response:
    """Declare queues, exchanges and bindings in one vhost."""
    document = _document(call)
    for kind, declare in _DECLARE.items():
        for item in document.get(kind, []):
            declare(call, call.vhost, item)
    return Response(204)


def _document(call: Call) -> Item:
    """The document, with lists of named objects in it. Raises BadRequest."""
    document = call.json
    for kind, needed in _NEEDED.items():
        items = document.get(kind, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise BadRequest(["not_list_of_objects", kind])
        for item in items:
            if missing := [name for name in needed if name not in item]:
                raise BadRequest(["key_missing", kind, *missing])
    return document


def _queue(call: Call, vhost: Vhost, item: Item) -> None:
    vhost.declare_queue(
        str(item["name"]),
        call.now,
        durable=item.get("durable") is True,
        auto_delete=item.get("auto_delete") is True,
        arguments=item.get("arguments") or {},
    )


def _exchange(call: Call, vhost: Vhost, item: Item) -> None:
    vhost.declare_exchange(
        str(item["name"]),
        str(item["type"]),
        durable=item.get("durable") is True,
        auto_delete=item.get("auto_delete") is True,
        internal=item.get("internal") is True,
        arguments=item.get("arguments") or {},
    )


def _binding(call: Call, vhost: Vhost, item: Item) -> None:
    """Bind, where both ends are there; RabbitMQ passes over the others too."""
    known = vhost.queues if item["destination_type"] == "queue" else vhost.exchanges
    if item["source"] in vhost.exchanges and item["destination"] in known:
        vhost.bind(
            item["source"],
            item["destination_type"],
            item["destination"],
            str(item.get("routing_key", "")),
            item.get("arguments") or {},
        )


_DECLARE: dict[str, Any] = {"exchanges": _exchange, "queues": _queue, "bindings": _binding}
_NEEDED = {
    "vhosts": ["name"],
    "users": ["name"],
    "permissions": ["user", "vhost", "configure", "write", "read"],
    "queues": ["name"],
    "exchanges": ["name", "type"],
    "bindings": ["source", "destination", "destination_type"],
}
