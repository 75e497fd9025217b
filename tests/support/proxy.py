"""A TCP proxy that can break what passes through it: delay, stall, blackhole, refuse, reset."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Self, cast


class Proxy:
    """Forwards a loopback port to another, in a thread with an event loop, which own the connections.

    Any thread may call the methods and set `latency` (seconds added to each chunk) and `drop` (swallow every byte while
    the connections stay open).
    """

    def __init__(self, to_port: int, to_host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        """With `tls` it speaks TLS with those who connect, and forwards in plain text."""
        self._tls = tls
        self.latency = 0.0
        self.drop = False
        self.accepted = 0
        self._to = (to_host, to_port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self.port = 0
        bound: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(bound,), name="proxy", daemon=True)
        self._thread.start()
        self.port = bound.result(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def open_connections(self) -> int:
        return len(self._writers) // 2

    def stall(self) -> None:
        """Stop forwarding; bytes wait, and the sender's window fills, until `flow`."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def flow(self) -> None:
        """Forward again, after `stall`, `refuse` and `drop`, without latency."""
        self.latency = 0.0
        self.drop = False
        self._loop.call_soon_threadsafe(self._flowing.set)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)

    def refuse(self) -> None:
        """Refuse new connections, and reset those open, until `flow`."""
        self.shut_out()
        self.reset()

    def shut_out(self) -> None:
        """Refuse new connections until `flow`; those open go on."""
        asyncio.run_coroutine_threadsafe(self._close_listener(), self._loop).result(30)

    def reset(self) -> None:
        """End every open connection by RST, on both sides."""
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result(30)

    def stop(self) -> None:
        """Refuse and reset, for good."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(30)

    def _run(self, bound: Future[int]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(bound))

    async def _serve(self, bound: Future[int]) -> None:
        await self._listen()
        bound.set_result(self.port)
        await self._stopped.wait()
        await self._close_listener()
        await self._reset()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _reset(self) -> None:
        for writer in list(self._writers):
            raw = cast(socket.socket, writer.get_extra_info("socket"))
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._to)
        except OSError:
            self._writers.discard(writer)
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        await self._join(reader, writer, far_reader, far_writer)
        self._writers -= {writer, far_writer}

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Forward both ways until both have ended."""
        await asyncio.gather(self._forward(reader, far_writer), self._forward(far_reader, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while chunk := await reader.read(65536):
                await self._flowing.wait()
                if self.latency:
                    await asyncio.sleep(self.latency)
                if not self.drop:
                    writer.write(chunk)
                    await writer.drain()
        writer.close()
