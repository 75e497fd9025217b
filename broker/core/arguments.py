"""Queue arguments (`x-…`), read and checked once, at declaration (RabbitMQ docs: queues, ttl, maxlength, dlx)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.errors import AmqpError
from broker.protocol.table import Table, Value


@dataclass(frozen=True, slots=True)
class QueueRules:
    """What the arguments of a queue ask for. Times are in seconds, None means that there is no such rule."""

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
    """An argument's value is not acceptable; says why in RabbitMQ's (Erlang's) words."""


_TYPES = ((bool, "bool"), (int, "signedint"), (float, "double"), (str, "longstr"), (list, "array"), (dict, "table"))


def type_name(value: Value) -> str:
    """The type of a table's value, as RabbitMQ calls it."""
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        return "long"
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "void")


def _integer(least: int, most: int | None = None) -> Callable[[Value], int]:
    def check(value: Value) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _Invalid(f'"expected integer, got {type_name(value)}"')
        if value < least:
            raise _Invalid(f"{{value_negative,{value}}}" if value < 0 else "{value_zero,0}")
        if most is not None and value > most:
            raise _Invalid(f"{{max_value_exceeded,{value}}}")
        return value

    return check


def _milliseconds(least: int) -> Callable[[Value], float]:
    integer = _integer(least)
    return lambda value: integer(value) / 1000


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise _Invalid(f"{{unacceptable_type,{type_name(value)}}}")
    return value


def _one_of(complaint: str, *allowed: Value) -> Callable[[Value], Value]:
    def check(value: Value) -> Value:
        if type(value) is not type(allowed[0]):
            raise _Invalid(f"{{unacceptable_type,{type_name(value)}}}")
        if value not in allowed:
            raise _Invalid(complaint.format(value))
        return value

    return check


def _limit(value: Value) -> int | None:
    """A negative delivery limit is none."""
    limit = _integer(-(2**63))(value)
    return None if limit < 0 else limit


_STRATEGY = _one_of("invalid_dlx_strategy", "at-most-once", "at-least-once")

# argument → (field of QueueRules, check); a field of "" is accepted and has no effect here
_CHECKS: dict[str, tuple[str, Callable[[Value], Value]]] = {
    "x-queue-type": ("type", _one_of("unsupported queue type '{}'", "classic", "quorum")),
    "x-message-ttl": ("message_ttl", _milliseconds(0)),
    "x-expires": ("expires", _milliseconds(1)),
    "x-max-length": ("max_length", _integer(0)),
    "x-max-length-bytes": ("max_bytes", _integer(0)),
    "x-overflow": ("overflow", _one_of("invalid_overflow", "drop-head", "reject-publish", "reject-publish-dlx")),
    "x-dead-letter-exchange": ("dead_letter_exchange", _text),
    "x-dead-letter-routing-key": ("dead_letter_routing_key", _text),
    "x-dead-letter-strategy": ("at_least_once", lambda value: _STRATEGY(value) == "at-least-once"),
    "x-max-priority": ("max_priority", _integer(0, 255)),
    "x-single-active-consumer": ("single_active_consumer", _one_of("", False, True)),
    "x-delivery-limit": ("delivery_limit", _limit),
    "x-queue-mode": ("", _one_of("\"unsupported queue mode '{}'\"", "default", "lazy")),
    "x-queue-version": ("", _one_of("\"unsupported queue version '{}'\"", 1, 2)),
    "x-queue-master-locator": ("", _text),
    "x-quorum-initial-group-size": ("", _integer(1)),
    "x-max-in-memory-length": ("", _integer(0)),
    "x-max-in-memory-bytes": ("", _integer(0)),
}

# Arguments whose difference makes a redeclaration inequivalent; RabbitMQ ignores the rest.
DEFINING = (*(name for name, (field, _) in _CHECKS.items() if field), "x-queue-mode", "x-queue-version")

_NOT_CLASSIC = {"x-delivery-limit", "x-dead-letter-strategy", "x-quorum-initial-group-size", "x-max-in-memory-length",
                "x-max-in-memory-bytes"}  # fmt: skip
_NOT_QUORUM = {"x-max-priority", "x-queue-mode", "x-queue-master-locator", "x-queue-version"}


def read_rules(arguments: Table, name: str, vhost: str) -> QueueRules:
    """The rules that `arguments` ask for. Raises AmqpError 406, or 540 for a stream queue."""
    if arguments.get("x-queue-type") == "stream":
        raise AmqpError(540, f"queue '{name}' in vhost '{vhost}': stream queues are not supported by this broker")
    chosen: dict[str, Value] = {}
    for argument, value in arguments.items():
        if argument not in _CHECKS:
            continue
        field, check = _CHECKS[argument]
        try:
            checked = check(value)
        except _Invalid as invalid:
            raise AmqpError(406, f"invalid arg '{argument}' for queue '{name}' in vhost '{vhost}': {invalid}") from None
        if field:
            chosen[field] = checked
    rules = QueueRules(**chosen)
    refused = _NOT_QUORUM if rules.type == "quorum" else _NOT_CLASSIC
    for argument in arguments:
        if argument in refused:
            raise AmqpError(406, f"invalid arg '{argument}' for queue '{name}' in vhost '{vhost}' of queue type "
                                 f"rabbit_{rules.type}_queue")  # fmt: skip
    if rules.dead_letter_routing_key is not None and rules.dead_letter_exchange is None:
        raise AmqpError(406, f"invalid arg 'x-dead-letter-routing-key' for queue '{name}' in vhost '{vhost}': "
                             "routing_key_but_no_dlx_defined")  # fmt: skip
    return rules
