"""The messages at the head of a queue, as a client sees them."""

from __future__ import annotations

from typing import Any

from pydantic.alias_generators import to_camel

from delivery.copies import Source, came_by
from delivery.delivery_limit import COUNTING_HEADERS
from delivery.header_values import json_value, text_or_base64
from domain.held_message import AckMode, HeldMessage
from domain.message import Properties, PropertiesView
from gateway.amqp.reading import QueueReader

_MOST_BYTES = 64 * 2**20
"""of bodies: an answer stops growing here"""


class HeldMessages:
    """Thread-safe."""

    def __init__(self, reader: QueueReader, *, heartbeat: int = 10) -> None:
        """Close the connection to a stalled broker as `Link` does, after `heartbeat` seconds."""
        self._reader, self._heartbeat = reader, heartbeat

    def get(self, queue_name: str, count: int, mode: AckMode, truncate_bytes: int) -> list[HeldMessage]:
        """Up to `count` messages from the head of a queue. Those taken or rejected are gone, even when the answer does
        not arrive. Raises what QueueReader.reading raises."""
        held: list[HeldMessage] = []
        tags: list[int] = []
        size = 0
        with self._reader.reading(queue_name, "workerrmq-get-messages", self._heartbeat) as reading:
            # No more than there were: behind them are the copies of this look.
            while len(held) < min(count, reading.total) and size < _MOST_BYTES:
                taken = reading.take()
                if taken is None:
                    break
                tag, redelivered, source = taken
                size += len(source.body)
                held.append(_held(source, redelivered, truncate_bytes if mode == "peek" else None))
                tags.append(tag)
                if mode == "peek":
                    reading.leave(tag, source)
            if mode != "peek":
                settle = reading.ack if mode == "take" else reading.reject
                for tag in tags:
                    settle(tag)
        return held

    def first(self, queue_name: str) -> Source | None:
        """The message at the head of a queue, which stays there; None when there is none. Raises what
        QueueReader.reading raises."""
        with self._reader.reading(queue_name, "workerrmq-get-messages", self._heartbeat) as reading:
            taken = reading.take()
            if taken is not None:
                reading.leave(taken.tag, taken.source)
        return taken.source if taken else None


def _held(source: Source, redelivered: bool, shown: int | None) -> HeldMessage:
    body = source.body if shown is None else source.body[:shown]
    encoding, text = text_or_base64(body)
    return HeldMessage(
        exchange=came_by(source.exchange),
        routing_key=source.routing_key,
        redelivered=redelivered,
        message=text if encoding == "text" else None,
        body_base64=text if encoding != "text" else None,
        bytes=len(source.body),
        truncated=len(body) < len(source.body),
        properties=_properties(source.properties),
    )


def _properties(given: PropertiesView) -> dict[str, Any]:
    """The properties that are set, by the names and types of a publication, without the broker's own counts."""
    named = {name: getattr(given, name) for name in Properties.__slots__ if name != "delivery_mode"}
    named["headers"] = {
        name: value for name, value in (given.headers or {}).items() if name not in COUNTING_HEADERS
    } or None
    if str(named["expiration"]).isdigit():
        named["expiration"] = int(named["expiration"])
    shown = {to_camel(name): json_value(value) for name, value in named.items() if value is not None}
    return shown | {"persistent": given.delivery_mode == 2}
