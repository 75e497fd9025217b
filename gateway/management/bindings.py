"""Bindings through the management API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from domain.details import BindingDetails
from domain.errors import BrokerTimeout, NotFound
from domain.exchange import BindingSpec
from gateway.management.client import ManagementClient
from gateway.management.queue_lookup import QueueLookup


class BindingGateway:
    """The bindings of one virtual host. Raises what ManagementClient.call raises, and QueueUnavailable for a queue
    whose node is down, because RabbitMQ 3.10 does not list its bindings then."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client
        self._lookup = QueueLookup(client)

    def bind(self, spec: BindingSpec) -> bool:
        """Create the binding; return False if it exists. Raises NotFound if its source or destination is missing."""
        with self._explained(spec.queue_name):
            if self._matching(spec):
                return False
            wanted = {"routing_key": spec.routing_key, "arguments": spec.arguments}
            self._client.call("POST", *self._path(spec), subject="binding", name=_named(spec), body=wanted)
        return True

    def unbind(self, spec: BindingSpec) -> None:
        """Delete the binding with exactly this routing key and these arguments. Raises NotFound."""
        with self._explained(spec.queue_name):
            found = self._matching(spec)
            if not found:
                raise NotFound(f"There is no binding {_named(spec)}.", code="binding_not_found")
            key = found[0]["properties_key"]
            self._client.call("DELETE", *self._path(spec), key, subject="binding", name=_named(spec))

    def all(self, exchange: str | None = None, queue_name: str | None = None) -> list[BindingDetails]:
        """Return all bindings except those of the default exchange. With `exchange` or `queue_name`, return only the
        bindings from that exchange or to that queue; none if it does not exist."""
        vhost = self._client.vhost
        if queue_name is not None:
            self._lookup.check_available(queue_name)
            found = self._client.get("queues", vhost, queue_name, "bindings", subject="queue", name=queue_name)
        elif exchange is not None:
            path = ("exchanges", vhost, exchange, "bindings", "source")
            found = self._client.get(*path, subject="exchange", name=exchange)
        else:
            found = self._client.get("bindings", vhost, subject="virtual host")
        return [_details(one) for one in found if one["source"] and exchange in (None, one["source"])]

    @contextmanager
    def _explained(self, queue_name: str | None) -> Iterator[None]:
        try:
            yield
        except (NotFound, BrokerTimeout):
            if queue_name is not None:
                self._lookup.check_available(queue_name)
            raise

    def _path(self, spec: BindingSpec) -> tuple[str, ...]:
        kind = "q" if spec.queue_name is not None else "e"
        return ("bindings", self._client.vhost, "e", spec.exchange, kind, spec.destination)

    def _matching(self, spec: BindingSpec) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.get(*self._path(spec), subject="binding", name=_named(spec))
        return [
            one for one in found if one["routing_key"] == spec.routing_key and one["arguments"] == spec.arguments
        ]  # fmt: skip


def _named(spec: BindingSpec) -> str:
    return f"of {spec.destination!r} to {spec.exchange!r} by {spec.routing_key!r}"


def _details(binding: dict[str, Any]) -> BindingDetails:
    to_queue = binding["destination_type"] == "queue"
    return BindingDetails(
        exchange=binding["source"],
        queue_name=binding["destination"] if to_queue else None,
        destination_exchange=None if to_queue else binding["destination"],
        routing_key=binding["routing_key"],
        arguments=binding["arguments"],
    )
