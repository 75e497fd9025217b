"""How a target behaves, by path. Every function answers one request, or fails to, in its own way.

/ok                      `target.answer` (200 unless told otherwise), as does any path not named here
/status/NNN?times=N      NNN for the first N requests of a webhook-id (without `times`: always), then 200
/hold                    held until `target.release()`
/hang                    never answered
/slow?seconds=S          200 after S seconds
/room?seconds=S          the same, but 503 at once to more than `target.room` requests
/random?fail=&hang=&reset=   500, no answer, RST with these probabilities, else 200
/retry-after?seconds=S&status=503&times=N   status with Retry-After, like /status
/redirect?to=URL&status=302
/echo                    200 with the request's body and content type
/reset /close /truncated RST; FIN with no answer; FIN inside the answer's body
/drip /endless           an answer of a byte every 50 ms; an answer that never stops
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from tests.support.target_http import Connection, Request, response

Answer = int | Callable[[Request], int | tuple[int, bytes]]
"""A status, or a function from the request to a status, or to a status and a body."""
OK = response(200, b"ok")


class Paths:
    """Serves requests. Owned by the target's event loop; `answer` may be set from any thread."""

    def __init__(self, seed: int = 1) -> None:
        self.answer: Answer = 200
        self.room = 0
        self._inside = 0  # requests to /room without an answer
        self.delivered: Counter[str] = Counter()
        self.held: list[tuple[Request, Connection]] = []
        self._tries: Counter[tuple[str, str]] = Counter()
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._paths: dict[str, Callable[[Request, Connection], None]] = {
            "status": self._status,
            "hold": lambda request, connection: self.held.append((request, connection)),
            "hang": lambda request, connection: None,
            "slow": self._slow,
            "room": self._room,
            "random": self._at_random,
            "retry-after": self._retry_after,
            "redirect": self._redirect,
            "echo": self._echo,
            "reset": lambda request, connection: connection.reset(),
            "close": lambda request, connection: connection.close(),
            "truncated": self._truncated,
            "drip": lambda request, connection: self._stream(connection, b".", 0.05),
            "endless": lambda request, connection: self._stream(connection, b"." * 8192, 0),
        }

    def serve(self, request: Request, connection: Connection) -> None:
        """Answer one request as its path says."""
        name = request.url[1:].partition("?")[0].partition("/")[0]
        behaviour = self._paths.get(name)
        if behaviour:
            behaviour(request, connection)
        else:
            self.settle(request, connection, self.answer if isinstance(self.answer, int) else self.answer(request))

    def settle(self, request: Request, connection: Connection, answer: int | tuple[int, bytes], **headers: str) -> None:
        """Answer with a status; a 2xx that reaches an open connection counts as delivered."""
        status, body = answer if isinstance(answer, tuple) else (answer, f"status {answer}".encode())
        if 200 <= status < 300 and connection.open:
            self.delivered.update(request.ids)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.answer(OK if status == 200 else response(status, body, named))

    def _turn(self, request: Request, status: int) -> int:
        key = (request.url, request.id)
        self._tries[key] += 1
        return status if self._tries[key] <= int(request.query.get("times", "1000000000")) else 200

    def _status(self, request: Request, connection: Connection) -> None:
        self.settle(request, connection, self._turn(request, int(request.path.split("/")[2])))

    def _retry_after(self, request: Request, connection: Connection) -> None:
        status = self._turn(request, int(request.query.get("status", "503")))
        self.settle(request, connection, status, Retry_After=request.query["seconds"])

    def _redirect(self, request: Request, connection: Connection) -> None:
        self.settle(request, connection, int(request.query.get("status", "302")), Location=request.query["to"])

    def _slow(self, request: Request, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(float(request.query["seconds"]), self.settle, request, connection, 200)

    def _room(self, request: Request, connection: Connection) -> None:
        if self._inside >= self.room:
            self.settle(request, connection, 503)
            return
        self._inside += 1
        asyncio.get_running_loop().call_later(float(request.query["seconds"]), self._leave, request, connection)

    def _leave(self, request: Request, connection: Connection) -> None:
        self._inside -= 1
        self.settle(request, connection, 200)

    def _at_random(self, request: Request, connection: Connection) -> None:
        chance = {name: float(value) for name, value in request.query.items()}
        drawn = self._random.random()
        if (drawn := drawn - chance.get("hang", 0)) < 0:
            return
        if (drawn := drawn - chance.get("reset", 0)) < 0:
            connection.reset()
            return
        self.settle(request, connection, 500 if drawn < chance.get("fail", 0) else 200)

    def _echo(self, request: Request, connection: Connection) -> None:
        self.delivered[request.id] += 1
        kind = request.headers.get("content-type", "application/octet-stream")
        connection.answer(response(200, request.body, {"Content-Type": kind}))

    def _truncated(self, request: Request, connection: Connection) -> None:
        connection.answer(response(200, b"x" * 1000)[:-500])
        connection.close()

    def _stream(self, connection: Connection, part: bytes, pause: float) -> None:
        task = asyncio.get_running_loop().create_task(self._send_for_ever(connection, part, pause))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_for_ever(self, connection: Connection, part: bytes, pause: float) -> None:
        chunk = f"{len(part):x}\r\n".encode() + part + b"\r\n"
        open_still = await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while open_still:
            open_still = await connection.send(chunk)
            await asyncio.sleep(pause)

    async def cancel(self) -> None:
        """End the endless answers."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
