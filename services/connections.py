"""Connections of clients to the broker and their channels, this service's own among them."""

from __future__ import annotations

from domain.details import ChannelDetails, ConnectionDetails, Page
from domain.selection import Selection
from gateway.management import ChannelGateway, ConnectionGateway
from services.selecting import selected


class Connections:
    """Thread-safe. Every method raises BrokerUnavailable when RabbitMQ cannot be asked."""

    def __init__(self, connections: ConnectionGateway, channels: ChannelGateway) -> None:
        self._connections = connections
        self._channels = channels

    def page(self, wanted: Selection) -> Page[ConnectionDetails]:
        """The open connections that are asked for, by their id or the name that the client chose; the oldest first,
        where no other order is asked for. Raises Invalid for a pattern that is no regular expression."""
        return selected(self._connections.all(), wanted, lambda one: (one.connection_id, one.connection_name))

    def channels(self, wanted: Selection, connection_id: str | None = None) -> Page[ChannelDetails]:
        """The channels that are asked for, by the id of their connection, of all connections or of one. Raises Invalid
        for a pattern that is no regular expression."""
        return selected(self._channels.all(connection_id), wanted, lambda one: (one.connection_id,))

    def close(self, connection_id: str, reason: str) -> None:
        """Close a connection; its client reads `reason`. One of this service's own comes back by itself. Raises
        NotFound."""
        self._connections.close(connection_id, reason)
