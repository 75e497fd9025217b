"""Client connections to the broker and their channels, including this service's own."""

from __future__ import annotations

from domain.audit import State, state_of
from domain.details import ChannelDetails, ConnectionDetails, Page
from domain.selection import Selection
from gateway.management import ChannelGateway, ConnectionGateway
from services.selecting import selected


class Connections:
    """Thread-safe. Every method raises BrokerUnavailable when the management API is down."""

    def __init__(self, connections: ConnectionGateway, channels: ChannelGateway) -> None:
        self._connections = connections
        self._channels = channels

    def page(self, wanted: Selection) -> Page[ConnectionDetails]:
        """Return the wanted page of open connections, filtered by id or by the name that the client chose, the oldest
        first by default. Raises what `selected` raises."""
        return selected(self._connections.all(), wanted, lambda one: (one.connection_id, one.connection_name))

    def channels(self, wanted: Selection, connection_id: str | None = None) -> Page[ChannelDetails]:
        """Return the wanted page of channels, filtered by connection id, of all connections or of one. Raises what
        `selected` raises."""
        return selected(self._channels.all(connection_id), wanted, lambda one: (one.connection_id,))

    def state_of(self, connection_id: str) -> State | None:
        """Return an open connection for the audit log, or None if there is none."""
        found = (one for one in self._connections.all() if one.connection_id == connection_id)
        return next((state_of(one, "connection_name user peer channels connected_at") for one in found), None)

    def close(self, connection_id: str, reason: str) -> None:
        """Close a connection; the broker sends `reason` to its client. This service reopens its own connections. Raises
        NotFound."""
        self._connections.close(connection_id, reason)
