"""Publishing to an exchange and reading from a queue over HTTP: for people and scripts, not for throughput."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from amqp_wire.values import is_integer
from broker.core.channel import Channel
from broker.core.message import Entry, Message
from broker.errors import AmqpError
from broker.management import details
from broker.management.errors import ApiError, BadRequest, NotAuthorised
from broker.management.routing import Call, Routes

# Bytes of bodies after which a response contains no further message.
_MAX_BYTES = 64 * 1024 * 1024
_NUMBERS = {"delivery_mode": 2**8, "priority": 2**8, "timestamp": 2**63}
_TEXTS = ("content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "message_id", "type",
          "user_id", "app_id", "cluster_id")  # fmt: skip
_ACK_MODES = ("ack_requeue_true", "ack_requeue_false", "reject_requeue_true", "reject_requeue_false")

routes = Routes()


class _RoutedSink:
    """A channel's sink that only records whether the message was routed."""

    writable = True

    def __init__(self) -> None:
        self.routed = True

    def deliver(self, consumer_tag: str, delivery_tag: int, entry: Entry) -> None:
        """Do nothing: there are no consumers."""

    def returned(self, message: Message, error: AmqpError) -> None:
        """Record that no queue took the message."""
        self.routed = False

    def confirmed(self, delivery_tag: int, multiple: bool, taken: bool) -> None:
        """Do nothing: confirms are off, and the response waits for the commit anyway."""

    def confirms_due(self) -> None: ...

    def cancelled(self, consumer_tag: str) -> None:
        """Do nothing: there are no consumers."""


@routes.add("POST", "exchanges/{vhost}/{name}/publish")
def publish(call: Call) -> dict[str, bool]:
    """Publish one message. Return whether a queue took it."""
    fields = ("routing_key", "properties", "payload", "payload_encoding")
    routing_key, properties, payload, encoding = call.required(*fields)
    exchange = "" if call.parts["name"] == "amq.default" else call.parts["name"]
    try:
        message = Message.create(exchange, str(routing_key), _body(payload, encoding), _properties(properties))
    except (TypeError, ValueError) as error:
        raise BadRequest(str(error)) from None
    sink = _RoutedSink()
    try:
        Channel(call.vhost, call.user, sink, sink).publish(message, True, call.now)
    except AmqpError as error:
        raise BadRequest(str(error)) from None
    return {"routed": sink.routed}


def _body(payload: Any, encoding: Any) -> bytes:
    if not isinstance(payload, str):
        raise BadRequest("payload_not_string")
    if encoding == "string":
        return payload.encode("utf-8", "surrogateescape")
    if encoding != "base64":
        raise BadRequest(["unsupported_encoding", encoding])
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error:
        raise BadRequest(["not_base64", payload[:100]]) from None


def _properties(given: Any) -> dict[str, Any]:
    """Return the known properties, checked. RabbitMQ ignores the others too."""
    if given == []:
        return {}
    if not isinstance(given, dict):
        raise BadRequest(["not_object", "properties"])
    for name, end in _NUMBERS.items():
        if name in given and not (is_integer(given[name]) and 0 <= given[name] < end):
            raise BadRequest(["not_int", name])
    for name in _TEXTS:
        if name in given and not isinstance(given[name], str):
            raise BadRequest(["not_string", name])
    if not isinstance(given.get("headers", {}), dict):
        raise BadRequest(["not_object", "headers"])
    return {name: given[name] for name in (*_NUMBERS, *_TEXTS, "headers") if name in given}


@routes.add("POST", "queues/{vhost}/{name}/get")
def get(call: Call) -> list[dict[str, Any]]:
    """Take up to `count` messages and settle them by `ackmode`."""
    ackmode, count, encoding = call.required("ackmode", "count", "encoding")
    if ackmode not in _ACK_MODES:
        raise BadRequest(f"unknown ackmode '{ackmode}'")
    if encoding not in ("auto", "base64"):
        raise BadRequest("Unsupported encoding. Please use auto or base64.")
    truncate = max(_integer(call.json["truncate"]), 0) if "truncate" in call.json else None
    sink = _RoutedSink()
    channel = Channel(call.vhost, call.user, sink, sink)
    try:
        return _taken(call, channel, _integer(count), ackmode, encoding, truncate)
    except AmqpError as error:
        if error.code == 404:
            raise ApiError(404, "not_found", error.reply_text) from None
        raise (NotAuthorised if error.code == 403 else BadRequest)(error.reply_text) from None
    finally:
        channel.close(call.now)


def _taken(
    call: Call, channel: Channel, count: int, ackmode: str, encoding: str, truncate: int | None
) -> list[dict[str, Any]]:
    queue = call.vhost.queue(call.parts["name"])
    call.require("read", "queue", queue.name)
    items: list[dict[str, Any]] = []
    size = last = 0
    while len(items) < count and size < _MAX_BYTES:
        found = channel.get(queue, ackmode == "ack_requeue_false", call.now)
        if found is None:
            break
        last, entry = found
        size += entry.message.size
        items.append(_shown(entry, queue.ready_count, encoding, truncate))
    if last and ackmode != "ack_requeue_false":
        channel.nack(last, True, ackmode.endswith("_true"), call.now)
    return items


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise BadRequest(["not_integer", value]) from None


def _shown(entry: Entry, left: int, encoding: str, truncate: int | None) -> dict[str, Any]:
    message = entry.message
    payload, payload_encoding = _encoded((message.body or b"")[:truncate], encoding)
    return {
        "payload_bytes": message.size,
        "redelivered": entry.redelivered,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "message_count": left,
        "properties": details.to_json(message.decoded_properties()) or [],  # Erlang's empty object
        "payload": payload,
        "payload_encoding": payload_encoding,
    }


def _encoded(body: bytes, encoding: str) -> tuple[str, str]:
    if encoding == "auto":
        try:
            return body.decode(), "string"
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), "base64"
