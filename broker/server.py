"""The asyncio TCP listener and the broker's alarms and timer. Only this file and `client_socket.py` know sockets."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import time
from pathlib import Path

from broker.client_socket import ClientSocket
from broker.core.broker import Broker
from broker.periods import Periods
from broker.recovery import recover
from broker.session.connection import Connection
from broker.session.transport import ConnectionLimits
from broker.storage import Storage

# Bytes that must be free on the journal's disk (RabbitMQ docs: disk-alarms).
DISK_FREE_LIMIT = 50_000_000


class Server:
    """A running broker. Belongs to the loop's thread. The management API reads these attributes:

    core: vhosts, exchanges, queues, users (see `broker.core`).
    connections: open connections by name ("127.0.0.1:51234 -> 127.0.0.1:5672"), see `session.connection.Connection`.
    addresses: (host, port) pairs of the listeners.
    data_dir: directory of the journal, None without one.
    disk_free_limit: bytes of free disk space below which the disk alarm is raised.
    started_at: epoch seconds.
    """

    def __init__(self, data_dir: Path | None = None, limits: ConnectionLimits | None = None,
                 memory_limit: int | None = None, periods: Periods = Periods()) -> None:  # fmt: skip # noqa: B008
        """Store nothing without `data_dir`. `memory_limit` is in bytes of bodies, see core.pager.

        Raises JournalRefused.
        """
        self.started_at = time.time()
        self.periods = periods
        self.data_dir = data_dir
        self.storage = None if data_dir is None else Storage(data_dir, periods.rewrite)
        self.core = Broker() if self.storage is None else recover(self.storage, self.started_at)
        self.connections: dict[str, Connection] = {}
        self.addresses: list[tuple[str, int]] = []
        # "memory" and "disk": the alarms that block publishers (RabbitMQ docs: alarms).
        self.alarms: set[str] = set()
        self.disk_free_limit = 0 if data_dir is None else DISK_FREE_LIMIT
        self._disk_problems: set[str] = set()
        self._disk_timer: asyncio.TimerHandle | None = None
        self.core.pager.on_pressure = lambda on: self.set_alarm("memory", on)
        if memory_limit is not None:
            self.core.pager.limit = memory_limit
        self._limits = limits or ConnectionLimits()
        self._clients: dict[str, ClientSocket] = {}
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = float("inf")
        self._all_closed = asyncio.Event()
        if not self.core.vhosts:
            self.core.add_vhost("/")

    async def start(self) -> None:
        """Start committing and the timer. Call it once, before `listen`."""
        self._loop = asyncio.get_running_loop()
        if self.storage is not None:
            flush = self.storage.flush
            self.storage.start(lambda: self._loop.call_soon(flush), self._loop.call_soon_threadsafe)
            self.storage.on_failing = lambda failing: self._set_disk_problem("cannot be written", failing)
            self._check_disk()
        self.core.deadlines.on_earlier = self._arm
        self._tick()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Accept clients and return the port; port 0 picks a free one. Raises OSError for an address in use."""
        listener = await self._loop.create_server(lambda: ClientSocket(self, self._limits, tls is not None), host, port,
                                                  ssl=tls, backlog=1024)  # fmt: skip
        self._listeners.append(listener)
        found = [socket.getsockname() for socket in listener.sockets]
        self.addresses += [(name[0], name[1]) for name in found]
        return int(found[0][1])

    async def stop(self) -> None:
        """Close all connections, commit the rest and close the journal."""
        for listener in self._listeners:
            listener.close()
        for client in list(self._clients.values()):
            client.force_close("broker forced connection closure with reason 'shutdown'")
        try:
            async with asyncio.timeout(self.periods.farewell):
                while self._clients:
                    self._all_closed.clear()
                    await self._all_closed.wait()
        except TimeoutError:
            for client in list(self._clients.values()):
                client.abort()
            await asyncio.sleep(0)
        for timer in (self._timer, self._disk_timer):
            if timer is not None:
                timer.cancel()
        if self.storage is not None:
            self.storage.close()

    async def close_connection(self, name: str, reason: str) -> bool:
        """Close a client's connection with 320 CONNECTION_FORCED and `reason`. Return False for an unknown name."""
        client = self._clients.get(name)
        if client is None:
            return False
        client.force_close(reason)
        return True

    # --- alarms

    def set_alarm(self, resource: str, on: bool) -> None:
        """Raise or clear the "memory" or "disk" alarm; an alarm blocks publishers (RabbitMQ docs: alarms)."""
        if on:
            self.alarms.add(resource)
            return
        self.alarms.discard(resource)
        if not self.alarms:
            for client in list(self._clients.values()):
                client.unblock()

    def free_disk(self) -> int:
        """Return the free bytes on the journal's disk."""
        return shutil.disk_usage(self.data_dir or ".").free

    def _check_disk(self) -> None:
        self._set_disk_problem("nearly full", self.free_disk() < self.disk_free_limit)
        self._disk_timer = self._loop.call_later(self.periods.disk, self._check_disk)

    def _set_disk_problem(self, problem: str, present: bool) -> None:
        """Keep the disk alarm raised while any problem is present."""
        if present != (problem in self._disk_problems):
            self._disk_problems ^= {problem}
            self.set_alarm("disk", bool(self._disk_problems))

    # --- clients

    def add_client(self, client: ClientSocket) -> None:
        """Register a new connection."""
        self._clients[client.connection.name] = client
        self.connections[client.connection.name] = client.connection

    def remove_client(self, client: ClientSocket) -> None:
        """Unregister a closed connection."""
        self._clients.pop(client.connection.name, None)
        self.connections.pop(client.connection.name, None)
        if not self._clients:
            self._all_closed.set()

    def backlog(self) -> int:
        """Return the bytes that are not yet on disk."""
        return 0 if self.storage is None else self.storage.backlog

    # --- timer

    def _arm(self, moment: float) -> None:
        if moment >= self._wakes_at and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = moment
        self._timer = self._loop.call_later(max(0.0, moment - time.time()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._wakes_at = float("inf")
        try:
            self.core.tick(time.time())
        finally:  # an error in one deadline must not stop the others
            moment = self.core.next_deadline()
            if moment is not None:
                self._arm(moment)
