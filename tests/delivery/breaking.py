"""Look at the service's connections, and break one, from the broker's side."""

from __future__ import annotations

from tests.support.node import BrokerNode
from tests.support.processes import wait_until


def close_connection(broker: BrokerNode, name: str) -> None:
    """Close the connection of this name, as an operator would; does not wait for it to come back."""

    def closed() -> bool:
        return any(
            broker.management.delete("connections", one["name"]).ok
            for one in broker.management.get("connections").json()
            if one.get("client_properties", {}).get("connection_name") == name
        )

    wait_until(closed, 20, f"{name} being closed")


def open_channels(broker: BrokerNode, connection_name: str) -> list[int]:
    """The numbers of the channels of the connections that have this name."""
    named = {
        one["name"]
        for one in broker.management.get("connections").json()
        if dict(one.get("client_properties") or {}).get("connection_name") == connection_name  # [] while it opens
    }
    channels = broker.management.get("channels").json()
    return [one["number"] for one in channels if (one.get("connection_details") or {}).get("name") in named]
