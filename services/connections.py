"""Connections of clients to the broker, this service's own among them."""

from __future__ import annotations

from domain.details import ConnectionDetails, Page
from gateway.management import ConnectionGateway


class Connections:
    """Thread-safe. Every method raises BrokerUnavailable when RabbitMQ cannot be asked."""

    def __init__(self, gateway: ConnectionGateway) -> None:
        self._gateway = gateway

    def page(self, number: int, size: int) -> Page[ConnectionDetails]:
        """One page of the open connections, the oldest first; the first page is 1."""
        every = self._gateway.all()
        return Page(every[(number - 1) * size : number * size], len(every))

    def close(self, connection_id: str, reason: str) -> None:
        """Close a connection; its client reads `reason`. One of this service's own comes back by itself. Raises
        NotFound."""
        self._gateway.close(connection_id, reason)
