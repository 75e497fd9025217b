"""One shape per entity, shared by its list and its detail, with RabbitMQ 3.10's field names and units."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote_plus

from broker.core.exchanges.base import hash_of
from broker.management.rates import Rates

if TYPE_CHECKING:
    from broker.core.consumer import Consumer
    from broker.core.exchanges import Binding, Exchange
    from broker.core.queue import Queue
    from broker.session.connection import Connection

Item = dict[str, Any]

_TLS_FIELDS = ("peer_cert_subject", "peer_cert_issuer", "peer_cert_validity", "ssl_protocol", "ssl_key_exchange",
               "ssl_cipher", "ssl_hash")  # fmt: skip


def stamp(seconds: float) -> str:
    """Seconds since the epoch in the API's format."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def properties_key(binding: Binding) -> str:
    """A binding's name within its source and destination: its routing key, with a digest of its arguments if any."""
    key = quote_plus(binding.routing_key, safe="", errors="surrogateescape").replace("~", "%7E")
    if not binding.arguments:
        return key or "~"
    return f"{key}~{hash_of(binding.key[3])}"


def is_named(binding: Binding, key: str) -> bool:
    """Whether `key` is the binding's properties key, its routing key quoted or not."""
    routing_key, _, digest = key.partition("~")
    expected = hash_of(binding.key[3]) if binding.arguments else ""
    return unquote_plus(routing_key, errors="surrogateescape") == binding.routing_key and digest == expected


def of_binding(binding: Binding, vhost: str) -> Item:
    """A binding, as `GET /api/bindings` lists it."""
    return {
        "source": binding.source,
        "vhost": vhost,
        "destination": binding.destination,
        "destination_type": binding.kind,
        "routing_key": binding.routing_key,
        "arguments": plain(binding.arguments),
        "properties_key": properties_key(binding),
    }


def of_exchange(exchange: Exchange, vhost: str, rates: Rates, now: float) -> Item:
    """An exchange, as `GET /api/exchanges` lists it."""
    counts = {"publish_in": exchange.published_in, "publish_out": exchange.published_out}
    item: Item = {
        "name": exchange.name,
        "vhost": vhost,
        "type": exchange.type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": plain(exchange.arguments),
        "user_who_performed_action": "rmq-internal" if exchange.name[:4] in ("", "amq.") else "guest",
    }
    if any(counts.values()):
        item["message_stats"] = rates.added(exchange, counts, now)
    return item


def of_queue_briefly(queue: Queue, node: str, totals: bool) -> Item:
    """A queue without statistics, for `disable_stats=true`; with its `totals` in messages if asked."""
    item: Item = {
        "name": queue.name,
        "vhost": queue.vhost.name,
        "node": node,
        "type": queue.type,
        "state": "running",
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "exclusive": queue.owner is not None,
        "arguments": plain(queue.arguments),
    }
    return item | _totals(queue) if totals else item


def _totals(queue: Queue) -> dict[str, int]:
    return {
        "messages": queue.ready_count + queue.unacked_count,
        "messages_ready": queue.ready_count,
        "messages_unacknowledged": queue.unacked_count,
    }


def of_queue(queue: Queue, node: str, rates: Rates, now: float) -> Item:
    """A queue, as `GET /api/queues` lists it; sizes in bytes, counts in messages."""
    item = of_queue_briefly(queue, node, totals=False) | {
        "effective_policy_definition": queue.policy.definition if queue.policy is not None else {},
        "policy": queue.policy.name if queue.policy is not None else None,
        "operator_policy": None,
        "consumers": len(queue.consumers),
        "consumer_capacity": 1 if queue.consumers else 0,
        "consumer_utilisation": 1 if queue.consumers else 0,
        "exclusive_consumer_tag": next((one.tag for one in queue.consumers if one.exclusive), None),
        "single_active_consumer_tag": _single_active(queue),
        "idle_since": stamp(queue.lease.used_at),
        "memory": queue.ready_bytes + queue.unacked_bytes,
        "message_bytes": queue.ready_bytes + queue.unacked_bytes,
        "message_bytes_ready": queue.ready_bytes,
        "message_bytes_unacknowledged": queue.unacked_bytes,
        "message_bytes_ram": queue.resident_bytes,
        "message_bytes_paged_out": queue.pages.bytes,
        **rates.added(queue, _totals(queue), now),
    }
    stats = queue_stats(queue)
    if any(stats.values()):
        item["message_stats"] = rates.added(queue, stats, now)
    return item


