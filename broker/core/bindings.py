"""A vhost's bindings, indexed by destination: deleting a queue touches only its own bindings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from amqp_wire.values import Table
from broker.core.exchanges import Binding, Exchange
from broker.core.exchanges.base import BindingKey
from broker.core.journal import Journal

if TYPE_CHECKING:
    from broker.core.exchanges.base import Target


class Bindings:
    """Adds and removes bindings, and writes the durable ones to the journal."""

    def __init__(self, vhost: str, journal: Journal) -> None:
        self._vhost = vhost
        self._journal = journal
        self._by_target: dict[tuple[str, str], dict[tuple[str, BindingKey], Exchange]] = {}

    def add(self, source: Exchange, target: Target, routing_key: str, arguments: Table) -> None:
        """Bind; an existing binding stays unchanged. Raises AmqpError 406."""
        binding = Binding(source.name, target, routing_key, arguments)
        if not source.bind(binding):
            return
        self._by_target.setdefault((target.kind, target.name), {})[source.name, binding.key] = source
        if self._is_durable(source, target):
            self._journal.define("binding", self._key(source.name, binding.key), {
                "vhost": self._vhost, "source": source.name, "kind": target.kind, "destination": target.name,
                "routing_key": routing_key, "arguments": arguments,
            })  # fmt: skip

    def remove(self, source: Exchange, target: Target, routing_key: str, arguments: Table) -> bool:
        """Unbind. Return False for an unknown binding."""
        return self._remove(source, Binding(source.name, target, routing_key, arguments))

    def _remove(self, source: Exchange, binding: Binding) -> bool:
        if not source.unbind(binding.key):
            return False
        target = (binding.kind, binding.destination)
        incoming = self._by_target[target]
        del incoming[source.name, binding.key]
        if not incoming:
            del self._by_target[target]
        if self._is_durable(source, binding.target):
            self._journal.undefine("binding", self._key(source.name, binding.key))
        return True

    def remove_target(self, target: Target) -> set[Exchange]:
        """Remove every binding to a queue or exchange. Return the source exchanges."""
        losers = set()
        for (_, key), source in list(self._by_target.get((target.kind, target.name), {}).items()):
            self._remove(source, source.bindings[key])
            losers.add(source)
        return losers

    def remove_source(self, source: Exchange) -> None:
        """Remove every binding of an exchange that is being deleted."""
        for binding in list(source.bindings.values()):
            self._remove(source, binding)

    def of_target(self, kind: str, name: str) -> Iterator[Binding]:
        """Yield the bindings to a queue or exchange."""
        for (_, key), source in self._by_target.get((kind, name), {}).items():
            yield source.bindings[key]

    @staticmethod
    def _is_durable(source: Exchange, target: Target) -> bool:
        return source.durable and (target.durable if isinstance(target, Exchange) else target.journaled)

    def _key(self, source: str, key: BindingKey) -> str:
        kind, name, routing_key, arguments = key
        return "\0".join((self._vhost, source, kind, name, routing_key, arguments.hex()))
