"""fanout: to every queue bound, whatever the routing key (AMQP 0-9-1 §3.1.3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from broker.core.exchanges.base import Binding, Exchange
from broker.core.message import Message

if TYPE_CHECKING:
    from broker.core.exchanges.base import Target


class Fanout(Exchange):
    """All bindings match."""

    type = "fanout"

    def route(self, message: Message, routing_key: str) -> Iterable[Target]:
        """See Exchange.route."""
        return [binding.target for binding in self.bindings.values()]

    def _add(self, binding: Binding) -> None:
        """`bindings` is all that is needed."""

    def _remove(self, binding: Binding) -> None:
        """`bindings` is all that is needed."""
