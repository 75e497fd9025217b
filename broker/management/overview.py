"""/api/overview, /api/nodes and other routes that describe the whole broker."""

from __future__ import annotations

import os
import platform
import resource
import threading
from pathlib import Path
from typing import Any

from broker.core.message import Message
from broker.management.errors import NotFound
from broker.management.http import Response
from broker.management.pagination import Item, select_columns
from broker.management.routing import Call, Routes
from broker.management.version import PRODUCT, RABBITMQ_VERSION
from broker.management.vhosts import totals_of

routes = Routes()

_EXCHANGE_TYPES = [
    {"name": name, "description": f"AMQP {name} exchange, as per the AMQP specification", "enabled": True}
    for name in ("direct", "fanout", "headers", "topic")
]
_CHURN = ("channel_closed", "channel_created", "connection_closed", "connection_created", "queue_created",
          "queue_declared", "queue_deleted")  # fmt: skip


@routes.add("GET", "overview")
def overview(call: Call) -> Item:
    """Show the broker in one document, with totals of the vhosts that the user can see."""
    vhosts = list(call.visible_vhosts())
    totals, stats = totals_of(vhosts)
    python = f"Python {platform.python_version()}"
    churn = dict.fromkeys(_CHURN, 0)
    document: Item = {
        "management_version": RABBITMQ_VERSION,
        "rates_mode": "basic",
        "sample_retention_policies": {"global": [], "basic": [], "detailed": []},
        "exchange_types": _EXCHANGE_TYPES,
        "product_name": PRODUCT,
        "product_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "cluster_name": call.node,
        "erlang_version": python,
        "erlang_full_version": python,
        "release_series_support_status": "supported",
        "disable_stats": False,
        "enable_queue_totals": False,
        "message_stats": call.rates.added(call.core, stats, call.now),
        "churn_rates": call.rates.added(call.server, churn, call.now),
        "queue_totals": call.rates.added(call.core, totals, call.now) if any(totals.values()) else {},
        "object_totals": {
            "connections": len(call.server.connections),
            "channels": sum(len(one.channels) for one in call.server.connections.values()),
            "consumers": sum(len(queue.consumers) for vhost in vhosts for queue in vhost.queues.values()),
            "exchanges": sum(len(vhost.exchanges) for vhost in vhosts),
            "queues": sum(len(vhost.queues) for vhost in vhosts),
        },
        "statistics_db_event_queue": 0,
        "node": call.node,
        "listeners": listeners(call),
        "contexts": [{"node": call.node, **context} for context in _contexts(call)],
    }
    return select_columns(document, call.query)


def _contexts(call: Call) -> list[Item]:
    """List the HTTP listeners."""
    return [
        {"description": "RabbitMQ Management", "path": "/", "ip": host, "port": str(port), "ssl_opts": []}
        for host, port in call.api_addresses
    ]


def listeners(call: Call) -> list[Item]:
    """List all listeners."""
    return [
        {"node": call.node, "protocol": protocol, "ip_address": host, "port": port, "socket_opts": {}}
        for protocol, addresses in (("amqp", call.server.addresses), ("http", call.api_addresses))
        for host, port in addresses
    ]


@routes.add("GET", "nodes", tag="monitoring")
def nodes(call: Call) -> list[Item]:
    """List the only node."""
    return [select_columns(_node(call), call.query)]


@routes.add("GET", "nodes/{node}", tag="monitoring")
def one_node(call: Call) -> Item:
    if call.parts["node"] != call.node:
        raise NotFound
    return select_columns(_node(call), call.query)


def _node(call: Call) -> Item:
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    used = {
        "mem_used": pages * os.sysconf("SC_PAGE_SIZE"),
        "disk_free": call.server.free_disk(),
        "fd_used": descriptors,
        "sockets_used": len(call.server.connections),
        "proc_used": threading.active_count(),
    }
    return {
        "name": call.node,
        "type": "disc",
        "running": True,
        "being_drained": False,
        "partitions": [],
        "os_pid": str(os.getpid()),
        "uptime": int((call.now - call.server.started_at) * 1000),
        "processors": os.cpu_count() or 1,
        "rates_mode": "basic",
        "exchange_types": _EXCHANGE_TYPES,
        "auth_mechanisms": [
            {"name": name, "description": f"SASL {name} authentication mechanism", "enabled": True}
            for name in ("PLAIN", "AMQPLAIN")
        ],
        "applications": [],
        "contexts": _contexts(call),
        "enabled_plugins": ["rabbitmq_management"],
        "mem_calculation_strategy": "rss",
        "mem_limit": call.core.pager.high_watermark,
        "mem_alarm": "memory" in call.server.alarms,
        "disk_free_limit": call.server.disk_free_limit,
        "disk_free_alarm": "disk" in call.server.alarms,
        "fd_total": limit,
        "sockets_total": limit,
        "proc_total": limit,
        "run_queue": 0,
        **call.rates.added(call.core, used, call.now),
    }


@routes.add("GET", "cluster-name")
def cluster_name(call: Call) -> Item:
    """Return the node's name: there is no cluster."""
    return {"name": call.node}


@routes.add("GET", "extensions")
@routes.add("GET", "operator-policies")
@routes.add("GET", "operator-policies/{vhost}")
@routes.add("GET", "parameters", tag="policymaker")
@routes.add("GET", "parameters/{component}", tag="policymaker")
@routes.add("GET", "parameters/{component}/{vhost}", tag="policymaker")
@routes.add("GET", "global-parameters", tag="policymaker")
@routes.add("GET", "vhost-limits")
@routes.add("GET", "vhost-limits/{vhost}")
@routes.add("GET", "user-limits")
@routes.add("GET", "user-limits/{user}")
@routes.add("GET", "feature-flags")
def empty_list(call: Call) -> list[Any]:
    """List entities that this broker does not have."""
    return []


@routes.add("GET", "aliveness-test/{vhost}")
def aliveness(call: Call) -> Response:
    """Declare the queue `aliveness-test`, publish to it and get the message back."""
    queue = call.vhost.declare_queue("aliveness-test", call.now)
    queue.purge()
    call.vhost.publish(Message.create("", queue.name, b"test_message"), call.now)
    if queue.get(True, call.now) is None:
        return Response(503, {"status": "failed"})
    return Response(200, {"status": "ok"})
