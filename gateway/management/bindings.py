"""Bindings through the management API."""

from __future__ import annotations

from typing import Any

from domain.details import BindingDetails
from domain.errors import NotFound
from domain.exchange import BindingSpec
from gateway.management.client import ManagementClient


class BindingGateway:
    """The bindings of one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def bind(self, spec: BindingSpec) -> bool:
        """Make the binding; False when it was there already. Raises NotFound when an end of it is missing."""
        if self._matching(spec):
            return False
        wanted = {"routing_key": spec.routing_key, "arguments": spec.arguments}
        self._client.call("POST", *self._path(spec), subject="binding", name=_named(spec), body=wanted)
        return True

    def unbind(self, spec: BindingSpec) -> None:
        """Remove the binding with just this routing key and these arguments. Raises NotFound."""
        found = self._matching(spec)
        if not found:
            raise NotFound(f"There is no binding {_named(spec)}.", code="binding_not_found")
        key = found[0]["properties_key"]
        self._client.call("DELETE", *self._path(spec), key, subject="binding", name=_named(spec))

    def all(self, exchange: str | None = None, queue_name: str | None = None) -> list[BindingDetails]:
        """All bindings but those that every queue has to the default exchange; only those of an exchange, as their
        source, or of a queue, where one is given; none when it does not exist."""
        vhost = self._client.vhost
        if queue_name is not None:
            found = self._client.get("queues", vhost, queue_name, "bindings", subject="queue", name=queue_name)
        elif exchange is not None:
            path = ("exchanges", vhost, exchange, "bindings", "source")
            found = self._client.get(*path, subject="exchange", name=exchange)
        else:
            found = self._client.get("bindings", vhost, subject="virtual host")
        return [_details(one) for one in found if one["source"] and exchange in (None, one["source"])]

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
