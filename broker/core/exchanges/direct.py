"""direct: routes to every queue bound with exactly the message's routing key (AMQP 0-9-1 §3.1.3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from broker.core.exchanges.base import Binding, BindingKey, Exchange
from broker.core.message import Message

if TYPE_CHECKING:
    from broker.core.exchanges.base import Target


class Direct(Exchange):
    """Targets indexed by routing key."""

    type = "direct"

    def __init__(self, name: str, **properties: object) -> None:
        super().__init__(name, **properties)  # type: ignore[arg-type]
        self._by_key: dict[str, dict[BindingKey, Target]] = {}

    def route(self, message: Message, routing_key: str) -> Iterable[Target]:
        found = self._by_key.get(routing_key)
        return found.values() if found else ()

    def _add(self, binding: Binding) -> None:
        self._by_key.setdefault(binding.routing_key, {})[binding.key] = binding.target

    def _remove(self, binding: Binding) -> None:
        targets = self._by_key[binding.routing_key]
        del targets[binding.key]
        if not targets:
            del self._by_key[binding.routing_key]
