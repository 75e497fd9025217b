"""Checks of declarations: reserved names, unsupported properties, differences from the existing queue or exchange."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from amqp_wire.values import Table, Value
from broker.core.arguments import defining, same_value, type_name
from broker.core.exchanges import TYPES, Exchange
from broker.core.queue_types import TYPES as QUEUE_TYPES
from broker.core.queue_types import QueueType
from broker.errors import AmqpError

if TYPE_CHECKING:
    from broker.core.queue import Queue


def refuse_default_exchange(name: str) -> None:
    """Raise AmqpError 403 for the default exchange, which clients may not declare, delete or bind."""
    if not name:
        raise AmqpError(403, "operation not permitted on the default exchange")


def refuse_reserved(kind: str, name: str) -> None:
    """Raise AmqpError 403 for names that AMQP 0-9-1 §3.1.2 reserves for the server."""
    if name.startswith("amq."):
        raise AmqpError(403, f"{kind} name '{name}' contains reserved prefix 'amq.*'")


def new_queue_name(name: str, arguments: Table) -> str:
    """Return the queue's name; generate one for an empty name. Raises AmqpError 403, 406."""
    refuse_reserved("queue", name)
    if name:
        return name
    kind = arguments.get("x-queue-type", "classic")
    if isinstance(kind, str) and kind in QUEUE_TYPES and not QUEUE_TYPES[kind].server_named:
        raise AmqpError(406, f"Cannot declare a server-named queue for type rabbit_{kind}_queue")
    return "amq.gen-" + urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


def check_exchange_type(name: str, kind: str) -> None:
    """Raise AmqpError 403 for the default exchange, 503 for an unknown type."""
    if kind not in TYPES:
        raise AmqpError(503, f"unknown exchange type '{kind}'")
    refuse_default_exchange(name)


def check_new_exchange(name: str, arguments: Table, vhost: str) -> None:
    """Raise AmqpError 403 for a reserved name, 406 for an invalid alternate exchange."""
    refuse_reserved("exchange", name)
    alternate = arguments.get("alternate-exchange", "")
    if not isinstance(alternate, str):
        raise AmqpError(406, f"invalid type '{type_name(alternate)}' for arg 'alternate-exchange' in exchange "
                             f"'{name}' in vhost '{vhost}'")  # fmt: skip


def check_same_exchange(known: Exchange, kind: str, durable: bool, auto_delete: bool, internal: bool,
                        arguments: Table, vhost: str) -> None:  # fmt: skip
    """Raise AmqpError 406 if a redeclaration differs."""
    what = f"exchange '{known.name}' in vhost '{vhost}'"
    _same("type", what, kind, known.type)
    _same("durable", what, durable, known.durable)
    _same("auto_delete", what, auto_delete, known.auto_delete)
    _same("internal", what, internal, known.internal)
    _same_argument("alternate-exchange", what, arguments, known.arguments)


def check_properties(queue_type: QueueType, name: str, durable: bool, auto_delete: bool, owner: object | None,
                     vhost: str) -> None:  # fmt: skip
    """Raise AmqpError 406 for properties that the queue type does not support (RabbitMQ docs: quorum-queues § feature
    matrix).
    """
    wrong = {"auto-delete": auto_delete, "exclusive-owner": owner is not None, "non-durable": not durable}
    for prop, is_set in wrong.items():
        if is_set and prop in queue_type.unsupported_properties:
            raise AmqpError(406, f"invalid property '{prop}' for queue '{name}' in vhost '{vhost}'")


def check_access(queue: Queue, owner: object | None) -> None:
    """Raise AmqpError 405 if another connection owns the queue."""
    if queue.owner is not None and queue.owner is not owner:
        refuse_locked(queue)


def refuse_locked(queue: Queue) -> None:
    """Raise AmqpError 405."""
    raise AmqpError(405, f"cannot obtain exclusive access to locked queue '{queue.name}' in vhost "
                         f"'{queue.vhost.name}'. It could be originally declared on another connection or the "
                         "exclusive property value does not match that of the original declaration.")  # fmt: skip


def check_same_queue(known: Queue, durable: bool, auto_delete: bool, owner: object | None,
                     arguments: Table) -> None:  # fmt: skip
    """Raise AmqpError 405 or 406 if a redeclaration differs."""
    what = f"queue '{known.name}' in vhost '{known.vhost.name}'"
    if known.owner is not owner:
        refuse_locked(known)
    _same("durable", what, durable, known.durable)
    _same("auto_delete", what, auto_delete, known.auto_delete)
    for name in defining(known.type):
        _same_argument(name, what, arguments, known.arguments)


def _same(prop: str, what: str, received: Value, current: Value) -> None:
    if not same_value(received, current):
        raise AmqpError(406, f"inequivalent arg '{prop}' for {what}: received '{_plain(received)}' but current is "
                             f"'{_plain(current)}'")  # fmt: skip


def _same_argument(name: str, what: str, received: Table, current: Table) -> None:
    if same_value(received.get(name), current.get(name)):
        return
    if name == "x-queue-type" and received.get(name, "classic") == current.get(name, "classic"):
        return
    if name in received and name in current:
        _same(name, what, received[name], current[name])
    else:
        raise AmqpError(406, f"inequivalent arg '{name}' for {what}: received {_described(name, received)} but "
                             f"current is {_described(name, current)}")  # fmt: skip


def _described(name: str, arguments: Table) -> str:
    if name not in arguments:
        return "none"
    return f"the value '{_plain(arguments[name])}' of type '{type_name(arguments[name])}'"


def _plain(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
