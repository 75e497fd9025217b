"""The name of the queue that `POST /createConsumer` declares for a target of an exchange. Each target has its own
queue, so each receives every message that the routing key matches."""

from __future__ import annotations

import hashlib
import json

from domain.names import MAX_BYTES, OWN
from domain.url_template import UrlTemplate

_DIGITS = 8
_RESERVED = ("amq.", OWN)
"""Prefixes of RabbitMQ's and the service's own exchanges, not allowed for queues."""


def queue_name(exchange: str, routing_key: str, consumer: str, url: UrlTemplate) -> str:
    """Return `<exchange>.<consumer>.<hash>`, within 255 bytes. For a consumer without a name, use its target's host,
    and hash scheme, host, port and path of its URL; the user and query of a URL may be secrets."""
    identity = consumer or f"{url.target.origin}{_path(url)}"
    digest = hashlib.sha256(json.dumps([exchange, routing_key, identity]).encode()).hexdigest()[:_DIGITS]
    stem = next((exchange.removeprefix(one) for one in _RESERVED if exchange.startswith(one)), exchange)
    readable = f"{stem}.{consumer or url.target.host}"
    return f"{readable.encode()[: MAX_BYTES - _DIGITS - 1].decode(errors='ignore')}.{digest}"


def _path(url: UrlTemplate) -> str:
    return url.removeprefix(url.authority).partition("?")[0]
