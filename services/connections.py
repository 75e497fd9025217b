"""Connections of clients to the broker and their channels, this service's own among them."""

from __future__ import annotations

from domain.details import ChannelDetails, ConnectionDetails, Page
from gateway.management import ChannelGateway, ConnectionGateway


class Connections:
    """Thread-safe. Every method raises BrokerUnavailable when RabbitMQ cannot be asked."""

    def __init__(self, connections: ConnectionGateway, channels: ChannelGateway) -> None:
        self._connections = connections
        self._channels = channels

    def page(self, number: int, size: int) -> Page[ConnectionDetails]:
        """One page of the open connections, the oldest first; the first page is 1."""
        every = self._connections.all()
        return Page(every[(number - 1) * size : number * size], len(every))

    def channels(self, number: int, size: int, connection_id: str | None = None) -> Page[ChannelDetails]:
        """One page of all channels, or of those of one connection."""
        every = self._channels.all(connection_id)
        return Page(every[(number - 1) * size : number * size], len(every))

    def close(self, connection_id: str, reason: str) -> None:
        """Close a connection; its client reads `reason`. One of this service's own comes back by itself. Raises
        NotFound."""
        self._connections.close(connection_id, reason)
