"""Messages to publish, and the properties of messages that the broker delivers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class DriverProperties(Protocol):
    """The fourteen basic properties of AMQP 0-9-1 §1.8.3.1 as attributes. pika's BasicProperties satisfy it."""

    content_type: str | None
    content_encoding: str | None
    headers: dict[str, Any] | None
    delivery_mode: int | None
    priority: int | None
    correlation_id: str | None
    reply_to: str | None
    expiration: str | None
    message_id: str | None
    timestamp: int | None
    type: str | None
    user_id: str | None
    app_id: str | None
    cluster_id: str | None


@dataclass(frozen=True, slots=True)
class Properties:
    """Basic properties to publish with. `timestamp` is in Unix seconds, `expiration` in milliseconds (a string in
    AMQP); `delivery_mode` 2 means persistent."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Mapping[str, Any] | None = None
    delivery_mode: int | None = 2
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None


PropertiesView = DriverProperties | Properties
"""Basic properties to read, from a driver or from us."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to publish. If `exchange` is empty, the routing key is the name of a queue. `due` is the time in Unix
    seconds for which the message is scheduled; None: now."""

    routing_key: str
    body: bytes
    exchange: str = ""
    properties: Properties = field(default_factory=Properties)
    due: float | None = None
