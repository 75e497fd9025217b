"""Dead letters: the x-death header and the rule against cycles (RabbitMQ docs: dlx; rabbit_dead_letter.erl)."""

from __future__ import annotations

from datetime import UTC, datetime

from amqp_wire import properties
from amqp_wire.spans import join, join_array, split, split_array
from amqp_wire.table import decode_value, encode_value
from amqp_wire.values import Long, is_integer
from broker.core.message import Message

# A client may send any count, but AMQP's integers have 64 bits.
MAX_COUNT = 2**63 - 1

EXPIRED, REJECTED, MAXLEN, DELIVERY_LIMIT = "expired", "rejected", "maxlen", "delivery_limit"


def dead_letter(message: Message, queue: str, reason: str, exchange: str, routing_key: str | None,
                now: float) -> Message:  # fmt: skip
    """Return the message as published to the dead-letter `exchange`. With `routing_key` None it keeps its keys."""
    fields = properties.split(message.properties)
    headers = split(fields["headers"]) if "headers" in fields else {}
    expiration = fields.pop("expiration", None)
    death = {
        "reason": encode_value(reason),
        "queue": encode_value(queue),
        "time": encode_value(datetime.fromtimestamp(now, UTC)),
        "exchange": encode_value(message.exchange),
        "routing-keys": encode_value([message.routing_key, *message.visible_copies()]),
    }
    if expiration is not None:
        death["original-expiration"] = encode_value(message.essentials.expiration)
    first = "x-death" not in headers
    headers["x-death"] = _count_death(death, headers.get("x-death", b""))
    if first:
        for name, value in (("exchange", message.exchange), ("queue", queue), ("reason", reason)):
            headers[f"x-first-death-{name}"] = encode_value(value)
    if routing_key is not None:
        headers.pop("CC", None)
    fields["headers"] = join(headers)
    letter = Message(exchange, message.routing_key if routing_key is None else routing_key, properties.join(fields),
                     message.body or b"")  # fmt: skip
    if routing_key is None:
        letter.blind_copies = message.blind_copies
    return letter


def _count_death(death: dict[str, bytes], events: bytes) -> bytes:
    """Add an event to an x-death array: newest first, one table per queue and reason."""
    others = []
    count = 1
    for known, times in _grouped(events):
        if known.get("queue") == death["queue"] and known.get("reason") == death["reason"]:
            count = min(times + 1, MAX_COUNT)
            death = known
        else:
            others.append(_counted(known, times))
    return join_array([_counted(death, count), *others])


def _grouped(events: bytes) -> list[tuple[dict[str, bytes], int]]:
    """Return the events of an x-death array, one per queue and reason, with their counts.

    A client may send several events of one queue and reason. The first one is kept; if it has no count, it counts all
    of them (rabbit_dead_letter.erl, group_by_queue_and_reason).
    """
    groups: dict[tuple[bytes | None, bytes | None], list[dict[str, bytes]]] = {}
    for event in split_array(events):
        if event[:1] == b"F":
            fields = split(event[1:])
            groups.setdefault((fields.get("queue"), fields.get("reason")), []).append(fields)
    return [(group[0], _count_of(group[0], default=len(group))) for group in groups.values()]


def _count_of(event: dict[str, bytes], default: int) -> int:
    if "count" not in event:
        return default
    count = decode_value(event["count"])
    return int(count) if is_integer(count) else 0


def _counted(event: dict[str, bytes], count: int) -> bytes:
    return b"F" + join({"count": encode_value(Long(count)), **{k: v for k, v in event.items() if k != "count"}})


def is_cycle(message: Message, queue: str, reason: str) -> bool:
    """Return whether a dead letter would return to `queue` without a rejection on the way."""
    deaths = message.headers.get("x-death")
    if reason == REJECTED or not isinstance(deaths, list):
        return False
    for death in deaths:
        if not isinstance(death, dict):
            continue
        if death.get("reason") == REJECTED:
            return False
        if death.get("queue") == queue:
            return True
    return False
