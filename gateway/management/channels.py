"""Channels of clients' connections through the management API."""

from __future__ import annotations

from typing import Any

from domain.details import ChannelDetails
from gateway.management.client import ManagementClient


class ChannelGateway:
    """The channels in one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def all(self, connection_id: str | None = None) -> list[ChannelDetails]:
        """Every channel, or those of one connection, by connection and number."""
        # RabbitMQ 3.10 fails (500) when asked for the channels of a connection that has just been closed.
        found = self._client.get("vhosts", self._client.vhost, "channels", subject="virtual host")
        # One that is only just opening has a name and little more.
        known = [_details(one) for one in found if "connection_details" in one]
        wanted = [one for one in known if connection_id in (None, one.connection_id)]
        return sorted(wanted, key=lambda one: (one.connection_id, one.number))


def _details(channel: dict[str, Any]) -> ChannelDetails:
    return ChannelDetails(
        connection_id=channel["connection_details"]["name"],
        number=channel["number"],
        user=channel.get("user", ""),
        state=channel.get("state", "running"),
        consumers=channel.get("consumer_count", 0),
        prefetch=channel.get("prefetch_count", 0),
        unacked=channel.get("messages_unacknowledged", 0),
        unconfirmed=channel.get("messages_unconfirmed", 0),
        confirms=bool(channel.get("confirm", False)),
        transactional=bool(channel.get("transactional", False)),
    )
