"""The asyncio TCP listener: the only file of the broker with sockets.

What `broker/management.py` may rely on is `Server` as written here. It offers
`async def serve(server: Server, host: str, port: int) -> asyncio.Server`, which the broker awaits in its own loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.core.broker import Broker
    from broker.session.connection import Connection


class Server:
    """One running broker. Everything here belongs to the loop's thread.

    core: vhosts, exchanges, queues, users (see `broker.core`).
    connections: live connections by name ("127.0.0.1:51234 -> 127.0.0.1:5672"). A connection has `name`, `user`
      (a `User`, None before login), `vhost` (a `Vhost`, None before open), `peer` and `local` (host, port),
      `connected_at` (epoch seconds), `state` ("starting", "running", "blocked", "closing"), `channels` (number →
      Channel), `client_properties`, `mechanism`, `heartbeat` (seconds), `frame_max` (bytes), `channel_max`, `tls`,
      `bytes_in`, `bytes_out`, `frames_in`, `frames_out`.
    addresses: (host, port) pairs it listens on.
    started_at: epoch seconds.
    """

    core: Broker
    connections: dict[str, Connection]
    addresses: list[tuple[str, int]]
    started_at: float

    async def close_connection(self, name: str, reason: str) -> bool:
        """Close one client's connection with 320 CONNECTION_FORCED and `reason`; False when there is none."""
        raise KeyError(name)