def _single_active(queue: Queue) -> str | None:
    if not queue.rules.single_active_consumer:
        return None
    return next((one.tag for one in queue.consumers if one.active), None)


def queue_stats(queue: Queue) -> dict[str, int]:
    """A queue's counters under the API's names, in messages since the broker started."""
    counters = queue.counters
    return {
        "publish": counters.published,
        "deliver": counters.delivered,
        "deliver_no_ack": counters.delivered_no_ack,
        "get": counters.got,
        "get_no_ack": counters.got_no_ack,
        "deliver_get": counters.delivered + counters.delivered_no_ack + counters.got + counters.got_no_ack,
        "redeliver": counters.redelivered,
        "ack": counters.acked,
    }


def of_connection(connection: Connection, node: str, rates: Rates, now: float) -> Item:
    """A connection, as `GET /api/connections` lists it; `connected_at` in milliseconds, sizes in bytes."""
    (peer_host, peer_port), (host, port) = connection.peer, connection.local
    user = connection.user.name if connection.user else ""
    octets = {"recv_oct": connection.bytes_in, "send_oct": connection.bytes_out}
    return {
        "name": connection.name,
        "node": node,
        "user": user,
        "user_who_performed_action": user,
        "vhost": connection.vhost.name if connection.vhost else "",
        "state": connection.state,
        "type": "network",
        "protocol": "AMQP 0-9-1",
        "auth_mechanism": connection.mechanism,
        "channels": len(connection.channels),
        "channel_max": connection.channel_max,
        "frame_max": connection.frame_max,
        "timeout": connection.heartbeat,
        "client_properties": plain(connection.client_properties),
        "connected_at": int(connection.connected_at * 1000),
        "host": host,
        "port": port,
        "peer_host": peer_host,
        "peer_port": peer_port,
        "ssl": connection.tls,
        **dict.fromkeys(_TLS_FIELDS),
        "recv_cnt": connection.frames_in,
        "send_cnt": connection.frames_out,
        "send_pend": 0,
        **rates.added(connection, octets, now),
    }


def of_channel(connection: Connection, number: int, node: str) -> Item:
    """A channel, as `GET /api/channels` lists it."""
    channel = connection.channels[number]
    peer_host, peer_port = connection.peer
    user = connection.user.name if connection.user else ""
    return {
        "name": f"{connection.name} ({number})",
        "number": number,
        "node": node,
        "user": user,
        "user_who_performed_action": user,
        "vhost": connection.vhost.name if connection.vhost else "",
        "state": "running",
        "confirm": channel.confirming,
        "transactional": channel.transactional,
        "prefetch_count": channel.prefetch_count,
        "global_prefetch_count": channel.global_prefetch,
        "consumer_count": len(channel.consumers),
        "messages_unacknowledged": len(channel.ledger),
        "messages_unconfirmed": 0,
        "messages_uncommitted": 0,
        "acks_uncommitted": 0,
        "connection_details": {"name": connection.name, "peer_host": peer_host, "peer_port": peer_port},
    }


def of_consumer(consumer: Consumer, connection: Connection, number: int, node: str) -> Item:
    """A consumer of a channel, as `GET /api/consumers` lists it."""
    return {
        "consumer_tag": consumer.tag,
        "ack_required": not consumer.no_ack,
        "active": consumer.active,
        "activity_status": "up" if consumer.active else "waiting",
        "exclusive": consumer.exclusive,
        "prefetch_count": consumer.prefetch,
        "arguments": plain(consumer.arguments),
        "queue": {"name": consumer.queue.name, "vhost": consumer.queue.vhost.name},
        "channel_details": channel_details(connection, number, node),
    }


def channel_details(connection: Connection, number: int, node: str) -> Item:
    """How other entities refer to a channel."""
    host, port = connection.peer
    return {
        "connection_name": connection.name,
        "name": f"{connection.name} ({number})",
        "node": node,
        "number": number,
        "peer_host": host,
        "peer_port": port,
        "user": connection.user.name if connection.user else "",
    }


def plain(value: Any) -> Any:
    """An AMQP field value as JSON can say it: bytes as text, times as seconds."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "surrogateescape")
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, bool | int | float | str | None):
        return value
    return float(value)
