"""Reads messages at the head of a queue for `POST /getMessages`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic.alias_generators import to_camel

from delivery.copies import Source, came_by
from delivery.delivery_limit import COUNTING_HEADERS
from delivery.header_values import json_value, text_or_base64
from domain.dead_letter import MAX_EXAMINED
from domain.held_message import AckMode, HeldMessage
from domain.message import Properties, PropertiesView
from domain.replay import EVERY, DeadLetterFilter, fits
from gateway.amqp.reading import QueueReader, Taken
from gateway.amqp.rejecting import dead_letter
from gateway.amqp.topology import is_dead_letter_queue

_NAME = "workerrmq-get-messages"
_LEAST_TAKEN = 1000
_MOST_BYTES = 64 * 2**20
"""Limit of the bodies in one answer."""


class HeldMessages:
    """Reads messages and peeks, takes or rejects them. Thread-safe."""

    def __init__(self, reader: QueueReader, *, heartbeat: int = 10) -> None:
        """`heartbeat` is in seconds, and closes the connection to a stalled broker as in `Link`."""
        self._reader, self._heartbeat = reader, heartbeat

    def get(
        self,
        queue_name: str,
        count: int,
        mode: AckMode,
        truncate_bytes: int,
        wanted: DeadLetterFilter = EVERY,
        by: str = "",
    ) -> list[HeldMessage]:
        """Return up to `count` messages that match `wanted`, of the first MAX_EXAMINED in a queue. Taken and rejected
        messages are gone even if the answer does not reach the client. `by` is the user who rejects. Raises what
        QueueReader.reading and `dead_letter` raise."""
        held: list[HeldMessage] = []
        chosen: list[Taken] = []
        size = 0
        window = _window(queue_name, count if wanted == EVERY else MAX_EXAMINED) if mode == "peek" else 1
        with self._reader.reading(queue_name, _NAME, self._heartbeat, look=window) as reading:
            # Not more than there were at the beginning: behind them are the copies that this look publishes.
            for _ in range(min(reading.total, MAX_EXAMINED)):
                taken = reading.take() if len(held) < count and size < _MOST_BYTES else None
                if taken is None:
                    break
                tag, redelivered, source = taken
                size += len(source.body)
                matches = fits(wanted, source.properties.headers or {}, source.properties.message_id)
                if matches:
                    held.append(_held(source, redelivered, truncate_bytes if mode == "peek" else None))
                    chosen.append(taken)
                if mode == "peek" or not matches:
                    reading.leave(tag, source)
            if mode == "take":
                for one in chosen:
                    reading.ack(one.tag)
            elif mode == "reject":
                gone = dead_letter(reading, chosen, by)
                held = [shown for one, shown in zip(chosen, held, strict=True) if one.tag in gone]
        return held

    def examine(self, queue_name: str, most: int, see: Callable[[Source], None]) -> tuple[int, int]:
        """Call `see` with at most `most` messages from the head of a queue, which stay there. Return the number of
        ready messages, and of those that were examined: fewer if their bodies are large. Raises what
        QueueReader.reading raises."""
        examined = size = 0
        with self._reader.reading(queue_name, _NAME, self._heartbeat, look=_window(queue_name, most)) as reading:
            total = reading.total
            while examined < min(most, total) and size < _MOST_BYTES and (taken := reading.take()) is not None:
                examined, size = examined + 1, size + len(taken.source.body)
                see(taken.source)
                reading.leave(taken.tag, taken.source)
        return total, examined

    def first(self, queue_name: str) -> Source | None:
        """The message at the head of a queue, which stays there; None when there is none. Raises what
        QueueReader.reading raises."""
        found: list[Source] = []
        self.examine(queue_name, 1, found.append)
        return found[0] if found else None


def _window(queue_name: str, most: int) -> int:
    """Return how many messages a look that needs `most` takes. RabbitMQ puts a message that returns to a quorum queue
    behind those that have returned before, so that a look into a dead-letter queue takes at least as many as the look
    before it."""
    return max(most, _LEAST_TAKEN) if is_dead_letter_queue(queue_name) else most


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
    """Return the properties that are set, as `POST /messagePublish` takes them, without RabbitMQ's delivery counts."""
    named = {name: getattr(given, name) for name in Properties.__slots__ if name != "delivery_mode"}
    named["headers"] = {
        name: value for name, value in (given.headers or {}).items() if name not in COUNTING_HEADERS
    } or None
    if str(named["expiration"]).isdigit():
        named["expiration"] = int(named["expiration"])
    shown = {to_camel(name): json_value(value) for name, value in named.items() if value is not None}
    return shown | {"persistent": given.delivery_mode == 2}
