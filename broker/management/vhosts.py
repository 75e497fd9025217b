"""/api/vhosts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from broker.core.vhost import Vhost
from broker.management import details
from broker.management.errors import NotFound
from broker.management.http import Response
from broker.management.pagination import Item, paginated, select_columns
from broker.management.routing import Call, Routes, check_name

routes = Routes()


@routes.add("GET", "vhosts")
def all_vhosts(call: Call) -> Any:
    """List every vhost that the user can see."""
    return paginated([_item(call, vhost) for vhost in call.visible_vhosts()], call.query)


@routes.add("GET", "vhosts/{vhost}")
def one_vhost(call: Call) -> Item:
    return select_columns(_item(call, call.vhost), call.query)


def _item(call: Call, vhost: Vhost) -> Item:
    description = "Default virtual host" if vhost.name == "/" else ""
    totals, stats = totals_of([vhost])
    item = {
        "name": vhost.name,
        "description": description,
        "tags": [],
        "default_queue_type": "undefined",
        "metadata": {"description": description, "tags": []},
        "tracing": False,
        "cluster_state": {call.node: "running"},
    }
    item |= call.rates.added(vhost, totals, call.now)
    if stats:
        item["message_stats"] = call.rates.added(vhost, stats, call.now)
    return item


def totals_of(vhosts: list[Vhost]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the messages in the queues of these vhosts, and the sums of the queues' counters."""
    totals = {"messages": 0, "messages_ready": 0, "messages_unacknowledged": 0}
    stats: Counter[str] = Counter()
    for vhost in vhosts:
        for queue in vhost.queues.values():
            totals["messages_ready"] += queue.ready_count
            totals["messages_unacknowledged"] += queue.unacked_count
            stats.update(details.queue_stats(queue))
    totals["messages"] = totals["messages_ready"] + totals["messages_unacknowledged"]
    return totals, dict(stats) if any(stats.values()) else {}


@routes.add("PUT", "vhosts/{name}", tag="administrator")
def put_vhost(call: Call) -> Response:
    """Create a vhost and give its creator all permissions: 201 for a new one, 204 for an existing one."""
    name = call.parts["name"]
    check_name("vhost", name)
    if name in call.core.vhosts:
        return Response(204)
    call.core.add_vhost(name)
    call.core.permit(call.user.name, name)
    return Response(201)


@routes.add("DELETE", "vhosts/{name}", tag="administrator")
async def delete_vhost(call: Call) -> Response:
    """Delete a vhost with everything in it, and close its connections."""
    vhost = call.core.vhosts.get(call.parts["name"])
    if vhost is None:
        raise NotFound
    for connection in list(call.server.connections.values()):
        if connection.vhost is vhost:
            await call.server.close_connection(connection.name, f"vhost '{vhost.name}' is deleted")
    call.core.delete_vhost(vhost.name, call.now)
    return Response(204)
