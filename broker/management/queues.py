"""/api/queues: list, show, declare, delete, purge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from broker.core.declarations import check_access
from broker.core.queue import Queue
from broker.management import bindings, connections, details
from broker.management.errors import BadRequest, NotFound
from broker.management.http import Response
from broker.management.pagination import Item, paginated_lazily, select_columns, sorted_items
from broker.management.routing import Call, Routes, check_name

routes = Routes()


@routes.add("GET", "queues")
async def all_queues(call: Call) -> Any:
    """List every queue that the user can see."""
    return await _listed(call, [queue for vhost in call.visible_vhosts() for queue in vhost.queues.values()])


@routes.add("GET", "queues/{vhost}")
async def vhost_queues(call: Call) -> Any:
    return await _listed(call, call.vhost.queues.values())


async def _listed(call: Call, queues: Iterable[Queue]) -> Any:
    def show(queue: Queue) -> Item:
        if call.query.get("disable_stats") == "true":
            return details.of_queue_without_stats(queue, call.node, call.query.get("enable_queue_totals") == "true")
        return details.of_queue(queue, call.node, call.rates, call.now)

    ordered = sorted(queues, key=lambda queue: (queue.vhost.name, queue.name))
    return await paginated_lazily(ordered, show, call.query)


@routes.add("GET", "queues/{vhost}/{name}")
def one_queue(call: Call) -> Item:
    """Show one queue with its consumers."""
    queue = found(call)
    item = details.of_queue(queue, call.node, call.rates, call.now)
    item["consumer_details"] = connections.consumers_of(call, lambda consumer: consumer.queue is queue)
    item |= {"incoming": [], "deliveries": []}
    return select_columns(item, call.query)


def found(call: Call) -> Queue:
    """Return the queue in the path. Raises NotFound."""
    queue = call.vhost.queues.get(call.parts["name"])
    if queue is None:
        raise NotFound
    return queue


@routes.add("PUT", "queues/{vhost}/{name}")
def declare(call: Call) -> Response:
    """Declare a queue: 201 for a new one, 204 for an existing one with the same settings."""
    name = call.parts["name"]
    check_name("queue", name)
    call.require("configure", "queue", name)
    is_new = name not in call.vhost.queues
    call.vhost.declare_queue(
        name,
        call.now,
        durable=call.flag("durable"),
        auto_delete=call.flag("auto_delete"),
        arguments=call.arguments,
    )
    return Response(201 if is_new else 204)


@routes.add("DELETE", "queues/{vhost}/{name}")
def delete(call: Call) -> Response:
    """Delete a queue. The query may set `if-unused` and `if-empty`."""
    queue = found(call)
    call.require("configure", "queue", queue.name)
    check_access(queue, None)
    conditions = {key: call.query.get(f"if-{key[3:]}") == "true" for key in ("if_unused", "if_empty")}
    call.vhost.delete_queue(queue.name, call.now, **conditions)
    return Response(204)


@routes.add("DELETE", "queues/{vhost}/{name}/contents")
def purge(call: Call) -> Response:
    queue = found(call)
    call.require("read", "queue", queue.name)
    check_access(queue, None)
    queue.purge()
    return Response(204)


@routes.add("GET", "queues/{vhost}/{name}/bindings")
def queue_bindings(call: Call) -> Any:
    """List the bindings to a queue, the default exchange's implicit one first."""
    return sorted_items(bindings.items(call, call.vhost.bindings_to("queue", call.parts["name"])), call.query)


@routes.add("POST", "queues/{vhost}/{name}/actions")
def queue_action(call: Call) -> Response:
    """Accept the synchronisation of mirrors, as a single RabbitMQ node does. There are no mirrors here."""
    found(call)
    if call.required("action")[0] not in ("sync", "cancel_sync"):
        raise BadRequest(f"unknown action '{call.json['action']}'")
    return Response(204)
