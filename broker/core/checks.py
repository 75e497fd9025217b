"""Checks of messages and subscriptions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from amqp_wire.values import Table
from broker.core.arguments import LONGEST_TTL, type_name
from broker.core.exchanges import Topic
from broker.core.message import Message
from broker.core.users import User
from broker.errors import AmqpError

if TYPE_CHECKING:
    from broker.core.queue import Queue
    from broker.core.vhost import Vhost


def check_expiration(text: str) -> None:
    """Raise AmqpError 406 unless `text` is a whole number of milliseconds (RabbitMQ docs: ttl § per-message TTL)."""
    digits = re.match(r"[+-]?[0-9]+", text)
    if digits is None:
        problem = "no_integer"
    elif digits.end() < len(text):
        problem = f'{{leftover_string,"{text[digits.end() :]}"}}'
    elif int(text) < 0:
        problem = f"{{value_negative,{int(text)}}}"
    elif int(text) > LONGEST_TTL:
        problem = f"{{value_too_large,{int(text)}}}"
    else:
        return
    raise AmqpError(406, f"invalid expiration '{text}': {problem}")


def check_copies(message: Message) -> None:
    """Raise AmqpError 406 unless the CC and BCC headers are lists of strings (RabbitMQ docs: sender-selected)."""
    for name in ("CC", "BCC"):
        keys = message.headers.get(name, [])
        if not isinstance(keys, list):
            raise AmqpError(406, f'invalid message: {{unacceptable_type_in_header,"{name}",{type_name(keys)}}}')


def check_source(user: User, vhost: Vhost, exchange: str, routing_key: str) -> None:
    """Raise AmqpError 403 unless the user may read from an exchange, and from a topic exchange by that routing key."""
    user.require("read", "exchange", exchange, vhost.name)
    known = vhost.exchanges.get(exchange)
    if known is not None and known.type == Topic.type:
        user.require_topic("read", exchange, routing_key, vhost.name)


def read_priority(queue: Queue, arguments: Table) -> int:
    """Return the `x-priority` of a subscription. Raises AmqpError 406 for an invalid one, and for arguments that the
    queue type does not support (RabbitMQ docs: consumer-priority).
    """
    priority = arguments.get("x-priority", 0)
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise AmqpError(406, f"invalid arg 'x-priority' for queue '{queue.name}' in vhost '{queue.vhost.name}': "
                             f'"expected integer, got {type_name(priority)}"')  # fmt: skip
    for argument in arguments:
        if argument in queue.queue_type.unsupported_consumer_arguments:
            raise AmqpError(406, f"invalid arg '{argument}' for queue '{queue.name}' in vhost '{queue.vhost.name}' of "
                                 f"queue type rabbit_{queue.type}_queue")  # fmt: skip
    return priority
