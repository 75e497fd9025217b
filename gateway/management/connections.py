"""Clients' connections through the management API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain.details import ConnectionDetails
from gateway.management.client import ManagementClient

_LATIN_1_SINCE = (4, 0)
"""Tested: 3.10.8 passes the bytes of X-Reason unchanged, 4.0.5 encodes each byte as UTF-8."""


class ConnectionGateway:
    """The connections to one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def all(self) -> list[ConnectionDetails]:
        """Return all connections, the oldest first."""
        found = self._client.get("vhosts", self._client.vhost, "connections", subject="virtual host")
        # A connection that is just opening has little more than a name.
        known = [_details(one) for one in found if "user" in one]
        return sorted(known, key=lambda one: (one.connected_at or datetime.max.replace(tzinfo=UTC), one.connection_id))

    def blocked(self) -> list[str]:
        """Return the names of the connections that the broker blocks
        (https://www.rabbitmq.com/docs/connection-blocked)."""
        path = ("vhosts", self._client.vhost, "connections")
        found = self._client.get(*path, subject="virtual host", query={"columns": "name,state"})
        return [one["name"] for one in found if one.get("state") in ("blocked", "blocking")]

    def close(self, connection_id: str, reason: str) -> None:
        """Close a connection on the broker's side; its client gets `reason`. Raises NotFound.

        RabbitMQ 4 reads each byte of the header as a character, so characters beyond Latin-1 become "?"."""
        by_byte = self._client.version() >= _LATIN_1_SINCE
        headers = {"X-Reason": reason.encode("latin-1", errors="replace") if by_byte else reason.encode()}
        self._client.call(
            "DELETE", "connections", connection_id, subject="connection", name=connection_id, headers=headers
        )


def _details(connection: dict[str, Any]) -> ConnectionDetails:
    client = connection.get("client_properties") or {}
    since = connection.get("connected_at")
    return ConnectionDetails(
        connection_id=connection["name"],
        connection_name=connection.get("user_provided_name") or client.get("connection_name"),
        user=connection["user"],
        peer=f"{connection.get('peer_host', '')}:{connection.get('peer_port', '')}",
        protocol=str(connection.get("protocol", "")),
        tls=bool(connection.get("ssl", False)),
        state=connection.get("state", "running"),
        channels=connection.get("channels", 0),
        connected_at=datetime.fromtimestamp(since / 1000, UTC) if since else None,
        client_properties={key: value for key, value in client.items() if key != "capabilities"},
    )
