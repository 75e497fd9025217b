"""fanout: routes to every queue bound, for any routing key (AMQP 0-9-1 §3.1.3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from broker.core.exchanges.base import Binding, Exchange
from broker.core.message import Message

if TYPE_CHECKING:
    from broker.core.exchanges.base import Target


class Fanout(Exchange):
    """An exchange whose bindings all match."""

    type = "fanout"

    def route(self, message: Message, routing_key: str) -> Iterable[Target]:
        return [binding.target for binding in self.bindings.values()]

    def _add(self, binding: Binding) -> None:
        """Do nothing: `bindings` is enough."""

    def _remove(self, binding: Binding) -> None:
        """Do nothing: `bindings` is enough."""
