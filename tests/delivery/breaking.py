"""Break one of the service's connections from the broker's side."""

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
