"""The asyncio TCP listener and what it serves: with `line.py`, the only files of the broker that know sockets.

What `broker/management.py` may rely on is `Server` as written here. It offers
`async def serve(server: Server, host: str, port: int) -> asyncio.Server`, which the broker awaits in its own loop.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import time
from pathlib import Path

from broker.core.broker import Broker
from broker.line import Line
from broker.periods import Periods
from broker.recovery import recover
from broker.session.connection import Connection
from broker.session.transport import Offer
from broker.storage import Storage

# Bytes that must be free on the journal's disk (RabbitMQ docs: disk-alarms).
DISK_FREE_LIMIT = 50_000_000


class Server:
    """One running broker. Everything here belongs to the loop's thread.

    core: vhosts, exchanges, queues, users (see `broker.core`).
    connections: live connections by name ("127.0.0.1:51234 -> 127.0.0.1:5672"). A connection has `name`, `user`
      (a `User`, None before login), `vhost` (a `Vhost`, None before open), `peer` and `local` (host, port),
      `connected_at` (epoch seconds), `state` ("starting", "running", "blocked", "closing"), `channels` (number →
      core.Channel), `client_properties`, `mechanism`, `heartbeat` (seconds), `frame_max` (bytes), `channel_max`, `tls`,
      `bytes_in`, `bytes_out`, `frames_in`, `frames_out`.
    addresses: (host, port) pairs it listens on.
    data_dir: where the journal is, None without one. disk_free_limit: bytes below which its disk is nearly full.
    started_at: epoch seconds.
    """

    def __init__(self, data_dir: Path | None = None, offer: Offer | None = None,
                 memory_limit: int | None = None, periods: Periods = Periods()) -> None:  # fmt: skip # noqa: B008
        """Without `data_dir` nothing is kept. `memory_limit` is in bytes of bodies, see core.pager.

        Raises JournalRefused.
        """
        self.started_at = time.time()
        self.periods = periods
        self.data_dir = data_dir
        self.storage = None if data_dir is None else Storage(data_dir, periods.rewrite)
        self.core = Broker() if self.storage is None else recover(self.storage, self.started_at)
        self.connections: dict[str, Connection] = {}
        self.addresses: list[tuple[str, int]] = []
        # "memory" and "disk": why publishers are blocked now (RabbitMQ docs: alarms).
        self.alarms: set[str] = set()
        self.disk_free_limit = 0 if data_dir is None else DISK_FREE_LIMIT
        self._disk_troubles: set[str] = set()
        self._disk_timer: asyncio.TimerHandle | None = None
        self.core.pager.on_pressure = lambda pressed: self.set_alarm("memory", pressed)
        if memory_limit is not None:
            self.core.pager.limit = memory_limit
        self._offer = offer or Offer()
        self._lines: dict[str, Line] = {}
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = float("inf")
        self._empty = asyncio.Event()
        if not self.core.vhosts:
            self.core.add_vhost("/")

    async def start(self) -> None:
        """Begin to commit and to keep time. Call it once, before `listen`."""
        self._loop = asyncio.get_running_loop()
        if self.storage is not None:
            flush = self.storage.flush
            self.storage.start(lambda: self._loop.call_soon(flush), self._loop.call_soon_threadsafe)
            self.storage.on_trouble = lambda failing: self._disk_trouble("cannot be written", failing)
            self._look_at_disk()
        self.core.deadlines.on_earlier = self._arm
        self._tick()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Accept clients; the port, a free one for port 0. Raises OSError when the address is taken."""
        listener = await self._loop.create_server(lambda: Line(self, self._offer, tls is not None), host, port,
                                                  ssl=tls, backlog=1024)  # fmt: skip
        self._listeners.append(listener)
        found = [socket.getsockname() for socket in listener.sockets]
        self.addresses += [(name[0], name[1]) for name in found]
        return int(found[0][1])

    async def stop(self) -> None:
        """Say goodbye to the clients, commit what is left and close the journal."""
        for listener in self._listeners:
            listener.close()
        for line in list(self._lines.values()):
            line.shut("broker forced connection closure with reason 'shutdown'")
        try:
            async with asyncio.timeout(self.periods.farewell):
                while self._lines:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            for line in list(self._lines.values()):
                line.abort()
            await asyncio.sleep(0)
        for timer in (self._timer, self._disk_timer):
            if timer is not None:
                timer.cancel()
        if self.storage is not None:
            self.storage.close()

    async def close_connection(self, name: str, reason: str) -> bool:
        """Close one client's connection with 320 CONNECTION_FORCED and `reason`; False when there is none."""
        line = self._lines.get(name)
        if line is None:
            return False
        line.shut(reason)
        return True

    # --- alarms

    def set_alarm(self, resource: str, on: bool) -> None:
        """Block publishers because of "memory" or "disk", or let them go on (RabbitMQ docs: alarms)."""
        if on:
            self.alarms.add(resource)
            return
        self.alarms.discard(resource)
        if not self.alarms:
            for line in list(self._lines.values()):
                line.unblock()

    def free_disk(self) -> int:
        """Bytes that are free where the journal is."""
        return shutil.disk_usage(self.data_dir or ".").free

    def _look_at_disk(self) -> None:
        self._disk_trouble("nearly full", self.free_disk() < self.disk_free_limit)
        self._disk_timer = self._loop.call_later(self.periods.disk, self._look_at_disk)

    def _disk_trouble(self, trouble: str, there: bool) -> None:
        """The alarm is on as long as there is any trouble."""
        if there != (trouble in self._disk_troubles):
            self._disk_troubles ^= {trouble}
            self.set_alarm("disk", bool(self._disk_troubles))

    # --- lines

    def admit(self, line: Line) -> None:
        """A line is there."""
        self._lines[line.connection.name] = line
        self.connections[line.connection.name] = line.connection

    def dismiss(self, line: Line) -> None:
        """A line is gone."""
        self._lines.pop(line.connection.name, None)
        self.connections.pop(line.connection.name, None)
        if not self._lines:
            self._empty.set()

    def backlog(self) -> int:
        """Bytes that are not on disk yet."""
        return 0 if self.storage is None else self.storage.backlog

    # --- time

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
        finally:  # whatever one deadline did, the others are kept
            moment = self.core.next_deadline()
            if moment is not None:
                self._arm(moment)
