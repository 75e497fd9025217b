"""The JSON shape of each entity, shared by list and detail, with RabbitMQ 3.10's field names and units."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote_plus

from amqp_wire.properties import MalformedProperties, split
from broker.core.exchanges.base import digest_of
from broker.management.pagination import Item
from broker.management.rates import Rates

if TYPE_CHECKING:
    from broker.core.consumer import Consumer
    from broker.core.exchanges import Binding, Exchange
    from broker.core.queue import Queue
    from broker.session.connection import Connection

_TLS_FIELDS = ("peer_cert_subject", "peer_cert_issuer", "peer_cert_validity", "ssl_protocol", "ssl_key_exchange",
               "ssl_cipher", "ssl_hash")  # fmt: skip


def timestamp(seconds: float) -> str:
    """Format seconds since the epoch as the API does."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def properties_key(binding: Binding) -> str:
    """Return a binding's name within its source and destination: its routing key, with a digest of its arguments if
    any.
    """
    key = quote_plus(binding.routing_key, safe="", errors="surrogateescape").replace("~", "%7E")
    if not binding.arguments:
        return key or "~"
    return f"{key}~{digest_of(binding.key[3])}"


def has_properties_key(binding: Binding, key: str) -> bool:
    """Return whether `key` is the binding's properties key, its routing key quoted or not."""
    routing_key, _, digest = key.partition("~")
    expected = digest_of(binding.key[3]) if binding.arguments else ""
    return unquote_plus(routing_key, errors="surrogateescape") == binding.routing_key and digest == expected


def of_binding(binding: Binding, vhost: str) -> Item:
    """Show a binding as `GET /api/bindings` does."""
    return {
        "source": binding.source,
        "vhost": vhost,
        "destination": binding.destination,
        "destination_type": binding.kind,
        "routing_key": binding.routing_key,
        "arguments": to_json(binding.arguments),
        "properties_key": properties_key(binding),
    }


def of_exchange(exchange: Exchange, vhost: str, rates: Rates, now: float) -> Item:
    """Show an exchange as `GET /api/exchanges` does."""
    counts = {"publish_in": exchange.published_in, "publish_out": exchange.published_out}
    item: Item = {
        "name": exchange.name,
        "vhost": vhost,
        "type": exchange.type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": to_json(exchange.arguments),
        "user_who_performed_action": "rmq-internal" if exchange.name[:4] in ("", "amq.") else "guest",
    }
    if any(counts.values()):
        item["message_stats"] = rates.added(exchange, counts, now)
    return item


def of_queue_without_stats(queue: Queue, node: str, totals: bool) -> Item:
    """Show a queue as `disable_stats=true` does, with `totals` in messages on request."""
    item: Item = {
        "name": queue.name,
        "vhost": queue.vhost.name,
        "node": node,
        "type": queue.type,
        "state": "running",
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "exclusive": queue.owner is not None,
        "arguments": to_json(queue.arguments),
    }
    return item | _totals(queue) if totals else item


def _totals(queue: Queue) -> dict[str, int]:
    return {
        "messages": queue.ready_count + queue.unacked_count,
        "messages_ready": queue.ready_count,
        "messages_unacknowledged": queue.unacked_count,
    }


def of_queue(queue: Queue, node: str, rates: Rates, now: float) -> Item:
    """Show a queue as `GET /api/queues` does; sizes in bytes, counts in messages."""
    item = of_queue_without_stats(queue, node, totals=False) | {
        "effective_policy_definition": queue.policy.definition if queue.policy is not None else {},
        "policy": queue.policy.name if queue.policy is not None else None,
        "operator_policy": None,
        "consumers": len(queue.consumers),
        "consumer_capacity": 1 if queue.consumers else 0,
        "consumer_utilisation": 1 if queue.consumers else 0,
        "exclusive_consumer_tag": next((one.tag for one in queue.consumers if one.exclusive), None),
        "single_active_consumer_tag": _single_active(queue),
        "idle_since": timestamp(queue.lease.used_at),
        "memory": queue.ready_bytes + queue.unacked_bytes,
        "message_bytes": queue.ready_bytes + queue.unacked_bytes,
        "message_bytes_ready": queue.ready_bytes,
        "message_bytes_unacknowledged": queue.unacked_bytes,
        "message_bytes_ram": queue.resident_bytes,
        "message_bytes_paged_out": queue.paged_bodies.bytes,
        **_head(queue),
        **rates.added(queue, _totals(queue), now),
    }
    stats = queue_stats(queue)
    if any(stats.values()):
        item["message_stats"] = rates.added(queue, stats, now)
    return item


def _head(queue: Queue) -> Item:
    """Return the timestamp of the first ready message, in Unix seconds, as RabbitMQ does for classic queues. For quorum
    queues add `messages_dlx`, the pending dead letters: always 0, as none are pending between two events.
    """
    item: Item = {"messages_dlx": 0} if queue.type == "quorum" else {}
    head = queue.ready.head()
    with suppress(MalformedProperties):
        timestamp = split(head.message.properties).get("timestamp") if head else None
        if timestamp is not None:
            item["head_message_timestamp"] = int.from_bytes(timestamp)
    return item


def _single_active(queue: Queue) -> str | None:
    if not queue.rules.single_active_consumer:
        return None
    return next((one.tag for one in queue.consumers if one.active), None)


def queue_stats(queue: Queue) -> dict[str, int]:
    """Return a queue's counters under the API's names, in messages since the broker started."""
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
    """Show a connection as `GET /api/connections` does; `connected_at` in milliseconds, sizes in bytes."""
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
        "client_properties": to_json(connection.client_properties),
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
    """Show a channel as `GET /api/channels` does."""
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
        "messages_unacknowledged": len(channel.unacked),
        "messages_unconfirmed": 0,
        "messages_uncommitted": 0,
        "acks_uncommitted": 0,
        "connection_details": {"name": connection.name, "peer_host": peer_host, "peer_port": peer_port},
    }


def of_consumer(consumer: Consumer, connection: Connection, number: int, node: str) -> Item:
    """Show a consumer as `GET /api/consumers` does."""
    return {
        "consumer_tag": consumer.tag,
        "ack_required": not consumer.no_ack,
        "active": consumer.active,
        "activity_status": "up" if consumer.active else "waiting",
        "exclusive": consumer.exclusive,
        "prefetch_count": consumer.prefetch,
        "arguments": to_json(consumer.arguments),
        "queue": {"name": consumer.queue.name, "vhost": consumer.queue.vhost.name},
        "channel_details": channel_details(connection, number, node),
    }


def channel_details(connection: Connection, number: int, node: str) -> Item:
    """Return a reference to a channel, as other entities contain it."""
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


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:  # as rabbit_mgmt_format
        return f"Not UTF-8, base64 is: {b64encode(value).decode()}"


def to_json(value: Any) -> Any:
    """Convert an AMQP field value to JSON: bytes to text, times to seconds."""
    if isinstance(value, dict):
        return {to_json(name): to_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, bool | int | float | str | None):
        return value
    return float(value)
