"""An HTTP target that notes how long ago each message was published. The body of a message begins with the time."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

DIGITS = 20
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def body_now(size: int) -> bytes:
    """Return a body of `size` bytes that begins with the present time."""
    return str(time.monotonic_ns()).zfill(DIGITS).encode().ljust(size, b"x")


class _Requests(asyncio.Protocol):
    def __init__(self, seconds: list[float]) -> None:
        self._seconds, self._data = seconds, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            length = int(self._data[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(self._data) < end + 4 + length:
                return
            self._seconds.append((now - int(self._data[end + 4 : end + 4 + DIGITS])) / 1e9)
            self._data = self._data[end + 4 + length :]
            self._transport.write(_ANSWER)


def _serve(report: Connection) -> None:
    seconds: list[float] = []

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Requests(seconds), "127.0.0.1", 0)
        report.send(server.sockets[0].getsockname()[1])
        while not report.poll():
            await asyncio.sleep(0.1)
        report.send(seconds)

    asyncio.run(main())


class TimingTarget:
    """A running target: its URL, and the latencies in seconds, once."""

    def __init__(self, report: Connection) -> None:
        self._report = report
        self.url = f"http://127.0.0.1:{report.recv()}/"

    def stop(self) -> list[float]:
        """End the target and return the latencies, in the order in which the requests came."""
        self._report.send(None)
        seconds: list[float] = self._report.recv()
        return seconds


@contextmanager
def timing_target() -> Iterator[TimingTarget]:
    """Run a target in a separate process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    theirs.close()
    try:
        yield TimingTarget(ours)
    finally:
        process.terminate()
        process.join()
