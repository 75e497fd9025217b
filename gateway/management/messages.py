"""Messages in queues through the management API."""

from __future__ import annotations

from typing import Any

from pydantic.alias_generators import to_camel

from domain.held_message import AckMode, HeldMessage
from gateway.management.client import ManagementClient

_ACK_MODES: dict[AckMode, str] = {
    "peek": "ack_requeue_true",
    "take": "ack_requeue_false",
    "reject": "reject_requeue_false",
}


class MessageGateway:
    """The messages in the queues of one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def get(self, queue_name: str, count: int, mode: AckMode, truncate_bytes: int) -> list[HeldMessage]:
        """Up to `count` messages from the head of a queue. Those taken or rejected are gone, even when the answer does
        not arrive. Raises NotFound, Locked."""
        wanted: dict[str, Any] = {"count": count, "ackmode": _ACK_MODES[mode], "encoding": "auto"}
        if mode == "peek":
            wanted["truncate"] = truncate_bytes
        path = ("queues", self._client.vhost, queue_name, "get")
        _, found = self._client.call("POST", *path, subject="queue", name=queue_name, body=wanted)
        return [_held(one) for one in found]


def _held(message: dict[str, Any]) -> HeldMessage:
    payload, is_text = message["payload"], message["payload_encoding"] == "string"
    shown = len(payload.encode()) if is_text else len(payload) * 3 // 4 - payload.count("=")
    return HeldMessage(
        exchange=message["exchange"],
        routing_key=message["routing_key"],
        redelivered=message["redelivered"],
        message=payload if is_text else None,
        body_base64=None if is_text else payload,
        bytes=message["payload_bytes"],
        truncated=shown < message["payload_bytes"],
        properties=_properties(message["properties"] or {}),  # Erlang writes an empty object as []
    )


def _properties(given: dict[str, Any]) -> dict[str, Any]:
    """RabbitMQ's names and types made those of a publication."""
    named = {to_camel(name): value for name, value in given.items() if name != "delivery_mode"}
    if "expiration" in named and str(named["expiration"]).isdigit():
        named["expiration"] = int(named["expiration"])
    return named | {"persistent": given.get("delivery_mode") == 2}
