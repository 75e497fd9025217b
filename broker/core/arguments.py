"""Queue arguments (`x-…`), checked and parsed once, at declaration (RabbitMQ docs: queues, ttl, maxlength, dlx)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from amqp_wire.values import Binary, Instant, Table, Value, is_integer
from broker.errors import AmqpError


@dataclass(frozen=True, slots=True)
class QueueRules:
    """The settings of a queue, from its arguments. Times are in seconds, None means no such rule."""

    type: str = "classic"
    message_ttl: float | None = None
    expires: float | None = None
    max_length: int | None = None
    max_bytes: int | None = None
    overflow: str = "drop-head"
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    at_least_once: bool = False
    max_priority: int = 0
    single_active_consumer: bool = False
    delivery_limit: int | None = None


class _Invalid(Exception):
    """A value that RabbitMQ refuses; the message is in RabbitMQ's (Erlang's) words."""


_TYPES = (
    (bool, "bool"), (datetime | Instant, "timestamp"), (int, "signedint"), (float, "double"), (str, "longstr"),
    (Binary, "binary"), (bytes, "longstr"), (Decimal, "decimal"), (list, "array"), (dict, "table"),
)  # fmt: skip

# The longest time to live, in milliseconds: ten years.
LONGEST_TTL = 315_360_000_000


def type_name(value: Value) -> str:
    """Return RabbitMQ's name for the type of a table's value."""
    if is_integer(value) and not -(2**31) <= value < 2**31:
        return "long"
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "void")


def same_value(left: Value, right: Value) -> bool:
    """Return whether RabbitMQ treats two table values as equal. Their types must match: 10 is not 10.0, true is not
    1.
    """
    return left == right and _type_class(left) == _type_class(right)


def _type_class(value: Value) -> str:
    name = type_name(value)
    return "signedint" if name == "long" else name


def _integer(value: Value) -> int:
    if not is_integer(value):
        raise _Invalid(f'"expected integer, got {type_name(value)}"')
    return int(value)


def _count(least: int, most: int | None = None) -> Callable[[Value], int]:
    def check(value: Value) -> int:
        if _integer(value) < 0:
            raise _Invalid(f"{{value_negative,{value}}}")
        if value < least:
            raise _Invalid(f"{{value_zero,{value}}}")
        if most is not None and value > most:
            raise _Invalid(f"{{max_value_exceeded,{value}}}")
        return int(value)

    return check


def _milliseconds(least: int) -> Callable[[Value], float]:
    count = _count(least)

    def check(value: Value) -> float:
        if count(value) > LONGEST_TTL:
            raise _Invalid(f"{{value_too_large,{value}}}")
        return int(value) / 1000

    return check


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise _Invalid(f"{{unacceptable_type,{type_name(value)}}}")
    return value


def _one_of(problem: str, *allowed: str) -> Callable[[Value], str]:
    def check(value: Value) -> str:
        if _text(value) not in allowed:
            raise _Invalid(problem.format(value))
        return str(value)

    return check


def _flag(value: Value) -> bool:
    if not isinstance(value, bool):
        raise _Invalid(f"{{unacceptable_type,{type_name(value)}}}")
    return value


def _version(value: Value) -> int:
    if _count(0)(value) not in (1, 2):
        raise _Invalid(f"\"unsupported queue version '{value}'\"")
    return int(value)


def _limit(value: Value) -> int | None:
    """Read a delivery limit. A negative one, as on RabbitMQ 4, or a value that is no integer means unlimited: None.
    RabbitMQ 3.10 drops a message at its first return under a negative limit.
    """
    return int(value) if is_integer(value) and value >= 0 else None


_STRATEGY = _one_of("invalid_dlx_strategy", "at-most-once", "at-least-once")
_CLASSIC, _QUORUM = frozenset({"classic"}), frozenset({"quorum"})
_BOTH, _NEITHER = _CLASSIC | _QUORUM, frozenset[str]()


class _Argument(NamedTuple):
    """The check of an argument, and the queue types that accept it. The broker ignores one with an empty `field`."""

    field: str
    check: Callable[[Value], Value]
    types: frozenset[str]


# In RabbitMQ's order.
_ARGUMENTS = {
    "x-expires": _Argument("expires", _milliseconds(1), _BOTH),
    "x-message-ttl": _Argument("message_ttl", _milliseconds(0), _BOTH),
    "x-dead-letter-exchange": _Argument("dead_letter_exchange", _text, _BOTH),
    "x-dead-letter-routing-key": _Argument("dead_letter_routing_key", _text, _BOTH),
    "x-dead-letter-strategy": _Argument("at_least_once", lambda value: _STRATEGY(value) == "at-least-once", _QUORUM),
    "x-max-length": _Argument("max_length", _count(0), _BOTH),
    "x-max-length-bytes": _Argument("max_bytes", _count(0), _BOTH),
    "x-max-in-memory-length": _Argument("", _count(0), _QUORUM),
    "x-max-in-memory-bytes": _Argument("", _count(0), _QUORUM),
    "x-max-priority": _Argument("max_priority", _count(0, 255), _CLASSIC),
    "x-overflow": _Argument("overflow", _one_of("invalid_overflow", "drop-head", "reject-publish",
                                                "reject-publish-dlx"), _BOTH),
    "x-queue-mode": _Argument("", _one_of("\"unsupported queue mode '{}'\"", "default", "lazy"), _CLASSIC),
    "x-queue-version": _Argument("", _version, _CLASSIC),
    "x-single-active-consumer": _Argument("single_active_consumer", _flag, _BOTH),
    "x-queue-type": _Argument("type", _one_of("\"unsupported queue type '{}'\"", "classic", "quorum", "stream"), _BOTH),
    "x-quorum-initial-group-size": _Argument("", _count(1), _QUORUM),
    "x-queue-leader-locator": _Argument("", _one_of("invalid_queue_locator_arg", "client-local", "balanced", "random",
                                                            "least-leaders"), _QUORUM),
    "x-delivery-limit": _Argument("delivery_limit", _limit, _QUORUM),
    "x-queue-master-locator": _Argument("", lambda value: value, _CLASSIC),
    "x-max-age": _Argument("", _text, _NEITHER),
    "x-stream-max-segment-size-bytes": _Argument("", _count(0), _NEITHER),
    "x-initial-cluster-size": _Argument("", _count(1), _NEITHER),
}  # fmt: skip


def defining(queue_type: str) -> Iterator[str]:
    """Return the arguments that a redeclaration must repeat. RabbitMQ ignores differences in the others."""
    return (name for name, argument in _ARGUMENTS.items() if queue_type in argument.types)


def takes(queue_type: str, argument: str) -> bool:
    """Return whether queues of the type accept the argument."""
    return queue_type in _ARGUMENTS[argument].types


def field_of(argument: str) -> str:
    """Return the field of QueueRules that the argument sets."""
    return _ARGUMENTS[argument].field


def read_value(argument: str, value: Value) -> Value:
    """Return the argument's value as QueueRules holds it. Raises ValueError for one that is not allowed."""
    try:
        return _ARGUMENTS[argument].check(value)
    except _Invalid as invalid:
        raise ValueError(str(invalid)) from invalid


