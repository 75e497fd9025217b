"""Connections of clients to the broker, this service's own among them."""

from __future__ import annotations

from domain.details import ConnectionDetails
from gateway.management import ConnectionGateway


class Connections:
    """Thread-safe. Every method raises BrokerUnavailable when RabbitMQ cannot be asked."""

    def __init__(self, gateway: ConnectionGateway) -> None:
        self._gateway = gateway

    def all(self) -> list[ConnectionDetails]:
        """Every open connection, the oldest first."""
        return self._gateway.all()

    def close(self, connection_id: str, reason: str) -> None:
        """Close a connection; its client reads `reason`. One of this service's own comes back by itself. Raises
        NotFound."""
        self._gateway.close(connection_id, reason)
