"""The server of the embedded broker lives through several of each of its periods."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from broker.management.server import serve
from broker.periods import Periods
from broker.server import Server

LOGIN = "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q="


def run(periods: Periods, directory: Path, scenario: Callable[[Server, int], Coroutine[Any, Any, None]]) -> None:
    """Run a server for the scenario, with the port of its management API."""

    async def scene() -> None:
        server = Server(directory, periods=periods)
        await server.start()
        server.core.add_user("guest", "guest", ["administrator"])
        server.core.permit("guest", "/")
        listener = await serve(server, "127.0.0.1", 0)
        try:
            await scenario(server, listener.sockets[0].getsockname()[1])
        finally:
            listener.close()
            async with asyncio.timeout(10):
                await server.stop()

    asyncio.run(scene())


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str, body: str = "") -> int:
    """Send a request on an open connection. Return the status."""
    writer.write(f"{request} HTTP/1.1\r\n{LOGIN}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next((int(line[15:]) for line in head.splitlines() if line.startswith("content-length:")), 0)
    await reader.readexactly(length)
    return int(head.split()[1])


def test_a_management_connection_lives_while_it_is_used_and_ends_when_it_is_idle_for_the_period(
    tmp_path: Path,
) -> None:
    async def scenario(_server: Server, port: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            until = loop.time() + 1.5
            while loop.time() < until:
                assert await ask(reader, writer, "GET /api/vhosts") == 200
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()

    run(Periods(patience=0.5), tmp_path, scenario)


def test_each_change_that_the_disk_does_not_take_in_the_period_is_refused_until_it_does(tmp_path: Path) -> None:
    async def scenario(server: Server, port: int) -> None:
        assert server.storage is not None
        database = server.storage.file._db
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = '{"durable": true, "arguments": {"x-text": "' + "x" * 10_000 + '"}}'
        database.execute("PRAGMA max_page_count=1")
        for number in range(3):
            assert await ask(reader, writer, f"PUT /api/queues/%2F/refused-{number}", body) == 503
        database.execute("PRAGMA max_page_count=1000000")
        async with asyncio.timeout(10):
            while await ask(reader, writer, "PUT /api/queues/%2F/taken", body) == 503:
                pass
        writer.close()

    run(Periods(commit=0.3, rewrite=0.01), tmp_path, scenario)


def test_clients_that_do_not_answer_the_farewell_do_not_hold_up_the_end(tmp_path: Path) -> None:
    clients: list[socket.socket] = []

    async def scenario(server: Server, _port: int) -> None:
        port = await server.listen("127.0.0.1", 0)
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"AMQP\x00\x00\x09\x01")
            await reader.readexactly(7)  # the head of connection.start
            clients.append(writer.get_extra_info("socket").dup())  # nobody reads it, nor closes it

    for _ in range(3):
        run(Periods(farewell=0.2), tmp_path, scenario)
    for one in clients:
        one.close()
