"""A real HTTP target for deliveries: records requests and behaves as its paths say (target_paths)."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import Future
from types import TracebackType

from tests.support.processes import wait_until
from tests.support.target_http import Connection, Request
from tests.support.target_paths import Answer, Paths


class Target:
    """Runs in a thread with an event loop, which own connections and answers.

    Any thread may read the records, set `answer`, and call `url`, `wait_for`, `release`, `clear` and `stop`.
    With `record=False` only webhook-ids are counted, and memory stays small under load.
    """

    def __init__(self, *, record: bool = True, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.count = 0
        self.connections_opened = 0
        self._seen: Counter[str] = Counter()
        self._record = record
        self._paths = Paths()
        self._connections: set[Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        bound: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(port, bound), name="target", daemon=True)
        self._thread.start()
        self.port = bound.result(30)
        self.base = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Target:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def url(self, path: str = "/ok") -> str:
        """Return the URL of a behaviour, such as `/status/503?times=2`."""
        return self.base + path

    @property
    def answer(self) -> Answer:
        """The status that /ok answers, or a function from the request to it. May be set at any time."""
        return self._paths.answer

    @answer.setter
    def answer(self, answer: Answer) -> None:
        self._paths.answer = answer

    @property
    def room(self) -> int:
        """How many requests /room serves at once. May be set at any time."""
        return self._paths.room

    @room.setter
    def room(self, room: int) -> None:
        self._paths.room = room

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    @property
    def held(self) -> int:
        """How many requests to /hold wait for `release`."""
        return len(self._paths.held)

    def ids(self) -> Counter[str]:
        """Return the number of requests by webhook-id."""
        return Counter(self._seen)

    def delivered(self) -> Counter[str]:
        """Return the number of 2xx answers by message id (see Request.ids); above one is a duplicate."""
        return Counter(self._paths.delivered)

    def wait_for(self, count: int, timeout: float = 20) -> list[Request]:
        """Wait until `count` requests have arrived, and return them."""
        wait_until(lambda: self.count >= count, timeout, f"{count} requests at the target")
        return list(self.requests)

    def release(self, status: int = 200) -> None:
        """Answer all requests held by /hold."""
        asyncio.run_coroutine_threadsafe(self._release(status), self._loop).result(30)

    def clear(self) -> None:
        """Delete the records."""
        self.count = 0
        self.requests.clear()
        self._seen.clear()
        self._paths.delivered.clear()

    def stop(self) -> None:
        """Close the listener and all connections: from now on the target refuses connections."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(30)

    async def _release(self, status: int) -> None:
        held, self._paths.held = self._paths.held, []
        for request, connection in held:
            self._paths.settle(request, connection, status)

    def _serve(self, request: Request, connection: Connection) -> None:
        self.count += 1
        self._seen[request.id] += 1
        if self._record:
            self.requests.append(request)
        self._paths.serve(request, connection)

    def _connection(self) -> Connection:
        self.connections_opened += 1
        return Connection(self._serve, self._connections)

    def _run(self, port: int, bound: Future[int]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen(port, bound))

    async def _listen(self, port: int, bound: Future[int]) -> None:
        server = await self._loop.create_server(self._connection, "127.0.0.1", port, backlog=2048)
        bound.set_result(server.sockets[0].getsockname()[1])
        await self._stopped.wait()
        server.close()
        await self._paths.cancel()
        for connection in list(self._connections):
            connection.close()
        await server.wait_closed()