def read_rules(arguments: Table, name: str, vhost: str) -> QueueRules:
    """Return the rules for `arguments`. Raises AmqpError 406, or 540 for a stream queue."""
    what = f"queue '{name}' in vhost '{vhost}'"
    dead_letters = arguments.get("x-dead-letter-exchange", "")
    if not isinstance(dead_letters, str):
        raise AmqpError(406, f"invalid type '{type_name(dead_letters)}' for arg 'x-dead-letter-exchange' in {what}")
    kind = _checked("x-queue-type", arguments.get("x-queue-type", "classic"), what)
    if kind == "stream":
        raise AmqpError(540, f"{what}: stream queues are not supported by this broker")
    present = [(each, it) for each, it in _ARGUMENTS.items() if each in arguments]
    chosen = {it.field: _checked(each, arguments[each], what) for each, it in present if kind in it.types}
    chosen.pop("", None)
    if "x-dead-letter-routing-key" in arguments and "x-dead-letter-exchange" not in arguments:
        raise AmqpError(406, f"invalid arg 'x-dead-letter-routing-key' for {what}: routing_key_but_no_dlx_defined")
    for each in arguments:
        if each in _ARGUMENTS and kind not in _ARGUMENTS[each].types:
            raise AmqpError(406, f"invalid arg '{each}' for {what} of queue type rabbit_{kind}_queue")
    return QueueRules(**chosen)


def _checked(argument: str, value: Value, what: str) -> Value:
    try:
        return _ARGUMENTS[argument].check(value)
    except _Invalid as invalid:
        raise AmqpError(406, f"invalid arg '{argument}' for {what}: {invalid}") from None
