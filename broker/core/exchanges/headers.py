"""headers: routes by the message's headers (AMQP 0-9-1 §3.1.3.4; RabbitMQ adds the `-with-x` matches)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from amqp_wire.values import Table, Value
from broker.core.arguments import same_value, type_name
from broker.core.exchanges.base import Binding, Exchange
from broker.core.message import Message
from broker.errors import AmqpError

if TYPE_CHECKING:
    from broker.core.exchanges.base import Target

_MATCHES = ("all", "any", "all-with-x", "any-with-x")


class Headers(Exchange):
    """An exchange that compares each binding's arguments with the message's headers."""

    type = "headers"

    def check(self, binding: Binding) -> None:
        match = binding.arguments.get("x-match", "all")
        if not isinstance(match, str):
            raise AmqpError(406, f"Invalid x-match field type {type_name(match)} (value {match}); expected longstr")
        if match not in _MATCHES:
            raise AmqpError(406, f'Invalid x-match field value <<"{match}">>; expected all, any, all-with-x, or '
                                 "any-with-x")  # fmt: skip

    def route(self, message: Message, routing_key: str) -> Iterable[Target]:
        headers = message.headers
        return [binding.target for binding in self.bindings.values() if _matches(binding.arguments, headers)]

    def _add(self, binding: Binding) -> None:
        """Do nothing: `bindings` is enough."""

    def _remove(self, binding: Binding) -> None:
        """Do nothing: `bindings` is enough."""


def _matches(arguments: Table, headers: Table) -> bool:
    match = arguments.get("x-match", "all")
    with_x = match.endswith("-with-x")
    wanted = [(name, value) for name, value in arguments.items()
              if name != "x-match" and (with_x or name[:2] not in ("x-", b"x-"))]  # fmt: skip
    hits = (name in headers and _same(value, headers[name]) for name, value in wanted)
    return all(hits) if match.startswith("all") else any(hits)


def _same(wanted: Value, value: Value) -> bool:
    """Compare values. Void in a binding requires only that the header is present."""
    return wanted is None or same_value(wanted, value)
