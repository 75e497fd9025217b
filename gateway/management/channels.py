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
        """Return all channels, or those of one connection, sorted by connection and number."""
        # RabbitMQ 3.10 answers 500 for the channels of a connection that has just been closed, so read all channels.
        found = self._client.get("vhosts", self._client.vhost, "channels", subject="virtual host")
        # A channel that is just opening has little more than a name; one whose connection has closed has [] for it.
        known = [_details(one) for one in found if one.get("connection_details")]
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
